//! Records that broke a plugin, and what plugins said without having declared it: the plugin's own words, kept in
//! the migration's directory and nowhere else.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Desk, Failure};
use sluice_contract::Undeclared;
use sluice_model::{Digest, Title};
use sluice_plugin_host::Poisoned;
use sluice_staging::{StagingArea, StagingError};

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
    /// Line in the upload, or ordinal in staging; none for what was said of no record.
    pub line: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    plugin: String,
    digest: &'a Digest,
    code: &'a str,
    message: &'a str,
}

/// Adds to the migration's list: records that broke a plugin, and what the plugin said undeclared.
pub fn quarantine<'a>(
    area: &StagingArea,
    (title, digest): (Title, &'a Digest),
    poisoned: &'a [Poisoned],
    undeclared: &'a [Undeclared],
    place: impl Fn(Option<u32>) -> Place<'a>,
) -> Result<(), StagingError> {
    if poisoned.is_empty() && undeclared.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<Vec<u8>> = vec![];
    let broken =
        poisoned.iter().map(|Poisoned { position, failure }| (Some(*position), failure.cause.code(), &failure.message));
    let said = undeclared.iter().map(|Undeclared { position, code, text }| (*position, &**code, text));
    for (position, code, message) in broken.chain(said) {
        let message = message.for_quarantine();
        let entry = Entry { place: place(position), plugin: title.to_string(), digest, code, message };
        lines.push(serde_json::to_vec(&entry).map_err(std::io::Error::from)?);
    }
    area.append_lines(QUARANTINE, lines.iter().map(Vec::as_slice))
}

/// A part of the list, a JSON object an entry, and how many entries there are. It may quote records: whoever reads
/// it reads records.
pub fn quarantined(desk: &Desk, offset: u64, limit: u64) -> Result<(Vec<Box<RawValue>>, u64), Failure> {
    let (lines, total) = desk.area.lines(QUARANTINE, offset, limit)?;
    Ok((lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect(), total))
}
