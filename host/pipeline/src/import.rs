//! Import: staged records into the target, each entity type after those it refers to.
//!
//! How far it has come stands in the target, in the transaction that stored the rows: a killed import
//! loses nothing, repeats nothing, and goes on from there.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use std::{iter, thread};

use hashbrown::HashMap;
use uuid::Uuid;

use super::lookups::KnownRecords;
use super::order::{Stage, stages};
use super::quarantine::{Place, quarantine};
use super::said::{Speaker, keep_logged};
use super::{Desk, Failure, Stop};
use sluice_catalog::{ListedIssue, Phase};
use sluice_contract::{Batch, EntityType};
use sluice_model::{Digest, Figure, Issue, Name, Progress};
use sluice_plugin_host::{DomainPlugin, Made, Step};
use sluice_staging::{EntryReader, Origin, StagedBatch, StagedEntry, StreamName};
use sluice_target::{Fields, Load, NewRow, Provenance, Span, Stored};

/// Imports everything that is staged and not yet imported; whether nothing was left out, and the figures.
pub fn import(desk: &Desk, progress: &Progress) -> Result<(bool, Figure), Stop> {
    let migration = desk.migration.reference_id;
    desk.approved_makers()?;
    desk.store.clear_issues(migration, Phase::Import, desk.config.records.listed_issues)?;
    let stages = stages(&desk.plugins, &desk.migration);
    for stage in &stages {
        if let Stage::Import(_, entity_type) = stage {
            desk.target.prepare(entity_type)?;
            let end = desk.area.length(StreamName::Records(&entity_type.name))?;
            progress.expect(end.saturating_sub(desk.target.progress(migration, &entity_type.name)?));
        }
    }
    let mut pass = Pass { desk, progress, mappers: HashMap::new(), left_out: 0, figures: vec![] };
    for stage in &stages {
        match stage {
            Stage::Import(plugin, entity_type) => pass.carry_over(plugin, entity_type)?,
            Stage::Generate(plugin, generation) => pass.generate(plugin, generation)?,
        }
    }
    let total = pass.figures.iter().fold(Stored::default(), |mut sum, (_, stored)| {
        sum += *stored;
        sum
    });
    let by_type = pass.figures.iter().map(|(entity_type, stored)| (entity_type.clone(), Figure::table(shown(stored))));
    let mut result = shown(&total).to_vec();
    result.push(("leftOut", pass.left_out.into()));
    result.push(("byEntityType", Figure::table(by_type)));
    Ok((pass.left_out == 0, Figure::table(result)))
}

fn shown(stored: &Stored) -> [(&'static str, Figure); 3] {
    let Stored { inserted, updated, unchanged } = *stored;
    [("inserted", inserted.into()), ("updated", updated.into()), ("unchanged", unchanged.into())]
}

pub(super) struct Pass<'a> {
    pub desk: &'a Desk,
    pub progress: &'a Progress,
    /// Digest of the mapper of each upload, as far as asked.
    mappers: HashMap<u32, Option<Digest>>,
    pub left_out: u64,
    figures: Vec<(Name, Stored)>,
}

/// Rows on their way.
struct Rows<'a> {
    load: &'a mut dyn Load,
    waiting: Waiting,
    /// Rows that are stored and wait for the end of their transaction.
    uncommitted: usize,
    /// One past the last ordinal among all of these.
    reached: u64,
}

/// Rows that wait to be stored.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    rows: Vec<WaitingRow>,
    provenances: Vec<Provenance>,
    /// What tells provenances apart: the source's stream, whether it was generated, and the upload.
    known: Vec<(Option<u16>, bool, u32)>,
}

struct WaitingRow {
    id: [u8; 16],
    hash: [u8; 16],
    body: Range<usize>,
    spans: Range<usize>,
    sum: Result<u32, usize>,
    provenance: usize,
    position: u64,
}

/// Batches that are planned ahead of the one that is being stored. Each has at most `upload.batch_bytes`.
const PLANNED_AHEAD: usize = 2;

/// How long rows wait in an open transaction for the next batch.
const PATIENCE: Duration = Duration::from_millis(50);

/// A batch, the plan for it, and the records to be stored taken apart.
struct Plan {
    staged: StagedBatch,
    made: Made<Step>,
    /// Of each step as many as there are columns.
    spans: Vec<Span>,
    /// Of each step what its record adds to the checksum, or the column that does not fit.
    sums: Vec<Result<u32, usize>>,
}

/// What record a step stores.
fn body_of<'a>(staged: &'a StagedBatch, step: &'a Step) -> &'a [u8] {
    step.body.as_deref().unwrap_or_else(|| staged.body(step.position as usize))
}

/// None at the end of what is staged.
type Planned = Result<Option<Plan>, Failure>;

impl Pass<'_> {
    /// Plans on one thread and stores on another, so that the plugin and the database have a core each.
    pub(super) fn carry_over(&mut self, plugin: &Arc<DomainPlugin>, entity_type: &EntityType) -> Result<(), Stop> {
        let desk = self.desk;
        let migration = desk.migration.reference_id;
        let from = desk.target.progress(migration, &entity_type.name)?;
        let reader = desk.area.reader(StreamName::Records(&entity_type.name), from)?;
        let end = reader.end();
        if end == from {
            return Ok(());
        }
        let load = desk.target.begin(migration, entity_type, &|| self.progress.is_cancelled())?;
        let (send, receive) = sync_channel(PLANNED_AHEAD);
        let span = tracing::Span::current();
        thread::scope(|scope| {
            let planner = scope.spawn(move || {
                let _within = span.enter();
                plan(desk, plugin, entity_type, reader, &send);
            });
            let stored = self.store_all(plugin, entity_type, load, end, &receive);
            // Nobody takes what it may still be planning.
            drop(receive);
            match planner.join() {
                Ok(()) => stored,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Stores what is planned, up to the end of the stream.
    fn store_all(
        &mut self,
        plugin: &DomainPlugin,
        entity_type: &EntityType,
        mut load: Box<dyn Load + '_>,
        end: u64,
        planned: &Receiver<Planned>,
    ) -> Result<(), Stop> {
        let transaction = self.desk.config.import.transaction_records;
        let (left_out, columns) = (self.left_out, entity_type.columns.len());
        let mut rows = Rows { load: &mut *load, waiting: Waiting::default(), uncommitted: 0, reached: 0 };
        let mut stored = Stored::default();
        loop {
            // A plugin that takes its time, or waits for an index that is made first, does not keep others from writing.
            let next = match planned.recv_timeout(PATIENCE) {
                Err(RecvTimeoutError::Timeout) => {
                    if rows.uncommitted > 0 {
                        stored += self.store(&mut rows, &entity_type.name, true)?;
                    }
                    planned.recv()
                }
                next => next.map_err(|_| RecvError),
            };
            // Without an end the planner has panicked, which is heard of when it is joined.
            let Some(Plan { staged, made: mut plans, spans, sums }) = next.map_err(|_| Stop::Cancelled)?? else {
                break;
            };
            if let Err(refused) = self.still_approved(plugin) {
                // What waits for its transaction is not stored; what was, stays.
                load.finish(None)?;
                return Err(refused.into());
            }
            self.leave_out(plugin, &entity_type.name, &staged.entries, &mut plans)?;
            for (index, step) in plans.made.iter().enumerate() {
                let entry = &staged.entries[step.position as usize];
                let spans = &spans[index * columns..(index + 1) * columns];
                self.wait(&mut rows.waiting, plugin, entry, body_of(&staged, step), spans, sums[index])?;
            }
            rows.reached = staged.entries.last().map_or(0, |last| last.ordinal + 1);
            self.progress.advance(staged.entries.len() as u64);
            let cancelled = self.progress.is_cancelled();
            let full = rows.uncommitted + rows.waiting.rows.len() >= transaction;
            if full || cancelled || !rows.load.gathers() {
                stored += self.store(&mut rows, &entity_type.name, full || cancelled)?;
            }
            if cancelled {
                load.finish(None)?;
                self.come_back(&entity_type.name, left_out)?;
                return Err(Stop::Cancelled);
            }
        }
        stored += self.store(&mut rows, &entity_type.name, false)?;
        load.finish(Some(end))?;
        self.come_back(&entity_type.name, left_out)?;
        self.add_figures(&entity_type.name, stored);
        Ok(())
    }

    /// Where more was left out than before, importing again has to look again, from the first record on:
    /// what is in the target already is known by its hash.
    fn come_back(&self, entity_type: &str, left_out_before: u64) -> Result<(), Failure> {
        if self.left_out > left_out_before {
            self.desk.target.set_progress(self.desk.migration.reference_id, entity_type, 0)?;
        }
        Ok(())
    }

    /// Whether all who have made or judged what is imported are still approved: each batch asks, so that a revoked
    /// approval counts at the next.
    fn still_approved(&self, plugin: &DomainPlugin) -> Result<(), Failure> {
        let digests: Vec<Digest> = iter::once(plugin.digest).chain(self.mappers.values().flatten().copied()).collect();
        self.desk.all_approved(&digests)
    }

    fn add_figures(&mut self, entity_type: &Name, stored: Stored) {
        match self.figures.iter_mut().find(|(name, _)| name == entity_type) {
            Some((_, sum)) => *sum += stored,
            None => self.figures.push((entity_type.clone(), stored)),
        }
    }

    fn wait(
        &mut self,
        waiting: &mut Waiting,
        plugin: &DomainPlugin,
        entry: &StagedEntry,
        body: &[u8],
        spans: &[Span],
        sum: Result<u32, usize>,
    ) -> Result<(), Failure> {
        let (source, position) = match entry.origin {
            Origin::Line(line) => (None, line),
            Origin::Source { stream, ordinal } => (Some(stream), ordinal),
            Origin::Generated => (None, 0),
        };
        let generated = matches!(entry.origin, Origin::Generated);
        let from = (source, generated, entry.upload);
        let provenance = match waiting.known.iter().position(|known| *known == from) {
            Some(provenance) => provenance,
            None => {
                waiting.provenances.push(self.provenance(plugin, entry)?);
                waiting.known.push(from);
                waiting.known.len() - 1
            }
        };
        let (start, spans_start) = (waiting.bytes.len(), waiting.spans.len());
        waiting.bytes.extend_from_slice(body);
        waiting.spans.extend_from_slice(spans);
        let (body, spans) = (start..waiting.bytes.len(), spans_start..waiting.spans.len());
        waiting.rows.push(WaitingRow { id: entry.key, hash: entry.hash, body, spans, sum, provenance, position });
        Ok(())
    }

    fn provenance(&mut self, plugin: &DomainPlugin, entry: &StagedEntry) -> Result<Provenance, Failure> {
        let desk = self.desk;
        let source = match entry.origin {
            Origin::Line(_) => "upload".to_owned(),
            Origin::Source { stream, .. } => desk.area.source_of(stream)?.unwrap_or_default(),
            Origin::Generated => "generated".to_owned(),
        };
        let mapper = match self.mappers.get(&entry.upload) {
            Some(mapper) => *mapper,
            None => {
                let mapper = desk.store.upload_mapper(desk.migration.reference_id, entry.upload)?;
                self.mappers.insert(entry.upload, mapper);
                mapper
            }
        };
        Ok(Provenance { source, mapper, domain_plugin: plugin.digest })
    }

    /// Stores the rows that wait, and commits them with what was stored before, if that is asked for.
    fn store(&mut self, rows: &mut Rows, entity_type: &Name, commit: bool) -> Result<Stored, Failure> {
        let Rows { load, waiting, uncommitted, reached } = rows;
        let mut new: Vec<NewRow> = waiting
            .rows
            .iter()
            .map(|row| NewRow {
                id: row.id,
                hash: row.hash,
                body: &waiting.bytes[row.body.clone()],
                spans: &waiting.spans[row.spans.clone()],
                sum: row.sum,
                provenance: row.provenance,
                position: row.position,
            })
            .collect();
        let (stored, foreign) = load.store(&waiting.provenances, &mut new)?;
        *uncommitted += new.len();
        drop(new);
        waiting.rows.clear();
        waiting.bytes.clear();
        waiting.spans.clear();
        if commit {
            load.commit(*reached)?;
            *uncommitted = 0;
        }
        self.left_out += foreign.len() as u64;
        let listed: Vec<ListedIssue> =
            foreign.into_iter().map(|id| listed(entity_type, id, Issue::error("REFERENCE_ID_IN_USE"))).collect();
        self.list(&listed)?;
        Ok(stored)
    }

    pub(super) fn list(&self, issues: &[ListedIssue]) -> Result<(), Failure> {
        let most = self.desk.config.records.listed_issues;
        Ok(self.desk.store.add_issues(self.desk.migration.reference_id, Phase::Import, issues, most)?)
    }

    /// Lists what a plugin would not plan or make, and counts it as left out.
    pub(super) fn leave_out<T>(
        &mut self,
        plugin: &DomainPlugin,
        entity_type: &Name,
        entries: &[StagedEntry],
        made: &mut Made<T>,
    ) -> Result<(), Failure> {
        let Made { issues, poisoned, undeclared, logged, .. } = made;
        let key = |position: u32| entries[position as usize].key;
        let mut all: Vec<ListedIssue> =
            issues.drain(..).map(|(position, issue)| listed(entity_type, key(position), issue)).collect();
        all.extend(
            poisoned.iter().map(|poisoned| {
                listed(entity_type, key(poisoned.position), Issue::error(poisoned.failure.cause.code()))
            }),
        );
        self.left_out += all.iter().filter(|listed| listed.issue.stops()).count() as u64;
        let line = |position: u32| entries[position as usize].ordinal;
        let place = |position: Option<u32>| Place { upload: 0, stream: entity_type, line: position.map(line) };
        quarantine(&self.desk.area, (plugin.title(), &plugin.digest), poisoned, undeclared, place)?;
        let place = |position: u32| ("referenceId", Uuid::from_bytes(key(position)).into());
        let speaker = Speaker { domain: Some(&plugin.description.domain), upload: 0, place };
        keep_logged(self.desk, logged, &speaker)?;
        self.list(&all)
    }
}

/// Plans all batches in their order, and takes their records apart, until nobody wants them any more.
fn plan(
    desk: &Desk,
    plugin: &Arc<DomainPlugin>,
    entity_type: &EntityType,
    mut reader: EntryReader,
    planned: &SyncSender<Planned>,
) {
    let known = KnownRecords::new(desk.area.clone(), desk.target.clone(), desk.plugins.clone());
    let mut instance = plugin.instance(desk.context(), Some(Arc::new(known)), &desk.usage);
    let (limits, fields) = (&desk.config.upload, Fields::new(entity_type));
    let mut next = || -> Planned {
        let mut staged = StagedBatch::default();
        if !reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            return Ok(None);
        }
        let batch = Batch { bytes: std::mem::take(&mut staged.bytes), ends: std::mem::take(&mut staged.ends) };
        let made = instance.plan(&entity_type.name, &batch)?;
        (staged.bytes, staged.ends) = (batch.bytes, batch.ends);
        let mut spans = Vec::with_capacity(made.made.len() * entity_type.columns.len());
        let sums = made.made.iter().map(|step| fields.take_apart(body_of(&staged, step), &mut spans)).collect();
        Ok(Some(Plan { staged, made, spans, sums }))
    };
    loop {
        let next = next();
        let last = !matches!(next, Ok(Some(_)));
        if planned.send(next).is_err() || last {
            return;
        }
    }
}

pub(super) fn listed(entity_type: &Name, id: [u8; 16], issue: Issue) -> ListedIssue {
    ListedIssue { stream: entity_type.clone(), line: None, reference_id: Some(Uuid::from_bytes(id)), issue }
}
