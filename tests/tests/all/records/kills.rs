//! A server killed at random moments of an undo, and of an import that removes rows. `SLUICE_KILLS` is the number of kills.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::killable_server::{KillableServer, Random};

/// Number of persons, each with an agreement for which the import generates a payment administration.
const RECORDS: usize = 1_500;

fn id(migration: &str, of: &str, number: usize) -> Uuid {
    Uuid::new_v5(&migration.parse().unwrap(), format!("{of}/{number}").as_bytes())
}

fn agreement(migration: &str, of: usize) -> Value {
    json!({
        "referenceId": id(migration, "agreement", of), "agreementNumber": of.to_string(), "status": "active",
        "startDate": "2020-01-31",
        "borrowers": [{"counterpartyReferenceId": id(migration, "client", of), "role": "main"}],
        "facilities": [{"referenceId": id(migration, "loan", of), "amount": {"amount": 1000.0, "currency": "EUR"},
            "termInMonths": 7, "repaymentMethod": "linear"}],
    })
}

async fn stage_agreements(server: &KillableServer, migration: &str, numbers: impl Iterator<Item = usize>) {
    let lines: String = numbers.map(|of| agreement(migration, of).to_string() + "\n").collect();
    server.put(&format!("/financing-solution/migrations/{migration}/staging/agreements"), lines).await;
}

/// Returns the number of rows in the target of each entity type.
fn rows(dir: &std::path::Path) -> [u64; 3] {
    let target = Connection::open(dir.join("data/platform.db")).unwrap();
    ["counterparties", "agreements", "payment_administrations"]
        .map(|table| target.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap())
}

async fn succeeded(server: &KillableServer, migration: &str, kind: &str, parameters: &Value) -> Value {
    let job = server.job_with(migration, kind, parameters).await;
    assert_eq!(job["state"], "succeeded", "{kind}: {job:#}");
    job
}

/// Starts a job, and kills the server at a moment after that.
async fn kill_during(
    server: KillableServer,
    dir: &std::path::Path,
    migration: &str,
    kind: &str,
    parameters: &Value,
    moment: Duration,
) -> KillableServer {
    server.start(migration, kind, parameters).await;
    tokio::time::sleep(moment).await;
    server.kill();
    KillableServer::begin(dir).await
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_and_removal_go_on_although_killed() {
    let kills: usize = std::env::var("SLUICE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4);
    let dir = tempfile::tempdir().unwrap();
    let limits = "[http]\nrequests_per_second = 100000\nrequest_burst = 100000\n";
    std::fs::write(dir.path().join("config.toml"), limits).unwrap();
    let mut server = KillableServer::begin(dir.path()).await;
    let body = json!({"components": ["Counterparties", "FinancingSolutions", "FinancingExecutions", "Administrate"]});
    let request = server.request(reqwest::Method::POST, "/migration-assistance/migrations").json(&body);
    let registered: Value = request.send().await.unwrap().json().await.unwrap();
    let migration = registered["referenceId"].as_str().unwrap().to_owned();
    let person = |of| {
        json!({"referenceId": id(&migration, "client", of), "type": "person", "initials": "J.", "surname": "N"})
            .to_string()
    };
    let persons: String = (0..RECORDS).map(|of| person(of) + "\n").collect();
    server.put(&format!("/counterparty-management/migrations/{migration}/staging/counterparties"), persons).await;
    stage_agreements(&server, &migration, 0..RECORDS).await;
    let import = async |server: &KillableServer, parameters: &Value| {
        succeeded(server, &migration, "validate", &Value::Null).await;
        succeeded(server, &migration, "import", parameters).await;
        succeeded(server, &migration, "counts", &Value::Null).await;
    };
    import(&server, &Value::Null).await;
    let (all, half) = ([RECORDS as u64; 3], [RECORDS as u64, RECORDS as u64 / 2, RECORDS as u64 / 2]);
    assert_eq!(rows(dir.path()), all);
    let delete_half = async |server: &KillableServer| {
        let ids: String = (0..RECORDS / 2).map(|of| format!("\"{}\"\n", id(&migration, "agreement", of))).collect();
        server.put(&format!("/financing-solution/migrations/{migration}/staging/agreements/delete"), ids).await;
        succeeded(server, &migration, "validate", &Value::Null).await;
    };
    let (nothing, remove) = (Value::Null, json!({"remove": true}));
    // The first turn of each kind is not killed: the moments of the kills lie within its time.
    let (mut chance, mut in_the_middle, mut longest) = (Random(11), [0; 2], [None::<u64>; 2]);
    for turn in 0..kills + 2 {
        let kind = turn % 2;
        let (job, parameters, wanted) = [("undo", &nothing, [0; 3]), ("import", &remove, half)][kind];
        if kind == 1 {
            // Half of the agreements go, and their generated administrations with them.
            delete_half(&server).await;
        }
        match longest[kind] {
            None => {
                let began = Instant::now();
                succeeded(&server, &migration, job, parameters).await;
                longest[kind] = Some(began.elapsed().as_micros() as u64);
            }
            Some(longest) => {
                let moment = Duration::from_micros(chance.below(longest));
                server = kill_during(server, dir.path(), &migration, job, parameters, moment).await;
                let left = rows(dir.path());
                in_the_middle[kind] += usize::from(left != all && left != wanted);
                if kind == 1 {
                    succeeded(&server, &migration, "validate", &nothing).await;
                }
                succeeded(&server, &migration, job, parameters).await;
            }
        }
        assert_eq!(rows(dir.path()), wanted, "turn {turn}");
        if kind == 1 {
            succeeded(&server, &migration, "counts", &nothing).await;
            stage_agreements(&server, &migration, 0..RECORDS / 2).await;
        }
        import(&server, &nothing).await;
        assert_eq!(rows(dir.path()), all, "turn {turn}");
    }
    println!("{kills} kills; rows were partly removed after {in_the_middle:?} of those of undos and of imports");
    server.kill();
}
