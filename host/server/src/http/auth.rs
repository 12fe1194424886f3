//! Nobody reaches a handler without a token that holds: the one middleware before every route but the public ones.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;

use super::limits::Limits;
use super::problem::Problem;
use crate::app::App;
use sluice_model::Grant;

/// Lets a request through whose token holds and whose client has not asked for too much.
pub async fn admit(State((app, limits)): State<(Arc<App>, Arc<Limits>)>, mut request: Request, next: Next) -> Response {
    let Some(token) = bearer(request.headers()) else { return Problem::unauthenticated().into_response() };
    let grant = match grant(&app, token.to_owned()).await {
        Ok(grant) => grant,
        Err(problem) => return problem.into_response(),
    };
    let permit = match limits.take(&grant.client) {
        Ok(permit) => permit,
        Err(problem) => return problem.into_response(),
    };
    tracing::Span::current().record("client", grant.client.as_str());
    request.extensions_mut().insert(grant.clone());
    let mut response = permit.hold(next.run(request).await);
    // For whoever looks at the answer on its way out.
    response.extensions_mut().insert(grant);
    response
}

async fn grant(app: &Arc<App>, token: String) -> Result<Grant, Problem> {
    let (access, own) = (app.clone(), token.clone());
    let admitted = tokio::task::spawn_blocking(move || access.access.admit(&own, jiff::Timestamp::now())).await??;
    match admitted {
        Some(grant) => Ok(grant),
        None => Ok(app.access.admit_other(&token).await?),
    }
}

/// The token of an `Authorization: Bearer` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Id and secret of an `Authorization: Basic` (RFC 7617).
pub fn basic(headers: &HeaderMap) -> Option<(String, SecretString)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned().into()))
}
