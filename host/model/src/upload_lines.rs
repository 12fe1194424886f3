//! Lines of an upload, and what became of each.

use serde::{Deserialize, Serialize};

/// Numbers of an upload's lines. The lines are counted apart from the records, so that a lost line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UploadLines {
    /// Lines of the body. In a sequence, a text counts as a line.
    pub read: u64,
    /// Lines of a table's header, with a line that names the separator.
    pub header: u64,
    /// Empty lines, and the padding at the end of a file.
    pub blank: u64,
    /// Lines of records that were mapped, staged or deleted.
    pub accepted: u64,
    /// Lines of skipped records.
    pub skipped: u64,
    /// Lines of rejected records.
    pub rejected: u64,
    /// Lines of quarantined records.
    pub quarantined: u64,
}

impl UploadLines {
    /// Returns the number of lines that belong to a record, to the header, or are blank.
    pub fn accounted(&self) -> u64 {
        let Self { read: _, header, blank, accepted, skipped, rejected, quarantined } = self;
        header + blank + accepted + skipped + rejected + quarantined
    }

    /// Returns true if every line is accounted for.
    pub fn agree(&self) -> bool {
        self.read == self.accounted()
    }
}
