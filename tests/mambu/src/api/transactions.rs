//! Loan transactions: posted, taken back, looked up.

use super::loans::unknown;
use super::paging::page;
use super::{Call, loans, search, shown};
use crate::bank::loan::Loan;
use crate::bank::transaction::{Posting, Transaction};
use crate::error_codes::{INVALID_FEE_KEY, INVALID_TRANSACTION_ID, Refusal};
use crate::http::Answer;
use crate::json::{Fields, Input};

/// What all postings may have.
const POSTING: &[&str] =
    &["amount", "bookingDate", "externalId", "notes", "originalCurrencyCode", "transactionDetails", "valueDate"];

const DISBURSEMENT: &[&str] = &["fees", "firstRepaymentDate", "shiftAdjustableInterestPeriods", "transferDetails"];

const FEE: &[&str] = &["firstRepaymentDate", "installmentNumber", "predefinedFeeKey"];

const REPAYMENT: &[&str] =
    &["accountFundingSource", "customPaymentAmounts", "installmentEncodedKey", "prepaymentRecalculationMethod"];

fn posting(call: &Call, also: &[&str]) -> Result<Posting, Refusal> {
    loans::find(call)?;
    let input = Input::read(&call.request.body)?;
    input.only(&[POSTING, also].concat())?;
    input.date_time("bookingDate")?;
    let external_id = input.text("externalId")?;
    let fee_key = input.text("predefinedFeeKey")?;
    if fee_key.as_ref().is_some_and(|key| !call.is_fee(key)) {
        return Err(INVALID_FEE_KEY.at("predefinedFeeKey"));
    }
    Ok(Posting {
        amount: input.amount("amount")?,
        value_date: input.date_time("valueDate")?.unwrap_or_else(|| call.bank.today()),
        external_id: external_id.filter(|id| !id.is_empty()),
        notes: input.text("notes")?,
        first_repayment: input.date_time("firstRepaymentDate")?,
        installment: input.integer("installmentNumber")?,
        fee_key,
    })
}

fn post(
    call: &mut Call,
    posting: &Posting,
    how: impl FnOnce(&mut Loan, u64) -> Result<&Transaction, Refusal>,
) -> Result<Answer, Refusal> {
    let posted = call.bank.post(call.id, posting.external_id.as_deref(), how)?;
    shown(201, &posted.ok_or_else(unknown)?)
}

pub fn disburse(call: &mut Call) -> Result<Answer, Refusal> {
    let posting = posting(call, DISBURSEMENT)?;
    let today = call.bank.today();
    post(call, &posting, |loan, number| loan.disburse(&posting, number, today))
}

pub fn charge(call: &mut Call) -> Result<Answer, Refusal> {
    let posting = posting(call, FEE)?;
    post(call, &posting, |loan, number| loan.charge(&posting, number))
}

pub fn repay(call: &mut Call) -> Result<Answer, Refusal> {
    let posting = posting(call, REPAYMENT)?;
    let today = call.bank.today();
    post(call, &posting, |loan, number| loan.repay(&posting, number, today))
}

/// Takes a transaction back, and answers with the transaction that does.
pub fn adjust(call: &mut Call) -> Result<Answer, Refusal> {
    let (loan, place) = find(call)?;
    let input = if call.request.body.is_empty() { Input::read(b"{}")? } else { Input::read(&call.request.body)? };
    input.only(&["bookingDate", "installments", "notes"])?;
    let notes = input.text("notes")?;
    let posted = call.bank.post(&loan, None, |loan, number| loan.adjust(place, notes, number))?;
    shown(200, &posted.ok_or_else(unknown)?)
}

pub fn get(call: &Call) -> Result<Answer, Refusal> {
    let (loan, place) = find(call)?;
    let loan = call.bank.loans.get(&loan).ok_or_else(unknown)?;
    let transaction = loan.transactions.get(place).ok_or_else(|| INVALID_TRANSACTION_ID.status(404))?;
    shown(200, &transaction.shown(&loan.key))
}

fn find(call: &Call) -> Result<(String, usize), Refusal> {
    call.bank.find_transaction(call.id).ok_or_else(|| INVALID_TRANSACTION_ID.status(404))
}

pub fn of_loan(call: &Call) -> Result<Answer, Refusal> {
    let loan = loans::find(call)?;
    page(call.request, loan.transactions.iter().collect(), |transaction| transaction.shown(&loan.key))
}

pub fn search(call: &Call) -> Result<Answer, Refusal> {
    let criteria = search::read(call.request)?;
    let show = |(loan, transaction): (&Loan, &Transaction)| transaction.shown(&loan.key);
    // External ids are what an import asks by, again and again: those are found by their index.
    let candidates: Vec<Fields> = match search::exactly(&criteria, "externalId") {
        Some(ids) => ids.iter().filter_map(|id| call.bank.by_external_id(id)).map(show).collect(),
        None => match search::exactly(&criteria, "parentAccountKey") {
            Some(keys) => {
                let loans = keys.iter().filter_map(|key| call.bank.loans.get(key));
                loans.flat_map(|loan| loan.transactions.iter().map(move |one| show((loan, one)))).collect()
            }
            None => call.bank.all_transactions().map(show).collect(),
        },
    };
    page(call.request, search::found(&criteria, candidates.into_iter())?, Clone::clone)
}
