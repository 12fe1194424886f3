//! A trial's target: it stores the records of the trial, and reads others from the live target.

use std::sync::Arc;

use hashbrown::HashSet;
use uuid::Uuid;

use sluice_contract::{CountGroup, EntityType, LookupAnswer};
use sluice_staging::StagingArea;
use sluice_target::{
    ImportedRow, NewRow, OwnRow, ReferringRows, RemovedRows, RowProvenance, RowRemoval, StoreCounts, Target,
    TargetError, TargetFigures, TargetLease, TargetLoad, TenantTarget,
};

/// A trial's own target over the live one, which it does not change.
///
/// Lookups of referring records (`referring`) read only the trial's own rows. The live target would create an index for
/// them.
pub(crate) struct TrialTarget {
    /// Target that stores the trial's records.
    pub own: TenantTarget,
    /// The migration's target, with the rows that its tenant may see.
    pub live: Arc<dyn Target>,
    /// Staged records of the migration, in a trial of a sample. Records of the sample may refer to records outside of
    /// it.
    pub staged: Option<Arc<StagingArea>>,
}

impl TrialTarget {
    fn is_staged(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        match &self.staged {
            Some(area) => area.contains(entity_type, ids).map_err(|_| TargetError::Unreadable),
            None => Ok(vec![false; ids.len()]),
        }
    }
}

impl Target for TrialTarget {
    fn prepare(&self, entity_type: &EntityType) -> Result<(), TargetError> {
        self.own.prepare(entity_type)
    }

    fn progress(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError> {
        self.own.progress(migration, entity_type)
    }

    fn set_progress(&self, migration: Uuid, entity_type: &str, progress: u64) -> Result<(), TargetError> {
        self.own.set_progress(migration, entity_type, progress)
    }

    fn added(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError> {
        self.own.added(migration, entity_type)
    }

    fn begin<'a>(
        &'a self,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Box<dyn TargetLoad + 'a>, TargetError> {
        let load = self.own.begin(migration, entity_type, cancelled)?;
        Ok(Box::new(TrialLoad { load, live: &*self.live, migration, entity_type }))
    }

    fn exist(&self, entity_type: &EntityType, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        let (own, live) = (self.own.exist(entity_type, ids)?, self.live.exist(entity_type, ids)?);
        let staged = self.is_staged(&entity_type.name, ids)?;
        Ok(own.iter().zip(&live).zip(&staged).map(|((own, live), staged)| *own || *live || *staged).collect())
    }

    fn foreign(&self, migration: Uuid, entity_type: &EntityType, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        self.live.foreign(migration, entity_type, ids)
    }

    fn read(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Vec<u8>>, TargetError> {
        if let Some(own) = self.own.read(entity_type, id)? {
            return Ok(Some(own));
        }
        let staged = self.staged.as_ref().map(|area| area.read(&entity_type.name, id)).transpose();
        match staged.map_err(|_| TargetError::Unreadable)?.flatten() {
            Some(staged) => Ok(Some(staged)),
            None => self.live.read(entity_type, id),
        }
    }

    fn imported_row(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<ImportedRow>, TargetError> {
        self.own.imported_row(entity_type, id)
    }

    fn referring(
        &self,
        entity_type: &EntityType,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Option<LookupAnswer>, TargetError> {
        self.own.referring(entity_type, column, ids, max_bytes)
    }

    fn figures(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<TargetFigures, TargetError> {
        self.own.figures(migration, entity_type, groups, most_altered, stopped)
    }

    fn begin_import(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.own.begin_import(cancelled)
    }

    fn begin_removal(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.own.begin_removal(cancelled)
    }

    fn lookup_state(&self) -> Result<Vec<u8>, TargetError> {
        self.live.lookup_state()
    }

    fn own_rows(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        each: &mut dyn FnMut(&[OwnRow]) -> Result<(), TargetError>,
    ) -> Result<(), TargetError> {
        self.own.own_rows(migration, entity_type, each)
    }

    fn referring_rows(
        &self,
        types: &[&EntityType],
        removed: &RemovedRows,
        most: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<ReferringRows, TargetError> {
        self.own.referring_rows(types, removed, most, stopped)
    }

    fn remove(
        &self,
        removal: &RowRemoval,
        removed: &mut dyn FnMut(u64) -> Result<(), TargetError>,
    ) -> Result<u64, TargetError> {
        self.own.remove(removal, removed)
    }

    fn forget(&self, migration: Uuid) -> Result<(), TargetError> {
        self.own.forget(migration)
    }
}

/// An import into the trial's own table. It skips rows that the live target would not accept.
struct TrialLoad<'a> {
    load: Box<dyn TargetLoad + 'a>,
    live: &'a dyn Target,
    migration: Uuid,
    entity_type: &'a EntityType,
}

impl TargetLoad for TrialLoad<'_> {
    fn prefers_large_batches(&self) -> bool {
        self.load.prefers_large_batches()
    }

    fn store(
        &mut self,
        provenances: &[RowProvenance],
        rows: &mut [NewRow],
    ) -> Result<(StoreCounts, Vec<[u8; 16]>), TargetError> {
        let ids: Vec<[u8; 16]> = rows.iter().map(|row| row.id).collect();
        let foreign = self.live.foreign(self.migration, self.entity_type, &ids)?;
        let taken: HashSet<[u8; 16]> =
            ids.into_iter().zip(foreign).filter(|(_, foreign)| *foreign).map(|(id, _)| id).collect();
        let mut free: Vec<NewRow> = rows.iter().filter(|row| !taken.contains(&row.id)).copied().collect();
        let (stored, mut skipped) = self.load.store(provenances, &mut free)?;
        skipped.extend(taken);
        Ok((stored, skipped))
    }

    fn commit(&mut self, progress: u64) -> Result<(), TargetError> {
        self.load.commit(progress)
    }

    fn finish(self: Box<Self>, progress: Option<u64>) -> Result<(), TargetError> {
        self.load.finish(progress)
    }
}
