//! Removal of rows whose records are staged no longer.
//!
//! An import removes generated records on its own: they follow from others. It removes other rows only if the client asks
//! for it, and none that a row which stays refers to.
//!
//! It removes rows twice. Before records are generated, so that the generation finds what will stay; and after that, because
//! generated rows that are outdated may refer to rows that are to be removed.

use std::collections::BTreeMap;

use super::stages::{ImportStage, stages};
use super::{ImportRun, listed};
use crate::{Interrupt, MigrationContext, PipelineError};
use sluice_contract::EntityType;
use sluice_model::{Issue, Migration, Name, Progress, SafeValue, Severity};
use sluice_staging::StreamName;
use sluice_target::{IdSets, ReferringRow, ReferringRows, RemovedRows, RowRemoval, TargetError};

/// Number of referring rows that a report names.
const NAMED_ROWS: usize = 20;

/// Reference ids by entity type.
pub(crate) type IdsByType = BTreeMap<Name, Vec<[u8; 16]>>;

/// Rows of a migration in the target whose records are staged no longer.
#[derive(Default)]
pub(crate) struct UnstagedRows {
    /// Rows of records that a client or a mapper had staged.
    pub deleted: IdsByType,
    /// Rows of generated records.
    pub generated: IdsByType,
}

/// Rows that an import has removed, and rows that it has left although their records are staged no longer.
#[derive(Default)]
pub(super) struct Removals {
    removed: BTreeMap<Name, u64>,
    not_staged: BTreeMap<Name, u64>,
    referring: Option<SafeValue>,
}

impl Removals {
    /// Returns the figures for a job's result.
    pub fn figures(self) -> impl Iterator<Item = (&'static str, SafeValue)> {
        let figures = [("removed", SafeValue::table(self.removed)), ("notStaged", SafeValue::table(self.not_staged))];
        figures.into_iter().chain(self.referring.map(|referring| ("referring", referring)))
    }
}

impl MigrationContext {
    /// Returns every entity type that a row of the target can have.
    pub(super) fn entity_types(&self) -> Vec<&EntityType> {
        self.plugins.domains().iter().flat_map(|plugin| &plugin.description.entity_types).collect()
    }

    /// Returns true if records of some entity type refer to records of this one.
    pub(super) fn is_referred(&self, entity_type: &Name) -> bool {
        let mut references = self.entity_types().into_iter().flat_map(|of| &of.references);
        references.any(|reference| *entity_type == *reference.entity_type)
    }

    /// Returns the rows that stay and refer to rows which are to be removed.
    pub(super) fn referring_rows(
        &self,
        removed: &RemovedRows,
        progress: &Progress,
    ) -> Result<ReferringRows, PipelineError> {
        let types = self.entity_types();
        types.iter().try_for_each(|entity_type| self.target.prepare(entity_type))?;
        Ok(self.target.referring_rows(&types, removed, NAMED_ROWS, &|| progress.is_cancelled())?)
    }

    /// Returns the referring rows for a report. Of rows of another tenant or label it shows nothing but their number.
    pub(super) fn show_referring(&self, referring: &ReferringRows) -> Result<SafeValue, PipelineError> {
        let mut shown = vec![];
        for ReferringRow { entity_type, id, migration, to_type, to } in &referring.first {
            let of = self.store.migration(*migration)?;
            let mut row = vec![("entityType", SafeValue::from(to_type.clone())), ("referenceId", (*to).into())];
            let own = |of: Migration| of.tenant == self.migration.tenant && of.label == self.migration.label;
            if of.is_some_and(own) {
                row.push(("referringType", entity_type.clone().into()));
                row.push(("referringId", (*id).into()));
                row.push(("migration", (*migration).into()));
            }
            shown.push(SafeValue::table(row));
        }
        Ok(SafeValue::table([("count", SafeValue::from(referring.count)), ("rows", SafeValue::list(shown))]))
    }

    /// Returns the rows of this migration whose records are staged no longer. If the last import was `complete`, the
    /// numbers of both sides tell which tables have such rows. Otherwise all tables whose records were ever replaced or
    /// deleted are read.
    pub(crate) fn unstaged_rows(&self, complete: bool, progress: &Progress) -> Result<UnstagedRows, Interrupt> {
        let migration = self.migration.reference_id;
        let mut unstaged = UnstagedRows::default();
        for stage in stages(&self.plugins, &self.migration) {
            let ImportStage::Import(_, entity_type) = stage else { continue };
            let stream = StreamName::Records(&entity_type.name);
            let (imported, staged) = (self.target.added(migration, &entity_type.name)?, self.area.count(stream)?);
            let possible = if complete { imported > staged } else { self.area.length(stream)? > staged };
            if imported == 0 || !possible {
                continue;
            }
            let (mut deleted, mut generated) = (vec![], vec![]);
            self.target.own_rows(migration, &entity_type, &mut |rows| {
                if progress.is_cancelled() {
                    return Err(TargetError::Cancelled);
                }
                let ids: Vec<[u8; 16]> = rows.iter().map(|row| row.id).collect();
                let staged = self.area.contains(&entity_type.name, &ids).map_err(|_| TargetError::Unreadable)?;
                for (row, _) in rows.iter().zip(staged).filter(|(_, staged)| !staged) {
                    if row.generated { &mut generated } else { &mut deleted }.push(row.id);
                }
                Ok(())
            })?;
            for (found, ids) in [(&mut unstaged.deleted, deleted), (&mut unstaged.generated, generated)] {
                if !ids.is_empty() {
                    found.insert(entity_type.name.clone(), ids);
                }
            }
        }
        Ok(unstaged)
    }
}

/// Returns the ids as sets.
fn as_sets(ids: &IdsByType) -> IdSets {
    ids.iter().map(|(entity_type, ids)| (entity_type.clone(), ids.iter().copied().collect())).collect()
}

/// Keeps the rows that can be removed. Returns the first rows that stay and refer to others, and the number of all. A row
/// that has to stay may itself refer to others, so those stay as well. `all_generated` is true if every generated row of
/// the migration counts as removed.
pub(super) fn keep_removable(
    context: &MigrationContext,
    going: &mut IdsByType,
    all_generated: bool,
    progress: &Progress,
) -> Result<ReferringRows, PipelineError> {
    let mut found = ReferringRows::default();
    while going.values().any(|ids| !ids.is_empty()) {
        let sets = as_sets(going);
        let removed = match all_generated {
            true => RemovedRows::IdsAndGenerated(&sets, context.migration.reference_id),
            false => RemovedRows::Ids(&sets),
        };
        let ReferringRows { first, count, referred } = context.referring_rows(&removed, progress)?;
        if count == 0 {
            break;
        }
        for (entity_type, ids) in going.iter_mut() {
            ids.retain(|id| !referred.get(entity_type).is_some_and(|referred| referred.contains(id)));
        }
        found.count += count;
        found.first.extend(first);
        found.first.truncate(NAMED_ROWS);
    }
    going.retain(|_, ids| !ids.is_empty());
    Ok(found)
}

impl ImportRun<'_> {
    /// Removes the rows whose records are staged no longer: those of generated records, and with `remove` all others.
    /// `last` is true after the generation: then rows that stay are listed. Returns true if no row but generated ones was
    /// removed.
    pub(super) fn remove_unstaged(&mut self, remove: bool, last: bool) -> Result<bool, Interrupt> {
        let UnstagedRows { deleted, generated } = self.context.unstaged_rows(self.skipped == 0, self.progress)?;
        if remove {
            // Generated rows may refer to the others.
            self.remove_rows(generated, last)?;
            return Ok(self.remove_rows(deleted, last)? == 0);
        }
        self.remove_rows(generated, last)?;
        if last {
            for (entity_type, ids) in deleted {
                let warning = || Issue { severity: Severity::Warning, ..Issue::error("NOT_STAGED") };
                let first = ids.iter().take(self.context.config.records.listed_issues as usize);
                self.list(&first.map(|id| listed(&entity_type, *id, warning())).collect::<Vec<_>>())?;
                self.removals.not_staged.insert(entity_type, ids.len() as u64);
            }
        }
        Ok(true)
    }

    /// Removes rows, each after the rows that refer to it, and returns their number. Keeps rows that a row which stays
    /// refers to. With `last` it lists them.
    fn remove_rows(&mut self, mut going: IdsByType, last: bool) -> Result<u64, Interrupt> {
        if going.is_empty() {
            return Ok(0);
        }
        let (context, progress) = (self.context, self.progress);
        let lease = context.target.begin_removal(&|| progress.is_cancelled())?;
        let referring = keep_removable(context, &mut going, false, progress)?;
        if last && referring.count > 0 {
            let issue =
                |row: &ReferringRow| listed(&row.to_type, row.to.into_bytes(), Issue::error("STILL_REFERRED_TO"));
            self.list(&referring.first.iter().map(issue).collect::<Vec<_>>())?;
            self.skipped += referring.count;
            self.removals.referring = Some(context.show_referring(&referring)?);
        }
        let stages = stages(&context.plugins, &context.migration);
        let mut sum = 0;
        for stage in stages.iter().rev() {
            let ImportStage::Import(_, entity_type) = stage else { continue };
            let Some(ids) = going.get(&entity_type.name) else { continue };
            let removal = RowRemoval {
                migration: context.migration.reference_id,
                entity_type,
                ids: Some(ids),
                is_referred: context.is_referred(&entity_type.name),
            };
            let removed = context.target.remove(&removal, &mut |rows| {
                progress.remove(rows);
                if progress.is_cancelled() { Err(TargetError::Cancelled) } else { Ok(()) }
            })?;
            *self.removals.removed.entry(entity_type.name.clone()).or_default() += removed;
            sum += removed;
        }
        drop(lease);
        Ok(sum)
    }
}

/// Returns the numbers of ids by entity type.
pub(super) fn numbers(ids: &IdsByType) -> SafeValue {
    SafeValue::table(ids.iter().map(|(entity_type, ids)| (entity_type.clone(), SafeValue::from(ids.len() as u64))))
}
