//! What plugins have used up in one upload or job: time, and the patience with what they break on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_config::PluginLimits;
use sluice_contract::{Cause, PluginError, PluginFailure};
use sluice_model::{Digest, Title};

/// Of one upload or job, by plugin: however many instances of it work, they share this.
#[derive(Clone, Default)]
pub struct Usage(Arc<Mutex<BTreeMap<Digest, Tolerance>>>);

/// What one plugin has taken of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Batches that it was given.
    pub batches: u64,
    /// Records in them; each as often as the plugin saw it.
    pub records: u64,
    /// Time in it, the host's answers to its lookups included.
    pub time: Duration,
    /// Most memory that a store of it had, in bytes.
    pub memory_bytes: u64,
}

impl Usage {
    /// What the plugin with this digest has taken so far.
    pub fn taken(&self, digest: Digest) -> Taken {
        self.of(digest, |used| Taken {
            batches: used.batches,
            records: used.seen,
            time: used.spent,
            memory_bytes: used.memory_bytes,
        })
    }

    /// What the plugin with this digest has used.
    pub(super) fn of<T>(&self, digest: Digest, read: impl FnOnce(&mut Tolerance) -> T) -> T {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read(plugins.entry(digest).or_default())
    }
}

/// What one plugin has used.
#[derive(Default)]
pub(super) struct Tolerance {
    batches: u64,
    seen: u64,
    memory_bytes: u64,
    quarantined: u64,
    timeouts: u64,
    spent: Duration,
}

impl Tolerance {
    /// Before a batch: whether what was quarantined up to now is not too large a part of what was seen.
    pub fn begin(&mut self, records: u64, plugin: &Title, limits: &PluginLimits) -> Result<(), PluginError> {
        let PluginLimits { max_quarantined_share: percent, share_after_records, .. } = *limits;
        let (quarantined, seen) = (self.quarantined, self.seen);
        if seen >= share_after_records && u128::from(quarantined) * 100 > u128::from(seen) * u128::from(percent) {
            return Err(PluginError::UnfitShare { plugin: plugin.clone(), quarantined, seen, percent });
        }
        self.batches += 1;
        self.seen += records;
        Ok(())
    }

    /// Before a call: whether there is time left.
    pub fn check_time(&self, plugin: &Title, limits: &PluginLimits) -> Result<(), PluginError> {
        let seconds = limits.total_seconds;
        if self.spent > Duration::from_secs(seconds) {
            return Err(PluginError::OutOfTime { plugin: plugin.clone(), seconds });
        }
        Ok(())
    }

    /// After a call that took so long and so many bytes of memory.
    pub fn spend(&mut self, time: Duration, memory_bytes: u64) {
        self.spent += time;
        self.memory_bytes = self.memory_bytes.max(memory_bytes);
    }

    /// After a call that failed, of one record alone or of several.
    pub fn note(&mut self, failure: &PluginFailure, alone: bool, limits: &PluginLimits) -> Result<(), PluginError> {
        self.quarantined += u64::from(alone);
        self.timeouts += u64::from(failure.cause == Cause::TimedOut);
        let plugin = failure.plugin.clone();
        if self.quarantined > limits.max_quarantined {
            return Err(PluginError::Unfit { plugin, records: self.quarantined, code: failure.cause.code() });
        }
        if self.timeouts > limits.max_timeouts {
            return Err(PluginError::UnfitTimeouts { plugin, timeouts: self.timeouts });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_model::Version;

    fn title() -> Title {
        Title { name: "p".into(), version: Version::declared("1").unwrap() }
    }

    /// Records seen and quarantined before a batch, and whether that is too many.
    const SHARES: &[(u64, u64, bool)] =
        &[(0, 0, false), (999, 999, false), (1_000, 200, false), (1_000, 201, true), (100_000, 20_001, true)];

    #[test]
    fn a_share_counts_once_there_is_something_to_share() {
        let limits = PluginLimits::default();
        for (seen, quarantined, stops) in SHARES {
            let mut tolerance = Tolerance { seen: *seen, quarantined: *quarantined, ..Tolerance::default() };
            assert_eq!(tolerance.begin(1_000, &title(), &limits).is_err(), *stops, "{quarantined} of {seen}");
        }
    }

    #[test]
    fn time_adds_up_over_instances() {
        let (usage, limits) = (Usage::default(), PluginLimits { total_seconds: 2, ..PluginLimits::default() });
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let check = |digest| usage.of(digest, |used| used.check_time(&title(), &limits)).is_ok();
        for (seconds, fine) in [(1, true), (1, true), (1, false)] {
            usage.clone().of(one, |used| used.spend(Duration::from_secs(seconds), 0));
            assert_eq!((check(one), check(other)), (fine, true));
        }
    }
}
