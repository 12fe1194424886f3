//! The audit trail: who is noted for what a request does, and reading and exporting what was noted.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tower_http::request_id::RequestId;
use uuid::Uuid;

use super::media::{accepts_json, wants_lines};
use super::migrations::find;
use super::paging::{Listing, Query};
use super::problem::Problem;
use crate::app::App;
use crate::audit::{Action, Entry, Scope, fingerprint, header, to_hex};
use crate::model::Actor;
use crate::store::{Page, StoreError};

/// Who makes a request, and which: the one place where entries learn it. Whatever finds out who asks leaves an
/// [`Actor`] with the request, and whatever numbers requests a [`RequestId`].
#[derive(Clone)]
pub struct Caller {
    actor: Actor,
    request: Option<Uuid>,
}

impl Caller {
    /// An entry for what this caller does.
    pub fn entry(&self, action: Action) -> Entry {
        Entry::new(self.actor.clone(), action).request(self.request)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let request = parts.extensions.get::<RequestId>();
        Ok(Self {
            actor: parts.extensions.get().cloned().unwrap_or(Actor::Unknown),
            request: request.and_then(|id| id.header_value().to_str().ok()?.parse().ok()),
        })
    }
}

/// `GET /migration-assistance/migrations/{id}/audit`: a page of entries, or the whole export as JSON Lines.
pub async fn of_migration(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Problem> {
    let scope = Scope::Migration(find(&app, &id)?.reference_id);
    show(app, scope, &headers, &query).await
}

/// `GET /audit`: the same of the server as a whole.
pub async fn of_server(State(app): State<Arc<App>>, headers: HeaderMap, query: Query) -> Result<Response, Problem> {
    show(app, Scope::Server, &headers, &query).await
}

/// `GET /audit/key`: what an auditor pins.
pub async fn key(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    accepts_json(&headers)?;
    let key = app.trail.signer().public();
    Ok(Json(json!({"algorithm": "Ed25519", "key": to_hex(&key.0), "fingerprint": fingerprint(&key)})))
}

async fn show(app: Arc<App>, scope: Scope, headers: &HeaderMap, query: &Query) -> Result<Response, Problem> {
    let page = query.page(&[])?;
    if wants_lines(headers)? {
        return export(app, scope);
    }
    accepts_json(headers)?;
    let (lines, total) = app.store.audit_lines(scope, page)?;
    // The very bytes that were hashed, also here.
    let items: Vec<Box<RawValue>> = lines.into_iter().filter_map(|line| RawValue::from_string(line).ok()).collect();
    Ok(Listing::new(items, total, page).into_response())
}

/// Lines read at once for an export: some hundred kilobytes.
const EXPORT_LINES: u64 = 1_000;

fn export(app: Arc<App>, scope: Scope) -> Result<Response, Problem> {
    // The head first: entries that are added meanwhile are not part of what it is the head of.
    let (entries, head) = app.trail.head(scope)?;
    let (send, receive) = tokio::sync::mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        let first = header(scope, &app.trail.signer().public());
        let sent = (|| {
            let mut lines = vec![first];
            let mut offset = 0;
            loop {
                let limit = EXPORT_LINES.min(entries - offset);
                lines.extend(app.store.audit_lines(scope, Page { offset, limit })?.0);
                offset += limit;
                if offset == entries {
                    lines.push(head.clone());
                }
                let piece = std::mem::take(&mut lines).join("\n") + "\n";
                // Nobody reads any more: there is no use in going on.
                if send.blocking_send(Ok(piece)).is_err() || offset == entries {
                    return Ok::<_, StoreError>(());
                }
            }
        })();
        if let Err(error) = sent {
            tracing::error!(code = "CATALOGUE_FAILED", %error, "an export of the audit trail broke off");
            let _ = send.blocking_send(Err(std::io::Error::other("the catalogue could not be read")));
        }
    });
    let pieces = tokio_stream::wrappers::ReceiverStream::new(receive);
    Ok(([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(pieces)).into_response())
}
