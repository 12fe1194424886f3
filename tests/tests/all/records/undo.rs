//! Imports into the embedded target that are taken back, and imported records that were deleted from staging.

use std::path::Path;

use reqwest::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use sluice_config::Config;
use sluice_server::app::Options;

use crate::harness::lender::{Lender, TYPES, put, remove};
use crate::harness::server::{ALL, Migration, Server, start};

const AGREEMENTS: &str = "agreements";

/// Starts a server of its own: a removal of rows outdates the validations of other migrations.
pub fn server() -> &'static Server {
    let data_dir = tempfile::tempdir().unwrap().keep().join("data");
    let mut config = Config::default();
    config.http.requests_per_second = 1_000_000;
    config.http.request_burst = 1_000_000;
    Box::leak(Box::new(
        start(Options { data_dir, config, mappers: vec![], worker: crate::harness::worker() }, std::future::pending())
            .0,
    ))
}

/// Returns the number of rows that a migration has in the target, of each entity type.
fn rows(server: &Server, migration: &Migration) -> Vec<(String, u64)> {
    let target = Connection::open(server.data_dir.join("platform.db")).unwrap();
    let count = |(_, entity_type): &(&str, &str)| {
        let table = entity_type.replace('-', "_");
        let query = format!(
            "SELECT count(*) FROM {table} WHERE sluice_origin IN (SELECT number FROM sluice_origins WHERE migration = ?)"
        );
        ((*entity_type).to_owned(), target.query_row(&query, [&migration.id], |row| row.get(0)).unwrap())
    };
    TYPES.iter().map(count).collect()
}

async fn succeeded(migration: &Migration, kind: &str, parameters: &Value) -> Value {
    let job = migration.job_with(kind, parameters).await;
    assert_eq!(job["state"], "succeeded", "{kind}: {job:#} {:#?}", migration.issues(kind).await);
    job["result"].clone()
}

async fn imported(server: &'static Server) -> (Migration, Lender) {
    let migration = server.register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    for kind in ["validate", "import", "counts"] {
        succeeded(&migration, kind, &json!({})).await;
    }
    (migration, lender)
}

/// Returns the values of a figure in the migration's trail.
async fn audited(migration: &Migration, figure: &str) -> Vec<u64> {
    let page = migration.get("/audit?limit=100").await;
    page["items"].as_array().unwrap().iter().filter_map(|entry| find(entry, figure)).collect()
}

/// Returns a figure anywhere in an entry.
fn find(value: &Value, name: &str) -> Option<u64> {
    match value {
        Value::Object(members) => {
            members.iter().find_map(|(key, value)| if key == name { value.as_u64() } else { find(value, name) })
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_removes_the_rows_of_one_migration() {
    let server = server();
    let (migration, _) = imported(server).await;
    let (other, _) = imported(server).await;
    let before = rows(server, &migration);
    assert!(before.iter().all(|(_, rows)| *rows == 3), "{before:?}");
    let expected: Value = before.iter().map(|(name, rows)| (name.clone(), json!(rows))).collect();

    let preview = succeeded(&migration, "undo", &json!({"preview": true})).await;
    assert_eq!((&preview["preview"], &preview["wouldRemove"]), (&json!(true), &expected));
    assert_eq!(rows(server, &migration), before, "a preview changes nothing");
    assert_eq!(migration.get("").await["importStatus"], "Imported");

    let undone = succeeded(&migration, "undo", &json!({})).await;
    assert_eq!(undone["removed"], expected);
    assert!(rows(server, &migration).iter().all(|(_, rows)| *rows == 0));
    assert_eq!(rows(server, &other), before, "the rows of others stay");
    let shown = migration.get("").await;
    assert_eq!((&shown["importStatus"], &shown["stagingStatus"]), (&json!("Pending"), &json!("Staged")));
    assert_eq!((&shown["numberOfImportedEntities"], &shown["numberOfStagedEntities"]), (&json!(0), &json!(25)));
    assert!(audited(&migration, "removed").await.contains(&27), "the trail names the number of removed rows");
    assert_eq!(migration.start("import").await.problem(), (409, "NOT_VALIDATED".into()));

    // It can be imported again, with the same result, and undone again.
    for _ in 0..2 {
        for kind in ["validate", "import", "counts"] {
            succeeded(&migration, kind, &json!({})).await;
        }
        assert_eq!(rows(server, &migration), before);
        let evidence = server.get(&migration.path("/evidence")).await;
        let removals = evidence.lines()[0]["removals"].clone();
        assert_eq!((&removals[0]["kind"], &removals[0]["removed"]), (&json!("undo"), &expected), "{removals}");
        succeeded(&migration, "undo", &json!({})).await;
    }
    // Nothing is left to undo.
    assert_eq!(succeeded(&migration, "undo", &json!({})).await["removed"], json!({}));
}

/// A row of another migration refers to one of these: the undo names both, and removes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn undo_refuses_rows_that_another_migration_refers_to() {
    let server = server();
    let (migration, lender) = imported(server).await;
    let other = server.register(None, ALL).await;
    let mut agreement = Lender::of(&other).record(AGREEMENTS, 1);
    agreement["borrowers"][0]["counterpartyReferenceId"] = json!(lender.id("counterparties", 2));
    put(&other, "financing-solution", AGREEMENTS, &[agreement]).await;
    succeeded(&other, "validate", &json!({})).await;
    succeeded(&other, "import", &json!({})).await;
    for preview in [true, false] {
        let refused = migration.job_with("undo", &json!({"preview": preview})).await;
        let row = json!({
            "entityType": "counterparties", "referenceId": lender.id("counterparties", 2),
            "referringType": AGREEMENTS, "referringId": Lender::of(&other).id(AGREEMENTS, 1), "migration": other.id,
        });
        let referring = json!({"count": 1, "rows": [row]});
        assert_eq!((&refused["state"], &refused["result"]["referring"]), (&json!("failed"), &referring), "{refused}");
        assert!(rows(server, &migration).iter().all(|(_, rows)| *rows == 3));
        assert_eq!(migration.get("").await["importStatus"], "Imported");
    }
    succeeded(&other, "undo", &json!({})).await;
    succeeded(&migration, "undo", &json!({})).await;
}

/// Another migration validated a reference to a row that is removed before its import.
#[tokio::test(flavor = "multi_thread")]
async fn an_undo_outdates_validations_that_looked_its_rows_up() {
    let server = server();
    let (migration, lender) = imported(server).await;
    let other = server.register(None, ALL).await;
    let mut agreement = Lender::of(&other).record(AGREEMENTS, 1);
    agreement["borrowers"][0]["counterpartyReferenceId"] = json!(lender.id("counterparties", 2));
    put(&other, "financing-solution", AGREEMENTS, &[agreement]).await;
    succeeded(&other, "validate", &json!({})).await;
    succeeded(&migration, "undo", &json!({})).await;
    assert_eq!(other.start("import").await.problem(), (409, "NOT_VALIDATED".into()));
    let validated = other.job("validate").await;
    assert_eq!(validated["result"]["issuesByCode"][0]["code"], "UNKNOWN_REFERENCE", "{validated}");
}

/// Deleted from staging after the import: a preview names the rows, a flag removes them, and counts agree.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_removes_what_was_deleted_from_staging() {
    let server = server();
    let (migration, lender) = imported(server).await;
    remove(&migration, "financing-execution", "repayments", lender.id("repayments", 1)).await;
    remove(&migration, "financing-execution", "disbursements", lender.id("disbursements", 2)).await;
    succeeded(&migration, "validate", &json!({})).await;

    let expected = json!({"disbursements": 1, "repayments": 1});
    let preview = succeeded(&migration, "import", &json!({"preview": true})).await;
    assert_eq!((&preview["preview"], &preview["toRemove"]), (&json!(true), &expected), "{preview}");
    assert_eq!(rows(server, &migration)[5].1, 3, "a preview changes nothing");
    assert_eq!(migration.get("").await["importStatus"], "Pending");

    // Without the flag they stay, the import says so, and counts differ and name them.
    let kept = succeeded(&migration, "import", &json!({})).await;
    assert_eq!((&kept["notStaged"], &kept["removed"]), (&expected, &json!({})));
    let issues = migration.issues("import").await;
    let stay: Vec<&Value> = issues.iter().filter(|issue| issue["code"] == "NOT_STAGED").collect();
    assert!(stay.len() == 2 && stay.iter().all(|issue| issue["severity"] == "warning"), "{issues:?}");
    assert_eq!(migration.job("counts").await["state"], "failed");
    let named = migration.issues("counts").await;
    let named: Vec<(&Value, &Value)> = named.iter().map(|issue| (&issue["code"], &issue["referenceId"])).collect();
    let code = json!("NOT_STAGED");
    let (one, two) = (json!(lender.id("disbursements", 2)), json!(lender.id("repayments", 1)));
    assert_eq!(named, [(&code, &one), (&code, &two)]);

    let removed = succeeded(&migration, "import", &json!({"remove": true})).await;
    assert_eq!((&removed["removed"], &removed["notStaged"]), (&expected, &json!({})));
    succeeded(&migration, "counts", &json!({})).await;
    assert!(audited(&migration, "removed").await.contains(&2));
    let evidence = server.get(&migration.path("/evidence")).await;
    let removals = evidence.lines()[0]["removals"].clone();
    assert_eq!((&removals[0]["kind"], &removals[0]["removed"]), (&json!("import"), &expected), "{removals}");
    // Staged again, they are imported again.
    put(&migration, "financing-execution", "repayments", &[lender.record("repayments", 1)]).await;
    for kind in ["validate", "import", "counts"] {
        succeeded(&migration, kind, &json!({})).await;
    }
}

/// A row that stays refers to one that was deleted from staging: nothing is removed, and the row is named.
#[tokio::test(flavor = "multi_thread")]
async fn an_import_keeps_rows_that_others_refer_to() {
    let server = server();
    let (migration, lender) = imported(server).await;
    remove(&migration, "financing-solution", AGREEMENTS, lender.id(AGREEMENTS, 1)).await;
    // The references of the staged records are found in the target.
    succeeded(&migration, "validate", &json!({})).await;
    let refused = migration.job_with("import", &json!({"remove": true})).await;
    assert_eq!((&refused["state"], &refused["result"]["removed"]), (&json!("failed"), &json!({})), "{refused}");
    assert!(refused["result"]["referring"]["count"].as_u64() >= Some(4), "{refused}");
    let issues = migration.issues("import").await;
    assert!(
        issues.iter().any(
            |issue| issue["code"] == "STILL_REFERRED_TO" && issue["referenceId"] == json!(lender.id(AGREEMENTS, 1))
        ),
        "{issues:?}"
    );
    // Those that refer to it go with it.
    let referring = ["disbursements", "repayments", "additional-repayments", "debit-mandates"];
    for entity_type in referring {
        remove(&migration, "financing-execution", entity_type, lender.id(entity_type, 1)).await;
    }
    remove(&migration, "collateral-management", "collaterals", lender.id("collaterals", 1)).await;
    remove(&migration, "administrate", "payment-administrations", lender.id("payment-administrations", 1)).await;
    succeeded(&migration, "validate", &json!({})).await;
    let removed = succeeded(&migration, "import", &json!({"remove": true})).await;
    assert_eq!(removed["removed"][AGREEMENTS], 1, "{removed}");
    succeeded(&migration, "counts", &json!({})).await;
}

/// An import waits for an undo of its migration, and the undo for the import. A lock on the target holds each job.
#[tokio::test(flavor = "multi_thread")]
async fn import_and_undo_wait_for_each_other() {
    let server = server();
    let (migration, _) = imported(server).await;
    let upload = async || migration.stage("financing-solution", "agreements/delete", "\"x\"\n").await.status;
    for (running, refused, code) in [("undo", "import", "JOB_RUNNING"), ("import", "undo", "IMPORT_RUNNING")] {
        if running == "import" {
            succeeded(&migration, "validate", &json!({})).await;
        }
        let target = Connection::open(Path::new(&server.data_dir).join("platform.db")).unwrap();
        target.execute_batch("BEGIN IMMEDIATE").unwrap();
        let job = migration.start(running).await;
        let (status, found) = migration.start(refused).await.problem();
        assert!(status == 409 && (found == code || found == "JOB_RUNNING"), "{refused} during {running}: {found}");
        assert_eq!(upload().await, 409, "an upload during {running}");
        let path = migration.path(&format!("/jobs/{}", job.json().as_str().unwrap()));
        let request = server.request(Method::GET, &path);
        assert_eq!(server.send(request).await.json()["state"], "running", "{running}");
        target.execute_batch("ROLLBACK").unwrap();
        let ended = migration.ended(job).await;
        assert_eq!(ended["state"], "succeeded", "{running}: {ended}");
    }
    succeeded(&migration, "counts", &json!({})).await;
}
