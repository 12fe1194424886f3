//! Jobs: starting, watching and cancelling them.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::caller::{Caller, Migrate, Read};
use super::extract::{Content, Path};
use super::job_tasks::{Asked, task};
use super::media::accepts_json;
use super::paging::{Listing, Paged, Query};
use super::problem::Problem;
use crate::app::App;
use sluice_audit::{Action, Scope};
use sluice_model::{Job, JobKind, JobState, Migration, Report, told};

/// A job.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    job_id: Uuid,
    kind: JobKind,
    state: JobState,
    /// Records worked through.
    done: u64,
    /// Records to work through, as far as is known.
    total: u64,
    /// Records a second, on the whole.
    records_per_second: Option<f64>,
    /// Seconds that a running job will still take at that rate.
    seconds_left: Option<f64>,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// What came of it: figures by entity type, the counts of both sides, or a problem.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<Report>,
}

pub fn show(app: &App, job: Job) -> Shown {
    let job = app.jobs.as_it_is(job);
    let running = app.jobs.progress(job.id).map(|progress| progress.figures());
    let (done, total) = running.unwrap_or((job.done, job.total));
    let until = job.finished_at.unwrap_or_else(jiff::Timestamp::now);
    let seconds = until.duration_since(job.started_at).as_secs_f64();
    let rounded = |figure: f64| (figure * 10.0).round() / 10.0;
    let rate = (seconds > 0.0).then(|| done as f64 / seconds);
    let left = rate.filter(|rate| job.state == JobState::Running && *rate > 0.0);
    Shown {
        job_id: job.id,
        kind: job.kind,
        state: job.state,
        done,
        total,
        records_per_second: rate.map(rounded),
        seconds_left: left.map(|rate| rounded((total - done) as f64 / rate)),
        started_at: job.started_at.to_string(),
        finished_at: job.finished_at.map(|at| at.to_string()),
        result: job.result.filter(|result| !result.is_empty()),
    }
}

pub(super) fn no_job() -> Problem {
    let kinds: Vec<&'static str> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
    Problem::not_found("NO_SUCH_JOB", told!("The migration has no such job. Kinds to start are: {}.", kinds))
}

/// The job of a migration with this id.
pub(super) fn find(app: &App, migration: &Migration, job: &str) -> Result<Job, Problem> {
    let job: Uuid = job.parse().map_err(|_| no_job())?;
    app.store.job(migration.reference_id, job)?.ok_or_else(no_job)
}

/// Start a job
///
/// The job's id as a bare JSON string. Some kinds can be told more, with a JSON object.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/jobs/{job}", tag = "Jobs", operation_id = "startJob",
    params(("id" = Uuid, Path, description = "The migration's reference id."), ("job" = JobKind, Path, description = "What to do.")),
    request_body(content = Option<Asked>, content_type = "application/json", description = "What the kind can be told; the others are told nothing."),
    responses(
        (status = 200, body = Uuid, content_type = "application/json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "The migration's state does not allow it; the code and the detail say why."),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "The body names something that is not there, such as a source."),
        (status = 502, body = Problem, content_type = "application/problem+json", description = "The target cannot be used."),
    ),
)]
pub async fn start(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, kind)): Path<(String, String)>,
    headers: HeaderMap,
    Content(bytes): Content,
) -> Result<Json<Uuid>, Problem> {
    accepts_json(&headers)?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let kind = JobKind::parse(&kind).ok_or_else(no_job)?;
        let desk = app.desk(migration)?;
        let task = task(&desk, kind, &headers, &bytes)?;
        Ok(Json(app.jobs.start(desk, task, caller.entry(Action::JobStarted))?))
    })
    .await?
}

/// Longest that a client may ask to be kept waiting, in seconds: below what proxies cut off.
const MAX_WAIT_SECONDS: u64 = 60;

/// How long the client would wait for the job's end, by `Prefer: wait=N` (RFC 7240).
pub(super) fn patience(headers: &HeaderMap) -> Duration {
    let preferences = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
    let wait = preferences
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| preference.trim().strip_prefix("wait=")?.parse().ok());
    Duration::from_secs(wait.unwrap_or(0).min(MAX_WAIT_SECONDS))
}

/// Read a job
///
/// At once, or with `Prefer: wait=N` as soon as the job has ended, after N seconds at the latest.
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/jobs/{job}", tag = "Jobs", operation_id = "readJob",
    params(
        ("id" = Uuid, Path, description = "The migration's reference id."),
        ("job" = Uuid, Path, description = "The job's id."),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: seconds to wait for the job's end, 60 at most."),
    ),
    responses((status = 200, body = Shown)),
)]
pub async fn read(
    State(app): State<Arc<App>>,
    caller: Caller<Read>,
    Path((id, job)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Shown>, Problem> {
    accepts_json(&headers)?;
    let known = app.clone();
    let found = tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&known, &id)?;
        find(&known, &migration, &job)
    });
    let job = found.await??;
    let _ = tokio::time::timeout(patience(&headers), app.jobs.ended(job.id)).await;
    tokio::task::spawn_blocking(move || {
        let job = app.store.job(job.migration, job.id)?.ok_or_else(no_job)?;
        Ok(Json(show(&app, job)))
    })
    .await?
}

/// List a migration's jobs, the newest first
#[utoipa::path(
    get, path = "/migration-assistance/migrations/{id}/jobs", tag = "Jobs", operation_id = "listJobs",
    params(("id" = Uuid, Path, description = "The migration's reference id."), Paged),
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
    let page = query.page(&[])?;
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let (jobs, total) = app.store.jobs(migration.reference_id, page)?;
        Ok(Listing::new(jobs.into_iter().map(|job| show(&app, job)).collect(), total, page))
    })
    .await?
}

/// Cancel a job
///
/// It stops at its next batch; what it has done stays, and starting the same job again goes on from there.
#[utoipa::path(
    put, path = "/migration-assistance/migrations/{id}/jobs/{job}/cancel", tag = "Jobs", operation_id = "cancelJob",
    params(("id" = Uuid, Path, description = "The migration's reference id."), ("job" = Uuid, Path, description = "The job's id.")),
    responses(
        (status = 202, description = "It will stop."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "It has ended already."),
    ),
)]
pub async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller<Migrate>,
    Path((id, job)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    tokio::task::spawn_blocking(move || {
        let migration = caller.whole(&app, &id)?;
        let job = find(&app, &migration, &job)?;
        match app.jobs.progress(job.id) {
            Some(progress) => {
                let asked = caller.entry(Action::JobCancelAsked).job(job.id, job.kind);
                app.audit(Scope::Migration(migration.reference_id), asked)?;
                progress.cancel();
                Ok(StatusCode::ACCEPTED)
            }
            None => Err(Problem::conflict("JOB_ENDED", "The job has ended already.")),
        }
    })
    .await?
}
