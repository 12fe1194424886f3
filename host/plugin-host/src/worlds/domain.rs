//! Domain plugins: compilation, and validation, planning and generation by batch.

use std::sync::Arc;

use crate::engine::Engine;
use crate::instance::isolate::{FailedRecord, IsolationResult};
use crate::instance::log::BatchLog;
use crate::instance::lookups::Lookups;
use crate::instance::usage::Usage;
use crate::instance::{CompiledPlugin, PluginInstance, PluginSource, described, position};
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::RecordLookup;
use sluice_contract::description::{DomainDescription, EntityType, TallyEntry, check_domain};
use sluice_contract::output_validation::{check_generated, check_steps, check_validated, issue, unpack};
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{UndeclaredText, Vocabulary};
use sluice_model::{Code, Digest, FieldPath, Issue, PluginTitle, Tenant};
use sluice_plugin_protocol::{CallValue, Description, PluginCall, PluginWorld};

/// A compiled domain plugin.
#[derive(Clone)]
pub struct DomainPlugin {
    plugin: CompiledPlugin,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Digest,
    /// Description of the plugin.
    pub description: DomainDescription,
    /// Vocabularies for records of its entity types, and for records that it generates from.
    vocabularies: [Vocabulary; 2],
}

/// Output of a validation for a batch.
#[derive(Default)]
pub struct ValidationOutput {
    /// Reference id of each record, in order; `None` for a record without a readable one.
    pub ids: Vec<Option<[u8; 16]>>,
    /// Issues, each with the position of its record.
    pub issues: Vec<(u32, Issue)>,
    /// Contributions to rules over many records.
    pub tallies: Vec<TallyEntry>,
    /// Records on which the plugin failed.
    pub failed: Vec<FailedRecord>,
    /// Texts that the plugin used without declaring them.
    pub undeclared: Vec<UndeclaredText>,
    /// Log entries.
    pub logged: BatchLog,
}

/// Output of a plugin for a batch: items, and the records for which there is none.
pub struct PluginOutput<T> {
    /// Items that the plugin returned.
    pub items: Vec<T>,
    /// Issues, each with the position of its record.
    pub issues: Vec<(u32, Issue)>,
    /// Records on which the plugin failed.
    pub failed: Vec<FailedRecord>,
    /// Texts that the plugin used without declaring them.
    pub undeclared: Vec<UndeclaredText>,
    /// Log entries.
    pub logged: BatchLog,
}

/// A planned step of an import: storing a row.
pub struct ImportStep {
    /// Position of the record that the step belongs to.
    pub position: u32,
    /// Body to store. `None` for the record as it is.
    pub body: Option<Vec<u8>>,
}

/// A record that a plugin made from imported records.
pub struct GeneratedRecord {
    /// The record.
    pub body: Vec<u8>,
}

impl DomainPlugin {
    /// Compiles a domain plugin, or takes it from the cache, and reads its description.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        let code = engine.compile(name, None, digest, bytes, true)?;
        Self::of_code(engine, name, PluginSource { owner: None, digest, bytes, code })
    }

    /// Reads the description of compiled code.
    pub(crate) fn of_code(
        engine: &Arc<Engine>,
        name: &str,
        source: PluginSource<'_>,
    ) -> Result<Arc<Self>, PluginError> {
        let digest = source.digest;
        let (plugin, (description, vocabularies)) =
            described(engine, name, source, PluginWorld::Domain, |description| match description {
                Description::Domain(description) => Some(check_domain(description)),
                _ => None,
            })?;
        Ok(Arc::new(Self { plugin, digest, description, vocabularies }))
    }

    /// Returns the same plugin for a tenant's records, with other limits than the server's.
    pub fn for_tenant(&self, tenant: &Tenant, limits: PluginLimits) -> Arc<Self> {
        let mut other = self.clone();
        (other.plugin.tenant, other.plugin.limits) = (Some(tenant.clone()), limits);
        Arc::new(other)
    }

    /// Returns the plugin's own codes.
    pub fn codes(&self) -> Vec<Code> {
        self.vocabularies[0].codes()
    }

    /// Returns the path of a field if the plugin declares its name.
    pub fn declared_field(&self, name: &str) -> Option<FieldPath> {
        self.vocabularies[0].declared_path(name)
    }

    /// Returns name and version for messages.
    pub fn title(&self) -> PluginTitle {
        PluginTitle { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// Returns the entity type with this name.
    pub fn entity_type(&self, name: &str) -> Option<&EntityType> {
        self.description.entity_types.iter().find(|entity_type| entity_type.name == name)
    }

    /// Returns a path of an entity type's record, as far as it is declared.
    pub fn field_path(&self, entity_type: &str, path: &str) -> FieldPath {
        self.vocabularies[0].path(entity_type, path, 0, &mut vec![])
    }

    /// Returns an instance for one upload or job. Its usage is added to `usage`. Without lookups it validates each record on
    /// its own only.
    pub fn instance(
        self: &Arc<Self>,
        context: Context,
        lookup: Option<Arc<dyn RecordLookup>>,
        usage: &Usage,
    ) -> DomainInstance {
        let is_complete = lookup.is_some();
        let lookups = lookup.map_or(Lookups::None, Lookups::Records);
        let instance = PluginInstance::new(self.plugin.clone(), self.title(), context, lookups, usage);
        DomainInstance { plugin: self.clone(), is_complete, instance }
    }
}

/// A domain plugin at work for one upload or job.
pub struct DomainInstance {
    plugin: Arc<DomainPlugin>,
    /// True if the instance has lookups.
    is_complete: bool,
    instance: PluginInstance,
}

impl DomainInstance {
    /// Validates a batch: completely if the instance has lookups, otherwise each record on its own.
    pub fn validate(&mut self, entity_type: &str, batch: &Batch) -> Result<ValidationOutput, PluginError> {
        let rules = self.plugin.description.tally_rules.len();
        let limits = self.plugin.plugin.limits.clone();
        let call = PluginCall::Validate(entity_type.into(), self.is_complete);
        let (IsolationResult { parts, failed }, log) = self.instance.isolated(batch, &call, |value, records| {
            let CallValue::Validated(value) = value else { return None };
            let fits = check_validated(&value, records, rules, &limits);
            Some(fits.map(|()| value))
        })?;
        let mut output = ValidationOutput { ids: vec![None; batch.ends.len()], failed, ..ValidationOutput::default() };
        for (part, validated) in parts {
            for (id, known) in validated.ids.chunks_exact(16).zip(&mut output.ids[part.clone()]) {
                *known = Some(id.try_into().expect("16 bytes")).filter(|id| *id != [0; 16]);
            }
            let start = position(part.start);
            let plugin = self.plugin.clone();
            let issues = validated.issues.iter();
            let undeclared = &mut output.undeclared;
            output.issues.extend(
                issues.map(|reported| issue(reported, start, entity_type, &plugin.vocabularies[0], undeclared)),
            );
            output.tallies.extend(
                validated.tallies.into_iter().map(|tally| TallyEntry { position: tally.position + start, ..tally }),
            );
        }
        output.logged = BatchLog::from_raw(log, &self.plugin.vocabularies[0], &mut output.undeclared);
        Ok(output)
    }

    /// Plans the import of a batch. A record with an error has no step.
    pub fn plan(&mut self, entity_type: &str, batch: &Batch) -> Result<PluginOutput<ImportStep>, PluginError> {
        let limits = self.plugin.plugin.limits.clone();
        let call = PluginCall::Plan(entity_type.into());
        let (IsolationResult { parts, failed }, log) = self.instance.isolated(batch, &call, |value, records| {
            let CallValue::Planned(value) = value else { return None };
            let fits = check_steps(&value, records, &limits);
            Some(fits.map(|()| value))
        })?;
        let (mut steps, mut issues, mut undeclared) = (vec![], vec![], vec![]);
        let vocabulary = &self.plugin.vocabularies[0];
        for (part, planned) in parts {
            let start = position(part.start);
            let bodies = unpack(&planned.bodies).expect("checked above");
            steps.extend(planned.steps.iter().zip(bodies).map(|(step, body)| ImportStep {
                position: step.position + start,
                body: (!body.is_empty()).then(|| body.to_vec()),
            }));
            let reported = planned.issues.iter();
            issues.extend(reported.map(|reported| issue(reported, start, entity_type, vocabulary, &mut undeclared)));
        }
        let logged = BatchLog::from_raw(log, vocabulary, &mut undeclared);
        Ok(PluginOutput { items: steps, issues, failed, undeclared, logged })
    }

    /// Makes records of an entity type from a batch of imported records.
    pub fn generate(&mut self, entity_type: &str, batch: &Batch) -> Result<PluginOutput<GeneratedRecord>, PluginError> {
        let limits = self.plugin.plugin.limits.clone();
        let call = PluginCall::Generate(entity_type.into());
        let (IsolationResult { parts, failed }, log) = self.instance.isolated(batch, &call, |value, records| {
            let CallValue::Generated(value) = value else { return None };
            let fits = check_generated(&value, entity_type, records, &limits);
            Some(fits.map(|()| value))
        })?;
        let (mut records, mut issues, mut undeclared) = (vec![], vec![], vec![]);
        let vocabulary = &self.plugin.vocabularies[1];
        for (part, generated) in parts {
            let start = position(part.start);
            for produced in generated.produced {
                let bodies = unpack(&produced.records).expect("checked above");
                records.extend(bodies.into_iter().map(|body| GeneratedRecord { body: body.to_vec() }));
            }
            let reported = generated.issues.iter();
            issues.extend(reported.map(|reported| issue(reported, start, entity_type, vocabulary, &mut undeclared)));
        }
        let logged = BatchLog::from_raw(log, vocabulary, &mut undeclared);
        Ok(PluginOutput { items: records, issues, failed, undeclared, logged })
    }
}
