//! Rows of the target that change after their import: the counts name them, and the next import restores them.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::recorded_server::command;
use crate::harness::server::{Migration, shared};

const CLIENTS: u64 = 20;

/// A change of one record's row (`IT`), and the number of altered rows afterwards.
const CHANGES: &[(&str, u64)] = &[
    ("SELECT 1", 0),
    ("UPDATE counterparties SET surname = 'x' WHERE IT", 1),
    ("UPDATE counterparties SET surname = surname || ' ' WHERE IT", 1),
    ("UPDATE counterparties SET surname = NULL WHERE IT", 1),
    ("UPDATE counterparties SET surname = birth_date, birth_date = surname WHERE IT", 1),
    ("UPDATE counterparties SET sluice_position = sluice_position + 1 WHERE IT", 1),
    ("UPDATE counterparties SET sluice_hash = zeroblob(16) WHERE IT", 1),
    ("UPDATE counterparties SET sluice_check = sluice_check + 1 WHERE IT", 1),
    ("UPDATE counterparties SET surname = 'x', birth_date = 'y' WHERE OURS", CLIENTS),
    // A row of a version without checksums.
    ("UPDATE counterparties SET sluice_check = NULL WHERE IT", 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn finds_and_restores_changed_rows() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let client = |id| json!({"client_id": id, "birth_number": "706213", "district_id": 1}).to_string() + "\n";
    migration.source("client", (1..=CLIENTS).map(client).collect::<String>()).await;
    for kind in ["validate", "import"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded");
    }
    let one = migration.staged("counterparty-management", "counterparties").await.swap_remove(7);
    let (it, ours) = (
        format!("reference_id = {}", one["referenceId"].to_string().replace('"', "'")),
        format!("sluice_origin IN (SELECT number FROM sluice_origins WHERE migration = '{}')", migration.id),
    );
    let target = rusqlite::Connection::open(shared().data_dir.join(sluice_data_dir::TARGET_FILE)).unwrap();
    target.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    for (change, altered) in CHANGES {
        target.execute_batch(&change.replace("IT", &it).replace("OURS", &ours)).unwrap();
        let counts = migration.job("counts").await;
        let state = if *altered == 0 { "succeeded" } else { "failed" };
        assert_eq!(counts["state"], state, "{change}: {counts}");
        let unaltered = |side| Migration::rows(&counts, "TotalUnaltered", side);
        let row = |count: u64| vec![vec!["counterparties".to_owned(), count.to_string()]];
        assert_eq!((unaltered("stagedRows"), unaltered("importedRows")), (row(CLIENTS), row(CLIENTS - altered)));
        let found = migration.get("/issues?phase=counts&limit=100").await;
        let named: Vec<&Value> = found["items"].as_array().unwrap().iter().map(|issue| &issue["referenceId"]).collect();
        assert_eq!(named.len() as u64, *altered, "{found}");
        assert!(*altered == 0 || named.contains(&&one["referenceId"]), "{found}");
        let imported = migration.job("import").await;
        assert_eq!(
            (&imported["state"], &imported["result"]["updated"]),
            (&json!("succeeded"), &json!(altered)),
            "{change}"
        );
        assert_eq!(migration.job("counts").await["state"], "succeeded", "{change}");
        assert_eq!(migration.get("/issues?phase=counts").await["total"], 0);
    }
    // The command reports it in a sentence, and continuing restores the rows.
    let other = format!("(SELECT min(reference_id) FROM counterparties WHERE {ours} AND NOT {it})");
    target.execute_batch(&format!("UPDATE counterparties SET surname = 'x' WHERE reference_id = {other}")).unwrap();
    for (code, said) in [(1, "1 row of the target changed after the import"), (0, "All counts agree")] {
        let mut migrate = Command::new(command());
        migrate.args(["migrate", "--server", &shared().url, "--migration", &migration.id, "--client-file"]);
        let done = migrate.arg(shared().data_dir.join(sluice_data_dir::ADMIN_FILE)).output().unwrap();
        let message = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        assert!(done.status.code() == Some(code) && message.contains(said), "{:?} {message}", done.status);
    }
}
