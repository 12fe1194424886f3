//! Mapping of standing orders and transactions. Those of a loan are migrated, and the others are skipped.

use std::fmt;

use sluice_sdk::prelude::*;
use sluice_sdk::serde::Deserialize;

use crate::domain::{AdditionalRepayment, DebitMandate, Disbursement, Repayment};
use crate::lending::{agreement_id, facility_id, owner};
use crate::source::{Order, Trans, czk, day, digits, whole_number};

const NOT_A_LOAN_PAYMENT: &str = "BERKA_NOT_A_LOAN_PAYMENT";

/// Symbol of a regular payment on a loan. It is a prefix of the other two symbols.
const PAYMENT: &str = "UVER";
/// Symbol of an additional payment on a loan. Only the synthetic bank has it.
const EARLY_PAYMENT: &str = "UVER_MIMO";
/// Symbol of the disbursement of a loan. Only the synthetic bank has it.
const DISBURSEMENT: &str = "UVER_VYPLATA";

/// Requests the loan and the holders of the account, for an order that may pay a loan.
pub(crate) fn order_lookups(record: &Record, wanted: &mut Wanted) {
    if let (true, Some(account_id)) = (may_pay_a_loan(record), digits(record, "account_id")) {
        wanted.find("loan", "account_id", account_id);
        wanted.find("disp", "account_id", account_id);
    }
}

/// Requests the loan, for a transaction that may belong to one.
pub(crate) fn trans_lookups(record: &Record, wanted: &mut Wanted) {
    if let (true, Some(account_id)) = (may_pay_a_loan(record), digits(record, "account_id")) {
        wanted.find("loan", "account_id", account_id);
    }
}

/// Maps an order that pays a loan to a debit mandate. Skips any other order.
pub(crate) fn map_order(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let Some(order) = parse_loan_payment::<Order>(record)?.filter(|order| order.k_symbol == PAYMENT) else {
        out.skip(NOT_A_LOAN_PAYMENT);
        return Ok(());
    };
    out.put(
        "debit-mandates",
        &DebitMandate {
            reference_id: record.reference_id("debit-mandates", order.order_id),
            agreement_reference_id: agreement_id(record, loan_on(record, order.account_id)?),
            counterparty_reference_id: owner(record)?,
            scheme: "DOMESTIC",
            r#type: "b2c",
            debtor_account: order.account_id,
            amount: czk(order.amount, "amount")?,
        },
    );
    Ok(())
}

/// Maps a transaction of a loan to a repayment, an additional repayment or a disbursement. Skips any other transaction.
pub(crate) fn map_trans(record: &Record, out: &mut Output) -> Result<(), Finding> {
    let is_loan_payment = |trans: &Trans| [PAYMENT, EARLY_PAYMENT, DISBURSEMENT].contains(&&*trans.k_symbol);
    let Some(trans) = parse_loan_payment::<Trans>(record)?.filter(is_loan_payment) else {
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
        EARLY_PAYMENT => out.put(
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

/// The natural key of a loan.
enum LoanKey {
    /// The loan's own key.
    Loan(u64),
    /// The key of an account that has no loan. It refers to no record, so validation reports the unknown reference.
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

/// Returns the key of the loan on an account. A payment names only the account, so it cannot be assigned if the account
/// has two loans: that gives the issue `BERKA_AMBIGUOUS_LOAN`.
fn loan_on(record: &Record, account_id: u64) -> Result<LoanKey, Finding> {
    let mut loans = record.find("loan", "account_id", digits(record, "account_id").unwrap_or_default());
    match (loans.next(), loans.next()) {
        (None, _) => Ok(LoanKey::NoneOnAccount(account_id)),
        // A loan without a readable key was rejected, so no record can refer to it.
        (Some(loan), None) => {
            whole_number(&loan, "loan_id").map(LoanKey::Loan).ok_or_else(|| finding("UNKNOWN_REFERENCE", "account_id"))
        }
        (Some(_), Some(_)) => Err(finding("BERKA_AMBIGUOUS_LOAN", "account_id")),
    }
}

/// Reads a record that may belong to a loan. Returns none for any other record. Most records do not belong to a loan,
/// and their symbol suffices to skip them.
fn parse_loan_payment<'a, T: Deserialize<'a>>(record: &Record<'a>) -> Result<Option<T>, Finding> {
    if may_pay_a_loan(record) { record.parse().map(Some) } else { Ok(None) }
}

/// Returns true if the record's symbol is that of a loan payment, or cannot be decided without parsing the record.
fn may_pay_a_loan(record: &Record) -> bool {
    let symbol = record.raw("k_symbol").and_then(|symbol| symbol.strip_prefix('"'));
    symbol.is_none_or(|symbol| symbol.starts_with(PAYMENT) || symbol.contains('\\'))
}
