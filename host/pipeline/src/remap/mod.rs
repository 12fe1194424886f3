//! Mapping again: staged source records pass through the migration's present mapper, without a second upload.
//!
//! Each source is an upload of its own in the catalogue, so that a record's provenance names the mapper that made it.

pub(crate) mod remap_run;
mod replay;

use std::sync::Arc;

use jiff::Timestamp;

use crate::load::UploadSummary;
use crate::{Interrupt, MigrationContext};
use remap_run::RemapRun;
pub use replay::{ReplayResult, replay, replay_all};
use sluice_contract::SourceTable;
use sluice_model::{Name, Progress, SafeValue};
use sluice_plugin_host::MapperPlugin;
use sluice_staging::{SourceStatus, StagedEntry, StreamName};

/// Options of a remap job.
#[derive(Clone)]
pub struct RemapOptions {
    /// Mapper to be used.
    pub mapper: Arc<MapperPlugin>,
    /// Statuses of the records to be mapped again; all records if empty.
    pub only: Vec<SourceStatus>,
    /// Sources to be mapped again; all sources of the mapper if empty.
    pub sources: Vec<Name>,
}

/// Maps staged source records again, source by source in the mapper's order, and returns figures by source. Records
/// with the same result stay as they are, and so do records that were rejected for a missing key. A run that ended
/// early can be started again.
pub fn remap(context: &MigrationContext, options: &RemapOptions, progress: &Progress) -> Result<SafeValue, Interrupt> {
    let mapper = &options.mapper;
    let wanted = |source: &&SourceTable| options.sources.is_empty() || options.sources.contains(&source.name);
    let mut sources: Vec<&SourceTable> = vec![];
    for source in mapper.description.sources.iter().filter(wanted) {
        let records = context.area.count(StreamName::Source(&source.name))?;
        progress.expect(records);
        if records > 0 {
            sources.push(source);
        }
    }
    let only = |entry: &StagedEntry| {
        options.only.is_empty() || entry.status().is_some_and(|status| options.only.contains(&status))
    };
    let run = RemapRun { from: &context.area, to: context, mapper, wanted: &only, progress };
    let (mut changed, mut by_source) = (0, vec![]);
    for source in sources {
        let migration = context.migration.reference_id;
        let number = context.store.begin_remap(migration, &source.name, mapper.digest, Timestamp::now())?;
        let summary = run.source(source, number);
        let ended = summary.as_ref().map(UploadSummary::end).map_err(|interrupt| match interrupt {
            Interrupt::Cancelled => "CANCELLED",
            Interrupt::Failed(failure) => failure.code(),
        });
        let (ended, acknowledged) = (ended.as_ref().map_err(|code| *code), context.acknowledged());
        context.store.end_upload(migration, number, ended, acknowledged, Timestamp::now())?;
        let summary = summary?;
        changed += summary.changes;
        by_source.push(figures(&source.name, number, &summary));
    }
    Ok(SafeValue::table([
        ("mapper", SafeValue::from(mapper.digest)),
        ("changed", changed.into()),
        ("sources", by_source.into()),
    ]))
}

/// Returns the figures of a source.
fn figures(source: &Name, number: u32, summary: &UploadSummary) -> SafeValue {
    let skipped: u64 = summary.skipped.values().sum();
    SafeValue::table([
        ("source", SafeValue::from(source.clone())),
        ("upload", number.into()),
        ("records", summary.records.into()),
        ("changed", summary.changes.into()),
        ("mapped", summary.accepted.into()),
        ("skipped", skipped.into()),
        ("rejected", summary.rejected.into()),
        ("quarantined", summary.quarantined.into()),
    ])
}
