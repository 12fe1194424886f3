//! Steps of an import: it stores staged records, removes rows whose records are staged no longer, and generates records.

use hashbrown::HashMap;

use super::generate::generation_marker;
use super::removal::Removals;
use super::stages::{ImportStage, stages};
use super::{ImportRun, preview};
use crate::{Interrupt, MigrationContext};
use sluice_catalog::Phase;
use sluice_model::{Progress, SafeValue};
use sluice_staging::StreamName;
use sluice_target::StoreCounts;

/// Options of an import job.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// True to report what the import would generate and remove, without a change.
    pub preview: bool,
    /// True to remove rows of the target whose records were deleted from staging.
    pub remove: bool,
}

/// Imports all staged records that are not imported yet. Returns true if no record was skipped, and the figures.
pub(crate) fn import(
    context: &MigrationContext,
    options: ImportOptions,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    if options.preview {
        return preview(context, progress);
    }
    let migration = context.migration.reference_id;
    context.check_mappers_approved()?;
    context.store.clear_issues(migration, Phase::Import, context.config.records.listed_issues)?;
    let cancelled = || progress.is_cancelled();
    let lease = context.target.begin_import(&cancelled)?;
    context.check_validated()?;
    let stages = stages(&context.plugins, &context.migration);
    let mut expected = HashMap::new();
    for stage in &stages {
        match stage {
            ImportStage::Import(_, entity_type) => {
                context.target.prepare(entity_type)?;
                progress.expect(context.records_to_import(&entity_type.name)?);
            }
            ImportStage::Generate(plugin, generation) => {
                let marker = generation_marker(plugin, generation);
                if !context.is_generated(&marker)? {
                    let records = context.area.count(StreamName::Records(&generation.source))?;
                    progress.expect(records);
                    expected.insert(marker, records);
                }
            }
        }
    }
    let mut run = ImportRun {
        context,
        progress,
        mappers: HashMap::new(),
        skipped: 0,
        figures: vec![],
        removals: Removals::default(),
        generated: vec![],
        expected,
    };
    for stage in &stages {
        if let ImportStage::Import(plugin, entity_type) = stage {
            run.import_entity_type(plugin, entity_type)?;
        }
    }
    drop(lease);
    // A generation looks up imported records. So it begins when the target has no others.
    run.remove_unstaged(options.remove, false)?;
    let lease = context.target.begin_import(&cancelled)?;
    for stage in &stages {
        if let ImportStage::Generate(plugin, generation) = stage {
            run.generate(plugin, generation)?;
        }
    }
    drop(lease);
    if run.remove_unstaged(options.remove, true)? {
        run.save_generations()?;
    }
    Ok(run.result())
}

impl ImportRun<'_> {
    /// Returns true if no record was skipped, and the figures.
    fn result(self) -> (bool, SafeValue) {
        let total = self.figures.iter().fold(StoreCounts::default(), |mut sum, (_, stored)| {
            sum += *stored;
            sum
        });
        let by_type = self.figures.into_iter();
        let by_type = by_type.map(|(entity_type, stored)| (entity_type, SafeValue::table(store_figures(&stored))));
        let mut result = store_figures(&total).to_vec();
        result.push(("leftOut", self.skipped.into()));
        result.push(("byEntityType", SafeValue::table(by_type)));
        result.extend(self.removals.figures());
        (self.skipped == 0, SafeValue::table(result))
    }
}

fn store_figures(stored: &StoreCounts) -> [(&'static str, SafeValue); 3] {
    let StoreCounts { inserted, updated, unchanged } = *stored;
    [("inserted", inserted.into()), ("updated", updated.into()), ("unchanged", unchanged.into())]
}
