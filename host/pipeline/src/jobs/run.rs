//! Runs one job to its end, whatever that is, and says how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Jobs, Running, StartError};
use crate::{
    Asked, Compare, Count, Desk, Failure, Remap, Stop, Trial, Undo, compare, count, import, platform_count,
    platform_import, platform_plan, platform_undo, remap, replay_all, trial, validate,
};
use sluice_audit::{Action, Entry};
use sluice_catalog::{JobEnd, LogEntry};
use sluice_model::{
    Actor, Blame, Detail, Digest, Event, Figure, Job, JobKind, JobState, Level, Progress, Refusal, Report,
    StagingStatus,
};

/// What a job is to do.
pub enum Task {
    /// Check all staged records.
    Validate,
    /// Carry them into the target.
    Import,
    /// Compare what is staged with what is in the target.
    Counts,
    /// Map staged source records again.
    Remap(Remap),
    /// Go the whole way into a target that is thrown away.
    Trial(Trial),
    /// Map the same records with two mappers.
    Compare(Compare),
    /// Run again what a mapper made.
    Replay,
    /// Work out the calls that the migration's platform would get.
    Plan(Asked),
    /// Take back what an import has made there.
    Undo(Undo),
}

impl Task {
    /// Its kind.
    pub fn kind(&self) -> JobKind {
        match self {
            Task::Validate => JobKind::Validate,
            Task::Import => JobKind::Import,
            Task::Counts => JobKind::Counts,
            Task::Remap(_) => JobKind::Remap,
            Task::Trial(_) => JobKind::Trial,
            Task::Compare(_) => JobKind::Compare,
            Task::Replay => JobKind::Replay,
            Task::Plan(_) => JobKind::Plan,
            Task::Undo(_) => JobKind::Undo,
        }
    }

    /// Digests of the plugins that it takes, beside those of the migration.
    fn plugin_digests(&self) -> Vec<Digest> {
        match self {
            Task::Validate
            | Task::Import
            | Task::Counts
            | Task::Remap(_)
            | Task::Replay
            | Task::Plan(_)
            | Task::Undo(_) => vec![],
            Task::Trial(asked) => asked.mapper.iter().map(|mapper| mapper.digest).collect(),
            Task::Compare(asked) => vec![asked.from.digest, asked.to.digest],
        }
    }
}

impl Jobs {
    /// Starts a job on a migration; its id. `started` says who starts it, and is kept before it begins.
    pub fn start(self: &Arc<Self>, desk: Desk, task: Task, started: Entry) -> Result<Uuid, StartError> {
        let (migration, kind) = (desk.migration.reference_id, task.kind());
        self.settle_left();
        let mut inner = self.lock();
        if inner.stopping {
            return Err(StartError::Stopping);
        }
        if inner.uploads.contains_key(&migration) {
            return Err(StartError::UploadRunning);
        }
        if inner.disturbs(migration, kind) {
            return Err(StartError::JobRunning);
        }
        let version = desk.area.version()?;
        let judges = desk.judges();
        let event = match kind {
            JobKind::Validate => Event::ValidationStarts,
            JobKind::Import => {
                // The status says that a validation passed; the version says that it was of these very records.
                let validated = desk.migration.status.staging == StagingStatus::Validated;
                if validated && self.store.validated(migration)? != Some((version, judges)) {
                    return Err(StartError::Refused(Refusal::NotValidated));
                }
                desk.approved_mapper()?;
                Event::ImportStarts
            }
            JobKind::Counts => Event::CountsStart,
            JobKind::Remap => Event::ChangeStarts,
            JobKind::Trial | JobKind::Compare | JobKind::Replay | JobKind::Plan
                if desk.migration.status.staging == StagingStatus::Pending =>
            {
                return Err(StartError::Refused(Refusal::NothingStaged));
            }
            JobKind::Trial | JobKind::Compare | JobKind::Replay | JobKind::Plan | JobKind::Undo => Event::CountsStart,
        };
        let (id, started_at) = (Uuid::now_v7(), Timestamp::now());
        let state = JobState::Running;
        let job = Job { id, migration, kind, state, started_at, finished_at: None, done: 0, total: 0, result: None };
        let started = started.job(id, kind).plugins(plugins_of(&desk, &task));
        self.trail.begin_job(&job, event, &started)?;
        let progress = Arc::new(Progress::default());
        inner.jobs.insert(id, Running { migration, kind, progress: progress.clone() });
        self.metrics.job_begins(kind);
        self.count.send_modify(|count| *count += 1);
        drop(inner);
        let jobs = self.clone();
        tokio::task::spawn_blocking(move || run(&jobs, &desk, job, &task, &progress, version));
        Ok(id)
    }
}

/// Digests of the plugins that work on a task, each once.
fn plugins_of(desk: &Desk, task: &Task) -> Vec<Digest> {
    let mut digests: Vec<Digest> = desk.plugin_digests().collect();
    for digest in task.plugin_digests() {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    digests
}

/// How a job ended, and what came of it.
struct End {
    state: JobState,
    event: Option<Event>,
    result: Report,
    /// Code of what it broke off for.
    broken: Option<&'static str>,
}

fn run(jobs: &Jobs, desk: &Desk, mut job: Job, task: &Task, progress: &Progress, version: u64) {
    let worked = std::panic::catch_unwind(AssertUnwindSafe(|| work(desk, task, job.id, progress)));
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
    let ended = Entry::new(Actor::Server, Action::JobEnded).job(job.id, job.kind).state(job.state);
    let ended = ended.figure("records", job.done).plugins(plugins_of(desk, task));
    let audited = end.broken.map_or(ended.clone(), |code| ended.failed(code));
    let validated = match end.event {
        Some(Event::ValidationPassed) => Some(version),
        // What an import generates and stages was judged on the way: the validation still holds.
        Some(Event::ImportFinished | Event::ImportStopped) => desk.area.version().ok(),
        _ => None,
    };
    let (id, elapsed) = (job.id, elapsed(&job));
    jobs.metrics.job_ended(job.kind, job.state, elapsed, job.done);
    let end = JobEnd {
        event: end.event,
        validated: validated.map(|version| (version, desk.judges())),
        acknowledged: desk.acknowledged(),
        audited,
        logged: logged(&job, elapsed),
        job,
    };
    let kept = jobs.trail.end_job(&end);
    let mut inner = jobs.lock();
    if let Err(error) = kept {
        tracing::error!(code = "JOB_NOT_SETTLED", job = %id, %error, "a job ended and its end cannot be kept yet");
        inner.unsettled.push(Arc::new(end));
    }
    inner.jobs.remove(&id);
    drop(inner);
    jobs.count.send_modify(|count| *count -= 1);
}

/// A job's end, as it is logged.
fn logged(job: &Job, elapsed: Duration) -> LogEntry {
    let severity = if job.state == JobState::Failed { Level::Warning } else { Level::Info };
    LogEntry::new(severity, job.kind.ending(job.state))
        .by(job.id)
        .with("records", job.done)
        .with("seconds", (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

fn work(desk: &Desk, task: &Task, id: Uuid, progress: &Progress) -> Result<(bool, Figure), Stop> {
    let counted = |(agree, counts): (bool, _)| (agree, Figure::list::<Count>(counts));
    match (task, desk.platform.as_deref()) {
        (Task::Import, Some(platform)) => platform_import(desk, platform, progress),
        (Task::Counts, Some(platform)) => platform_count(desk, platform, progress).map(counted),
        (Task::Plan(asked), Some(platform)) => Ok((true, platform_plan(desk, platform, *asked, progress)?)),
        (Task::Undo(asked), Some(platform)) => platform_undo(desk, platform, *asked, progress),
        (Task::Plan(_) | Task::Undo(_), None) => Err(Failure::NoPlatform.into()),
        (Task::Import | Task::Counts, None) if desk.migration.target.is_some() => Err(Failure::NoPlatform.into()),
        (Task::Import, None) => import(desk, progress),
        (Task::Counts, None) => count(desk, progress).map(counted),
        (Task::Validate, _) => validate(desk, progress),
        (Task::Trial(asked), _) => trial(desk, asked, id, progress),
        // Both mappers did their work, whether they differ or not.
        (Task::Compare(asked), _) => Ok((true, compare(desk, asked, id, progress)?)),
        (Task::Replay, _) => replay_all(desk, progress),
        (Task::Remap(asked), _) => Ok((true, remap(desk, asked, progress)?)),
    }
}

fn ended(kind: JobKind, good: bool, result: Figure) -> End {
    let event = match (kind, good) {
        (JobKind::Validate, true) => Some(Event::ValidationPassed),
        (JobKind::Validate, false) => Some(Event::ValidationFoundErrors),
        (JobKind::Import, true) => Some(Event::ImportFinished),
        (JobKind::Import, false) => Some(Event::ImportStopped),
        _ => None,
    };
    let state = if good { JobState::Succeeded } else { JobState::Failed };
    End { state, event, result: result.into(), broken: None }
}

/// What happens to a migration when a job on it does not come to its end.
fn stop_event(kind: JobKind) -> Option<Event> {
    match kind {
        JobKind::Validate => Some(Event::ValidationStopped),
        JobKind::Import => Some(Event::ImportStopped),
        _ => None,
    }
}

fn stopped(jobs: &Jobs, kind: JobKind, stop: Stop) -> End {
    match stop {
        Stop::Cancelled => {
            let state = if jobs.is_stopping() { JobState::Interrupted } else { JobState::Cancelled };
            End { state, event: stop_event(kind), result: Figure::Absent.into(), broken: None }
        }
        Stop::Failed(failure) => {
            tracing::error!(code = failure.code(), blame = ?failure.blame(), error = %failure, "a job failed");
            broken(kind, failure.code(), failure.blame(), &failure.told())
        }
    }
}

fn broken(kind: JobKind, code: &'static str, blame: Blame, detail: &Detail) -> End {
    let problem = Report::problem("The job broke off", code, blame, detail);
    End { state: JobState::Failed, event: stop_event(kind), result: problem, broken: Some(code) }
}

fn elapsed(job: &Job) -> Duration {
    let end = job.finished_at.unwrap_or(job.started_at);
    Duration::try_from(end.duration_since(job.started_at)).unwrap_or_default()
}
