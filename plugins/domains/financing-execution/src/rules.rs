//! Rules between a payment and its agreement. A payment whose agreement does not exist is skipped, because the unknown
//! reference has been reported.

use std::borrow::Cow;
use std::collections::HashSet;

use sluice_sdk::identifiers::IdentifierKind;
use sluice_sdk::prelude::*;
use sluice_sdk::serde::de::IgnoredAny;
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
        /// Amount. An additional repayment may have `facilities` instead.
        #[serde(borrow)]
        amount: Option<Money<'a>>,
        #[serde(borrow)]
        facilities: Option<Vec<RepaidFacility<'a>>>,
    }

    #[serde(rename_all = "camelCase")]
    struct RepaidFacility<'a> {
        facility_reference_id: Id,
        #[serde(borrow)]
        amount: Money<'a>,
    }

    /// The amounts of an additional repayment.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct RepaidAmounts {
        amount: Option<IgnoredAny>,
        facilities: Option<Vec<RepaidFacilityId>>,
    }

    #[serde(rename_all = "camelCase")]
    struct RepaidFacilityId {
        facility_reference_id: Id,
    }

    /// The account of a debit mandate.
    #[serde(rename_all = "camelCase")]
    pub(crate) struct Account<'a> {
        #[serde(borrow)]
        scheme: Cow<'a, str>,
        #[serde(borrow)]
        debtor_account: Cow<'a, str>,
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

/// Checks that an additional repayment has either an amount or amounts of facilities, so that sums do not count it
/// twice, and that no facility occurs twice.
pub(crate) fn check_amounts(repayment: &RepaidAmounts, findings: &mut Findings) {
    let Some(facilities) = &repayment.facilities else { return };
    if repayment.amount.is_some() {
        findings.report(rule("AMOUNT_AND_FACILITIES", "amount"));
    }
    let mut seen = HashSet::new();
    for (index, facility) in facilities.iter().enumerate() {
        if !seen.insert(facility.facility_reference_id) {
            findings.report(rule("FACILITY_TWICE", format!("facilities[{index}].facilityReferenceId")));
        }
    }
}

/// Checks that the account of a SEPA mandate is an IBAN.
pub(crate) fn check_account(mandate: &Account, findings: &mut Findings) {
    if mandate.scheme == "SEPA"
        && let Err(error) = IdentifierKind::Iban.check(&mandate.debtor_account)
    {
        findings.report(finding(error.code(), "debtorAccount"));
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
        let Some(paid) = &payment.amount else { return };
        if paid.currency != facility.amount.currency {
            return findings.report(rule("CURRENCY_DIFFERS_FROM_FACILITY", "amount.currency"));
        }
        let minor = |money: &Money| minor_units(money.amount.0, &money.currency);
        match (minor(paid), minor(&facility.amount)) {
            (Some(amount), Some(limit)) => {
                findings.tally(DISBURSED_MORE_THAN_FACILITY, facility.reference_id, amount, limit);
            }
            _ => findings.report(finding("OUT_OF_RANGE", "amount.amount")),
        }
    });
}

/// Checks that the agreement has a facility in the currency of the repayment, and the facilities that the repayment names
/// in their currencies.
pub(crate) fn check_repayments(records: &[Checked], findings: &mut [Findings]) {
    check_payments(records, findings, |payment, agreement, findings| {
        if let Some(paid) = &payment.amount
            && agreement.facilities.iter().all(|facility| facility.amount.currency != paid.currency)
        {
            findings.report(rule("CURRENCY_DIFFERS_FROM_AGREEMENT", "amount.currency"));
        }
        for (index, repaid) in payment.facilities.iter().flatten().enumerate() {
            let id = repaid.facility_reference_id;
            match agreement.facilities.iter().find(|facility| facility.reference_id == id) {
                None => {
                    findings.report(finding("UNKNOWN_REFERENCE", format!("facilities[{index}].facilityReferenceId")));
                }
                Some(facility) if facility.amount.currency != repaid.amount.currency => {
                    let field = format!("facilities[{index}].amount.currency");
                    findings.report(rule("CURRENCY_DIFFERS_FROM_FACILITY", field));
                }
                Some(_) => {}
            }
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
