//! Runs one job to its end, whatever that is, and says how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Jobs, Running, StartError};
use crate::audit::{Action, Entry, Scope};
use crate::model::{Actor, Blame, Event, Job, JobKind, JobState, Progress, Refusal, StagingStatus};
use crate::pipeline::{Desk, Failure, Stop, count, import, validate};
use crate::store::LogEntry;

impl Jobs {
    /// Starts a job on a migration; its id. `started` says who starts it, and is kept before it begins.
    pub fn start(self: &Arc<Self>, desk: Desk, kind: JobKind, started: Entry) -> Result<Uuid, StartError> {
        let migration = desk.migration.reference_id;
        let mut inner = self.lock();
        if inner.stopping {
            return Err(StartError::Stopping);
        }
        if inner.uploads.contains_key(&migration) {
            return Err(StartError::UploadRunning);
        }
        let version = desk.area.version()?;
        let event = match kind {
            JobKind::Validate => Event::ValidationStarts,
            JobKind::Import => {
                // The status says that a validation passed; the version says that it was of these very records.
                let validated = desk.migration.status.staging == StagingStatus::Validated;
                if validated && self.store.validated_version(migration)? != Some(version) {
                    return Err(StartError::Refused(Refusal::NotValidated));
                }
                Event::ImportStarts
            }
            JobKind::Counts => Event::CountsStart,
        };
        self.store.transition(migration, event)?;
        let (id, started_at) = (Uuid::now_v7(), Timestamp::now());
        let state = JobState::Running;
        let job = Job { id, migration, kind, state, started_at, finished_at: None, done: 0, total: 0, result: None };
        let started = started.job(id, kind).plugins(desk.plugin_digests());
        let kept = self.trail.append(Scope::Migration(migration), &started).map_err(StartError::from);
        if let Err(error) = kept.and_then(|()| Ok(self.store.put_job(&job)?)) {
            // It has not begun after all.
            if let Some(event) = stop_event(kind) {
                self.store.transition(migration, event)?;
            }
            return Err(error);
        }
        let progress = Arc::new(Progress::default());
        inner.jobs.insert(id, Running { migration, progress: progress.clone() });
        self.metrics.job_begins(kind);
        self.count.send_modify(|count| *count += 1);
        drop(inner);
        let jobs = self.clone();
        tokio::task::spawn_blocking(move || run(&jobs, &desk, job, &progress, version));
        Ok(id)
    }
}

/// How a job ended, and what came of it.
struct End {
    state: JobState,
    event: Option<Event>,
    result: Value,
    /// Code of what it broke off for.
    broken: Option<&'static str>,
}

fn run(jobs: &Jobs, desk: &Desk, mut job: Job, progress: &Progress, version: u64) {
    let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(desk, job.kind, progress)));
    let end = match worked {
        Ok(Ok((good, result))) => ended(job.kind, good, result),
        Ok(Err(stop)) => stopped(jobs, job.kind, stop),
        Err(_) => broken(job.kind, "HOST_PANICKED", Blame::Host, "The job broke off by a mistake in the server."),
    };
    (job.done, job.total) = progress.figures();
    job.state = end.state;
    job.finished_at = Some(Timestamp::now());
    job.result = Some(end.result);
    let ended = Entry::new(Actor::Server, Action::JobEnded).job(job.id, job.kind).state(job.state);
    let ended = ended.figure("records", job.done).plugins(desk.plugin_digests());
    let ended = end.broken.map_or(ended.clone(), |code| ended.failed(code));
    if let Err(error) = jobs.trail.append(Scope::Migration(job.migration), &ended) {
        tracing::error!(code = "AUDIT_FAILED", job = %job.id, %error, "a job's end could not be audited");
    }
    if let Err(error) = settle(jobs, desk, &job, end.event, version) {
        tracing::error!(code = "JOB_NOT_SETTLED", job = %job.id, %error, "a job ended and its end could not be kept");
    }
    let elapsed = elapsed(&job);
    jobs.metrics.job_ended(job.kind, job.state, elapsed, job.done);
    jobs.lock().jobs.remove(&job.id);
    jobs.count.send_modify(|count| *count -= 1);
}

fn work(desk: &Desk, kind: JobKind, progress: &Progress) -> Result<(bool, Value), Stop> {
    match kind {
        JobKind::Validate => validate(desk, progress),
        JobKind::Import => import(desk, progress),
        JobKind::Counts => {
            let (agree, counts) = count(desk, progress)?;
            Ok((agree, json!(counts)))
        }
    }
}

fn ended(kind: JobKind, good: bool, result: Value) -> End {
    let event = match (kind, good) {
        (JobKind::Validate, true) => Some(Event::ValidationPassed),
        (JobKind::Validate, false) => Some(Event::ValidationFoundErrors),
        (JobKind::Import, true) => Some(Event::ImportFinished),
        (JobKind::Import, false) => Some(Event::ImportStopped),
        (JobKind::Counts, _) => None,
    };
    End { state: if good { JobState::Succeeded } else { JobState::Failed }, event, result, broken: None }
}

/// What happens to a migration when a job on it does not come to its end.
pub fn stop_event(kind: JobKind) -> Option<Event> {
    match kind {
        JobKind::Validate => Some(Event::ValidationStopped),
        JobKind::Import => Some(Event::ImportStopped),
        JobKind::Counts => None,
    }
}

fn stopped(jobs: &Jobs, kind: JobKind, stop: Stop) -> End {
    match stop {
        Stop::Cancelled => {
            let state = if jobs.is_stopping() { JobState::Interrupted } else { JobState::Cancelled };
            End { state, event: stop_event(kind), result: Value::Null, broken: None }
        }
        Stop::Failed(failure) => {
            tracing::error!(code = failure.code(), blame = ?failure.blame(), error = %failure, "a job failed");
            broken(kind, failure.code(), failure.blame(), &shown(&failure))
        }
    }
}

/// What may be told to a client: the host's and the target's own trouble is for the log.
fn shown(failure: &Failure) -> String {
    match failure.blame() {
        Blame::Plugin | Blame::Record => failure.to_string(),
        Blame::Host => "The server could not go on. Its log says why.".into(),
        Blame::Target => "The target could not be read or written. The server's log says why.".into(),
    }
}

fn broken(kind: JobKind, code: &'static str, blame: Blame, detail: &str) -> End {
    let problem = json!({
        "type": format!("/problems/{code}"),
        "title": "The job broke off",
        "status": 500,
        "code": code,
        "blame": blame,
        "detail": detail,
    });
    let result = json!({ "problem": problem });
    End { state: JobState::Failed, event: stop_event(kind), result, broken: Some(code) }
}

fn elapsed(job: &Job) -> Duration {
    let end = job.finished_at.unwrap_or(job.started_at);
    Duration::try_from(end.duration_since(job.started_at)).unwrap_or_default()
}

/// Attempts at keeping a job's end: the catalogue may be locked for a moment.
const ATTEMPTS: u32 = 3;

fn settle(jobs: &Jobs, desk: &Desk, job: &Job, event: Option<Event>, version: u64) -> anyhow::Result<()> {
    let migration = desk.migration.reference_id;
    match event {
        Some(Event::ValidationPassed) => jobs.store.set_validated_version(migration, version)?,
        // What an import generates and stages was judged on the way: the validation still holds.
        Some(Event::ImportFinished | Event::ImportStopped) => {
            jobs.store.set_validated_version(migration, desk.area.version()?)?;
        }
        _ => {}
    }
    if let Some(event) = event {
        jobs.store.transition(migration, event)?;
    }
    let mut attempt = 1;
    while let Err(error) = jobs.store.put_job(job) {
        if attempt == ATTEMPTS {
            return Err(error.into());
        }
        attempt += 1;
    }
    let severity = if job.state == JobState::Failed { "warning" } else { "info" };
    let code = format!("{}_{}", job.kind.as_str(), job.state.as_str()).to_uppercase();
    let entry = LogEntry::new(severity, &code)
        .by(job.id)
        .with("records", job.done)
        .with("seconds", (elapsed(job).as_secs_f64() * 1_000.0).round() / 1_000.0);
    jobs.store.log(migration, &entry)?;
    Ok(())
}
