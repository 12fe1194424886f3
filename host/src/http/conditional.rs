//! Entity tags (RFC 9110): two people who change the same thing do not overwrite each other unawares.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// The tag of what is shown: another as soon as anything of it is another.
fn tag<T: Serialize>(shown: &T) -> String {
    let bytes = serde_json::to_vec(shown).expect("what is shown is JSON");
    let hex: String = Sha256::digest(bytes)[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hex}\"")
}

fn names(headers: &HeaderMap, field: HeaderName, tag: &str) -> Option<bool> {
    let mut given = headers.get_all(field).into_iter().peekable();
    given.peek()?;
    let tags = given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    Some(tags.map(str::trim).any(|given| given == "*" || given.trim_start_matches("W/") == tag))
}

/// Refuses a change that was made for something that is no longer so.
pub fn check<T: Serialize>(headers: &HeaderMap, shown: &T) -> Result<(), Problem> {
    match names(headers, header::IF_MATCH, &tag(shown)) {
        Some(false) => Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "CHANGED_MEANWHILE",
            "It is no longer what If-Match names. Read it again, and decide anew.",
        )),
        _ => Ok(()),
    }
}

/// Shows something with its tag, or says that the caller has it already.
pub fn show<T: Serialize>(headers: &HeaderMap, shown: T) -> Response {
    let tag = tag(&shown);
    let etag = HeaderValue::from_str(&tag).map(|tag| (header::ETAG, tag));
    let known = names(headers, header::IF_NONE_MATCH, &tag) == Some(true);
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { axum::Json(shown).into_response() };
    response.headers_mut().extend(etag);
    response
}
