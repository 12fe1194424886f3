//! Extractors of path and body, with problem documents as rejections.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::http::problem::Problem;
use sluice_model::message;

/// Parameters in the path.
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // A path that is not UTF-8 after percent-decoding does not exist.
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(parts)| Self(parts)).map_err(|_| Problem::no_path())
    }
}

/// Timeout of a buffered body. The middleware adds it to the request.
#[derive(Clone, Copy)]
pub struct BodyTimeout(pub Duration);

/// A body in memory, limited in length and time.
pub struct BufferedBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for BufferedBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let patience = request.extensions().get::<BodyTimeout>().map_or(Duration::MAX, |patience| patience.0);
        let Ok(read) = tokio::time::timeout(patience, Bytes::from_request(request, state)).await else {
            return Err(Problem::bad_request("BODY_BROKEN_OFF", "The body did not end in time."));
        };
        read.map(Self).map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(failure) if failure.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = "The body is too long (`http.json_bytes` in the configuration).";
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail)
            }
            _ => Problem::bad_request("BODY_BROKEN_OFF", "The body ended early."),
        })
    }
}

/// Parses a JSON body. The problem for a body that does not fit quotes nothing of it.
pub fn json<'a, T: Deserialize<'a>>(headers: &HeaderMap, bytes: &'a [u8], shape: &'static str) -> Result<T, Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Media types have no letter case.
    if !given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let detail = "Send the body as Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let detail = message!(
            "The body is not valid at line {}, column {}. Its shape is {}.",
            error.line(),
            error.column(),
            shape
        );
        Problem::bad_request("INVALID_BODY", detail)
    })
}
