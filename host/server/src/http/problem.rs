//! Problem documents (RFC 9457). This module alone maps errors to HTTP statuses.

mod uploads;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::AccessError;
use crate::app::TenantQuota;
use sluice_catalog::{CatalogError, TrailError, TransitionError};
use sluice_connector::PlatformError;
use sluice_contract::PluginError;
use sluice_keys::KeyError;
use sluice_model::{Blame, Domain, Message, Permission, TransitionRefusal, message};
use sluice_pipeline::PipelineError;
use sluice_pipeline::jobs::StartError;
use sluice_staging::StagingError;
use sluice_target::TargetError;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Relative reference of the code's definition: see `GET /problems/{code}`.
    #[schema(example = "/problems/NOT_VALIDATED")]
    r#type: String,
    /// Reason phrase of the status.
    title: &'static str,
    status: u16,
    /// Stable code for programs.
    #[schema(example = "NOT_VALIDATED")]
    code: &'static str,
    /// Party that can solve the problem: `record`, `plugin`, `host` or `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    blame: Option<Blame>,
    /// Description of the problem and its remedy, for people.
    #[schema(value_type = String)]
    detail: Message,
    /// Header fields of the response.
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// Code of a problem, for middleware that sees the response.
#[derive(Clone, Copy)]
pub struct ProblemCode(pub &'static str);

/// An error that may be logged. Its message is fixed text with kinds and numbers. It does not contain another error's message,
/// which may quote data.
trait LoggableError: std::fmt::Display {}

impl LoggableError for CatalogError {}
impl LoggableError for StagingError {}
impl LoggableError for TargetError {}
impl LoggableError for PipelineError {}
impl LoggableError for TrailError {}
impl LoggableError for KeyError {}

/// Seconds after which a client may try again what a quota of its tenant refused.
const QUOTA_SECONDS: u64 = 5;

impl Problem {
    /// Makes a problem with this status, code and detail.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Message>) -> Self {
        Self {
            r#type: format!("/problems/{code}"),
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            code,
            blame: None,
            detail: detail.into(),
            headers: vec![],
        }
    }

    fn blaming(mut self, blame: Blame) -> Self {
        self.blame = Some(blame);
        self
    }

    /// Adds a header field to the response.
    pub fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    /// Returns the problem for a request without a token.
    pub fn unauthenticated() -> Self {
        let detail =
            "Send a token as Authorization: Bearer. POST /oauth2/token issues a token for a client's id and secret.";
        Self::new(StatusCode::UNAUTHORIZED, "TOKEN_MISSING", detail)
            .with(header::WWW_AUTHENTICATE, "Bearer realm=\"sluice\"")
    }

    /// Returns the problem for a request without the id and secret of a client.
    pub fn basic_required() -> Self {
        let detail = "Send the id and secret of a client of this tenant as HTTP Basic. A client that was \
                      revoked or has expired has no access.";
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_CLIENT", detail)
            .with(header::WWW_AUTHENTICATE, "Basic realm=\"sluice\"")
    }

    /// Returns the problem for a client without a permission.
    pub fn not_permitted(required: Permission) -> Self {
        let name = required.as_str();
        let detail =
            message!("The request needs the permission {}, which the client or its token does not have.", name);
        let challenge = format!("Bearer realm=\"sluice\", error=\"insufficient_scope\", scope=\"{name}\"");
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_MISSING", detail).with(header::WWW_AUTHENTICATE, challenge)
    }

    /// Returns the problem for a client without a grant for a domain.
    pub fn domain_not_granted(domain: &Domain) -> Self {
        let detail = message!("The request needs a grant for {}, which the client does not have.", domain.component);
        Self::new(StatusCode::FORBIDDEN, "DOMAIN_NOT_GRANTED", detail)
    }

    /// Returns a problem with this code and status 403.
    pub fn forbidden(code: &'static str, detail: impl Into<Message>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// Returns the problem for a client that names another tenant.
    pub fn tenant_not_granted() -> Self {
        let detail = "The client may use its own tenant only.";
        Self::new(StatusCode::FORBIDDEN, "TENANT_NOT_GRANTED", detail)
    }

    /// Returns the problem for a client that has to wait after wrong secrets.
    pub fn wrong_secrets(seconds: u64) -> Self {
        let detail =
            message!("Too many wrong secrets of this client or from this address. Try again in {} s.", seconds);
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_WRONG_SECRETS", detail)
            .with(header::RETRY_AFTER, seconds.to_string())
    }

    /// Returns the problem for a client that names another label.
    pub fn label_not_granted() -> Self {
        let detail = "The client may use its own label only.";
        Self::new(StatusCode::FORBIDDEN, "LABEL_NOT_GRANTED", detail)
    }

    /// Returns the problem for a client that has reached a limit.
    pub fn too_many(code: &'static str, seconds: u64) -> Self {
        let detail = message!("The client has sent too many requests. Try again in {} s.", seconds);
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with(header::RETRY_AFTER, seconds.to_string())
    }

    /// Returns the problem of a tenant that has reached a quota.
    pub fn quota(code: &'static str, detail: impl Into<Message>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with(header::RETRY_AFTER, QUOTA_SECONDS.to_string())
    }

    /// Makes a problem with status 422.
    pub fn unprocessable(code: &'static str, detail: impl Into<Message>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// Returns the code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns true if the request was refused, and not if the server or the target failed.
    pub fn is_refusal(&self) -> bool {
        self.status < StatusCode::INTERNAL_SERVER_ERROR.as_u16()
    }

    /// Makes a problem with status 400.
    pub fn bad_request(code: &'static str, detail: impl Into<Message>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Makes a problem with status 404.
    pub fn not_found(code: &'static str, detail: impl Into<Message>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Makes a problem with status 409.
    pub fn conflict(code: &'static str, detail: impl Into<Message>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// Returns the problem for a method that a path does not support.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "The path does not support the method.")
    }

    /// Returns the problem for a path that does not exist.
    pub fn no_path() -> Self {
        Self::not_found("NO_SUCH_PATH", "The path does not exist.")
    }

    /// Returns the problem for a migration that does not exist.
    pub fn no_migration() -> Self {
        Self::not_found("NO_SUCH_MIGRATION", "There is no migration with this reference id.")
    }

    /// Logs an error of the host, and returns a problem without its message.
    fn internal(code: &'static str, blame: Blame, error: &dyn LoggableError) -> Self {
        tracing::error!(code, ?blame, %error, "a request failed");
        Self::own_trouble(code, blame)
    }

    fn own_trouble(code: &'static str, blame: Blame) -> Self {
        let (status, detail) = match blame {
            Blame::Target => (StatusCode::BAD_GATEWAY, "The target could not be read or written."),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "The server failed. Its log contains the reason."),
        };
        Self::new(status, code, detail).blaming(blame)
    }

    /// Returns the problem for a request whose handler panicked, and logs it.
    pub fn panicked() -> Self {
        tracing::error!(code = "HOST_PANICKED", panicked = true, "a request failed");
        Self::own_trouble("HOST_PANICKED", Blame::Host)
    }

    /// Returns the problem as JSON, for a response whose status was sent before.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let (code, headers) = (ProblemCode(self.code), std::mem::take(&mut self.headers));
        let mut response = (status, axum::Json(self)).into_response();
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        response.headers_mut().extend(headers);
        response.extensions_mut().insert(code);
        response
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        Self::internal("CATALOGUE_FAILED", Blame::Host, &error)
    }
}

/// Returns 500 if an audit entry cannot be written, even if the operation was done.
impl From<TrailError> for Problem {
    fn from(error: TrailError) -> Self {
        Self::internal("AUDIT_FAILED", Blame::Host, &error)
    }
}

impl From<StagingError> for Problem {
    fn from(error: StagingError) -> Self {
        match error {
            // Another request purged the migration after this one found it.
            StagingError::Erased => StartError::Refused(TransitionRefusal::Purged).into(),
            StagingError::QuotaReached => {
                let detail = "The tenant's migrations take as many bytes on disk as its quota allows \
                              (`tenant.disk_bytes`). Records with a result are saved. Purge migrations that are done, \
                              then send the table again.";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "DISK_QUOTA", detail)
            }
            // The operator needs to know which failure this is.
            StagingError::KeyGone => {
                let detail = "The key of this migration is missing: it was destroyed, or is not in the key directory. Its \
                              records cannot be read.";
                Self { detail: detail.into(), ..Self::internal("MIGRATION_KEY_GONE", Blame::Host, &error) }
            }
            StagingError::Behind { .. } => {
                let detail = "The migration's directory contains less than the server acknowledged: files of its journal are truncated or \
                              missing, or an older copy was put back. Put the newest copy back and start the server \
                              again, or purge the migration and upload its tables to a new one.";
                Self { detail: detail.into(), ..Self::internal("STAGED_RECORDS_MISSING", Blame::Host, &error) }
            }
            StagingError::Version { .. } => {
                let detail = "The records of this migration were staged by another version of Sluice and cannot be read \
                              by this one. Import or purge the migration with that version; or purge it here, register it \
                              anew and upload again.";
                Self { detail: detail.into(), ..Self::internal("STAGING_VERSION", Blame::Host, &error) }
            }
            error => Self::internal("STAGING_FAILED", Blame::Host, &error),
        }
    }
}

impl From<TargetError> for Problem {
    fn from(error: TargetError) -> Self {
        Self::internal("TARGET_FAILED", Blame::Target, &error)
    }
}

/// Detail of an invalid token. It does not name the reason.
const TOKEN_INVALID: &str =
    "The token is not valid or has expired, or its client was revoked or has expired. Get another token.";

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::InvalidToken => Self::new(StatusCode::UNAUTHORIZED, "TOKEN_INVALID", TOKEN_INVALID)
                .with(header::WWW_AUTHENTICATE, "Bearer realm=\"sluice\", error=\"invalid_token\""),
            AccessError::InvalidClient | AccessError::InvalidScope => Self::basic_required(),
            AccessError::IssuerUnavailable => {
                let detail = "The server cannot read the keys of the configured issuer. Try again later.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ISSUER_UNAVAILABLE", detail).with(header::RETRY_AFTER, "10")
            }
            AccessError::Store(error) => error.into(),
            AccessError::Key(error) => Self::internal("KEYS_FAILED", Blame::Host, &error),
        }
    }
}

impl From<PlatformError> for Problem {
    fn from(error: PlatformError) -> Self {
        PipelineError::from(error).into()
    }
}

impl From<PipelineError> for Problem {
    fn from(failure: PipelineError) -> Self {
        if let PipelineError::Staging(StagingError::QuotaReached) = failure {
            return StagingError::QuotaReached.into();
        }
        match failure.blame() {
            Blame::Plugin if matches!(failure, PipelineError::NotApproved { .. }) => {
                Self::conflict(failure.code(), failure.client_message()).blaming(Blame::Plugin)
            }
            // The problem names the plugin and a code. A plugin's message may quote data.
            blame @ (Blame::Plugin | Blame::Record) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, failure.code(), failure.client_message()).blaming(blame)
            }
            blame => Self::internal(failure.code(), blame, &failure),
        }
    }
}

impl From<PluginError> for Problem {
    fn from(error: PluginError) -> Self {
        PipelineError::from(error).into()
    }
}

impl From<TransitionError> for Problem {
    fn from(error: TransitionError) -> Self {
        StartError::from(error).into()
    }
}

impl From<TenantQuota> for Problem {
    fn from(quota: TenantQuota) -> Self {
        Self::quota("TENANT_QUOTA", quota.detail())
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Refused(refusal) => Self::conflict(refusal.code(), refusal.remedy()),
            StartError::LinesMissing(stream) => {
                let detail = message!(
                    "The last upload of {} ended early, or not every line of it is accounted for. Upload this table again, \
                     all of it.",
                    stream
                );
                Self::conflict("LINES_NOT_ACCOUNTED_FOR", detail)
            }
            StartError::UploadRunning => {
                Self::conflict("UPLOAD_RUNNING", "An upload to this migration is running. Wait for it to end.")
            }
            StartError::JobRunning => {
                Self::conflict("JOB_RUNNING", "A job of this migration is running. Wait for it, or cancel it.")
            }
            StartError::Stopping => {
                let detail = "The server is stopping. Try again when it is back.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STOPPING", detail).with(header::RETRY_AFTER, "10")
            }
            StartError::Gone => Self::no_migration(),
            StartError::Store(error) => error.into(),
            StartError::Trail(error) => error.into(),
            StartError::Staging(error) => error.into(),
            StartError::NotReady { digest } => {
                let detail = message!(
                    "Two things are missing. First, the staged records have not been validated since they were last \
                     changed: run a validate job. Second, plugin {} is not approved for this tenant: a client with the \
                     permission approve can approve it, or map its records again with an approved mapper: sluice remap \
                     ID --mapper DIGEST.",
                    digest
                );
                Self::conflict(TransitionRefusal::NotValidated.code(), detail)
            }
            StartError::ValidatedBySameClient => Self::forbidden(
                "VALIDATED_BY_SAME_CLIENT",
                "The client that validated the records may not import them. Another client has to start the import.",
            ),
            StartError::Plugin(failure) => failure.into(),
        }
    }
}

/// Maps work that panicked, or was never run. The message of a panic is not logged, because it may quote data.
impl From<tokio::task::JoinError> for Problem {
    fn from(error: tokio::task::JoinError) -> Self {
        tracing::error!(code = "HOST_PANICKED", panicked = error.is_panic(), "a request failed");
        Self::own_trouble("HOST_PANICKED", Blame::Host)
    }
}
