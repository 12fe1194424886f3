//! Calls on existing loan accounts: get, list, search, change of state, patch, schedule, delete.

use rust_decimal::Decimal;

use super::paging::{is_in_branch, page};
use super::{ApiCall, json_response, search};
use crate::bank::MockBank;
use crate::bank::loan::LoanAccount;
use crate::bank::schedule::LoanInstallment;
use crate::error_codes::{
    FIELD_IS_NOT_EDITABLE, INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT, INVALID_AMOUNT, INVALID_DUE_DATE,
    INVALID_INSTALLMENTS, INVALID_LOAN_ACCOUNT_ID, MambuError, NEGATIVE_PRINCIPAL_FOR_INSTALLMENT,
    OPERATION_NOT_ALLOWED_ON_FIELD,
};
use crate::http::MockResponse;
use crate::json::Input;

/// Members of an installment in `PUT …/schedule`.
const INSTALLMENT: &[&str] = &[
    "customSettingDetails",
    "dueDate",
    "encodedKey",
    "expectedClosingBalance",
    "fee",
    "feeDetails",
    "interest",
    "interestAccrued",
    "isPaymentHoliday",
    "lastPaidDate",
    "lastPenaltyAppliedDate",
    "notes",
    "number",
    "parentAccountKey",
    "penalty",
    "principal",
    "repaidDate",
    "state",
];

/// Returns a loan.
pub fn get(call: &ApiCall) -> Result<MockResponse, MambuError> {
    json_response(200, &find(call)?.to_json(call.bank.today()))
}

/// Returns a page of loans.
pub fn list(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let state = call.request.parameter("accountState");
    let holder = call.request.parameter("accountHolderId");
    let holder = holder.map(|id| call.bank.clients.get(&id).map_or(String::new(), |client| client.key.clone()));
    let loans = call.bank.loans.iter().filter(|loan| {
        state.as_ref().is_none_or(|state| loan.state.name() == state)
            && holder.as_ref().is_none_or(|holder| loan.holder == *holder)
            && is_in_branch(call.request, &loan.fields)
    });
    page(call.request, loans.collect(), |loan| loan.to_json(call.bank.today()))
}

/// Returns a page of loans that match criteria.
pub fn search(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let criteria = search::read(call.request)?;
    let loans = call.bank.loans.iter().map(|loan| loan.to_json(call.bank.today()));
    page(call.request, search::select(&criteria, loans)?, Clone::clone)
}

/// Deletes a loan.
pub fn delete(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    find(call)?.check_deletable()?;
    call.bank.remove_loan(call.id);
    Ok(MockResponse::empty(204))
}

/// Executes an action such as `APPROVE`.
pub fn change_state(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let today = call.bank.today();
    let loan = find_mut(call.bank, call.id)?;
    let input = Input::read(&call.request.body)?;
    input.allow_only(&["action", "notes"])?;
    input.text("notes")?;
    let action = input.text("action")?;
    loan.change_state(&input.required("action", action)?)?;
    json_response(200, &loan.to_json(today))
}

/// Changes the settlement account: `[{"op":"ADD","path":"settlementAccountKey","value":"…"}]`.
pub fn patch(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let holder = find(call)?.holder.clone();
    for operation in Input::read_list(&call.request.body)? {
        operation.allow_only(&["op", "path", "value", "from"])?;
        let op = operation.text("op")?;
        let op = operation.required("op", op)?.to_uppercase();
        let path = operation.text("path")?;
        let path = operation.required("path", path)?;
        if path.trim_start_matches('/') != "settlementAccountKey" {
            return Err(FIELD_IS_NOT_EDITABLE.at(path));
        }
        match op.as_str() {
            "ADD" | "REPLACE" => {
                let value = operation.text("value")?;
                let key = call.bank.settlement(&operation.required("value", value)?, &holder)?;
                MockBank::link(find_mut(call.bank, call.id)?, key, op == "REPLACE")?;
            }
            "REMOVE" => find_mut(call.bank, call.id)?.settlement = None,
            _ => return Err(OPERATION_NOT_ALLOWED_ON_FIELD.at(op)),
        }
    }
    Ok(MockResponse::empty(204))
}

/// Returns the schedule of a loan.
pub fn get_schedule(call: &ApiCall) -> Result<MockResponse, MambuError> {
    json_response(200, &find(call)?.schedule_json())
}

/// Replaces the schedule. The body is an array of installments, or `{"installments":[…]}` as returned by
/// [`get_schedule`].
pub fn put_schedule(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let loan = find_mut(call.bank, call.id)?;
    let list = match Input::read(&call.request.body) {
        Ok(schedule) => schedule.objects("installments")?,
        Err(_) => Input::read_list(&call.request.body)?,
    };
    if list.is_empty() {
        return Err(INVALID_INSTALLMENTS.without_source());
    }
    let mut schedule: Vec<LoanInstallment> = Vec::with_capacity(list.len());
    for input in &list {
        input.allow_only(INSTALLMENT)?;
        let due = input.date_time("dueDate")?;
        let due = input.required("dueDate", due)?;
        if schedule.last().is_some_and(|before| before.due_date >= due) {
            return Err(INVALID_DUE_DATE.at(input.source("dueDate")));
        }
        let principal = expected(input, "principal")?;
        let principal = input.required("principal", principal)?;
        if principal < Decimal::ZERO {
            return Err(NEGATIVE_PRINCIPAL_FOR_INSTALLMENT.at(input.source("principal")));
        }
        let interest = expected(input, "interest")?.unwrap_or_default();
        if interest < Decimal::ZERO {
            return Err(INVALID_AMOUNT.at(input.source("interest")));
        }
        for name in ["fee", "penalty"] {
            // Fees and penalties result from transactions.
            if expected(input, name)?.is_some_and(|amount| !amount.is_zero()) {
                return Err(FIELD_IS_NOT_EDITABLE.at(input.source(name)));
            }
        }
        let mut installment = LoanInstallment::new(schedule.len() + 1, due, principal, interest);
        // An installment with a known key replaces the installment with that key.
        if let Some(key) = input.text("encodedKey")?
            && loan.schedule.iter().any(|known| known.key == key)
        {
            installment.key = key;
        }
        schedule.push(installment);
    }
    let principal: Decimal = schedule.iter().map(|installment| installment.principal.expected).sum();
    if principal != loan.terms.amount {
        return Err(INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT.without_source());
    }
    loan.set_schedule(schedule)?;
    json_response(200, &loan.schedule_json())
}

/// Returns the amount of `{"amount":{"expected":…}}`, or of `due` if `expected` is absent.
fn expected(input: &Input, name: &str) -> Result<Option<Decimal>, MambuError> {
    let amount = input.object(name)?.map(|part| part.object("amount")).transpose()?.flatten();
    let Some(amount) = amount else { return Ok(None) };
    let expected = amount.amount("expected")?;
    Ok(expected.or(amount.amount("due")?))
}

/// Returns the loan of the path.
pub fn find<'a>(call: &'a ApiCall) -> Result<&'a LoanAccount, MambuError> {
    call.bank.loans.get(call.id).ok_or_else(unknown)
}

/// Returns the loan with this id or encoded key.
fn find_mut<'a>(bank: &'a mut MockBank, id: &str) -> Result<&'a mut LoanAccount, MambuError> {
    bank.loans.get_mut(id).ok_or_else(unknown)
}

/// Returns the error for an unknown loan.
pub fn unknown() -> MambuError {
    INVALID_LOAN_ACCOUNT_ID.status(404)
}
