//! Deposit accounts: no more than a loan needs to be linked to one.

use super::paging::page;
use super::{Call, shown};
use crate::bank::Deposit;
use crate::error_codes::{ACCOUNT_ID_ALREADY_IN_USE, INVALID_CLIENT_KEY, INVALID_DEPOSIT_ACCOUNT_ID, Refusal};
use crate::http::Answer;
use crate::json::Input;

pub fn create(call: &mut Call) -> Result<Answer, Refusal> {
    let input = Input::read(&call.request.body)?;
    let holder = input.text("accountHolderKey")?;
    if let Some(holder) = &holder
        && call.bank.clients.get(holder).is_none_or(|client| client.key != *holder)
    {
        return Err(INVALID_CLIENT_KEY.at("accountHolderKey"));
    }
    input.text("name")?;
    let id = input.id("id")?.unwrap_or_else(|| call.bank.deposits.free_id("D"));
    if call.bank.deposits.has(&id) {
        return Err(ACCOUNT_ID_ALREADY_IN_USE.at("id"));
    }
    let deposit = Deposit { holder, fields: input.fields, ..Deposit::new(&id) };
    let answer = shown(201, &deposit.shown());
    call.bank.deposits.add(deposit);
    answer
}

pub fn get(call: &Call) -> Result<Answer, Refusal> {
    let deposit = call.bank.deposits.get(call.id).ok_or_else(|| INVALID_DEPOSIT_ACCOUNT_ID.status(404))?;
    shown(200, &deposit.shown())
}

pub fn list(call: &Call) -> Result<Answer, Refusal> {
    page(call.request, call.bank.deposits.iter().collect(), |deposit| deposit.shown())
}
