//! Rules between the fields of an agreement, and between it and its borrowers.

use std::collections::HashSet;

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Findings, Related};

/// Index of the rule in the plugin's tally rules.
const FACILITY_IN_TWO_AGREEMENTS: usize = 0;

/// Minimum age of a borrower, in years.
const ADULT_AGE: i16 = 18;

reads! {
    /// The fields of an agreement that the rules read.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Agreement {
        start_date: Date,
        borrowers: Vec<Borrower>,
        facilities: Vec<Facility>,
    }

    #[serde(rename_all = "camelCase")]
    struct Borrower {
        counterparty_reference_id: Id,
        role: Role,
    }

    #[derive(PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Role {
        Main,
        Co,
    }

    #[serde(rename_all = "camelCase")]
    struct Facility {
        reference_id: Id,
        first_repayment_date: Option<Date>,
    }

    #[serde(rename_all = "camelCase")]
    struct Counterparty {
        birth_date: Option<Date>,
    }
}

/// Checks that there is exactly one main borrower, that no borrower or facility occurs twice, and that no first
/// repayment is before the start of the agreement.
pub(crate) fn check_record(agreement: &Agreement, findings: &mut Findings) {
    if agreement.borrowers.iter().filter(|borrower| borrower.role == Role::Main).count() != 1 {
        findings.report(rule("EXACTLY_ONE_MAIN_BORROWER", "borrowers"));
    }
    let mut seen = HashSet::new();
    for (index, borrower) in agreement.borrowers.iter().enumerate() {
        if !seen.insert(borrower.counterparty_reference_id) {
            findings.report(rule("BORROWER_TWICE", format!("borrowers[{index}].counterpartyReferenceId")));
        }
    }
    seen.clear();
    for (index, facility) in agreement.facilities.iter().enumerate() {
        if !seen.insert(facility.reference_id) {
            findings.report(rule("FACILITY_TWICE", format!("facilities[{index}].referenceId")));
        }
        if facility.first_repayment_date.is_some_and(|first| first < agreement.start_date) {
            findings.report(rule("BEFORE_AGREEMENT_START", format!("facilities[{index}].firstRepaymentDate")));
        }
    }
}

/// Warns of borrowers under age at the start of the agreement. Adds a tally for each facility, so that no facility
/// occurs in two agreements.
pub(crate) fn check_migration(records: &[Checked], findings: &mut [Findings]) {
    let agreements: Vec<Agreement> = records.iter().map(Checked::parse).collect();
    let borrowers = agreements.iter().flat_map(|agreement| &agreement.borrowers);
    let counterparties = Related::read("counterparties", borrowers.map(|borrower| borrower.counterparty_reference_id));

    for (agreement, findings) in agreements.iter().zip(findings) {
        let mut seen = HashSet::new();
        for facility in &agreement.facilities {
            // A facility that occurs twice in one agreement counts once, because `check_record` reports it.
            if seen.insert(facility.reference_id) {
                findings.tally(FACILITY_IN_TWO_AGREEMENTS, facility.reference_id, 1, 1);
            }
        }
        for (index, borrower) in agreement.borrowers.iter().enumerate() {
            let known = counterparties.of::<Counterparty>(borrower.counterparty_reference_id).next();
            let birth = known.and_then(|counterparty| counterparty.birth_date);
            if birth.is_some_and(|birth| !is_adult(birth, agreement.start_date)) {
                let field = format!("borrowers[{index}].counterpartyReferenceId");
                findings.report(rule("BORROWER_UNDER_AGE", field).warning());
            }
        }
    }
}

/// Returns true if a person born on `birth` is an adult on `day`. A person born on 29 February has the birthday on 1
/// March in a year without that day.
fn is_adult(birth: Date, day: Date) -> bool {
    (day.year(), day.month(), day.day()) >= (birth.year() + ADULT_AGE, birth.month(), birth.day())
}
