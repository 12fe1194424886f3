//! Reading and exporting the audit trail, and the key that it is signed with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::{App, AsyncApp};
use crate::http::auth::authz::{Caller, CanAdmin, CanAudit};
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::{accepts_json, wants_lines};
use crate::http::streamed::{ResponsePieces, streamed};
use sluice_audit::{AuditScope, fingerprint, header};
use sluice_catalog::{CatalogError, Pagination};
use sluice_model::to_hex;

/// An audit entry, as it was hashed.
#[derive(ToSchema)]
#[schema(as = AuditEntry, value_type = Object)]
#[allow(dead_code, reason = "describes entries to readers of the API's document")]
struct AuditEntryResponse(Value);

/// Read a migration's audit trail
///
/// Returns a page of entries. With `Accept: application/jsonl` returns the whole export, which `sluice audit verify` checks.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/audit", tag = "Audit", operation_id = "readAudit",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), PageQuery),
    responses((status = 200, description = "Entries, the oldest first.", content((PageResponse<AuditEntryResponse> = "application/json"), (String = "application/jsonl")))),
)]
pub async fn of_migration(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Response, Problem> {
    app.blocking(move |app| {
        let scope = AuditScope::Migration(caller.whole_migration(app, &id)?.reference_id);
        read(app, scope, &headers, &query)
    })
    .await
}

/// Read the server's own audit trail
///
/// Its entries concern no migration: starts and stops, clients, refused requests.
#[utoipa::path(
    get, path = "/audit", tag = "Audit", operation_id = "readServerAudit",
    params(PageQuery),
    responses((status = 200, description = "Entries, the oldest first.", content((PageResponse<AuditEntryResponse> = "application/json"), (String = "application/jsonl")))),
)]
pub async fn of_server(
    State(app): State<AsyncApp>,
    _: Caller<CanAdmin>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Response, Problem> {
    app.blocking(move |app| read(app, AuditScope::Server, &headers, &query)).await
}

/// Public key that audit trails and evidence are signed with.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub struct AuditKeyResponse {
    /// Signature algorithm.
    #[schema(example = "Ed25519")]
    algorithm: &'static str,
    /// Key in hexadecimal digits.
    key: String,
    /// Fingerprint of the key.
    fingerprint: String,
}

/// Read the key that audit trails and evidence are signed with
#[utoipa::path(
    get, path = "/audit/key", tag = "Audit", operation_id = "readAuditKey",
    responses((status = 200, body = AuditKeyResponse)),
)]
pub async fn key(
    State(app): State<AsyncApp>,
    _: Caller<CanAudit>,
    headers: HeaderMap,
) -> Result<Json<AuditKeyResponse>, Problem> {
    accepts_json(&headers)?;
    app.blocking(|app| {
        let key = app.trail.signer().public();
        Ok(Json(AuditKeyResponse { algorithm: "Ed25519", key: to_hex(&key.0), fingerprint: fingerprint(&key) }))
    })
    .await
}

fn read(app: &Arc<App>, scope: AuditScope, headers: &HeaderMap, query: &QueryString) -> Result<Response, Problem> {
    let page = query.page(&[])?;
    if wants_lines(headers)? {
        return export(app.clone(), scope);
    }
    accepts_json(headers)?;
    let (lines, total) = app.store.audit_lines(scope, page)?;
    // The response contains the bytes that were hashed.
    let items: Vec<Box<RawValue>> = lines.into_iter().filter_map(|line| RawValue::from_string(line).ok()).collect();
    Ok(PageResponse::new(items, total, page).into_response())
}

/// Lines read at once for an export: some hundred kilobytes.
const EXPORT_LINES: u64 = 1_000;

fn export(app: Arc<App>, scope: AuditScope) -> Result<Response, Problem> {
    // The head is read first: the export does not contain entries that are added later.
    let (entries, head) = app.trail.head(scope)?;
    let send = move |pieces: &ResponsePieces| {
        let mut lines = vec![header(scope, &app.trail.signer().public())];
        let mut offset = 0;
        loop {
            let limit = EXPORT_LINES.min(entries - offset);
            lines.extend(app.store.audit_lines(scope, Pagination { offset, limit })?.0);
            offset += limit;
            if offset == entries {
                lines.push(head.clone());
            }
            let piece = std::mem::take(&mut lines).join("\n") + "\n";
            if !pieces.send(piece.into_bytes()) || offset == entries {
                return Ok::<_, CatalogError>(());
            }
        }
    };
    Ok(streamed("application/jsonl", "CATALOGUE_FAILED", send))
}
