//! Usage of plugins in one upload or job: time, memory, quarantined records and time-outs, checked against the limits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_config::PluginLimits;
use sluice_contract::{Cause, PluginError, PluginFailure};
use sluice_model::{Digest, PluginTitle};

/// Usage of one upload or job, by plugin. All instances of a plugin in the upload or job share it.
#[derive(Clone, Default)]
pub struct Usage(Arc<Mutex<BTreeMap<Digest, Tolerance>>>);

/// Usage of the host by one plugin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Number of batches that the plugin received.
    pub batches: u64,
    /// Number of records in those batches. A record that is sent again is counted again.
    pub records: u64,
    /// Time in the plugin, including the host's answers to its lookups.
    pub time: Duration,
    /// Largest memory of one of its stores, in bytes.
    pub memory_bytes: u64,
}

impl Usage {
    /// Returns the usage of the plugin with this digest so far.
    pub fn taken(&self, digest: Digest) -> Taken {
        self.of(digest, |used| Taken {
            batches: used.batches,
            records: used.seen,
            time: used.spent,
            memory_bytes: used.memory_bytes,
        })
    }

    /// Calls `read` with the usage of the plugin with this digest.
    pub(super) fn of<T>(&self, digest: Digest, read: impl FnOnce(&mut Tolerance) -> T) -> T {
        let mut plugins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read(plugins.entry(digest).or_default())
    }
}

/// Usage of one plugin and its checks against the limits.
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
    /// Counts a batch before it starts. Returns an error if the quarantined share of the records so far is over the
    /// limit.
    pub fn begin(&mut self, records: u64, plugin: &PluginTitle, limits: &PluginLimits) -> Result<(), PluginError> {
        let PluginLimits { max_quarantined_share: percent, share_after_records, .. } = *limits;
        let (quarantined, seen) = (self.quarantined, self.seen);
        if seen >= share_after_records && u128::from(quarantined) * 100 > u128::from(seen) * u128::from(percent) {
            return Err(PluginError::UnfitShare { plugin: plugin.clone(), quarantined, seen, percent });
        }
        self.batches += 1;
        self.seen += records;
        Ok(())
    }

    /// Checks before a call that time is left. Returns an error if the plugin has used all of its time.
    pub fn check_time(&self, plugin: &PluginTitle, limits: &PluginLimits) -> Result<(), PluginError> {
        let seconds = limits.total_seconds;
        if self.spent > Duration::from_secs(seconds) {
            return Err(PluginError::OutOfTime { plugin: plugin.clone(), seconds });
        }
        Ok(())
    }

    /// Adds the time and the memory in bytes of a call, after it ended.
    pub fn spend(&mut self, time: Duration, memory_bytes: u64) {
        self.spent += time;
        self.memory_bytes = self.memory_bytes.max(memory_bytes);
    }

    /// Counts a failed call. `alone` is true if the call had a single record. Returns an error if the quarantined
    /// records or the time-outs are over their limit.
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

    fn title() -> PluginTitle {
        PluginTitle { name: "p".into(), version: Version::from_description("1").unwrap() }
    }

    /// Cases: records seen and quarantined before a batch, and true if the share is over the limit.
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
