//! Records that broke a plugin: the plugin's own words, which may quote a record, kept sealed in the migration's
//! directory and nowhere else.

use serde::Serialize;

use crate::plugin::Poisoned;
use crate::staging::{StagingArea, StagingError};

/// The list beside the journal: a JSON object a line.
pub const QUARANTINE: &str = "quarantine";

/// Where a quarantined record stands.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place<'a> {
    /// Number of the upload; 0 outside one.
    pub upload: u32,
    /// The source or entity type.
    pub stream: &'a str,
    /// Line in the upload, or ordinal in staging.
    pub line: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    plugin: &'a str,
    digest: &'a str,
    code: &'a str,
    message: &'a str,
}

/// Adds records to the migration's list of quarantined ones.
pub fn quarantine<'a>(
    area: &StagingArea,
    poisoned: &'a [Poisoned],
    place: impl Fn(u32) -> Place<'a>,
) -> Result<(), StagingError> {
    if poisoned.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<Vec<u8>> = vec![];
    for Poisoned { position, failure } in poisoned {
        let entry = Entry {
            place: place(*position),
            plugin: &failure.plugin,
            digest: &failure.digest,
            code: failure.cause.code(),
            message: &failure.message,
        };
        lines.push(serde_json::to_vec(&entry).map_err(std::io::Error::from)?);
    }
    area.append_lines(QUARANTINE, lines.iter().map(Vec::as_slice))
}
