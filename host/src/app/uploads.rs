//! Uploads that come in parts, while the server lives: who writes to which, and whose turn it is to be worked on.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use tokio::sync::watch;
use uuid::Uuid;

use crate::staging::PieceFile;

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
    /// Its bytes, once somebody has opened them; whoever writes holds it.
    pub bytes: Arc<tokio::sync::Mutex<Option<PieceFile>>>,
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
