//! Staged records: replacement, deletion and repeated uploads, and the effect of each on a validation.

use serde_json::{Value, json};

use crate::harness::lender::{Lender, put, remove, set_mapper};
use crate::harness::server::{Migration, shared};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

async fn migration(mapper: &str) -> Migration {
    shared().register(Some(mapper), &["Counterparties"]).await
}

async fn validate(migration: &Migration) {
    let job = migration.job("validate").await;
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(migration.get("").await["stagingStatus"], "Validated");
}

/// Checks if the last validation still permits an import.
async fn check_void(migration: &Migration, what: &str, void: bool) {
    let shown = migration.get("").await;
    assert_eq!(shown["stagingStatus"], if void { "Staged" } else { "Validated" }, "{what}");
    if void {
        assert_eq!(migration.start("import").await.problem(), (409, "NOT_VALIDATED".into()), "{what}");
    } else {
        assert_eq!(migration.job("import").await["state"], "succeeded", "{what}");
    }
}

async fn surnames(migration: &Migration) -> Vec<String> {
    let staged = migration.staged(PATH, TYPE).await;
    staged.iter().map(|record| record["surname"].as_str().unwrap().to_owned()).collect()
}

fn client(id: u64, birth_number: &str) -> String {
    json!({"client_id": id, "birth_number": birth_number}).to_string() + "\n"
}

/// A newer record replaces an older one with the same reference id: it is read, streamed and imported once.
#[tokio::test(flavor = "multi_thread")]
async fn replaces_a_record_with_the_same_reference_id() {
    let migration = migration("berka").await;
    let lender = Lender::of(&migration);
    let [first, mut second] = [3, 6].map(|number| lender.record(TYPE, number));
    put(&migration, PATH, TYPE, &[first.clone(), second.clone()]).await;
    validate(&migration).await;
    assert_eq!(migration.job("import").await["result"]["inserted"], 2);
    for name in ["Pekárna U Lva", "Pekárna U Dvou Lvů"] {
        second["name"] = json!(name);
        put(&migration, PATH, TYPE, std::slice::from_ref(&second)).await;
        assert_eq!(migration.staged(PATH, TYPE).await, [first.clone(), second.clone()]);
    }
    let path = migration.staging(PATH, &format!("{TYPE}/{}", second["referenceId"].as_str().unwrap()));
    assert_eq!(shared().get(&path).await.json(), second);
    check_void(&migration, "replaced", true).await;
    validate(&migration).await;
    let import = migration.job("import").await;
    let figures = ["inserted", "updated", "unchanged"].map(|name| import["result"][name].as_u64().unwrap());
    assert_eq!((figures[0], figures[1]), (0, 1), "{import}");
    assert_eq!(migration.job("counts").await["state"], "succeeded");
    // An identical record is no change.
    put(&migration, PATH, TYPE, &[first, second]).await;
    check_void(&migration, "the same again", false).await;
}

/// Deletes by ids in several formats, and checks each result.
#[tokio::test(flavor = "multi_thread")]
async fn deletes_by_a_stream_of_ids() {
    let migration = migration("berka").await;
    let lender = Lender::of(&migration);
    let records: Vec<Value> = (1..=6).map(|number| lender.record(TYPE, number * 3)).collect();
    put(&migration, PATH, TYPE, &records).await;
    validate(&migration).await;
    let id = |index: usize| records[index]["referenceId"].as_str().unwrap();
    let strange = lender.id("nothing", 1);
    let body = format!(
        "\"{}\"\n{{\"referenceId\":\"{}\"}}\n{}\n\"{strange}\"\n\"{}\"\nnonsense\n{{}}\n[]\n",
        id(0),
        id(1),
        id(2),
        id(0)
    );
    let results = migration.stage(PATH, "counterparties/delete", body).await.lines();
    let codes: Vec<(bool, &str)> = results
        .iter()
        .map(|result| (result["isSuccessful"] == true, result["errors"][0]["code"].as_str().unwrap_or("")))
        .collect();
    let unknown = (false, "UNKNOWN_REFERENCE");
    let nonsense = (false, "INVALID_FORMAT");
    assert_eq!(codes, [(true, ""), (true, ""), (true, ""), unknown, unknown, nonsense, nonsense, nonsense]);
    assert_eq!(results[3]["referenceId"], json!(strange));
    assert_eq!(migration.staged(PATH, TYPE).await, records[3..]);
    assert_eq!(shared().get(&migration.staging(PATH, &format!("{TYPE}/{}", id(0)))).await.status, 404);
    check_void(&migration, "deleted", true).await;
    validate(&migration).await;
    // Deleting a missing record succeeds.
    let results = migration.stage(PATH, "counterparties/delete", format!("\"{strange}\"\n")).await.lines();
    assert_eq!(results[0]["isSuccessful"], false);
    check_void(&migration, "nothing deleted", false).await;
    put(&migration, PATH, TYPE, &records[..1]).await;
    assert_eq!(migration.staged(PATH, TYPE).await.last(), Some(&records[0]), "a deleted record can be staged again");
}

/// Streams have the order of staging, in either framing, over many batches.
#[tokio::test(flavor = "multi_thread")]
async fn streams_records_in_order_of_staging() {
    let migration = migration("berka").await;
    let lender = Lender::of(&migration);
    let records: Vec<Value> = (0..2_500).map(|number| lender.record(TYPE, number * 3)).collect();
    put(&migration, PATH, TYPE, &records).await;
    assert_eq!(migration.staged(PATH, TYPE).await, records);
    let path = migration.staging(PATH, "counterparties/stream");
    let request = shared().request(reqwest::Method::GET, &path).header("accept", "application/json-seq");
    let sequence = shared().send(request).await.body;
    let parsed: Vec<Value> = sequence.split('\u{1e}').skip(1).map(|r| serde_json::from_str(r).unwrap()).collect();
    assert_eq!(parsed, records);
}

/// A repeated upload of a source: an identical record changes nothing, a different one replaces its results.
#[tokio::test(flavor = "multi_thread")]
async fn accepts_a_repeated_upload_of_a_source() {
    let migration = migration("berka").await;
    let table = [client(1, "706213"), client(2, "706213"), client(3, "700213")].concat();
    let first = migration.source("client", table.clone()).await.lines();
    validate(&migration).await;
    check_void(&migration, "imported", false).await;
    assert_eq!(
        migration.source("client", table.clone()).await.lines(),
        first,
        "the repeated upload has the same results"
    );
    check_void(&migration, "the same table", false).await;
    assert_eq!(surnames(&migration).await, ["1", "2", "3"]);

    let results = migration.source("client", client(2, "706214")).await.lines();
    assert_eq!(results[0]["records"], first[1]["records"], "the replacement has the same reference id");
    check_void(&migration, "a changed record", true).await;
    let staged = migration.staged(PATH, TYPE).await;
    let birth: Vec<&Value> = staged.iter().map(|record| &record["birthDate"]).collect();
    assert_eq!(birth, ["1970-12-13", "1970-02-13", "1970-12-14"]);
    validate(&migration).await;
    let import = migration.job("import").await;
    assert_eq!((&import["result"]["inserted"], &import["result"]["updated"]), (&json!(0), &json!(1)), "{import}");

    // An invalid record removes its earlier results. A corrected one restores them.
    let results = migration.source("client", client(2, "709999")).await.lines();
    assert_eq!(results[0]["outcome"], "rejected");
    assert_eq!(surnames(&migration).await, ["1", "3"]);
    check_void(&migration, "a record that is wrong now", true).await;
    migration.source("client", table).await;
    assert_eq!(surnames(&migration).await, ["1", "3", "2"]);
}

/// A record that the mapper now skips removes its earlier results.
#[tokio::test(flavor = "multi_thread")]
async fn removes_results_of_a_record_that_is_now_skipped() {
    let migration =
        shared().register(Some("berka"), &["Counterparties", "FinancingSolutions", "FinancingExecutions"]).await;
    let order =
        |symbol: &str| json!({"order_id": 1, "account_id": 1, "amount": 10.5, "k_symbol": symbol}).to_string() + "\n";
    migration.source("client", client(1, "706213")).await;
    migration.source("disp", "{\"disp_id\":1,\"client_id\":1,\"account_id\":1,\"type\":\"OWNER\"}\n").await;
    let loan = json!({"loan_id": 1, "account_id": 1, "date": 940105, "amount": 1200, "duration": 12, "status": "C"});
    assert_eq!(migration.source("loan", loan.to_string()).await.lines()[0]["outcome"], "mapped");
    for (symbol, outcome, left) in [("UVER", "mapped", 1), ("SIPO", "skipped", 0), ("UVER", "mapped", 1)] {
        let results = migration.source("order", order(symbol)).await.lines();
        assert_eq!(results[0]["outcome"], outcome, "{results:?}");
        assert_eq!(migration.staged("financing-execution", "debit-mandates").await.len(), left, "{symbol}");
        validate(&migration).await;
    }
}

/// Of two equal keys in one upload, the first counts. Two records may not have the same reference id.
#[tokio::test(flavor = "multi_thread")]
async fn reports_duplicates() {
    let migration = migration("berka").await;
    let table = [client(1, "706213"), client(2, "706213"), client(1, "700101"), client(2, "706213")].concat();
    let results = migration.source("client", table).await.lines();
    let codes: Vec<&str> = results.iter().map(|result| result["errors"][0]["code"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["", "", "DUPLICATE_KEY", "DUPLICATE_KEY"], "an equal record is a duplicate as well");
    let first: Vec<&Value> = results.iter().map(|result| &result["errors"][0]["firstLine"]).collect();
    assert_eq!(first, [&Value::Null, &Value::Null, &json!(1), &json!(2)]);
    assert_eq!(migration.staged(PATH, TYPE).await[0]["birthDate"], "1970-12-13");
    assert_eq!(surnames(&migration).await, ["1", "2"]);

    assert_eq!(set_mapper(&migration, "forger").await, 200);
    let results =
        migration.source("client", "{\"client_id\":3}\n{\"client_id\":4,\"poison\":\"reference-id\"}\n").await;
    let codes: Vec<Value> = results.lines().iter().map(|result| result["errors"][0]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, json!("DUPLICATE_REFERENCE_ID")]);
    assert_eq!(surnames(&migration).await, ["1", "2", "3"]);
}

/// The server counts a rejected record, so status and import agree about it.
#[tokio::test(flavor = "multi_thread")]
async fn status_and_refused_import_agree() {
    let table = "{\"client_id\":1}\n{\"client_id\":2,\"poison\":\"reference-id\"}\n";
    let migration = migration("forger").await;
    for _ in 0..2 {
        migration.source("client", table).await;
        let void = migration.get("").await["stagingStatus"] == "Staged";
        check_void(&migration, "a table with a duplicate", void).await;
        validate(&migration).await;
        check_void(&migration, "validated", false).await;
    }
}

/// A source maps a deleted record again when it is uploaded again.
#[tokio::test(flavor = "multi_thread")]
async fn restores_a_deleted_record_from_its_source() {
    let migration = migration("berka").await;
    let results = migration.source("client", client(1, "706213")).await.lines();
    let id = results[0]["records"][0]["referenceId"].as_str().unwrap().parse().unwrap();
    remove(&migration, PATH, TYPE, id).await;
    assert_eq!(surnames(&migration).await, Vec::<String>::new());
    migration.source("client", client(1, "706213")).await;
    assert_eq!(surnames(&migration).await, ["1"]);
}
