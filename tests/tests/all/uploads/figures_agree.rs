//! Every figure about an upload agrees: the body's own number of records, result lines, figures of the upload, outcomes
//! of the source, issues, and signed evidence.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::server::{ALL, Migration, shared};

/// Outcomes of records, with their numbers.
type Outcomes = BTreeMap<String, u64>;

/// Checks that all figures about the first upload of a migration to `client` agree. `records` is the body's own number.
async fn check(migration: &Migration, records: u64, results: &[Value], what: &str) {
    assert_eq!(results.len() as u64, records, "{what}: result lines");
    let mut outcomes = Outcomes::new();
    let mut issues = 0;
    for result in results {
        *outcomes.entry(result["outcome"].as_str().unwrap().into()).or_default() += 1;
        for list in ["errors", "warnings"] {
            issues += result[list].as_array().map_or(0, Vec::len) as u64;
        }
    }
    let figures = migration.get("/uploads").await["items"][0]["figures"].clone();
    assert_eq!(of_upload(&figures), (records, outcomes.clone()), "{what}: {figures}");
    let sources = migration.get("/sources").await["items"].clone();
    let of_source = sources.as_array().unwrap().iter().find(|source| source["source"] == "client").unwrap();
    assert_eq!(of_sources(of_source["outcomes"].as_array().unwrap()), outcomes, "{what}: {sources}");
    let counts = migration.get("/issues/counts?phase=load").await["items"].clone();
    let counted: u64 = counts.as_array().unwrap().iter().map(|count| count["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, issues, "{what}: {counts}");
    assert_eq!(migration.issues("load").await.len() as u64, issues, "{what}");

    for kind in ["validate", "import", "counts"] {
        assert_eq!(migration.job(kind).await["state"], "succeeded", "{what}: {kind}");
    }
    let evidence = shared().get(&migration.path("/evidence")).await.body;
    let document = sluice_audit::verify_evidence(evidence.as_bytes(), None).unwrap().document.to_owned();
    let said: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(of_upload(&said["uploads"][0]), (records, outcomes.clone()), "{what}: {said}");
    assert_eq!(of_sources(said["sources"].as_array().unwrap()), outcomes, "{what}: {said}");
    let of_load = |issue: &&Value| issue["phase"] == "load";
    let signed = said["issues"].as_array().unwrap().iter().filter(of_load);
    assert_eq!(signed.map(|issue| issue["count"].as_u64().unwrap()).sum::<u64>(), issues, "{what}: {said}");
}

/// Returns the number of records and the outcomes in the figures of an upload.
fn of_upload(figures: &Value) -> (u64, Outcomes) {
    let skipped: u64 = figures["skipped"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    let of = |name: &str| figures[name].as_u64().unwrap();
    let all = [
        ("mapped", of("accepted")),
        ("skipped", skipped),
        ("rejected", of("rejected")),
        ("quarantined", of("quarantined")),
    ];
    let some = all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count));
    (of("records"), some.collect())
}

fn of_sources(rows: &[Value]) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for row in rows {
        *outcomes.entry(row["outcome"].as_str().unwrap().into()).or_default() += row["count"].as_u64().unwrap();
    }
    outcomes
}

/// Three equal bad lines count as three in every figure.
#[tokio::test(flavor = "multi_thread")]
async fn equal_bad_lines_count_each() {
    let migration = shared().register(Some("berka"), ALL).await;
    let body = include_str!("../../../cases/08b-same-bad.jsonl");
    let results = migration.source("client", body).await.lines();
    let bad = results.iter().filter(|result| result["errors"][0]["code"] == "INVALID_JSON").count();
    assert_eq!(bad, 3, "{results:?}");
    check(&migration, 5, &results, "08b").await;
}

/// A generator of numbers below a bound, the same for each seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Lines of all sorts, in which keys and bad lines are repeated. Most of them come from a short list, so that equal
/// lines are frequent.
fn line(numbers: &mut Numbers, table: bool) -> String {
    let id = numbers.below(12);
    let birth_number = ["706213", "706214", "709913", ""][numbers.below(4) as usize];
    let bad = ["no record", "{", "[]", "{}", "{\"client_id\":\"\"}", "{\"client_id\":1,\"client_id\":1}"];
    match (numbers.below(4), table) {
        (0, false) => bad[numbers.below(bad.len() as u64) as usize].into(),
        (0, true) => ["1;2;3", "7", ";706213", "a\"b;1"][numbers.below(4) as usize].into(),
        (_, false) => json!({"client_id": id, "birth_number": birth_number}).to_string(),
        (_, true) => format!("{id};{birth_number}"),
    }
}

/// All figures agree for uploads with records of all sorts, in JSON Lines and in tables.
#[tokio::test(flavor = "multi_thread")]
async fn figures_of_any_upload_agree() {
    for seed in 0..16 {
        let (mut numbers, table) = (Numbers(seed), seed % 2 == 1);
        let records = 1 + numbers.below(120);
        let lines: Vec<String> = (0..records).map(|_| line(&mut numbers, table)).collect();
        let migration = shared().register(Some("berka"), ALL).await;
        let results = if table {
            let body = format!("client_id;birth_number\n{}\n", lines.join("\n"));
            migration.put_as(&migration.path("/sources/client?separator=;"), "text/csv", body).await.lines()
        } else {
            migration.source("client", lines.join("\n")).await.lines()
        };
        check(&migration, records, &results, &format!("seed {seed}")).await;
    }
}
