//! Mappers: compilation, and mapping of batches.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Component;

use crate::bindings::mapper::{Mapper, MapperPre};
use crate::engine::{Engine, EngineVariant};
use crate::inspect::link_error::link_error;
use crate::instance::isolate::{FailedRecord, IsolationResult};
use crate::instance::log::BatchLog;
use crate::instance::state::StoreState;
use crate::instance::usage::Usage;
use crate::instance::{PluginInstance, described, position};
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::SourceLookup;
use sluice_contract::description::{MapperDescription, SourceTable, check_mapper};
use sluice_contract::output_validation::{check_transformed, described_type, issue};
use sluice_contract::wire::{Batch, Context, WireTransformed};
use sluice_contract::{UndeclaredText, Vocabulary};
use sluice_model::{Code, Digest, FieldPath, Issue, Name, PluginTitle};

/// A compiled mapper.
#[derive(Clone)]
pub struct MapperPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: MapperPre<StoreState>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Digest,
    /// Description of the mapper.
    pub description: MapperDescription,
    vocabulary: Vocabulary,
}

/// Records that a mapper made from a batch.
pub struct ProducedBatch {
    /// Entity type of all of them.
    pub entity_type: Name,
    /// The records.
    pub records: Batch,
    /// Position in the batch of the record that each was made from.
    pub origins: Vec<u32>,
}

/// Output of a mapper for a batch. Positions are those of the batch that was passed in.
#[derive(Default)]
pub struct MapperOutput {
    /// Records by entity type, each with its origin.
    pub produced: Vec<ProducedBatch>,
    /// Codes of skipped records, each with the positions.
    pub skipped: Vec<(Code, Vec<u32>)>,
    /// Issues, each with the position of its record.
    pub issues: Vec<(u32, Issue)>,
    /// Records on which the mapper failed.
    pub failed: Vec<FailedRecord>,
    /// Log entries.
    pub logged: BatchLog,
    /// Texts that the mapper used without declaring them.
    pub undeclared: Vec<UndeclaredText>,
}

impl MapperPlugin {
    /// Compiles a mapper and reads its description.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        Self::of(engine, name, digest, &engine.compile(name, digest, bytes)?)
    }

    /// Links a compiled component and reads its description.
    pub(crate) fn of(
        engine: &Arc<Engine>,
        name: &str,
        digest: Digest,
        compiled: &(Component, &EngineVariant),
    ) -> Result<Arc<Self>, PluginError> {
        let (component, variant) = compiled;
        let pre = variant.mappers.instantiate_pre(component).and_then(MapperPre::new);
        let pre = pre.map_err(|error| link_error(name, component, &error))?;
        let instantiate = |store: &mut Store<StoreState>| pre.instantiate(store);
        let describe = |mapper: &Mapper, store: &mut Store<StoreState>| {
            mapper.sluice_plugin_mapping().call_describe(store).map(Into::into)
        };
        let (description, vocabulary) = described(engine, compiled, name, instantiate, describe, check_mapper)?;
        Ok(Arc::new(Self {
            engine: engine.clone(),
            limits: engine.limits.clone(),
            pre,
            digest,
            description,
            vocabulary,
        }))
    }

    /// Returns the same plugin with other limits than the server's.
    pub fn limited(&self, limits: PluginLimits) -> Arc<Self> {
        Arc::new(Self { limits, ..self.clone() })
    }

    /// Returns the plugin's own codes.
    pub fn codes(&self) -> Vec<Code> {
        self.vocabulary.codes()
    }

    /// Returns the path of a field if the plugin declares its name.
    pub fn declared_field(&self, name: &str) -> Option<FieldPath> {
        self.vocabulary.declared_path(name)
    }

    /// Returns name and version for messages.
    pub fn title(&self) -> PluginTitle {
        PluginTitle { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// Returns the source with this name.
    pub fn source(&self, name: &str) -> Option<&SourceTable> {
        self.description.sources.iter().find(|source| source.name == name)
    }

    /// Returns an instance for one upload. Its usage is added to `usage`.
    pub fn instance(
        self: &Arc<Self>,
        context: Context,
        lookup: Arc<dyn SourceLookup>,
        usage: &Usage,
    ) -> MapperInstance {
        let instance = PluginInstance::new(
            (&self.engine, self.pre.engine()),
            &self.limits,
            self.title(),
            self.digest,
            context,
            usage,
        );
        MapperInstance { plugin: self.clone(), lookup, instance }
    }
}

/// A mapper at work for one upload.
pub struct MapperInstance {
    plugin: Arc<MapperPlugin>,
    lookup: Arc<dyn SourceLookup>,
    instance: PluginInstance,
}

impl MapperInstance {
    /// Maps a batch, and isolates the records on which the mapper fails.
    pub fn transform(&mut self, source: &str, batch: &Batch) -> Result<MapperOutput, PluginError> {
        let Self { plugin, lookup, instance } = self;
        let instantiate = |store: &mut Store<StoreState>| {
            let mapper = plugin.pre.instantiate(&mut *store)?;
            store.data_mut().sources = Some(lookup.clone());
            Ok(mapper)
        };
        let (IsolationResult { parts, failed }, log) =
            instance.isolated(batch, &instantiate, &mut |mapper: &Mapper, store, context, batch| {
                let transformed: WireTransformed =
                    mapper.sluice_plugin_mapping().call_transform(store, context, source, batch)?.into();
                let fits = check_transformed(&transformed, batch.ends.len(), &plugin.description, &plugin.limits);
                Ok(fits.map(|()| transformed))
            })?;
        let mut transformed = MapperOutput { failed, ..MapperOutput::default() };
        for (part, result) in parts {
            transformed.add(position(part.start), result, plugin, source);
        }
        transformed.logged = BatchLog::from_raw(log, &plugin.vocabulary, &mut transformed.undeclared);
        Ok(transformed)
    }
}

impl MapperOutput {
    /// Adds the output for a part of the batch that begins at `start`.
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
        self.issues
            .extend(issues.map(|reported| issue(reported, start, source, &plugin.vocabulary, &mut self.undeclared)));
    }
}
