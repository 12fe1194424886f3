//! Loan accounts that exist: shown, listed, moved through their states, changed, deleted.

use rust_decimal::Decimal;

use super::paging::{of_branch, page};
use super::{Call, search, shown};
use crate::bank::Bank;
use crate::bank::loan::Loan;
use crate::bank::schedule::Installment;
use crate::error_codes::{
    FIELD_IS_NOT_EDITABLE, INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT, INVALID_AMOUNT, INVALID_DUE_DATE,
    INVALID_INSTALLMENTS, INVALID_LOAN_ACCOUNT_ID, NEGATIVE_PRINCIPAL_FOR_INSTALLMENT, OPERATION_NOT_ALLOWED_ON_FIELD,
    Refusal,
};
use crate::http::Answer;
use crate::json::Input;

/// What an installment may be set from.
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

pub fn get(call: &Call) -> Result<Answer, Refusal> {
    shown(200, &find(call)?.shown(call.bank.today()))
}

pub fn list(call: &Call) -> Result<Answer, Refusal> {
    let state = call.request.parameter("accountState");
    let holder = call.request.parameter("accountHolderId");
    let holder = holder.map(|id| call.bank.clients.get(&id).map_or(String::new(), |client| client.key.clone()));
    let loans = call.bank.loans.iter().filter(|loan| {
        state.as_ref().is_none_or(|state| loan.state.word() == state)
            && holder.as_ref().is_none_or(|holder| loan.holder == *holder)
            && of_branch(call.request, &loan.fields)
    });
    page(call.request, loans.collect(), |loan| loan.shown(call.bank.today()))
}

pub fn search(call: &Call) -> Result<Answer, Refusal> {
    let criteria = search::read(call.request)?;
    let loans = call.bank.loans.iter().map(|loan| loan.shown(call.bank.today()));
    page(call.request, search::found(&criteria, loans)?, Clone::clone)
}

pub fn delete(call: &mut Call) -> Result<Answer, Refusal> {
    find(call)?.deletable()?;
    call.bank.remove_loan(call.id);
    Ok(Answer::empty(204))
}

pub fn change_state(call: &mut Call) -> Result<Answer, Refusal> {
    let today = call.bank.today();
    let loan = find_mut(call.bank, call.id)?;
    let input = Input::read(&call.request.body)?;
    input.only(&["action", "notes"])?;
    input.text("notes")?;
    let action = input.text("action")?;
    loan.act(&input.required("action", action)?)?;
    shown(200, &loan.shown(today))
}

/// `[{"op":"ADD","path":"settlementAccountKey","value":"…"}]`
pub fn patch(call: &mut Call) -> Result<Answer, Refusal> {
    let holder = find(call)?.holder.clone();
    for operation in Input::read_list(&call.request.body)? {
        operation.only(&["op", "path", "value", "from"])?;
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
                Bank::link(find_mut(call.bank, call.id)?, key, op == "REPLACE")?;
            }
            "REMOVE" => find_mut(call.bank, call.id)?.settlement = None,
            _ => return Err(OPERATION_NOT_ALLOWED_ON_FIELD.at(op)),
        }
    }
    Ok(Answer::empty(204))
}

pub fn get_schedule(call: &Call) -> Result<Answer, Refusal> {
    shown(200, &find(call)?.shown_schedule())
}

/// An array of installments, or `{"installments":[…]}` as the schedule is shown.
pub fn put_schedule(call: &mut Call) -> Result<Answer, Refusal> {
    let loan = find_mut(call.bank, call.id)?;
    let list = match Input::read(&call.request.body) {
        Ok(schedule) => schedule.objects("installments")?,
        Err(_) => Input::read_list(&call.request.body)?,
    };
    if list.is_empty() {
        return Err(INVALID_INSTALLMENTS.plain());
    }
    let mut schedule: Vec<Installment> = Vec::with_capacity(list.len());
    for input in &list {
        input.only(INSTALLMENT)?;
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
            // Those come by transactions.
            if expected(input, name)?.is_some_and(|amount| !amount.is_zero()) {
                return Err(FIELD_IS_NOT_EDITABLE.at(input.source(name)));
            }
        }
        let mut installment = Installment::new(schedule.len() + 1, due, principal, interest);
        // Whoever sends back an installment that was shown means that one.
        if let Some(key) = input.text("encodedKey")?
            && loan.schedule.iter().any(|known| known.key == key)
        {
            installment.key = key;
        }
        schedule.push(installment);
    }
    let principal: Decimal = schedule.iter().map(|installment| installment.principal.expected).sum();
    if principal != loan.terms.amount {
        return Err(INCONSISTENT_SCHEDULE_PRINCIPAL_DUE_WITH_LOAN_AMOUNT.plain());
    }
    loan.set_schedule(schedule)?;
    shown(200, &loan.shown_schedule())
}

/// `{"amount":{"expected":…}}`, or `due` in its place.
fn expected(input: &Input, name: &str) -> Result<Option<Decimal>, Refusal> {
    let amount = input.object(name)?.map(|part| part.object("amount")).transpose()?.flatten();
    let Some(amount) = amount else { return Ok(None) };
    let expected = amount.amount("expected")?;
    Ok(expected.or(amount.amount("due")?))
}

/// The loan of the path.
pub fn find<'a>(call: &'a Call) -> Result<&'a Loan, Refusal> {
    call.bank.loans.get(call.id).ok_or_else(unknown)
}

fn find_mut<'a>(bank: &'a mut Bank, id: &str) -> Result<&'a mut Loan, Refusal> {
    bank.loans.get_mut(id).ok_or_else(unknown)
}

/// There is no such loan.
pub fn unknown() -> Refusal {
    INVALID_LOAN_ACCOUNT_ID.status(404)
}
