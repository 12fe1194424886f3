//! Generation: a domain plugin makes records from imported ones. They are validated, staged and imported like any
//! other.

use std::sync::Arc;

use super::{ImportRun, listed};
use crate::lookups::KnownRecords;
use crate::parallel::{ordered_parallel, workers};
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::ListedIssue;
use sluice_contract::{Batch, CanonicalIds, Generation, PluginError, RecordLookup};
use sluice_model::{Name, Progress};
use sluice_plugin_host::{DomainInstance, DomainPlugin, GeneratedRecord, PluginOutput, ValidationOutput};
use sluice_staging::{Key, Origin, StagedBatch, StagedEntry, StreamName};

/// Number of records passed to a generation at once. The generated records can be a hundred times as long.
const GENERATION_RECORDS: usize = 100;

/// Records that a generation has made before, by their ordinals in the stream.
struct EarlierRecords {
    /// Length of the stream before the generation.
    length: u64,
    /// A bit for each ordinal: set if the generation has made the same record again.
    made_again: Vec<u64>,
}

impl EarlierRecords {
    fn new(length: u64) -> Self {
        Self { length, made_again: vec![0; (length / 64 + 1) as usize] }
    }

    fn set(&mut self, ordinal: u64) {
        self.made_again[(ordinal / 64) as usize] |= 1 << (ordinal % 64);
    }

    fn is_made_again(&self, ordinal: u64) -> bool {
        self.made_again[(ordinal / 64) as usize] & (1 << (ordinal % 64)) != 0
    }
}

impl ImportRun<'_> {
    /// Generates records, stages them and imports them. Deletes those of an earlier generation that are not made again.
    /// Does nothing if no record was staged and the plugin is the same since the last time.
    pub(crate) fn generate(&mut self, plugin: &Arc<DomainPlugin>, generation: &Generation) -> Result<(), Interrupt> {
        let context = self.context;
        // Generated records follow from staged ones. If nothing was staged since, nothing is generated.
        let marker = generation_marker(plugin, generation);
        if context.is_generated(&marker)? {
            return Ok(());
        }
        let entity_type = plugin
            .entity_type(&generation.entity_type)
            .ok_or_else(|| PluginError::Undescribed {
                plugin: plugin.title(),
                entity_type: generation.entity_type.clone(),
            })?
            .clone();
        let skipped = self.skipped;
        // Lookups do not see the records that this generation makes. Their number would depend on the threads.
        let made_before = context.area.length(StreamName::Records(&entity_type.name))?;
        let mut earlier = self.has_generated(&entity_type.name)?.then(|| EarlierRecords::new(made_before));
        let known = KnownRecords::new(context.area.clone(), context.target.clone(), context.plugins.clone());
        let known = Arc::new(known.before(&entity_type.name, made_before));
        // An earlier generation of this import may have changed the number.
        let expected = self.expected.get(&marker).copied().unwrap_or(0);
        self.progress.expect_instead(expected, context.area.count(StreamName::Records(&generation.source))?);
        generate_all(context, plugin, generation, known, self.progress, |made| {
            self.stage_generated(plugin, generation, made, earlier.as_mut())
        })?;
        // A record whose source could not be read is not outdated.
        if let Some(earlier) = earlier.filter(|_| self.skipped == skipped) {
            self.delete_outdated(&entity_type.name, &earlier)?;
        }
        context.area.sync()?;
        self.progress.expect(context.records_to_import(&generation.entity_type)?);
        self.import_entity_type(plugin, &entity_type)?;
        // If records were skipped, the next import generates again.
        if self.skipped == skipped {
            self.generated.push(marker);
        }
        Ok(())
    }

    /// Returns true if an import has generated records of this entity type before, and saves that one does.
    fn has_generated(&self, entity_type: &Name) -> Result<bool, PipelineError> {
        let (target, migration) = (&self.context.target, self.context.migration.reference_id);
        let begun = format!("generating:{entity_type}");
        // Earlier versions saved only complete generations.
        let complete = format!("generated:{entity_type}");
        if target.progress(migration, &begun)? > 0 {
            return Ok(true);
        }
        target.set_progress(migration, &begun, 1)?;
        Ok(target.progress(migration, &complete)? > 0)
    }

    /// Deletes the generated records from staging that were not made again: a record of another origin has taken their
    /// place, or their source is gone. The end of the import removes their rows.
    fn delete_outdated(&mut self, entity_type: &Name, earlier: &EarlierRecords) -> Result<(), Interrupt> {
        let (area, limits) = (&self.context.area, &self.context.config.upload);
        let mut reader = area.reader(StreamName::Records(entity_type), 0)?;
        let mut staged = StagedBatch::default();
        while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
            if self.progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            let outdated = |entry: &&StagedEntry| {
                entry.origin == Origin::Generated
                    && entry.ordinal < earlier.length
                    && !earlier.is_made_again(entry.ordinal)
            };
            let outdated: Vec<(u64, Key)> =
                staged.entries.iter().filter(outdated).map(|entry| (entry.ordinal, entry.key)).collect();
            if !outdated.is_empty() {
                area.delete_generated(entity_type, &outdated)?;
            }
        }
        Ok(())
    }

    /// Saves which generations are complete.
    pub(crate) fn save_generations(&self) -> Result<(), PipelineError> {
        let context = self.context;
        let (migration, version) = (context.migration.reference_id, context.area.version()?);
        for marker in &self.generated {
            context.target.set_progress(migration, marker, version)?;
        }
        Ok(())
    }

    /// Stages the generated records of a batch, and lists their issues.
    fn stage_generated(
        &mut self,
        plugin: &DomainPlugin,
        generation: &Generation,
        made: GeneratedBatch,
        earlier: Option<&mut EarlierRecords>,
    ) -> Result<(), Interrupt> {
        let context = self.context;
        let GeneratedBatch { entries, mut generated, validation } = made;
        context.check_plugin_approved(plugin.digest)?;
        self.skip(plugin, &generation.source, &entries, &mut generated)?;
        let (made, validation) = (generated.items, validation?);
        let place = |position: u32| ("position", position.into());
        let log_origin = PluginLogOrigin { domain: Some(&plugin.description.domain), upload: 0, place };
        write_plugin_log(context, &validation.logged, &log_origin)?;
        let stopped: hashbrown::HashSet<u32> = validation
            .issues
            .iter()
            .filter(|(_, issue)| issue.is_error())
            .map(|(position, _)| *position)
            .chain(validation.failed.iter().map(|failed| failed.position))
            .collect();
        let mut records: Vec<(Key, &[u8])> = vec![];
        for (position, (record, id)) in made.iter().zip(&validation.ids).enumerate() {
            match id {
                Some(id) if !stopped.contains(&(position as u32)) => records.push((*id, &record.body)),
                _ => self.skipped += 1,
            }
        }
        let issues: Vec<ListedIssue> = validation
            .issues
            .into_iter()
            .filter_map(|(position, issue)| {
                Some(listed(&generation.entity_type, validation.ids[position as usize]?, issue))
            })
            .collect();
        self.list(&issues)?;
        let made_again = context.area.stage_generated(&generation.entity_type, &records)?;
        if let Some(earlier) = earlier {
            made_again.into_iter().flatten().for_each(|ordinal| earlier.set(ordinal));
        }
        self.progress.advance(entries.len() as u64);
        Ok(())
    }
}

/// Generates records from all staged records of the generation's source, on as many threads as there are cores, and
/// passes them to `take` in the order of their sources.
pub(super) fn generate_all(
    context: &MigrationContext,
    plugin: &Arc<DomainPlugin>,
    generation: &Generation,
    known: Arc<dyn RecordLookup>,
    progress: &Progress,
    mut take: impl FnMut(GeneratedBatch) -> Result<(), Interrupt>,
) -> Result<(), Interrupt> {
    let mut reader = context.area.reader(StreamName::Records(&generation.source), 0)?;
    let ids = plugin.entity_type(&generation.entity_type).map(CanonicalIds::new).unwrap_or_default();
    let generators = workers(|| {
        let mut generator = plugin.instance(context.plugin_context(), Some(known.clone()), &context.usage);
        let mut validator = plugin.instance(context.plugin_context(), None, &context.usage);
        let ids = ids.clone();
        move |staged: StagedBatch| {
            generate_batch((&mut generator, &mut validator), &generation.entity_type, &ids, staged)
        }
    });
    let next = || {
        if progress.is_cancelled() {
            return Err(Interrupt::Cancelled);
        }
        let mut staged = StagedBatch::default();
        let more = reader.next_batch(&mut staged, GENERATION_RECORDS, context.config.upload.batch_bytes)?;
        Ok(more.then_some(staged))
    };
    ordered_parallel(generators, next, |made| take(made?))
}

/// The records that were generated from a batch.
pub(super) struct GeneratedBatch {
    /// The source records.
    pub entries: Vec<StagedEntry>,
    generated: PluginOutput<GeneratedRecord>,
    /// The validation of the generated records.
    pub validation: Result<ValidationOutput, PluginError>,
}

fn generate_batch(
    (generator, validator): (&mut DomainInstance, &mut DomainInstance),
    entity_type: &str,
    ids: &CanonicalIds,
    staged: StagedBatch,
) -> Result<GeneratedBatch, PluginError> {
    let StagedBatch { bytes, ends, entries } = staged;
    let mut generated = generator.generate(entity_type, &Batch { bytes, ends })?;
    let mut packed = Batch { bytes: vec![], ends: vec![] };
    for record in &mut generated.items {
        ids.canonicalise(&mut record.body);
        packed.bytes.extend_from_slice(&record.body);
        packed.ends.push(packed.bytes.len() as u32);
    }
    Ok(GeneratedBatch { entries, generated, validation: validator.validate(entity_type, &packed) })
}

/// Returns the name of the position that says that a generation is complete.
pub(super) fn generation_marker(plugin: &DomainPlugin, generation: &Generation) -> String {
    format!("generated:{}:{}", generation.entity_type, plugin.digest)
}

impl MigrationContext {
    /// Returns true if a generation is complete, and no record was staged since.
    pub(super) fn is_generated(&self, marker: &str) -> Result<bool, PipelineError> {
        Ok(self.target.progress(self.migration.reference_id, marker)? == self.area.version()?)
    }

    /// Returns the number of staged records of an entity type that are not in the target yet.
    pub(super) fn records_to_import(&self, entity_type: &str) -> Result<u64, PipelineError> {
        let reached = self.target.progress(self.migration.reference_id, entity_type)?;
        Ok(self.area.count_from(StreamName::Records(entity_type), reached)?)
    }
}
