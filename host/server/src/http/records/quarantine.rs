//! Reading the quarantine: messages of plugins about records that they failed on, and messages that no plugin declared.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanRead};
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_pipeline::quarantined;

/// A message of a plugin.
#[derive(ToSchema)]
#[schema(as = Quarantined)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes entries to readers of the API's document; they are kept as JSON")]
struct QuarantineResponse {
    /// Number of the upload; 0 outside an upload.
    upload: u32,
    /// Source or entity type.
    stream: String,
    /// Line in the upload, or ordinal in staging.
    line: Option<u64>,
    /// Name and version of the plugin.
    plugin: String,
    digest: String,
    code: String,
    /// Message of the plugin. It may quote the record.
    message: String,
}

/// Read the quarantine
///
/// Returns the messages of plugins about records that they failed on, the oldest first. A message may quote a record.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/quarantine", tag = "Staged records",
    operation_id = "listQuarantine",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), PageQuery),
    responses((status = 200, body = PageResponse<QuarantineResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanRead>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<Box<RawValue>>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    app.blocking(move |app| {
        let context = app.migration_context(caller.whole_migration(app, &id)?)?;
        caller.note_reading(app, context.migration.reference_id, "quarantine")?;
        let (entries, total) = quarantined(&context, page.offset, page.limit)?;
        Ok(PageResponse::new(entries, total, page))
    })
    .await
}
