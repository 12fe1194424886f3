//! Middleware of every request: an id that the response repeats, a span, metrics, and an audit entry if the request is
//! refused.
//!
//! Log files, metrics and audit entries contain nothing that a caller chose freely: the template of the route and not the
//! path, no query, and an id only if it is a UUID.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestExt;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;
use uuid::Uuid;

use crate::app::AsyncApp;
use crate::http::auth::authz::audit_author;
use crate::http::auth::refusals::{RefusalLog, RefusedRequest, refuses};
use crate::http::problem::{Problem, ProblemCode};
use crate::http::request::extract::BodyTimeout;
use sluice_model::Grant;

/// Header field for the id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Id of the current request.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// Records a request and its response.
pub async fn observe(
    State((app, refusals)): State<(AsyncApp, Arc<RefusalLog>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()?.parse::<Uuid>().ok());
    let id = given.unwrap_or_else(Uuid::now_v7);
    request.extensions_mut().insert(RequestId(id));
    request.extensions_mut().insert(BodyTimeout(Duration::from_secs(app.config().http.head_seconds)));
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str()).to_owned();
    let method = method(request.method());
    let migration = migration(&mut request).await;
    let client = tracing::field::Empty;
    let span = tracing::info_span!("request", request_id = %id, method, route, client);
    let began = Instant::now();
    async move {
        // A panic is a failed request with a code. Its message is not logged, because it may quote data.
        let ran = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let mut response = ran.unwrap_or_else(|_| Problem::panicked().into_response());
        let status = response.status();
        let elapsed = began.elapsed();
        app.metrics().record_response(method, &route, status.as_u16(), elapsed);
        let code = response.extensions().get::<ProblemCode>().map(|code| code.0);
        tracing::debug!(status = status.as_u16(), code, milliseconds = elapsed.as_millis() as u64, "answered");
        response.extensions_mut().insert(RequestId(id));
        if let Some(code) = code.filter(|code| refuses(status, code)) {
            let author = audit_author(response.extensions());
            let grant = response.extensions().get::<Grant>().cloned();
            let refused = RefusedRequest { author, grant, method, route, migration, status, code };
            // The response waits for the audit entry, so that a refused caller cannot continue faster than the trail is written.
            let _ = app.spawn_blocking(move |app| refusals.note(app, refused)).await;
        }
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
    .instrument(span)
    .await
}

/// Returns the id of the migration in a request's path.
async fn migration(request: &mut Request) -> Option<Uuid> {
    let parameters = request.extract_parts::<RawPathParams>().await.ok()?;
    parameters.iter().find(|(name, _)| *name == "id")?.1.parse().ok()
}

/// Returns the name of a known method, or `OTHER`. A caller can invent methods.
fn method(method: &axum::http::Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}
