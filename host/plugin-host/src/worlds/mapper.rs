//! Runs a mapper, batch by batch.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Component;

use super::bindings::mapper::{Mapper, MapperPre};
use super::engine::{Engine, Runner};
use super::inspect::link_error;
use super::instance::{Instance, SaidLogs, described};
use super::isolate::{Isolated, Poisoned};
use super::state::State;
use super::usage::Usage;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::SourceLookup;
use sluice_contract::description::{MapperDescription, Source, check_mapper};
use sluice_contract::output_validation::{check_transformed, described_type, issue};
use sluice_contract::wire::{Batch, Context, WireTransformed};
use sluice_contract::{Undeclared, Vocabulary};
use sluice_model::{Code, Digest, Issue, Level, Name, Title};

/// A compiled mapper.
#[derive(Clone)]
pub struct MapperPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: MapperPre<State>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Digest,
    /// What it says of itself.
    pub description: MapperDescription,
    vocabulary: Vocabulary,
}

/// Records that a mapper made.
pub struct ProducedBatch {
    /// Entity type of all of them.
    pub entity_type: Name,
    /// The records.
    pub records: Batch,
    /// The position in the batch that each came from.
    pub origins: Vec<u32>,
}

/// What a plugin logged for a batch.
#[derive(Default)]
pub struct Logged {
    /// Codes, and the record's position where it was about one.
    pub entries: Vec<(Level, Code, Option<u32>)>,
    /// How many more there were.
    pub dropped: u64,
}

impl Logged {
    /// What was said, in words that the plugin has declared.
    pub(super) fn read(said: SaidLogs, vocabulary: &Vocabulary, undeclared: &mut Vec<Undeclared>) -> Self {
        let SaidLogs { kept, dropped } = said;
        let read = kept.into_iter().map(|said| {
            let code = vocabulary.code(said.code.for_quarantine(), said.position, undeclared);
            (said.level, code, said.position)
        });
        Self { entries: read.collect(), dropped }
    }
}

/// What came of a batch. Positions are those of the batch that was passed in.
#[derive(Default)]
pub struct Transformed {
    /// Records by entity type, each with the position it came from.
    pub produced: Vec<ProducedBatch>,
    /// Codes, and the positions that were skipped with them.
    pub skipped: Vec<(Code, Vec<u32>)>,
    /// What is wrong with which record.
    pub issues: Vec<(u32, Issue)>,
    /// Records that broke the mapper.
    pub poisoned: Vec<Poisoned>,
    /// What it logged.
    pub logged: Logged,
    /// What it said without having declared it.
    pub undeclared: Vec<Undeclared>,
}

impl MapperPlugin {
    /// Compiles a mapper and asks it to describe itself.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        Self::of(engine, name, digest, &engine.compile(name, digest, bytes)?)
    }

    /// The same of a component that is compiled already.
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

    /// The same plugin under other limits than the server's own.
    pub fn limited(&self, limits: PluginLimits) -> Arc<Self> {
        Arc::new(Self { limits, ..self.clone() })
    }

    /// The codes of its own that it may show.
    pub fn codes(&self) -> Vec<Code> {
        self.vocabulary.codes()
    }

    /// Name and version, as they stand in messages.
    pub fn title(&self) -> Title {
        Title { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// The source with this name.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.description.sources.iter().find(|source| source.name == name)
    }

    /// Prepares to run for one upload, whose usage this counts towards.
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

/// A mapper at work for one upload.
pub struct MapperInstance {
    plugin: Arc<MapperPlugin>,
    lookup: Arc<dyn SourceLookup>,
    instance: Instance,
}

impl MapperInstance {
    /// Maps a batch; what breaks the mapper is narrowed down to its records.
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
