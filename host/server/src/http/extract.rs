//! What a request holds, or the problem document that says why it cannot be read.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use sluice_model::told;

/// Parts of the path.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // What is no UTF-8 once its percent signs are resolved names nothing of ours.
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(parts)| Self(parts)).map_err(|_| Problem::no_path())
    }
}

/// How long is waited for a body that is taken as a whole; left with the request on its way in.
#[derive(Clone, Copy)]
pub struct Patience(pub Duration);

/// A body that is taken as a whole, and not longer than is configured.
pub struct Content(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for Content {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let patience = request.extensions().get::<Patience>().map_or(Duration::MAX, |patience| patience.0);
        let Ok(read) = tokio::time::timeout(patience, Bytes::from_request(request, state)).await else {
            return Err(Problem::bad_request("BODY_BROKEN_OFF", "The body did not come to its end in time."));
        };
        read.map(Self).map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(failure) if failure.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = "The body is longer than this server takes (`http.json_bytes` in its configuration).";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail)
            }
            _ => Problem::bad_request("BODY_BROKEN_OFF", "The body broke off."),
        })
    }
}

/// Reads a JSON body; what does not fit is said without a word of the body.
pub fn json<'a, T: Deserialize<'a>>(headers: &HeaderMap, bytes: &'a [u8], shape: &'static str) -> Result<T, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given.split(';').next().unwrap_or_default().trim() != "application/json" {
        let detail = "Send the body as Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = told!(
            "The body does not fit at line {}, column {}. It should look like {}.",
            error.line(),
            error.column(),
            shape
        );
        Problem::bad_request("INVALID_BODY", detail)
    })
}
