//! The quarantine: records on which a plugin failed, and texts that plugins returned without having declared them. The
//! texts are kept only in the migration's directory.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{MigrationContext, PipelineError};
use sluice_contract::UndeclaredText;
use sluice_model::{Digest, PluginTitle};
use sluice_plugin_host::FailedRecord;
use sluice_staging::{StagingArea, StagingError};

/// Name of the list in the migration's directory. Each line is a JSON object.
pub const QUARANTINE: &str = "quarantine";

/// The place of a quarantined record.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinePosition<'a> {
    /// Number of the upload; 0 outside one.
    pub upload: u32,
    /// Name of the source or entity type.
    pub stream: &'a str,
    /// Line in the upload, or ordinal in staging; none for a text about no record.
    pub line: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QuarantineEntry<'a> {
    #[serde(flatten)]
    place: QuarantinePosition<'a>,
    plugin: String,
    digest: &'a Digest,
    code: &'a str,
    message: &'a str,
}

/// Appends to the migration's list: records on which a plugin failed, and texts that the plugin returned undeclared.
pub fn quarantine<'a>(
    area: &StagingArea,
    (title, digest): (PluginTitle, &'a Digest),
    failed: &'a [FailedRecord],
    undeclared: &'a [UndeclaredText],
    place: impl Fn(Option<u32>) -> QuarantinePosition<'a>,
) -> Result<(), StagingError> {
    if failed.is_empty() && undeclared.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<Vec<u8>> = vec![];
    let failed = failed
        .iter()
        .map(|FailedRecord { position, failure }| (Some(*position), failure.cause.code(), &failure.message));
    let undeclared_texts = undeclared.iter().map(|UndeclaredText { position, code, text }| (*position, &**code, text));
    for (position, code, message) in failed.chain(undeclared_texts) {
        let message = message.for_quarantine();
        let entry = QuarantineEntry { place: place(position), plugin: title.to_string(), digest, code, message };
        lines.push(serde_json::to_vec(&entry).map_err(std::io::Error::from)?);
    }
    area.append_lines(QUARANTINE, lines.iter().map(Vec::as_slice))
}

/// Returns a page of the list, a JSON object for each entry, and the number of entries. Entries may quote records, so a
/// caller needs the permission to read records.
pub fn quarantined(
    context: &MigrationContext,
    offset: u64,
    limit: u64,
) -> Result<(Vec<Box<RawValue>>, u64), PipelineError> {
    let (lines, total) = context.area.lines(QUARANTINE, offset, limit)?;
    Ok((lines.iter().filter_map(|line| serde_json::from_slice(line).ok()).collect(), total))
}
