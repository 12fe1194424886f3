//! The calls below `/api`, each carried out on the bank while nothing else is.

mod clients;
mod deposits;
mod loan_creation;
mod loans;
mod paging;
mod search;
mod transactions;

use serde::Serialize;

use crate::bank::Bank;
use crate::error_codes::{INVALID_API_OPERATION, METHOD_NOT_IMPLEMENTED, Refusal};
use crate::http::{Answer, Request};
use crate::options::Options;
use crate::route::{Route, UNKNOWN};
use crate::{BRANCH_KEY, FEE_KEY, PRODUCT_KEY};

/// A call, and what it works on.
pub struct Call<'a> {
    pub bank: &'a mut Bank,
    pub options: &'a Options,
    pub request: &'a Request,
    /// The id in the path.
    pub id: &'a str,
}

/// Carries a call out.
pub fn answer(bank: &mut Bank, options: &Options, route: &Route, request: &Request) -> Answer {
    let mut call = Call { bank, options, request, id: &route.id };
    let answer = match (request.method.as_str(), route.template) {
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
        ("GET", "/loans/{id}/transactions") => transactions::of_loan(&call),
        ("POST", "/loans/{id}/disbursement-transactions") => transactions::disburse(&mut call),
        ("POST", "/loans/{id}/fee-transactions") => transactions::charge(&mut call),
        ("POST", "/loans/{id}/repayment-transactions") => transactions::repay(&mut call),
        ("POST", "/loans/transactions:search") => transactions::search(&call),
        ("GET", "/loans/transactions/{id}") => transactions::get(&call),
        ("POST", "/loans/transactions/{id}:adjust") => transactions::adjust(&mut call),
        (_, UNKNOWN) => Err(INVALID_API_OPERATION.status(404)),
        _ => Err(METHOD_NOT_IMPLEMENTED.status(405)),
    };
    answer.unwrap_or_else(|refusal| Answer::json(refusal.status, refusal.body()))
}

/// An answer with this value as its body.
fn shown<T: Serialize>(status: u16, value: &T) -> Result<Answer, Refusal> {
    Ok(Answer::json(status, serde_json::to_vec(value).unwrap_or_default()))
}

impl Call<'_> {
    /// Whether there is a product, a branch or a fee of that encoded key.
    fn configured(&self, standard: &str, key: &str) -> bool {
        key == standard || self.options.keys.iter().any(|known| known == key)
    }

    fn is_product(&self, key: &str) -> bool {
        self.configured(PRODUCT_KEY, key)
    }

    fn is_branch(&self, key: &str) -> bool {
        self.configured(BRANCH_KEY, key)
    }

    fn is_fee(&self, key: &str) -> bool {
        self.configured(FEE_KEY, key)
    }
}
