//! Starts a job, runs it, and saves how it ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::pending_completions::PendingCompletion;
use super::task::Task;
use super::{Jobs, StartError};
use crate::connector::{platform_count, platform_import, platform_plan, platform_undo};
use crate::import::{import, undo};
use crate::remap::{remap, replay_all};
use crate::reporting::line_counts::{add_line_counts, incomplete_stream};
use crate::reporting::{VerificationCount, count};
use crate::trial::{compare, trial};
use crate::validate::validate;
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_audit::{Action, AuditEntry};
use sluice_catalog::{JobEnd, LogEntry};
use sluice_config::FourEyes;
use sluice_model::{
    Actor, Blame, Digest, Job, JobKind, JobState, Level, Message, MigrationEvent, Progress, SafeReport, SafeValue,
    StagingStatus, TransitionRefusal,
};

impl Jobs {
    /// Starts a job on a migration, and returns its id. `started` is the audit entry that names the caller. It is saved
    /// together with the job before the job begins. `permit` is dropped when the job has ended.
    pub fn start(
        self: &Arc<Self>,
        context: MigrationContext,
        task: Task,
        started: AuditEntry,
        permit: impl Send + 'static,
    ) -> Result<Uuid, StartError> {
        let (migration, kind) = (context.migration.reference_id, task.kind());
        self.retry_completions_of(migration);
        // An error below drops the reservation.
        let reservation = self.reserve_job(migration, kind)?;
        let version = context.area.version()?;
        let validators = context.validators_digest()?;
        let event = self.start_event(&context, &task, (version, validators))?;
        let (id, started_at, state) = (reservation.id, Timestamp::now(), JobState::Running);
        let job = Job {
            id,
            migration,
            kind,
            domains: task.domains(),
            state,
            started_at,
            finished_at: None,
            done: 0,
            total: 0,
            result: None,
        };
        let mut started = started.job(id, kind).plugins(plugins_of(&context, &task));
        if kind == JobKind::Import && !task.is_preview() {
            started = name_validator(&context, started)?;
        }
        let paused = self.catalogue.is_paused(migration, kind).map_err(StartError::from)?;
        self.catalogue.begin_job(&job, event, &started)?;
        let (jobs, progress) = (self.clone(), reservation.progress.clone());
        // The job before it was paused when its server stopped.
        progress.pause(paused);
        reservation.confirm();
        tokio::task::spawn_blocking(move || {
            run(&jobs, &context, job, &task, &progress, (version, validators));
            drop(permit);
        });
        Ok(id)
    }

    /// Returns the event that the start of a job means for its migration, or the reason for which it cannot start.
    fn start_event(
        &self,
        context: &MigrationContext,
        task: &Task,
        now: (u64, Digest),
    ) -> Result<MigrationEvent, StartError> {
        let staging = context.migration.status.staging;
        match task.kind() {
            JobKind::Import if task.is_preview() && staging == StagingStatus::Pending => {
                Err(StartError::Refused(TransitionRefusal::NothingStaged))
            }
            JobKind::Import if task.is_preview() => Ok(MigrationEvent::CountsStart),
            JobKind::Validate if task.domains().is_none() => Ok(MigrationEvent::ValidationStarts),
            JobKind::Validate if staging == StagingStatus::Pending => {
                Err(StartError::Refused(TransitionRefusal::NothingStaged))
            }
            JobKind::Import => {
                // The status tells that a validation passed. The version tells that it was of the records as they are.
                let validated = staging == StagingStatus::Validated;
                let outdated = validated && self.catalogue.validated(context.migration.reference_id)? != Some(now);
                let refusal = match context.migration.status.after(MigrationEvent::ImportStarts) {
                    Ok(_) => outdated.then_some(TransitionRefusal::NotValidated),
                    Err(refusal) => Some(refusal),
                };
                match (refusal, context.check_mapper_approved()) {
                    (None, approved) => {
                        approved?;
                        match incomplete_stream(context)? {
                            Some(stream) if validated => Err(StartError::LinesMissing(stream)),
                            _ => Ok(MigrationEvent::ImportStarts),
                        }
                    }
                    // Both are said, so that a client need not find out one after the other.
                    (Some(TransitionRefusal::NotValidated), Err(PipelineError::NotApproved { digest })) => {
                        Err(StartError::NotReady { digest })
                    }
                    (Some(refusal), _) => Err(StartError::Refused(refusal)),
                }
            }
            JobKind::Remap => Ok(MigrationEvent::ChangeStarts),
            JobKind::Trial | JobKind::Compare | JobKind::Replay | JobKind::Plan
                if staging == StagingStatus::Pending =>
            {
                Err(StartError::Refused(TransitionRefusal::NothingStaged))
            }
            JobKind::Validate
            | JobKind::Counts
            | JobKind::Trial
            | JobKind::Compare
            | JobKind::Replay
            | JobKind::Plan
            | JobKind::Undo => Ok(MigrationEvent::CountsStart),
        }
    }
}

/// Adds the client that validated the records to the audit entry of an import. Refuses the import if the configuration wants
/// two clients for both.
fn name_validator(context: &MigrationContext, started: AuditEntry) -> Result<AuditEntry, StartError> {
    let validator = context.store.last_client(context.migration.reference_id, JobKind::Validate)?;
    let needs_two = context.config.approval.needs_two(FourEyes::Import);
    if needs_two && validator.as_deref().is_none_or(|validator| started.actor_client() == Some(validator)) {
        return Err(StartError::ValidatedBySameClient);
    }
    Ok(match validator {
        Some(validator) => started.client(&validator),
        None => started,
    })
}

/// Returns the digests of the plugins that work on a task, each once.
fn plugins_of(context: &MigrationContext, task: &Task) -> Vec<Digest> {
    let mut digests: Vec<Digest> = context.plugin_digests().collect();
    for digest in task.plugin_digests() {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    digests
}

/// The end of a job, and its result.
struct JobOutcome {
    state: JobState,
    /// True if the job succeeded, and false if it found errors; none if it ended early.
    completed: Option<bool>,
    result: SafeReport,
    /// Code of the error that ended the job early.
    error: Option<&'static str>,
}

fn run(
    jobs: &Jobs,
    context: &MigrationContext,
    mut job: Job,
    task: &Task,
    progress: &Progress,
    (version, validators): (u64, Digest),
) {
    let worked = std::panic::catch_unwind(AssertUnwindSafe(|| execute(context, task, job.id, progress)));
    let outcome = match worked {
        Ok(Ok((success, result))) => completed(success, result),
        Ok(Err(interrupt)) => interrupted(jobs, interrupt),
        Err(_) => {
            let detail = "The job ended early because of a defect in the server.".into();
            failed("HOST_PANICKED", Blame::Host, &detail)
        }
    };
    let event = task.end_event(outcome.completed, context.platform.is_none());
    (job.done, job.total) = progress.counts();
    job.state = outcome.state;
    job.finished_at = Some(Timestamp::now());
    job.result = Some(outcome.result);
    let ended = AuditEntry::new(Actor::Server, Action::JobEnded).job(job.id, job.kind).state(job.state);
    let ended = ended.figure("records", job.done).plugins(plugins_of(context, task));
    let ended = match progress.removed() {
        0 => ended,
        removed => ended.figure("removed", removed),
    };
    let audited = outcome.error.map_or(ended.clone(), |code| ended.failed(code));
    let validated = match (task, event) {
        // It was of the records and of the target as they were at the start.
        (_, Some(MigrationEvent::ValidationPassed)) => Some((version, validators)),
        // The import has validated the records that it generated and staged, so the validation stays in force, unless it
        // was outdated before.
        (Task::Import(_), Some(_)) if outcome.error != Some(TransitionRefusal::NotValidated.code()) => {
            context.area.version().ok().zip(context.validators_digest().ok())
        }
        // A remap that only confirmed records has staged them anew with the same contents.
        (Task::Remap(_), _) if still_validated(jobs, job.migration, (version, validators)) => {
            context.area.version().ok().map(|version| (version, validators))
        }
        _ => None,
    };
    let (id, elapsed) = (job.id, elapsed(&job));
    jobs.metrics.job_ended(job.kind, job.state, elapsed, job.done);
    let end =
        JobEnd { event, validated, acknowledged: context.acknowledged(), audited, logged: logged(&job, elapsed), job };
    let saved = jobs.catalogue.end_job(&end);
    let mut work = jobs.lock();
    if let Err(error) = saved {
        tracing::error!(code = "JOB_NOT_SETTLED", job = %id, %error, "a job ended, and its end cannot be saved yet");
        work.pending_completions.push(PendingCompletion::new(end));
    }
    work.jobs.remove(&id);
    drop(work);
    jobs.count.send_modify(|count| *count -= 1);
}

/// Returns true if the records were validated as they were at this version, and none was changed since.
fn still_validated(jobs: &Jobs, migration: Uuid, before: (u64, Digest)) -> bool {
    let status = jobs.catalogue.status(migration).ok().flatten();
    status.is_some_and(|status| status.staging == StagingStatus::Validated)
        && jobs.catalogue.validated(migration).is_ok_and(|validated| validated == Some(before))
}

/// Returns the log entry of a job's end.
fn logged(job: &Job, elapsed: Duration) -> LogEntry {
    let severity = if job.state == JobState::Failed { Level::Warning } else { Level::Info };
    LogEntry::new(severity, job.kind.log_code(job.state))
        .by(job.id)
        .with("records", job.done)
        .with("seconds", (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

fn execute(
    context: &MigrationContext,
    task: &Task,
    id: Uuid,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    let counted = |counts: (bool, Vec<VerificationCount>)| {
        let (agree, counts) = add_line_counts(context, counts)?;
        Ok((agree, SafeValue::list(counts)))
    };
    match (task, context.platform.as_deref()) {
        (Task::Import(_), Some(platform)) => platform_import(context, platform, progress),
        (Task::Counts, Some(platform)) => counted(platform_count(context, platform, progress)?),
        (Task::Plan(options), Some(platform)) => Ok((true, platform_plan(context, platform, *options, progress)?)),
        (Task::Undo(options), Some(platform)) => platform_undo(context, platform, *options, progress),
        (Task::Plan(_), None) => Err(PipelineError::NoPlatform.into()),
        (Task::Import(_) | Task::Counts | Task::Undo(_), None) if context.migration.target.is_some() => {
            Err(PipelineError::NoPlatform.into())
        }
        (Task::Import(options), None) => import(context, *options, progress),
        (Task::Undo(options), None) => undo(context, options.preview, progress),
        (Task::Counts, None) => counted(count(context, progress)?),
        (Task::Validate(options), _) => validate(context, options, progress),
        (Task::Trial(options), _) => trial(context, options, id, progress),
        // A comparison succeeds also if the two mappers differ.
        (Task::Compare(options), _) => Ok((true, compare(context, options, id, progress)?)),
        (Task::Replay, _) => replay_all(context, progress),
        (Task::Remap(options), _) => Ok((true, remap(context, options, progress)?)),
    }
}

fn completed(success: bool, result: SafeValue) -> JobOutcome {
    let state = if success { JobState::Succeeded } else { JobState::Failed };
    JobOutcome { state, completed: Some(success), result: result.into(), error: None }
}

fn interrupted(jobs: &Jobs, interrupt: Interrupt) -> JobOutcome {
    match interrupt {
        Interrupt::Cancelled => {
            let state = if jobs.is_stopping() { JobState::Interrupted } else { JobState::Cancelled };
            JobOutcome { state, completed: None, result: SafeValue::Absent.into(), error: None }
        }
        Interrupt::Failed(error) => {
            tracing::error!(code = error.code(), blame = ?error.blame(), %error, "a job failed");
            failed(error.code(), error.blame(), &error.client_message())
        }
    }
}

fn failed(code: &'static str, blame: Blame, detail: &Message) -> JobOutcome {
    let result = SafeReport::failure("The job failed", code, blame, detail);
    JobOutcome { state: JobState::Failed, completed: None, result, error: Some(code) }
}

fn elapsed(job: &Job) -> Duration {
    let end = job.finished_at.unwrap_or(job.started_at);
    Duration::try_from(end.duration_since(job.started_at)).unwrap_or_default()
}
