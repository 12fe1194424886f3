//! Calls on loan transactions: post, adjust, get, list, search.

use super::loans::unknown;
use super::paging::page;
use super::{ApiCall, json_response, loans, search};
use crate::bank::loan::LoanAccount;
use crate::bank::transaction::{LoanTransaction, NewTransaction};
use crate::error_codes::{INVALID_FEE_KEY, INVALID_TRANSACTION_ID, MambuError};
use crate::http::MockResponse;
use crate::json::{Input, JsonObject};

/// Members of every transaction.
const POSTING: &[&str] =
    &["amount", "bookingDate", "externalId", "notes", "originalCurrencyCode", "transactionDetails", "valueDate"];

/// Additional members of a disbursement.
const DISBURSEMENT: &[&str] = &["fees", "firstRepaymentDate", "shiftAdjustableInterestPeriods", "transferDetails"];

/// Additional members of a fee.
const FEE: &[&str] = &["firstRepaymentDate", "installmentNumber", "predefinedFeeKey"];

/// Additional members of a repayment.
const REPAYMENT: &[&str] =
    &["accountFundingSource", "customPaymentAmounts", "installmentEncodedKey", "prepaymentRecalculationMethod"];

/// Parses a transaction. `also` lists its additional members.
fn posting(call: &ApiCall, also: &[&str]) -> Result<NewTransaction, MambuError> {
    loans::find(call)?;
    let input = Input::read(&call.request.body)?;
    input.allow_only(&[POSTING, also].concat())?;
    input.date_time("bookingDate")?;
    let external_id = input.text("externalId")?;
    let fee_key = input.text("predefinedFeeKey")?;
    if fee_key.as_ref().is_some_and(|key| !call.is_fee(key)) {
        return Err(INVALID_FEE_KEY.at("predefinedFeeKey"));
    }
    Ok(NewTransaction {
        amount: input.amount("amount")?,
        value_date: input.date_time("valueDate")?.unwrap_or_else(|| call.bank.today()),
        external_id: external_id.filter(|id| !id.is_empty()),
        notes: input.text("notes")?,
        first_repayment: input.date_time("firstRepaymentDate")?,
        installment: input.integer("installmentNumber")?,
        fee_key,
    })
}

/// Posts a transaction and returns it.
fn post(
    call: &mut ApiCall,
    posting: &NewTransaction,
    how: impl FnOnce(&mut LoanAccount, u64) -> Result<&LoanTransaction, MambuError>,
) -> Result<MockResponse, MambuError> {
    let posted = call.bank.post(call.id, posting.external_id.as_deref(), how)?;
    json_response(201, &posted.ok_or_else(unknown)?)
}

/// Posts a disbursement.
pub fn disburse(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let posting = posting(call, DISBURSEMENT)?;
    let today = call.bank.today();
    post(call, &posting, |loan, number| loan.disburse(&posting, number, today))
}

/// Posts a fee.
pub fn charge(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let posting = posting(call, FEE)?;
    post(call, &posting, |loan, number| loan.charge(&posting, number))
}

/// Posts a repayment.
pub fn repay(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let posting = posting(call, REPAYMENT)?;
    let today = call.bank.today();
    post(call, &posting, |loan, number| loan.repay(&posting, number, today))
}

/// Adjusts (reverses) a transaction and returns the adjustment.
pub fn adjust(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let (loan, position) = find(call)?;
    let input = if call.request.body.is_empty() { Input::read(b"{}")? } else { Input::read(&call.request.body)? };
    input.allow_only(&["bookingDate", "installments", "notes"])?;
    let notes = input.text("notes")?;
    let posted = call.bank.post(&loan, None, |loan, number| loan.adjust(position, notes, number))?;
    json_response(200, &posted.ok_or_else(unknown)?)
}

/// Returns a transaction.
pub fn get(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let (loan, position) = find(call)?;
    let loan = call.bank.loans.get(&loan).ok_or_else(unknown)?;
    let transaction = loan.transactions.get(position).ok_or_else(|| INVALID_TRANSACTION_ID.status(404))?;
    json_response(200, &transaction.to_json(&loan.key))
}

/// Returns the loan and the position of the transaction of the path.
fn find(call: &ApiCall) -> Result<(String, usize), MambuError> {
    call.bank.find_transaction(call.id).ok_or_else(|| INVALID_TRANSACTION_ID.status(404))
}

/// Returns a page of the transactions of a loan.
pub fn list(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let loan = loans::find(call)?;
    page(call.request, loan.transactions.iter().collect(), |transaction| transaction.to_json(&loan.key))
}

/// Returns a page of transactions that match criteria.
pub fn search(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let criteria = search::read(call.request)?;
    let show = |(loan, transaction): (&LoanAccount, &LoanTransaction)| transaction.to_json(&loan.key);
    // An import often searches by external id. An index finds those.
    let candidates: Vec<JsonObject> = match search::exact_values(&criteria, "externalId") {
        Some(ids) => ids.iter().filter_map(|id| call.bank.transaction_by_external_id(id)).map(show).collect(),
        None => match search::exact_values(&criteria, "parentAccountKey") {
            Some(keys) => {
                let loans = keys.iter().filter_map(|key| call.bank.loans.get(key));
                loans.flat_map(|loan| loan.transactions.iter().map(move |one| show((loan, one)))).collect()
            }
            None => call.bank.all_transactions().map(show).collect(),
        },
    };
    page(call.request, search::select(&criteria, candidates.into_iter())?, Clone::clone)
}
