//! What must hold between the fields of an agreement, and between it and its borrowers.

use std::collections::HashSet;

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Findings, Related};

/// Index into the plugin's tally rules.
const FACILITY_IN_TWO_AGREEMENTS: usize = 0;

/// Years of age from which a person may borrow.
const ADULT: i16 = 18;

reads! {
    #[serde(rename_all = "camelCase")]
    pub struct Agreement {
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

pub fn of_record(agreement: &Agreement, findings: &mut Findings) {
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

pub fn of_migration(records: &[Checked], findings: &mut [Findings]) {
    let agreements: Vec<Agreement> = records.iter().map(Checked::parse).collect();
    let borrowers = agreements.iter().flat_map(|agreement| &agreement.borrowers);
    let counterparties = Related::read("counterparties", borrowers.map(|borrower| borrower.counterparty_reference_id));

    for (agreement, findings) in agreements.iter().zip(findings) {
        let mut seen = HashSet::new();
        for facility in &agreement.facilities {
            // Twice in one agreement is an issue of its own.
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

/// Whether someone born on `birth` has had the birthday that counts by `day`. Who was born on 29 February
/// has it on 1 March where there is no such day.
fn is_adult(birth: Date, day: Date) -> bool {
    (day.year(), day.month(), day.day()) >= (birth.year() + ADULT, birth.month(), birth.day())
}
