//! Generates payment administrations for facilities of imported agreements that have none.
//!
//! The repayments on an agreement are allocated to its facilities in order, separately for each currency. Regular
//! repayments pay the installments of a facility in order, and of each the interest first. Then final additional
//! repayments pay the remaining principals in order. An additional repayment that names its facilities pays these
//! alone. The outstanding principal is the amount of the facility minus the
//! principal repaid. A closed agreement has no outstanding principal.

use std::borrow::Cow;
use std::collections::HashMap;

use sluice_sdk::prelude::*;
use sluice_sdk::{Checked, Generated, Related, from_minor_units, minor_units};

use sluice_sdk::schedule::{Installment, Method, Repaid, Terms};

/// Number of agreements whose repayments are in memory at the same time. Thirty years of monthly repayments for each
/// take about ten megabytes.
const CHUNK_AGREEMENTS: usize = 100;

reads! {
    #[serde(rename_all = "camelCase")]
    struct Agreement<'a> {
        status: Status,
        start_date: Date,
        #[serde(borrow)]
        facilities: Vec<Facility<'a>>,
    }

    #[derive(PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Status {
        Draft,
        Active,
        Closed,
        Defaulted,
    }

    #[serde(rename_all = "camelCase")]
    struct Facility<'a> {
        reference_id: Id,
        #[serde(borrow)]
        amount: Money<'a>,
        interest: Option<Interest>,
        term_in_months: u32,
        repayment_method: Method,
        first_repayment_date: Option<Date>,
    }

    struct Interest {
        percentage: Option<Amount>,
    }

    struct Repayment<'a> {
        /// Amount. An additional repayment may have `facilities` instead.
        #[serde(borrow)]
        amount: Option<Money<'a>>,
        #[serde(borrow)]
        facilities: Option<Vec<RepaidFacility<'a>>>,
        /// Status of an additional repayment. A regular repayment has none.
        status: Option<RepaymentStatus>,
    }

    #[serde(rename_all = "camelCase")]
    struct RepaidFacility<'a> {
        facility_reference_id: Id,
        #[serde(borrow)]
        amount: Money<'a>,
    }

    #[derive(PartialEq)]
    enum RepaymentStatus {
        Draft,
        Final,
    }

    #[serde(rename_all = "camelCase")]
    struct ImportedAdministration<'a> {
        reference_id: Id,
        #[serde(borrow)]
        outstanding_principal: Money<'a>,
    }
}

writes! {
    #[serde(rename_all = "camelCase")]
    struct PaymentAdministration<'a> {
        reference_id: Id,
        agreement_reference_id: Id,
        facility_reference_id: Id,
        outstanding_principal: Money<'a>,
        installments: Vec<WrittenInstallment<'a>>,
    }

    #[serde(rename_all = "camelCase")]
    struct WrittenInstallment<'a> {
        number: u32,
        due_date: Date,
        principal: Money<'a>,
        interest: Money<'a>,
    }
}

/// Generates the payment administrations of these agreements.
pub(crate) fn from_agreements(agreements: &[Checked], out: &mut Generated) {
    for (chunk, agreements) in agreements.chunks(CHUNK_AGREEMENTS).enumerate() {
        let parsed: Vec<Agreement> = agreements.iter().map(Checked::parse).collect();
        let facilities = parsed.iter().flat_map(|agreement| &agreement.facilities);
        let related = RelatedRecords {
            administrations: Related::referring(
                "payment-administrations",
                "facility_reference_id",
                facilities.map(|facility| facility.reference_id),
            ),
            regular: referring("repayments", agreements),
            additional: referring("additional-repayments", agreements),
        };
        for (index, (record, agreement)) in agreements.iter().zip(&parsed).enumerate() {
            out.from_source(chunk * CHUNK_AGREEMENTS + index);
            from_agreement(record, agreement, &related, out);
        }
    }
}

/// Imported records that refer to a chunk of agreements.
struct RelatedRecords {
    /// Payment administrations, by facility.
    administrations: Related,
    /// Regular repayments, by agreement.
    regular: Related,
    /// Additional repayments, by agreement.
    additional: Related,
}

/// Fetches the imported records of an entity type that refer to these agreements.
fn referring(entity_type: &str, agreements: &[Checked]) -> Related {
    Related::referring(entity_type, "agreement_reference_id", agreements.iter().map(|agreement| agreement.id))
}

/// Generates the payment administrations of one agreement.
fn from_agreement(record: &Checked, agreement: &Agreement, imported: &RelatedRecords, out: &mut Generated) {
    let closed = agreement.status == Status::Closed;
    let Repayments { mut by_currency, mut by_facility } =
        if closed { Repayments::default() } else { repaid_on(record.id, imported) };
    for (index, facility) in agreement.facilities.iter().enumerate() {
        let currency = &*facility.amount.currency;
        let mut none = Repaid::default();
        let repaid_in_currency = by_currency.iter_mut().find(|(of, _)| of == currency);
        let repaid = repaid_in_currency.map_or(&mut none, |(_, repaid)| repaid);
        let id = record.reference_id("payment-administrations", facility.reference_id);
        // A facility with an imported administration still takes its share of the repayments.
        let mut administrations = imported.administrations.of::<ImportedAdministration>(facility.reference_id);
        let other = administrations.find(|imported| imported.reference_id != id);
        let own = by_facility.entry(facility.reference_id).or_default();
        let installments = if closed { Some(vec![]) } else { outstanding(agreement, facility, repaid, own) };
        if let Some(other) = other {
            if differs(&other.outstanding_principal, currency, installments.as_deref()) {
                let field = format!("facilities[{index}]");
                out.report(rule("OUTSTANDING_PRINCIPAL_DIFFERS", field).warning());
            }
            continue;
        }
        match installments.and_then(|installments| write(record, facility, id, &installments)) {
            Some(administration) => out.put(&administration),
            None => out.report(finding("OUT_OF_RANGE", format!("facilities[{index}]"))),
        }
    }
    let is_left = by_currency.iter().any(|(_, repaid)| repaid.regular > 0 || repaid.additional > 0);
    if is_left || by_facility.values().any(|own| *own > 0) {
        out.report(rule("REPAID_MORE_THAN_OWED", "facilities").warning());
    }
}

/// Returns true if an outstanding principal differs from the one that would be generated.
fn differs(stated: &Money, currency: &str, installments: Option<&[Installment]>) -> bool {
    let Some(installments) = installments else { return false };
    let generated: i64 = installments.iter().map(|installment| installment.principal).sum();
    stated.currency != currency || minor_units(stated.amount.0, currency) != Some(generated)
}

/// The repayments on an agreement, in minor units.
#[derive(Default)]
struct Repayments {
    /// Repayments that do not name a facility, by currency.
    by_currency: Vec<(String, Repaid)>,
    /// Additional repayments of one facility.
    by_facility: HashMap<Id, i128>,
}

/// Returns the repayments on an agreement.
fn repaid_on(agreement: Id, imported: &RelatedRecords) -> Repayments {
    let mut by_currency: Vec<(String, Repaid)> = vec![];
    let mut by_facility: HashMap<Id, i128> = HashMap::new();
    let units = |money: &Money| i128::from(minor_units(money.amount.0, &money.currency).unwrap_or(0));
    let mut add = |repayment: &Repayment, into: fn(&mut Repaid) -> &mut i128| {
        let Some(money @ Money { currency, .. }) = &repayment.amount else { return };
        let index = by_currency.iter().position(|(of, _)| of == currency).unwrap_or_else(|| {
            by_currency.push((currency.to_string(), Repaid::default()));
            by_currency.len() - 1
        });
        *into(&mut by_currency[index].1) += units(money);
    };
    for repayment in imported.regular.of::<Repayment>(agreement) {
        add(&repayment, |repaid| &mut repaid.regular);
    }
    for repayment in imported.additional.of::<Repayment>(agreement) {
        if repayment.status == Some(RepaymentStatus::Final) {
            add(&repayment, |repaid| &mut repaid.additional);
            for repaid in repayment.facilities.iter().flatten() {
                *by_facility.entry(repaid.facility_reference_id).or_default() += units(&repaid.amount);
            }
        }
    }
    Repayments { by_currency, by_facility }
}

/// Returns the remaining installments of a facility, and subtracts the allocated amounts from `own`, its own additional
/// repayments, and then from `repaid`. Returns none if an amount does not fit in 64 bits or a date is beyond the year
/// 9999.
fn outstanding(
    agreement: &Agreement,
    facility: &Facility,
    repaid: &mut Repaid,
    own: &mut i128,
) -> Option<Vec<Installment>> {
    let (from, delay) = match facility.first_repayment_date {
        Some(first) => (first, -1),
        None => (agreement.start_date, 0),
    };
    let percentage = facility.interest.as_ref().and_then(|interest| interest.percentage).unwrap_or_default();
    let terms = Terms {
        principal: minor_units(facility.amount.amount.0, &facility.amount.currency)?,
        percentage: percentage.0,
        months: facility.term_in_months,
        method: facility.repayment_method,
        from,
        delay,
    };
    let additional = *own + repaid.additional;
    let mut all = Repaid { regular: repaid.regular, additional };
    let installments = terms.remaining(terms.installments()?, &mut all);
    let paid = additional - all.additional;
    let paid_by_own = paid.min(*own);
    *own -= paid_by_own;
    *repaid = Repaid { regular: all.regular, additional: repaid.additional - (paid - paid_by_own) };
    installments
}

/// Returns the payment administration of a facility. Returns none if the currency is unknown.
fn write<'a>(
    record: &Checked,
    facility: &'a Facility,
    id: Id,
    installments: &[Installment],
) -> Option<PaymentAdministration<'a>> {
    let currency = &*facility.amount.currency;
    let money = |units| Some(Money { amount: from_minor_units(units, currency)?, currency: Cow::Borrowed(currency) });
    let due = |installment: &Installment| {
        let (principal, interest) = (money(installment.principal)?, money(installment.interest)?);
        Some(WrittenInstallment { number: installment.number, due_date: installment.due, principal, interest })
    };
    Some(PaymentAdministration {
        reference_id: id,
        agreement_reference_id: record.id,
        facility_reference_id: facility.reference_id,
        outstanding_principal: money(installments.iter().map(|installment| installment.principal).sum())?,
        installments: installments.iter().map(due).collect::<Option<_>>()?,
    })
}
