//! How a plugin fails, said so that its author can find it.

use std::fmt;

use sluice_model::{Code, Digest, Name, Tellable, Title};

/// A plugin's own words, which may quote a record. They cannot be shown, formatted or serialised; the one way out is
/// the list beside the quarantined records.
#[derive(Clone)]
pub struct Confidential(String);

impl Confidential {
    /// Keeps the first part of a text: a message is for reading.
    pub fn new(text: &str) -> Self {
        Self(cut(text, MAX_MESSAGE_BYTES))
    }

    /// Keeps as much of a text as the longest code or path would have.
    pub fn word(text: &str) -> Self {
        Self(cut(text, MAX_SAID_BYTES))
    }

    /// For the migration's own directory, and for nothing else.
    pub fn for_quarantine(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(confidential)")
    }
}

/// Why a plugin is refused: text from before it has seen a record, so that there is none in it.
#[derive(Clone, Debug)]
pub struct Refusal(String);

impl Tellable for Refusal {
    fn tell(&self) -> impl fmt::Display {
        &self.0
    }
}

/// Why a call into a plugin did not return what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It trapped.
    Trapped,
    /// It panicked, and said why.
    Panicked,
    /// It took longer than it may.
    TimedOut,
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// It called itself too deep.
    StackOverflow,
    /// What it returned does not fit what it was given.
    BrokeContract,
    /// It returned, or asked for, more than it may.
    TooMuchOutput,
    /// It called the host more often than it may.
    TooManyCalls,
}

impl Cause {
    /// Stable code.
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
        }
    }
}

/// A failed call.
#[derive(Clone, Debug)]
pub struct PluginFailure {
    /// The plugin's name and version.
    pub plugin: Title,
    /// Its digest.
    pub digest: Digest,
    /// Why.
    pub cause: Cause,
    /// The plugin's own words, or where it trapped.
    pub message: Confidential,
}

/// Why a plugin, or work with one, cannot go on. What it says in words of its own is from before it saw a record.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It is no plugin for this host, which is found out before it sees a record.
    #[error("plugin {name}: {reason}")]
    Refused {
        /// What it is called, or where it came from.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// It broke on more records than is tolerated.
    #[error("plugin {plugin} is unfit: it broke on {records} records, the last time with {code}")]
    Unfit {
        /// Its name and version.
        plugin: Title,
        /// How many.
        records: u64,
        /// The last cause.
        code: &'static str,
    },
    /// It broke on a larger part of the records than is tolerated.
    #[error(
        "plugin {plugin} is unfit: it broke on {quarantined} of {seen} records; {percent} in a hundred are tolerated"
    )]
    UnfitShare {
        /// Its name and version.
        plugin: Title,
        /// Records on which it broke.
        quarantined: u64,
        /// Records that it was given.
        seen: u64,
        /// `max_quarantined_share`.
        percent: u64,
    },
    /// It ran out of time on more batches, or parts of one, than is tolerated.
    #[error("plugin {plugin} is unfit: it ran out of time {timeouts} times")]
    UnfitTimeouts {
        /// Its name and version.
        plugin: Title,
        /// How often.
        timeouts: u64,
    },
    /// It took more time for the whole upload or job than it may.
    #[error("plugin {plugin} took more than the {seconds} seconds that it may take for all of this")]
    OutOfTime {
        /// Its name and version.
        plugin: Title,
        /// `total_seconds`.
        seconds: u64,
    },
    /// It generates what it does not describe.
    #[error("plugin {plugin} generates {entity_type}, which it does not describe")]
    Undescribed {
        /// Its name and version.
        plugin: Title,
        /// What it generates.
        entity_type: Name,
    },
    /// A lookup could not be answered because the host could not read: what failed is in the server's log.
    #[error("a lookup could not be answered: {0}")]
    Lookup(Code),
    /// It could not be instantiated for work.
    #[error("plugin {plugin} could not be instantiated: {code}")]
    NotInstantiated {
        /// Its name and version.
        plugin: Title,
        /// The cause.
        code: &'static str,
    },
    /// Its component is not where this server keeps them, or is not what it was.
    #[error("the component with digest {0} is missing or damaged in the data directory")]
    Missing(Digest),
    /// The host's own trouble with the engine, when the server starts.
    #[error("the plugin engine failed: {0}")]
    Engine(String),
}

impl PluginError {
    /// Why it is refused, where it is: for whoever made it.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { reason, .. } => Some(Refusal(cut(reason, MAX_MESSAGE_BYTES))),
            _ => None,
        }
    }
}

/// A message beyond this is cut: it is for reading.
const MAX_MESSAGE_BYTES: usize = 4_096;
/// What was said in place of a code or a path is cut sooner: there may be some for every batch.
const MAX_SAID_BYTES: usize = 200;

fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
