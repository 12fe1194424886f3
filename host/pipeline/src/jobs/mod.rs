//! Jobs and uploads: what may run beside what, progress, cancellation, and how each ended.

mod run;
mod settle;

use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::{HashMap, HashSet};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Failure;
use sluice_catalog::{JobEnd, JobError, Store, StoreError, Trail, TrailError, TransitionError};
use sluice_metrics::Metrics;
use sluice_model::{JobKind, Progress, Refusal};
use sluice_staging::StagingError;

pub use run::Task;

/// What is running on this server.
pub struct Jobs {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    trail: Arc<Trail>,
    inner: Mutex<Inner>,
    /// Held by whoever tries to keep the ends of jobs that could not be kept.
    settling: Mutex<()>,
    /// How many jobs and uploads are running.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    /// Running jobs.
    jobs: HashMap<Uuid, Running>,
    /// Streams that are being uploaded to, by migration.
    uploads: HashMap<Uuid, HashSet<String>>,
    /// Jobs that have ended, and whose end could not be kept yet.
    unsettled: Vec<Arc<JobEnd>>,
    stopping: bool,
}

/// A job that is running.
struct Running {
    migration: Uuid,
    kind: JobKind,
    progress: Arc<Progress>,
}

impl Inner {
    /// Whether a job of the migration is running that is such. One whose end is not kept yet counts as well: the
    /// catalogue says that it runs.
    fn runs(&self, migration: Uuid, such: impl Fn(JobKind) -> bool) -> bool {
        let running = self.jobs.values().map(|running| (running.migration, running.kind));
        let ended = self.unsettled.iter().map(|end| (end.job.migration, end.job.kind));
        running.chain(ended).any(|(of, kind)| of == migration && such(kind))
    }

    /// Whether a job of this kind would disturb one that is running, or be disturbed.
    fn disturbs(&self, migration: Uuid, kind: JobKind) -> bool {
        self.runs(migration, |running| match kind {
            JobKind::Remap => true,
            JobKind::Import | JobKind::Trial | JobKind::Compare => running.is_alone(),
            JobKind::Validate | JobKind::Counts | JobKind::Replay | JobKind::Plan => running == JobKind::Remap,
            JobKind::Undo => matches!(running, JobKind::Import | JobKind::Remap | JobKind::Undo | JobKind::Counts),
        })
    }
}

/// Why a job or an upload cannot begin now.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The migration's state does not allow it.
    #[error("{}", .0.remedy())]
    Refused(Refusal),
    /// An upload is running that it would disturb.
    #[error("An upload to this migration is running. Wait for it to end.")]
    UploadRunning,
    /// A job is running that it would disturb.
    #[error("A job of this migration is running. Wait for it, or cancel it.")]
    JobRunning,
    /// The server is about to stop.
    #[error("The server is about to stop. Try again when it is back.")]
    Stopping,
    /// There is no such migration any more.
    #[error("the migration does not exist")]
    Gone,
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit trail could not be added to.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// The staging area failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// A plugin is not to be had, or is not approved.
    #[error(transparent)]
    Plugin(#[from] Failure),
}

impl From<TransitionError> for StartError {
    fn from(error: TransitionError) -> Self {
        match error {
            TransitionError::Refused(refusal) => StartError::Refused(refusal),
            TransitionError::Gone => StartError::Gone,
            TransitionError::Store(error) => StartError::Store(error),
        }
    }
}

impl From<JobError> for StartError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Status(error) => error.into(),
            JobError::Trail(error) => error.into(),
        }
    }
}

/// Stands for every stream of a migration; no stream has this name.
const EVERYTHING: &str = "*";

/// An upload in progress; it ends when this is dropped.
pub struct UploadGuard {
    jobs: Arc<Jobs>,
    migration: Uuid,
    stream: String,
}

impl Jobs {
    /// Nothing is running yet.
    pub fn new(store: Arc<Store>, trail: Arc<Trail>, metrics: Arc<Metrics>) -> Arc<Self> {
        let (inner, settling) = (Mutex::default(), Mutex::default());
        Arc::new(Self { store, trail, metrics, inner, settling, count: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Begins an upload to a stream of a migration: not while a job works on it, nor two to one stream.
    pub fn begin_upload(self: &Arc<Self>, migration: Uuid, stream: &str) -> Result<UploadGuard, StartError> {
        self.begin(migration, stream, |inner| {
            let disturbs = |streams: &HashSet<String>| streams.contains(stream) || streams.contains(EVERYTHING);
            if inner.uploads.get(&migration).is_some_and(disturbs) {
                return Err(StartError::UploadRunning);
            }
            if inner.runs(migration, JobKind::is_alone) { Err(StartError::JobRunning) } else { Ok(()) }
        })
    }

    /// Begins something that no upload and no job may run beside, a counts job neither: it would count what goes.
    pub fn begin_alone(self: &Arc<Self>, migration: Uuid) -> Result<UploadGuard, StartError> {
        self.begin(migration, EVERYTHING, |inner| {
            if inner.uploads.contains_key(&migration) {
                return Err(StartError::UploadRunning);
            }
            if inner.runs(migration, |_| true) { Err(StartError::JobRunning) } else { Ok(()) }
        })
    }

    fn begin(
        self: &Arc<Self>,
        migration: Uuid,
        stream: &str,
        allowed: impl FnOnce(&Inner) -> Result<(), StartError>,
    ) -> Result<UploadGuard, StartError> {
        let mut inner = self.lock();
        if inner.stopping {
            return Err(StartError::Stopping);
        }
        self.store.transition(migration, sluice_model::Event::ChangeStarts)?;
        allowed(&inner)?;
        inner.uploads.entry(migration).or_default().insert(stream.to_owned());
        self.count.send_modify(|count| *count += 1);
        Ok(UploadGuard { jobs: self.clone(), migration, stream: stream.to_owned() })
    }

    /// The progress of a running job.
    pub fn progress(&self, job: Uuid) -> Option<Arc<Progress>> {
        self.lock().jobs.get(&job).map(|running| running.progress.clone())
    }

    /// A migration's running jobs.
    pub fn running(&self, migration: Uuid) -> Vec<Uuid> {
        let inner = self.lock();
        inner.jobs.iter().filter(|(_, running)| running.migration == migration).map(|(job, _)| *job).collect()
    }

    /// Waits until the server is about to stop.
    pub async fn stopping(&self) {
        let mut count = self.count.subscribe();
        while !self.is_stopping() && count.changed().await.is_ok() {}
    }

    /// Waits until a job has ended.
    pub async fn ended(&self, job: Uuid) {
        let mut count = self.count.subscribe();
        // Looked at between waits and not within one: whoever counts holds the lock that this takes.
        while self.lock().is_waited_for(job) && !self.is_stopping() && count.changed().await.is_ok() {}
    }

    /// Lets nothing new begin, and asks running jobs to stop at their next batch.
    pub fn stop(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        inner.jobs.values().for_each(|running| running.progress.cancel());
        // Whoever waits for the end looks again.
        self.count.send_modify(|_| ());
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Tells whenever a job or an upload begins or ends.
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Waits until nothing runs.
    pub async fn wait(&self) {
        // The sender is ours: waiting cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        let mut inner = self.jobs.lock();
        if let Some(streams) = inner.uploads.get_mut(&self.migration) {
            streams.remove(&self.stream);
            if streams.is_empty() {
                inner.uploads.remove(&self.migration);
            }
        }
        self.jobs.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use sluice_keys::Signer;
    use sluice_model::{DOMAINS, Tenant};

    /// What changes staged records runs alone; what reads them runs beside what only reads.
    #[test]
    fn what_runs_beside_what() {
        use JobKind::*;
        let migration = Uuid::new_v4();
        // Whether it waits for a running validation, import, count, mapping again, trial and comparison.
        // What a running validation or import keeps from starting, the migration's status says as well.
        let table = [
            (Validate, [false, false, false, true, false, false]),
            (Import, [false, false, false, true, true, true]),
            (Counts, [false, false, false, true, false, false]),
            (Remap, [true; 6]),
            (Trial, [false, false, false, true, true, true]),
            (Compare, [false, false, false, true, true, true]),
        ];
        for (starting, waits) in table {
            for (running, waits) in JobKind::ALL.into_iter().zip(waits) {
                let running_job = Running { migration, kind: running, progress: Arc::default() };
                let inner = Inner { jobs: HashMap::from([(Uuid::new_v4(), running_job)]), ..Inner::default() };
                assert_eq!(inner.disturbs(migration, starting), waits, "{starting:?} beside {running:?}");
                assert!(!inner.disturbs(Uuid::new_v4(), starting), "another migration's");
            }
        }
    }

    /// What erases a migration waits for its jobs, those that only read included, and for nobody else's.
    #[test]
    fn nothing_runs_beside_a_purge() {
        let held = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&held.path().join("catalogue.db")).unwrap());
        let register = || {
            store
                .register(uuid::Uuid::new_v4(), Tenant::only(), vec![&DOMAINS[0]], None, None, Timestamp::UNIX_EPOCH)
                .unwrap()
                .reference_id
        };
        let (one, other) = (register(), register());
        let trail = Arc::new(Trail::new(store.clone(), Signer::new(&[7; 32])));
        let jobs = Jobs::new(store.clone(), trail, Arc::default());
        let job = Uuid::new_v4();
        let kind = JobKind::Counts;
        jobs.lock().jobs.insert(job, Running { migration: one, kind, progress: Arc::default() });
        assert!(matches!(jobs.begin_alone(one).map(drop), Err(StartError::JobRunning)));
        jobs.begin_upload(one, "a").map(drop).unwrap();
        for kind in JobKind::ALL.into_iter().filter(|kind| kind.is_alone()) {
            jobs.lock().jobs.get_mut(&job).unwrap().kind = kind;
            assert!(matches!(jobs.begin_upload(one, "a").map(drop), Err(StartError::JobRunning)), "{kind:?}");
        }
        jobs.begin_alone(other).map(drop).unwrap();
        jobs.lock().jobs.remove(&job);
        let guard = jobs.begin_upload(one, "a").unwrap();
        assert!(matches!(jobs.begin_alone(one).map(drop), Err(StartError::UploadRunning)));
        drop(guard);
        let guard = jobs.begin_alone(one).unwrap();
        assert!(matches!(jobs.begin_upload(one, "a").map(drop), Err(StartError::UploadRunning)));
        drop(guard);
        store.purge(one, Timestamp::UNIX_EPOCH).unwrap();
        assert!(matches!(jobs.begin_alone(one).map(drop), Err(StartError::Refused(Refusal::Purged))));
    }
}
