//! Calls on deposit accounts, limited to the linking of a loan to a settlement account.

use super::paging::page;
use super::{ApiCall, json_response};
use crate::bank::DepositAccount;
use crate::error_codes::{ACCOUNT_ID_ALREADY_IN_USE, INVALID_CLIENT_KEY, INVALID_DEPOSIT_ACCOUNT_ID, MambuError};
use crate::http::MockResponse;
use crate::json::Input;

/// Creates a deposit account.
pub fn create(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let input = Input::read(&call.request.body)?;
    let holder = input.text("accountHolderKey")?;
    if let Some(holder) = &holder
        && call.bank.clients.get(holder).is_none_or(|client| client.key != *holder)
    {
        return Err(INVALID_CLIENT_KEY.at("accountHolderKey"));
    }
    input.text("name")?;
    let id = input.id("id")?.unwrap_or_else(|| call.bank.deposits.free_id("D"));
    if call.bank.deposits.contains(&id) {
        return Err(ACCOUNT_ID_ALREADY_IN_USE.at("id"));
    }
    let deposit = DepositAccount { holder, fields: input.fields, ..DepositAccount::new(&id) };
    let response = json_response(201, &deposit.to_json());
    call.bank.deposits.add(deposit);
    response
}

/// Returns a deposit account.
pub fn get(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let deposit = call.bank.deposits.get(call.id).ok_or_else(|| INVALID_DEPOSIT_ACCOUNT_ID.status(404))?;
    json_response(200, &deposit.to_json())
}

/// Returns a page of deposit accounts.
pub fn list(call: &ApiCall) -> Result<MockResponse, MambuError> {
    page(call.request, call.bank.deposits.iter().collect(), |deposit| deposit.to_json())
}
