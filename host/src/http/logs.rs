//! A migration's log.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde::Serialize;
use uuid::Uuid;

use super::media::accepts_json;
use super::migrations::find;
use super::paging::{Listing, Query};
use super::problem::Problem;
use crate::app::App;
use crate::model::{Code, Level, Report};
use crate::store::LoggedEntry;

/// An entry as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    at: String,
    severity: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
    code: Code,
    figures: Report,
}

fn show(entry: LoggedEntry) -> Shown {
    let LoggedEntry { at, severity, component, job, code, figures } = entry;
    Shown { at: at.to_string(), severity, component, job_id: job, code, figures }
}

/// `GET /migration-assistance/migrations/{id}/logs`: the oldest first.
pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    let migration = find(&app, &id)?;
    let (entries, total) = app.store.logs(migration.reference_id, page)?;
    Ok(Listing::new(entries.into_iter().map(show).collect(), total, page))
}
