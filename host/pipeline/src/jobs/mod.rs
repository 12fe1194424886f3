//! Jobs and uploads of a server: which may run at the same time, their progress, their cancellation and their end.

mod admission;
mod catalogue;
mod conflicts;
mod job_runner;
mod pending_completions;
mod task;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use tokio::sync::watch;
use uuid::Uuid;

use sluice_catalog::{Catalog, Trail};
use sluice_metrics::Metrics;
use sluice_model::{JobKind, Progress};

pub use admission::{StartError, UploadGuard};
pub use task::Task;

use catalogue::{AuditedCatalogue, JobCatalogue};
use pending_completions::PendingCompletion;

/// Jobs and uploads that run on this server.
pub struct Jobs {
    catalogue: Box<dyn JobCatalogue>,
    metrics: Arc<Metrics>,
    /// Work in progress. No thread holds this lock while it writes to the catalogue.
    work: Mutex<RunningWork>,
    /// Number of running jobs and uploads. Every change of `work` notifies the receivers.
    count: watch::Sender<usize>,
}

/// Work in progress, reservations included.
#[derive(Default)]
struct RunningWork {
    /// Running jobs by id. A job is added when it is reserved, before the catalogue knows of it.
    jobs: HashMap<Uuid, RunningJob>,
    /// Streams that receive an upload, by migration.
    uploads: HashMap<Uuid, HashSet<String>>,
    /// Jobs that have ended, and whose end is not in the catalogue yet.
    pending_completions: Vec<Arc<PendingCompletion>>,
    /// True if the server stops.
    stopping: bool,
}

/// A running job.
struct RunningJob {
    migration: Uuid,
    kind: JobKind,
    progress: Arc<Progress>,
}

impl RunningWork {
    /// Returns the kinds of a migration's running jobs. A job whose end is not in the catalogue yet counts as running,
    /// because the catalogue still says so.
    fn kinds(&self, migration: Uuid) -> impl Iterator<Item = JobKind> {
        let running = self.jobs.values().map(|running| (running.migration, running.kind));
        let ended = self.pending_completions.iter().map(|pending| (pending.end.job.migration, pending.end.job.kind));
        running.chain(ended).filter(move |(of, _)| *of == migration).map(|(_, kind)| kind)
    }
}

impl Jobs {
    /// Creates a registry without any work.
    pub fn new(store: Arc<Catalog>, trail: Arc<Trail>, metrics: Arc<Metrics>) -> Arc<Self> {
        Self::with_catalogue(Box::new(AuditedCatalogue::new(store, trail)), metrics)
    }

    fn with_catalogue(catalogue: Box<dyn JobCatalogue>, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { catalogue, metrics, work: Mutex::default(), count: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, RunningWork> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the progress of a running job.
    pub fn progress(&self, job: Uuid) -> Option<Arc<Progress>> {
        self.lock().jobs.get(&job).map(|running| running.progress.clone())
    }

    /// Returns the ids of a migration's running jobs.
    pub fn running(&self, migration: Uuid) -> Vec<Uuid> {
        let work = self.lock();
        work.jobs.iter().filter(|(_, running)| running.migration == migration).map(|(job, _)| *job).collect()
    }

    /// Waits until the server stops.
    pub async fn stopping(&self) {
        let mut count = self.count.subscribe();
        while !self.is_stopping() && count.changed().await.is_ok() {}
    }

    /// Waits until a job has ended, or the server stops.
    pub async fn ended(&self, job: Uuid) {
        let mut count = self.count.subscribe();
        // The condition is checked between waits and not within `wait_for`: senders hold the lock that it takes.
        while self.lock().is_pending(job) && !self.is_stopping() && count.changed().await.is_ok() {}
    }

    /// Refuses new work, and asks running jobs to stop at their next batch.
    pub fn stop(&self) {
        let mut work = self.lock();
        work.stopping = true;
        work.jobs.values().for_each(|running| running.progress.cancel());
        // Wakes the tasks that wait for an end.
        self.count.send_modify(|_| ());
    }

    /// Returns true if the server stops.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
    }

    /// Returns a receiver that is notified whenever a job or an upload begins or ends.
    pub fn changes(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// Waits until no job and no upload runs.
    pub async fn wait(&self) {
        // The sender belongs to `self`, so the wait cannot fail.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }
}
