//! Issuing tokens: by OAuth 2 client credentials (RFC 6749), and as Akkuro's API does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{AccessError, IssuedToken};
use crate::app::{App, AsyncApp};
use crate::http::auth::authn::basic;
use crate::http::auth::failed_secrets::FailedSecrets;
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::extract::{BufferedBody, PathParams};
use sluice_model::Permission;

/// A token.
#[derive(Serialize, ToSchema)]
pub struct TokenResponse {
    /// Token, to be sent as `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Lifetime in seconds.
    expires_in: u64,
    /// Permissions of the token, separated by spaces.
    #[schema(example = "read migrate")]
    scope: String,
}

impl From<IssuedToken> for TokenResponse {
    fn from(issued: IssuedToken) -> Self {
        let names: Vec<&str> = issued.permissions.iter().map(|permission| permission.as_str()).collect();
        Self { access_token: issued.token, token_type: "Bearer", expires_in: issued.seconds, scope: names.join(" ") }
    }
}

/// Reason why no token is issued (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
pub struct TokenErrorResponse {
    /// `invalid_request`, `invalid_client`, `unsupported_grant_type` or `invalid_scope`.
    error: &'static str,
    error_description: String,
}

/// Form of a token request.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form to readers of the API's document; the form is read by hand")]
pub struct TokenRequest {
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Requested permissions, separated by spaces; all permissions of the client if absent.
    scope: Option<String>,
    /// Id of the client, unless it is sent as HTTP Basic.
    client_id: Option<String>,
    /// Secret of the client, unless it is sent as HTTP Basic.
    client_secret: Option<String>,
}

/// Maximum number of parameters in a token request. RFC 6749 has four. The server compares every pair.
const MOST_FIELDS: usize = 16;

fn refused(status: StatusCode, error: &'static str, description: impl Into<String>) -> Response {
    let mut response =
        (status, Json(TokenErrorResponse { error, error_description: description.into() })).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"sluice\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response.extensions_mut().insert(ProblemCode(error));
    never_stored(response)
}

/// Forbids caches to store a token.
fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Checks a client's secret, unless the client or its address has to wait after wrong secrets.
async fn check(
    app: &AsyncApp,
    failures: &FailedSecrets,
    peer: SocketAddr,
    id: &str,
    issue: impl FnOnce(&App, &str) -> Result<IssuedToken, AccessError> + Send + 'static,
) -> Result<Result<IssuedToken, AccessError>, Problem> {
    if let Some(seconds) = failures.wait(id, peer.ip(), Instant::now()) {
        return Err(Problem::wrong_secrets(seconds));
    }
    let owned = id.to_owned();
    let checked = app.spawn_blocking(move |app| issue(app, &owned)).await?;
    match &checked {
        Err(AccessError::InvalidClient) => failures.failed(id, peer.ip(), Instant::now()),
        _ => failures.succeeded(id, peer.ip(), Instant::now()),
    }
    Ok(checked)
}

/// Issue a token for a client's id and secret
///
/// After wrong secrets the client, or its address, has to wait: the answer is 429 with `Retry-After`.
#[utoipa::path(
    post, path = "/oauth2/token", tag = "Access", operation_id = "issueToken",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = TokenResponse),
        (status = 400, body = TokenErrorResponse, description = "The request is malformed."),
        (status = 401, body = TokenErrorResponse, description = "The client or its secret is not known, or the client was revoked or has expired."),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "The client or its address sent wrong secrets and has to wait."),
    ),
    security((), ("basic" = [])),
)]
pub async fn issue(
    State(app): State<AsyncApp>,
    Extension(failures): Extension<Arc<FailedSecrets>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    BufferedBody(form): BufferedBody,
) -> Result<Response, Problem> {
    let Ok(fields) = serde_urlencoded::from_bytes::<Vec<(String, String)>>(&form) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "The body is not form-encoded."));
    };
    if fields.len() > MOST_FIELDS {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "The body has too many parameters."));
    }
    let mut named = fields.iter().map(|(name, _)| name);
    if (1..).zip(named.by_ref()).any(|(next, name)| fields[next..].iter().any(|(other, _)| other == name)) {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "The body has a parameter twice."));
    }
    // A parameter without a value counts as absent (RFC 6749, section 3.2).
    let field = |name: &str| {
        let found = fields.iter().find(|(given, value)| given == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    };
    match field("grant_type") {
        Some("client_credentials") => {}
        None => return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "grant_type is missing.")),
        Some(_) => {
            let description = "grant_type must be client_credentials.";
            return Ok(refused(StatusCode::BAD_REQUEST, "unsupported_grant_type", description));
        }
    }
    let in_form = || Some((field("client_id")?.to_owned(), field("client_secret")?.to_owned().into()));
    let Some((id, secret)) = basic(&headers).or_else(in_form) else {
        let description = "Send the client's id and secret as HTTP Basic, or as client_id and client_secret.";
        return Ok(refused(StatusCode::UNAUTHORIZED, "invalid_client", description));
    };
    let asked = match field("scope") {
        Some(scope) => match scope.split(' ').map(Permission::parse).collect::<Option<Vec<_>>>() {
            Some(asked) => Some(asked),
            None => {
                let description = "scope must be some of: audit, read, migrate, approve, admin, separated by spaces.";
                return Ok(refused(StatusCode::BAD_REQUEST, "invalid_scope", description));
            }
        },
        None => None,
    };
    let now = jiff::Timestamp::now();
    let checked = check(&app, &failures, peer, &id, move |app, id| {
        let client = app.access.authenticate(id, &secret, now)?;
        app.access.issue(&client, asked, None, now)
    });
    match checked.await? {
        Ok(issued) => Ok(never_stored(Json(TokenResponse::from(issued)).into_response())),
        Err(error @ AccessError::InvalidClient) => {
            Ok(refused(StatusCode::UNAUTHORIZED, "invalid_client", format!("{error}.")))
        }
        Err(error @ AccessError::InvalidScope) => {
            Ok(refused(StatusCode::BAD_REQUEST, "invalid_scope", format!("{error}.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Issue a token for a tenant and a label
///
/// Follows Akkuro's API: the broker key is the tenant. The token gives access to the migrations of this label alone.
/// Migrations that are registered with it get the label.
#[utoipa::path(
    get, path = "/authentication/token/{broker-key}/{label-reference-id}", tag = "Access",
    operation_id = "issueLabelToken",
    params(
        ("broker-key" = String, Path, description = "Tenant of the client."),
        ("label-reference-id" = Uuid, Path, description = "Label: a UUID. A client with a label of its own gets tokens for this label alone."),
    ),
    responses(
        (status = 200, body = TokenResponse),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "The client or its secret is not known, the client has another tenant or label, or it was revoked or has expired."),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "The client or its address sent wrong secrets and has to wait."),
    ),
    security(("basic" = [])),
)]
pub async fn issue_for_label(
    State(app): State<AsyncApp>,
    Extension(failures): Extension<Arc<FailedSecrets>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    PathParams((broker, label)): PathParams<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(label) = label.parse::<Uuid>() else {
        return Err(Problem::bad_request("INVALID_PARAMETER", "label-reference-id must be a UUID."));
    };
    let (id, secret) = basic(&headers).ok_or_else(Problem::basic_required)?;
    let now = jiff::Timestamp::now();
    let issued = check(&app, &failures, peer, &id, move |app, id| {
        let client = app.access.authenticate(id, &secret, now)?;
        // A client that sees every tenant does not get a token for one.
        if client.tenant.as_ref().is_none_or(|tenant| tenant.as_str() != broker) {
            return Err(AccessError::InvalidClient);
        }
        app.access.issue(&client, None, Some(label), now)
    });
    Ok(never_stored(Json(TokenResponse::from(issued.await??)).into_response()))
}
