//! A migration's log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::caller::{Caller, Read};
use super::extract::Path;
use super::media::accepts_json;
use super::paging::{Listing, Paged, Query};
use super::problem::Problem;
use crate::app::App;
use sluice_catalog::{LogFilter, LoggedEntry};
use sluice_model::{Code, Level, Report};

/// An entry of a migration's log.
#[derive(Serialize, ToSchema)]
#[schema(as = LogEntry)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    #[schema(format = DateTime)]
    at: String,
    severity: Level,
    /// The domain that it is about, if one.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
    /// What happened.
    #[schema(value_type = String)]
    code: Code,
    /// Figures and reference ids.
    #[schema(value_type = Object)]
    figures: Report,
}

/// Which entries are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `Query` reads it")]
pub struct Wanted {
    /// Only those of this severity.
    #[param(pattern = "^(debug|info|warning|error)$")]
    severity: Option<String>,
    /// Only those about this domain.
    component: Option<String>,
    /// Only those with this code.
    code: Option<String>,
    /// Only those of this job.
    job: Option<Uuid>,
}

pub fn show(entry: LoggedEntry) -> Shown {
    let LoggedEntry { at, severity, component, job, code, figures } = entry;
    Shown { at: at.to_string(), severity, component, job_id: job, code, figures }
}

fn filter(query: &Query) -> Result<LogFilter, Problem> {
    let text = |name: &str| query.get(name).map(str::to_owned);
    let severity = text("severity");
    if severity.as_ref().is_some_and(|severity| !["debug", "info", "warning", "error"].contains(&severity.as_str())) {
        let detail = "severity must be one of: debug, info, warning, error.";
        return Err(Problem::bad_request("INVALID_PARAMETER", detail));
    }
    let job = query.get("job").map(str::parse).transpose();
    let job = job.map_err(|_| Problem::bad_request("INVALID_PARAMETER", "job must be the id of a job."))?;
    Ok(LogFilter { severity, component: text("component"), code: text("code"), job })
}

/// Read a migration's log, the oldest entry first
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/logs", tag = "Monitoring", operation_id = "listLogs",
    params(("id" = Uuid, Path, description = "The migration's reference id."), Paged, Wanted),
    responses((status = 200, body = Listing<Shown>)),
)]
pub async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["severity", "component", "code", "job"])?;
    let filter = filter(&query)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let (entries, total) = app.store.logs(migration.reference_id, &filter, page)?;
        Ok(Listing::new(entries.into_iter().map(show).collect(), total, page))
    })
    .await?
}
