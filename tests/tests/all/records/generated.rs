//! Generated payment administrations: they give way to mapped or uploaded ones, and come back when those go.

use reqwest::Method;
use serde_json::{Value, json};

use super::undo::server;
use crate::harness::lender::{Lender, put, remove};
use crate::harness::server::{ALL, Migration};

const DOMAIN: &str = "administrate";
const TYPE: &str = "payment-administrations";

async fn succeeded(migration: &Migration, kind: &str, parameters: &Value) -> Value {
    let job = migration.job_with(kind, parameters).await;
    assert_eq!(job["state"], "succeeded", "{kind}: {job:#} {:#?}", migration.issues(kind).await);
    job["result"].clone()
}

async fn import(migration: &Migration, parameters: &Value) -> Value {
    succeeded(migration, "validate", &json!({})).await;
    let result = succeeded(migration, "import", parameters).await;
    succeeded(migration, "counts", &json!({})).await;
    result
}

/// Returns the facilities of the staged administrations, each with its outstanding principal.
async fn administrations(migration: &Migration) -> Vec<(Value, Value)> {
    let staged = migration.staged(DOMAIN, TYPE).await;
    let mut found: Vec<(Value, Value)> = staged
        .iter()
        .map(|record| (record["facilityReferenceId"].clone(), record["outstandingPrincipal"]["amount"].clone()))
        .collect();
    found.sort_by_key(|(facility, _)| facility.to_string());
    found
}

async fn sum(migration: &Migration) -> String {
    let counts = migration.job("counts").await;
    let rows = Migration::rows(&counts, "TotalAmounts", "importedRows");
    rows.into_iter().find(|row| row[0] == TYPE).map(|row| row[2].clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_administrations_give_way_and_come_back() {
    let migration = server().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    remove(&migration, DOMAIN, TYPE, lender.id(TYPE, 1)).await;
    succeeded(&migration, "validate", &json!({})).await;
    // The command says beforehand how many records the import will generate.
    let preview = succeeded(&migration, "import", &json!({"preview": true})).await;
    assert_eq!(preview["toGenerate"], json!({TYPE: 3}), "{preview}");
    import(&migration, &json!({})).await;
    let generated = administrations(&migration).await;
    assert_eq!(generated.len(), 3);
    let sum_before = sum(&migration).await;

    // An administration of the lender's own takes the place of each of two generated ones.
    let own = [1, 2].map(|number| lender.record(TYPE, number));
    put(&migration, DOMAIN, TYPE, &own).await;
    succeeded(&migration, "validate", &json!({})).await;
    let preview = succeeded(&migration, "import", &json!({"preview": true})).await;
    assert_eq!(preview["toGenerate"], json!({TYPE: 1}), "{preview}");
    let result = import(&migration, &json!({})).await;
    assert_eq!(result["removed"], json!({TYPE: 2}), "{result}");
    let mixed = administrations(&migration).await;
    assert_eq!(mixed.len(), 3, "one for each facility: {mixed:?}");
    assert_eq!(mixed.iter().filter(|(_, amount)| *amount == json!(99000.0)).count(), 2);
    // The stated principals differ from what would be generated.
    let issues = migration.issues("import").await;
    let differs = issues.iter().filter(|issue| issue["rule"] == "OUTSTANDING_PRINCIPAL_DIFFERS");
    assert!(differs.clone().count() == 2 && differs.clone().all(|issue| issue["severity"] == "warning"), "{issues:?}");

    // It comes back when the other goes.
    for number in [1, 2] {
        remove(&migration, DOMAIN, TYPE, lender.id(TYPE, number)).await;
    }
    let result = import(&migration, &json!({"remove": true})).await;
    assert_eq!(result["removed"], json!({TYPE: 2}), "{result}");
    assert_eq!(administrations(&migration).await, generated);
    assert_eq!(sum(&migration).await, sum_before);

    // A generated administration goes with its agreement.
    for (domain, entity_type) in [
        ("financing-execution", "disbursements"),
        ("financing-execution", "repayments"),
        ("financing-execution", "additional-repayments"),
        ("financing-execution", "debit-mandates"),
        ("collateral-management", "collaterals"),
        ("financing-solution", "agreements"),
    ] {
        remove(&migration, domain, entity_type, lender.id(entity_type, 3)).await;
    }
    succeeded(&migration, "validate", &json!({})).await;
    let preview = succeeded(&migration, "import", &json!({"preview": true})).await;
    assert_eq!((&preview["toRemove"]["agreements"], &preview["referring"]), (&json!(1), &Value::Null), "{preview}");
    let result = succeeded(&migration, "import", &json!({"remove": true})).await;
    assert_eq!(result["removed"]["agreements"], 1, "{result}");
    assert_eq!(administrations(&migration).await.len(), 2);
    succeeded(&migration, "counts", &json!({})).await;
}

/// An edited copy of a generated administration, uploaded under its reference id, stays as it was uploaded.
#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_record_under_a_generated_id_stays() {
    let migration = server().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    import(&migration, &json!({})).await;
    let staged = migration.staged(DOMAIN, TYPE).await;
    let mut edited = staged.into_iter().find(|record| record["referenceId"] != json!(lender.id(TYPE, 1))).unwrap();
    edited["outstandingPrincipal"]["amount"] = json!(7.0);
    edited["installments"] = Value::Null;
    put(&migration, DOMAIN, TYPE, std::slice::from_ref(&edited)).await;
    for _ in 0..2 {
        import(&migration, &json!({})).await;
        let path = migration.staging(DOMAIN, &format!("{TYPE}/{}", edited["referenceId"].as_str().unwrap()));
        let kept = migration.server.send(migration.server.request(Method::GET, &path)).await.json();
        assert_eq!(kept["outstandingPrincipal"]["amount"], json!(7.0));
    }
}

/// Two administrations for one facility are an error of the validation.
#[tokio::test(flavor = "multi_thread")]
async fn a_facility_has_at_most_one_administration() {
    let migration = server().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    let mut second = lender.record(TYPE, 1);
    second["referenceId"] = json!(lender.id("second", 1));
    put(&migration, DOMAIN, TYPE, &[second]).await;
    let validated = migration.job("validate").await;
    assert_eq!(
        (&validated["state"], &validated["result"]["numberOfErrors"]),
        (&json!("failed"), &json!(1)),
        "{validated}"
    );
    assert_eq!(migration.issues("validate").await[0]["rule"], "ADMINISTRATION_TWICE");
}

/// An administration that is staged beside a generated one of the same facility breaks the rule until the next import. A
/// validation leaves generated records out, so the counts say it.
#[tokio::test(flavor = "multi_thread")]
async fn counts_name_rules_that_generated_records_break() {
    let migration = server().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    remove(&migration, DOMAIN, TYPE, lender.id(TYPE, 1)).await;
    import(&migration, &json!({})).await;
    // Facilities that have an administration of the lender's own as well as a generated one.
    for (doubled, remedy) in [(vec![1], false), (vec![1, 2], true)] {
        let own: Vec<Value> = doubled.iter().map(|number| lender.record(TYPE, *number)).collect();
        put(&migration, DOMAIN, TYPE, &own).await;
        let validated = migration.job("validate").await;
        assert_eq!(validated["state"], "succeeded", "{validated}");
        let counts = migration.job("counts").await;
        assert_eq!(counts["state"], "failed", "{counts}");
        let broken = vec![vec![TYPE.to_owned(), "ADMINISTRATION_TWICE".into(), doubled.len().to_string()]];
        assert_eq!(Migration::rows(&counts, "RuleViolations", "importedRows"), broken);
        assert_eq!(Migration::rows(&counts, "RuleViolations", "stagedRows"), Vec::<Vec<String>>::new());
        let issues = migration.issues("counts").await;
        let broken: Vec<&Value> = issues.iter().filter(|issue| issue["rule"] == "ADMINISTRATION_TWICE").collect();
        assert_eq!(broken.len(), doubled.len(), "{issues:?}");
        assert!(
            broken.iter().all(|issue| {
                issue["code"] == "RULE_VIOLATION" && issue["severity"] == "error" && issue["entityType"] == TYPE
            }),
            "{issues:?}"
        );
        if remedy {
            import(&migration, &json!({})).await;
            let counts = migration.job("counts").await;
            let named = counts["result"].as_array().unwrap().iter().any(|count| count["type"] == "RuleViolations");
            assert!(!named, "the generated ones gave way: {counts}");
            assert_eq!(migration.issues("counts").await, Vec::<Value>::new());
        }
    }
}
