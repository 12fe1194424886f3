//! A well-behaved migration that runs beside others: the five steps for a few clients of a bank.

use serde_json::json;

use crate::harness::server::{Migration, shared};

const CLIENTS: u64 = 25;

/// Moves clients through all five steps, and checks every figure.
pub async fn five_steps() {
    let migration = shared().register(Some("berka"), &["Counterparties"]).await;
    let client = |id| json!({"client_id": id, "birth_number": "706213", "district_id": 1}).to_string() + "\n";
    let results = migration.source("client", (1..=CLIENTS).map(client).collect::<String>()).await.lines();
    assert_eq!(results.len() as u64, CLIENTS);
    assert!(results.iter().all(|result| result["outcome"] == "mapped"), "{results:?}");
    let staged = migration.staged("counterparty-management", "counterparties").await;
    let surnames: Vec<String> = staged.iter().map(|record| record["surname"].as_str().unwrap().to_owned()).collect();
    assert_eq!(surnames, (1..=CLIENTS).map(|id| id.to_string()).collect::<Vec<_>>());
    assert!(
        staged.iter().all(|record| record["birthDate"] == "1970-12-13"),
        "the mapper converts a woman's birth number"
    );
    for kind in ["validate", "import", "counts"] {
        let job = migration.job(kind).await;
        assert_eq!(job["state"], "succeeded", "{job}");
        if kind == "counts" {
            let counted = Migration::rows(&job, "TotalEntity", "importedRows");
            assert_eq!(counted, [["counterparties".to_owned(), CLIENTS.to_string()]]);
        }
    }
    assert_eq!(migration.get("/quarantine").await["total"], 0);
}
