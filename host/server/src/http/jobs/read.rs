//! Reading and listing jobs.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;

use super::response::{JobResponse, job_response, no_job};
use crate::app::AsyncApp;
use crate::http::auth::authz::{Caller, CanAudit};
use crate::http::paging::{PageQuery, PageResponse, QueryString};
use crate::http::prefer::wait;
use crate::http::problem::Problem;
use crate::http::request::extract::PathParams;
use crate::http::request::media::accepts_json;

/// Read a job
///
/// With `Prefer: wait=N` the server answers when the job has ended, or after N seconds.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/jobs/{job}", tag = "Jobs", operation_id = "readJob",
    params(
        ("id" = Uuid, Path, description = "Reference id of the migration."),
        ("job" = Uuid, Path, description = "Id of the job."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: maximum wait for the end of the job, in seconds, up to 60."),
    ),
    responses((status = 200, body = JobResponse)),
)]
pub async fn read(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams((id, job)): PathParams<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<JobResponse>, Problem> {
    accepts_json(&headers)?;
    let (_, job) = app.blocking(move |app| caller.job(app, &id, &job)).await?;
    let _ = tokio::time::timeout(wait(&headers), app.jobs().ended(job.id)).await;
    app.blocking(move |app| {
        let job = app.store.job(job.migration, job.id)?.ok_or_else(no_job)?;
        Ok(Json(job_response(app, job)))
    })
    .await
}

/// List a migration's jobs, the newest first
///
/// A client that was granted some of the migration's domains sees the jobs of these.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/jobs", tag = "Jobs", operation_id = "listJobs",
    params(("id" = Uuid, Path, description = "Reference id of the migration."), PageQuery),
    responses((status = 200, body = PageResponse<JobResponse>)),
)]
pub async fn list(
    State(app): State<AsyncApp>,
    caller: Caller<CanAudit>,
    PathParams(id): PathParams<String>,
    headers: HeaderMap,
    query: QueryString,
) -> Result<Json<PageResponse<JobResponse>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    app.blocking(move |app| {
        let migration = caller.migration(app, &id)?;
        let (jobs, total) = app.store.jobs(&migration, caller.grant(), page)?;
        Ok(PageResponse::new(jobs.into_iter().map(|job| job_response(app, job)).collect(), total, page))
    })
    .await
}
