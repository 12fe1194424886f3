//! Re-mapping: staged source records through the migration's present mapper, without a second upload.
//!
//! Each source is an upload of its own in the catalogue, so that a record's provenance names what really made it.

use std::sync::Arc;

use jiff::Timestamp;

use super::rerun::Rerun;
use super::upload::Upload;
use super::{Desk, Stop};
use sluice_contract::Source;
use sluice_model::{Figure, Name, Progress};
use sluice_plugin_host::MapperPlugin;
use sluice_staging::{SourceStatus, StagedEntry, StreamName};

/// What is to be mapped again.
#[derive(Clone)]
pub struct Remap {
    /// With this mapper.
    pub mapper: Arc<MapperPlugin>,
    /// Only records that came to one of these; all if there are none.
    pub only: Vec<SourceStatus>,
    /// Only these of the mapper's sources; all if there are none.
    pub sources: Vec<Name>,
}

/// Maps staged source records again, source by source in the mapper's order; figures by source. What comes to the same
/// stays as it is, and so does what was refused for want of a key. Broken off, it can simply be started again.
pub fn remap(desk: &Desk, asked: &Remap, progress: &Progress) -> Result<Figure, Stop> {
    let mapper = &asked.mapper;
    let wanted = |source: &&Source| asked.sources.is_empty() || asked.sources.contains(&source.name);
    let mut sources: Vec<&Source> = vec![];
    for source in mapper.description.sources.iter().filter(wanted) {
        let records = desk.area.count(StreamName::Source(&source.name))?;
        progress.expect(records);
        if records > 0 {
            sources.push(source);
        }
    }
    let only = |entry: &StagedEntry| {
        asked.only.is_empty() || entry.status().is_some_and(|status| asked.only.contains(&status))
    };
    let rerun = Rerun { from: &desk.area, to: desk, mapper, wanted: &only, progress };
    let (mut changed, mut by_source) = (0, vec![]);
    for source in sources {
        let migration = desk.migration.reference_id;
        let number = desk.store.begin_rerun(migration, &source.name, mapper.digest, Timestamp::now())?;
        let done = rerun.source(source, number);
        let ended = done.as_ref().map(Upload::end).map_err(|stop| match stop {
            Stop::Cancelled => "CANCELLED",
            Stop::Failed(failure) => failure.code(),
        });
        let (ended, acknowledged) = (ended.as_ref().map_err(|code| *code), desk.acknowledged());
        desk.store.end_upload(migration, number, ended, acknowledged, Timestamp::now())?;
        let done = done?;
        changed += done.changes;
        by_source.push(figures(&source.name, number, &done));
    }
    Ok(Figure::table([
        ("mapper", Figure::from(mapper.digest)),
        ("changed", changed.into()),
        ("sources", by_source.into()),
    ]))
}

/// What came of a source's records.
fn figures(source: &Name, number: u32, done: &Upload) -> Figure {
    let skipped: u64 = done.skipped.values().sum();
    Figure::table([
        ("source", Figure::from(source.clone())),
        ("upload", number.into()),
        ("records", done.records.into()),
        ("changed", done.changes.into()),
        ("mapped", done.accepted.into()),
        ("skipped", skipped.into()),
        ("rejected", done.rejected.into()),
        ("quarantined", done.quarantined.into()),
    ])
}
