//! Limits of a plugin: each with its default, the reason for it, and its range.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_DURATION, check_ranges};

/// Limits of a plugin. The host runs each batch in a new wasm store, so a limit of a batch starts anew with each batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginLimits {
    /// Maximum time of a batch in milliseconds. 5,000: a Python guest takes 40 for a thousand records.
    pub batch_millis: u64,
    /// Maximum time in milliseconds of a part of a batch, while the host searches for the record at which the plugin
    /// fails. 500.
    pub narrowing_millis: u64,
    /// Maximum time in the plugin for an upload or a job, in seconds, including lookups. 14,400: a Python guest takes
    /// 400 for ten million records.
    pub total_seconds: u64,
    /// Maximum memory of a store in bytes: the sum of all its memories. 128 MiB: a Python guest starts with about 40.
    pub memory_bytes: usize,
    /// Maximum number of elements of all tables of a store. 100,000: a Python guest has about 20,000 functions.
    pub table_elements: usize,
    /// Maximum stack in bytes. 1 MiB: twice wasmtime's default; native stacks are larger. All plugins of a server have
    /// the same limit.
    pub stack_bytes: usize,
    /// Maximum number of calls into the host in a batch, lookups and log entries together. 10,000: ten for each record
    /// of a full batch.
    pub host_calls: u64,
    /// Maximum number of bytes that a plugin may return for a batch, or request in one lookup. 32 MiB: thirty times a
    /// full batch.
    pub output_bytes: usize,
    /// Maximum number of records, issues and skips together that a plugin may return for a batch. 100,000: a hundred
    /// for each record of a full batch. The host holds a few hundred bytes for each while it stages them.
    pub output_items: usize,
    /// Maximum number of keys or ids in one lookup. 10,000: ten for each record of a batch.
    pub lookup_keys: usize,
    /// Maximum number of bytes in the response to a lookup. 16 MiB.
    pub lookup_bytes: usize,
    /// Maximum number of stored log entries of a batch. The log states the number of the others. 100.
    pub log_entries: usize,
    /// Number of quarantined records in one upload or job at which the server stops it, because the plugin is unfit.
    /// 1,000.
    pub max_quarantined: u64,
    /// The same limit as a percentage of the records that the plugin has processed. 20: if every fifth record fails,
    /// the cause is the plugin and not a few unusual records.
    pub max_quarantined_share: u64,
    /// Number of processed records from which the percentage applies. 1,000: one of a few records is a large share.
    pub share_after_records: u64,
    /// Number of timeouts in one upload or job at which the server stops it. 100: each costs seconds, so all of them
    /// cost minutes at most.
    pub max_timeouts: u64,
    /// Maximum length of the plugin's file in bytes. 64 MiB: a JavaScript guest has 12, a Python guest up to 40.
    pub file_bytes: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            batch_millis: 5_000,
            narrowing_millis: 500,
            total_seconds: 14_400,
            memory_bytes: 128 << 20,
            table_elements: 100_000,
            stack_bytes: 1 << 20,
            host_calls: 10_000,
            output_bytes: 32 << 20,
            output_items: 100_000,
            lookup_keys: 10_000,
            lookup_bytes: 16 << 20,
            log_entries: 100,
            max_quarantined: 1_000,
            max_quarantined_share: 20,
            share_after_records: 1_000,
            max_timeouts: 100,
            file_bytes: 64 << 20,
        }
    }
}

impl PluginLimits {
    /// Returns each limit: its name in the configuration, its value, its minimum and its maximum.
    pub fn ranges(&self) -> [(&'static str, u64, u64, u64); 17] {
        let max = u64::MAX;
        [
            ("plugin.batch_millis", self.batch_millis, 1, MAX_DURATION),
            ("plugin.narrowing_millis", self.narrowing_millis, 1, MAX_DURATION),
            ("plugin.total_seconds", self.total_seconds, 1, MAX_DURATION),
            ("plugin.memory_bytes", self.memory_bytes as u64, 1 << 16, 1 << 32),
            ("plugin.table_elements", self.table_elements as u64, 1, 10_000_000),
            // A server thread has a stack of 2 MiB, and the host needs a part of it.
            ("plugin.stack_bytes", self.stack_bytes as u64, 64 << 10, 3 << 19),
            ("plugin.host_calls", self.host_calls, 1, max),
            ("plugin.output_bytes", self.output_bytes as u64, 1, 1 << 32),
            ("plugin.output_items", self.output_items as u64, 1, 1 << 32),
            ("plugin.lookup_keys", self.lookup_keys as u64, 1, 1 << 24),
            ("plugin.lookup_bytes", self.lookup_bytes as u64, 1, 1 << 30),
            ("plugin.log_entries", self.log_entries as u64, 0, 1 << 20),
            ("plugin.max_quarantined", self.max_quarantined, 0, max),
            ("plugin.max_quarantined_share", self.max_quarantined_share, 0, 100),
            ("plugin.share_after_records", self.share_after_records, 1, max),
            ("plugin.max_timeouts", self.max_timeouts, 0, max),
            ("plugin.file_bytes", self.file_bytes as u64, 1 << 10, 1 << 30),
        ]
    }

    /// Returns these limits with `overrides` applied, by their names. Returns `None` if a name is not a limit of a
    /// plugin, or a value is out of range. `stack_bytes` cannot be overridden, because all plugins share the engine,
    /// nor can `file_bytes`, because the server checks the file before its approval.
    pub fn with(&self, overrides: &BTreeMap<String, u64>) -> Option<Self> {
        let mut table = serde_json::to_value(self).ok()?;
        for (name, value) in overrides {
            let limit = table.get_mut(name).filter(|_| !matches!(name.as_str(), "stack_bytes" | "file_bytes"))?;
            *limit = (*value).into();
        }
        let limits: Self = serde_json::from_value(table).ok()?;
        limits.check().is_ok().then_some(limits)
    }

    /// Checks that every limit is within its range.
    ///
    /// # Errors
    ///
    /// Names the first value that is out of range, and its range.
    pub fn check(&self) -> anyhow::Result<()> {
        check_ranges(&self.ranges())
    }
}
