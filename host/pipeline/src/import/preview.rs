//! Preview of an import: the rows that it would remove, and the records that it would generate. It changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use uuid::Uuid;

use super::generate::generate_all;
use super::removal::{UnstagedRows, keep_removable, numbers};
use super::stages::{ImportStage, stages};
use crate::lookups::{KnownRecords, add, unavailable};
use crate::{Interrupt, MigrationContext};
use sluice_contract::{ColumnKind, EntityType, Generation, LookupAnswer, LookupRefusal, RecordLookup};
use sluice_framing::scalar_text;
use sluice_model::{Name, Progress, SafeValue};
use sluice_plugin_host::DomainPlugin;
use sluice_staging::{Origin, StagedBatch, StagingArea, StreamName};
use sluice_target::{RecordPath, visit};

/// Reports what an import would generate and remove. Returns true if it could remove all rows whose records are staged no
/// longer.
pub(crate) fn preview(context: &MigrationContext, progress: &Progress) -> Result<(bool, SafeValue), Interrupt> {
    let migration = context.migration.reference_id;
    let (mut by_type, mut to_generate) = (vec![], BTreeMap::<Name, u64>::new());
    let stages = stages(&context.plugins, &context.migration);
    for stage in &stages {
        if let ImportStage::Generate(_, generation) = stage {
            progress.expect(context.area.count(StreamName::Records(&generation.source))?);
        }
    }
    for stage in stages {
        match stage {
            ImportStage::Import(_, entity_type) => {
                context.target.prepare(&entity_type)?;
                let staged = context.area.count(StreamName::Records(&entity_type.name))?;
                let imported = context.target.added(migration, &entity_type.name)?;
                let figures = [("staged", SafeValue::from(staged)), ("imported", imported.into())];
                by_type.push((entity_type.name.clone(), SafeValue::table(figures)));
            }
            ImportStage::Generate(plugin, generation) => {
                let records = count_generated(context, &plugin, &generation, progress)?;
                *to_generate.entry(generation.entity_type.clone()).or_default() += records;
            }
        }
    }
    let UnstagedRows { deleted, generated } = context.unstaged_rows(false, progress)?;
    let mut result = vec![
        ("preview", SafeValue::from(true)),
        ("byEntityType", SafeValue::table(by_type)),
        ("toGenerate", SafeValue::table(to_generate)),
        ("toRemove", numbers(&deleted)),
        ("generatedToRemove", numbers(&generated)),
    ];
    // Generated rows that refer to removed ones go with them.
    let mut going = deleted;
    let referring = keep_removable(context, &mut going, true, progress)?;
    if referring.count > 0 {
        result.push(("referring", context.show_referring(&referring)?));
    }
    Ok((referring.count == 0, SafeValue::table(result)))
}

/// Returns the number of records that a generation would make once all staged records are imported.
fn count_generated(
    context: &MigrationContext,
    plugin: &Arc<DomainPlugin>,
    generation: &Generation,
    progress: &Progress,
) -> Result<u64, Interrupt> {
    let Some(entity_type) = plugin.entity_type(&generation.entity_type) else {
        progress.advance(context.area.count(StreamName::Records(&generation.source))?);
        return Ok(0);
    };
    let staged = StagedByReference::read(context, entity_type, progress)?;
    let known = KnownRecords::new(context.area.clone(), context.target.clone(), context.plugins.clone());
    let known = Arc::new(ImportedSoon { known, area: context.area.clone(), staged });
    let mut records = 0;
    generate_all(context, plugin, generation, known.clone(), progress, |batch| {
        progress.advance(batch.entries.len() as u64);
        let ids = batch.validation?.ids;
        records += ids.iter().flatten().filter(|id| !known.staged.ids.contains(*id)).count() as u64;
        Ok(())
    })?;
    Ok(records)
}

/// Staged records of one entity type that no generation made, by the references in their columns.
struct StagedByReference {
    entity_type: Name,
    ids: HashSet<[u8; 16]>,
    /// Reference ids by column and value.
    by_column: HashMap<Name, HashMap<[u8; 16], Vec<[u8; 16]>>>,
}

impl StagedByReference {
    fn read(context: &MigrationContext, entity_type: &EntityType, progress: &Progress) -> Result<Self, Interrupt> {
        let columns = entity_type.columns.iter().skip(1).filter(|column| column.kind == ColumnKind::Id);
        let columns: Vec<(&Name, RecordPath)> =
            columns.map(|column| (&column.name, RecordPath::new(&column.path))).collect();
        let mut staged = Self { entity_type: entity_type.name.clone(), ids: HashSet::new(), by_column: HashMap::new() };
        let mut reader = context.area.reader(StreamName::Records(&entity_type.name), 0)?;
        let (mut batch, limits) = (StagedBatch::default(), &context.config.upload);
        while reader.next_batch(&mut batch, limits.batch_records, limits.batch_bytes)? {
            if progress.is_cancelled() {
                return Err(Interrupt::Cancelled);
            }
            for (position, entry) in batch.entries.iter().enumerate() {
                if entry.origin == Origin::Generated {
                    continue;
                }
                staged.ids.insert(entry.key);
                let body = String::from_utf8_lossy(batch.body(position));
                for (name, path) in &columns {
                    visit(&body, path, &mut |raw| {
                        if let Some(of) = scalar_text(raw).and_then(|id| id.parse::<Uuid>().ok()) {
                            let column = staged.by_column.entry((*name).clone()).or_default();
                            column.entry(of.into_bytes()).or_default().push(entry.key);
                        }
                    });
                }
            }
        }
        Ok(staged)
    }
}

/// A domain plugin's view in a preview: records of one entity type as if the staged ones were imported, and no others.
struct ImportedSoon {
    known: KnownRecords,
    area: Arc<StagingArea>,
    staged: StagedByReference,
}

impl RecordLookup for ImportedSoon {
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<u8>, LookupRefusal> {
        self.known.exist(entity_type, ids)
    }

    fn read(&self, entity_type: &str, ids: &[[u8; 16]], max_bytes: usize) -> Result<LookupAnswer, LookupRefusal> {
        self.known.read(entity_type, ids, max_bytes)
    }

    fn referring(
        &self,
        entity_type: &str,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<LookupAnswer, LookupRefusal> {
        if self.staged.entity_type != *entity_type {
            return self.known.referring(entity_type, column, ids, max_bytes);
        }
        let mut found = LookupAnswer::default();
        let Some((_, by_value)) = self.staged.by_column.iter().find(|(name, _)| **name == *column) else {
            return Ok(found);
        };
        for (index, id) in ids.iter().enumerate() {
            for referring in by_value.get(id).into_iter().flatten() {
                if let Some(body) = self.area.read(entity_type, *referring).map_err(unavailable)? {
                    add(&mut found, index, &body, max_bytes)?;
                }
            }
        }
        Ok(found)
    }
}
