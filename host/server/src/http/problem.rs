//! The only place that turns what went wrong into a status and a problem document (RFC 9457).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::AccessError;
use sluice_catalog::{StoreError, TrailError, TransitionError};
use sluice_connector::PlatformError;
use sluice_contract::PluginError;
use sluice_keys::KeyError;
use sluice_model::{Blame, Detail, Domain, Permission, Refusal, told};
use sluice_pipeline::Failure;
use sluice_pipeline::jobs::StartError;
use sluice_staging::StagingError;
use sluice_target::TargetError;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A relative reference that ends with the code.
    #[schema(example = "/problems/NOT_VALIDATED")]
    r#type: String,
    /// The status in words.
    title: &'static str,
    status: u16,
    /// Stable, for machines.
    #[schema(example = "NOT_VALIDATED")]
    code: &'static str,
    /// Who can do something about it: `record`, `plugin`, `host` or `target`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    blame: Option<Blame>,
    /// What is the matter and what to do, for people.
    #[schema(value_type = String)]
    detail: Detail,
    /// Header fields that go with it.
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem's code, for whoever looks at an answer on its way out.
#[derive(Clone, Copy)]
pub struct ProblemCode(pub &'static str);

/// Errors that may be logged: those whose words are the source's own, with kinds and numbers, and never another
/// error's message, which may quote what it could not work with.
trait Quiet: std::fmt::Display {}

impl Quiet for StoreError {}
impl Quiet for StagingError {}
impl Quiet for TargetError {}
impl Quiet for Failure {}
impl Quiet for TrailError {}
impl Quiet for KeyError {}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<Detail>) -> Self {
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

    /// With a header field.
    pub fn with(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    pub fn unauthenticated() -> Self {
        let detail =
            "Send a token as Authorization: Bearer. POST /oauth2/token gives one for a client's id and secret.";
        Self::new(StatusCode::UNAUTHORIZED, "TOKEN_MISSING", detail)
            .with(header::WWW_AUTHENTICATE, "Bearer realm=\"sluice\"")
    }

    pub fn basic_wanted() -> Self {
        let detail = "Send the id and secret of a client of this tenant as HTTP Basic. A client that was revoked or \
                      has expired is not let in.";
        Self::new(StatusCode::UNAUTHORIZED, "INVALID_CLIENT", detail)
            .with(header::WWW_AUTHENTICATE, "Basic realm=\"sluice\"")
    }

    pub fn not_permitted(wanted: Permission) -> Self {
        let name = wanted.as_str();
        let detail = told!("This takes the permission {}, which the client or its token does not have.", name);
        let challenge = format!("Bearer realm=\"sluice\", error=\"insufficient_scope\", scope=\"{name}\"");
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_MISSING", detail).with(header::WWW_AUTHENTICATE, challenge)
    }

    pub fn domain_not_granted(domain: &Domain) -> Self {
        let detail = told!("This takes a grant for {}, which the client does not have.", domain.component);
        Self::new(StatusCode::FORBIDDEN, "DOMAIN_NOT_GRANTED", detail)
    }

    pub fn tenant_not_granted() -> Self {
        let detail = "The client registers migrations for its own tenant only.";
        Self::new(StatusCode::FORBIDDEN, "TENANT_NOT_GRANTED", detail)
    }

    pub fn too_many(code: &'static str, seconds: u64) -> Self {
        let detail = told!("The client asks for too much at once. Try again in {} s.", seconds);
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with(header::RETRY_AFTER, seconds.to_string())
    }

    pub fn unprocessable(code: &'static str, detail: impl Into<Detail>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Whether the caller is to blame, and nothing was done.
    pub fn is_refusal(&self) -> bool {
        self.status < StatusCode::INTERNAL_SERVER_ERROR.as_u16()
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

    pub fn no_path() -> Self {
        Self::not_found("NO_SUCH_PATH", "There is nothing at this path.")
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

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Self::internal("CATALOGUE_FAILED", Blame::Host, &error)
    }
}

/// What cannot be audited is answered as a failure, also where it was done: somebody has to look.
impl From<TrailError> for Problem {
    fn from(error: TrailError) -> Self {
        Self::internal("AUDIT_FAILED", Blame::Host, &error)
    }
}

impl From<StagingError> for Problem {
    fn from(error: StagingError) -> Self {
        match error {
            // Between finding the migration and reading from it somebody erased it.
            StagingError::Erased => StartError::Refused(Refusal::Purged).into(),
            // Nobody but the operator can help, and needs to know which of all failures this is.
            StagingError::KeyGone => {
                let detail = "The key of this migration is gone: it was destroyed, or is not in the key directory. Its \
                              records cannot be read.";
                Self { detail: detail.into(), ..Self::internal("MIGRATION_KEY_GONE", Blame::Host, &error) }
            }
            StagingError::Behind { .. } => {
                let detail = "The migration's directory holds less than was acknowledged: files of its journal are cut or \
                              missing, or an older copy was put back. Put the newest copy back and start the server \
                              again, or purge the migration and upload its tables to a new one.";
                Self { detail: detail.into(), ..Self::internal("STAGED_RECORDS_MISSING", Blame::Host, &error) }
            }
            StagingError::Version { .. } => {
                let detail = "The records of this migration were staged by another version of Sluice and cannot be read \
                              by this one. Import or purge the migration with that version, or purge it here, register it \
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

/// Nobody is told which of these it is.
const TOKEN_INVALID: &str = "The token is not valid, has expired, or its client is no longer let in. Get another one.";

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::InvalidToken => Self::new(StatusCode::UNAUTHORIZED, "TOKEN_INVALID", TOKEN_INVALID)
                .with(header::WWW_AUTHENTICATE, "Bearer realm=\"sluice\", error=\"invalid_token\""),
            AccessError::InvalidClient | AccessError::InvalidScope => Self::basic_wanted(),
            AccessError::IssuerUnavailable => {
                let detail = "The keys of the configured issuer cannot be read. Try again later.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "ISSUER_UNAVAILABLE", detail).with(header::RETRY_AFTER, "10")
            }
            AccessError::Store(error) => error.into(),
            AccessError::Key(error) => Self::internal("KEYS_FAILED", Blame::Host, &error),
        }
    }
}

impl From<PlatformError> for Problem {
    fn from(error: PlatformError) -> Self {
        Failure::from(error).into()
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure.blame() {
            Blame::Plugin if matches!(failure, Failure::NotApproved { .. }) => {
                Self::conflict(failure.code(), failure.told()).blaming(Blame::Plugin)
            }
            // A plugin's failure names the plugin and a code, never its message.
            blame @ (Blame::Plugin | Blame::Record) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, failure.code(), failure.told()).blaming(blame)
            }
            blame => Self::internal(failure.code(), blame, &failure),
        }
    }
}

impl From<PluginError> for Problem {
    fn from(error: PluginError) -> Self {
        Failure::from(error).into()
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
            StartError::JobRunning => {
                Self::conflict("JOB_RUNNING", "A job of this migration is running. Wait for it, or cancel it.")
            }
            StartError::Stopping => {
                let detail = "The server is about to stop. Try again when it is back.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "STOPPING", detail).with(header::RETRY_AFTER, "10")
            }
            StartError::Gone => Self::no_migration(),
            StartError::Store(error) => error.into(),
            StartError::Trail(error) => error.into(),
            StartError::Staging(error) => error.into(),
            StartError::Plugin(failure) => failure.into(),
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
