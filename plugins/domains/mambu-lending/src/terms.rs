//! The terms and the schedule of a facility.

use sluice_sdk::json::{Node, constant, value};
use sluice_sdk::prelude::*;
use sluice_sdk::schedule::{Installment, Method, Terms};
use sluice_sdk::{from_minor_units, minor_units};

use crate::records::{Agreement, Facility};

/// Returns the terms of a facility. Returns none if its amount does not fit in the minor unit of its currency.
pub(crate) fn terms(agreement: &Agreement, facility: &Facility) -> Option<Terms> {
    let (from, delay) = match facility.first_repayment_date {
        Some(first) => (first, -1),
        None => (agreement.start_date, 0),
    };
    Some(Terms {
        principal: minor_units(facility.amount.amount.0, &facility.amount.currency)?,
        percentage: percentage(facility).0,
        months: facility.term_in_months,
        method: facility.repayment_method,
        from,
        delay,
    })
}

/// Returns the interest per year, in per cent.
pub(crate) fn percentage(facility: &Facility) -> Amount {
    facility.interest.as_ref().and_then(|interest| interest.percentage).unwrap_or_default()
}

/// Returns true if Mambu's product creates exactly these installments by default: equal monthly installments without
/// interest. Any other schedule depends on the rounding of the product, so it must be sent.
pub(crate) fn is_default_schedule(facility: &Facility, installments: &[Installment]) -> bool {
    let first = installments.first().map(|installment| installment.principal);
    facility.repayment_method == Method::Linear
        && percentage(facility).0.is_zero()
        && installments.iter().all(|installment| Some(installment.principal) == first)
}

/// Returns the first instant of a day, in UTC.
pub(crate) fn instant(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// Returns minor units as an amount with all fraction digits. Returns none if the currency is unknown.
pub(crate) fn amount(units: i64, currency: &str) -> Option<Node> {
    from_minor_units(units, currency).map(value)
}

/// Returns the body of the call that edits the schedule. Returns none if the currency is unknown.
pub(crate) fn schedule_body(installments: &[Installment], currency: &str) -> Option<Node> {
    let expected =
        |units| Some(Node::Object(vec![("amount", Node::Object(vec![("expected", amount(units, currency)?)]))]));
    let row = |installment: &Installment| {
        Some(Node::Object(vec![
            ("number", constant(installment.number.to_string())),
            ("dueDate", value(instant(installment.due))),
            ("principal", expected(installment.principal)?),
            ("interest", expected(installment.interest)?),
        ]))
    };
    installments.iter().map(row).collect::<Option<_>>().map(Node::List)
}
