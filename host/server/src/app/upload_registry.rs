//! Resumable uploads that requests or tasks use while the server runs: leases on their bytes, and their turns.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use hashbrown::HashMap;
use tokio::sync::{OwnedMutexGuard, watch};
use uuid::Uuid;

use super::cells::{KeyedLocks, lock};
use sluice_staging::{ResumableUpload, SealedFile, SealedFileState, StagingError};

/// Progress of a resumable upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadStage {
    /// The server accepts bytes.
    Receiving,
    /// All bytes are on disk. The upload waits for another upload or a job to end.
    Waiting,
    /// The server works on the records.
    Running,
    /// The server has worked on the records.
    Ended,
}

/// State of one resumable upload that requests and tasks share.
pub struct UploadSlot {
    /// State in which the last lease left the bytes. A lease holds this lock. Only a lease opens the file, because there
    /// are more uploads than files that may be open.
    bytes: Arc<tokio::sync::Mutex<SealedFileState>>,
    /// Number of lease requests so far. The holder of a lease ends it when this number grows.
    requests: watch::Sender<u64>,
    /// Bytes that were on disk when the last lease ended.
    pub durable: AtomicU64,
    /// Progress of the upload.
    pub stage: watch::Sender<UploadStage>,
}

impl UploadSlot {
    fn new() -> Self {
        Self {
            bytes: Arc::default(),
            requests: watch::Sender::new(0),
            durable: AtomicU64::new(0),
            stage: watch::Sender::new(UploadStage::Receiving),
        }
    }

    /// Asks the holder of the lease to end it. The result reports later requests.
    pub fn request_lease(&self) -> LeaseRequest {
        let mut number = 0;
        self.requests.send_modify(|requests| {
            *requests += 1;
            number = *requests;
        });
        LeaseRequest { number, requests: self.requests.subscribe() }
    }

    /// Waits for the lease.
    pub async fn lease(&self) -> UploadLease {
        UploadLease { left: self.bytes.clone().lock_owned().await, file: None }
    }

    /// Waits for the lease on a thread that may block.
    pub fn lease_blocking(&self) -> UploadLease {
        UploadLease { left: self.bytes.clone().blocking_lock_owned(), file: None }
    }

    /// Returns the lease, or none if another request or task holds it.
    pub fn try_lease(&self) -> Option<UploadLease> {
        Some(UploadLease { left: self.bytes.clone().try_lock_owned().ok()?, file: None })
    }

    /// Changes the stage if it is `from`. Returns true if it was.
    pub fn step(&self, from: UploadStage, to: UploadStage) -> bool {
        self.stage.send_if_modified(|stage| {
            let is = *stage == from;
            if is {
                *stage = to;
            }
            is
        })
    }
}

/// The exclusive right to read and write an upload's bytes.
pub struct UploadLease {
    left: OwnedMutexGuard<SealedFileState>,
    /// Upload's bytes, once they are opened.
    pub file: Option<SealedFile>,
}

impl UploadLease {
    /// Opens the upload's bytes, if there are any.
    pub fn open(&mut self, folder: &ResumableUpload) -> Result<(), StagingError> {
        self.file = folder.bytes(*self.left)?;
        Ok(())
    }
}

impl Drop for UploadLease {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            *self.left = file.close();
        }
    }
}

/// A request for a lease.
pub struct LeaseRequest {
    number: u64,
    requests: watch::Receiver<u64>,
}

impl LeaseRequest {
    /// Waits for a later request for the same upload.
    pub async fn superseded(&mut self) {
        // The sender lives as long as the slot, so waiting cannot fail.
        let _ = self.requests.wait_for(|requests| *requests > self.number).await;
    }
}

/// Migration's id and upload's id.
type UploadKey = (Uuid, Uuid);

/// Migration's id and the name of a stream.
type StreamKey = (Uuid, String);

/// The resumable uploads in use.
#[derive(Default)]
pub struct UploadRegistry {
    slots: Mutex<HashMap<UploadKey, Arc<UploadSlot>>>,
    turns: Mutex<HashMap<StreamKey, Arc<tokio::sync::Mutex<()>>>>,
    creations: KeyedLocks<Uuid>,
}

impl UploadRegistry {
    /// Returns the slot of an upload.
    pub fn slot(&self, migration: Uuid, upload: Uuid) -> Arc<UploadSlot> {
        lock(&self.slots).entry((migration, upload)).or_insert_with(|| Arc::new(UploadSlot::new())).clone()
    }

    /// Removes the slot of an upload.
    pub fn forget(&self, migration: Uuid, upload: Uuid) {
        lock(&self.slots).remove(&(migration, upload));
    }

    /// Removes the slots of all uploads of a migration, so that no file stays open that is erased.
    pub fn forget_all(&self, migration: Uuid) {
        lock(&self.slots).retain(|(of, _), _| *of != migration);
        lock(&self.turns).retain(|(of, _), _| *of != migration);
    }

    /// Returns the lock of a stream's turn. The server works on the uploads to a stream one after the other, in the order
    /// in which they were completed.
    pub fn turn(&self, migration: Uuid, stream: &str) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.turns).entry((migration, stream.to_owned())).or_default().clone()
    }

    /// Runs `create` while no other upload of the migration is created, so that limits on their number hold.
    pub fn create<T>(&self, migration: Uuid, create: impl FnOnce() -> T) -> T {
        self.creations.with(&migration, create)
    }
}
