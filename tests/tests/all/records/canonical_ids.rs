//! Ids in any letter case are one id: stored, compared, referenced and joined in canonical lower case.

use serde_json::{Value, json};

use crate::harness::lender::{Lender, TYPES, put};
use crate::harness::server::{ALL, Migration, shared};

const PATH: &str = "counterparty-management";
const TYPE: &str = "counterparties";

/// Returns a record with its ids in upper case.
fn upper(record: &Value) -> Value {
    match record {
        Value::String(text) if uuid::Uuid::try_parse(text).is_ok() => text.to_uppercase().into(),
        Value::Array(items) => items.iter().map(upper).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), upper(value))).collect(),
        other => other.clone(),
    }
}

/// Returns a column of a table of the target, of the rows of one migration.
fn column(migration: &Migration, table: &str, column: &str) -> Vec<String> {
    let target = rusqlite::Connection::open(migration.server.data_dir.join("platform.db")).unwrap();
    let rows = format!(
        "SELECT \"{column}\" FROM \"{table}\" JOIN sluice_origins ON number = sluice_origin
         WHERE migration = '{}' AND \"{column}\" IS NOT NULL ORDER BY sluice_position",
        migration.id
    );
    let mut query = target.prepare(&rows).unwrap();
    query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Files with one id in both letter cases: one record, and references that join it.
#[tokio::test(flavor = "multi_thread")]
async fn ids_in_any_case_are_one_id() {
    let migration = shared().register(None, &["Counterparties"]).await;
    let results = migration.stage(PATH, TYPE, include_str!("../../../cases/18b-uuid-case.jsonl")).await.lines();
    assert!(results.iter().all(|result| result["isSuccessful"] == true), "{results:?}");
    let corrected = [
        (include_str!("../../../cases/18c-lower.jsonl"), "first version"),
        (include_str!("../../../cases/18c-upper.jsonl"), "corrected version"),
    ];
    for (body, name) in corrected {
        let results = migration.stage(PATH, TYPE, body).await.lines();
        assert_eq!(results[0]["referenceId"], "dddddddd-0000-4000-8000-0000000000dd", "{results:?}");
        for id in ["dddddddd-0000-4000-8000-0000000000dd", "DDDDDDDD-0000-4000-8000-0000000000DD"] {
            let record = shared().get(&migration.staging(PATH, &format!("{TYPE}/{id}"))).await.json();
            assert_eq!(record["name"], name, "{id}");
        }
    }
    let staged = migration.staged(PATH, TYPE).await;
    let canonical = "aaaaaaaa-0000-4000-8000-0000000000aa";
    assert_eq!(staged.len(), 4);
    assert_eq!(staged[0]["referenceId"], canonical);
    assert!(staged[1..3].iter().all(|record| record["associatedParties"] == json!([canonical])), "{staged:?}");
    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{kind}");
    }
    assert_eq!(column(&migration, "counterparties", "reference_id").len(), 4);
    let parties = column(&migration, "counterparties", "associated_parties");
    assert_eq!(parties, [json!([canonical]).to_string(), json!([canonical]).to_string()]);

    // Another migration cannot store the record under its id in another letter case.
    let other = shared().register(None, &["Counterparties"]).await;
    other.stage(PATH, TYPE, include_str!("../../../cases/18c-upper.jsonl")).await;
    other.job("validate").await;
    other.job("import").await;
    let issues = other.issues("import").await;
    assert_eq!(issues.len(), 1, "{issues:?}");
    assert_eq!(issues[0]["code"], "REFERENCE_ID_IN_USE");
}

/// Records of every entity type of every domain are staged and stored with canonical ids and references.
#[tokio::test(flavor = "multi_thread")]
async fn every_domain_stores_canonical_ids() {
    let migration = shared().register(None, ALL).await;
    let lender = Lender::of(&migration);
    for (domain, entity_type) in TYPES {
        let records: Vec<Value> = (1..=3).map(|number| lender.record(entity_type, number)).collect();
        let sent: Vec<Value> = records.iter().map(upper).collect();
        assert_ne!(records, sent);
        let body: String = sent.iter().map(|record| record.to_string() + "\n").collect();
        let results = migration.stage(domain, entity_type, body).await.lines();
        let ids: Vec<&Value> = results.iter().map(|result| &result["referenceId"]).collect();
        assert_eq!(ids, records.iter().map(|record| &record["referenceId"]).collect::<Vec<_>>());
        assert_eq!(migration.staged(domain, entity_type).await, records, "{entity_type}");
        // The same records in lower case change nothing.
        put(&migration, domain, entity_type, &records).await;
        assert_eq!(migration.staged(domain, entity_type).await, records, "{entity_type}");
    }
    for kind in ["validate", "import", "counts"] {
        let job = migration.job(kind).await;
        assert_eq!(job["state"], "succeeded", "{kind}: {job}");
    }
    for (_, entity_type) in TYPES {
        let ids = column(&migration, &entity_type.replace('-', "_"), "reference_id");
        assert!(ids.len() >= 3 && ids.iter().all(|id| *id == id.to_lowercase()), "{entity_type}: {ids:?}");
    }
    let target = rusqlite::Connection::open(migration.server.data_dir.join("platform.db")).unwrap();
    let joined = "SELECT count(*) FROM disbursements d JOIN agreements a ON d.agreement_reference_id = a.reference_id
         JOIN sluice_origins ON number = d.sluice_origin WHERE migration = ?";
    let joined: u64 = target.query_row(joined, [&migration.id], |row| row.get(0)).unwrap();
    assert_eq!(joined, 3);
}

/// Keys of sources are compared as text, exactly as they are written. Each row has a key of the first upload, a key of
/// the second upload, and true if they are the same key.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_compared_as_they_are_written() {
    let cases = [
        ("7", "\"7\"", true),
        ("\"7\"", "\"\\u0037\"", true),
        ("\"007\"", "7", false),
        ("7", "7.0", false),
        ("70", "7e1", false),
        ("\"A\"", "\"a\"", false),
        ("\"7\"", "\" 7\"", false),
        ("\"Ji\u{159}\u{ed}\"", "\"Jir\u{30c}i\u{301}\"", false),
        ("\"\u{e9}\"", "\"\\u00e9\"", true),
    ];
    for (first, second, same) in cases {
        let migration = shared().register(Some("berka"), &["Counterparties"]).await;
        for key in [first, second] {
            migration.source("client", format!("{{\"client_id\":{key},\"birth_number\":\"x\"}}\n")).await;
        }
        let sources = migration.get("/sources").await;
        let outcomes = sources["items"][0]["outcomes"].as_array().unwrap();
        let records: u64 = outcomes.iter().map(|outcome| outcome["count"].as_u64().unwrap()).sum();
        assert_eq!(records, if same { 1 } else { 2 }, "{first} and {second}: {sources}");
    }
}

/// A mapper's lookups find keys that are written alike in both tables, zeros in front included.
#[tokio::test(flavor = "multi_thread")]
async fn lookups_find_keys_that_are_written_alike() {
    let tables = [
        ("client", include_str!("../../../cases/25-zero-padded/client.csv")),
        ("disp", include_str!("../../../cases/25-zero-padded/disp.csv")),
        ("loan", include_str!("../../../cases/25-zero-padded/loan.csv")),
        ("trans", include_str!("../../../cases/25-zero-padded/trans.csv")),
    ];
    let components = ["Counterparties", "FinancingSolutions", "FinancingExecutions"];
    let migration = shared().register(Some("berka"), &components).await;
    for (source, table) in tables {
        let results = migration.put_as(&migration.path(&format!("/sources/{source}")), "text/csv", table).await.lines();
        let outcome = if source == "disp" { "skipped" } else { "mapped" };
        assert!(results.iter().all(|result| result["outcome"] == outcome), "{source}: {results:?}");
    }
    assert_eq!(migration.job("validate").await["state"], "succeeded");
}
