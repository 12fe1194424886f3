//! What becomes of an uploaded record.

use uuid::Uuid;

use super::{Code, Issue, Name};

/// A domain record that was made from a source record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Produced {
    /// Its entity type.
    pub entity_type: Name,
    /// Its reference id.
    pub reference_id: Uuid,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is staged as it is.
    Staged(Uuid),
    /// It was mapped to these records, which are staged.
    Mapped(Vec<Produced>),
    /// It is rightly not migrated.
    Skipped(Code),
    /// It is wrong, and nothing of it is staged.
    Rejected(Option<Uuid>),
    /// A plugin broke on it: its own failure code.
    Quarantined(Code),
    /// It named a record that was removed.
    Deleted(Uuid),
}

/// The answer for one record of an upload.
#[derive(Clone, Debug)]
pub struct RecordResult {
    /// Its line, or its number in a sequence, from 1.
    pub line: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// What is wrong with it, warnings included.
    pub issues: Vec<Issue>,
}
