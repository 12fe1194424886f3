//! Calls on clients.

use jiff::Timestamp;

use super::paging::{is_in_branch, page};
use super::{ApiCall, json_response, search};
use crate::bank::{BankClient, encoded_key};
use crate::error_codes::{
    CLIENT_HAS_ACCOUNTS, CLIENT_ID_ALREADY_IN_USE, INVALID_BIRTH_DATE, INVALID_BRANCH_KEY, INVALID_CLIENT_ID,
    MambuError,
};
use crate::http::MockResponse;
use crate::json::Input;

/// Members of a new client.
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

/// Members of a new client that are strings.
const TEXTS: &[&str] =
    &["emailAddress", "gender", "homePhone", "middleName", "mobilePhone", "mobilePhone2", "notes", "preferredLanguage"];

/// Creates a client.
pub fn create(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let input = Input::read(&call.request.body)?;
    input.allow_only(FIELDS)?;
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
    if call.bank.clients.contains(&id) {
        return Err(CLIENT_ID_ALREADY_IN_USE.at("id"));
    }
    let client = BankClient { key: encoded_key(), id, fields: input.fields, created: Timestamp::now() };
    let response = json_response(201, &call.bank.client_json(&client));
    call.bank.clients.add(client);
    response
}

/// Returns a client.
pub fn get(call: &ApiCall) -> Result<MockResponse, MambuError> {
    json_response(200, &call.bank.client_json(find(call)?))
}

/// Returns a page of clients.
pub fn list(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let clients = call.bank.clients.iter().filter(|client| is_in_branch(call.request, &client.fields));
    let state = call.request.parameter("state");
    let clients = clients.filter(|client| {
        state.as_ref().is_none_or(|state| call.bank.client_json(client).text("state").as_ref() == Some(state))
    });
    page(call.request, clients.collect(), |client| call.bank.client_json(client))
}

/// Returns a page of clients that match criteria.
pub fn search(call: &ApiCall) -> Result<MockResponse, MambuError> {
    let criteria = search::read(call.request)?;
    let clients = call.bank.clients.iter().map(|client| call.bank.client_json(client));
    page(call.request, search::select(&criteria, clients)?, Clone::clone)
}

/// Deletes a client without loans.
pub fn delete(call: &mut ApiCall) -> Result<MockResponse, MambuError> {
    let key = find(call)?.key.clone();
    if call.bank.has_loans(&key) {
        return Err(CLIENT_HAS_ACCOUNTS.without_source());
    }
    call.bank.clients.remove(&key);
    Ok(MockResponse::empty(204))
}

/// Returns the client of the path.
fn find<'a>(call: &'a ApiCall) -> Result<&'a BankClient, MambuError> {
    call.bank.clients.get(call.id).ok_or_else(|| INVALID_CLIENT_ID.status(404))
}
