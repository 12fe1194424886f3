//! What must hold between a payment and the agreement that it belongs to. Where the agreement does not
//! exist, that has been reported and nothing follows from it.

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Findings, Related, minor_units};

/// Index into the plugin's tally rules.
const DISBURSED_MORE_THAN_FACILITY: usize = 0;

reads! {
    #[serde(rename_all = "camelCase")]
    struct Payment<'a> {
        agreement_reference_id: Id,
        /// Of a disbursement.
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

pub fn disbursements(records: &[Checked], findings: &mut [Findings]) {
    each(records, findings, |payment, agreement, findings| {
        let wanted = payment.facility_reference_id;
        let Some(facility) = agreement.facilities.iter().find(|facility| Some(facility.reference_id) == wanted) else {
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

pub fn repayments(records: &[Checked], findings: &mut [Findings]) {
    each(records, findings, |payment, agreement, findings| {
        if agreement.facilities.iter().all(|facility| facility.amount.currency != payment.amount.currency) {
            findings.report(rule("CURRENCY_DIFFERS_FROM_AGREEMENT", "amount.currency"));
        }
    });
}

/// Applies a rule to each payment whose agreement exists, beside the one that holds for all of them.
fn each(records: &[Checked], findings: &mut [Findings], check: impl Fn(&Payment, &Agreement, &mut Findings)) {
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
