//! `/_mock`: what tests ask of a stand-in that runs in another process. Needs no credentials and is not counted.

use serde::Serialize;
use serde_json::Value;

use crate::bank::{Bank, Deposit};
use crate::error_codes::{INVALID_API_OPERATION, INVALID_JSON_SYNTAX};
use crate::faults::Fault;
use crate::http::{Answer, Request};
use crate::json::Fields;
use crate::service::Service;
use crate::stats::Counts;

/// Answers what is asked below `/_mock`.
pub fn answer(service: &Service, path: &str, request: &Request) -> Answer {
    match (request.method.as_str(), path) {
        ("GET", "/faults") => json(&service.orders().list()),
        ("POST", "/faults") => match serde_json::from_slice::<Vec<Fault>>(&request.body) {
            Ok(faults) => {
                let mut orders = service.orders();
                faults.into_iter().for_each(|fault| orders.order(fault));
                Answer::empty(204)
            }
            Err(error) => unreadable(&error),
        },
        ("DELETE", "/faults") => {
            service.orders().clear();
            Answer::empty(204)
        }
        ("GET", "/stats") => json(&service.counts().stats()),
        ("DELETE", "/stats") => {
            *service.counts() = Counts::default();
            Answer::empty(204)
        }
        ("GET", "/state") => json::<Value>(&service.bank().dump()),
        ("POST", "/deposits") => match serde_json::from_slice::<Vec<String>>(&request.body) {
            Ok(ids) => {
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let keys = make_deposits(&mut service.bank(), &ids);
                let made = ids.iter().zip(keys).map(|(id, key)| {
                    let mut fields = Fields::default();
                    fields.set("id", id);
                    fields.set("encodedKey", &key);
                    fields
                });
                json(&made.collect::<Vec<_>>())
            }
            Err(error) => unreadable(&error),
        },
        _ => Answer::json(404, INVALID_API_OPERATION.status(404).body()),
    }
}

/// Deposit accounts of nobody's under these ids, and their encoded keys.
pub fn make_deposits(bank: &mut Bank, ids: &[&str]) -> Vec<String> {
    let mut make = |id: &&str| {
        if let Some(deposit) = bank.deposits.get(id) {
            return deposit.key.clone();
        }
        let deposit = Deposit::new(id);
        let key = deposit.key.clone();
        bank.deposits.add(deposit);
        key
    };
    ids.iter().map(&mut make).collect()
}

fn json<T: Serialize + ?Sized>(value: &T) -> Answer {
    Answer::json(200, serde_json::to_vec(value).unwrap_or_default())
}

/// Whoever orders a fault wants to know what was wrong with the order.
fn unreadable(error: &serde_json::Error) -> Answer {
    Answer::json(400, INVALID_JSON_SYNTAX.at(error.to_string()).body())
}
