//! Authentication: the middleware before every route that is not public.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;

use super::client_limits::ClientLimits;
use crate::app::AsyncApp;
use crate::http::problem::Problem;
use sluice_model::Grant;

/// Admits a request with a valid token, if its client is within its limits.
pub async fn admit(
    State((app, limits)): State<(AsyncApp, Arc<ClientLimits>)>,
    mut request: Request,
    next: Next,
) -> Response {
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
    // Middleware that sees the response reads the grant from it.
    response.extensions_mut().insert(grant);
    response
}

async fn grant(app: &AsyncApp, token: String) -> Result<Grant, Problem> {
    let own = token.clone();
    let admitted = app.blocking(move |app| Ok::<_, Problem>(app.access.admit(&own, jiff::Timestamp::now())?));
    match admitted.await? {
        Some(grant) => Ok(grant),
        None => Ok(app.admit_external(&token).await?),
    }
}

/// Returns the token of `Authorization: Bearer` (RFC 6750).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Returns the id and secret of `Authorization: Basic` (RFC 7617).
pub fn basic(headers: &HeaderMap) -> Option<(String, SecretString)> {
    let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned().into()))
}
