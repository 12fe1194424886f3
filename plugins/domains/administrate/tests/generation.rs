//! Generation of payment administrations, exact to the minor unit.

use sluice_domain_administrate::Administrate;
use sluice_sdk::harness::{Harness, parse, with};
use sluice_sdk::prelude::*;

/// An agreement of 1000.00 EUR at 6 % a year, which is half a per cent a month.
const AGREEMENT: &str = r#"{"referenceId": "a0000000-0000-4000-8000-000000000001", "status": "active",
    "startDate": "2024-01-31", "facilities": [{"referenceId": "fa000000-0000-4000-8000-000000000001",
    "amount": {"amount": 1000, "currency": "EUR"}, "interest": {"type": "fixed", "percentage": 6},
    "termInMonths": 4, "repaymentMethod": "linear"}]}"#;

/// Changes of the agreement: path and JSON text.
type Edits<'a> = &'a [(&'a str, &'a str)];
/// Repayments: entity type, amount, currency, and the status of an additional repayment.
type Payments<'a> = &'a [(&'a str, &'a str, &'a str, &'a str)];

const METHOD: &str = "facilities[0].repaymentMethod";
const AMOUNT: &str = "facilities[0].amount";
const MONTHS: &str = "facilities[0].termInMonths";
const PERCENTAGE: &str = "facilities[0].interest.percentage";
const FACILITIES: &str = "facilities";

const ANNUITY: (&str, &str) = (METHOD, r#""annuity""#);
const BULLET: (&str, &str) = (METHOD, r#""bullet""#);
const INTEREST_ONLY: (&str, &str) = (METHOD, r#""interest-only""#);

const TWO_FACILITIES: &str = r#"[{"referenceId": "fa000000-0000-4000-8000-000000000001",
    "amount": {"amount": 100, "currency": "EUR"}, "termInMonths": 2, "repaymentMethod": "linear"},
    {"referenceId": "fa000000-0000-4000-8000-000000000002", "amount": {"amount": 50, "currency": "EUR"},
    "termInMonths": 1, "repaymentMethod": "bullet", "interest": {"type": "variable"}},
    {"referenceId": "fa000000-0000-4000-8000-000000000003", "amount": {"amount": 50, "currency": "CZK"},
    "termInMonths": 1, "repaymentMethod": "annuity", "interest": null}]"#;

const REPAID_MORE: &str = "! 0 warning RULE_VIOLATION/REPAID_MORE_THAN_OWED facilities";

/// Cases: name, changes of the agreement, repayments, and expected lines. A line has a facility's outstanding
/// principal, and the number, due date, principal and interest of each installment. A line of an issue begins with `!`.
const CASES: &[(&str, Edits, Payments, &[&str])] = &[
    // Methods.
    (
        "annuity",
        &[ANNUITY],
        &[],
        &[
            "1000.00: 1 2024-02-29 248.13+5.00, 2 2024-03-31 249.37+3.76, 3 2024-04-30 250.62+2.51, 4 2024-05-31 251.88+1.26",
        ],
    ),
    (
        "linear",
        &[],
        &[],
        &[
            "1000.00: 1 2024-02-29 250.00+5.00, 2 2024-03-31 250.00+3.75, 3 2024-04-30 250.00+2.50, 4 2024-05-31 250.00+1.25",
        ],
    ),
    ("bullet", &[BULLET], &[], &["1000.00: 1 2024-05-31 1000.00+20.00"]),
    (
        "interest-only",
        &[INTEREST_ONLY],
        &[],
        &["1000.00: 1 2024-02-29 0.00+5.00, 2 2024-03-31 0.00+5.00, 3 2024-04-30 0.00+5.00, 4 2024-05-31 1000.00+5.00"],
    ),
    // Rounding.
    (
        "linear, thirds",
        &[(MONTHS, "3"), (PERCENTAGE, "0")],
        &[],
        &["1000.00: 1 2024-02-29 333.33+0.00, 2 2024-03-31 333.33+0.00, 3 2024-04-30 333.34+0.00"],
    ),
    (
        "annuity without interest",
        &[ANNUITY, (MONTHS, "3"), ("facilities[0].interest", "")],
        &[],
        &["1000.00: 1 2024-02-29 333.33+0.00, 2 2024-03-31 333.33+0.00, 3 2024-04-30 333.34+0.00"],
    ),
    (
        "annuity at next to no interest",
        &[ANNUITY, (MONTHS, "2"), (PERCENTAGE, "0.000000000000000000000000001")],
        &[],
        &["1000.00: 1 2024-02-29 500.00+0.00, 2 2024-03-31 500.00+0.00"],
    ),
    (
        "annuity at a third of a per cent",
        &[ANNUITY, (MONTHS, "3"), (PERCENTAGE, "0.3333333333333333333333333")],
        &[],
        &["1000.00: 1 2024-02-29 333.24+0.28, 2 2024-03-31 333.33+0.19, 3 2024-04-30 333.43+0.09"],
    ),
    (
        "a currency without cents",
        &[ANNUITY, (MONTHS, "7"), (PERCENTAGE, "3"), (AMOUNT, r#"{"amount": 1000, "currency": "JPY"}"#)],
        &[],
        &["1000: 1 2024-02-29 141+3, 2 2024-03-31 142+2, 3 2024-04-30 142+2, 4 2024-05-31 143+1, 5 2024-06-30 143+1, \
         6 2024-07-31 143+1, 7 2024-08-31 146+0"],
    ),
    (
        "half a cent a month is rounded up",
        &[INTEREST_ONLY, (MONTHS, "2"), (AMOUNT, r#"{"amount": 1, "currency": "EUR"}"#)],
        &[],
        &["1.00: 1 2024-02-29 0.00+0.01, 2 2024-03-31 1.00+0.01"],
    ),
    (
        "more months than cents",
        &[(MONTHS, "10"), (PERCENTAGE, "0"), (AMOUNT, r#"{"amount": 0.05, "currency": "EUR"}"#)],
        &[],
        &["0.05: 1 2024-02-29 0.01+0.00, 2 2024-03-31 0.01+0.00, 3 2024-04-30 0.01+0.00, 4 2024-05-31 0.01+0.00, \
         5 2024-06-30 0.01+0.00"],
    ),
    // Days.
    (
        "a first day of its own",
        &[(MONTHS, "2"), (PERCENTAGE, "0"), ("facilities[0].firstRepaymentDate", r#""2024-12-31""#)],
        &[],
        &["1000.00: 1 2024-12-31 500.00+0.00, 2 2025-01-31 500.00+0.00"],
    ),
    (
        "a bullet's first day",
        &[BULLET, ("facilities[0].firstRepaymentDate", r#""2024-03-15""#)],
        &[],
        &["1000.00: 1 2024-06-15 1000.00+20.00"],
    ),
    // Repayments: of each installment first the interest.
    (
        "repaid in part",
        &[],
        &[("repayments", "255", "EUR", ""), ("repayments", "45", "EUR", "")],
        &["708.75: 2 2024-03-31 208.75+0.00, 3 2024-04-30 250.00+2.50, 4 2024-05-31 250.00+1.25"],
    ),
    (
        "less than the first interest",
        &[],
        &[("repayments", "3.01", "EUR", "")],
        &[
            "1000.00: 1 2024-02-29 250.00+1.99, 2 2024-03-31 250.00+3.75, 3 2024-04-30 250.00+2.50, 4 2024-05-31 250.00+1.25",
        ],
    ),
    (
        "interest repaid",
        &[INTEREST_ONLY],
        &[("repayments", "12", "EUR", "")],
        &["1000.00: 3 2024-04-30 0.00+3.00, 4 2024-05-31 1000.00+5.00"],
    ),
    (
        "an early repayment",
        &[],
        &[("additional-repayments", "300", "EUR", "Final")],
        &["700.00: 2 2024-03-31 200.00+3.50, 3 2024-04-30 250.00+2.50, 4 2024-05-31 250.00+1.25"],
    ),
    (
        "an early repayment that is a draft",
        &[BULLET],
        &[("additional-repayments", "300", "EUR", "Draft")],
        &["1000.00: 1 2024-05-31 1000.00+20.00"],
    ),
    (
        "an early repayment of a bullet",
        &[BULLET],
        &[("additional-repayments", "400", "EUR", "Final")],
        &["600.00: 1 2024-05-31 600.00+12.00"],
    ),
    (
        "an early repayment where only interest falls due",
        &[INTEREST_ONLY],
        &[("additional-repayments", "400", "EUR", "Final")],
        &["600.00: 1 2024-02-29 0.00+3.00, 2 2024-03-31 0.00+3.00, 3 2024-04-30 0.00+3.00, 4 2024-05-31 600.00+3.00"],
    ),
    (
        "both",
        &[],
        &[("repayments", "255", "EUR", ""), ("additional-repayments", "250", "EUR", "Final")],
        &["500.00: 3 2024-04-30 250.00+2.50, 4 2024-05-31 250.00+1.25"],
    ),
    ("all of it", &[], &[("repayments", "1012.5", "EUR", "")], &["0.00:"]),
    ("all of it early", &[INTEREST_ONLY], &[("additional-repayments", "1000", "EUR", "Final")], &["0.00:"]),
    ("more than all of it", &[], &[("repayments", "1012.51", "EUR", "")], &["0.00:", REPAID_MORE]),
    // Facilities.
    (
        "facilities in their order",
        &[(FACILITIES, TWO_FACILITIES)],
        &[("repayments", "120", "EUR", ""), ("repayments", "10", "CZK", "")],
        &["0.00:", "30.00: 1 2024-02-29 30.00+0.00", "40.00: 1 2024-02-29 40.00+0.00"],
    ),
    (
        "closed",
        &[("status", r#""closed""#), (FACILITIES, TWO_FACILITIES)],
        &[("repayments", "9999", "EUR", "")],
        &["0.00:", "0.00:", "0.00:"],
    ),
    ("draft", &[("status", r#""draft""#), (MONTHS, "1")], &[], &["1000.00: 1 2024-02-29 1000.00+5.00"]),
    ("defaulted", &[("status", r#""defaulted""#), (MONTHS, "1")], &[], &["1000.00: 1 2024-02-29 1000.00+5.00"]),
    // Limits.
    (
        "too much interest",
        &[
            BULLET,
            (MONTHS, "1200"),
            (PERCENTAGE, "100"),
            (AMOUNT, r#"{"amount": 92233720368547758.07, "currency": "EUR"}"#),
        ],
        &[],
        &["! 0 error OUT_OF_RANGE facilities[0]"],
    ),
    (
        "the most there can be",
        &[
            INTEREST_ONLY,
            (MONTHS, "1"),
            (PERCENTAGE, "100"),
            (AMOUNT, r#"{"amount": 92233720368547758.07, "currency": "EUR"}"#),
        ],
        &[],
        &["92233720368547758.07: 1 2024-02-29 92233720368547758.07+7686143364045646.51"],
    ),
    ("beyond the calendar", &[("startDate", r#""9999-11-30""#)], &[], &["! 0 error OUT_OF_RANGE facilities[0]"]),
];

reads! {
    #[serde(rename_all = "camelCase")]
    struct Administration<'a> {
        #[serde(borrow)]
        outstanding_principal: Money<'a>,
        #[serde(borrow)]
        installments: Vec<Installment<'a>>,
    }

    #[serde(rename_all = "camelCase")]
    struct Installment<'a> {
        number: u32,
        due_date: Date,
        #[serde(borrow)]
        principal: Money<'a>,
        #[serde(borrow)]
        interest: Money<'a>,
    }
}

/// Returns a generated record in the form of the expected lines.
fn as_line(line: &str) -> String {
    let administration: Administration = parse(line);
    let installments = administration
        .installments
        .iter()
        .map(|due| format!(" {} {} {}+{}", due.number, due.due_date, due.principal.amount.0, due.interest.amount.0));
    format!("{}:{}", administration.outstanding_principal.amount.0, installments.collect::<Vec<_>>().join(","))
}

/// Returns a harness with these repayments on the agreement.
fn harness(payments: Payments) -> Harness {
    let harness = Harness::new();
    for (entity_type, amount, currency, status) in payments {
        let status = if status.is_empty() { String::new() } else { format!(r#", "status": "{status}""#) };
        let amount = format!(r#""amount": {{"amount": {amount}, "currency": "{currency}"}}"#);
        let agreement = r#""agreementReferenceId": "a0000000-0000-4000-8000-000000000001""#;
        harness.stage(entity_type, &format!("{{{agreement}, {amount}{status}}}"));
    }
    harness
}

#[test]
fn generates_installments_and_outstanding_principal() {
    for (name, edits, payments, expected) in CASES {
        let agreement = edits.iter().fold(AGREEMENT.to_owned(), |record, (path, value)| with(&record, path, value));
        let agreement = agreement.replace('\n', "");
        let harness = harness(payments);
        let made = harness.generate::<Administrate>("payment-administrations", &agreement);
        let (lines, issues) = (made.lines(), made.issues());
        let figures = lines.lines().map(as_line).chain(issues.iter().map(|issue| format!("! {issue}")));
        assert_eq!(figures.collect::<Vec<_>>(), *expected, "{name}");

        // The generated records satisfy the plugin's own rules.
        harness.stage("agreements", &agreement);
        assert_eq!(harness.said::<Administrate>("payment-administrations", true, &made.lines()), "", "{name}");
    }
}

#[test]
fn writes_the_fields_of_a_record_in_order() {
    let agreement = with(&with(AGREEMENT, MONTHS, "1"), AMOUNT, r#"{"amount": 1e1, "currency": "EUR"}"#);
    let made = harness(&[]).generate::<Administrate>("payment-administrations", &agreement);
    let id = harness(&[]).reference_id("payment-administrations", "fa000000-0000-4000-8000-000000000001");
    let expected = [
        &format!(r#"{{"referenceId":"{id}","agreementReferenceId":"a0000000-0000-4000-8000-000000000001","#),
        r#""facilityReferenceId":"fa000000-0000-4000-8000-000000000001","#,
        r#""outstandingPrincipal":{"amount":10.00,"currency":"EUR"},"#,
        r#""installments":[{"number":1,"dueDate":"2024-02-29","principal":{"amount":10.00,"currency":"EUR"},"#,
        r#""interest":{"amount":0.05,"currency":"EUR"}}]}"#,
        "\n",
    ];
    assert_eq!(made.lines(), expected.concat());
}

/// An additional repayment that names its facilities pays these alone. Other repayments pay what is left, in order.
#[test]
fn allocates_repayments_of_facilities() {
    let agreement = with(AGREEMENT, FACILITIES, TWO_FACILITIES).replace('\n', "");
    let last = "50.00: 1 2024-02-29 50.00+0.00";
    let whole = ["100.00: 1 2024-02-29 50.00+0.00, 2 2024-03-31 50.00+0.00", "50.00: 1 2024-02-29 50.00+0.00"];
    // Facility, amount, status, an additional repayment without a facility, and the expected lines.
    let cases = [
        (2, "20", "Final", "0", vec![whole[0], "30.00: 1 2024-02-29 30.00+0.00", last]),
        (2, "20", "Draft", "0", vec![whole[0], whole[1], last]),
        (1, "60", "Final", "50", vec!["0.00:", "40.00: 1 2024-02-29 40.00+0.00", last]),
        (2, "20", "Final", "110", vec!["0.00:", "20.00: 1 2024-02-29 20.00+0.00", last]),
        (2, "51", "Final", "0", vec![whole[0], "0.00:", last, REPAID_MORE]),
    ];
    for (facility, amount, status, other, expected) in cases {
        let payments: Payments = &[("additional-repayments", other, "EUR", "Final")];
        let harness = harness(payments);
        let facility = format!("fa000000-0000-4000-8000-{facility:012}");
        let money = format!(r#"{{"amount": {amount}, "currency": "EUR"}}"#);
        let part = format!(r#"{{"facilityReferenceId": "{facility}", "amount": {money}}}"#);
        let agreement_id = r#""agreementReferenceId": "a0000000-0000-4000-8000-000000000001""#;
        let repayment = format!(r#"{{{agreement_id}, "facilities": [{part}], "status": "{status}"}}"#);
        harness.stage("additional-repayments", &repayment);
        let made = harness.generate::<Administrate>("payment-administrations", &agreement);
        let (lines, issues) = (made.lines(), made.issues());
        let figures = lines.lines().map(as_line).chain(issues.iter().map(|issue| format!("! {issue}")));
        assert_eq!(figures.collect::<Vec<_>>(), expected, "{facility} {amount} {status} {other}");
    }
}

/// An administration that was generated before is generated again. Only an imported administration prevents generation, and
/// a warning says if it states another outstanding principal. In all cases the facility takes its share of the repayments.
#[test]
fn generates_none_for_a_facility_with_an_imported_administration() {
    let agreement = with(AGREEMENT, FACILITIES, TWO_FACILITIES).replace('\n', "");
    let facility = "fa000000-0000-4000-8000-000000000001";
    let derived = harness(&[]).reference_id("payment-administrations", facility).to_string();
    let imported = "ad000000-0000-4000-8000-000000000001".to_owned();
    const DIFFERS: &str = "! 0 warning RULE_VIOLATION/OUTSTANDING_PRINCIPAL_DIFFERS facilities[0]";
    for (id, stated, expected) in [
        (derived, "7", vec!["0.00:", "40.00: 1 2024-02-29 40.00+0.00", "50.00: 1 2024-02-29 50.00+0.00"]),
        (imported.clone(), "0.0", vec!["40.00: 1 2024-02-29 40.00+0.00", "50.00: 1 2024-02-29 50.00+0.00"]),
        (imported, "0.01", vec!["40.00: 1 2024-02-29 40.00+0.00", "50.00: 1 2024-02-29 50.00+0.00", DIFFERS]),
    ] {
        let harness = harness(&[("repayments", "110", "EUR", "")]);
        let stated = format!(r#"{{"amount": {stated}, "currency": "EUR"}}"#);
        let existing = format!(
            r#"{{"referenceId": "{id}", "facilityReferenceId": "{facility}", "outstandingPrincipal": {stated}}}"#
        );
        harness.stage("payment-administrations", &existing);
        let made = harness.generate::<Administrate>("payment-administrations", &agreement);
        let (lines, issues) = (made.lines(), made.issues());
        let figures = lines.lines().map(as_line).chain(issues.iter().map(|issue| format!("! {issue}")));
        assert_eq!(figures.collect::<Vec<_>>(), expected, "{id}");
    }
}

#[test]
fn records_the_origin_of_each_record() {
    let agreements: Vec<String> = (0..250)
        .map(|number| {
            let id = format!(r#""a0000000-0000-4000-8000-{number:012}""#);
            let facility = format!(r#""fa000000-0000-4000-8000-{number:012}""#);
            with(&with(AGREEMENT, "referenceId", &id), "facilities[0].referenceId", &facility)
        })
        .collect();
    let made = harness(&[]).generate::<Administrate>("payment-administrations", &agreements.join("\n"));
    assert_eq!(made.0.produced[0].origins, (0..250).collect::<Vec<u32>>());
    for (record, number) in made.records().iter().zip(0..) {
        assert_eq!(record["agreementReferenceId"], format!("a0000000-0000-4000-8000-{number:012}"));
    }
}
