//! Undo of an import into the embedded target: removes the rows of one migration, and nothing else.

use std::collections::BTreeMap;

use super::stages::{ImportStage, stages};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_catalog::TransitionError;
use sluice_contract::EntityType;
use sluice_model::{MigrationEvent, Name, Progress, SafeValue};
use sluice_staging::{Key, Origin, StagedBatch, StreamName};
use sluice_target::{RemovedRows, RowRemoval, TargetError};

/// Removes every row of the migration, and its generated records from staging. Then it can be imported again. Removes
/// nothing if a row of another migration refers to one of them. With `preview` it only counts. Returns true if all is
/// removed, or could be, and the figures.
pub(crate) fn undo(
    context: &MigrationContext,
    preview: bool,
    progress: &Progress,
) -> Result<(bool, SafeValue), Interrupt> {
    let migration = context.migration.reference_id;
    let lease = context.target.begin_removal(&|| progress.is_cancelled())?;
    let types: Vec<EntityType> = stages(&context.plugins, &context.migration)
        .into_iter()
        .filter_map(|stage| match stage {
            ImportStage::Import(_, entity_type) => Some(entity_type),
            ImportStage::Generate(..) => None,
        })
        .collect();
    let referring = context.referring_rows(&RemovedRows::OfMigration(migration), progress)?;
    let mut rows = BTreeMap::<Name, u64>::new();
    for entity_type in &types {
        let mut count = 0;
        context.target.own_rows(migration, entity_type, &mut |batch| {
            count += batch.len() as u64;
            if progress.is_cancelled() { Err(TargetError::Cancelled) } else { Ok(()) }
        })?;
        progress.expect(count);
        if count > 0 {
            rows.insert(entity_type.name.clone(), count);
        }
    }
    let refused = referring.count > 0;
    if preview || refused {
        progress.advance(rows.values().sum());
        let mut result = vec![("preview", SafeValue::from(preview)), ("wouldRemove", SafeValue::table(rows))];
        if refused {
            result.push(("referring", context.show_referring(&referring)?));
        }
        return Ok((!refused, SafeValue::table(result)));
    }
    // From here on a part of the rows may be missing, also after a kill.
    begin(context)?;
    for entity_type in types.iter().rev() {
        let is_referred = context.is_referred(&entity_type.name);
        let removal = RowRemoval { migration, entity_type, ids: None, is_referred };
        context.target.remove(&removal, &mut |rows| {
            progress.remove(rows);
            progress.advance(rows);
            if progress.is_cancelled() { Err(TargetError::Cancelled) } else { Ok(()) }
        })?;
    }
    for stage in stages(&context.plugins, &context.migration) {
        if let ImportStage::Generate(_, generation) = stage {
            delete_generated(context, &generation.entity_type)?;
        }
    }
    context.area.sync()?;
    context.target.forget(migration)?;
    drop(lease);
    Ok((true, SafeValue::table([("preview", SafeValue::from(false)), ("removed", SafeValue::table(rows))])))
}

/// Saves that the import is no longer complete.
fn begin(context: &MigrationContext) -> Result<(), PipelineError> {
    match context.store.transition(context.migration.reference_id, MigrationEvent::UndoStarts) {
        Ok(_) => Ok(()),
        Err(TransitionError::Catalog(error)) => Err(error.into()),
        // The conflict table lets no job run that could have changed the status.
        Err(TransitionError::Refused(_) | TransitionError::MigrationNotFound) => Err(PipelineError::Outdated),
    }
}

/// Deletes the generated records of an entity type from staging. The next import generates them again.
fn delete_generated(context: &MigrationContext, entity_type: &Name) -> Result<(), PipelineError> {
    let mut reader = context.area.reader(StreamName::Records(entity_type), 0)?;
    let (mut staged, limits) = (StagedBatch::default(), &context.config.upload);
    while reader.next_batch(&mut staged, limits.batch_records, limits.batch_bytes)? {
        let generated = staged.entries.iter().filter(|entry| entry.origin == Origin::Generated);
        let generated: Vec<(u64, Key)> = generated.map(|entry| (entry.ordinal, entry.key)).collect();
        context.area.delete_generated(entity_type, &generated)?;
    }
    Ok(())
}
