//! Import: staged records into the target, each entity type after those it refers to.
//!
//! How far it has come stands in the target, in the transaction that stored the rows: a killed import
//! loses nothing, repeats nothing, and goes on from there.

use std::sync::Arc;

use hashbrown::HashMap;
use uuid::Uuid;

use super::lookups::KnownRecords;
use super::order::{Stage, stages};
use super::quarantine::{Place, quarantine};
use super::said::{Speaker, keep_logged};
use super::{Desk, Failure, Stop};
use crate::model::{Digest, Figure, Issue, Name, Progress};
use crate::plugin::{Batch, DomainPlugin, EntityType, Generation, Made};
use crate::staging::{DirectRecord, Origin, StagedBatch, StagedEntry, StreamName};
use crate::store::{ListedIssue, Phase};
use crate::target::{NewRow, Provenance, Stored};

/// Records passed to a generation at once: what is made of one can be a hundred times as long.
const GENERATION_RECORDS: usize = 100;

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

struct Pass<'a> {
    desk: &'a Desk,
    progress: &'a Progress,
    /// Digest of the mapper of each upload, as far as asked.
    mappers: HashMap<u32, Option<Digest>>,
    left_out: u64,
    figures: Vec<(Name, Stored)>,
}

/// Rows that wait for their transaction.
#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    rows: Vec<WaitingRow>,
    provenances: Vec<Provenance>,
}

struct WaitingRow {
    id: [u8; 16],
    hash: [u8; 16],
    body: std::ops::Range<usize>,
    provenance: usize,
    position: u64,
}

impl Pass<'_> {
    fn carry_over(&mut self, plugin: &Arc<DomainPlugin>, entity_type: &EntityType) -> Result<(), Stop> {
        let desk = self.desk;
        let migration = desk.migration.reference_id;
        let stream = StreamName::Records(&entity_type.name);
        let from = desk.target.progress(migration, &entity_type.name)?;
        let mut reader = desk.area.reader(stream, from)?;
        if reader.end() == from {
            return Ok(());
        }
        let known = KnownRecords::new(desk.area.clone(), desk.target.clone(), desk.plugins.clone());
        let mut instance = plugin.instance(desk.context(), Some(Arc::new(known)), &desk.usage);
        let left_out = self.left_out;
        let mut load = desk.target.begin(migration, entity_type, &|| self.progress.is_cancelled())?;
        let mut staged = StagedBatch::default();
        let mut waiting = Waiting::default();
        let mut stored = Stored::default();
        loop {
            let limits = &desk.config.upload;
            let more = reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)?;
            if more {
                if let Err(refused) = self.still_approved(plugin) {
                    // What waits for its transaction is not stored; what was, stays.
                    load.finish()?;
                    return Err(refused.into());
                }
                let reached = staged.entries.last().map_or(0, |last| last.ordinal + 1);
                let batch = Batch { bytes: std::mem::take(&mut staged.bytes), ends: std::mem::take(&mut staged.ends) };
                let mut planned = instance.plan(&entity_type.name, &batch)?;
                (staged.bytes, staged.ends) = (batch.bytes, batch.ends);
                self.leave_out(plugin, &entity_type.name, &staged.entries, &mut planned)?;
                for step in planned.made {
                    let entry = &staged.entries[step.position as usize];
                    let body = step.body.as_deref().unwrap_or_else(|| staged.body(step.position as usize));
                    self.wait(&mut waiting, plugin, entry, body)?;
                }
                self.progress.advance(staged.entries.len() as u64);
                if waiting.rows.len() < desk.config.import.transaction_records && !self.progress.is_cancelled() {
                    continue;
                }
                stored += self.store(&mut *load, &entity_type.name, &mut waiting, reached)?;
                if self.progress.is_cancelled() {
                    load.finish()?;
                    self.come_back(&entity_type.name, left_out)?;
                    return Err(Stop::Cancelled);
                }
            } else {
                stored += self.store(&mut *load, &entity_type.name, &mut waiting, reader.end())?;
                break;
            }
        }
        load.finish()?;
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
        self.desk.approved(plugin.digest)?;
        self.mappers.values().flatten().try_for_each(|digest| self.desk.approved(*digest))
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
    ) -> Result<(), Failure> {
        let desk = self.desk;
        let (source, position) = match entry.origin {
            Origin::Line(line) => ("upload".to_owned(), line),
            Origin::Source { stream, ordinal } => (desk.area.source_of(stream)?.unwrap_or_default(), ordinal),
            Origin::Generated => ("generated".to_owned(), 0),
        };
        let mapper = match self.mappers.get(&entry.upload) {
            Some(mapper) => *mapper,
            None => {
                let mapper = desk.store.upload_mapper(desk.migration.reference_id, entry.upload)?;
                self.mappers.insert(entry.upload, mapper);
                mapper
            }
        };
        let provenance = Provenance { source, mapper, domain_plugin: plugin.digest };
        let known = waiting.provenances.iter().position(|known| *known == provenance);
        let provenance = known.unwrap_or_else(|| {
            waiting.provenances.push(provenance);
            waiting.provenances.len() - 1
        });
        let start = waiting.bytes.len();
        waiting.bytes.extend_from_slice(body);
        let body = start..waiting.bytes.len();
        waiting.rows.push(WaitingRow { id: entry.key, hash: entry.hash, body, provenance, position });
        Ok(())
    }

    fn store(
        &mut self,
        load: &mut dyn crate::target::Load,
        entity_type: &Name,
        waiting: &mut Waiting,
        reached: u64,
    ) -> Result<Stored, Failure> {
        let mut rows: Vec<NewRow> = waiting
            .rows
            .iter()
            .map(|row| NewRow {
                id: row.id,
                hash: row.hash,
                body: &waiting.bytes[row.body.clone()],
                provenance: row.provenance,
                position: row.position,
            })
            .collect();
        let (stored, foreign) = load.store(&waiting.provenances, &mut rows, reached)?;
        drop(rows);
        waiting.rows.clear();
        waiting.bytes.clear();
        self.left_out += foreign.len() as u64;
        let listed: Vec<ListedIssue> =
            foreign.into_iter().map(|id| listed(entity_type, id, Issue::error("REFERENCE_ID_IN_USE"))).collect();
        self.list(&listed)?;
        Ok(stored)
    }

    fn list(&self, issues: &[ListedIssue]) -> Result<(), Failure> {
        let most = self.desk.config.records.listed_issues;
        Ok(self.desk.store.add_issues(self.desk.migration.reference_id, Phase::Import, issues, most)?)
    }

    /// Lists what a plugin would not plan or make, and counts it as left out.
    fn leave_out<T>(
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

    fn generate(&mut self, plugin: &Arc<DomainPlugin>, generation: &Generation) -> Result<(), Stop> {
        let desk = self.desk;
        let migration = desk.migration.reference_id;
        // What was generated follows from what is staged: where nothing changed since, nothing is to be made.
        let marker = format!("generated:{}", generation.entity_type);
        if desk.target.progress(migration, &marker)? == desk.area.version()? {
            return Ok(());
        }
        let entity_type = plugin
            .entity_type(&generation.entity_type)
            .ok_or_else(|| crate::plugin::PluginError::Undescribed {
                plugin: plugin.title(),
                entity_type: generation.entity_type.clone(),
            })?
            .clone();
        let left_out = self.left_out;
        let known = KnownRecords::new(desk.area.clone(), desk.target.clone(), desk.plugins.clone());
        let mut maker = plugin.instance(desk.context(), Some(Arc::new(known)), &desk.usage);
        let mut judge = plugin.instance(desk.context(), None, &desk.usage);
        let mut reader = desk.area.reader(StreamName::Records(&generation.source), 0)?;
        let mut staged = StagedBatch::default();
        progress_expect(self.progress, desk, &generation.source)?;
        while reader.next_batch(&mut staged, GENERATION_RECORDS, desk.config.upload.batch_bytes)? {
            if self.progress.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let batch = Batch { bytes: std::mem::take(&mut staged.bytes), ends: std::mem::take(&mut staged.ends) };
            desk.approved(plugin.digest)?;
            let mut generated = maker.generate(&generation.entity_type, &batch)?;
            self.leave_out(plugin, &generation.source, &staged.entries, &mut generated)?;
            let made = generated.made;
            let mut packed = Batch { bytes: vec![], ends: vec![] };
            for record in &made {
                packed.bytes.extend_from_slice(&record.body);
                packed.ends.push(packed.bytes.len() as u32);
            }
            let judged = judge.validate(&generation.entity_type, &packed)?;
            let place = |position: u32| ("position", position.into());
            let speaker = Speaker { domain: Some(&plugin.description.domain), upload: 0, place };
            keep_logged(desk, &judged.logged, &speaker)?;
            let stopped: hashbrown::HashSet<u32> = judged
                .issues
                .iter()
                .filter(|(_, issue)| issue.stops())
                .map(|(position, _)| *position)
                .chain(judged.poisoned.iter().map(|poisoned| poisoned.position))
                .collect();
            let mut records = vec![];
            for (position, (record, id)) in made.iter().zip(&judged.ids).enumerate() {
                match id {
                    Some(id) if !stopped.contains(&(position as u32)) => {
                        records.push(DirectRecord { origin: Origin::Generated, id: *id, body: &record.body });
                    }
                    _ => self.left_out += 1,
                }
            }
            let wrong: Vec<ListedIssue> = judged
                .issues
                .into_iter()
                .filter_map(|(position, issue)| {
                    Some(listed(&generation.entity_type, judged.ids[position as usize]?, issue))
                })
                .collect();
            self.list(&wrong)?;
            desk.area.stage_records(&generation.entity_type, 0, &records)?;
            self.progress.advance(batch.ends.len() as u64);
            (staged.bytes, staged.ends) = (batch.bytes, batch.ends);
        }
        desk.area.sync()?;
        progress_expect(self.progress, desk, &generation.entity_type)?;
        self.carry_over(plugin, &entity_type)?;
        // What could not be made is tried again.
        if self.left_out == left_out {
            desk.target.set_progress(migration, &marker, desk.area.version()?)?;
        }
        Ok(())
    }
}

fn progress_expect(progress: &Progress, desk: &Desk, entity_type: &str) -> Result<(), Failure> {
    progress.expect(desk.area.count(StreamName::Records(entity_type))?);
    Ok(())
}

fn listed(entity_type: &Name, id: [u8; 16], issue: Issue) -> ListedIssue {
    ListedIssue { stream: entity_type.clone(), line: None, reference_id: Some(Uuid::from_bytes(id)), issue }
}
