//! Lookups of plugins: in the migration's staging area, and in the target.

use std::sync::Arc;

use crate::PipelineError;
use sluice_contract::{EntityType, LookupAnswer, LookupRefusal, RecordLookup, SourceLookup};
use sluice_model::Name;
use sluice_plugin_host::{MapperPlugin, Plugins};
use sluice_staging::{SourceLengths, StagingArea, StagingError, StreamName, hash};
use sluice_target::Target;

/// Returns the field name by which plugins look up a source's identifying key.
pub fn key_name(key: &[String]) -> String {
    key.join("+")
}

/// Separator between the values of a key of several fields. No text of a source system contains it.
pub const KEY_SEPARATOR: &str = "\u{1f}";

/// A mapper's view: source records as they were when the upload began.
pub struct LoadedSources {
    area: Arc<StagingArea>,
    mapper: Arc<MapperPlugin>,
    /// Length of each source's stream in this view.
    seen: SourceLengths,
}

impl LoadedSources {
    /// Creates a view of all records that are loaded now.
    pub fn new(area: Arc<StagingArea>, mapper: Arc<MapperPlugin>) -> Result<Self, StagingError> {
        let mut seen = SourceLengths::new();
        for source in &mapper.description.sources {
            seen.insert(source.name.to_string(), area.length(StreamName::Source(&source.name))?);
        }
        Ok(Self::as_of(area, mapper, seen))
    }

    /// Creates a view of the records that were loaded when the streams had these lengths.
    pub fn as_of(area: Arc<StagingArea>, mapper: Arc<MapperPlugin>, seen: SourceLengths) -> Self {
        Self { area, mapper, seen }
    }

    /// Returns the length of each source's stream in this view.
    pub fn seen(&self) -> &SourceLengths {
        &self.seen
    }

    /// Returns the view without the records of this source. Its own records are mapped again in this way, so that the
    /// result does not depend on how many of them have been mapped already. A first upload sees none of them either.
    pub fn exclude_self(mut self, source: &str) -> Self {
        self.seen.insert(source.to_owned(), 0);
        self
    }
}

impl SourceLookup for LoadedSources {
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<LookupAnswer, LookupRefusal> {
        let described = self.mapper.source(source).ok_or(LookupRefusal::UnknownName)?;
        let by = if field == key_name(&described.key) {
            None
        } else if described.lookups.iter().any(|lookup| lookup == field) {
            Some(field)
        } else {
            return Err(LookupRefusal::UnknownField);
        };
        let seen = self.seen.get(source).copied().unwrap_or_default();
        let mut found = LookupAnswer::default();
        for (index, key) in keys.iter().enumerate() {
            // The answer is limited while it grows: one key may have any number of records.
            let mut refusal = None;
            let searched = self.area.find(StreamName::Source(source), by, hash(&[key]), seen, &mut |body| {
                refusal = add(&mut found, index, &body, max_bytes).err();
                refusal.is_none()
            });
            searched.map_err(PipelineError::from).map_err(unavailable)?;
            if let Some(refusal) = refusal {
                return Err(refusal);
            }
        }
        Ok(found)
    }
}

/// A domain plugin's view: staged records of this migration, and records of the target that its tenant may see.
pub struct KnownRecords {
    area: Arc<StagingArea>,
    target: Arc<dyn Target>,
    plugins: Arc<Plugins>,
    /// An entity type that grows during the lookups, with the length of its stream before.
    growing: Option<(Name, u64)>,
}

impl KnownRecords {
    /// Creates a view for one migration.
    pub fn new(area: Arc<StagingArea>, target: Arc<dyn Target>, plugins: Arc<Plugins>) -> Self {
        Self { area, target, plugins, growing: None }
    }

    /// Returns the view with the staged records of an entity type as they were when its stream had this length.
    pub fn before(self, entity_type: &Name, length: u64) -> Self {
        Self { growing: Some((entity_type.clone(), length)), ..self }
    }

    fn staged(&self, entity_type: &str, id: [u8; 16]) -> Result<Option<Vec<u8>>, StagingError> {
        match &self.growing {
            Some((growing, length)) if *growing == *entity_type => {
                let mut last = None;
                let keep = &mut |body| {
                    last = Some(body);
                    true
                };
                self.area.find(StreamName::Records(entity_type), None, id, *length, keep)?;
                Ok(last)
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

/// Logs an error, and returns its code for the plugin.
pub(crate) fn unavailable(failure: impl Into<PipelineError>) -> LookupRefusal {
    let failure = failure.into();
    tracing::error!(code = failure.code(), error = %failure, "a lookup failed");
    LookupRefusal::Unavailable(failure.code().into())
}

impl RecordLookup for KnownRecords {
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<u8>, LookupRefusal> {
        let described = self.entity_type(entity_type)?;
        let staged = self.are_staged(entity_type, ids).map_err(unavailable)?;
        let elsewhere: Vec<[u8; 16]> =
            ids.iter().zip(&staged).filter(|(_, staged)| !**staged).map(|(id, _)| *id).collect();
        let mut imported = self.target.exist(described, &elsewhere).map_err(unavailable)?.into_iter();
        let place = |staged: bool| if staged { 1 } else { u8::from(imported.next().unwrap_or(false)) * 2 };
        Ok(staged.into_iter().map(place).collect())
    }

    fn read(&self, entity_type: &str, ids: &[[u8; 16]], max_bytes: usize) -> Result<LookupAnswer, LookupRefusal> {
        let described = self.entity_type(entity_type)?;
        let mut found = LookupAnswer::default();
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
    ) -> Result<LookupAnswer, LookupRefusal> {
        let described = self.entity_type(entity_type)?;
        if !described.columns.iter().any(|described| described.name == *column) {
            return Err(LookupRefusal::UnknownField);
        }
        let found = self.target.referring(described, column, ids, max_bytes).map_err(unavailable)?;
        found.ok_or(LookupRefusal::TooLarge)
    }
}

/// Adds a record that answers the lookup with this index.
pub(crate) fn add(found: &mut LookupAnswer, index: usize, body: &[u8], max_bytes: usize) -> Result<(), LookupRefusal> {
    if found.bytes.len() + body.len() > max_bytes {
        return Err(LookupRefusal::TooLarge);
    }
    found.push(index as u32, body);
    Ok(())
}
