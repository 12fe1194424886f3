//! Generation: records that a domain plugin makes of imported ones, judged, staged and imported like any other.

use std::sync::Arc;

use super::import::{Pass, listed};
use super::in_order::{in_order, workers};
use super::lookups::KnownRecords;
use super::said::{Speaker, keep_logged};
use super::{Desk, Failure, Stop};
use sluice_catalog::ListedIssue;
use sluice_contract::{Batch, Generation, PluginError};
use sluice_model::Progress;
use sluice_plugin_host::{DomainInstance, DomainPlugin, GeneratedRecord, Made, Validated};
use sluice_staging::{DirectRecord, Origin, StagedBatch, StagedEntry, StreamName};

/// Records passed to a generation at once: what is made of one can be a hundred times as long.
const GENERATION_RECORDS: usize = 100;

impl Pass<'_> {
    pub(super) fn generate(&mut self, plugin: &Arc<DomainPlugin>, generation: &Generation) -> Result<(), Stop> {
        let desk = self.desk;
        let migration = desk.migration.reference_id;
        // What was generated follows from what is staged: where nothing changed since, nothing is to be made.
        let marker = format!("generated:{}", generation.entity_type);
        if desk.target.progress(migration, &marker)? == desk.area.version()? {
            return Ok(());
        }
        let entity_type = plugin
            .entity_type(&generation.entity_type)
            .ok_or_else(|| PluginError::Undescribed {
                plugin: plugin.title(),
                entity_type: generation.entity_type.clone(),
            })?
            .clone();
        let left_out = self.left_out;
        // What this makes is not there to be looked up while it makes it: how far it was would depend on the threads.
        let made_before = desk.area.length(StreamName::Records(&entity_type.name))?;
        let known = KnownRecords::new(desk.area.clone(), desk.target.clone(), desk.plugins.clone());
        let known = Arc::new(known.before(&entity_type.name, made_before));
        let mut reader = desk.area.reader(StreamName::Records(&generation.source), 0)?;
        let makers = workers(|| {
            let mut maker = plugin.instance(desk.context(), Some(known.clone()), &desk.usage);
            let mut judge = plugin.instance(desk.context(), None, &desk.usage);
            move |staged: StagedBatch| make(&mut maker, &mut judge, &generation.entity_type, staged)
        });
        progress_expect(self.progress, desk, &generation.source)?;
        let progress = self.progress;
        let next = || {
            if progress.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let mut staged = StagedBatch::default();
            let more = reader.next_batch(&mut staged, GENERATION_RECORDS, desk.config.upload.batch_bytes)?;
            Ok(more.then_some(staged))
        };
        in_order(makers, next, |made| self.take_over(plugin, generation, made?))?;
        desk.area.sync()?;
        progress_expect(self.progress, desk, &generation.entity_type)?;
        self.carry_over(plugin, &entity_type)?;
        // What could not be made is tried again.
        if self.left_out == left_out {
            desk.target.set_progress(migration, &marker, desk.area.version()?)?;
        }
        Ok(())
    }

    /// Stages what was made of a batch, and lists what is wrong with it.
    fn take_over(&mut self, plugin: &DomainPlugin, generation: &Generation, made: Generated) -> Result<(), Stop> {
        let desk = self.desk;
        let Generated { entries, mut generated, judged } = made;
        desk.approved(plugin.digest)?;
        self.leave_out(plugin, &generation.source, &entries, &mut generated)?;
        let (made, judged) = (generated.made, judged?);
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
        self.progress.advance(entries.len() as u64);
        Ok(())
    }
}

/// What was made of a batch.
struct Generated {
    entries: Vec<StagedEntry>,
    generated: Made<GeneratedRecord>,
    judged: Result<Validated, PluginError>,
}

fn make(
    maker: &mut DomainInstance,
    judge: &mut DomainInstance,
    entity_type: &str,
    staged: StagedBatch,
) -> Result<Generated, PluginError> {
    let StagedBatch { bytes, ends, entries } = staged;
    let generated = maker.generate(entity_type, &Batch { bytes, ends })?;
    let mut packed = Batch { bytes: vec![], ends: vec![] };
    for record in &generated.made {
        packed.bytes.extend_from_slice(&record.body);
        packed.ends.push(packed.bytes.len() as u32);
    }
    Ok(Generated { entries, generated, judged: judge.validate(entity_type, &packed) })
}

fn progress_expect(progress: &Progress, desk: &Desk, entity_type: &str) -> Result<(), Failure> {
    progress.expect(desk.area.count(StreamName::Records(entity_type))?);
    Ok(())
}
