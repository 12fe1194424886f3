//! Rules between the amounts of a payment administration, and between it and its agreement.

use std::collections::HashSet;

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Findings, Related};

reads! {
    /// The fields of a payment administration that the rules read.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct PaymentAdministration<'a> {
        agreement_reference_id: Id,
        facility_reference_id: Id,
        #[serde(borrow)]
        outstanding_principal: Money<'a>,
        #[serde(borrow)]
        installments: Option<Vec<Installment<'a>>>,
    }

    struct Installment<'a> {
        number: u32,
        #[serde(borrow)]
        principal: Money<'a>,
        #[serde(borrow)]
        interest: Money<'a>,
    }

    struct Agreement<'a> {
        #[serde(borrow)]
        facilities: Vec<Facility<'a>>,
    }

    #[serde(rename_all = "camelCase")]
    struct Facility<'a> {
        reference_id: Id,
        #[serde(borrow)]
        amount: Money<'a>,
    }
}

/// Checks that installment numbers are unique, that all amounts have the currency of the outstanding principal, and
/// that the principals of the installments add up to it. A record without `installments` passes. An empty list stands
/// for an outstanding principal of zero.
pub(crate) fn check_record(record: &PaymentAdministration, findings: &mut Findings) {
    let Some(installments) = &record.installments else { return };
    let outstanding = &record.outstanding_principal;
    let mut numbers = HashSet::new();
    let mut currencies_agree = true;
    for (index, installment) in installments.iter().enumerate() {
        if !numbers.insert(installment.number) {
            findings.report(rule("INSTALLMENT_TWICE", format!("installments[{index}].number")));
        }
        for (name, money) in [("principal", &installment.principal), ("interest", &installment.interest)] {
            if money.currency != outstanding.currency {
                currencies_agree = false;
                let field = format!("installments[{index}].{name}.currency");
                findings.report(rule("CURRENCY_DIFFERS_FROM_PRINCIPAL", field));
            }
        }
    }
    let principals = installments.iter().map(|installment| installment.principal.amount.0);
    let sum = principals.into_iter().try_fold(Decimal::ZERO, Decimal::checked_add);
    if currencies_agree && sum != Some(outstanding.amount.0) {
        findings.report(rule("INSTALLMENTS_DIFFER_FROM_PRINCIPAL", "installments"));
    }
}

/// Index of the rule that a facility has at most one payment administration.
const ADMINISTRATION_TWICE: usize = 0;

/// Checks that the facility belongs to the agreement, has the currency of the outstanding principal, and has no other
/// administration.
pub(crate) fn check_migration(records: &[Checked], findings: &mut [Findings]) {
    let parsed: Vec<PaymentAdministration> = records.iter().map(Checked::parse).collect();
    let agreements = Related::read("agreements", parsed.iter().map(|record| record.agreement_reference_id));
    for (record, findings) in parsed.iter().zip(findings) {
        findings.tally(ADMINISTRATION_TWICE, record.facility_reference_id, 1, 1);
        let Some(agreement) = agreements.of::<Agreement>(record.agreement_reference_id).next() else { continue };
        let facility_id = record.facility_reference_id;
        match agreement.facilities.iter().find(|facility| facility.reference_id == facility_id) {
            None => findings.report(finding("UNKNOWN_REFERENCE", "facilityReferenceId")),
            Some(facility) if facility.amount.currency != record.outstanding_principal.currency => {
                findings.report(rule("CURRENCY_DIFFERS_FROM_FACILITY", "outstandingPrincipal.currency"));
            }
            Some(_) => {}
        }
    }
}
