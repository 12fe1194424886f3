//! Generation: a domain plugin makes records from imported ones. They are validated, staged and imported like any
//! other.

use std::sync::Arc;

use super::{ImportRun, listed};
use crate::lookups::KnownRecords;
use crate::parallel::{ordered_parallel, workers};
use crate::plugin_log::{PluginLogOrigin, write_plugin_log};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::ListedIssue;
use sluice_contract::{Batch, CanonicalIds, Generation, PluginError};
use sluice_model::Progress;
use sluice_plugin_host::{DomainInstance, DomainPlugin, GeneratedRecord, PluginOutput, ValidationOutput};
use sluice_staging::{DirectRecord, Origin, StagedBatch, StagedEntry, StreamName, UploadEntries};

/// Number of records passed to a generation at once. The generated records can be a hundred times as long.
const GENERATION_RECORDS: usize = 100;

impl ImportRun<'_> {
    /// Generates records, stages them and imports them. Does nothing if no record was staged since the last time.
    pub(crate) fn generate(&mut self, plugin: &Arc<DomainPlugin>, generation: &Generation) -> Result<(), Interrupt> {
        let context = self.context;
        let migration = context.migration.reference_id;
        // Generated records follow from staged ones. If nothing was staged since, nothing is generated.
        let marker = format!("generated:{}", generation.entity_type);
        if context.target.progress(migration, &marker)? == context.area.version()? {
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
        let known = KnownRecords::new(context.area.clone(), context.target.clone(), context.plugins.clone());
        let known = Arc::new(known.before(&entity_type.name, made_before));
        let mut reader = context.area.reader(StreamName::Records(&generation.source), 0)?;
        let generators = workers(|| {
            let mut generator = plugin.instance(context.plugin_context(), Some(known.clone()), &context.usage);
            let mut validator = plugin.instance(context.plugin_context(), None, &context.usage);
            let ids = CanonicalIds::new(&entity_type);
            move |staged: StagedBatch| {
                generate_batch((&mut generator, &mut validator), &generation.entity_type, &ids, staged)
            }
        });
        progress_expect(self.progress, context, &generation.source)?;
        let progress = self.progress;
        let next = || {
            if progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            let mut staged = StagedBatch::default();
            let more = reader.next_batch(&mut staged, GENERATION_RECORDS, context.config.upload.batch_bytes)?;
            Ok(more.then_some(staged))
        };
        ordered_parallel(generators, next, |made| self.stage_generated(plugin, generation, made?))?;
        context.area.sync()?;
        progress_expect(self.progress, context, &generation.entity_type)?;
        self.import_entity_type(plugin, &entity_type)?;
        // If records were skipped, the next import generates again.
        if self.skipped == skipped {
            context.target.set_progress(migration, &marker, context.area.version()?)?;
        }
        Ok(())
    }

    /// Stages the generated records of a batch, and lists their issues.
    fn stage_generated(
        &mut self,
        plugin: &DomainPlugin,
        generation: &Generation,
        made: GeneratedBatch,
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
        let mut records = vec![];
        for (position, (record, id)) in made.iter().zip(&validation.ids).enumerate() {
            match id {
                Some(id) if !stopped.contains(&(position as u32)) => {
                    records.push(DirectRecord::staged(Origin::Generated, *id, &record.body));
                }
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
        context.area.stage_records(&generation.entity_type, &mut UploadEntries::replacing(0), &records)?;
        self.progress.advance(entries.len() as u64);
        Ok(())
    }
}

/// The records that were generated from a batch.
struct GeneratedBatch {
    entries: Vec<StagedEntry>,
    generated: PluginOutput<GeneratedRecord>,
    validation: Result<ValidationOutput, PluginError>,
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

fn progress_expect(progress: &Progress, context: &MigrationContext, entity_type: &str) -> Result<(), PipelineError> {
    progress.expect(context.area.count(StreamName::Records(entity_type))?);
    Ok(())
}
