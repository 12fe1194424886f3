//! Calls below `/api`. They are executed one at a time.

mod clients;
mod deposits;
mod loan_creation;
mod loans;
mod paging;
mod search;
mod transactions;

use serde::Serialize;

use crate::bank::MockBank;
use crate::error_codes::{INVALID_API_OPERATION, METHOD_NOT_IMPLEMENTED, MambuError};
use crate::http::{MockRequest, MockResponse};
use crate::options::MockOptions;
use crate::route::{ApiRoute, UNKNOWN};
use crate::{BRANCH_KEY, FEE_KEY, PRODUCT_KEY};

/// A call with the state that it uses.
pub struct ApiCall<'a> {
    /// The bank.
    pub bank: &'a mut MockBank,
    /// Options of the server.
    pub options: &'a MockOptions,
    /// The request.
    pub request: &'a MockRequest,
    /// Id in the path.
    pub id: &'a str,
}

/// Executes a call.
pub fn handle(bank: &mut MockBank, options: &MockOptions, route: &ApiRoute, request: &MockRequest) -> MockResponse {
    let mut call = ApiCall { bank, options, request, id: &route.id };
    let response = match (request.method.as_str(), route.template) {
        ("POST", "/clients") => clients::create(&mut call),
        ("GET", "/clients") => clients::list(&call),
        ("POST", "/clients:search") => clients::search(&call),
        ("GET", "/clients/{id}") => clients::get(&call),
        ("DELETE", "/clients/{id}") => clients::delete(&mut call),
        ("POST", "/deposits") => deposits::create(&mut call),
        ("GET", "/deposits") => deposits::list(&call),
        ("GET", "/deposits/{id}") => deposits::get(&call),
        ("POST", "/loans") => loan_creation::create(&mut call),
        ("GET", "/loans") => loans::list(&call),
        ("POST", "/loans:search") => loans::search(&call),
        ("GET", "/loans/{id}") => loans::get(&call),
        ("PATCH", "/loans/{id}") => loans::patch(&mut call),
        ("DELETE", "/loans/{id}") => loans::delete(&mut call),
        ("POST", "/loans/{id}:changeState") => loans::change_state(&mut call),
        ("GET", "/loans/{id}/schedule") => loans::get_schedule(&call),
        ("PUT", "/loans/{id}/schedule") => loans::put_schedule(&mut call),
        ("GET", "/loans/{id}/transactions") => transactions::list(&call),
        ("POST", "/loans/{id}/disbursement-transactions") => transactions::disburse(&mut call),
        ("POST", "/loans/{id}/fee-transactions") => transactions::charge(&mut call),
        ("POST", "/loans/{id}/repayment-transactions") => transactions::repay(&mut call),
        ("POST", "/loans/transactions:search") => transactions::search(&call),
        ("GET", "/loans/transactions/{id}") => transactions::get(&call),
        ("POST", "/loans/transactions/{id}:adjust") => transactions::adjust(&mut call),
        (_, UNKNOWN) => Err(INVALID_API_OPERATION.status(404)),
        _ => Err(METHOD_NOT_IMPLEMENTED.status(405)),
    };
    response.unwrap_or_else(|error| MockResponse::json(error.status, error.body()))
}

/// Returns a response with this value as its body.
pub fn json_response<T: Serialize>(status: u16, value: &T) -> Result<MockResponse, MambuError> {
    Ok(MockResponse::json(status, serde_json::to_vec(value).unwrap_or_default()))
}

impl ApiCall<'_> {
    /// Returns true if the encoded key is the standard one or one of the options.
    fn configured(&self, standard: &str, key: &str) -> bool {
        key == standard || self.options.keys.iter().any(|known| known == key)
    }

    /// Returns true if a loan product has this encoded key.
    fn is_product(&self, key: &str) -> bool {
        self.configured(PRODUCT_KEY, key)
    }

    /// Returns true if a branch has this encoded key.
    fn is_branch(&self, key: &str) -> bool {
        self.configured(BRANCH_KEY, key)
    }

    /// Returns true if a predefined fee has this encoded key.
    fn is_fee(&self, key: &str) -> bool {
        self.configured(FEE_KEY, key)
    }
}
