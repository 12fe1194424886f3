//! Outcomes of uploaded records.

use serde::Serialize;
use uuid::Uuid;

use super::{Code, Issue, Name};

/// A domain record that a mapper produced from a source record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducedRecord {
    /// Entity type of the record.
    pub entity_type: Name,
    /// Reference id of the record.
    pub reference_id: Uuid,
}

/// The outcome of one uploaded record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordOutcome {
    /// The record is staged unchanged.
    Staged(Uuid),
    /// The record was mapped to these records, which are staged.
    Mapped(Vec<ProducedRecord>),
    /// The mapper skipped the record for this reason. The record is not to be migrated.
    Skipped(Code),
    /// The record has an error. Nothing of it is staged.
    Rejected(Option<Uuid>),
    /// A plugin failed at the record, with this failure code.
    Quarantined(Code),
    /// The record named a staged record, which was deleted.
    Deleted(Uuid),
}

/// A place in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TablePlace {
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u32,
}

/// The result of one record of an upload.
#[derive(Clone, Debug)]
pub struct RecordResult {
    /// Line of the record, or its number in a sequence, from 1.
    pub line: u64,
    /// Last line of the record.
    pub last_line: u64,
    /// Place of the quote because of which the lines are refused.
    pub quote: Option<TablePlace>,
    /// Outcome of the record.
    pub outcome: RecordOutcome,
    /// Issues of the record, warnings included.
    pub issues: Vec<Issue>,
}

impl RecordResult {
    /// Returns the number of lines of the record.
    pub fn lines(&self) -> u64 {
        (self.last_line - self.line).saturating_add(1)
    }
}
