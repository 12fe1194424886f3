//! What plugins said of records that broke them, and whatever else they said without having declared it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::value::RawValue;

use super::media::accepts_json;
use super::migrations::find;
use super::paging::{Listing, Query};
use super::problem::Problem;
use crate::app::App;
use crate::pipeline::quarantined;

/// `GET /migration-assistance/migrations/{id}/quarantine`: the oldest first. A message may quote a record, so this
/// reads records.
pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Box<RawValue>>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    tokio::task::spawn_blocking(move || {
        let desk = app.desk(find(&app, &id)?)?;
        let (entries, total) = quarantined(&desk, page.offset, page.limit)?;
        Ok(Listing::new(entries, total, page))
    })
    .await?
}
