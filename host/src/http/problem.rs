//! The only place that turns what went wrong into a status and a problem document (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::jobs::StartError;
use crate::model::{Blame, Detail};
use crate::pipeline::Failure;
use crate::staging::StagingError;
use crate::store::{StoreError, TransitionError};
use crate::target::TargetError;

/// A problem document.
#[derive(Debug, Serialize)]
pub struct Problem {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    blame: Option<Blame>,
    detail: Detail,
}

/// Errors that may be logged: those whose words are the source's own, with kinds and numbers, and never another
/// error's message, which may quote what it could not work with.
trait Quiet: std::fmt::Display {}

impl Quiet for StoreError {}
impl Quiet for StagingError {}
impl Quiet for TargetError {}
impl Quiet for Failure {}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Detail>) -> Self {
        Self {
            r#type: format!("/problems/{code}"),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            code,
            blame: None,
            detail: detail.into(),
        }
    }

    fn blaming(mut self, blame: Blame) -> Self {
        self.blame = Some(blame);
        self
    }

    pub fn bad_request(code: &'static str, detail: impl Into<Detail>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub fn not_found(code: &'static str, detail: impl Into<Detail>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    pub fn conflict(code: &'static str, detail: impl Into<Detail>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "This path does not take this method.")
    }

    pub fn no_migration() -> Self {
        Self::not_found("NO_SUCH_MIGRATION", "There is no migration with this reference id.")
    }

    /// The host's own trouble: the log is told everything, the caller nothing.
    fn internal(code: &'static str, blame: Blame, error: &dyn Quiet) -> Self {
        tracing::error!(code, ?blame, %error, "a request failed");
        Self::own_trouble(code, blame)
    }

    fn own_trouble(code: &'static str, blame: Blame) -> Self {
        let (status, detail) = match blame {
            Blame::Target => (StatusCode::BAD_GATEWAY, "The target could not be read or written."),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "The server could not go on. Its log says why."),
        };
        Self::new(status, code, detail).blaming(blame)
    }

    /// As the last line of an answer whose status was sent long ago.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal("CATALOGUE_FAILED", Blame::Host, &error)
    }
}

impl From<StagingError> for Problem {
    fn from(error: StagingError) -> Self {
        Self::internal("STAGING_FAILED", Blame::Host, &error)
    }
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Self {
        Self::internal("TARGET_FAILED", Blame::Target, &error)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure.blame() {
            // A plugin's failure names the plugin and a code, never its message.
            blame @ (Blame::Plugin | Blame::Record) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, failure.code(), failure.told()).blaming(blame)
            }
            blame => Self::internal(failure.code(), blame, &failure),
        }
    }
}

impl From<TransitionError> for Problem {
    fn from(error: TransitionError) -> Self {
        StartError::from(error).into()
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Refused(refusal) => Self::conflict(refusal.code(), refusal.remedy()),
            StartError::UploadRunning => {
                Self::conflict("UPLOAD_RUNNING", "An upload to this migration is running. Wait for it to end.")
            }
            StartError::Stopping => {
                let detail = "The server is about to stop. Try again when it is back.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STOPPING", detail)
            }
            StartError::Gone => Self::no_migration(),
            StartError::Store(error) => error.into(),
            StartError::Staging(error) => error.into(),
        }
    }
}

/// Work that panicked or was never run. A panic's message is not repeated: it may quote what it was about.
impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        tracing::error!(code = "HOST_PANICKED", panicked = error.is_panic(), "a request failed");
        Self::own_trouble("HOST_PANICKED", Blame::Host)
    }
}
