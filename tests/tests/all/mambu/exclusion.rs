//! An import and an undo of one migration wait for each other, whichever began first. So do uploads.

use std::time::{Duration, Instant};

use mock_mambu::{FaultKind, FaultRule, MockServer};
use reqwest::Method;
use serde_json::json;

use super::{import, mambu, platform, register, server};
use crate::harness::server::Migration;

/// Number of persons. Each has one call.
const PERSONS: usize = 40;

fn lines(migration: &Migration) -> String {
    let line = |number: usize| {
        let id = uuid::Uuid::new_v5(&migration.id.parse().unwrap(), &number.to_be_bytes());
        json!({"referenceId": id, "type": "person", "initials": "J.", "surname": "Novák"}).to_string() + "\n"
    };
    (0..PERSONS).map(line).collect()
}

/// Waits until the platform has received a call.
async fn until_called(mambu: &MockServer, method: &str, path: &str) {
    let began = Instant::now();
    while mambu.stats().of(method, path) == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "no {method} {path}");
        tokio::task::yield_now().await;
    }
}

/// Starts a job, and checks that it is running and what it refuses.
async fn check_alone(migration: &Migration, mambu: &MockServer, kind: &str, call: (&str, &str), refused: &[&str]) {
    // Every call takes long enough that the job runs until it is cancelled.
    mambu.order(FaultRule::every(call.0, call.1, 1, FaultKind::SlowAnswer(700)));
    let job = migration.start(kind).await;
    until_called(mambu, call.0, call.1).await;
    for other in refused {
        // The status of the migration refuses as well.
        let (status, code) = migration.start(other).await.problem();
        assert!(status == 409 && ["JOB_RUNNING", "IMPORT_RUNNING"].contains(&&*code), "{other} during {kind}: {code}");
    }
    let upload = migration.stage("counterparty-management", "counterparties", lines(migration)).await;
    assert_eq!(upload.status, 409, "an upload during {kind}: {}", upload.body);
    let delete = migration.stage("counterparty-management", "counterparties/delete", "\"x\"\n").await;
    assert_eq!(delete.status, 409, "a deletion during {kind}: {}", delete.body);
    let path = migration.path(&format!("/jobs/{}/cancel", job.json().as_str().unwrap()));
    let cancelled = migration.server.send(migration.server.request(Method::PUT, &path)).await;
    assert_eq!(cancelled.status, 202, "the {kind} ran during all of this: {}", cancelled.body);
    mambu.clear_faults();
    assert_eq!(migration.ended(job).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_and_import_wait_for_each_other() {
    let mambu = mambu().await;
    let server = server(vec![("mambu".into(), platform(&mambu, |config| config.parallel_calls = 1))]);
    let migration = register(server, "mambu").await;
    assert_eq!(migration.stage("counterparty-management", "counterparties", lines(&migration)).await.status, 200);
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    check_alone(&migration, &mambu, "import", ("POST", "/clients"), &["undo", "import", "validate"]).await;
    assert_eq!(import(&migration).await["state"], "succeeded");
    assert_eq!(mambu.state()["clients"].as_array().unwrap().len(), PERSONS);

    check_alone(&migration, &mambu, "undo", ("DELETE", "/clients/{id}"), &["import", "undo", "counts", "remap"]).await;
    let undone = migration.job("undo").await;
    assert_eq!((&undone["state"], &undone["result"]["left"]), (&json!("succeeded"), &json!(0)), "{undone}");
    assert_eq!(mambu.state()["clients"], json!([]), "no import has created again what the undo removed");
    assert_eq!(migration.get("").await["importStatus"], "Incomplete");
    assert_eq!(migration.job("import").await["result"]["calls"], 0, "a decision has to be made first");
}
