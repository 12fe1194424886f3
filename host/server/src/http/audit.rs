//! The audit trail: reading and exporting it, and the key that it is signed with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::caller::{Admin, Caller, Read};
use super::extract::Path;
use super::media::{accepts_json, wants_lines};
use super::paging::{Listing, Paged, Query};
use super::problem::Problem;
use super::streamed::streamed;
use crate::app::App;
use sluice_audit::{Scope, fingerprint, header};
use sluice_catalog::{Page, StoreError};
use sluice_model::to_hex;

/// An entry as it was hashed.
#[derive(ToSchema)]
#[schema(as = AuditEntry, value_type = Object)]
#[allow(dead_code, reason = "describes entries to readers of the API's document")]
struct Shown(Value);

/// Read a migration's audit trail
///
/// A page of entries; with `Accept: application/jsonl` the whole export, which `sluice audit verify` checks.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/audit", tag = "Audit", operation_id = "readAudit",
    params(("id" = Uuid, Path, description = "The migration's reference id."), Paged),
    responses((status = 200, description = "Entries, oldest first.", content((Listing<Shown> = "application/json"), (String = "application/jsonl")))),
)]
pub async fn of_migration(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Problem> {
    let scope = Scope::Migration(caller.whole(&app, &id)?.reference_id);
    show(app, scope, &headers, &query).await
}

/// Read the server's own audit trail
///
/// Of what concerns no migration: starts and stops, clients, requests that were refused.
#[utoipa::path(
    get, path = "/audit", tag = "Audit", operation_id = "readServerAudit",
    params(Paged),
    responses((status = 200, description = "Entries, oldest first.", content((Listing<Shown> = "application/json"), (String = "application/jsonl")))),
)]
pub async fn of_server(
    State(app): State<Arc<App>>,
    _: Caller<Admin>,
    headers: HeaderMap,
    query: Query,
) -> Result<Response, Problem> {
    show(app, Scope::Server, &headers, &query).await
}

/// The key that trails and evidence are signed with.
#[derive(Serialize, ToSchema)]
pub struct Key {
    #[schema(example = "Ed25519")]
    algorithm: &'static str,
    /// In hexadecimal.
    key: String,
    fingerprint: String,
}

/// Read the key that audit trails and evidence are signed with
#[utoipa::path(
    get, path = "/audit/key", tag = "Audit", operation_id = "readAuditKey",
    responses((status = 200, body = Key)),
)]
pub async fn key(State(app): State<Arc<App>>, _: Caller<Read>, headers: HeaderMap) -> Result<Json<Key>, Problem> {
    accepts_json(&headers)?;
    let key = app.trail.signer().public();
    Ok(Json(Key { algorithm: "Ed25519", key: to_hex(&key.0), fingerprint: fingerprint(&key) }))
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
    Ok(streamed("application/jsonl", "CATALOGUE_FAILED", move |pieces| {
        let mut lines = vec![header(scope, &app.trail.signer().public())];
        let mut offset = 0;
        loop {
            let limit = EXPORT_LINES.min(entries - offset);
            lines.extend(app.store.audit_lines(scope, Page { offset, limit })?.0);
            offset += limit;
            if offset == entries {
                lines.push(head.clone());
            }
            let piece = std::mem::take(&mut lines).join("\n") + "\n";
            if !pieces.send(piece.into_bytes()) || offset == entries {
                return Ok::<_, StoreError>(());
            }
        }
    }))
}
