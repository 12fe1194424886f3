//! Ends of jobs that the catalogue could not save, for example because the disk was full.
//!
//! The server keeps each such end in memory, and retries until the catalogue has saved it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use super::{Jobs, RunningWork};
use sluice_catalog::JobEnd;
use sluice_model::{Job, JobState};

/// Time between two retries: short enough that a client hardly notices once the disk has room again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two saves of the progress: often enough to say where a killed job was, seldom enough that the writes cost
/// nothing.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// Time between two looks for jobs whose total has become known. A job that is killed early shows its total, too.
const TOTAL_INTERVAL: Duration = Duration::from_millis(200);

/// The end of one job that is not in the catalogue yet.
pub(super) struct PendingCompletion {
    /// The end to be saved.
    pub end: JobEnd,
    /// True if it is saved. A retry holds the lock while it writes, so that each end is saved once. There is one lock
    /// for each end: no migration waits for the write of another one.
    saved: Mutex<bool>,
}

impl PendingCompletion {
    /// Creates a pending completion of an end that could not be saved.
    pub fn new(end: JobEnd) -> Arc<Self> {
        Arc::new(Self { end, saved: Mutex::new(false) })
    }
}

impl RunningWork {
    /// Returns true if a client has to wait for the job: it runs, or it succeeded and that is not saved yet. A success
    /// that is reported before it is saved could be lost in a crash.
    pub(super) fn is_pending(&self, job: Uuid) -> bool {
        let succeeded = |pending: &Arc<PendingCompletion>| {
            pending.end.job.id == job && pending.end.job.state == JobState::Succeeded
        };
        self.jobs.contains_key(&job) || self.pending_completions.iter().any(succeeded)
    }
}

impl Jobs {
    /// Retries to save every pending completion.
    pub fn retry_pending_completions(&self) {
        self.retry_completions(|_| true);
    }

    /// Retries to save the pending completions of one migration.
    pub(super) fn retry_completions_of(&self, migration: Uuid) {
        self.retry_completions(|end| end.job.migration == migration);
    }

    fn retry_completions(&self, of_interest: impl Fn(&JobEnd) -> bool) {
        let pending = self.lock().pending_completions.clone();
        for completion in pending.iter().filter(|completion| of_interest(&completion.end)) {
            // A panic while the lock is held leaves the flag unset, and the next retry writes again.
            let mut saved = completion.saved.lock().unwrap_or_else(PoisonError::into_inner);
            if !*saved && self.catalogue.end_job(&completion.end).is_ok() {
                *saved = true;
                self.lock().pending_completions.retain(|other| !Arc::ptr_eq(other, completion));
                self.count.send_modify(|_| ());
            }
        }
    }

    /// Retries to save pending completions at regular intervals, for as long as the server runs.
    pub async fn run_completion_retries(self: Arc<Self>) {
        let mut clock = tokio::time::interval(RETRY_INTERVAL);
        loop {
            clock.tick().await;
            if self.lock().pending_completions.is_empty() {
                continue;
            }
            let jobs = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || jobs.retry_pending_completions()).await {
                tracing::error!(code = "HOST_PANICKED", %error, "the ends of jobs could not be saved");
            }
        }
    }

    /// Saves the progress of running jobs at regular intervals, for as long as the server runs.
    pub async fn run_progress_saves(self: Arc<Self>) {
        let mut clock = tokio::time::interval(TOTAL_INTERVAL);
        let (mut saved, mut saved_at) = (vec![], tokio::time::Instant::now());
        loop {
            clock.tick().await;
            let counts = |(id, running): (&Uuid, &super::RunningJob)| {
                let (done, total) = running.progress.counts();
                (*id, done, total)
            };
            let running: Vec<(Uuid, u64, u64)> = self.lock().jobs.iter().map(counts).collect();
            let is_new = |(job, _, total): &(Uuid, u64, u64)| {
                *total > 0 && !saved.iter().any(|(known, _, known_total)| known == job && *known_total > 0)
            };
            if running == saved || (saved_at.elapsed() < PROGRESS_INTERVAL && !running.iter().any(is_new)) {
                continue;
            }
            saved.clone_from(&running);
            saved_at = tokio::time::Instant::now();
            let jobs = self.clone();
            // A progress that is not saved is saved with the next one.
            let _ = tokio::task::spawn_blocking(move || jobs.catalogue.save_progress(&running)).await;
        }
    }

    /// Returns a job with its end, if the catalogue does not know of it yet. A failure shows at once; a success shows
    /// when it is saved.
    pub fn with_pending_completion(&self, job: Job) -> Job {
        let work = self.lock();
        let shows = |pending: &&Arc<PendingCompletion>| {
            pending.end.job.id == job.id && pending.end.job.state != JobState::Succeeded
        };
        work.pending_completions.iter().find(shows).map(|pending| pending.end.job.clone()).unwrap_or(job)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::jobs::StartError;
    use crate::test_context::TestServer;
    use sluice_audit::{Action, AuditEntry, AuditScope};
    use sluice_catalog::LogEntry;
    use sluice_model::{Actor, JobKind, Level, MigrationEvent};

    /// A failure that cannot be saved shows at once, a success when it is saved; everything else waits for that.
    #[test]
    fn an_end_that_cannot_be_saved_is_saved_later() {
        let server = TestServer::new();
        let (jobs, store, trail) = (server.jobs(), &server.store, &server.trail);
        let execute = |sql: &str| rusqlite::Connection::open(server.catalogue()).unwrap().execute_batch(sql).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let migration = server.register();
        for (state, shown) in [(JobState::Succeeded, JobState::Running), (JobState::Failed, JobState::Failed)] {
            let (id, kind) = (Uuid::now_v7(), JobKind::Counts);
            let begun = Job {
                id,
                migration,
                kind,
                domains: None,
                state: JobState::Running,
                started_at: now,
                finished_at: None,
                done: 0,
                total: 0,
                result: None,
            };
            let entry = || AuditEntry::new(Actor::Server, Action::JobEnded).job(id, kind);
            trail.begin_job(&begun, MigrationEvent::CountsStart, &entry()).unwrap();
            let end = JobEnd {
                job: Job { state, finished_at: Some(now), ..begun.clone() },
                event: None,
                validated: None,
                acknowledged: 7,
                audited: entry(),
                logged: LogEntry::new(Level::Info, kind.log_code(state)),
            };
            let found = || jobs.with_pending_completion(store.job(migration, id).unwrap().unwrap()).state;
            execute("CREATE TRIGGER full BEFORE UPDATE ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END");
            assert!(trail.end_job(&end).is_err());
            jobs.lock().pending_completions.push(PendingCompletion::new(end));
            jobs.retry_pending_completions();
            assert_eq!(found(), shown);
            assert_eq!(jobs.lock().is_pending(id), state == JobState::Succeeded);
            assert!(matches!(jobs.begin_exclusive(migration).map(drop), Err(StartError::JobRunning)));
            execute("DROP TRIGGER full");
            jobs.retry_pending_completions();
            assert_eq!((found(), store.acknowledged(migration).unwrap()), (state, 7));
            assert!(!jobs.lock().is_pending(id));
            jobs.begin_exclusive(migration).map(drop).unwrap();
        }
        let (entries, _) = trail.head(AuditScope::Migration(migration)).unwrap();
        assert_eq!(entries, 4, "each start and each end is in the trail once");
    }
}
