//! Entity tags (RFC 9110): protect against overwriting another client's change.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::problem::Problem;
use sluice_model::{Digest, to_hex};

/// Returns the entity tag of a value. It changes whenever the value changes.
fn tag<T: Serialize>(shown: &T) -> String {
    let bytes = serde_json::to_vec(shown).expect("a response is JSON");
    let hex = to_hex(&Digest::of(&bytes).bytes()[..12]);
    format!("\"{hex}\"")
}

fn names(headers: &HeaderMap, field: &HeaderName, tag: &str) -> Option<bool> {
    let mut given = headers.get_all(field).into_iter().peekable();
    given.peek()?;
    let tags = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    // `If-Match` uses the strong comparison, `If-None-Match` the weak one.
    let weak = |given: &str| field == header::IF_NONE_MATCH && given.strip_prefix("W/") == Some(tag);
    Some(tags.map(str::trim).any(|given| given == "*" || given == tag || weak(given)))
}

/// Refuses a change if `If-Match` does not name the current value.
pub fn check<T: Serialize>(headers: &HeaderMap, show: impl FnOnce() -> Result<T, Problem>) -> Result<(), Problem> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(());
    }
    match names(headers, &header::IF_MATCH, &tag(&show()?)) {
        Some(false) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "CHANGED_MEANWHILE",
            "It changed since the version that If-Match names. Read it again, and decide again.",
        )),
        _ => Ok(()),
    }
}

/// Returns a response with a value and its tag, or `304` if the client has this value.
pub fn show<T: Serialize>(headers: &HeaderMap, shown: T) -> Response {
    let tag = tag(&shown);
    let etag = HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag));
    let known = names(headers, &header::IF_NONE_MATCH, &tag) == Some(true);
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { axum::Json(shown).into_response() };
    response.headers_mut().extend(etag);
    response
}
