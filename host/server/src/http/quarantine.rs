//! What plugins said of records that broke them, and whatever else they said without having declared it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::caller::{Caller, Read};
use super::extract::Path;
use super::media::accepts_json;
use super::paging::{Listing, Paged, Query};
use super::problem::Problem;
use crate::app::App;
use sluice_pipeline::quarantined;

/// What a plugin said.
#[derive(ToSchema)]
#[schema(as = Quarantined)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "describes entries to readers of the API's document; they are kept as JSON")]
struct Shown {
    /// Number of the upload; 0 outside one.
    upload: u32,
    /// The source or entity type.
    stream: String,
    /// Line in the upload, or ordinal in staging.
    line: Option<u64>,
    /// The plugin's name and version.
    plugin: String,
    digest: String,
    code: String,
    /// Its own words. They may quote the record.
    message: String,
}

/// Read what plugins said of records that broke them
///
/// The oldest first. A message may quote a record, so this reads records.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/quarantine", tag = "Staged records",
    operation_id = "listQuarantine",
    params(("id" = Uuid, Path, description = "The migration's reference id."), Paged),
    responses((status = 200, body = Listing<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Box<RawValue>>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    tokio::task::spawn_blocking(move || {
        let desk = app.desk(caller.whole(&app, &id)?)?;
        let (entries, total) = quarantined(&desk, page.offset, page.limit)?;
        Ok(Listing::new(entries, total, page))
    })
    .await?
}
