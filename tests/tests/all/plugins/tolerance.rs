//! The number of failures that the host tolerates, and the isolation of uploads from each other.

use serde_json::{Value, json};

use crate::harness::neighbour;
use crate::harness::server::shared;

fn clients(ids: std::ops::RangeInclusive<u64>) -> String {
    ids.map(|id| format!("{{\"client_id\":{id}}}\n")).collect()
}

/// Processed records get results. The last line says once that the plugin is unfit.
#[tokio::test(flavor = "multi_thread")]
async fn stops_a_plugin_that_fails_on_every_record() {
    let migration = shared().register(Some("panics-always"), &["Counterparties"]).await;
    let (answer, ()) = tokio::join!(migration.source("client", clients(1..=5_000)), neighbour::five_steps());
    let results = answer.lines();
    let (last, worked) = results.split_last().unwrap();
    let problem = &last["problem"];
    assert_eq!((&last["isSuccessful"], &problem["code"]), (&json!(false), &json!("PLUGIN_UNFIT_SHARE")), "{last}");
    assert_eq!(problem["blame"], "plugin");
    assert!(problem["detail"].as_str().unwrap().contains("Plugin panics-always 0.1.0"), "{problem}");
    assert!(!answer.body.contains("cannot map anything"));

    let lines: Vec<u64> = worked.iter().map(|result| result["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, (1..=worked.len() as u64).collect::<Vec<_>>());
    assert!(worked.iter().all(|result| result["code"] == "PLUGIN_PANICKED"), "{:?}", worked.first());
    let sources = migration.get("/sources").await;
    let counted = sources["items"][0]["outcomes"][0]["count"].as_u64().unwrap_or(0);
    assert_eq!(counted, worked.len() as u64, "the counts agree with the results: {sources}");

    let log = migration.get("/logs").await;
    assert!(log["items"].as_array().unwrap().iter().any(|entry| entry["code"] == "PLUGIN_UNFIT_SHARE"), "{log}");
    // The migration continues with a mapper that works.
    let path = migration.path("/mapper");
    let chosen = shared().request(reqwest::Method::PUT, &path).json(&json!({"mapper": "silent"}));
    assert_eq!(shared().send(chosen).await.status, 200);
    let results = migration.source("client", clients(1..=5_000)).await.lines();
    assert!(results.len() == 5_000 && results.iter().all(|result| result["outcome"] == "mapped"));
}

/// Every upload starts with a new store: a guest's memory does not reach the next upload.
#[tokio::test(flavor = "multi_thread")]
async fn discards_a_store_after_its_upload() {
    let migration = shared().register(Some("stateful"), &["Counterparties"]).await;
    for _ in 0..3 {
        let results = migration.source("client", clients(1..=3)).await.lines();
        assert!(results.len() == 3 && results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
        let staged = migration.staged("counterparty-management", "counterparties").await;
        let seen: Vec<&Value> = staged.iter().map(|record| &record["surname"]).collect();
        assert_eq!(seen, ["1", "2", "3"]);
    }
    let other = shared().register(Some("stateful"), &["Counterparties"]).await;
    other.source("client", clients(7..=7)).await;
    assert_eq!(other.staged("counterparty-management", "counterparties").await[0]["surname"], "1");
}

/// The server keeps a hundred log entries of a batch, and logs the number of dropped ones.
#[tokio::test(flavor = "multi_thread")]
async fn truncates_a_flood_of_log_entries() {
    let migration = shared().register(Some("floods-log"), &["Counterparties"]).await;
    let results = migration.source("client", "{\"client_id\":1,\"poison\":true}\n").await.lines();
    assert_eq!(results[0]["code"], "PLUGIN_TOO_MANY_CALLS", "{results:?}");
    let log = migration.get("/logs?code=GUEST_AGAIN&limit=100").await;
    assert_eq!(log["total"], 100, "{log}");
    let cut = migration.get("/logs?code=PLUGIN_LOG_CUT").await;
    // Ten thousand calls are allowed.
    assert_eq!(cut["items"][0]["figures"]["dropped"], 9_900, "{cut}");
}
