//! What plugins may look up: the migration's own staging area, and the target.

use std::sync::Arc;

use super::Failure;
use sluice_contract::{EntityType, Found, LookupRefusal, RecordLookup, SourceLookup};
use sluice_model::Name;
use sluice_plugin_host::{MapperPlugin, Plugins};
use sluice_staging::{Seen, StagingArea, StagingError, StreamName, hash};
use sluice_target::Target;

/// The names under which a source's identifying key is looked up, and the hash of its values.
pub fn key_name(key: &[String]) -> String {
    key.join("+")
}

/// Between the values of a key of several fields: no text of an old system holds it.
pub const KEY_SEPARATOR: &str = "\u{1f}";

/// A mapper's view: source records as they were when the upload began.
pub struct LoadedSources {
    area: Arc<StagingArea>,
    mapper: Arc<MapperPlugin>,
    /// How far each source's stream had come.
    seen: Seen,
}

impl LoadedSources {
    /// What is loaded now, and nothing that comes later.
    pub fn new(area: Arc<StagingArea>, mapper: Arc<MapperPlugin>) -> Result<Self, StagingError> {
        let mut seen = Seen::new();
        for source in &mapper.description.sources {
            seen.insert(source.name.to_string(), area.length(StreamName::Source(&source.name))?);
        }
        Ok(Self::as_of(area, mapper, seen))
    }

    /// What was loaded when each source had come so far.
    pub fn as_of(area: Arc<StagingArea>, mapper: Arc<MapperPlugin>, seen: Seen) -> Self {
        Self { area, mapper, seen }
    }

    /// How far each source had come.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The same where records of this source are run again: none of its own, as when it was first uploaded, so that the
    /// answer does not depend on how many have been run again already.
    pub fn but_own(mut self, source: &str) -> Self {
        self.seen.insert(source.to_owned(), 0);
        self
    }
}

impl SourceLookup for LoadedSources {
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<Found, LookupRefusal> {
        let described = self.mapper.source(source).ok_or(LookupRefusal::UnknownName)?;
        let by = if field == key_name(&described.key) {
            None
        } else if described.lookups.iter().any(|lookup| lookup == field) {
            Some(field)
        } else {
            return Err(LookupRefusal::UnknownField);
        };
        let seen = self.seen.get(source).copied().unwrap_or_default();
        let mut found = Found::default();
        for (index, key) in keys.iter().enumerate() {
            let bodies = self.area.find(StreamName::Source(source), by, hash(&[key]), seen);
            for body in bodies.map_err(Failure::from).map_err(unavailable)? {
                add(&mut found, index, &body, max_bytes)?;
            }
        }
        Ok(found)
    }
}

/// A domain plugin's view: staged records of this migration, and the target.
pub struct KnownRecords {
    area: Arc<StagingArea>,
    target: Arc<dyn Target>,
    plugins: Arc<Plugins>,
    /// An entity type that grows meanwhile, and how far its stream had come before.
    growing: Option<(Name, u64)>,
}

impl KnownRecords {
    /// For one migration.
    pub fn new(area: Arc<StagingArea>, target: Arc<dyn Target>, plugins: Arc<Plugins>) -> Self {
        Self { area, target, plugins, growing: None }
    }

    /// The same, with an entity type's staged records as they were when its stream had come so far.
    pub fn before(self, entity_type: &Name, length: u64) -> Self {
        Self { growing: Some((entity_type.clone(), length)), ..self }
    }

    fn staged(&self, entity_type: &str, id: [u8; 16]) -> Result<Option<Vec<u8>>, StagingError> {
        match &self.growing {
            Some((growing, length)) if *growing == *entity_type => {
                Ok(self.area.find(StreamName::Records(entity_type), None, id, *length)?.pop())
            }
            _ => self.area.read(entity_type, id),
        }
    }

    fn are_staged(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, StagingError> {
        match &self.growing {
            Some((growing, _)) if *growing == *entity_type => {
                ids.iter().map(|id| Ok(self.staged(entity_type, *id)?.is_some())).collect()
            }
            _ => self.area.contains(entity_type, ids),
        }
    }

    fn entity_type(&self, name: &str) -> Result<&EntityType, LookupRefusal> {
        let plugin = self.plugins.of_entity_type(name).ok_or(LookupRefusal::UnknownName)?;
        plugin.entity_type(name).ok_or(LookupRefusal::UnknownName)
    }
}

/// The plugin's store is told the code alone; what happened is for the log.
fn unavailable(failure: impl Into<Failure>) -> LookupRefusal {
    let failure = failure.into();
    tracing::error!(code = failure.code(), error = %failure, "a lookup could not be answered");
    LookupRefusal::Unavailable(failure.code().into())
}

impl RecordLookup for KnownRecords {
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<u8>, LookupRefusal> {
        self.entity_type(entity_type)?;
        let staged = self.are_staged(entity_type, ids).map_err(unavailable)?;
        let elsewhere: Vec<[u8; 16]> =
            ids.iter().zip(&staged).filter(|(_, staged)| !**staged).map(|(id, _)| *id).collect();
        let mut imported = self.target.exist(entity_type, &elsewhere).map_err(unavailable)?.into_iter();
        let place = |staged: bool| if staged { 1 } else { u8::from(imported.next().unwrap_or(false)) * 2 };
        Ok(staged.into_iter().map(place).collect())
    }

    fn read(&self, entity_type: &str, ids: &[[u8; 16]], max_bytes: usize) -> Result<Found, LookupRefusal> {
        let described = self.entity_type(entity_type)?;
        let mut found = Found::default();
        for (index, id) in ids.iter().enumerate() {
            let body = match self.staged(entity_type, *id).map_err(unavailable)? {
                Some(staged) => Some(staged),
                None => self.target.read(described, *id).map_err(unavailable)?,
            };
            if let Some(body) = body {
                add(&mut found, index, &body, max_bytes)?;
            }
        }
        Ok(found)
    }

    fn referring(
        &self,
        entity_type: &str,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Found, LookupRefusal> {
        let described = self.entity_type(entity_type)?;
        if !described.columns.iter().any(|described| described.name == *column) {
            return Err(LookupRefusal::UnknownField);
        }
        let found = self.target.referring(described, column, ids, max_bytes).map_err(unavailable)?;
        found.ok_or(LookupRefusal::TooLarge)
    }
}

fn add(found: &mut Found, index: usize, body: &[u8], max_bytes: usize) -> Result<(), LookupRefusal> {
    if found.bytes.len() + body.len() > max_bytes {
        return Err(LookupRefusal::TooLarge);
    }
    found.push(index as u32, body);
    Ok(())
}
