//! Mappers: compilation, and mapping of batches.

use std::sync::Arc;

use crate::engine::Engine;
use crate::instance::isolate::{FailedRecord, IsolationResult};
use crate::instance::log::BatchLog;
use crate::instance::lookups::Lookups;
use crate::instance::usage::Usage;
use crate::instance::{CompiledPlugin, PluginInstance, PluginSource, described, position};
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::SourceLookup;
use sluice_contract::description::{MapperDescription, SourceTable, check_mapper};
use sluice_contract::output_validation::{check_transformed, described_type, issue};
use sluice_contract::wire::{Batch, Context, WireTransformed};
use sluice_contract::{UndeclaredText, Vocabulary};
use sluice_model::{Code, Digest, FieldPath, Issue, Name, PluginTitle, Tenant};
use sluice_plugin_protocol::{CallValue, Description, PluginCall, PluginWorld};

/// A compiled mapper.
#[derive(Clone)]
pub struct MapperPlugin {
    plugin: CompiledPlugin,
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
    /// Compiles an operator's mapper and reads its description.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        Self::of_owner(engine, name, None, digest, bytes)
    }

    /// Compiles the mapper of a tenant, or takes it from the cache, and reads its description.
    pub(crate) fn of_owner(
        engine: &Arc<Engine>,
        name: &str,
        owner: Option<&Tenant>,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<Arc<Self>, PluginError> {
        let code = engine.compile(name, owner, digest, bytes, true)?;
        Self::of_code(engine, name, PluginSource { owner, digest, bytes, code })
    }

    /// Reads the description of compiled code.
    pub(crate) fn of_code(
        engine: &Arc<Engine>,
        name: &str,
        source: PluginSource<'_>,
    ) -> Result<Arc<Self>, PluginError> {
        let digest = source.digest;
        let (plugin, (description, vocabulary)) =
            described(engine, name, source, PluginWorld::Mapper, |description| match description {
                Description::Mapper(description) => Some(check_mapper(description)),
                _ => None,
            })?;
        Ok(Arc::new(Self { plugin, digest, description, vocabulary }))
    }

    /// Returns the same plugin for a tenant's records, with other limits than the server's.
    pub fn for_tenant(&self, tenant: &Tenant, limits: PluginLimits) -> Arc<Self> {
        let mut other = self.clone();
        (other.plugin.tenant, other.plugin.limits) = (Some(tenant.clone()), limits);
        Arc::new(other)
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
        let lookups = Lookups::Sources(lookup);
        let instance = PluginInstance::new(self.plugin.clone(), self.title(), context, lookups, usage);
        MapperInstance { plugin: self.clone(), instance }
    }
}

/// A mapper at work for one upload.
pub struct MapperInstance {
    plugin: Arc<MapperPlugin>,
    instance: PluginInstance,
}

impl MapperInstance {
    /// Maps a batch, and isolates the records on which the mapper fails.
    pub fn transform(&mut self, source: &str, batch: &Batch) -> Result<MapperOutput, PluginError> {
        let Self { plugin, instance } = self;
        let call = PluginCall::Transform(source.into());
        let (IsolationResult { parts, failed }, log) = instance.isolated(batch, &call, |value, records| {
            let CallValue::Transformed(transformed) = value else { return None };
            let fits = check_transformed(&transformed, records, &plugin.description, &plugin.plugin.limits);
            Some(fits.map(|()| transformed))
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
