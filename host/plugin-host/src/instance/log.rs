//! Log entries of a plugin for a batch.

use sluice_contract::{Confidential, UndeclaredText, Vocabulary};
use sluice_model::{Code, Level};

/// A log entry with the plugin's own text.
pub(crate) struct RawLogEntry {
    /// Level of the entry.
    pub level: Level,
    /// Text in place of the code.
    pub code: Confidential,
    /// Position of the record in the batch, if the entry is about one.
    pub position: Option<u32>,
}

/// Log entries with the plugin's own texts.
#[derive(Default)]
pub(crate) struct RawLog {
    /// Entries that are kept.
    pub kept: Vec<RawLogEntry>,
    /// Number of entries that were dropped.
    pub dropped: u64,
}

/// Log entries of a plugin for a batch, in declared codes.
#[derive(Default)]
pub struct BatchLog {
    /// Entries: level, code, and the position of the record if the entry is about one.
    pub entries: Vec<(Level, Code, Option<u32>)>,
    /// Number of entries that were dropped because the batch had too many.
    pub dropped: u64,
}

impl BatchLog {
    /// Converts the plugin's texts to declared codes. Adds undeclared texts to `undeclared`.
    pub(crate) fn from_raw(raw: RawLog, vocabulary: &Vocabulary, undeclared: &mut Vec<UndeclaredText>) -> Self {
        let RawLog { kept, dropped } = raw;
        let entries = kept.into_iter().map(|entry| {
            let code = vocabulary.code(entry.code.for_quarantine(), entry.position, undeclared);
            (entry.level, code, entry.position)
        });
        Self { entries: entries.collect(), dropped }
    }
}
