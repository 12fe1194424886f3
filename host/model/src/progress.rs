//! Progress of running jobs: records that were processed, and records to process.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// The progress of a running job. The job's worker and its observers share it.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    removed: AtomicU64,
    requests: Arc<ProgressRequests>,
    /// Running step with a progress of its own, and its share of this total.
    step: Mutex<Option<(u64, Arc<Progress>)>>,
}

/// Requests to a running job. Its steps share them.
#[derive(Debug, Default)]
struct ProgressRequests {
    cancelled: AtomicBool,
    paused: AtomicBool,
}

impl Progress {
    /// Adds records to the total.
    pub fn expect(&self, records: u64) {
        self.total.fetch_add(records, Relaxed);
    }

    /// Replaces a number of records that was added to the total before.
    pub fn expect_instead(&self, before: u64, records: u64) {
        // The difference wraps, and so does the sum.
        self.total.fetch_add(records.wrapping_sub(before), Relaxed);
    }

    /// Adds processed records.
    pub fn advance(&self, records: u64) {
        self.done.fetch_add(records, Relaxed);
    }

    /// Runs a step that counts records of its own, which stand for `share` records of this progress.
    pub fn step<T>(&self, share: u64, work: impl FnOnce(&Progress) -> T) -> T {
        let step = Arc::new(Self { requests: self.requests.clone(), ..Self::default() });
        *self.lock_step() = Some((share, step.clone()));
        let result = work(&step);
        *self.lock_step() = None;
        self.advance(share);
        result
    }

    /// Adds rows that were removed from the target.
    pub fn remove(&self, rows: u64) {
        self.removed.fetch_add(rows, Relaxed);
    }

    /// Returns the number of rows that were removed from the target.
    pub fn removed(&self) -> u64 {
        self.removed.load(Relaxed)
    }

    /// Returns the number of processed records and the total.
    pub fn counts(&self) -> (u64, u64) {
        let step = self.lock_step().clone();
        let in_step = step.map_or(0, |(share, step)| {
            let (done, total) = step.counts();
            let scaled = u128::from(share) * u128::from(done) / u128::from(total.max(1));
            u64::try_from(scaled).unwrap_or(share)
        });
        let done = self.done.load(Relaxed) + in_step;
        (done, self.total.load(Relaxed).max(done))
    }

    fn lock_step(&self) -> std::sync::MutexGuard<'_, Option<(u64, Arc<Progress>)>> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that the job stops at its next batch.
    pub fn cancel(&self) {
        self.requests.cancelled.store(true, Relaxed);
    }

    /// Requests that the job pauses, or resumes.
    pub fn pause(&self, paused: bool) {
        self.requests.paused.store(paused, Relaxed);
    }

    /// Returns true if a pause is requested.
    pub fn is_paused(&self) -> bool {
        self.requests.paused.load(Relaxed)
    }

    /// Returns true if cancellation is requested.
    pub fn is_cancelled(&self) -> bool {
        self.requests.cancelled.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step advances the whole by its share, however many records it counts itself, and gets its requests.
    #[test]
    fn a_step_stands_for_its_share() {
        let progress = Progress::default();
        progress.expect(30);
        for (share, records) in [(10, 4), (20, 0)] {
            let (before, total) = progress.counts();
            progress.step(share, |step| {
                step.expect(records);
                for done in 1..=records {
                    step.advance(1);
                    assert_eq!(progress.counts(), (before + share * done / records, total));
                }
                progress.cancel();
                assert!(step.is_cancelled());
            });
            assert_eq!(progress.counts(), (before + share, total));
        }
    }

    #[test]
    fn an_expectation_can_be_replaced() {
        let progress = Progress::default();
        progress.expect(7);
        progress.expect_instead(7, 3);
        progress.expect_instead(0, 2);
        assert_eq!(progress.counts(), (0, 5));
    }
}
