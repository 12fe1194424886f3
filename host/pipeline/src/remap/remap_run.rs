//! A run of staged source records through a mapper: in their own place, or into another staging area.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::load::results::ResultWriter;
use crate::load::source::{SourceStager, map};
use crate::load::{InputTotals, UploadSummary};
use crate::lookups::LoadedSources;
use crate::parallel::producer_consumer;
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_contract::SourceTable;
use sluice_framing::RawBatch;
use sluice_model::{Digest, Progress};
use sluice_plugin_host::MapperPlugin;
use sluice_staging::{
    Key, SourceLengths, SourceRecord, SourceStatus, StagedBatch, StagedEntry, StagingArea, StreamName, UploadEntries,
};

/// A run that maps staged source records.
///
/// Lookups read the area in which the records are. A source sees all other sources, and none of its own records.
pub(crate) struct RemapRun<'a> {
    /// Staging area of the records.
    pub from: &'a Arc<StagingArea>,
    /// Context whose staging area takes the results. If it is the area of `from`, each record takes its own place.
    pub to: &'a MigrationContext,
    /// Mapper to be used.
    pub mapper: &'a Arc<MapperPlugin>,
    /// Filter of the records to be mapped.
    pub wanted: &'a (dyn Fn(&StagedEntry) -> bool + Sync),
    /// Progress of the job. It advances by all records that are read, also by those that the filter excludes.
    pub progress: &'a Progress,
}

impl RemapRun<'_> {
    /// Maps the records of one source under this upload number. The results are on disk when it returns.
    pub fn source(&self, source: &SourceTable, upload: u32) -> Result<UploadSummary, Interrupt> {
        let limits = &self.to.config.upload;
        let in_place = Arc::ptr_eq(self.from, &self.to.area);
        let lookup = LoadedSources::new(self.from.clone(), self.mapper.clone())?.exclude_self(&source.name);
        let seen = lookup.seen().clone();
        let mut instance = self.mapper.instance(self.to.plugin_context(), Arc::new(lookup), &self.to.usage);
        let mut reader = self.from.reader(StreamName::Source(&source.name), 0)?;
        let mut stager = SourceStager::new(self.to, self.mapper, source, upload, seen)?;
        let mut kept = UploadEntries::new(upload);
        let mut results = ResultWriter::discarding(limits);
        let mut summary = UploadSummary::default();
        let totals = producer_consumer(
            |send| {
                let (mut digest, mut totals) = (Sha256::new(), InputTotals::default());
                let mut staged = StagedBatch::default();
                while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
                    if self.progress.is_cancelled() {
                        return Err(Interrupt::Cancelled);
                    }
                    if !in_place {
                        self.keep(source, &mut kept, &staged)?;
                    }
                    let (raw, replaces) = self.cut(&staged);
                    self.progress.advance(staged.len() as u64);
                    for record in raw.records() {
                        digest.update(record);
                        digest.update(b"\n");
                    }
                    totals.bytes += (raw.bytes.len() + raw.len()) as u64;
                    if raw.is_empty() {
                        continue;
                    }
                    let mut mapped = map(self.to, &mut instance, source, raw)?;
                    if in_place {
                        mapped.replaces = replaces;
                    }
                    if !send(mapped) {
                        break;
                    }
                }
                totals.digest = Digest::from(<[u8; 32]>::from(digest.finalize()));
                Ok(totals)
            },
            |mapped| Ok(stager.stage(mapped, &mut summary, &mut results)?),
        );
        // Records that were staged before a cancellation stay.
        results.finish(&self.to.area)?;
        summary.input = totals?;
        Ok(summary)
    }

    /// Returns the records of a batch that are mapped again, and the entries that they replace. A record without a key
    /// cannot replace an entry, so it stays as it is.
    fn cut(&self, staged: &StagedBatch) -> (RawBatch, Vec<(u64, Key)>) {
        let (mut raw, mut replaces) = (RawBatch::default(), vec![]);
        for (position, entry) in staged.entries.iter().enumerate() {
            if entry.is_keyless() || !(self.wanted)(entry) {
                continue;
            }
            raw.bytes.extend_from_slice(staged.body(position));
            raw.ends.push(raw.bytes.len() as u32);
            raw.lines.push(entry.line());
            replaces.push((entry.ordinal, entry.key));
        }
        (raw, replaces)
    }

    /// Copies the records that were rejected for a missing key, so that the other area counts them too.
    fn keep(&self, source: &SourceTable, kept: &mut UploadEntries, staged: &StagedBatch) -> Result<(), PipelineError> {
        let refused: Vec<(usize, &StagedEntry, &str)> = staged
            .entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.is_keyless() && (self.wanted)(entry))
            .map(|(position, entry)| (position, entry, entry.code().unwrap_or_default()))
            .collect();
        let records: Vec<SourceRecord> = refused
            .iter()
            .map(|(position, entry, code)| SourceRecord {
                line: entry.line(),
                offset: None,
                given: false,
                key: None,
                probable_key: None,
                lookups: vec![],
                body: staged.body(*position),
                status: entry.status().unwrap_or(SourceStatus::Rejected),
                code,
                notes: &entry.notes,
                products: vec![],
                replaces: None,
                same_mapper: None,
            })
            .collect();
        self.to.area.stage_sources(&source.name, &source.lookups, kept, &SourceLengths::new(), &records)?;
        Ok(())
    }
}
