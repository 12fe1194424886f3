//! Validation of payment administrations.

use sluice_domain_administrate::Administrate;
use sluice_sdk::harness::{Harness, Row, check_schemas};

const RECORD: &str = r#"{"referenceId": "ad000000-0000-4000-8000-000000000001",
    "agreementReferenceId": "a0000000-0000-4000-8000-000000000001",
    "facilityReferenceId": "fa000000-0000-4000-8000-000000000001",
    "outstandingPrincipal": {"amount": 0.30, "currency": "EUR"}, "installments": [
        {"number": 1, "dueDate": "2024-01-31", "principal": {"amount": 0.1, "currency": "EUR"},
            "interest": {"amount": 0, "currency": "EUR"}},
        {"number": 2, "dueDate": "2024-02-29", "principal": {"amount": 0.2, "currency": "EUR"},
            "interest": {"amount": 0, "currency": "EUR"}}]}"#;

const FIELDS: &[Row] = &[
    ("referenceId", "", "MISSING_REQUIRED_FIELD referenceId"),
    ("agreementReferenceId", "", "MISSING_REQUIRED_FIELD agreementReferenceId"),
    ("facilityReferenceId", "", "MISSING_REQUIRED_FIELD facilityReferenceId"),
    ("facilityReferenceId", "{}", "INVALID_FORMAT facilityReferenceId"),
    ("outstandingPrincipal", "", "MISSING_REQUIRED_FIELD outstandingPrincipal"),
    ("outstandingPrincipal.amount", "-1", "OUT_OF_RANGE outstandingPrincipal.amount"),
    ("installments", "", ""),
    ("installments", "null", ""),
    ("installments", "{}", "INVALID_FORMAT installments"),
    ("installments[0].number", "0", "OUT_OF_RANGE installments[0].number"),
    ("installments[0].number", "", "MISSING_REQUIRED_FIELD installments[0].number"),
    ("installments[0].dueDate", "", "MISSING_REQUIRED_FIELD installments[0].dueDate"),
    ("installments[0].dueDate", r#""31.1.2024""#, "INVALID_FORMAT installments[0].dueDate"),
    ("installments[0].principal", "", "MISSING_REQUIRED_FIELD installments[0].principal"),
    ("installments[0].principal", "0.1", "INVALID_FORMAT installments[0].principal"),
    ("installments[0].interest", "", "MISSING_REQUIRED_FIELD installments[0].interest"),
    ("installments[0].intrest", "0", "UNKNOWN_FIELD installments[0].intrest"),
];

const RECORD_RULES: &[Row] = &[
    ("outstandingPrincipal.amount", "0.31", "RULE_VIOLATION/INSTALLMENTS_DIFFER_FROM_PRINCIPAL installments"),
    ("outstandingPrincipal.amount", "0.3", ""),
    ("installments[1].principal.amount", "0.21", "RULE_VIOLATION/INSTALLMENTS_DIFFER_FROM_PRINCIPAL installments"),
    ("installments", "[]", "RULE_VIOLATION/INSTALLMENTS_DIFFER_FROM_PRINCIPAL installments"),
    ("installments[1].number", "1", "RULE_VIOLATION/INSTALLMENT_TWICE installments[1].number"),
    (
        "installments[1].interest.currency",
        r#""CZK""#,
        "RULE_VIOLATION/CURRENCY_DIFFERS_FROM_PRINCIPAL installments[1].interest.currency",
    ),
    (
        "installments[0].principal.currency",
        r#""CZK""#,
        "RULE_VIOLATION/CURRENCY_DIFFERS_FROM_PRINCIPAL installments[0].principal.currency",
    ),
];

const UNKNOWN_ID: &str = r#""ffffffff-0000-4000-8000-000000000001""#;

const MIGRATION_RULES: &[Row] = &[
    ("agreementReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE agreementReferenceId"),
    ("facilityReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE facilityReferenceId"),
    (
        "facilityReferenceId",
        r#""fa000000-0000-4000-8000-000000000002""#,
        "RULE_VIOLATION/CURRENCY_DIFFERS_FROM_FACILITY outstandingPrincipal.currency",
    ),
];

fn harness() -> Harness {
    let harness = Harness::new();
    let agreement = r#"{"referenceId": "a0000000-0000-4000-8000-000000000001", "facilities": [
        {"referenceId": "fa000000-0000-4000-8000-000000000001", "amount": {"amount": 10, "currency": "EUR"}},
        {"referenceId": "fa000000-0000-4000-8000-000000000002", "amount": {"amount": 10, "currency": "CZK"}}]}"#;
    harness.stage("agreements", &agreement.replace('\n', ""));
    harness
}

#[test]
fn reports_invalid_fields() {
    Harness::new().check_rows::<Administrate>("payment-administrations", false, RECORD, FIELDS);
}

#[test]
fn reports_broken_rules_within_a_record() {
    Harness::new().check_rows::<Administrate>("payment-administrations", false, RECORD, RECORD_RULES);
}

#[test]
fn reports_broken_rules_between_records() {
    harness().check_rows::<Administrate>("payment-administrations", true, RECORD, MIGRATION_RULES);
}

#[test]
fn published_schemas_match_the_tables_of_fields() {
    check_schemas::<Administrate>(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/plugins/schemas"));
}
