//! Import of staged records into the target, each entity type after those it refers to.
//!
//! The target saves the position that was reached in the transaction that stores the rows. So an import that was killed
//! loses nothing, repeats nothing, and continues from there.

mod approvals;
mod generate;
mod preview;
mod removal;
pub(crate) mod stages;
mod steps;
mod undo;

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use std::{iter, thread};

use hashbrown::HashMap;
use uuid::Uuid;

use crate::lookups::KnownRecords;
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::quarantine::{QuarantinePosition, quarantine};
use crate::{Interrupt, MigrationContext, PipelineError};
pub(crate) use preview::preview;
use removal::Removals;
use sluice_catalog::{ListedIssue, Phase};
use sluice_contract::{Batch, CanonicalIds, EntityType};
use sluice_model::{Digest, Issue, Name, Progress};
use sluice_plugin_host::{DomainPlugin, ImportStep, PluginOutput};
use sluice_staging::{EntryReader, Origin, StagedBatch, StagedEntry, StreamName};
use sluice_target::{ColumnExtractor, NewRow, RowProvenance, Span, StoreCounts, TargetLoad};
pub use steps::ImportOptions;
pub(crate) use steps::import;
pub(crate) use undo::undo;

/// A run of an import through all its stages.
pub(crate) struct ImportRun<'a> {
    /// Context of the migration.
    pub context: &'a MigrationContext,
    /// Progress of the job.
    pub progress: &'a Progress,
    /// Digest of each upload's mapper, as far as it was needed.
    mappers: HashMap<u32, Option<Digest>>,
    /// Number of skipped records.
    pub skipped: u64,
    figures: Vec<(Name, StoreCounts)>,
    /// Rows that were removed, or that stay although their records are staged no longer.
    removals: Removals,
    /// Names of the positions that say which generations are complete.
    generated: Vec<String>,
    /// Number of records that each generation is expected to read, by its marker.
    expected: HashMap<String, u64>,
}

/// An import into the table of one entity type, with rows in progress.
struct OpenLoad<'a> {
    load: &'a mut dyn TargetLoad,
    pending: PendingRows,
    /// Number of rows that are stored and not committed.
    uncommitted: usize,
    /// One past the last ordinal among all of these rows.
    reached: u64,
}

/// Rows that are to be stored.
#[derive(Default)]
struct PendingRows {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    rows: Vec<PendingRow>,
    provenances: Vec<RowProvenance>,
    /// Key of each provenance: the source's stream, true for generated records, and the upload.
    known: Vec<(Option<u16>, bool, u32)>,
}

struct PendingRow {
    id: [u8; 16],
    hash: [u8; 16],
    body: Range<usize>,
    spans: Range<usize>,
    sum: Result<u32, usize>,
    provenance: usize,
    position: u64,
}

/// Number of batches that are planned ahead of the one that is being stored. Each has at most `upload.batch_bytes`.
const PLANNED_AHEAD: usize = 2;

/// Time that rows wait in an open transaction for the next batch.
const TRANSACTION_PATIENCE: Duration = Duration::from_millis(50);

/// A batch, its plan, and the columns of the records to be stored.
struct PlannedBatch {
    staged: StagedBatch,
    made: PluginOutput<ImportStep>,
    /// Spans of each step, as many as the table has columns.
    spans: Vec<Span>,
    /// Checksum of each step's record, or the column that the record does not fit.
    sums: Vec<Result<u32, usize>>,
}

/// Returns the record that a step stores.
fn body_of<'a>(staged: &'a StagedBatch, step: &'a ImportStep) -> &'a [u8] {
    step.body.as_deref().unwrap_or_else(|| staged.body(step.position as usize))
}

/// A planned batch; none at the end of the staged records.
type Planned = Result<Option<PlannedBatch>, PipelineError>;

impl ImportRun<'_> {
    /// Imports an entity type: one thread plans and another stores, so that the plugin and the database each have a
    /// core.
    pub(crate) fn import_entity_type(
        &mut self,
        plugin: &Arc<DomainPlugin>,
        entity_type: &EntityType,
    ) -> Result<(), Interrupt> {
        let context = self.context;
        let migration = context.migration.reference_id;
        let from = context.target.progress(migration, &entity_type.name)?;
        let reader = context.area.reader(StreamName::Records(&entity_type.name), from)?;
        let end = reader.end();
        if end == from {
            return Ok(());
        }
        let load = context.target.begin(migration, entity_type, &|| self.progress.is_cancelled())?;
        let (send, receive) = sync_channel(PLANNED_AHEAD);
        let span = tracing::Span::current();
        thread::scope(|scope| {
            let planner = scope.spawn(move || {
                let _within = span.enter();
                plan(context, plugin, entity_type, reader, &send);
            });
            let stored = self.store_all(plugin, entity_type, load, end, &receive);
            // The planner's next send fails, and the planner ends.
            drop(receive);
            match planner.join() {
                Ok(()) => stored,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Stores the planned batches up to the end of the stream.
    fn store_all(
        &mut self,
        plugin: &DomainPlugin,
        entity_type: &EntityType,
        mut load: Box<dyn TargetLoad + '_>,
        end: u64,
        planned: &Receiver<Planned>,
    ) -> Result<(), Interrupt> {
        let transaction = self.context.config.import.transaction_records;
        let (skipped, columns) = (self.skipped, entity_type.columns.len());
        let mut rows = OpenLoad { load: &mut *load, pending: PendingRows::default(), uncommitted: 0, reached: 0 };
        let mut stored = StoreCounts::default();
        loop {
            // A slow plugin, or one that waits for an index, must not keep other writers pending for the transaction.
            let next = match planned.recv_timeout(TRANSACTION_PATIENCE) {
                Err(RecvTimeoutError::Timeout) => {
                    if rows.uncommitted > 0 {
                        stored += self.store(&mut rows, &entity_type.name, true)?;
                    }
                    planned.recv()
                }
                next => next.map_err(|_| RecvError),
            };
            // The channel closes early only if the planner has panicked. The join reports it.
            let Some(PlannedBatch { staged, made: mut plans, spans, sums }) =
                next.map_err(|_| Interrupt::Cancelled)??
            else {
                break;
            };
            if let Err(error) = self.check_still_approved(plugin) {
                // Rows that are not committed are discarded. Committed rows stay.
                load.finish(None)?;
                return Err(error.into());
            }
            self.skip(plugin, &entity_type.name, &staged.entries, &mut plans)?;
            for (index, step) in plans.items.iter().enumerate() {
                let entry = &staged.entries[step.position as usize];
                let spans = &spans[index * columns..(index + 1) * columns];
                self.add_row(&mut rows.pending, plugin, entry, body_of(&staged, step), spans, sums[index])?;
            }
            rows.reached = staged.entries.last().map_or(0, |last| last.ordinal + 1);
            self.progress.advance(staged.entries.len() as u64);
            let cancelled = self.progress.is_cancelled();
            let full = rows.uncommitted + rows.pending.rows.len() >= transaction;
            if full || cancelled || !rows.load.prefers_large_batches() {
                stored += self.store(&mut rows, &entity_type.name, full || cancelled)?;
            }
            if cancelled {
                load.finish(None)?;
                self.schedule_retry(&entity_type.name, skipped)?;
                return Err(Interrupt::Cancelled);
            }
        }
        stored += self.store(&mut rows, &entity_type.name, false)?;
        load.finish(Some(end))?;
        self.schedule_retry(&entity_type.name, skipped)?;
        self.add_figures(&entity_type.name, stored);
        Ok(())
    }

    /// If records were skipped, the next import begins at the first record. It recognises rows that are in the target
    /// by their hash.
    fn schedule_retry(&self, entity_type: &str, skipped_before: u64) -> Result<(), PipelineError> {
        if self.skipped > skipped_before {
            self.context.target.set_progress(self.context.migration.reference_id, entity_type, 0)?;
        }
        Ok(())
    }

    /// Checks that all plugins that made or validated the imported records are still approved. Each batch calls this,
    /// so that a revoked approval takes effect at the next batch.
    fn check_still_approved(&self, plugin: &DomainPlugin) -> Result<(), PipelineError> {
        let digests: Vec<Digest> = iter::once(plugin.digest).chain(self.mappers.values().flatten().copied()).collect();
        self.context.check_approved(&digests)
    }

    fn add_figures(&mut self, entity_type: &Name, stored: StoreCounts) {
        match self.figures.iter_mut().find(|(name, _)| name == entity_type) {
            Some((_, sum)) => *sum += stored,
            None => self.figures.push((entity_type.clone(), stored)),
        }
    }

    fn add_row(
        &mut self,
        pending: &mut PendingRows,
        plugin: &DomainPlugin,
        entry: &StagedEntry,
        body: &[u8],
        spans: &[Span],
        sum: Result<u32, usize>,
    ) -> Result<(), PipelineError> {
        let (source, position) = match entry.origin {
            Origin::Line(line) => (None, line),
            Origin::Source { stream, ordinal } => (Some(stream), ordinal),
            Origin::Generated => (None, 0),
        };
        let generated = matches!(entry.origin, Origin::Generated);
        let from = (source, generated, entry.upload);
        let provenance = match pending.known.iter().position(|known| *known == from) {
            Some(provenance) => provenance,
            None => {
                pending.provenances.push(self.provenance(plugin, entry)?);
                pending.known.push(from);
                pending.known.len() - 1
            }
        };
        let (start, spans_start) = (pending.bytes.len(), pending.spans.len());
        pending.bytes.extend_from_slice(body);
        pending.spans.extend_from_slice(spans);
        let (body, spans) = (start..pending.bytes.len(), spans_start..pending.spans.len());
        pending.rows.push(PendingRow { id: entry.key, hash: entry.hash, body, spans, sum, provenance, position });
        Ok(())
    }

    fn provenance(&mut self, plugin: &DomainPlugin, entry: &StagedEntry) -> Result<RowProvenance, PipelineError> {
        let context = self.context;
        let source = match entry.origin {
            Origin::Line(_) => "upload".to_owned(),
            Origin::Source { stream, .. } => context.area.source_of(stream)?.unwrap_or_default(),
            Origin::Generated => "generated".to_owned(),
        };
        let mapper = match self.mappers.get(&entry.upload) {
            Some(mapper) => *mapper,
            None => {
                let mapper = context.store.upload_mapper(context.migration.reference_id, entry.upload)?;
                self.mappers.insert(entry.upload, mapper);
                mapper
            }
        };
        Ok(RowProvenance { source, mapper, domain_plugin: plugin.digest })
    }

    /// Stores the pending rows. If `commit` is true, commits them with the rows stored before.
    fn store(&mut self, rows: &mut OpenLoad, entity_type: &Name, commit: bool) -> Result<StoreCounts, PipelineError> {
        let OpenLoad { load, pending, uncommitted, reached } = rows;
        let mut new: Vec<NewRow> = pending
            .rows
            .iter()
            .map(|row| NewRow {
                id: row.id,
                hash: row.hash,
                body: &pending.bytes[row.body.clone()],
                spans: &pending.spans[row.spans.clone()],
                sum: row.sum,
                provenance: row.provenance,
                position: row.position,
            })
            .collect();
        let (stored, foreign) = load.store(&pending.provenances, &mut new)?;
        *uncommitted += new.len();
        drop(new);
        pending.rows.clear();
        pending.bytes.clear();
        pending.spans.clear();
        if commit {
            load.commit(*reached)?;
            *uncommitted = 0;
        }
        self.skipped += foreign.len() as u64;
        let listed: Vec<ListedIssue> =
            foreign.into_iter().map(|id| listed(entity_type, id, Issue::error("REFERENCE_ID_IN_USE"))).collect();
        self.list(&listed)?;
        Ok(stored)
    }

    /// Lists issues of the import.
    pub(crate) fn list(&self, issues: &[ListedIssue]) -> Result<(), PipelineError> {
        let most = self.context.config.records.listed_issues;
        Ok(self.context.store.add_issues(self.context.migration.reference_id, Phase::Import, issues, most)?)
    }

    /// Lists the records that a plugin did not plan or make, and counts them as skipped.
    pub(crate) fn skip<T>(
        &mut self,
        plugin: &DomainPlugin,
        entity_type: &Name,
        entries: &[StagedEntry],
        made: &mut PluginOutput<T>,
    ) -> Result<(), PipelineError> {
        let PluginOutput { issues, failed, undeclared, logged, .. } = made;
        let key = |position: u32| entries[position as usize].key;
        let mut all: Vec<ListedIssue> =
            issues.drain(..).map(|(position, issue)| listed(entity_type, key(position), issue)).collect();
        all.extend(
            failed
                .iter()
                .map(|failed| listed(entity_type, key(failed.position), Issue::error(failed.failure.cause.code()))),
        );
        self.skipped += all.iter().filter(|listed| listed.issue.is_error()).count() as u64;
        let line = |position: u32| entries[position as usize].ordinal;
        let place =
            |position: Option<u32>| QuarantinePosition { upload: 0, stream: entity_type, line: position.map(line) };
        quarantine(&self.context.area, (plugin.title(), &plugin.digest), failed, undeclared, place)?;
        let place = |position: u32| ("referenceId", Uuid::from_bytes(key(position)).into());
        let log_origin = PluginLogOrigin { domain: Some(&plugin.description.domain), upload: 0, place };
        write_plugin_log(self.context, logged, &log_origin)?;
        self.list(&all)
    }
}

/// Plans all batches in their order and extracts the columns of their records, until the receiver is dropped.
fn plan(
    context: &MigrationContext,
    plugin: &Arc<DomainPlugin>,
    entity_type: &EntityType,
    mut reader: EntryReader,
    planned: &SyncSender<Planned>,
) {
    let known = KnownRecords::new(context.area.clone(), context.target.clone(), context.plugins.clone());
    let mut instance = plugin.instance(context.plugin_context(), Some(Arc::new(known)), &context.usage);
    let (limits, fields) = (&context.config.upload, ColumnExtractor::new(entity_type));
    // Earlier versions staged ids as they were written.
    let ids = CanonicalIds::new(entity_type);
    let mut next = || -> Planned {
        let mut staged = StagedBatch::default();
        if !reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            return Ok(None);
        }
        ids.canonicalise_all(&mut staged.bytes, &staged.ends);
        let batch = Batch { bytes: std::mem::take(&mut staged.bytes), ends: std::mem::take(&mut staged.ends) };
        let mut made = instance.plan(&entity_type.name, &batch)?;
        for body in made.items.iter_mut().filter_map(|step| step.body.as_mut()) {
            ids.canonicalise(body);
        }
        (staged.bytes, staged.ends) = (batch.bytes, batch.ends);
        let mut spans = Vec::with_capacity(made.items.len() * entity_type.columns.len());
        let sums = made.items.iter().map(|step| fields.extract(body_of(&staged, step), &mut spans)).collect();
        Ok(Some(PlannedBatch { staged, made, spans, sums }))
    };
    loop {
        let next = next();
        let last = !matches!(next, Ok(Some(_)));
        if planned.send(next).is_err() || last {
            return;
        }
    }
}

/// Returns an issue of a record, as it is listed.
pub(crate) fn listed(entity_type: &Name, id: [u8; 16], issue: Issue) -> ListedIssue {
    let (stream, reference_id) = (entity_type.clone(), Some(Uuid::from_bytes(id)));
    ListedIssue { stream, line: None, upload: None, reference_id, issue }
}
