//! Standing orders and transactions: those that belong to a loan are migrated, the others are skipped.

use std::fmt;

use sluice_sdk::prelude::*;
use sluice_sdk::serde::Deserialize;

use crate::domain::{AdditionalRepayment, DebitMandate, Disbursement, Repayment};
use crate::lending::{agreement_id, facility_id, owner};
use crate::source::{Order, Trans, czk, day, whole_number};

const NOT_A_LOAN_PAYMENT: &str = "BERKA_NOT_A_LOAN_PAYMENT";

/// A payment of a loan. The other two begin the same.
const PAYMENT: &str = "UVER";
/// A payment beyond what was agreed; the real bank has none.
const EARLY: &str = "UVER_MIMO";
/// A loan that is paid out; the real bank has none.
const PAID_OUT: &str = "UVER_VYPLATA";

/// An order that pays a loan needs the loan, and the account's owner.
pub fn order_wants(record: &Record, wanted: &mut Wanted) {
    if let (true, Some(account_id)) = (may_pay_a_loan(record), whole_number(record, "account_id")) {
        wanted.find("loan", "account_id", account_id);
        wanted.find("disp", "account_id", account_id);
    }
}

/// A transaction of a loan needs the loan.
pub fn trans_wants(record: &Record, wanted: &mut Wanted) {
    if let (true, Some(account_id)) = (may_pay_a_loan(record), whole_number(record, "account_id")) {
        wanted.find("loan", "account_id", account_id);
    }
}

/// An order that pays a loan becomes a debit mandate.
pub fn order(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let Some(order) = of_a_loan::<Order>(record)?.filter(|order| order.k_symbol == PAYMENT) else {
        out.skip(NOT_A_LOAN_PAYMENT);
        return Ok(());
    };
    out.put(
        "debit-mandates",
        &DebitMandate {
            reference_id: record.reference_id("debit-mandates", order.order_id),
            agreement_reference_id: agreement_id(record, loan_on(record, order.account_id)?),
            counterparty_reference_id: owner(record, order.account_id)?,
            scheme: "DOMESTIC",
            r#type: "b2c",
            debtor_account: order.account_id,
            amount: czk(order.amount, "amount")?,
        },
    );
    Ok(())
}

/// A transaction of a loan becomes a repayment, an additional repayment or a disbursement.
pub fn trans(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let ours = |trans: &Trans| [PAYMENT, EARLY, PAID_OUT].contains(&&*trans.k_symbol);
    let Some(trans) = of_a_loan::<Trans>(record)?.filter(ours) else {
        out.skip(NOT_A_LOAN_PAYMENT);
        return Ok(());
    };
    let loan = loan_on(record, trans.account_id)?;
    let effective_date = day(trans.date, "date")?;
    let amount = czk(trans.amount, "amount")?;
    let agreement_reference_id = agreement_id(record, &loan);
    match &*trans.k_symbol {
        PAYMENT => {
            let reference_id = record.reference_id("repayments", trans.trans_id);
            out.put("repayments", &Repayment { reference_id, agreement_reference_id, effective_date, amount });
        }
        EARLY => out.put(
            "additional-repayments",
            &AdditionalRepayment {
                reference_id: record.reference_id("additional-repayments", trans.trans_id),
                agreement_reference_id,
                status: "Final",
                r#type: "early-repayment",
                effective_date,
                amount,
            },
        ),
        _ => out.put(
            "disbursements",
            &Disbursement {
                reference_id: record.reference_id("disbursements", trans.trans_id),
                agreement_reference_id,
                facility_reference_id: facility_id(record, &loan),
                effective_date,
                amount,
            },
        ),
    }
    Ok(())
}

/// What a loan is known by. Where an account has none, it is known by the account: that refers to
/// nothing, which is for validation to find.
enum LoanKey {
    Loan(u64),
    NoneOnAccount(u64),
}

impl fmt::Display for LoanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoanKey::Loan(loan_id) => write!(f, "{loan_id}"),
            LoanKey::NoneOnAccount(account_id) => write!(f, "account-{account_id}"),
        }
    }
}

/// The loan on an account. A payment names the account alone, so two loans on it cannot be told apart.
fn loan_on(record: &Record, account_id: u64) -> Result<LoanKey, Finding> {
    let mut loans = record.find("loan", "account_id", account_id);
    match (loans.next(), loans.next()) {
        (None, _) => Ok(LoanKey::NoneOnAccount(account_id)),
        // What has no number was refused itself: nothing can refer to it.
        (Some(loan), None) => {
            whole_number(&loan, "loan_id").map(LoanKey::Loan).ok_or_else(|| finding("UNKNOWN_REFERENCE", "account_id"))
        }
        (Some(_), Some(_)) => Err(finding("BERKA_AMBIGUOUS_LOAN", "account_id")),
    }
}

/// Reads the record whole where it may belong to a loan, or says nothing that is understood; of any other, as most are, it
/// is enough what it is for.
fn of_a_loan<'a, T: Deserialize<'a>>(record: &Record<'a>) -> Result<Option<T>, Finding> {
    if may_pay_a_loan(record) { record.parse().map(Some) } else { Ok(None) }
}

/// Whether its symbol begins as those of a loan do, or is none that a glance can tell.
fn may_pay_a_loan(record: &Record) -> bool {
    let symbol = record.raw("k_symbol").and_then(|symbol| symbol.strip_prefix('"'));
    symbol.is_none_or(|symbol| symbol.starts_with(PAYMENT) || symbol.contains('\\'))
}
