//! Domain plugins: compilation, and validation, planning and generation by batch.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Component;

use crate::bindings::domain::exports::sluice::plugin::validation::Scope;
use crate::bindings::domain::{Domain, DomainPre};
use crate::bindings::types;
use crate::engine::{Engine, EngineVariant};
use crate::inspect::link_error::link_error;
use crate::instance::isolate::{FailedRecord, IsolationResult};
use crate::instance::log::{BatchLog, RawLog};
use crate::instance::state::StoreState;
use crate::instance::usage::Usage;
use crate::instance::{CallOutput, PluginInstance, described, position};
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::RecordLookup;
use sluice_contract::description::{DomainDescription, EntityType, TallyEntry, check_domain};
use sluice_contract::output_validation::{check_generated, check_steps, check_validated, issue, unpack};
use sluice_contract::wire::{Batch, Context, WireGenerated, WireImportPlan, WireValidated};
use sluice_contract::{UndeclaredText, Vocabulary};
use sluice_model::{Code, Digest, FieldPath, Issue, PluginTitle};

/// A compiled domain plugin.
#[derive(Clone)]
pub struct DomainPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: DomainPre<StoreState>,
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
    /// Compiles a domain plugin and reads its description.
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
        let pre = variant.domains.instantiate_pre(component).and_then(DomainPre::new);
        let pre = pre.map_err(|error| link_error(name, component, &error))?;
        let instantiate = |store: &mut Store<StoreState>| pre.instantiate(store);
        let describe = |domain: &Domain, store: &mut Store<StoreState>| {
            domain.sluice_plugin_validation().call_describe(store).map(Into::into)
        };
        let (description, vocabularies) = described(engine, compiled, name, instantiate, describe, check_domain)?;
        Ok(Arc::new(Self {
            engine: engine.clone(),
            limits: engine.limits.clone(),
            pre,
            digest,
            description,
            vocabularies,
        }))
    }

    /// Returns the same plugin with other limits than the server's.
    pub fn limited(&self, limits: PluginLimits) -> Arc<Self> {
        Arc::new(Self { limits, ..self.clone() })
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
        let instance = PluginInstance::new(
            (&self.engine, self.pre.engine()),
            &self.limits,
            self.title(),
            self.digest,
            context,
            usage,
        );
        DomainInstance { plugin: self.clone(), lookup, instance }
    }
}

/// A domain plugin at work for one upload or job.
pub struct DomainInstance {
    plugin: Arc<DomainPlugin>,
    lookup: Option<Arc<dyn RecordLookup>>,
    instance: PluginInstance,
}

impl DomainInstance {
    /// Validates a batch: completely if the instance has lookups, otherwise each record on its own.
    pub fn validate(&mut self, entity_type: &str, batch: &Batch) -> Result<ValidationOutput, PluginError> {
        let scope = if self.lookup.is_some() { Scope::Migration } else { Scope::Record };
        let rules = self.plugin.description.tally_rules.len();
        let limits = self.plugin.limits.clone();
        let (IsolationResult { parts, failed }, log) = self.isolated(batch, |domain, store, context, batch| {
            let validated: WireValidated =
                domain.sluice_plugin_validation().call_validate(store, context, entity_type, scope, batch)?.into();
            let fits = check_validated(&validated, batch.ends.len(), rules, &limits);
            Ok(fits.map(|()| validated))
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
        let limits = self.plugin.limits.clone();
        let (IsolationResult { parts, failed }, log) = self.isolated(batch, |domain, store, context, batch| {
            let planned: WireImportPlan =
                domain.sluice_plugin_importing().call_plan(store, context, entity_type, batch)?.into();
            let fits = check_steps(&planned, batch.ends.len(), &limits);
            Ok(fits.map(|()| planned))
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
        let limits = self.plugin.limits.clone();
        let (IsolationResult { parts, failed }, log) = self.isolated(batch, |domain, store, context, batch| {
            let generated: WireGenerated =
                domain.sluice_plugin_importing().call_generate(store, context, entity_type, batch)?.into();
            let fits = check_generated(&generated, entity_type, batch.ends.len(), &limits);
            Ok(fits.map(|()| generated))
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

    /// Runs `call` on a batch, and isolates the records on which the plugin fails.
    fn isolated<T>(
        &mut self,
        batch: &Batch,
        mut call: impl FnMut(&Domain, &mut Store<StoreState>, &types::Context, &types::Batch) -> CallOutput<T>,
    ) -> Result<(IsolationResult<T>, RawLog), PluginError> {
        let Self { plugin, lookup, instance } = self;
        let instantiate = |store: &mut Store<StoreState>| {
            let domain = plugin.pre.instantiate(&mut *store)?;
            store.data_mut().records = lookup.clone();
            Ok(domain)
        };
        instance.isolated(batch, &instantiate, &mut call)
    }
}
