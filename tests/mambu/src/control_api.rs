//! `/_mock`: control of a mock server in another process. Needs no credentials. Its calls are not counted.

use serde::Serialize;
use serde_json::Value;

use crate::bank::{DepositAccount, MockBank};
use crate::error_codes::{INVALID_API_OPERATION, INVALID_JSON_SYNTAX};
use crate::faults::FaultRule;
use crate::http::{MockRequest, MockResponse};
use crate::json::JsonObject;
use crate::service::MockService;
use crate::stats::CallCounter;

/// Handles a request below `/_mock`.
pub fn handle(service: &MockService, path: &str, request: &MockRequest) -> MockResponse {
    match (request.method.as_str(), path) {
        ("GET", "/faults") => json(&service.fault_rules().list()),
        ("POST", "/faults") => match serde_json::from_slice::<Vec<FaultRule>>(&request.body) {
            Ok(faults) => {
                let mut fault_rules = service.fault_rules();
                faults.into_iter().for_each(|fault| fault_rules.add(fault));
                MockResponse::empty(204)
            }
            Err(error) => parse_error(&error),
        },
        ("DELETE", "/faults") => {
            service.fault_rules().clear();
            MockResponse::empty(204)
        }
        ("GET", "/stats") => json(&service.call_counter().stats()),
        ("DELETE", "/stats") => {
            *service.call_counter() = CallCounter::default();
            MockResponse::empty(204)
        }
        ("GET", "/state") => json::<Value>(&service.bank().dump()),
        ("POST", "/deposits") => match serde_json::from_slice::<Vec<String>>(&request.body) {
            Ok(ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let keys = make_deposits(&mut service.bank(), &ids);
                let made = ids.iter().zip(keys).map(|(id, key)| {
                    let mut fields = JsonObject::default();
                    fields.set("id", id);
                    fields.set("encodedKey", &key);
                    fields
                });
                json(&made.collect::<Vec<_>>())
            }
            Err(error) => parse_error(&error),
        },
        _ => MockResponse::json(404, INVALID_API_OPERATION.status(404).body()),
    }
}

/// Creates deposit accounts without a holder and returns their encoded keys. Existing accounts do not change.
pub fn make_deposits(bank: &mut MockBank, ids: &[&str]) -> Vec<String> {
    let mut make = |id: &&str| {
        if let Some(deposit) = bank.deposits.get(id) {
            return deposit.key.clone();
        }
        let deposit = DepositAccount::new(id);
        let key = deposit.key.clone();
        bank.deposits.add(deposit);
        key
    };
    ids.iter().map(&mut make).collect()
}

/// Returns a response with status 200 and this body.
fn json<T: Serialize + ?Sized>(value: &T) -> MockResponse {
    MockResponse::json(200, serde_json::to_vec(value).unwrap_or_default())
}

/// Returns a response with status 400 that contains the error message of the JSON parser.
fn parse_error(error: &serde_json::Error) -> MockResponse {
    MockResponse::json(400, INVALID_JSON_SYNTAX.at(error.to_string()).body())
}
