//! What a plugin may use: each limit with its default, the reason for it, and what it can be set to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LONGEST, within};

/// What a plugin may use. A batch has a store of its own, so what counts for a batch begins anew with the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginLimits {
    /// Time for a batch, in milliseconds. 5,000: a Python guest takes 40 for a thousand records.
    pub batch_millis: u64,
    /// Time for a part of a batch while the record that breaks the plugin is looked for. 500.
    pub narrowing_millis: u64,
    /// Time in the plugin for an upload or a job, in seconds, its lookups included. 14,400: ten million records through
    /// a Python guest take 400.
    pub total_seconds: u64,
    /// Memory of a store in bytes, all its memories together. 128 MiB: a Python guest starts with about 40.
    pub memory_bytes: usize,
    /// Elements of all tables of a store together. 100,000: a Python guest has about 20,000 functions.
    pub table_elements: usize,
    /// Stack in bytes. 1 MiB: wasmtime's own default doubled; native stacks are larger. The same for all plugins of a
    /// server.
    pub stack_bytes: usize,
    /// Calls into the host for a batch, lookups and log entries together. 10,000: ten for each record of a full batch.
    pub host_calls: u64,
    /// Bytes that a plugin may return for a batch, or ask for in one lookup. 32 MiB: thirty times a full batch.
    pub output_bytes: usize,
    /// Records, issues and skips that a plugin may return for a batch, together. 100,000: a hundred for each record of
    /// a full batch. The host keeps some hundred bytes for each while it stages them.
    pub output_items: usize,
    /// Keys or ids in one lookup. 10,000: ten for each record of a batch.
    pub lookup_keys: usize,
    /// Bytes in the answer to a lookup. 16 MiB.
    pub lookup_bytes: usize,
    /// Log entries kept for each batch; of the rest the log has the number. 100.
    pub log_entries: usize,
    /// Records quarantined in one upload or job before it is stopped: the plugin is unfit. 1,000.
    pub max_quarantined: u64,
    /// The same as a percentage of the records that the plugin has seen. 20: what breaks on every fifth record is not
    /// about odd records any more.
    pub max_quarantined_share: u64,
    /// Records that it has to have seen before the percentage counts. 1,000: of a few, one is a large share.
    pub share_after_records: u64,
    /// Timeouts in one upload or job before it is stopped. 100: they cost seconds each, so that is minutes at most.
    pub max_timeouts: u64,
    /// Length of its file in bytes. 64 MiB: a JavaScript guest has 12, a Python guest up to 40.
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
    /// Each limit by its name in a configuration: what it is set to, and the least and the most that it can be.
    pub fn figures(&self) -> [(&'static str, u64, u64, u64); 17] {
        let most = u64::MAX;
        [
            ("plugin.batch_millis", self.batch_millis, 1, LONGEST),
            ("plugin.narrowing_millis", self.narrowing_millis, 1, LONGEST),
            ("plugin.total_seconds", self.total_seconds, 1, LONGEST),
            ("plugin.memory_bytes", self.memory_bytes as u64, 1 << 16, 1 << 32),
            ("plugin.table_elements", self.table_elements as u64, 1, 10_000_000),
            // A thread of the server has two MiB, and the host needs some of them.
            ("plugin.stack_bytes", self.stack_bytes as u64, 64 << 10, 3 << 19),
            ("plugin.host_calls", self.host_calls, 1, most),
            ("plugin.output_bytes", self.output_bytes as u64, 1, 1 << 32),
            ("plugin.output_items", self.output_items as u64, 1, 1 << 32),
            ("plugin.lookup_keys", self.lookup_keys as u64, 1, 1 << 24),
            ("plugin.lookup_bytes", self.lookup_bytes as u64, 1, 1 << 30),
            ("plugin.log_entries", self.log_entries as u64, 0, 1 << 20),
            ("plugin.max_quarantined", self.max_quarantined, 0, most),
            ("plugin.max_quarantined_share", self.max_quarantined_share, 0, 100),
            ("plugin.share_after_records", self.share_after_records, 1, most),
            ("plugin.max_timeouts", self.max_timeouts, 0, most),
            ("plugin.file_bytes", self.file_bytes as u64, 1 << 10, 1 << 30),
        ]
    }

    /// These with others in their place, by their names; none if a name is no plugin's limit, or a figure cannot be kept
    /// to. The stack is the engine's, which all plugins share, and a file was measured before it was approved.
    pub fn with(&self, overrides: &BTreeMap<String, u64>) -> Option<Self> {
        let mut table = serde_json::to_value(self).ok()?;
        for (name, value) in overrides {
            let limit = table.get_mut(name).filter(|_| !matches!(name.as_str(), "stack_bytes" | "file_bytes"))?;
            *limit = (*value).into();
        }
        let limits: Self = serde_json::from_value(table).ok()?;
        limits.check().is_ok().then_some(limits)
    }

    /// Whether a server can keep to these; if not, which value it is and what it has to be.
    pub fn check(&self) -> anyhow::Result<()> {
        within(&self.figures())
    }
}
