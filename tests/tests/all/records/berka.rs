//! The Berka bank's records through all five steps, with the expected figures.

use serde_json::{Value, json};

use crate::harness::server::{ALL, Migration, shared};
use crate::harness::tools::berka_tables;

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_the_berka_bank_through_five_steps() {
    let Some(dir) = berka_tables("records::berka::moves_the_berka_bank_through_five_steps") else { return };
    let migration = shared().register(Some("berka"), ALL).await;

    // Load.
    let mappers = shared().get("/migration-assistance/mappers").await.json();
    let berka = mappers["items"].as_array().unwrap().iter().find(|mapper| mapper["name"] == "berka").unwrap();
    let mut mapped = 0;
    for source in berka["sources"].as_array().unwrap() {
        let source = source["name"].as_str().unwrap();
        let Ok(body) = std::fs::read(dir.join(format!("{source}.jsonl"))) else { continue };
        let lines = body.iter().filter(|byte| **byte == b'\n').count();
        let results = migration.source(source, body).await.lines();
        assert_eq!(results.len(), lines, "every record of {source} has a result: {:?}", results.last());
        assert!(results.iter().all(|result| result["isSuccessful"] == true), "{source}");
        mapped += results.iter().filter(|result| result["outcome"] == "mapped").count();
    }
    assert_eq!(mapped, 5_369 + 682 + 717 + 123);

    // Validate: exactly the 35 mandates on accounts without a loan.
    let early = migration.start("import").await;
    assert_eq!(early.problem(), (409, "NOT_VALIDATED".into()));
    let validation = migration.job("validate").await;
    assert_eq!((&validation["state"], &validation["result"]["numberOfErrors"]), (&json!("failed"), &json!(35)));
    assert_eq!(migration.start("import").await.problem(), (409, "VALIDATION_FOUND_ERRORS".into()));
    let issues = migration.issues("validate").await;
    let errors: Vec<&Value> = issues.iter().filter(|issue| issue["severity"] == "error").collect();
    let matches = |issue: &Value, code: &str| {
        (&issue["entityType"], &issue["code"], &issue["field"])
            == (&json!("debit-mandates"), &json!(code), &json!("agreementReferenceId"))
    };
    assert!(errors.iter().all(|issue| matches(issue, "UNKNOWN_REFERENCE")), "{errors:?}");
    let mut dangling: Vec<&str> = errors.iter().map(|issue| issue["referenceId"].as_str().unwrap()).collect();
    dangling.sort();
    dangling.dedup();
    assert_eq!(dangling.len(), 35);
    let path = migration.staging("financing-execution", &format!("debit-mandates/{}", dangling[0]));
    assert_eq!(shared().get(&path).await.json()["referenceId"], dangling[0]);

    // Delete them and continue.
    let ids: String = dangling.iter().map(|id| format!("\"{id}\"\n")).collect();
    let deleted = migration.stage("financing-execution", "debit-mandates/delete", ids).await.lines();
    assert!(deleted.len() == 35 && deleted.iter().all(|result| result["isSuccessful"] == true));
    assert_eq!(shared().get(&path).await.status, 404);
    assert_eq!(migration.start("import").await.problem(), (409, "NOT_VALIDATED".into()));
    let validation = migration.job("validate").await;
    assert_eq!(validation["state"], "succeeded", "{validation}");

    // Import twice.
    let first = migration.job("import").await;
    assert_eq!(first["state"], "succeeded", "{first}");
    assert_eq!(first["result"]["byEntityType"]["payment-administrations"]["inserted"], 682);
    assert_eq!(first["result"]["inserted"], 5_369 + 682 + 682 + 123 + 682);
    let again = migration.job("import").await;
    assert_eq!(
        (&again["state"], &again["result"]["inserted"], &again["result"]["updated"]),
        (&json!("succeeded"), &json!(0), &json!(0))
    );

    // Count.
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "succeeded", "{counts}");
    for side in ["stagedRows", "importedRows"] {
        let total = Migration::rows(&counts, "TotalEntity", side);
        for (entity_type, count) in [
            ("counterparties", "5369"),
            ("agreements", "682"),
            ("debit-mandates", "682"),
            ("repayments", "123"),
            ("payment-administrations", "682"),
        ] {
            assert!(total.contains(&row(&[entity_type, count])), "{side}: {total:?}");
        }
        let amounts = Migration::rows(&counts, "TotalAmounts", side);
        assert!(amounts.contains(&row(&["agreements", "CZK", "103261740"])), "{amounts:?}");
        assert!(amounts.contains(&row(&["repayments", "CZK", "483565.8"])), "{amounts:?}");
        assert_eq!(Migration::rows(&counts, "TotalCounterparties", side), [row(&["person", "5369"])]);
    }
    check_database(&migration, &dir);
    check_migration(&migration).await;
}

/// Checks the target's database with plain SQL, without Sluice's own figures.
fn check_database(migration: &Migration, dir: &std::path::Path) {
    let database = rusqlite::Connection::open(shared().data_dir.join(sluice_data_dir::TARGET_FILE)).unwrap();
    let count = |query: &str| -> i64 {
        let of = "(SELECT number FROM sluice_origins WHERE migration = ?1)";
        database.query_row(&query.replace("OURS", of), [&migration.id], |row| row.get(0)).unwrap()
    };
    let dates = "SELECT count(*) FROM counterparties WHERE sluice_origin IN OURS AND birth_date IS NOT NULL";
    assert_eq!(count(dates), 5_369);
    // Clients with a month of birth above 50 are women; their birth dates are converted.
    let clients = std::fs::read_to_string(dir.join("client.jsonl")).unwrap();
    let woman = |line: &&str| {
        let number: Value = serde_json::from_str(line).unwrap();
        number["birth_number"].as_str().unwrap()[2..4].parse::<u32>().unwrap() > 50
    };
    let women: Vec<usize> = clients.lines().enumerate().filter(|(_, line)| woman(line)).map(|(at, _)| at).collect();
    assert_eq!(women.len(), 2_645);
    let joined = "SELECT count(*) FROM debit_mandates m JOIN agreements a ON a.reference_id = m.agreement_reference_id
                  JOIN counterparties c ON c.reference_id = m.counterparty_reference_id WHERE m.sluice_origin IN OURS";
    assert_eq!(count(joined), 682);
    let traced = "SELECT count(*) FROM agreements JOIN sluice_origins o ON o.number = sluice_origin
                  WHERE o.migration = ?1 AND o.source = 'loan' AND length(o.mapper) = 64 AND length(o.domain_plugin) = 64";
    assert_eq!(count(traced), 682);
    let owed = "SELECT count(*) FROM payment_administrations p JOIN agreements a
                ON a.reference_id = p.agreement_reference_id WHERE p.sluice_origin IN OURS";
    assert_eq!(count(owed), 682);
}

async fn check_migration(migration: &Migration) {
    let shown = migration.get("").await;
    assert_eq!(shown["stagingStatus"], "Validated");
    assert_eq!(shown["importStatus"], "Imported");
    assert_eq!(shown["numberOfStagedEntities"], shown["numberOfImportedEntities"]);
    assert_eq!(shown["components"][0]["numberOfImportedEntities"], 5_369);
    let sources = migration.get("/sources").await;
    let total: u64 = sources["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|source| source["outcomes"].as_array().unwrap())
        .map(|outcome| outcome["count"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 5_369 + 5_369 + 4_500 + 77 + 682 + 6_471 + 892 + 49_102, "every source record has an outcome");
}
