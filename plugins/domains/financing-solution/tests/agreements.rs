//! Validation of agreements.

use sluice_domain_financing_solution::FinancingSolutions;
use sluice_sdk::harness::{Harness, Row, check_schemas, with};

const AGREEMENT: &str = r#"{"referenceId": "a0000000-0000-4000-8000-000000000001", "agreementNumber": "4959",
    "status": "active", "startDate": "2000-03-01", "purpose": "house",
    "borrowers": [{"counterpartyReferenceId": "c0000000-0000-4000-8000-000000000001", "role": "main"},
        {"counterpartyReferenceId": "c0000000-0000-4000-8000-000000000002", "role": "co"}],
    "facilities": [{"referenceId": "fa000000-0000-4000-8000-000000000001",
        "amount": {"amount": 80952, "currency": "CZK"}, "interest": {"type": "fixed", "percentage": 4.125},
        "termInMonths": 24, "repaymentMethod": "linear", "firstRepaymentDate": "2000-04-01", "withdrawal": "single"},
        {"referenceId": "fa000000-0000-4000-8000-000000000002", "amount": {"amount": 1, "currency": "CZK"},
        "termInMonths": 1, "repaymentMethod": "interest-only"}]}"#;

const FIELDS: &[Row] = &[
    ("referenceId", "", "MISSING_REQUIRED_FIELD referenceId"),
    ("agreementNumber", "4959", "INVALID_FORMAT agreementNumber"),
    ("agreementNumber", "", "MISSING_REQUIRED_FIELD agreementNumber"),
    ("status", r#""open""#, "INVALID_VALUE status"),
    ("status", "", "MISSING_REQUIRED_FIELD status"),
    ("startDate", r#""2000-02-30""#, "INVALID_FORMAT startDate"),
    ("startDate", "", "MISSING_REQUIRED_FIELD startDate"),
    ("purpose", "{}", "INVALID_FORMAT purpose"),
    ("borrowers", "", "MISSING_REQUIRED_FIELD borrowers"),
    ("borrowers", "[]", "MISSING_REQUIRED_FIELD borrowers"),
    ("borrowers[0].counterpartyReferenceId", "", "MISSING_REQUIRED_FIELD borrowers[0].counterpartyReferenceId"),
    ("borrowers[1].role", r#""third""#, "INVALID_VALUE borrowers[1].role"),
    ("facilities", "[]", "MISSING_REQUIRED_FIELD facilities"),
    ("facilities[0].referenceId", r#""1""#, "INVALID_FORMAT facilities[0].referenceId"),
    ("facilities[0].amount", "80952", "INVALID_FORMAT facilities[0].amount"),
    ("facilities[0].interest.type", r#""free""#, "INVALID_VALUE facilities[0].interest.type"),
    ("facilities[0].interest.percentage", "100.1", "OUT_OF_RANGE facilities[0].interest.percentage"),
    ("facilities[0].interest", "{}", ""),
    ("facilities[0].interest", "null", ""),
    ("facilities[0].termInMonths", "0", "OUT_OF_RANGE facilities[0].termInMonths"),
    ("facilities[0].termInMonths", "1201", "OUT_OF_RANGE facilities[0].termInMonths"),
    ("facilities[0].termInMonths", "", "MISSING_REQUIRED_FIELD facilities[0].termInMonths"),
    ("facilities[0].repaymentMethod", r#""none""#, "INVALID_VALUE facilities[0].repaymentMethod"),
    ("facilities[0].repaymentMethod", "", "MISSING_REQUIRED_FIELD facilities[0].repaymentMethod"),
    ("facilities[0].firstRepaymentDate", r#""soon""#, "INVALID_FORMAT facilities[0].firstRepaymentDate"),
    ("facilities[0].firstRepaymentDate", "null", ""),
    ("facilities[0].withdrawal", r#""double""#, "INVALID_VALUE facilities[0].withdrawal"),
    ("facilities[0].rank", "1", "UNKNOWN_FIELD facilities[0].rank"),
];

const RECORD_RULES: &[Row] = &[
    ("borrowers[0].role", r#""co""#, "RULE_VIOLATION/EXACTLY_ONE_MAIN_BORROWER borrowers"),
    ("borrowers[1].role", r#""main""#, "RULE_VIOLATION/EXACTLY_ONE_MAIN_BORROWER borrowers"),
    (
        "borrowers[1].counterpartyReferenceId",
        r#""c0000000-0000-4000-8000-000000000001""#,
        "RULE_VIOLATION/BORROWER_TWICE borrowers[1].counterpartyReferenceId",
    ),
    (
        "facilities[1].referenceId",
        r#""fa000000-0000-4000-8000-000000000001""#,
        "RULE_VIOLATION/FACILITY_TWICE facilities[1].referenceId",
    ),
    ("facilities[0].firstRepaymentDate", r#""2000-03-01""#, ""),
    (
        "facilities[0].firstRepaymentDate",
        r#""2000-02-29""#,
        "RULE_VIOLATION/BEFORE_AGREEMENT_START facilities[0].firstRepaymentDate",
    ),
];

/// The first borrower was born on 29 February 1980, the second on 1 March 1982.
const MIGRATION_RULES: &[Row] = &[
    (
        "borrowers[1].counterpartyReferenceId",
        r#""ffffffff-0000-4000-8000-000000000001""#,
        "UNKNOWN_REFERENCE borrowers[1].counterpartyReferenceId",
    ),
    ("startDate", r#""2000-04-01""#, ""),
    ("startDate", r#""2000-02-28""#, "warning RULE_VIOLATION/BORROWER_UNDER_AGE borrowers[1].counterpartyReferenceId"),
    (
        "startDate",
        r#""1998-02-28""#,
        "warning RULE_VIOLATION/BORROWER_UNDER_AGE borrowers[0].counterpartyReferenceId; \
         warning RULE_VIOLATION/BORROWER_UNDER_AGE borrowers[1].counterpartyReferenceId",
    ),
    ("startDate", r#""1998-03-01""#, "warning RULE_VIOLATION/BORROWER_UNDER_AGE borrowers[1].counterpartyReferenceId"),
    // A borrower without a birth date is not checked.
    ("borrowers[1].counterpartyReferenceId", r#""c0000000-0000-4000-8000-000000000003""#, ""),
];

fn harness() -> Harness {
    let harness = Harness::new();
    harness.stage(
        "counterparties",
        r#"{"referenceId": "c0000000-0000-4000-8000-000000000001", "type": "person", "birthDate": "1980-02-29"}
        {"referenceId": "c0000000-0000-4000-8000-000000000002", "type": "person", "birthDate": "1982-03-01"}
        {"referenceId": "c0000000-0000-4000-8000-000000000003", "type": "organisation"}"#,
    );
    harness
}

#[test]
fn reports_invalid_fields() {
    Harness::new().check_rows::<FinancingSolutions>("agreements", false, AGREEMENT, FIELDS);
}

#[test]
fn reports_broken_rules_within_a_record() {
    Harness::new().check_rows::<FinancingSolutions>("agreements", false, AGREEMENT, RECORD_RULES);
}

#[test]
fn reports_broken_rules_between_records() {
    harness().check_rows::<FinancingSolutions>("agreements", true, AGREEMENT, MIGRATION_RULES);
}

#[test]
fn tallies_a_facility_once_per_agreement() {
    let tallies = |record: &str| {
        let found = harness().tallies::<FinancingSolutions>("agreements", &record.replace('\n', ""));
        found.iter().map(|tally| (tally.rule, tally.amount, tally.limit)).collect::<Vec<_>>()
    };
    assert_eq!(tallies(AGREEMENT), [(0, 1, 1), (0, 1, 1)]);
    let twice = with(AGREEMENT, "facilities[1].referenceId", r#""fa000000-0000-4000-8000-000000000001""#);
    assert_eq!(tallies(&twice), [(0, 1, 1)]);
}

#[test]
fn published_schemas_match_the_tables_of_fields() {
    check_schemas::<FinancingSolutions>(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/plugins/schemas"));
}
