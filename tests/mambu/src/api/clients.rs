//! Clients.

use jiff::Timestamp;

use super::paging::{of_branch, page};
use super::{Call, search, shown};
use crate::bank::{Client, encoded_key};
use crate::error_codes::{
    CLIENT_HAS_ACCOUNTS, CLIENT_ID_ALREADY_IN_USE, INVALID_BIRTH_DATE, INVALID_BRANCH_KEY, INVALID_CLIENT_ID, Refusal,
};
use crate::http::Answer;
use crate::json::Input;

/// What a client is created from.
const FIELDS: &[&str] = &[
    "addresses",
    "assignedBranchKey",
    "assignedCentreKey",
    "assignedUserKey",
    "birthDate",
    "clientRoleKey",
    "emailAddress",
    "firstName",
    "gender",
    "groupKeys",
    "homePhone",
    "id",
    "idDocuments",
    "lastName",
    "middleName",
    "mobilePhone",
    "mobilePhone2",
    "notes",
    "portalSettings",
    "preferredLanguage",
    "state",
];

/// Strings among them.
const TEXTS: &[&str] =
    &["emailAddress", "gender", "homePhone", "middleName", "mobilePhone", "mobilePhone2", "notes", "preferredLanguage"];

pub fn create(call: &mut Call) -> Result<Answer, Refusal> {
    let input = Input::read(&call.request.body)?;
    input.only(FIELDS)?;
    for name in ["firstName", "lastName"] {
        let name_given = input.text(name)?.filter(|text| !text.is_empty());
        input.required(name, name_given)?;
    }
    for name in TEXTS {
        input.text(name)?;
    }
    if input.date("birthDate")?.is_some_and(|birth| birth > call.bank.today()) {
        return Err(INVALID_BIRTH_DATE.at("birthDate"));
    }
    if input.text("assignedBranchKey")?.is_some_and(|key| !call.is_branch(&key)) {
        return Err(INVALID_BRANCH_KEY.at("assignedBranchKey"));
    }
    input.objects("addresses")?;
    for document in input.objects("idDocuments")? {
        for name in ["documentId", "documentType"] {
            let given = document.text(name)?;
            document.required(name, given)?;
        }
    }
    let id = input.id("id")?.unwrap_or_else(|| call.bank.clients.free_id(""));
    if call.bank.clients.has(&id) {
        return Err(CLIENT_ID_ALREADY_IN_USE.at("id"));
    }
    let client = Client { key: encoded_key(), id, fields: input.fields, created: Timestamp::now() };
    let answer = shown(201, &call.bank.shown_client(&client));
    call.bank.clients.add(client);
    answer
}

pub fn get(call: &Call) -> Result<Answer, Refusal> {
    shown(200, &call.bank.shown_client(find(call)?))
}

pub fn list(call: &Call) -> Result<Answer, Refusal> {
    let clients = call.bank.clients.iter().filter(|client| of_branch(call.request, &client.fields));
    let state = call.request.parameter("state");
    let clients = clients.filter(|client| {
        state.as_ref().is_none_or(|state| call.bank.shown_client(client).text("state").as_ref() == Some(state))
    });
    page(call.request, clients.collect(), |client| call.bank.shown_client(client))
}

pub fn search(call: &Call) -> Result<Answer, Refusal> {
    let criteria = search::read(call.request)?;
    let clients = call.bank.clients.iter().map(|client| call.bank.shown_client(client));
    page(call.request, search::found(&criteria, clients)?, Clone::clone)
}

pub fn delete(call: &mut Call) -> Result<Answer, Refusal> {
    let key = find(call)?.key.clone();
    if call.bank.has_loans(&key) {
        return Err(CLIENT_HAS_ACCOUNTS.plain());
    }
    call.bank.clients.remove(&key);
    Ok(Answer::empty(204))
}

fn find<'a>(call: &'a Call) -> Result<&'a Client, Refusal> {
    call.bank.clients.get(call.id).ok_or_else(|| INVALID_CLIENT_ID.status(404))
}
