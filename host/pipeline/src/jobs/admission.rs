//! Admission of jobs and uploads.
//!
//! Each start has three steps. It reserves a place in memory, which other starts see at once. It reads or writes the
//! catalogue without a lock, so that no start waits for the disk of another migration. Then it confirms the place, or
//! releases it if the catalogue refuses.

use std::sync::Arc;

use uuid::Uuid;

use super::conflicts::{exclusive_refusal, has_to_wait, job_refusal, upload_refusal};
use super::{Jobs, RunningJob, RunningWork};
use crate::PipelineError;
use sluice_catalog::{CatalogError, JobError, TrailError, TransitionError};
use sluice_model::{Digest, JobKind, MigrationEvent, Name, Progress, TransitionRefusal};
use sluice_staging::StagingError;
use sluice_target::TargetError;

/// A reason for which a job or an upload cannot begin now.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The migration's status does not allow it.
    #[error("{}", .0.remedy())]
    Refused(TransitionRefusal),
    /// The last upload to this source or entity type ended early, or lines of it are not accounted for.
    #[error("lines of {0} are not accounted for")]
    LinesMissing(Name),
    /// An upload runs that conflicts with it.
    #[error("An upload to this migration is running. Wait for it to end.")]
    UploadRunning,
    /// A job runs that conflicts with it.
    #[error("A job of this migration is running. Wait for it, or cancel it.")]
    JobRunning,
    /// The server stops.
    #[error("The server is about to stop. Try again when it is back.")]
    Stopping,
    /// The migration does not exist.
    #[error("the migration does not exist")]
    Gone,
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] CatalogError),
    /// The audit trail could not be extended.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// The staging area failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The staged records are not validated, and their mapper is not approved.
    #[error("the staged records are not validated, and plugin {digest} is not approved")]
    NotReady {
        /// Digest of the mapper.
        digest: Digest,
    },
    /// The client that starts the import validated the records itself, or it is not known who did.
    #[error("the client that validated the records may not import them")]
    ValidatedBySameClient,
    /// A plugin is missing or not approved.
    #[error(transparent)]
    Plugin(#[from] PipelineError),
}

impl From<TargetError> for StartError {
    fn from(error: TargetError) -> Self {
        StartError::Plugin(error.into())
    }
}

impl From<TransitionError> for StartError {
    fn from(error: TransitionError) -> Self {
        match error {
            TransitionError::Refused(refusal) => StartError::Refused(refusal),
            TransitionError::MigrationNotFound => StartError::Gone,
            TransitionError::Catalog(error) => StartError::Store(error),
        }
    }
}

impl From<JobError> for StartError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Transition(error) => error.into(),
            JobError::Trail(error) => error.into(),
        }
    }
}

/// Stands for every stream of a migration. No stream has this name.
const EVERY_STREAM: &str = "*";

/// An upload, or exclusive work, in progress. It ends when this value is dropped.
pub struct UploadGuard {
    jobs: Arc<Jobs>,
    migration: Uuid,
    stream: String,
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        let mut work = self.jobs.lock();
        if let Some(streams) = work.uploads.get_mut(&self.migration) {
            streams.remove(&self.stream);
            if streams.is_empty() {
                work.uploads.remove(&self.migration);
            }
        }
        self.jobs.count.send_modify(|count| *count -= 1);
    }
}

/// The place of a job that is about to start. It is released when this value is dropped, unless it was confirmed.
pub(super) struct JobReservation {
    jobs: Arc<Jobs>,
    kind: JobKind,
    /// Id of the job.
    pub id: Uuid,
    /// Progress of the job.
    pub progress: Arc<Progress>,
    confirmed: bool,
}

impl JobReservation {
    /// Keeps the place: the catalogue has saved the start of the job.
    pub fn confirm(mut self) {
        self.confirmed = true;
        self.jobs.metrics.job_started(self.kind);
    }
}

impl Drop for JobReservation {
    fn drop(&mut self) {
        if !self.confirmed {
            self.jobs.lock().jobs.remove(&self.id);
            self.jobs.count.send_modify(|count| *count -= 1);
        }
    }
}

impl Jobs {
    /// Begins an upload to a stream of a migration. Conflicts with another upload to the stream, and with jobs that
    /// change staged records or read all of them.
    pub fn begin_upload(self: &Arc<Self>, migration: Uuid, stream: &str) -> Result<UploadGuard, StartError> {
        self.begin(migration, stream, |work| {
            let streams = work.uploads.get(&migration);
            if streams.is_some_and(|streams| streams.contains(stream) || streams.contains(EVERY_STREAM)) {
                return Some(StartError::UploadRunning);
            }
            work.kinds(migration).find_map(upload_refusal)
        })
    }

    /// Begins work that conflicts with every upload and every job of the migration, such as a purge.
    pub fn begin_exclusive(self: &Arc<Self>, migration: Uuid) -> Result<UploadGuard, StartError> {
        self.begin(migration, EVERY_STREAM, |work| {
            if work.uploads.contains_key(&migration) {
                return Some(StartError::UploadRunning);
            }
            work.kinds(migration).next().map(exclusive_refusal)
        })
    }

    fn begin(
        self: &Arc<Self>,
        migration: Uuid,
        stream: &str,
        conflict: impl FnOnce(&RunningWork) -> Option<StartError>,
    ) -> Result<UploadGuard, StartError> {
        let reserved = self.reserve_stream(migration, stream, conflict);
        if matches!(reserved, Err(StartError::Stopping)) {
            return reserved;
        }
        // A refusal by the status names the reason more exactly than a conflict does. A reserved place is dropped.
        let status = self.catalogue.status(migration)?.ok_or(StartError::Gone)?;
        status.after(MigrationEvent::ChangeStarts).map_err(StartError::Refused)?;
        reserved
    }

    fn reserve_stream(
        self: &Arc<Self>,
        migration: Uuid,
        stream: &str,
        conflict: impl FnOnce(&RunningWork) -> Option<StartError>,
    ) -> Result<UploadGuard, StartError> {
        let mut work = self.lock();
        if work.stopping {
            return Err(StartError::Stopping);
        }
        if let Some(conflict) = conflict(&work) {
            return Err(conflict);
        }
        work.uploads.entry(migration).or_default().insert(stream.to_owned());
        self.count.send_modify(|count| *count += 1);
        Ok(UploadGuard { jobs: self.clone(), migration, stream: stream.to_owned() })
    }

    /// Reserves the place of a job, unless an upload or a job of the migration conflicts with it.
    pub(super) fn reserve_job(self: &Arc<Self>, migration: Uuid, kind: JobKind) -> Result<JobReservation, StartError> {
        let mut work = self.lock();
        if work.stopping {
            return Err(StartError::Stopping);
        }
        if work.uploads.contains_key(&migration) {
            return Err(StartError::UploadRunning);
        }
        if let Some(running) = work.kinds(migration).find(|running| has_to_wait(kind, *running)) {
            return Err(job_refusal(kind, running));
        }
        let (id, progress) = (Uuid::now_v7(), Arc::new(Progress::default()));
        work.jobs.insert(id, RunningJob { migration, kind, progress: progress.clone() });
        self.count.send_modify(|count| *count += 1);
        Ok(JobReservation { jobs: self.clone(), kind, id, progress, confirmed: false })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::jobs::Task;
    use crate::jobs::catalogue::{AuditedCatalogue, JobCatalogue};
    use crate::test_context::TestServer;
    use sluice_audit::{Action, AuditEntry};
    use sluice_catalog::JobEnd;
    use sluice_model::{Actor, Grant, Job, JobState, MigrationStatus};

    fn entry() -> AuditEntry {
        AuditEntry::new(Actor::Server, Action::JobStarted)
    }

    impl Jobs {
        fn pretend_running(&self, job: Uuid, migration: Uuid, kind: JobKind) {
            self.lock().jobs.insert(job, RunningJob { migration, kind, progress: Arc::default() });
        }
    }

    /// Every pair of jobs, of one migration and of two.
    #[test]
    fn conflicting_jobs_do_not_start() {
        let server = TestServer::new();
        let (one, other) = (server.register(), server.register());
        for running in JobKind::ALL {
            for starting in JobKind::ALL {
                let jobs = server.jobs();
                jobs.pretend_running(Uuid::new_v4(), one, running);
                let reserved = jobs.reserve_job(one, starting).map(drop);
                let waits = reserved.is_err();
                assert_eq!(waits, has_to_wait(starting, running), "{starting:?} while {running:?} runs");
                let by_status = [JobKind::Validate, JobKind::Import];
                let expected = waits && by_status.contains(&starting) && by_status.contains(&running);
                assert_eq!(matches!(reserved, Err(StartError::Refused(_))), expected);
                assert!(jobs.reserve_job(other, starting).is_ok(), "jobs of another migration do not conflict");
            }
        }
    }

    /// A purge waits for all jobs of its migration, those that only read included, and for no job of another one.
    #[test]
    fn nothing_runs_beside_a_purge() {
        let server = TestServer::new();
        let (one, other) = (server.register(), server.register());
        let jobs = server.jobs();
        let job = Uuid::new_v4();
        jobs.pretend_running(job, one, JobKind::Counts);
        assert!(matches!(jobs.begin_exclusive(one).map(drop), Err(StartError::JobRunning)));
        jobs.begin_upload(one, "a").map(drop).unwrap();
        for kind in JobKind::ALL.into_iter().filter(|kind| kind.is_exclusive()) {
            jobs.lock().jobs.get_mut(&job).unwrap().kind = kind;
            assert!(matches!(jobs.begin_upload(one, "a").map(drop), Err(StartError::JobRunning)), "{kind:?}");
        }
        jobs.begin_exclusive(other).map(drop).unwrap();
        jobs.lock().jobs.remove(&job);
        let guard = jobs.begin_upload(one, "a").unwrap();
        assert!(matches!(jobs.begin_exclusive(one).map(drop), Err(StartError::UploadRunning)));
        drop(guard);
        let guard = jobs.begin_exclusive(one).unwrap();
        assert!(matches!(jobs.begin_upload(one, "a").map(drop), Err(StartError::UploadRunning)));
        drop(guard);
        server.store.purge(one, Timestamp::UNIX_EPOCH).unwrap();
        assert!(matches!(jobs.begin_exclusive(one).map(drop), Err(StartError::Refused(TransitionRefusal::Purged))));
        assert_eq!(*jobs.count.borrow(), 0, "a refused start releases its place");
    }

    /// A catalogue whose disk blocks for one migration: each call signals that it has begun, and waits for its answer.
    struct BlockingCatalogue {
        inner: AuditedCatalogue,
        blocked: Uuid,
        entered: SyncSender<()>,
        /// True if the write may be made.
        answers: std::sync::Mutex<Receiver<bool>>,
    }

    impl BlockingCatalogue {
        fn wait(&self, migration: Uuid) -> Result<(), CatalogError> {
            if migration != self.blocked {
                return Ok(());
            }
            self.entered.send(()).unwrap();
            let may_write = self.answers.lock().unwrap().recv().unwrap();
            if may_write { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows.into()) }
        }
    }

    impl JobCatalogue for BlockingCatalogue {
        fn status(&self, migration: Uuid) -> Result<Option<MigrationStatus>, CatalogError> {
            self.wait(migration)?;
            self.inner.status(migration)
        }

        fn validated(&self, migration: Uuid) -> Result<Option<(u64, Digest)>, CatalogError> {
            self.inner.validated(migration)
        }

        fn begin_job(&self, job: &Job, event: MigrationEvent, started: &AuditEntry) -> Result<(), JobError> {
            self.wait(job.migration)?;
            self.inner.begin_job(job, event, started)
        }

        fn end_job(&self, end: &JobEnd) -> Result<(), JobError> {
            self.wait(end.job.migration)?;
            self.inner.end_job(end)
        }

        fn is_paused(&self, migration: Uuid, kind: JobKind) -> Result<bool, CatalogError> {
            self.inner.is_paused(migration, kind)
        }

        fn save_progress(&self, jobs: &[(Uuid, u64, u64)]) -> Result<(), CatalogError> {
            self.inner.save_progress(jobs)
        }
    }

    /// While the catalogue blocks for one migration, jobs and uploads of another one start and end, and what conflicts
    /// with the blocked start is refused. When its write fails, memory and catalogue agree that nothing has started.
    #[test]
    fn no_start_waits_for_another_migration() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let server = TestServer::new();
        let (slow, quick) = (server.register(), server.register());
        let (entered, begun) = sync_channel(8);
        let (answer, answers) = sync_channel(8);
        let inner = AuditedCatalogue::new(server.store.clone(), server.trail.clone());
        let answers = std::sync::Mutex::new(answers);
        let blocking = BlockingCatalogue { inner, blocked: slow, entered, answers };
        let jobs = Jobs::with_catalogue(Box::new(blocking), Arc::default());
        let work_of_the_quick = || {
            let (starting, context, (done, finished)) = (jobs.clone(), server.context(quick), sync_channel(1));
            let handle = runtime.handle().clone();
            std::thread::spawn(move || {
                let _entered = handle.enter();
                starting.begin_upload(quick, "a").map(drop).unwrap();
                starting.begin_exclusive(quick).map(drop).unwrap();
                done.send(starting.start(context, Task::Counts, entry(), ()).unwrap()).unwrap();
            });
            let job = finished.recv_timeout(Duration::from_secs(30)).expect("the start waited for another migration");
            runtime.block_on(jobs.ended(job));
            assert_eq!(server.store.job(quick, job).unwrap().unwrap().state, JobState::Succeeded);
        };

        // The start of a job blocks, and fails.
        let start = |kind: Task| {
            let (jobs, context) = (jobs.clone(), server.context(slow));
            let handle = runtime.handle().clone();
            std::thread::spawn(move || {
                let _entered = handle.enter();
                jobs.start(context, kind, entry(), ())
            })
        };
        let starting = start(Task::Undo(crate::UndoOptions { preview: true, abandoned: false }));
        begun.recv().unwrap();
        work_of_the_quick();
        assert!(matches!(jobs.start(server.context(slow), Task::Counts, entry(), ()), Err(StartError::JobRunning)));
        assert!(matches!(jobs.reserve_job(slow, JobKind::Import).map(drop), Err(StartError::JobRunning)));
        answer.send(false).unwrap();
        assert!(matches!(starting.join().unwrap(), Err(StartError::Store(_))));
        assert_eq!((jobs.running(slow), *jobs.count.borrow()), (vec![], 0), "the place is released");
        let of_slow = server.context(slow).migration;
        let all = Grant {
            client: String::new(),
            tenant: None,
            label: None,
            permissions: vec![],
            domains: Grant::all_domains(),
            until: None,
        };
        assert_eq!(server.store.jobs(&of_slow, &all, server.page()).unwrap().1, 0, "the catalogue knows of no job");

        // The start of an upload blocks, and succeeds.
        let uploading = {
            let jobs = jobs.clone();
            std::thread::spawn(move || jobs.begin_upload(slow, "a"))
        };
        begun.recv().unwrap();
        work_of_the_quick();
        assert!(matches!(jobs.reserve_job(slow, JobKind::Counts).map(drop), Err(StartError::UploadRunning)));
        answer.send(true).unwrap();
        let guard = uploading.join().unwrap().unwrap();
        assert!(matches!(jobs.reserve_job(slow, JobKind::Counts).map(drop), Err(StartError::UploadRunning)));
        drop(guard);

        // The end of a job blocks, and fails; the retry blocks as well.
        let starting = start(Task::Counts);
        begun.recv().unwrap();
        answer.send(true).unwrap();
        let job = starting.join().unwrap().unwrap();
        begun.recv().unwrap();
        work_of_the_quick();
        answer.send(false).unwrap();
        let mut changes = jobs.changes();
        runtime.block_on(changes.wait_for(|count| *count == 0)).unwrap();
        let retrying = {
            let jobs = jobs.clone();
            std::thread::spawn(move || jobs.retry_pending_completions())
        };
        begun.recv().unwrap();
        work_of_the_quick();
        assert!(jobs.lock().is_pending(job), "a success counts once it is saved");
        answer.send(true).unwrap();
        retrying.join().unwrap();
        assert_eq!(server.store.job(slow, job).unwrap().unwrap().state, JobState::Succeeded);
        assert!(jobs.lock().pending_completions.is_empty());
    }

    /// Of two conflicting jobs that start at the same moment, one does.
    #[test]
    fn one_of_two_starts_wins() {
        let server = TestServer::new();
        let migration = server.register();
        let jobs = server.jobs();
        for _ in 0..100 {
            let barrier = Barrier::new(2);
            let reserve = |kind| {
                barrier.wait();
                let reserved = jobs.reserve_job(migration, kind);
                barrier.wait();
                reserved.is_ok()
            };
            let (one, other) = std::thread::scope(|scope| {
                let other = scope.spawn(|| reserve(JobKind::Undo));
                (reserve(JobKind::Import), other.join().unwrap())
            });
            assert!(one != other, "{one} {other}");
        }
    }
}
