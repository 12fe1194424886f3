//! Tokens for a client's id and secret: by OAuth 2's client credentials (RFC 6749), and as Akkuro's API gives them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::basic;
use super::extract::{Content, Path};
use super::problem::{Problem, ProblemCode};
use crate::access::{AccessError, Issued};
use crate::app::App;
use sluice_model::Permission;

/// A token.
#[derive(Serialize, ToSchema)]
pub struct Token {
    /// To be sent as `Authorization: Bearer`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Its life in seconds.
    expires_in: u64,
    /// Permissions that it carries, parted by spaces.
    #[schema(example = "read migrate")]
    scope: String,
}

impl From<Issued> for Token {
    fn from(issued: Issued) -> Self {
        let names: Vec<&str> = issued.permissions.iter().map(|permission| permission.as_str()).collect();
        Self { access_token: issued.token, token_type: "Bearer", expires_in: issued.seconds, scope: names.join(" ") }
    }
}

/// Why no token is given (RFC 6749, section 5.2).
#[derive(Serialize, ToSchema)]
pub struct TokenError {
    /// `invalid_request`, `invalid_client`, `unsupported_grant_type` or `invalid_scope`.
    error: &'static str,
    error_description: String,
}

/// What a token request says, as a form.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the form to readers of the API's document; the form is read by hand")]
pub struct TokenRequest {
    #[schema(example = "client_credentials")]
    grant_type: String,
    /// Permissions wanted, parted by spaces; all that the client was granted if absent.
    scope: Option<String>,
    /// The client's id, unless it is sent as HTTP Basic.
    client_id: Option<String>,
    /// The client's secret, unless it is sent as HTTP Basic.
    client_secret: Option<String>,
}

/// Parameters of a token request, at most: RFC 6749 has four, and every pair of them is compared.
const MOST_FIELDS: usize = 16;

fn refused(status: StatusCode, error: &'static str, description: impl Into<String>) -> Response {
    let mut response = (status, Json(TokenError { error, error_description: description.into() })).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"sluice\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response.extensions_mut().insert(ProblemCode(error));
    never_stored(response)
}

/// Tokens are kept by nobody on the way.
fn never_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A token for a client's id and secret
#[utoipa::path(
    post, path = "/oauth2/token", tag = "Access", operation_id = "issueToken",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, body = Token),
        (status = 400, body = TokenError, description = "The request cannot be understood."),
        (status = 401, body = TokenError, description = "The client is not let in."),
        (status = 413, body = Problem, content_type = "application/problem+json"),
    ),
    security((), ("basic" = [])),
)]
pub async fn issue(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Content(form): Content,
) -> Result<Response, Problem> {
    let Ok(fields) = serde_urlencoded::from_bytes::<Vec<(String, String)>>(&form) else {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "The body is not form-encoded."));
    };
    if fields.len() > MOST_FIELDS {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "The body has far too many parameters."));
    }
    let mut named = fields.iter().map(|(name, _)| name);
    if (1..).zip(named.by_ref()).any(|(next, name)| fields[next..].iter().any(|(other, _)| other == name)) {
        return Ok(refused(StatusCode::BAD_REQUEST, "invalid_request", "A parameter is there twice."));
    }
    // A parameter without a value is as good as absent (RFC 6749, section 3.2).
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
                let description = "scope must be some of: read, migrate, approve, admin, parted by spaces.";
                return Ok(refused(StatusCode::BAD_REQUEST, "invalid_scope", description));
            }
        },
        None => None,
    };
    let now = jiff::Timestamp::now();
    let issued = tokio::task::spawn_blocking(move || {
        let client = app.access.authenticate(&id, &secret, now)?;
        app.access.issue(&client, asked, None, now)
    });
    match issued.await? {
        Ok(issued) => Ok(never_stored(Json(Token::from(issued)).into_response())),
        Err(error @ AccessError::InvalidClient) => {
            Ok(refused(StatusCode::UNAUTHORIZED, "invalid_client", format!("{error}.")))
        }
        Err(error @ AccessError::InvalidScope) => {
            Ok(refused(StatusCode::BAD_REQUEST, "invalid_scope", format!("{error}.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// A token for a tenant and a label
///
/// As Akkuro's API gives it: the broker key is the tenant, and the label's reference id is carried by the token.
#[utoipa::path(
    get, path = "/authentication/token/{broker-key}/{label-reference-id}", tag = "Access",
    operation_id = "issueLabelToken",
    params(
        ("broker-key" = String, Path, description = "The client's tenant."),
        ("label-reference-id" = Uuid, Path, description = "Any UUID; it stands in the token as `label`."),
    ),
    responses(
        (status = 200, body = Token),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json", description = "The client is not let in, or has another tenant."),
    ),
    security(("basic" = [])),
)]
pub async fn issue_for_label(
    State(app): State<Arc<App>>,
    Path((broker, label)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(label) = label.parse::<Uuid>() else {
        return Err(Problem::bad_request("INVALID_PARAMETER", "label-reference-id must be a UUID."));
    };
    let (id, secret) = basic(&headers).ok_or_else(Problem::basic_wanted)?;
    let now = jiff::Timestamp::now();
    let issued = tokio::task::spawn_blocking(move || {
        let client = app.access.authenticate(&id, &secret, now)?;
        // A client of every tenant has no business with a token that is said to be of one.
        if client.tenant.as_ref().is_none_or(|tenant| tenant.as_str() != broker) {
            return Err(AccessError::InvalidClient);
        }
        app.access.issue(&client, None, Some(label), now)
    });
    Ok(never_stored(Json(Token::from(issued.await??)).into_response()))
}
