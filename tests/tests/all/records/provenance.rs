//! Provenance and replay of records: the same plugins give the same bytes, also after the records they looked up
//! changed.

use reqwest::Method;
use serde_json::{Value, json};
use sluice_model::Digest;

use crate::contained::{Shape, component};
use crate::harness::recorded_server::RecordedServer;
use crate::harness::server::{Migration, shared};

/// Returns the tables of a bank of twenty clients, each with an account and a loan, in varied formatting.
fn tables() -> [(&'static str, String); 3] {
    let numbers = || 1..=20_u64;
    let clients = numbers().map(|n| format!("  {{\"client_id\":{n},\"birth_number\":\"706213\",\"x\":\"é\"}}\r\n\n"));
    let loan = |n: u64| json!({"loan_id": n, "account_id": n, "date": 930705, "amount": 1000 + n, "duration": 12, "status": "A"});
    [
        ("client", format!("\u{feff}{}", clients.collect::<String>())),
        ("disp", numbers().map(|n| dispositions(n, n)).collect()),
        ("loan", numbers().map(|n| format!("{}\n", loan(n))).collect()),
    ]
}

fn dispositions(account: u64, owner: u64) -> String {
    let line = json!({"disp_id": account, "client_id": owner, "account_id": account, "type": "OWNER"});
    format!("{line}\n")
}

const DOMAINS: &[(&str, &str)] = &[("counterparty-management", "counterparties"), ("financing-solution", "agreements")];

async fn loaded() -> (Migration, [(&'static str, String); 3]) {
    let migration = shared().register(Some("berka"), &["Counterparties", "FinancingSolutions"]).await;
    let tables = tables();
    for (source, body) in &tables {
        let results = migration.source(source, body.clone()).await.lines();
        assert_eq!(results.len(), 20, "{source}");
        assert!(results.iter().all(|result| result["isSuccessful"] == true), "{source}: {results:?}");
    }
    (migration, tables)
}

/// Replays every staged record and returns the answers.
async fn replays(migration: &Migration) -> Vec<Value> {
    let mut replays = vec![];
    for (domain, entity_type) in DOMAINS {
        for record in migration.staged(domain, entity_type).await {
            let id = record["referenceId"].as_str().unwrap();
            replays.push(migration.get(&format!("/records/{entity_type}/{id}/replay")).await);
        }
    }
    replays
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_every_record_with_the_same_bytes() {
    let (migration, _) = loaded().await;
    let check = async |when: &str| {
        let replays = replays(&migration).await;
        assert_eq!(replays.len(), 40, "{when}");
        assert!(replays.iter().all(|replay| replay["same"] == true), "{when}: {replays:?}");
    };
    check("loaded").await;
    // The account gets another owner: mapping the loan now finds the new one, and a replay the old one.
    migration.source("disp", dispositions(7, 8)).await;
    check("looked up otherwise").await;
    // A record that comes again in another batch is unchanged.
    let again = format!("{}{}", dispositions(7, 8), dispositions(9, 9));
    migration.source("disp", again).await;
    let loans = tables()[2].1.clone();
    let changed = migration.source("loan", loans.lines().skip(5).map(|line| format!("{line}\n")).collect::<String>());
    assert!(changed.await.lines().iter().all(|result| result["isSuccessful"] == true));
    check("in another batch").await;
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    assert_eq!(migration.job("import").await["state"], "succeeded");
    check("imported").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn describes_the_provenance_of_a_record() {
    let (migration, tables) = loaded().await;
    for (number, ((domain, entity_type), (source, body))) in
        [(DOMAINS[0], &tables[0]), (DOMAINS[1], &tables[2])].into_iter().enumerate()
    {
        let records = migration.staged(domain, entity_type).await;
        for (record, line) in records.iter().zip(1_u64..) {
            let path = format!("/records/{entity_type}/{}/provenance", record["referenceId"].as_str().unwrap());
            let story = migration.get(&path).await;
            let from = &story["madeFrom"];
            // Clients are on every second line; `disp` was the second upload.
            let (line, upload) = if number == 0 { (line * 2 - 1, 1) } else { (line, 3) };
            assert_eq!(
                (&from["kind"], &from["source"], &from["line"]),
                (&"source".into(), &(*source).into(), &line.into())
            );
            assert_eq!((&from["upload"], &from["uploadSha256"]), (&upload.into(), &sha256(body.as_bytes())));
            let [start, end] = [0, 1].map(|end| from["bytes"][end].as_u64().unwrap() as usize);
            let bytes = &body.as_bytes()[start..end];
            assert_eq!(from["sha256"], sha256(bytes));
            let key = serde_json::from_slice::<Value>(bytes).unwrap();
            assert!(key["client_id"].is_u64() || key["loan_id"].is_u64(), "{key}");
            assert_eq!(
                (&story["mapper"]["name"], &story["issues"], &story["steps"]),
                (&"berka".into(), &json!([]), &json!([]))
            );
            assert!(!story.to_string().contains("706213"), "{story}");
        }
    }
    assert_eq!(migration.job("validate").await["state"], "succeeded");
    assert_eq!(migration.job("import").await["state"], "succeeded");
    let record = migration.staged("financing-solution", "agreements").await.remove(3);
    let id = record["referenceId"].as_str().unwrap();
    let path = format!("/records/agreements/{id}");
    let story = migration.get(&format!("{path}/provenance")).await;
    let step = &story["steps"][0];
    assert_eq!((&step["step"], &step["key"], &step["current"]), (&"store".into(), &id.into(), &true.into()), "{story}");
    assert_eq!(step["domainPlugin"], story["domainPlugin"]["digest"]);

    // A past issue stays in the provenance, also after the record is corrected.
    let mut wrong = record.clone();
    wrong["borrowers"][0]["counterpartyReferenceId"] = json!(uuid::Uuid::new_v4());
    for body in [&wrong, &record] {
        migration.stage("financing-solution", "agreements", body.to_string()).await;
        migration.job("validate").await;
    }
    let story = migration.get(&format!("{path}/provenance")).await;
    let issues = story["issues"].as_array().unwrap();
    let earlier = |issue: &Value| issue["phase"] == "validate" && issue["superseded"] == true;
    assert!(!issues.is_empty() && issues.iter().all(earlier), "{story}");
    // The current version was uploaded without a mapper.
    assert_eq!((&story["madeFrom"]["kind"], &story["madeFrom"]["line"]), (&"upload".into(), &1.into()));
    let replay = shared().get(&migration.path(&format!("{path}/replay"))).await;
    assert_eq!(replay.problem(), (409, "NOT_MAPPED".into()));
    let nobody = format!("/records/agreements/{}/provenance", uuid::Uuid::new_v4());
    assert_eq!(shared().get(&migration.path(&nobody)).await.problem(), (404, "NO_SUCH_RECORD".into()));
}

/// A mapper that uses random numbers and the clock gives the same records for the same batches.
#[tokio::test(flavor = "multi_thread")]
async fn replays_random_numbers() {
    let component = component("makes-by-lot", Shape::Mapper);
    let push = shared().request(Method::POST, "/plugins").header("content-type", "application/wasm");
    let pushed = shared().send(push.body(component)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    let migration = shared().register(pushed.json()["digest"].as_str(), &["Counterparties"]).await;
    for numbers in [1..=30, 31..=31, 32..=60_u64] {
        let clients: String = numbers.map(|n| format!("{{\"client_id\":{n},\"x\":\"?\"}}\n")).collect();
        let results = migration.source("client", clients).await.lines();
        assert!(results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
    }
    let records = migration.staged("counterparty-management", "counterparties").await;
    let drawn: std::collections::BTreeSet<String> = records.iter().map(Value::to_string).collect();
    assert_eq!(drawn.len(), 60, "batches have different random numbers: {drawn:?}");
    let replayed = migration.job("replay").await;
    assert_eq!((&replayed["state"], &replayed["result"]["different"]), (&"succeeded".into(), &0.into()), "{replayed}");
    assert_eq!(replayed["result"]["same"], records.len(), "{replayed}");
}

/// Another process gives the same answers on the same directory.
#[tokio::test(flavor = "multi_thread")]
async fn replays_the_same_in_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = RecordedServer::start(dir.path(), &[]);
    let migration = first.register(Some("berka"), &["Counterparties", "FinancingSolutions"]).await;
    for (source, body) in tables() {
        let results = first.put(&format!("{migration}/sources/{source}"), body).await;
        assert_eq!(results.len(), 20, "{source}");
    }
    let check = async |server: &RecordedServer| {
        let replayed = server.job(&migration, "replay").await;
        let figures = (&replayed["state"], &replayed["result"]["same"], &replayed["result"]["different"]);
        assert_eq!(figures, (&"succeeded".into(), &40.into(), &0.into()), "{replayed}");
    };
    check(&first).await;
    first.end();
    let second = RecordedServer::start(dir.path(), &[]);
    check(&second).await;
    second.end();
}

fn sha256(bytes: &[u8]) -> Value {
    Digest::of(bytes).to_string().into()
}
