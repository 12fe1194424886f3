//! What every request goes through: an id that the caller also gets, a span, a figure in the metrics, and an entry in
//! the audit trail if it is refused.
//!
//! Of the request nothing is noted that a caller chose freely: the route's template and not its path, no query, and an
//! id only if it is a UUID.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestExt;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;
use uuid::Uuid;

use super::caller::Author;
use super::extract::Patience;
use super::problem::ProblemCode;
use super::refusals::{Refusals, Refused, refuses};
use crate::app::App;
use sluice_model::Grant;

/// The field in which a request's id comes and goes.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request in work, for whoever notes what it did.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// Notes that a request came and how it was answered.
pub async fn observe(
    State((app, refusals)): State<(Arc<App>, Arc<Refusals>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()?.parse::<Uuid>().ok());
    let id = given.unwrap_or_else(Uuid::now_v7);
    request.extensions_mut().insert(RequestId(id));
    request.extensions_mut().insert(Patience(Duration::from_secs(app.config.http.head_seconds)));
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str()).to_owned();
    let method = method(request.method());
    let migration = migration(&mut request).await;
    let client = tracing::field::Empty;
    let span = tracing::info_span!("request", request_id = %id, method, route, client);
    let began = Instant::now();
    async move {
        let mut response = next.run(request).await;
        let status = response.status();
        let elapsed = began.elapsed();
        app.metrics.answered(method, &route, status.as_u16(), elapsed);
        let code = response.extensions().get::<ProblemCode>().map(|code| code.0);
        tracing::debug!(status = status.as_u16(), code, milliseconds = elapsed.as_millis() as u64, "answered");
        response.extensions_mut().insert(RequestId(id));
        if let Some(code) = code.filter(|code| refuses(status, code)) {
            let author = Author::of(response.extensions());
            let grant = response.extensions().get::<Grant>().cloned();
            let refused = Refused { author, grant, method, route, migration, status, code };
            // Answered when it is noted: whoever is refused cannot go on faster than the trail is written.
            let _ = tokio::task::spawn_blocking(move || refusals.note(refused)).await;
        }
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
    .instrument(span)
    .await
}

/// The migration that a request names in its path.
async fn migration(request: &mut Request) -> Option<Uuid> {
    let parameters = request.extract_parts::<RawPathParams>().await.ok()?;
    parameters.iter().find(|(name, _)| *name == "id")?.1.parse().ok()
}

/// A method as it is noted: those that we know, and no word that a caller made up.
fn method(method: &axum::http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
