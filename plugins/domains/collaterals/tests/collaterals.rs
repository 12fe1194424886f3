//! Collaterals and the objects they are on: fields, references, ranks.

use sluice_domain_collaterals::Collaterals;
use sluice_sdk::harness::{Harness, Row, with};

const OBJECT: &str = r#"{"referenceId": "0b000000-0000-4000-8000-000000000001", "type": "residential-property",
    "address": {"addressLine1": "U 1", "postalCode": "110 00", "locality": "Praha", "countryCode": "CZ"},
    "valuations": [{"date": "2020-01-31", "value": {"amount": 5000000, "currency": "CZK"}}]}"#;

const OF_AN_OBJECT: &[Row] = &[
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

const OF_A_COLLATERAL: &[Row] = &[
    ("type", r#""pledge""#, "UNKNOWN_FIELD registeredMortgageEntries"),
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

const REFERENCES: &[Row] = &[
    ("agreementReferenceIds[0]", NOWHERE, "UNKNOWN_REFERENCE agreementReferenceIds[0]"),
    ("counterpartyReferenceIds[0]", NOWHERE, "UNKNOWN_REFERENCE counterpartyReferenceIds[0]"),
    (
        "registeredMortgageEntries[1].collateralObjectReferenceId",
        NOWHERE,
        "UNKNOWN_REFERENCE registeredMortgageEntries[1].collateralObjectReferenceId",
    ),
];

const NOWHERE: &str = r#""ffffffff-0000-4000-8000-000000000001""#;

fn harness() -> Harness {
    let harness = Harness::new();
    harness.stage("agreements", r#"{"referenceId": "a0000000-0000-4000-8000-000000000001"}"#);
    harness.stage("counterparties", r#"{"referenceId": "c0000000-0000-4000-8000-000000000001"}"#);
    harness.stage("collateral-objects", &OBJECT.replace('\n', ""));
    harness
}

#[test]
fn fields() {
    Harness::new().check_rows::<Collaterals>("collateral-objects", true, OBJECT, OF_AN_OBJECT);
    Harness::new().check_rows::<Collaterals>("collaterals", false, COLLATERAL, OF_A_COLLATERAL);
}

#[test]
fn references() {
    harness().check_rows::<Collaterals>("collaterals", true, COLLATERAL, REFERENCES);
}

/// Each row: a collateral, and how many of its ranks share a key with those of the first.
#[test]
fn ranks_are_counted_by_object() {
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
        ("registeredMortgageEntries[1].collateralObjectReferenceId", NOWHERE, 1, 1),
        ("registeredMortgageEntries", "[]", 0, 0),
    ] {
        let others = tallied(&with(COLLATERAL, path, value));
        assert_eq!(others.len(), expected_keys, "{path} = {value}");
        let known = |key| first.iter().any(|tally| tally.key == key);
        assert_eq!(others.iter().filter(|tally| known(tally.key)).count(), shared, "{path} = {value}");
    }
}
