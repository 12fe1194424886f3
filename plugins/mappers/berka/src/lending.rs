//! Mapping of loans to agreements with one facility each.

use std::fmt::Display;

use sluice_sdk::prelude::*;

use crate::domain::{Agreement, Borrower, Facility};
use crate::source::{Disp, Loan, czk, day, digits};

/// Requests the holders of the loan's account, because the owner of the account is the borrower.
pub(crate) fn loan_lookups(record: &Record, wanted: &mut Wanted) {
    if let Some(account_id) = digits(record, "account_id") {
        wanted.find("disp", "account_id", account_id);
    }
}

/// Maps a loan to an agreement. The bank charges no interest (payment × duration is the amount), so repayment is
/// linear.
pub(crate) fn map_loan(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let loan: Loan = record.parse()?;
    let start_date = day(loan.date, "date")?;
    let facility = Facility {
        reference_id: facility_id(record, loan.loan_id),
        amount: czk(loan.amount, "amount")?,
        term_in_months: loan.duration,
        repayment_method: "linear",
        first_repayment_date: months_after(start_date, 1),
        withdrawal: "single",
    };
    let borrower = Borrower { counterparty_reference_id: owner(record)?, role: "main" };
    out.put(
        "agreements",
        &Agreement {
            reference_id: agreement_id(record, loan.loan_id),
            agreement_number: loan.loan_id,
            status: status(&loan.status).ok_or_else(|| invalid("status"))?,
            start_date,
            borrowers: [borrower],
            facilities: [facility],
        },
    );
    Ok(())
}

/// Returns the reference id of a loan's agreement.
pub(crate) fn agreement_id(record: &Record, loan_id: impl Display) -> Id {
    record.reference_id("agreements", loan_id)
}

/// Returns the reference id of a loan's only facility.
pub(crate) fn facility_id(record: &Record, loan_id: impl Display) -> Id {
    record.reference_id("facilities", loan_id)
}

/// Returns the reference id of the client who owns the record's account. An account without an owner gives the issue
/// `UNKNOWN_REFERENCE` at `account_id`.
pub(crate) fn owner(record: &Record) -> Result<Id, Finding> {
    let mut holders = record.find("disp", "account_id", digits(record, "account_id").unwrap_or_default());
    let owner = holders.find_map(|disp| disp.parse::<Disp>().ok().filter(|disp| disp.r#type == "OWNER"));
    let owner = owner.ok_or_else(|| finding("UNKNOWN_REFERENCE", "account_id"))?;
    Ok(record.reference_id("counterparties", owner.client_id))
}

/// Returns the status of an agreement for the bank's status of a loan. A borrower who did not pay as agreed is in
/// default, whether the contract has ended (`B`) or still runs (`D`). Closing `B` would lose the outstanding debt.
fn status(status: &str) -> Option<&'static str> {
    match status {
        "A" => Some("closed"),
        "B" | "D" => Some("defaulted"),
        "C" => Some("active"),
        _ => None,
    }
}
