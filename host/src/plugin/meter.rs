//! What a plugin took: calls, records, time and memory, added up over everything that it did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Adds up what a plugin takes, on whichever thread.
#[derive(Debug, Default)]
pub(super) struct Meter {
    batches: AtomicU64,
    records: AtomicU64,
    nanos: AtomicU64,
    memory_bytes: AtomicU64,
}

/// What a plugin took so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Batches that it was given.
    pub batches: u64,
    /// Records in them; each as often as the plugin saw it.
    pub records: u64,
    /// Time in it, the host's answers to its lookups included.
    pub time: Duration,
    /// Most memory that an instance of it had at the end of a batch, in bytes.
    pub memory_bytes: u64,
}

impl Meter {
    pub fn add(&self, records: usize, time: Duration, memory_bytes: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.records.fetch_add(records as u64, Relaxed);
        self.nanos.fetch_add(time.as_nanos() as u64, Relaxed);
        self.memory_bytes.fetch_max(memory_bytes as u64, Relaxed);
    }

    pub fn usage(&self) -> Usage {
        Usage {
            batches: self.batches.load(Relaxed),
            records: self.records.load(Relaxed),
            time: Duration::from_nanos(self.nanos.load(Relaxed)),
            memory_bytes: self.memory_bytes.load(Relaxed),
        }
    }
}
