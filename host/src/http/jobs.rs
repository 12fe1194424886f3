//! Jobs: starting, watching and cancelling them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use super::media::accepts_json;
use super::migrations::find;
use super::paging::{Listing, Query};
use super::problem::Problem;
use crate::app::App;
use crate::model::{Job, JobKind, JobState, Report};

/// A job as the API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    job_id: Uuid,
    kind: JobKind,
    state: JobState,
    done: u64,
    total: u64,
    started_at: String,
    finished_at: Option<String>,
    result: Option<Report>,
}

fn show(app: &App, job: Job) -> Shown {
    let running = app.jobs.progress(job.id).map(|progress| progress.figures());
    let (done, total) = running.unwrap_or((job.done, job.total));
    Shown {
        job_id: job.id,
        kind: job.kind,
        state: job.state,
        done,
        total,
        started_at: job.started_at.to_string(),
        finished_at: job.finished_at.map(|at| at.to_string()),
        result: job.result.filter(|result| !result.is_empty()),
    }
}

fn no_job() -> Problem {
    Problem::not_found("NO_SUCH_JOB", "The migration has no such job. Kinds to start are: validate, import, counts.")
}

/// `PUT /migration-assistance/migrations/{id}/jobs/{kind}`: the job's id as a bare JSON string.
pub async fn start(
    State(app): State<Arc<App>>,
    Path((id, kind)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Uuid>, Problem> {
    accepts_json(&headers)?;
    let migration = find(&app, &id)?;
    let kind = JobKind::parse(&kind).ok_or_else(no_job)?;
    let desk = app.desk(migration)?;
    Ok(Json(app.jobs.start(desk, kind)?))
}

/// Longest that a client may ask to be kept waiting, in seconds: below what proxies cut off.
const MAX_WAIT_SECONDS: u64 = 60;

/// How long the client would wait for the job's end, by `Prefer: wait=N` (RFC 7240).
fn patience(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let wait = preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
    Duration::from_secs(wait.unwrap_or(0).min(MAX_WAIT_SECONDS))
}

/// `GET /migration-assistance/migrations/{id}/jobs/{jobId}`: at once, or as soon as the job has ended where
/// the client says `Prefer: wait=N`.
pub async fn read(
    State(app): State<Arc<App>>,
    Path((id, job)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Shown>, Problem> {
    accepts_json(&headers)?;
    let migration = find(&app, &id)?;
    let job: Uuid = job.parse().map_err(|_| no_job())?;
    let _ = tokio::time::timeout(patience(&headers), app.jobs.ended(job)).await;
    let job = app.store.job(migration.reference_id, job)?.ok_or_else(no_job)?;
    Ok(Json(show(&app, job)))
}

/// `GET /migration-assistance/migrations/{id}/jobs`
pub async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Query,
) -> Result<Json<Listing<Shown>>, Problem> {
    accepts_json(&headers)?;
    let page = query.page(&[])?;
    let migration = find(&app, &id)?;
    let (jobs, total) = app.store.jobs(migration.reference_id, page)?;
    Ok(Listing::new(jobs.into_iter().map(|job| show(&app, job)).collect(), total, page))
}

/// `PUT /migration-assistance/migrations/{id}/jobs/{jobId}/cancel`: the job stops at its next batch.
pub async fn cancel(
    State(app): State<Arc<App>>,
    Path((id, job)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let migration = find(&app, &id)?;
    let job: Uuid = job.parse().map_err(|_| no_job())?;
    let job = app.store.job(migration.reference_id, job)?.ok_or_else(no_job)?;
    match app.jobs.progress(job.id) {
        Some(progress) => {
            progress.cancel();
            Ok(StatusCode::ACCEPTED)
        }
        None => Err(Problem::conflict("JOB_ENDED", "The job has ended already.")),
    }
}
