//! Validation of disbursements, repayments, additional repayments and debit mandates.

use sluice_domain_financing_execution::FinancingExecutions;
use sluice_sdk::harness::{Harness, Row, check_schemas, with};

const DISBURSEMENT: &str = r#"{"referenceId": "d0000000-0000-4000-8000-000000000001",
    "agreementReferenceId": "a0000000-0000-4000-8000-000000000001",
    "facilityReferenceId": "fa000000-0000-4000-8000-000000000001", "effectiveDate": "2000-03-01",
    "amount": {"amount": 1000.5, "currency": "CZK"}}"#;

const REPAYMENT: &str = r#"{"referenceId": "e0000000-0000-4000-8000-000000000001",
    "agreementReferenceId": "a0000000-0000-4000-8000-000000000001", "effectiveDate": "2000-03-01",
    "amount": {"amount": 3373, "currency": "CZK"}}"#;

const ADDITIONAL_REPAYMENT: &str = r#"{"referenceId": "e0000000-0000-4000-8000-000000000002",
    "agreementReferenceId": "a0000000-0000-4000-8000-000000000001",
    "processReferenceId": "e0000000-0000-4000-8000-000000000003", "status": "Draft", "type": "early-repayment",
    "effectiveDate": "2000-03-01", "requestReceivedDate": "2000-02-20", "amount": {"amount": 1, "currency": "EUR"},
    "administrationFee": {"amount": 0.5, "currency": "CZK"}}"#;

const MANDATE: &str = r#"{"referenceId": "f0000000-0000-4000-8000-000000000001",
    "agreementReferenceId": "a0000000-0000-4000-8000-000000000001",
    "counterpartyReferenceId": "c0000000-0000-4000-8000-000000000001", "scheme": "DOMESTIC", "type": "b2c",
    "debtorAccount": "1/0800", "amount": {"amount": 3373, "currency": "CZK"}, "signedDate": "2000-03-01"}"#;

const DISBURSEMENT_FIELDS: &[Row] = &[
    ("referenceId", "", "MISSING_REQUIRED_FIELD referenceId"),
    ("agreementReferenceId", "", "MISSING_REQUIRED_FIELD agreementReferenceId"),
    ("facilityReferenceId", "", "MISSING_REQUIRED_FIELD facilityReferenceId"),
    ("facilityReferenceId", "1", "INVALID_FORMAT facilityReferenceId"),
    ("effectiveDate", "", "MISSING_REQUIRED_FIELD effectiveDate"),
    ("effectiveDate", "20000301", "INVALID_FORMAT effectiveDate"),
    ("amount", "", "MISSING_REQUIRED_FIELD amount"),
    ("amount.amount", "0.001", "OUT_OF_RANGE amount.amount"),
    ("ammount", "1", "UNKNOWN_FIELD ammount"),
];

const REPAYMENT_FIELDS: &[Row] = &[
    ("agreementReferenceId", "[]", "INVALID_FORMAT agreementReferenceId"),
    ("effectiveDate", "", "MISSING_REQUIRED_FIELD effectiveDate"),
    ("amount.currency", r#""ABC""#, "INVALID_VALUE amount.currency"),
    ("facilityReferenceId", r#""fa000000-0000-4000-8000-000000000001""#, "UNKNOWN_FIELD facilityReferenceId"),
];

const ADDITIONAL_REPAYMENT_FIELDS: &[Row] = &[
    ("agreementReferenceId", "", "MISSING_REQUIRED_FIELD agreementReferenceId"),
    ("processReferenceId", "", ""),
    ("processReferenceId", "1", "INVALID_FORMAT processReferenceId"),
    ("status", r#""draft""#, "INVALID_VALUE status"),
    ("status", "", "MISSING_REQUIRED_FIELD status"),
    ("type", r#""late-repayment""#, "INVALID_VALUE type"),
    ("type", "", "MISSING_REQUIRED_FIELD type"),
    ("effectiveDate", "", "MISSING_REQUIRED_FIELD effectiveDate"),
    ("requestReceivedDate", r#""""#, "INVALID_FORMAT requestReceivedDate"),
    ("amount", "", "MISSING_REQUIRED_FIELD amount"),
    ("amount", "null", "MISSING_REQUIRED_FIELD amount"),
    ("facilities", "[]", "MISSING_REQUIRED_FIELD facilities"),
    ("facilities", PART, "RULE_VIOLATION/AMOUNT_AND_FACILITIES amount"),
    ("administrationFee.currency", "", "MISSING_REQUIRED_FIELD administrationFee.currency"),
];

const PART: &str =
    r#"[{"facilityReferenceId": "fa000000-0000-4000-8000-000000000001", "amount": {"amount": 1, "currency": "CZK"}}]"#;

/// An additional repayment as the pages of Akkuro's API show it: its amounts stand with the facilities.
const FACILITIES_REPAYMENT: &str = r#"{"referenceId": "e0000000-0000-4000-8000-000000000002",
    "agreementReferenceId": "a0000000-0000-4000-8000-000000000001",
    "processReferenceId": "e0000000-0000-4000-8000-000000000003", "status": "Draft",
    "type": "repayment-from-construction-deposit", "effectiveDate": "2000-03-01", "requestReceivedDate": "2000-02-20",
    "administrationFee": {"amount": 0.5, "currency": "CZK"}, "facilities": [
        {"facilityReferenceId": "fa000000-0000-4000-8000-000000000001", "amount": {"amount": 1, "currency": "CZK"}},
        {"facilityReferenceId": "fa000000-0000-4000-8000-000000000002", "amount": {"amount": 1, "currency": "EUR"}}]}"#;

const FACILITIES_FIELDS: &[Row] = &[
    ("facilities", "", "MISSING_REQUIRED_FIELD amount"),
    ("facilities", "null", "MISSING_REQUIRED_FIELD amount"),
    ("facilities[0].amount", "", "MISSING_REQUIRED_FIELD facilities[0].amount"),
    ("facilities[0].amount.amount", "0.001", "OUT_OF_RANGE facilities[0].amount.amount"),
    ("facilities[0].facilityReferenceId", "", "MISSING_REQUIRED_FIELD facilities[0].facilityReferenceId"),
    (
        "facilities[1].facilityReferenceId",
        r#""fa000000-0000-4000-8000-000000000001""#,
        "RULE_VIOLATION/FACILITY_TWICE facilities[1].facilityReferenceId",
    ),
];

const FACILITIES_RULES: &[Row] = &[
    ("facilities[0].facilityReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE facilities[0].facilityReferenceId"),
    (
        "facilities[1].amount.currency",
        r#""CZK""#,
        "RULE_VIOLATION/CURRENCY_DIFFERS_FROM_FACILITY facilities[1].amount.currency",
    ),
    ("effectiveDate", r#""2000-02-29""#, "RULE_VIOLATION/BEFORE_AGREEMENT_START effectiveDate"),
];

const MANDATE_FIELDS: &[Row] = &[
    ("agreementReferenceId", "", "MISSING_REQUIRED_FIELD agreementReferenceId"),
    ("counterpartyReferenceId", "", "MISSING_REQUIRED_FIELD counterpartyReferenceId"),
    ("scheme", r#""sepa""#, "INVALID_VALUE scheme"),
    ("type", r#""c2c""#, "INVALID_VALUE type"),
    ("type", r#""b2b""#, ""),
    ("type", r#""BTB""#, ""),
    ("type", r#""BTC""#, ""),
    ("scheme", r#""ACH""#, ""),
    ("scheme", r#""SEPA""#, "INVALID_FORMAT debtorAccount"),
    ("debtorAccount", "", "MISSING_REQUIRED_FIELD debtorAccount"),
    ("debtorAccount", "1", "INVALID_FORMAT debtorAccount"),
    ("amount", "", ""),
    ("amount", "1", "INVALID_FORMAT amount"),
    ("signedDate", r#""2000-3-1""#, "INVALID_FORMAT signedDate"),
];

/// Accounts of a SEPA mandate.
const SEPA_FIELDS: &[Row] = &[
    ("debtorAccount", r#""NL00FAKE0000000000""#, "INVALID_CHECK_DIGITS debtorAccount"),
    ("debtorAccount", r#""NL19ABNA0417164300""#, "INVALID_CHECK_DIGITS debtorAccount"),
    ("debtorAccount", r#""NL91 ABNA 0417 1643 00""#, "INVALID_FORMAT debtorAccount"),
    ("debtorAccount", r#""nl91abna0417164300""#, "INVALID_FORMAT debtorAccount"),
    ("debtorAccount", r#""NL91ABNA041716430""#, "INVALID_CHECK_DIGITS debtorAccount"),
    ("debtorAccount", r#""0417164300""#, "INVALID_FORMAT debtorAccount"),
    ("debtorAccount", r#""CZ6508000000192000145399""#, ""),
    ("debtorAccount", r#""DE89370400440532013000""#, ""),
    ("debtorAccount", r#""MT84MALT011000012345MTLCAST001S""#, ""),
];

const UNKNOWN_ID: &str = r#""ffffffff-0000-4000-8000-000000000001""#;

/// For an unknown agreement, the only issue is the unknown reference. Date and currency of the payment are not checked.
const DISBURSEMENT_RULES: &[Row] = &[
    ("agreementReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE agreementReferenceId"),
    ("facilityReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE facilityReferenceId"),
    ("facilityReferenceId", r#""fa000000-0000-4000-8000-000000000003""#, "UNKNOWN_REFERENCE facilityReferenceId"),
    ("effectiveDate", r#""2000-02-29""#, "RULE_VIOLATION/BEFORE_AGREEMENT_START effectiveDate"),
    ("amount.currency", r#""EUR""#, "RULE_VIOLATION/CURRENCY_DIFFERS_FROM_FACILITY amount.currency"),
];

const REPAYMENT_RULES: &[Row] = &[
    ("agreementReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE agreementReferenceId"),
    ("effectiveDate", r#""2000-02-29""#, "RULE_VIOLATION/BEFORE_AGREEMENT_START effectiveDate"),
    ("amount.currency", r#""EUR""#, ""),
    ("amount.currency", r#""USD""#, "RULE_VIOLATION/CURRENCY_DIFFERS_FROM_AGREEMENT amount.currency"),
];

const MANDATE_RULES: &[Row] = &[
    ("agreementReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE agreementReferenceId"),
    ("counterpartyReferenceId", UNKNOWN_ID, "UNKNOWN_REFERENCE counterpartyReferenceId"),
    ("signedDate", r#""1999-01-01""#, ""),
];

fn harness() -> Harness {
    let harness = Harness::new();
    harness.stage("counterparties", r#"{"referenceId": "c0000000-0000-4000-8000-000000000001"}"#);
    harness.stage(
        "agreements",
        r#"{"referenceId": "a0000000-0000-4000-8000-000000000001", "startDate": "2000-03-01", "facilities": [
            {"referenceId": "fa000000-0000-4000-8000-000000000001", "amount": {"amount": 80952, "currency": "CZK"}},
            {"referenceId": "fa000000-0000-4000-8000-000000000002", "amount": {"amount": 5, "currency": "EUR"}}]}"#
            .replace('\n', "")
            .as_str(),
    );
    harness.stage(
        "agreements",
        r#"{"referenceId": "a0000000-0000-4000-8000-000000000002", "startDate": "2000-03-01", "facilities": [
            {"referenceId": "fa000000-0000-4000-8000-000000000003", "amount": {"amount": 1, "currency": "CZK"}}]}"#
            .replace('\n', "")
            .as_str(),
    );
    harness
}

/// Checks the rows of fields in scope `record`, and the rows of rules in scope `migration`.
fn check(entity_type: &str, record: &str, fields: &[Row], rules: &[Row]) {
    harness().check_rows::<FinancingExecutions>(entity_type, false, record, fields);
    harness().check_rows::<FinancingExecutions>(entity_type, true, record, rules);
}

#[test]
fn reports_invalid_disbursements() {
    check("disbursements", DISBURSEMENT, DISBURSEMENT_FIELDS, DISBURSEMENT_RULES);
}

#[test]
fn reports_invalid_repayments() {
    check("repayments", REPAYMENT, REPAYMENT_FIELDS, REPAYMENT_RULES);
}

#[test]
fn reports_invalid_additional_repayments() {
    check("additional-repayments", ADDITIONAL_REPAYMENT, ADDITIONAL_REPAYMENT_FIELDS, REPAYMENT_RULES);
    check("additional-repayments", FACILITIES_REPAYMENT, FACILITIES_FIELDS, FACILITIES_RULES);
}

#[test]
fn reports_invalid_debit_mandates() {
    check("debit-mandates", MANDATE, MANDATE_FIELDS, MANDATE_RULES);
    let sepa = with(MANDATE, "scheme", r#""SEPA""#);
    check("debit-mandates", &with(&sepa, "debtorAccount", r#""NL91ABNA0417164300""#), SEPA_FIELDS, &[]);
}

/// A disbursement adds a tally to its facility, in the minor unit of the currency. A disbursement with an issue adds
/// none.
#[test]
fn tallies_disbursements_by_facility() {
    let tallies = |record: &str| {
        let found = harness().tallies::<FinancingExecutions>("disbursements", &record.replace('\n', ""));
        found.iter().map(|tally| (tally.rule, tally.key.0, tally.amount, tally.limit)).collect::<Vec<_>>()
    };
    let facility = 0xfa00_0000_0000_4000;
    assert_eq!(tallies(DISBURSEMENT), [(0, facility, 100_050, 8_095_200)]);
    assert_eq!(tallies(&with(DISBURSEMENT, "amount.amount", "80953")), [(0, facility, 8_095_300, 8_095_200)]);
    for (path, value) in
        [("agreementReferenceId", UNKNOWN_ID), ("facilityReferenceId", UNKNOWN_ID), ("amount.currency", r#""EUR""#)]
    {
        assert_eq!(tallies(&with(DISBURSEMENT, path, value)), [], "{path}");
    }
}

#[test]
fn published_schemas_match_the_tables_of_fields() {
    check_schemas::<FinancingExecutions>(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/plugins/schemas"));
}
