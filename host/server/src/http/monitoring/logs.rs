//! Reading a migration's log.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;
use sluice_catalog::{LogFilter, StoredLogEntry};
use sluice_model::{Code, Level, SafeReport};

/// An entry of a migration's log.
#[derive(Serialize, ToSchema)]
#[schema(as = LogEntry)]
#[serde(rename_all = "camelCase")]
pub struct LogEntryResponse {
    #[schema(format = DateTime)]
    at: String,
    severity: Level,
    /// Domain that the entry concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<Uuid>,
    /// Code of the event.
    #[schema(value_type = String)]
    code: Code,
    /// Figures and reference ids.
    #[schema(value_type = Object)]
    figures: SafeReport,
}

/// Filter of log entries.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "describes the query to readers of the API's document; `QueryString` reads it")]
pub struct LogQuery {
    /// Only entries of this severity.
    #[param(pattern = "^(debug|info|warning|error)$")]
    severity: Option<String>,
    /// Only entries about this domain.
    component: Option<String>,
    /// Only entries with this code.
    code: Option<String>,
    /// Only entries of this job.
    job: Option<Uuid>,
}

/// Returns the body of a response that shows a log entry.
pub fn log_entry_response(entry: StoredLogEntry) -> LogEntryResponse {
    let StoredLogEntry { at, severity, component, job, code, figures } = entry;
    LogEntryResponse { at: at.to_string(), severity, component, job_id: job, code, figures }
}

fn filter(query: &QueryString) -> Result<LogFilter, Problem> {
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
///
/// A client that was granted some of the migration's domains sees the entries about these, and of their jobs.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/logs", tag = "Monitoring", operation_id = "listLogs",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), PageQuery, LogQuery),
    responses((status = 200, body = PageResponse<LogEntryResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<LogEntryResponse>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&["severity", "component", "code", "job"])?;
    let filter = filter(&query)?;
    app.blocking(move |app| {
        let migration = caller.migration(app, &id)?;
        let (entries, total) = app.store.logs(&migration, caller.grant(), &filter, page)?;
        Ok(PageResponse::new(entries.into_iter().map(log_entry_response).collect(), total, page))
    })
    .await
}
