//! A trial's target: it takes what the trial imports, and sees through to what is there already.

use std::sync::Arc;

use hashbrown::HashSet;
use uuid::Uuid;

use sluice_contract::{CountGroup, EntityType, Found};
use sluice_model::Name;
use sluice_staging::StagingArea;
use sluice_target::{Arrived, EmbeddedTarget, Figures, Load, NewRow, Provenance, Stored, Target, TargetError};

/// A target of a trial's own over the live one, of which it changes nothing.
///
/// What refers to a record (`referring`) is looked for among the trial's own rows alone: the live target makes an index
/// for it.
pub(super) struct TrialTarget {
    pub own: EmbeddedTarget,
    pub live: Arc<dyn Target>,
    /// Of a sample: the records that are staged, as many of those that it refers to are not in it.
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
    ) -> Result<Box<dyn Load + 'a>, TargetError> {
        let load = self.own.begin(migration, entity_type, cancelled)?;
        Ok(Box::new(TrialLoad { load, live: &*self.live, migration, entity_type: &entity_type.name }))
    }

    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        let (own, live) = (self.own.exist(entity_type, ids)?, self.live.exist(entity_type, ids)?);
        let staged = self.is_staged(entity_type, ids)?;
        Ok(own.iter().zip(&live).zip(&staged).map(|((own, live), staged)| *own || *live || *staged).collect())
    }

    fn foreign(&self, migration: Uuid, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
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

    fn arrived(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Arrived>, TargetError> {
        self.own.arrived(entity_type, id)
    }

    fn referring(
        &self,
        entity_type: &EntityType,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Option<Found>, TargetError> {
        self.own.referring(entity_type, column, ids, max_bytes)
    }

    fn figures(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Figures, TargetError> {
        self.own.figures(migration, entity_type, groups, most_altered, stopped)
    }
}

/// An import into the trial's own table, which leaves out what the live one would not take.
struct TrialLoad<'a> {
    load: Box<dyn Load + 'a>,
    live: &'a dyn Target,
    migration: Uuid,
    entity_type: &'a Name,
}

impl Load for TrialLoad<'_> {
    fn gathers(&self) -> bool {
        self.load.gathers()
    }

    fn store(
        &mut self,
        provenances: &[Provenance],
        rows: &mut [NewRow],
    ) -> Result<(Stored, Vec<[u8; 16]>), TargetError> {
        let ids: Vec<[u8; 16]> = rows.iter().map(|row| row.id).collect();
        let foreign = self.live.foreign(self.migration, self.entity_type, &ids)?;
        let taken: HashSet<[u8; 16]> =
            ids.into_iter().zip(foreign).filter(|(_, foreign)| *foreign).map(|(id, _)| id).collect();
        let mut free: Vec<NewRow> = rows.iter().filter(|row| !taken.contains(&row.id)).copied().collect();
        let (stored, mut left_out) = self.load.store(provenances, &mut free)?;
        left_out.extend(taken);
        Ok((stored, left_out))
    }

    fn commit(&mut self, progress: u64) -> Result<(), TargetError> {
        self.load.commit(progress)
    }

    fn finish(self: Box<Self>, progress: Option<u64>) -> Result<(), TargetError> {
        self.load.finish(progress)
    }
}
