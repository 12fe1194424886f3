//! Uploads that come in parts, while the server lives: who writes to which, and whose turn it is to be worked on.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::{OwnedMutexGuard, watch};
use uuid::Uuid;

use sluice_staging::{Left, PieceFile, ReceivedUpload, StagingError};

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes may come.
    Receiving,
    /// All have come, and something else has to end before they are worked on.
    Waiting,
    /// They are worked on.
    Running,
    /// They were.
    Ended,
}

/// An upload that somebody has to do with.
pub struct Slot {
    /// How its bytes were left; whoever writes holds it. Their file is open only then: uploads are more than files that may
    /// be open.
    bytes: Arc<tokio::sync::Mutex<Left>>,
    /// Grows with everybody who wants to hold it: whoever holds it lets go.
    wanted: watch::Sender<u64>,
    /// Bytes that were on disk when somebody last let go.
    pub durable: AtomicU64,
    pub stage: watch::Sender<Stage>,
}

impl Slot {
    fn new() -> Self {
        Self {
            bytes: Arc::default(),
            wanted: watch::Sender::new(0),
            durable: AtomicU64::new(0),
            stage: watch::Sender::new(Stage::Receiving),
        }
    }

    /// Asks whoever holds it to let go. What comes back is told when somebody else asks after us.
    pub fn want(&self) -> Wanted {
        let mut ours = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            ours = *wanted;
        });
        Wanted { ours, wanted: self.wanted.subscribe() }
    }

    /// Waits until nobody else holds it.
    pub async fn hold(&self) -> Held {
        Held { left: self.bytes.clone().lock_owned().await, file: None }
    }

    /// The same on a thread that may wait.
    pub fn hold_blocking(&self) -> Held {
        Held { left: self.bytes.clone().blocking_lock_owned(), file: None }
    }

    /// The same where nobody else holds it.
    pub fn try_hold(&self) -> Option<Held> {
        Some(Held { left: self.bytes.clone().try_lock_owned().ok()?, file: None })
    }

    /// Goes from one stage to the next, if it is at that.
    pub fn step(&self, from: Stage, to: Stage) -> bool {
        self.stage.send_if_modified(|stage| {
            let is = *stage == from;
            if is {
                *stage = to;
            }
            is
        })
    }
}

/// An upload that is held.
pub struct Held {
    left: OwnedMutexGuard<Left>,
    /// Its bytes, once they are opened.
    pub file: Option<PieceFile>,
}

impl Held {
    /// Opens its bytes, if there are any.
    pub fn open(&mut self, folder: &ReceivedUpload) -> Result<(), StagingError> {
        self.file = folder.bytes(*self.left)?;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            *self.left = file.leave();
        }
    }
}

/// Somebody who wants to hold an upload, or does.
pub struct Wanted {
    ours: u64,
    wanted: watch::Receiver<u64>,
}

impl Wanted {
    /// Waits until somebody else wants to hold it, who came later.
    pub async fn by_another(&mut self) {
        // The sender lives as long as the slot: waiting cannot fail.
        let _ = self.wanted.wait_for(|wanted| *wanted > self.ours).await;
    }
}

/// An upload, by its migration and its own id.
type Id = (Uuid, Uuid);

/// A turn: of a migration, at one of its streams.
type Turn = (Uuid, String);

/// All of them.
#[derive(Default)]
pub struct Uploads {
    slots: Mutex<HashMap<Id, Arc<Slot>>>,
    turns: Mutex<HashMap<Turn, Arc<tokio::sync::Mutex<()>>>>,
    /// Held while one is made, as what there may be is counted before.
    making: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uploads {
    /// The slot of an upload.
    pub fn slot(&self, migration: Uuid, upload: Uuid) -> Arc<Slot> {
        lock(&self.slots).entry((migration, upload)).or_insert_with(|| Arc::new(Slot::new())).clone()
    }

    /// Nobody has to do with it any more.
    pub fn forget(&self, migration: Uuid, upload: Uuid) {
        lock(&self.slots).remove(&(migration, upload));
    }

    /// The same of all uploads of a migration, so that no file is held that is erased.
    pub fn forget_all(&self, migration: Uuid) {
        lock(&self.slots).retain(|(of, _), _| *of != migration);
        lock(&self.turns).retain(|(of, _), _| *of != migration);
    }

    /// Held by whose turn it is: uploads to one stream are worked on in the order in which they came to their ends.
    pub fn turn(&self, migration: Uuid, stream: &str) -> Arc<tokio::sync::Mutex<()>> {
        lock(&self.turns).entry((migration, stream.to_owned())).or_default().clone()
    }

    /// Held while one is made.
    pub fn making(&self) -> MutexGuard<'_, ()> {
        lock(&self.making)
    }
}
