//! Failures of plugins, with messages for their authors.

use std::fmt;

use serde::{Deserialize, Serialize};

use sluice_model::{Code, Digest, Name, PluginTitle, SafeText};

/// Text of a plugin, which may quote a record. It cannot be displayed, formatted or serialised. It is only written to the
/// list beside the quarantined records.
#[derive(Clone)]
pub struct Confidential(String);

impl Confidential {
    /// Keeps a message, cut to 4,096 bytes.
    pub fn new(text: &str) -> Self {
        Self(cut(text, MAX_MESSAGE_BYTES))
    }

    /// Keeps the text of a code or a path, cut to 200 bytes.
    pub fn word(text: &str) -> Self {
        Self(cut(text, MAX_WORD_BYTES))
    }

    /// Returns the text, for the migration's own directory only.
    pub fn for_quarantine(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(confidential)")
    }
}

/// Reason why a plugin is refused. The plugin has seen no record at that time, so the text contains no data of a record.
#[derive(Clone, Debug)]
pub struct PluginRefusal(String);

impl SafeText for PluginRefusal {
    fn safe_text(&self) -> impl fmt::Display {
        &self.0
    }
}

/// Cause of a failed call into a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The plugin trapped.
    Trapped,
    /// The plugin panicked and reported its message.
    Panicked,
    /// The plugin exceeded its time limit.
    TimedOut,
    /// The plugin exceeded its memory limit.
    OutOfMemory,
    /// The plugin exceeded its stack.
    StackOverflow,
    /// The output does not fit the input.
    BrokeContract,
    /// The plugin returned or requested more than its limit.
    TooMuchOutput,
    /// The plugin called the host more often than its limit.
    TooManyCalls,
    /// The process that ran the plugin ended: the system ended it, or it exceeded a limit of its process.
    WorkerDied,
}

impl Cause {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Cause::Trapped => "PLUGIN_TRAPPED",
            Cause::Panicked => "PLUGIN_PANICKED",
            Cause::TimedOut => "PLUGIN_TIMED_OUT",
            Cause::OutOfMemory => "PLUGIN_OUT_OF_MEMORY",
            Cause::StackOverflow => "PLUGIN_STACK_OVERFLOW",
            Cause::BrokeContract => "PLUGIN_BROKE_CONTRACT",
            Cause::TooMuchOutput => "PLUGIN_OUTPUT_TOO_LARGE",
            Cause::TooManyCalls => "PLUGIN_TOO_MANY_CALLS",
            Cause::WorkerDied => "PLUGIN_WORKER_DIED",
        }
    }
}

/// A failed call into a plugin.
#[derive(Clone, Debug)]
pub struct PluginFailure {
    /// Name and version of the plugin.
    pub plugin: PluginTitle,
    /// Digest of the plugin.
    pub digest: Digest,
    /// Cause of the failure.
    pub cause: Cause,
    /// Message of the plugin, or the place of the trap.
    pub message: Confidential,
}

/// Error that ends work with a plugin. Its text comes from the host, or from a time before the plugin saw a record.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The file is no plugin for this host. The host finds this out before the plugin sees a record.
    #[error("plugin {name}: {reason}")]
    Refused {
        /// Name or origin of the file.
        name: String,
        /// Reason and remedy.
        reason: String,
    },
    /// The plugin failed on more records than `max_quarantined`.
    #[error("plugin {plugin} is unfit: it broke on {records} records, the last time with {code}")]
    Unfit {
        /// Name and version of the plugin.
        plugin: PluginTitle,
        /// Number of records.
        records: u64,
        /// Code of the last cause.
        code: &'static str,
    },
    /// The plugin failed on a larger share of the records than `max_quarantined_share`.
    #[error(
        "plugin {plugin} is unfit: it broke on {quarantined} of {seen} records; {percent} in a hundred are tolerated"
    )]
    UnfitShare {
        /// Name and version of the plugin.
        plugin: PluginTitle,
        /// Number of records on which it failed.
        quarantined: u64,
        /// Number of records that were passed to it.
        seen: u64,
        /// Limit `max_quarantined_share`, in percent.
        percent: u64,
    },
    /// The plugin exceeded its time limit on more batches, or parts of batches, than `max_timeouts`.
    #[error("plugin {plugin} is unfit: it ran out of time {timeouts} times")]
    UnfitTimeouts {
        /// Name and version of the plugin.
        plugin: PluginTitle,
        /// Number of exceeded time limits.
        timeouts: u64,
    },
    /// The plugin exceeded its time limit for the whole upload or job.
    #[error("plugin {plugin} took more than the {seconds} seconds that it may take for all of this")]
    OutOfTime {
        /// Name and version of the plugin.
        plugin: PluginTitle,
        /// Limit `total_seconds`.
        seconds: u64,
    },
    /// The plugin generates an entity type that it does not describe.
    #[error("plugin {plugin} generates {entity_type}, which it does not describe")]
    Undescribed {
        /// Name and version of the plugin.
        plugin: PluginTitle,
        /// The entity type.
        entity_type: Name,
    },
    /// The host could not answer a lookup because it could not read. The server's log has the error.
    #[error("a lookup could not be answered: {0}")]
    Lookup(Code),
    /// The plugin could not be instantiated.
    #[error("plugin {plugin} could not be instantiated: {code}")]
    NotInstantiated {
        /// Name and version of the plugin.
        plugin: PluginTitle,
        /// Code of the cause.
        code: &'static str,
    },
    /// The component's file is missing or damaged.
    #[error("the component with digest {0} is missing or damaged in the data directory")]
    Missing(Digest),
    /// The engine failed.
    #[error("the plugin engine failed: {0}")]
    Engine(String),
}

impl PluginError {
    /// Returns the reason if the plugin is refused, for its author.
    pub fn refusal(&self) -> Option<PluginRefusal> {
        match self {
            Self::Refused { reason, .. } => Some(PluginRefusal(cut(reason, MAX_MESSAGE_BYTES))),
            _ => None,
        }
    }
}

/// Maximum length of a message in bytes.
const MAX_MESSAGE_BYTES: usize = 4_096;
/// Maximum length of the text of a code or a path in bytes. It is shorter, because every batch may have some.
const MAX_WORD_BYTES: usize = 200;

/// Returns at most `most` bytes of a text, cut at a character.
fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
