//! Validation of collaterals and collateral objects.

use sluice_domain_collaterals::Collaterals;
use sluice_sdk::harness::{Harness, Row, check_schemas, with};

const OBJECT: &str = r#"{"referenceId": "0b000000-0000-4000-8000-000000000001", "type": "residential-property",
    "address": {"addressLine1": "U 1", "postalCode": "110 00", "locality": "Praha", "countryCode": "CZ"},
    "valuations": [{"date": "2020-01-31", "value": {"amount": 5000000, "currency": "CZK"}}]}"#;

const OBJECT_ROWS: &[Row] = &[
    ("referenceId", "1", "INVALID_FORMAT referenceId"),
    ("type", "", "MISSING_REQUIRED_FIELD type"),
    ("type", r#""boat""#, "INVALID_VALUE type"),
    ("address", "", ""),
    ("address.countryCode", "", "MISSING_REQUIRED_FIELD address.countryCode"),
    ("valuations[0].date", "", "MISSING_REQUIRED_FIELD valuations[0].date"),
    ("valuations[0].value", "", "MISSING_REQUIRED_FIELD valuations[0].value"),
    ("valuations[0].value.amount", "0.001", "OUT_OF_RANGE valuations[0].value.amount"),
    ("adress", "{}", "UNKNOWN_FIELD adress"),
];

const COLLATERAL: &str = r#"{"referenceId": "c0110000-0000-4000-8000-000000000001", "type": "mortgage",
    "collateralDefinitionCode": "NHG", "isPerfect": false,
    "agreementReferenceIds": ["a0000000-0000-4000-8000-000000000001"],
    "counterpartyReferenceIds": ["c0000000-0000-4000-8000-000000000001"],
    "registeredMortgageEntries": [
        {"isAlreadyPledged": true, "rank": 1, "amount": {"amount": 100.5, "currency": "CZK"},
            "collateralObjectReferenceId": "0b000000-0000-4000-8000-000000000001"},
        {"rank": 2, "collateralObjectReferenceId": "0b000000-0000-4000-8000-000000000001"}]}"#;

const COLLATERAL_ROWS: &[Row] = &[
    ("type", r#""pledge""#, "UNKNOWN_FIELD registeredMortgageEntries"),
    ("type", r#""non-registered""#, "UNKNOWN_FIELD registeredMortgageEntries"),
    ("type", "", "MISSING_REQUIRED_FIELD type"),
    ("collateralDefinitionCode", "", "MISSING_REQUIRED_FIELD collateralDefinitionCode"),
    ("isPerfect", "0", "INVALID_FORMAT isPerfect"),
    ("agreementReferenceIds", "", "MISSING_REQUIRED_FIELD agreementReferenceIds"),
    ("agreementReferenceIds", "[]", "MISSING_REQUIRED_FIELD agreementReferenceIds"),
    ("agreementReferenceIds[0]", "1", "INVALID_FORMAT agreementReferenceIds[0]"),
    ("counterpartyReferenceIds", "[]", "MISSING_REQUIRED_FIELD counterpartyReferenceIds"),
    ("registeredMortgageEntries", "", ""),
    ("registeredMortgageEntries", "null", ""),
    (
        "registeredMortgageEntries[0].isAlreadyPledged",
        "1",
        "INVALID_FORMAT registeredMortgageEntries[0].isAlreadyPledged",
    ),
    ("registeredMortgageEntries[0].rank", "", "MISSING_REQUIRED_FIELD registeredMortgageEntries[0].rank"),
    ("registeredMortgageEntries[0].rank", "0", "OUT_OF_RANGE registeredMortgageEntries[0].rank"),
    ("registeredMortgageEntries[1].rank", "1", "RULE_VIOLATION/RANK_TWICE registeredMortgageEntries[1].rank"),
    ("registeredMortgageEntries[0].amount.amount", "-1", "OUT_OF_RANGE registeredMortgageEntries[0].amount.amount"),
    (
        "registeredMortgageEntries[0].collateralObjectReferenceId",
        "",
        "MISSING_REQUIRED_FIELD registeredMortgageEntries[0].collateralObjectReferenceId",
    ),
    ("registeredMortgageEntries[1].collateralObjectReferenceId", r#""0b000000-0000-4000-8000-000000000002""#, ""),
];

const REFERENCE_ROWS: &[Row] = &[
    ("agreementReferenceIds[0]", UNKNOWN_ID, "UNKNOWN_REFERENCE agreementReferenceIds[0]"),
    ("counterpartyReferenceIds[0]", UNKNOWN_ID, "UNKNOWN_REFERENCE counterpartyReferenceIds[0]"),
    (
        "registeredMortgageEntries[1].collateralObjectReferenceId",
        UNKNOWN_ID,
        "UNKNOWN_REFERENCE registeredMortgageEntries[1].collateralObjectReferenceId",
    ),
];

const UNKNOWN_ID: &str = r#""ffffffff-0000-4000-8000-000000000001""#;

fn harness() -> Harness {
    let harness = Harness::new();
    harness.stage("agreements", r#"{"referenceId": "a0000000-0000-4000-8000-000000000001"}"#);
    harness.stage("counterparties", r#"{"referenceId": "c0000000-0000-4000-8000-000000000001"}"#);
    harness.stage("collateral-objects", &OBJECT.replace('\n', ""));
    harness
}

#[test]
fn reports_invalid_fields() {
    Harness::new().check_rows::<Collaterals>("collateral-objects", true, OBJECT, OBJECT_ROWS);
    Harness::new().check_rows::<Collaterals>("collaterals", false, COLLATERAL, COLLATERAL_ROWS);
}

#[test]
fn reports_unknown_references() {
    harness().check_rows::<Collaterals>("collaterals", true, COLLATERAL, REFERENCE_ROWS);
}

/// Each row changes the collateral. It has the expected number of tallies, and the number of them that have a key of
/// the unchanged collateral.
#[test]
fn tallies_each_rank_of_an_object() {
    let harness = harness();
    harness.stage("collateral-objects", r#"{"referenceId": "0b000000-0000-4000-8000-000000000002"}"#);
    let tallied = |record: &str| harness.tallies::<Collaterals>("collaterals", &record.replace('\n', ""));
    let first = tallied(COLLATERAL);
    assert!(first.iter().all(|tally| (tally.amount, tally.limit, tally.rule) == (1, 1, 0)));
    for (path, value, expected_keys, shared) in [
        ("isPerfect", "true", 2, 2),
        ("registeredMortgageEntries[1].rank", "3", 2, 1),
        ("registeredMortgageEntries[1].rank", "1", 1, 1),
        ("registeredMortgageEntries[1].collateralObjectReferenceId", r#""0b000000-0000-4000-8000-000000000002""#, 2, 1),
        ("registeredMortgageEntries[1].collateralObjectReferenceId", UNKNOWN_ID, 1, 1),
        ("registeredMortgageEntries", "[]", 0, 0),
    ] {
        let others = tallied(&with(COLLATERAL, path, value));
        assert_eq!(others.len(), expected_keys, "{path} = {value}");
        let known = |key| first.iter().any(|tally| tally.key == key);
        assert_eq!(others.iter().filter(|tally| known(tally.key)).count(), shared, "{path} = {value}");
    }
}

#[test]
fn published_schemas_match_the_tables_of_fields() {
    check_schemas::<Collaterals>(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/plugins/schemas"));
}
