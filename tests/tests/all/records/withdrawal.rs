//! Withdrawal of uploads: records, issues and figures go, and the trail keeps the upload.

use reqwest::Method;
use serde_json::{Value, json};

use crate::audit::trail::export;
use crate::harness::server::{ALL, Answer, Migration, shared};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

async fn withdraw(migration: &Migration, number: u32) -> Answer {
    shared().send(shared().request(Method::DELETE, &migration.path(&format!("/uploads/{number}")))).await
}

fn client(id: u64, birth_number: &str) -> String {
    json!({"client_id": id, "birth_number": birth_number}).to_string() + "\n"
}

async fn surnames(migration: &Migration) -> Vec<String> {
    let staged = migration.staged(PATH, TYPE).await;
    staged.iter().map(|record| record["surname"].as_str().unwrap().to_owned()).collect()
}

/// Returns the number of live source records, and of issues that count.
async fn counts(migration: &Migration) -> (u64, u64) {
    let sum = |items: &Value| items.as_array().unwrap().iter().map(|item| item["count"].as_u64().unwrap()).sum::<u64>();
    let sources = migration.get("/sources").await;
    let records = sources["items"].as_array().unwrap().iter().map(|source| sum(&source["outcomes"])).sum();
    (records, sum(&migration.get("/issues/counts").await["items"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn withdraws_a_wrong_upload() {
    let migration = shared().register(Some("berka"), ALL).await;
    migration.source("client", [client(1, "706213"), client(2, "706213")].concat()).await;
    let wrong = [client(2, "706214"), client(3, "706213"), client(4, "709913"), "no record\n".into()].concat();
    migration.source("client", [wrong.clone(), "no record\n".into()].concat()).await;
    assert_eq!(counts(&migration).await, (6, 3));
    assert_eq!(surnames(&migration).await, ["1", "2", "3"]);

    let answer = withdraw(&migration, 2).await;
    assert_eq!(answer.json(), json!({"upload": 2, "records": 5, "madeRecords": 2}));
    assert_eq!(surnames(&migration).await, ["1"], "the replaced record does not come back");
    assert_eq!(counts(&migration).await, (1, 0));
    assert_eq!(migration.issues("load").await.len(), 0);
    let uploads = migration.get("/uploads").await["items"].clone();
    assert_eq!(uploads[0]["figures"]["accepted"], 2);
    assert!(uploads[1]["withdrawnAt"].is_string() && uploads[1].get("figures").is_none(), "{uploads}");

    // Again it removes nothing more.
    let answer = withdraw(&migration, 2).await;
    assert_eq!(answer.json(), json!({"upload": 2, "records": 0, "madeRecords": 0}));
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{kind}");
    }
    let evidence = shared().get(&migration.path("/evidence")).await;
    let bundle = sluice_audit::verify_evidence(evidence.body.as_bytes(), None).unwrap();
    let said: Value = serde_json::from_str(bundle.document).unwrap();
    let numbers: Vec<&Value> = said["uploads"].as_array().unwrap().iter().map(|upload| &upload["number"]).collect();
    assert_eq!(numbers, [1]);
    assert_eq!(said["issues"], json!([]));
    let trail = String::from_utf8(export(shared(), &migration.path("/audit")).await).unwrap();
    let entries: Vec<Value> = trail.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |action: &str| entries.iter().find(|entry| entry["action"] == action && entry["upload"] == 2);
    assert_eq!(of("UPLOAD_ENDED").unwrap()["figures"]["records"], 5);
    assert_eq!(of("UPLOAD_WITHDRAWN").unwrap()["figures"], json!({"records": 5, "madeRecords": 2}));
}

/// An upload whose records a later one contains is withdrawn after that one. A record that was mapped again belongs to
/// the upload that brought it.
#[tokio::test(flavor = "multi_thread")]
async fn withdraws_in_order() {
    let migration = shared().register(Some("panics"), &["Counterparties"]).await;
    let client = |id: u64, poison: bool| json!({"client_id": id, "poison": poison}).to_string() + "\n";
    let both = client(1, false) + &client(2, true);
    migration.source("client", both.clone()).await;
    migration.source("client", both + &client(3, false)).await;
    assert_eq!(withdraw(&migration, 1).await.problem(), (409, "UPLOAD_CONFIRMED".into()));
    assert_eq!(withdraw(&migration, 9).await.problem(), (404, "NO_SUCH_UPLOAD".into()));
    assert_eq!(withdraw(&migration, 2).await.json()["records"], 1);
    assert_eq!(surnames(&migration).await, ["1"]);
    assert_eq!(counts(&migration).await, (2, 1));

    assert_eq!(crate::harness::lender::set_mapper(&migration, "mended").await, 200);
    let remapped = migration.job("remap").await;
    assert_eq!(remapped["result"]["sources"][0]["changed"], 1, "{remapped}");
    assert_eq!(counts(&migration).await, (2, 0), "the issue of a record that is mapped now no longer counts");
    assert_eq!(surnames(&migration).await, ["1", "2"]);
    assert_eq!(withdraw(&migration, 3).await.problem(), (409, "UPLOAD_IS_REMAP".into()));
    assert_eq!(withdraw(&migration, 1).await.json()["records"], 2);
    assert_eq!(surnames(&migration).await, Vec::<String>::new());
    assert_eq!(counts(&migration).await, (0, 0));
}

/// Records that came without a mapper are withdrawn with their refused ones.
#[tokio::test(flavor = "multi_thread")]
async fn withdraws_records_without_a_mapper() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let body = include_str!("../../../cases/19-staged-twice.jsonl");
    migration.stage(PATH, TYPE, body).await;
    assert_eq!(counts(&migration).await, (0, 5));
    assert_eq!(withdraw(&migration, 1).await.json()["records"], 4);
    assert_eq!(migration.staged(PATH, TYPE).await.len(), 0);
    assert_eq!(counts(&migration).await, (0, 0));
    let results = migration.stage(PATH, TYPE, body).await.lines();
    assert_eq!(results[0]["isSuccessful"], true, "the upload can be sent again: {results:?}");
}

/// Without a phase the issues of all phases are counted, each with its phase.
#[tokio::test(flavor = "multi_thread")]
async fn counts_issues_of_all_phases() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let record = json!({"referenceId": "00000000-0000-4000-8000-00000000c001", "type": "organisation", "name": "n",
        "associatedParties": ["00000000-0000-4000-8000-00000000c002"]});
    migration.stage(PATH, TYPE, format!("{record}\nno record\n")).await;
    migration.job("validate").await;
    let all = migration.get("/issues/counts").await;
    let found: Vec<(&Value, &Value, &Value)> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|count| (&count["phase"], &count["code"], &count["count"]))
        .collect();
    let expected = [(json!("load"), json!("INVALID_JSON")), (json!("validate"), json!("UNKNOWN_REFERENCE"))];
    let one = json!(1);
    assert_eq!(found, expected.iter().map(|(phase, code)| (phase, code, &one)).collect::<Vec<_>>());
    for (phase, code) in &expected {
        let of = migration.get(&format!("/issues/counts?phase={}", phase.as_str().unwrap())).await;
        assert_eq!((of["items"].as_array().unwrap().len(), &of["items"][0]["code"]), (1, code));
    }
}
