//! Rules between a payment and its agreement. A payment whose agreement does not exist is skipped, because the unknown
//! reference has been reported.

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Findings, Related, minor_units};

/// Index of the rule in the plugin's tally rules.
const DISBURSED_MORE_THAN_FACILITY: usize = 0;

reads! {
    #[serde(rename_all = "camelCase")]
    struct Payment<'a> {
        agreement_reference_id: Id,
        /// Facility of a disbursement. A repayment has none.
        facility_reference_id: Option<Id>,
        effective_date: Date,
        #[serde(borrow)]
        amount: Money<'a>,
    }

    #[serde(rename_all = "camelCase")]
    struct Agreement<'a> {
        start_date: Date,
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

/// Checks that the facility of a disbursement belongs to the agreement and has the same currency. Adds a tally, so that
/// the disbursements of a facility do not exceed its amount.
pub(crate) fn check_disbursements(records: &[Checked], findings: &mut [Findings]) {
    check_payments(records, findings, |payment, agreement, findings| {
        let facility_id = payment.facility_reference_id;
        let Some(facility) = agreement.facilities.iter().find(|facility| Some(facility.reference_id) == facility_id)
        else {
            return findings.report(finding("UNKNOWN_REFERENCE", "facilityReferenceId"));
        };
        if payment.amount.currency != facility.amount.currency {
            return findings.report(rule("CURRENCY_DIFFERS_FROM_FACILITY", "amount.currency"));
        }
        let minor = |money: &Money| minor_units(money.amount.0, &money.currency);
        match (minor(&payment.amount), minor(&facility.amount)) {
            (Some(amount), Some(limit)) => {
                findings.tally(DISBURSED_MORE_THAN_FACILITY, facility.reference_id, amount, limit);
            }
            _ => findings.report(finding("OUT_OF_RANGE", "amount.amount")),
        }
    });
}

/// Checks that the agreement has a facility in the currency of the repayment.
pub(crate) fn check_repayments(records: &[Checked], findings: &mut [Findings]) {
    check_payments(records, findings, |payment, agreement, findings| {
        if agreement.facilities.iter().all(|facility| facility.amount.currency != payment.amount.currency) {
            findings.report(rule("CURRENCY_DIFFERS_FROM_AGREEMENT", "amount.currency"));
        }
    });
}

/// Applies a rule to each payment whose agreement exists. Checks also that no payment is before the start of the
/// agreement, which holds for all payments.
fn check_payments(records: &[Checked], findings: &mut [Findings], check: impl Fn(&Payment, &Agreement, &mut Findings)) {
    let payments: Vec<Payment> = records.iter().map(Checked::parse).collect();
    let agreements = Related::read("agreements", payments.iter().map(|payment| payment.agreement_reference_id));
    for (payment, findings) in payments.iter().zip(findings) {
        let Some(agreement) = agreements.of::<Agreement>(payment.agreement_reference_id).next() else { continue };
        if payment.effective_date < agreement.start_date {
            findings.report(rule("BEFORE_AGREEMENT_START", "effectiveDate"));
        }
        check(payment, &agreement, findings);
    }
}
