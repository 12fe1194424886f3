//! Runs one job to its end, whatever that is, and says how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Jobs, StartError};
use crate::model::{
    Blame, Detail, Event, Figure, Job, JobKind, JobState, Level, Progress, Refusal, Report, StagingStatus,
};
use crate::pipeline::{Desk, Stop, count, import, validate};
use crate::store::LogEntry;

impl Jobs {
    /// Starts a job on a migration; its id.
    pub fn start(self: &Arc<Self>, desk: Desk, kind: JobKind) -> Result<Uuid, StartError> {
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
        self.store.put_job(&job)?;
        let progress = Arc::new(Progress::default());
        inner.jobs.insert(id, progress.clone());
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
    result: Report,
}

fn run(jobs: &Jobs, desk: &Desk, mut job: Job, progress: &Progress, version: u64) {
    let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(desk, job.kind, progress)));
    let end = match worked {
        Ok(Ok((good, result))) => ended(job.kind, good, result),
        Ok(Err(stop)) => stopped(jobs, job.kind, stop),
        Err(_) => {
            let detail = "The job broke off by a mistake in the server.".into();
            broken(job.kind, "HOST_PANICKED", Blame::Host, &detail)
        }
    };
    (job.done, job.total) = progress.figures();
    job.state = end.state;
    job.finished_at = Some(Timestamp::now());
    job.result = Some(end.result);
    if let Err(error) = settle(jobs, desk, &job, end.event, version) {
        tracing::error!(code = "JOB_NOT_SETTLED", job = %job.id, %error, "a job ended and its end could not be kept");
    }
    jobs.lock().jobs.remove(&job.id);
    jobs.count.send_modify(|count| *count -= 1);
}

fn work(desk: &Desk, kind: JobKind, progress: &Progress) -> Result<(bool, Figure), Stop> {
    match kind {
        JobKind::Validate => validate(desk, progress),
        JobKind::Import => import(desk, progress),
        JobKind::Counts => {
            let (agree, counts) = count(desk, progress)?;
            Ok((agree, Figure::list(counts)))
        }
    }
}

fn ended(kind: JobKind, good: bool, result: Figure) -> End {
    let event = match (kind, good) {
        (JobKind::Validate, true) => Some(Event::ValidationPassed),
        (JobKind::Validate, false) => Some(Event::ValidationFoundErrors),
        (JobKind::Import, true) => Some(Event::ImportFinished),
        (JobKind::Import, false) => Some(Event::ImportStopped),
        (JobKind::Counts, _) => None,
    };
    End { state: if good { JobState::Succeeded } else { JobState::Failed }, event, result: result.into() }
}

fn stop_event(kind: JobKind) -> Option<Event> {
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
            End { state, event: stop_event(kind), result: Figure::Absent.into() }
        }
        Stop::Failed(failure) => {
            tracing::error!(code = failure.code(), blame = ?failure.blame(), error = %failure, "a job failed");
            broken(kind, failure.code(), failure.blame(), &failure.told())
        }
    }
}

fn broken(kind: JobKind, code: &'static str, blame: Blame, detail: &Detail) -> End {
    let problem = Report::problem("The job broke off", code, blame, detail);
    End { state: JobState::Failed, event: stop_event(kind), result: problem }
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
    let severity = if job.state == JobState::Failed { Level::Warning } else { Level::Info };
    let elapsed = job
        .finished_at
        .map_or(Duration::ZERO, |end| Duration::try_from(end.duration_since(job.started_at)).unwrap_or_default());
    let entry = LogEntry::new(severity, job.kind.ending(job.state))
        .by(job.id)
        .with("records", job.done)
        .with("seconds", (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0);
    jobs.store.log(migration, &entry)?;
    Ok(())
}
