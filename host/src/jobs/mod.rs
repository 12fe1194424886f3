//! Jobs and uploads: what may run beside what, progress, cancellation, and how each ended.

mod run;

use std::sync::{Arc, Mutex, MutexGuard};

use hashbrown::{HashMap, HashSet};
use tokio::sync::watch;
use uuid::Uuid;

use crate::metrics::Metrics;
use crate::model::{Progress, Refusal};
use crate::staging::StagingError;
use crate::store::{Store, StoreError, Trail, TrailError, TransitionError};

pub use run::stop_event;

/// What is running on this server.
pub struct Jobs {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    trail: Arc<Trail>,
    inner: Mutex<Inner>,
    /// How many jobs and uploads are running.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Inner {
    /// Running jobs, each with whose it is.
    jobs: HashMap<Uuid, (Uuid, Arc<Progress>)>,
    /// Streams that are being uploaded to, by migration.
    uploads: HashMap<Uuid, HashSet<String>>,
    stopping: bool,
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
        Arc::new(Self { store, trail, metrics, inner: Mutex::default(), count: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Begins an upload to a stream of a migration: not while a job works on it, nor two to one stream.
    pub fn begin_upload(self: &Arc<Self>, migration: Uuid, stream: &str) -> Result<UploadGuard, StartError> {
        self.begin(migration, stream, |streams| streams.contains(stream) || streams.contains(EVERYTHING))
    }

    /// Begins something that no upload, validation or import may run beside. A counts job only reads, and may.
    pub fn begin_alone(self: &Arc<Self>, migration: Uuid) -> Result<UploadGuard, StartError> {
        self.begin(migration, EVERYTHING, |streams| !streams.is_empty())
    }

    fn begin(
        self: &Arc<Self>,
        migration: Uuid,
        stream: &str,
        disturbs: impl FnOnce(&HashSet<String>) -> bool,
    ) -> Result<UploadGuard, StartError> {
        let mut inner = self.lock();
        if inner.stopping {
            return Err(StartError::Stopping);
        }
        self.store.transition(migration, crate::model::Event::ChangeStarts)?;
        if inner.uploads.get(&migration).is_some_and(disturbs) {
            return Err(StartError::UploadRunning);
        }
        inner.uploads.entry(migration).or_default().insert(stream.to_owned());
        self.count.send_modify(|count| *count += 1);
        Ok(UploadGuard { jobs: self.clone(), migration, stream: stream.to_owned() })
    }

    /// The progress of a running job.
    pub fn progress(&self, job: Uuid) -> Option<Arc<Progress>> {
        self.lock().jobs.get(&job).map(|(_, progress)| progress.clone())
    }

    /// A migration's running jobs.
    pub fn running(&self, migration: Uuid) -> Vec<Uuid> {
        let inner = self.lock();
        inner.jobs.iter().filter(|(_, (of, _))| *of == migration).map(|(job, _)| *job).collect()
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
        while self.progress(job).is_some() && !self.is_stopping() && count.changed().await.is_ok() {}
    }

    /// Lets nothing new begin, and asks running jobs to stop at their next batch.
    pub fn stop(&self) {
        let mut inner = self.lock();
        inner.stopping = true;
        inner.jobs.values().for_each(|(_, progress)| progress.cancel());
        // Whoever waits for the end looks again.
        self.count.send_modify(|_| ());
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        self.lock().stopping
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
