//! Body of a response that shows a job, and the search for a job.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::http::problem::Problem;
use sluice_model::{Job, JobKind, JobState, Migration, SafeReport, message};

/// A job.
#[derive(Serialize, ToSchema)]
#[schema(as = Job)]
#[serde(rename_all = "camelCase")]
pub struct JobResponse {
    job_id: Uuid,
    kind: JobKind,
    state: JobState,
    /// Domains that the job works on; absent if it works on the whole migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<&'static str>>,
    /// True if the running job is paused.
    paused: bool,
    /// Records that were processed.
    done: u64,
    /// Records to process. An import adds the records that it generates when it has generated them. A trial counts each
    /// record once for each of its four steps.
    total: u64,
    /// Average number of records a second.
    records_per_second: Option<f64>,
    /// Remaining seconds of a running job at that rate.
    seconds_left: Option<f64>,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(format = DateTime)]
    finished_at: Option<String>,
    /// Result: figures by entity type, the counts of both sides, or a problem.
    #[schema(value_type = Option<serde_json::Value>)]
    result: Option<SafeReport>,
}

/// Returns the body of a response that shows a job.
pub fn job_response(app: &App, job: Job) -> JobResponse {
    let job = app.jobs.with_pending_completion(job);
    let progress = app.jobs.progress(job.id);
    let running = progress.as_ref().map(|progress| progress.counts());
    let (done, total) = running.unwrap_or((job.done, job.total));
    let until = job.finished_at.unwrap_or_else(jiff::Timestamp::now);
    let seconds = until.duration_since(job.started_at).as_secs_f64();
    let rounded = |figure: f64| (figure * 10.0).round() / 10.0;
    let rate = (seconds > 0.0).then(|| done as f64 / seconds);
    let left = rate.filter(|rate| job.state == JobState::Running && *rate > 0.0);
    JobResponse {
        job_id: job.id,
        kind: job.kind,
        state: job.state,
        components: job.domains.map(|domains| domains.iter().map(|domain| domain.component).collect()),
        paused: progress.is_some_and(|progress| progress.is_paused()),
        done,
        total,
        records_per_second: rate.map(rounded),
        seconds_left: left.map(|rate| rounded((total - done) as f64 / rate)),
        started_at: job.started_at.to_string(),
        finished_at: job.finished_at.map(|at| at.to_string()),
        result: job.result.filter(|result| !result.is_empty()),
    }
}

/// Returns the problem for a job that does not exist.
pub fn no_job() -> Problem {
    let kinds: Vec<&'static str> = JobKind::ALL.iter().map(|kind| kind.as_str()).collect();
    Problem::not_found("NO_SUCH_JOB", message!("The migration has no such job. Kinds of jobs: {}.", kinds))
}

/// Returns the job of a migration with this id.
pub fn find_job(app: &App, migration: &Migration, job: &str) -> Result<Job, Problem> {
    let job: Uuid = job.parse().map_err(|_| no_job())?;
    app.store.job(migration.reference_id, job)?.ok_or_else(no_job)
}
