//! Rules of the domains about several records, tested through the API: a valid lender, and every violation.

use serde_json::{Value, json};

use crate::harness::lender::{Lender, SUMS, TYPES, put, remove};
use crate::harness::server::{ALL, Migration, shared};

#[tokio::test(flavor = "multi_thread")]
async fn accepts_a_valid_lender() {
    let migration = shared().register(None, ALL).await;
    Lender::of(&migration).stage(&migration).await;
    let validation = migration.job("validate").await;
    assert_eq!(validation["state"], "succeeded", "{:?}", migration.issues("validate").await);
    assert_eq!(
        (&validation["result"]["numberOfRecords"], validation["result"]["numberOfWarnings"].as_u64()),
        (&json!(25), Some(0))
    );
    let import = migration.job("import").await;
    assert_eq!((&import["state"], &import["result"]["inserted"]), (&json!("succeeded"), &json!(27)), "{import}");
    let counts = migration.job("counts").await;
    assert_eq!(counts["state"], "succeeded", "{counts}");
    for side in ["stagedRows", "importedRows"] {
        let mut totals = Migration::rows(&counts, "TotalEntity", side);
        let mut expected: Vec<_> = TYPES.iter().map(|(_, name)| vec![name.to_string(), "3".into()]).collect();
        totals.sort();
        expected.sort();
        assert_eq!(totals, expected, "{side}");
        let mut sums = Migration::rows(&counts, "TotalAmounts", side);
        let mut expected: Vec<_> =
            SUMS.iter().map(|(name, sum)| vec![name.to_string(), "EUR".into(), sum.to_string()]).collect();
        sums.sort();
        expected.sort();
        assert_eq!(sums, expected, "{side}");
        let people = Migration::rows(&counts, "TotalCounterparties", side);
        assert_eq!(people, [["organisation", "1"], ["person", "2"]]);
    }
    let shown = migration.get("").await;
    assert_eq!((&shown["importStatus"], &shown["numberOfImportedEntities"]), (&json!("Imported"), &json!(27)));
    for component in shown["components"].as_array().unwrap() {
        let figures = (&component["numberOfStagedEntities"], &component["numberOfImportedEntities"]);
        assert!(figures.0 == figures.1 && *figures.0 != 0, "{component}");
    }
}

/// A violation: entity type, number of the record, field, new value (`/counterparties/1` stands for that record's id,
/// `?` for an id that no record has), and the expected issues: severity, code or rule, field.
type Violation = (&'static str, u32, &'static str, &'static str, &'static [(&'static str, &'static str, &'static str)]);

const UNKNOWN: &str = "UNKNOWN_REFERENCE";

const VIOLATIONS: &[Violation] = &[
    ("counterparties", 1, "/associatedParties/0", "?", &[("error", UNKNOWN, "associatedParties[0]")]),
    (
        "counterparties",
        1,
        "/birthDate",
        "2002-03-02",
        &[("warning", "BORROWER_UNDER_AGE", "borrowers[0].counterpartyReferenceId")],
    ),
    (
        "agreements",
        1,
        "/borrowers/0/counterpartyReferenceId",
        "?",
        &[("error", UNKNOWN, "borrowers[0].counterpartyReferenceId")],
    ),
    (
        "agreements",
        3,
        "/facilities/0/referenceId",
        "/facilities/2",
        &[("error", "FACILITY_IN_TWO_AGREEMENTS", "facilities"), ("error", UNKNOWN, "facilityReferenceId")],
    ),
    ("agreements", 2, "/startDate", "2020-03-02", &[("error", "BEFORE_AGREEMENT_START", "effectiveDate")]),
    ("collaterals", 1, "/agreementReferenceIds/0", "?", &[("error", UNKNOWN, "agreementReferenceIds[0]")]),
    ("collaterals", 1, "/counterpartyReferenceIds/0", "?", &[("error", UNKNOWN, "counterpartyReferenceIds[0]")]),
    (
        "collaterals",
        1,
        "/registeredMortgageEntries/0/collateralObjectReferenceId",
        "?",
        &[("error", UNKNOWN, "registeredMortgageEntries[0].collateralObjectReferenceId")],
    ),
    (
        "collaterals",
        2,
        "/registeredMortgageEntries/0/rank",
        "3",
        &[("error", "RANK_TWICE", "registeredMortgageEntries")],
    ),
    ("disbursements", 1, "/agreementReferenceId", "?", &[("error", UNKNOWN, "agreementReferenceId")]),
    ("disbursements", 1, "/facilityReferenceId", "/facilities/2", &[("error", UNKNOWN, "facilityReferenceId")]),
    ("disbursements", 1, "/amount/amount", "100000.11", &[("error", "DISBURSED_MORE_THAN_FACILITY", "amount.amount")]),
    ("disbursements", 1, "/amount/currency", "CZK", &[("error", "CURRENCY_DIFFERS_FROM_FACILITY", "amount.currency")]),
    ("disbursements", 1, "/effectiveDate", "2020-02-29", &[("error", "BEFORE_AGREEMENT_START", "effectiveDate")]),
    ("repayments", 1, "/agreementReferenceId", "?", &[("error", UNKNOWN, "agreementReferenceId")]),
    ("repayments", 1, "/effectiveDate", "2020-02-29", &[("error", "BEFORE_AGREEMENT_START", "effectiveDate")]),
    ("repayments", 1, "/amount/currency", "CZK", &[("error", "CURRENCY_DIFFERS_FROM_AGREEMENT", "amount.currency")]),
    ("additional-repayments", 1, "/agreementReferenceId", "?", &[("error", UNKNOWN, "agreementReferenceId")]),
    (
        "additional-repayments",
        1,
        "/effectiveDate",
        "2020-02-29",
        &[("error", "BEFORE_AGREEMENT_START", "effectiveDate")],
    ),
    ("debit-mandates", 1, "/agreementReferenceId", "?", &[("error", UNKNOWN, "agreementReferenceId")]),
    ("debit-mandates", 1, "/counterpartyReferenceId", "?", &[("error", UNKNOWN, "counterpartyReferenceId")]),
    ("payment-administrations", 1, "/agreementReferenceId", "?", &[("error", UNKNOWN, "agreementReferenceId")]),
    ("payment-administrations", 1, "/facilityReferenceId", "?", &[("error", UNKNOWN, "facilityReferenceId")]),
];

/// Validation finds each violation and nothing else. Correcting it makes the migration valid again.
#[tokio::test(flavor = "multi_thread")]
async fn finds_every_violation() {
    let migration = shared().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    for (entity_type, number, field, value, expected) in VIOLATIONS {
        let (domain, _) = TYPES.iter().find(|(_, name)| name == entity_type).unwrap();
        let right = lender.record(entity_type, *number);
        let mut wrong = right.clone();
        *wrong.pointer_mut(field).unwrap() = match value.strip_prefix('/').map(|of| of.split_once('/').unwrap()) {
            Some((of, number)) => json!(lender.id(of, number.parse().unwrap())),
            None if *value == "?" => json!(lender.id("nothing", 1)),
            None => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
        };
        put(&migration, domain, entity_type, &[wrong]).await;
        check(&migration, &format!("{entity_type}{field} {value}"), expected).await;
        put(&migration, domain, entity_type, &[right]).await;
    }
    check(&migration, "as it was", &[]).await;
}

/// Payments that together exceed the facility, although each alone does not.
#[tokio::test(flavor = "multi_thread")]
async fn checks_sums_over_many_records() {
    let migration = shared().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    let mut parts = vec![];
    for number in 4..=12 {
        // 10000.01 is paid out already, so nine times as much leaves 0.01 of the facility.
        let mut part = lender.record("disbursements", number);
        part["agreementReferenceId"] = json!(lender.id("agreements", 1));
        part["facilityReferenceId"] = json!(lender.id("facilities", 1));
        parts.push(part);
    }
    put(&migration, "financing-execution", "disbursements", &parts).await;
    check(&migration, "all of it paid out", &[]).await;
    let cent = lender.record("disbursements", 13);
    let cent = json!({"referenceId": cent["referenceId"], "agreementReferenceId": lender.id("agreements", 1),
        "facilityReferenceId": lender.id("facilities", 1), "effectiveDate": "2020-03-02",
        "amount": {"amount": 0.01, "currency": "EUR"}});
    put(&migration, "financing-execution", "disbursements", std::slice::from_ref(&cent)).await;
    let found = [("error", "DISBURSED_MORE_THAN_FACILITY", "amount.amount")];
    check(&migration, "a cent more", &found).await;
    let issues = migration.issues("validate").await;
    assert_eq!(issues[0]["referenceId"], cent["referenceId"], "the payment that exceeds the facility");
    remove(&migration, "financing-execution", "disbursements", lender.id("disbursements", 13)).await;
    check(&migration, "without it", &[]).await;
}

/// People and organisations that may be in the migration twice give a warning, which stops nothing.
#[tokio::test(flavor = "multi_thread")]
async fn warns_of_possible_duplicates() {
    let migration = shared().register(None, ALL).await;
    let lender = Lender::of(&migration);
    lender.stage(&migration).await;
    let mut twice = vec![lender.record("counterparties", 4), lender.record("counterparties", 6)];
    twice[0]["birthDate"] = lender.record("counterparties", 1)["birthDate"].clone();
    twice[1]["name"] = json!("PEKÁRNA-3");
    put(&migration, "counterparty-management", "counterparties", &twice).await;
    let found =
        [("warning", "POSSIBLE_DUPLICATE_ORGANISATION", "name"), ("warning", "POSSIBLE_DUPLICATE_PERSON", "surname")];
    check(&migration, "two parties twice", &found).await;
    let issues = migration.issues("validate").await;
    let ids: Vec<&Value> = issues.iter().map(|issue| &issue["referenceId"]).collect();
    assert_eq!(ids, [&twice[0]["referenceId"], &twice[1]["referenceId"]], "the later ones");
}

async fn check(migration: &Migration, what: &str, expected: &[(&str, &str, &str)]) {
    let validation = migration.job("validate").await;
    let issues = migration.issues("validate").await;
    let text = |issue: &Value, field: &str| issue[field].as_str().unwrap_or_default().to_owned();
    let mut found: Vec<(String, String, String)> = issues
        .iter()
        .map(|issue| {
            let code = if issue["rule"].is_null() { "code" } else { "rule" };
            assert!(code == "code" || issue["code"] == "RULE_VIOLATION", "{issue}");
            (text(issue, "severity"), text(issue, code), text(issue, "field"))
        })
        .collect();
    found.sort();
    found.dedup();
    let mut expected: Vec<_> = expected.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
    expected.sort();
    assert_eq!(found, expected, "{what}: {issues:?}");
    let valid = !found.iter().any(|(severity, ..)| severity == "error");
    let ended = if valid { "succeeded" } else { "failed" };
    assert_eq!((&validation["state"], &validation["result"]["isValid"]), (&json!(ended), &json!(valid)), "{what}");
    let shown = if valid { "Validated" } else { "Rejected" };
    assert_eq!(migration.get("").await["stagingStatus"], shown, "{what}");
}
