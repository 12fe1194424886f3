//! A facility's schedule, and whether the product would make the same one by itself.

use sluice_sdk::json::{Node, constant, value};
use sluice_sdk::prelude::*;
use sluice_sdk::schedule::{Installment, Method, Terms};
use sluice_sdk::{from_minor_units, minor_units};

use crate::records::{Agreement, Facility};

/// What a facility's installments follow from.
pub fn terms(agreement: &Agreement, facility: &Facility) -> Option<Terms> {
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

/// Interest a year, in per cent.
pub fn percentage(facility: &Facility) -> Amount {
    facility.interest.as_ref().and_then(|interest| interest.percentage).unwrap_or_default()
}

/// Whether the product comes to these installments by itself: equal ones, every month, without interest. How it
/// rounds is a matter of the product, so nothing may be left to it.
pub fn made_by_product(facility: &Facility, installments: &[Installment]) -> bool {
    let first = installments.first().map(|installment| installment.principal);
    facility.repayment_method == Method::Linear
        && percentage(facility).0.is_zero()
        && installments.iter().all(|installment| Some(installment.principal) == first)
}

/// A day as the start of it.
pub fn instant(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// So many minor units, with all their digits.
pub fn amount(units: i64, currency: &str) -> Option<Node> {
    from_minor_units(units, currency).map(value)
}

/// The schedule as it is edited.
pub fn edited(installments: &[Installment], currency: &str) -> Option<Node> {
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
