//! Mapping loaded records again, and downloading failed records to correct them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::server::{Answer, Migration, shared};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

fn client(id: u64, poison: Value) -> String {
    json!({"client_id": id, "poison": poison}).to_string()
}

async fn set_mapper(migration: &Migration, mapper: &str) {
    let body = json!({"mapper": mapper}).to_string();
    let answer = migration.put_as(&migration.path("/mapper"), "application/json", body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Counts source records by outcome and code.
async fn outcomes(migration: &Migration) -> BTreeMap<String, u64> {
    let sources = migration.get("/sources").await;
    let outcomes =
        sources["items"].as_array().unwrap().iter().flat_map(|source| source["outcomes"].as_array().unwrap());
    let text = |value: &Value| value.as_str().map(|text| format!(" {text}")).unwrap_or_default();
    let key = |outcome: &Value| format!("{}{}", outcome["outcome"].as_str().unwrap(), text(&outcome["code"]));
    outcomes.map(|outcome| (key(outcome), outcome["count"].as_u64().unwrap())).collect()
}

async fn surnames(migration: &Migration) -> Vec<String> {
    let staged = migration.staged(PATH, TYPE).await;
    let mut surnames: Vec<String> = staged.iter().map(|record| record["surname"].as_str().unwrap().into()).collect();
    surnames.sort();
    surnames
}

async fn records(migration: &Migration, query: &str) -> Answer {
    shared().get(&migration.path(&format!("/sources/client/records{query}"))).await
}

fn counted(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
    expected.iter().map(|(outcome, count)| (outcome.to_string(), *count)).collect()
}

/// Loads clients 1 to 5, of which 2 and 4 make the mapper fail, and a line that is no record, twice.
async fn broken() -> Migration {
    let migration = shared().register(Some("panics"), &["Counterparties"]).await;
    let lines: Vec<String> = (1..=5).map(|id| client(id, json!(id % 2 == 0))).collect();
    let body = lines.join("\n") + "\nno client\nno client\n";
    assert_eq!(migration.source("client", body).await.lines().len(), 7);
    migration
}

#[tokio::test(flavor = "multi_thread")]
async fn maps_again_with_a_corrected_mapper() {
    let migration = broken().await;
    let before = [("mapped", 3), ("quarantined PLUGIN_PANICKED", 2), ("rejected INVALID_JSON", 2)];
    assert_eq!(outcomes(&migration).await, counted(&before));
    let again = migration.job("remap").await;
    assert_eq!((&again["state"], &again["result"]["changed"]), (&json!("succeeded"), &json!(0)), "{again}");
    assert_eq!(outcomes(&migration).await, counted(&before));

    set_mapper(&migration, "mended").await;
    let mended = migration.job("remap").await;
    let result = &mended["result"]["sources"][0];
    let of = |name: &str| result[name].as_u64().unwrap();
    assert_eq!([of("records"), of("changed"), of("mapped"), of("quarantined")], [5, 2, 5, 0], "{mended}");
    assert_eq!(outcomes(&migration).await, counted(&[("mapped", 5), ("rejected INVALID_JSON", 2)]));
    assert_eq!(surnames(&migration).await, ["1", "2", "3", "4", "5"]);

    // Changed records need a validation. Unchanged ones stay valid.
    assert_eq!(migration.get("").await["stagingStatus"], "Staged");
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    assert_eq!(migration.job("remap").await["result"]["changed"], 0);
    assert_eq!(migration.get("").await["stagingStatus"], "Validated");
    for kind in ["import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{kind}");
    }
    // Each run is an upload of its own, and the evidence says that no bytes were sent.
    let evidence = shared().get(&migration.path("/evidence")).await;
    let bundle = &evidence.lines()[0];
    let uploads = bundle["uploads"].as_array().unwrap_or_else(|| panic!("{bundle}"));
    let reruns: Vec<bool> = uploads.iter().map(|upload| upload["rerun"] == true).collect();
    assert_eq!(reruns, [false, true, true, true]);
    assert_ne!(uploads[1]["mapper"], uploads[2]["mapper"]);
}

/// Only failed records are mapped again, with a mapper that would change every record.
#[tokio::test(flavor = "multi_thread")]
async fn maps_only_quarantined_records_again() {
    let migration = broken().await;
    set_mapper(&migration, "stateful").await;
    let job = migration.job_with("remap", &json!({"only": ["quarantined"], "sources": ["client"]})).await;
    assert_eq!(job["result"]["sources"][0]["changed"], 2, "{job}");
    assert_eq!(surnames(&migration).await, ["1", "1", "2", "3", "5"], "the mapper counts its records");
    let job = migration.job_with("remap", &json!({"only": ["rejected"]})).await;
    assert_eq!(job["result"]["changed"], 0, "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_invalid_runs() {
    let without = shared().register(None, &["Counterparties"]).await;
    assert_eq!(without.start("remap").await.problem(), (409, "NO_MAPPER".into()));
    let migration = broken().await;
    for (parameters, expected) in [
        (json!({"sources": ["nobody"]}), (422, "NO_SUCH_SOURCE".into())),
        (json!({"only": ["lost"]}), (400, "INVALID_BODY".into())),
        (json!({"all": true}), (400, "INVALID_BODY".into())),
    ] {
        assert_eq!(migration.start_with("remap", &parameters).await.problem(), expected, "{parameters}");
    }
    let cancelled = migration.start("remap").await.json();
    let job = cancelled.as_str().unwrap();
    let cancel = migration.path(&format!("/jobs/{job}/cancel"));
    let cancel = shared().send(shared().request(reqwest::Method::PUT, &cancel)).await;
    assert!([202, 409].contains(&cancel.status), "{}", cancel.body);
    migration.ended(Answer { status: 200, body: json!(job).to_string() }).await;
    assert_eq!(migration.job("remap").await["state"], "succeeded");
    assert_eq!(outcomes(&migration).await["mapped"], 3);
}

/// Failed records come as a file, as they were uploaded. Their corrections replace them.
#[tokio::test(flavor = "multi_thread")]
async fn replaces_failed_records_with_corrections() {
    let migration = broken().await;
    let poisoned = [client(2, json!(true)), client(4, json!(true))];
    let lines = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    for (query, expected) in [
        ("?outcome=quarantined", lines(&[&poisoned[0], &poisoned[1]])),
        ("?outcome=quarantined,rejected", lines(&[&poisoned[0], &poisoned[1], "no client", "no client"])),
        ("?outcome=rejected&code=INVALID_JSON", lines(&["no client", "no client"])),
        ("?code=PLUGIN_TRAPPED", String::new()),
        ("?outcome=skipped", String::new()),
    ] {
        let answer = records(&migration, query).await;
        assert_eq!((answer.status, answer.body), (200, expected), "{query}");
    }
    assert_eq!(records(&migration, "").await.body.lines().count(), 7);
    assert_eq!(records(&migration, "?outcome=lost").await.problem(), (400, "INVALID_PARAMETER".into()));
    let nobody = shared().get(&migration.path("/sources/nobody/records")).await;
    assert_eq!(nobody.problem(), (404, "NO_SUCH_SOURCE".into()));

    let file = records(&migration, "?outcome=quarantined").await.body;
    let results = migration.source("client", file.replace("true", "false")).await.lines();
    assert!(results.len() == 2 && results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
    assert_eq!(outcomes(&migration).await, counted(&[("mapped", 5), ("rejected INVALID_JSON", 2)]));
}

/// An identical rejected record is kept once, however often it is sent. Different ones are kept separately.
#[tokio::test(flavor = "multi_thread")]
async fn keeps_identical_rejected_records_once() {
    let migration = shared().register(Some("panics"), &["Counterparties"]).await;
    let long = "x".repeat(300 * 1024);
    let file = format!("nobody\n{{}}\n[]\n{long}\n{long}\n{}\n", client(1, json!(false)));
    for _ in 0..3 {
        let results = migration.source("client", file.clone()).await.lines();
        assert_eq!(results.iter().filter(|result| result["outcome"] == "rejected").count(), 5);
    }
    let expected = [
        ("mapped", 1),
        ("rejected INVALID_JSON", 1),
        ("rejected MISSING_KEY", 1),
        ("rejected NOT_AN_OBJECT", 1),
        // The server keeps only the positions of these.
        ("rejected RECORD_TOO_LARGE", 2),
    ];
    assert_eq!(outcomes(&migration).await, counted(&expected));
}
