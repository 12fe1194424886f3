//! Runs a mapper, one batch at a time.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Component;

use super::bindings::mapper::{Mapper, MapperPre};
use super::engine::{Engine, Runner};
use super::inspect::link_error;
use super::instance::{Instance, PluginLogs, described};
use super::isolate::{FailedRecord, Isolated};
use super::state::State;
use super::usage::Usage;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::SourceLookup;
use sluice_contract::description::{MapperDescription, SourceTable, check_mapper};
use sluice_contract::output_validation::{check_transformed, described_type, issue};
use sluice_contract::wire::{Batch, Context, WireTransformed};
use sluice_contract::{UndeclaredText, Vocabulary};
use sluice_model::{Code, Digest, Issue, Level, Name, PluginTitle};

/// A compiled mapper.
#[derive(Clone)]
pub struct MapperPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: MapperPre<State>,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// The plugin's description of itself.
    pub description: MapperDescription,
    vocabulary: Vocabulary,
}

/// A batch of records that a mapper made.
pub struct ProducedBatch {
    /// Entity type of the records.
    pub entity_type: Name,
    /// The records.
    pub records: Batch,
    /// Position in the input batch of each record's origin.
    pub origins: Vec<u32>,
}

/// Log entries of a plugin for a batch.
#[derive(Default)]
pub struct Logged {
    /// Entries: level, code, and the position of the record if the entry names one.
    pub entries: Vec<(Level, Code, Option<u32>)>,
    /// Number of entries beyond the limit.
    pub dropped: u64,
}

impl Logged {
    /// Converts the plugin's log entries. Replaces each code that the plugin does not declare and notes it in
    /// `undeclared`.
    pub(super) fn read(said: PluginLogs, vocabulary: &Vocabulary, undeclared: &mut Vec<UndeclaredText>) -> Self {
        let PluginLogs { kept, dropped } = said;
        let read = kept.into_iter().map(|said| {
            let code = vocabulary.code(said.code.for_quarantine(), said.position, undeclared);
            (said.level, code, said.position)
        });
        Self { entries: read.collect(), dropped }
    }
}

/// Result of the mapping of a batch. Positions refer to the input batch.
#[derive(Default)]
pub struct Transformed {
    /// Records by entity type, each with the position of its origin.
    pub produced: Vec<ProducedBatch>,
    /// Codes, each with the positions of the records that the mapper skipped with it.
    pub skipped: Vec<(Code, Vec<u32>)>,
    /// Issues, each with the position of its record.
    pub issues: Vec<(u32, Issue)>,
    /// Records at which the mapper failed.
    pub poisoned: Vec<FailedRecord>,
    /// Log entries of the mapper.
    pub logged: Logged,
    /// Codes and fields that the mapper returned without declaring them.
    pub undeclared: Vec<UndeclaredText>,
}

impl MapperPlugin {
    /// Compiles a mapper and reads its description.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        Self::of(engine, name, digest, &engine.compile(name, digest, bytes)?)
    }

    /// Makes a mapper of a compiled component and reads its description.
    pub(super) fn of(
        engine: &Arc<Engine>,
        name: &str,
        digest: Digest,
        (component, runner): &(Component, &Runner),
    ) -> Result<Arc<Self>, PluginError> {
        let pre = runner.mappers.instantiate_pre(component).and_then(MapperPre::new);
        let pre = pre.map_err(|error| link_error(name, &error))?;
        let describe = |store: &mut Store<State>| {
            let mapper = pre.instantiate(&mut *store)?;
            mapper.sluice_plugin_mapping().call_describe(store).map(Into::into)
        };
        let (description, vocabulary) = described(engine, runner, name, describe, check_mapper)?;
        Ok(Arc::new(Self {
            engine: engine.clone(),
            limits: engine.limits.clone(),
            pre,
            digest,
            description,
            vocabulary,
        }))
    }

    /// Returns the same mapper with the given limits in place of the server's.
    pub fn limited(&self, limits: PluginLimits) -> Arc<Self> {
        Arc::new(Self { limits, ..self.clone() })
    }

    /// Returns the codes that the mapper declares.
    pub fn codes(&self) -> Vec<Code> {
        self.vocabulary.codes()
    }

    /// Returns the mapper's name and version, as messages show them.
    pub fn title(&self) -> PluginTitle {
        PluginTitle { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// Returns the source with this name.
    pub fn source(&self, name: &str) -> Option<&SourceTable> {
        self.description.sources.iter().find(|source| source.name == name)
    }

    /// Prepares the mapper for one upload and counts its work in `usage`.
    pub fn instance(
        self: &Arc<Self>,
        context: Context,
        lookup: Arc<dyn SourceLookup>,
        usage: &Usage,
    ) -> MapperInstance {
        let instance =
            Instance::new((&self.engine, self.pre.engine()), &self.limits, self.title(), self.digest, context, usage);
        MapperInstance { plugin: self.clone(), lookup, instance }
    }
}

/// A mapper that is prepared for one upload.
pub struct MapperInstance {
    plugin: Arc<MapperPlugin>,
    lookup: Arc<dyn SourceLookup>,
    instance: Instance,
}

impl MapperInstance {
    /// Maps a batch. If a call fails, searches for the records at which the mapper fails.
    pub fn transform(&mut self, source: &str, batch: &Batch) -> Result<Transformed, PluginError> {
        let Self { plugin, lookup, instance } = self;
        let instantiate = |store: &mut Store<State>| {
            let mapper = plugin.pre.instantiate(&mut *store)?;
            store.data_mut().sources = Some(lookup.clone());
            Ok(mapper)
        };
        let (Isolated { parts, poisoned }, said) =
            instance.isolated(batch, &instantiate, &mut |mapper: &Mapper, store, context, batch| {
                let transformed: WireTransformed =
                    mapper.sluice_plugin_mapping().call_transform(store, context, source, batch)?.into();
                let fits = check_transformed(&transformed, batch.ends.len(), &plugin.description, &plugin.limits);
                Ok(fits.map(|()| transformed))
            })?;
        let mut transformed = Transformed { poisoned, ..Transformed::default() };
        for (part, result) in parts {
            transformed.add(part.start as u32, result, plugin, source);
        }
        transformed.logged = Logged::read(said, &plugin.vocabulary, &mut transformed.undeclared);
        Ok(transformed)
    }
}

impl Transformed {
    /// Adds the result of a part of the batch. `start` is the position of the part's first record.
    fn add(&mut self, start: u32, part: WireTransformed, plugin: &MapperPlugin, source: &str) {
        for produced in part.produced {
            let Some(entity_type) = described_type(&plugin.description, &produced.entity_type) else { continue };
            let origins = produced.origins.into_iter().map(|origin| origin + start).collect();
            let (entity_type, records) = (entity_type.clone(), produced.records);
            self.produced.push(ProducedBatch { entity_type, records, origins });
        }
        for mut skipped in part.skipped {
            skipped.positions.iter_mut().for_each(|position| *position += start);
            let first = skipped.positions.first().copied();
            let code = plugin.vocabulary.code(&skipped.code, first, &mut self.undeclared);
            self.skipped.push((code, skipped.positions));
        }
        let issues = part.issues.iter();
        self.issues.extend(issues.map(|said| issue(said, start, source, &plugin.vocabulary, &mut self.undeclared)));
    }
}
