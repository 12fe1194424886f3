//! Runs a domain plugin: validation, planning and generation, each batch narrowed down where it breaks.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Component;

use super::bindings::domain::exports::sluice::plugin::validation::Scope;
use super::bindings::domain::{Domain, DomainPre};
use super::bindings::types;
use super::engine::{Engine, Runner};
use super::inspect::link_error;
use super::instance::{Instance, Returned, SaidLogs, described};
use super::isolate::{Isolated, Poisoned};
use super::mapper::Logged;
use super::state::State;
use super::usage::Usage;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_contract::RecordLookup;
use sluice_contract::description::{DomainDescription, EntityType, Tally, check_domain};
use sluice_contract::output_validation::{check_generated, check_steps, check_validated, issue, unpack};
use sluice_contract::wire::{Batch, Context, WireGenerated, WireImportPlan, WireValidated};
use sluice_contract::{Undeclared, Vocabulary};
use sluice_model::{Code, Digest, FieldPath, Issue, Title};

/// A compiled domain plugin.
#[derive(Clone)]
pub struct DomainPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: DomainPre<State>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: Digest,
    /// What it says of itself.
    pub description: DomainDescription,
    /// What it may say of records of its entity types, and of those that it generates from.
    vocabularies: [Vocabulary; 2],
}

/// What validation found in a batch.
#[derive(Default)]
pub struct Validated {
    /// Reference id of each record that has one; in order, as many as records.
    pub ids: Vec<Option<[u8; 16]>>,
    /// What is wrong with which record.
    pub issues: Vec<(u32, Issue)>,
    /// Parts in the rules over many records.
    pub tallies: Vec<Tally>,
    /// Records that broke the plugin.
    pub poisoned: Vec<Poisoned>,
    /// What it said without having declared it.
    pub undeclared: Vec<Undeclared>,
    /// What it logged.
    pub logged: Logged,
}

/// What a plugin made of a batch, and of which records it could not.
pub struct Made<T> {
    /// What it made.
    pub made: Vec<T>,
    /// What is wrong with which record.
    pub issues: Vec<(u32, Issue)>,
    /// Records that broke the plugin.
    pub poisoned: Vec<Poisoned>,
    /// What it said without having declared it.
    pub undeclared: Vec<Undeclared>,
    /// What it logged.
    pub logged: Logged,
}

/// One effect that a plugin has planned: storing a row.
pub struct Step {
    /// The record that it belongs to.
    pub position: u32,
    /// What to store; none stands for the record as it is.
    pub body: Option<Vec<u8>>,
}

/// A record that a plugin has made from imported ones.
pub struct GeneratedRecord {
    /// The record.
    pub body: Vec<u8>,
}

impl DomainPlugin {
    /// Compiles a domain plugin and asks it to describe itself.
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
        let pre = runner.domains.instantiate_pre(component).and_then(DomainPre::new);
        let pre = pre.map_err(|error| link_error(name, &error))?;
        let describe = |store: &mut Store<State>| {
            let domain = pre.instantiate(&mut *store)?;
            domain.sluice_plugin_validation().call_describe(store).map(Into::into)
        };
        let (description, vocabularies) = described(engine, runner, name, describe, check_domain)?;
        Ok(Arc::new(Self {
            engine: engine.clone(),
            limits: engine.limits.clone(),
            pre,
            digest,
            description,
            vocabularies,
        }))
    }

    /// The same plugin under other limits than the server's own.
    pub fn limited(&self, limits: PluginLimits) -> Arc<Self> {
        Arc::new(Self { limits, ..self.clone() })
    }

    /// The codes of its own that it may show.
    pub fn codes(&self) -> Vec<Code> {
        self.vocabularies[0].codes()
    }

    /// Name and version, as they stand in messages.
    pub fn title(&self) -> Title {
        Title { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// The entity type with this name.
    pub fn entity_type(&self, name: &str) -> Option<&EntityType> {
        self.description.entity_types.iter().find(|entity_type| entity_type.name == name)
    }

    /// A path of an entity type's record, as far as it is declared.
    pub fn field_path(&self, entity_type: &str, path: &str) -> FieldPath {
        self.vocabularies[0].path(entity_type, path, 0, &mut vec![])
    }

    /// Prepares to run for one upload or job, whose usage this counts towards. Without lookups it can only judge
    /// records on their own.
    pub fn instance(
        self: &Arc<Self>,
        context: Context,
        lookup: Option<Arc<dyn RecordLookup>>,
        usage: &Usage,
    ) -> DomainInstance {
        let instance =
            Instance::new((&self.engine, self.pre.engine()), &self.limits, self.title(), self.digest, context, usage);
        DomainInstance { plugin: self.clone(), lookup, instance }
    }
}

/// A domain plugin at work for one upload or job.
pub struct DomainInstance {
    plugin: Arc<DomainPlugin>,
    lookup: Option<Arc<dyn RecordLookup>>,
    instance: Instance,
}

impl DomainInstance {
    /// Validates a batch: in full where it was prepared with lookups, otherwise each record on its own.
    pub fn validate(&mut self, entity_type: &str, batch: &Batch) -> Result<Validated, PluginError> {
        let scope = if self.lookup.is_some() { Scope::Migration } else { Scope::Record };
        let rules = self.plugin.description.tally_rules.len();
        let limits = self.plugin.limits.clone();
        let (Isolated { parts, poisoned }, said) = self.isolated(batch, |domain, store, context, batch| {
            let validated: WireValidated =
                domain.sluice_plugin_validation().call_validate(store, context, entity_type, scope, batch)?.into();
            let fits = check_validated(&validated, batch.ends.len(), rules, &limits);
            Ok(fits.map(|()| validated))
        })?;
        let mut whole = Validated { ids: vec![None; batch.ends.len()], poisoned, ..Validated::default() };
        for (part, validated) in parts {
            for (id, known) in validated.ids.chunks_exact(16).zip(&mut whole.ids[part.clone()]) {
                *known = Some(id.try_into().expect("16 bytes")).filter(|id| *id != [0; 16]);
            }
            let start = part.start as u32;
            let plugin = self.plugin.clone();
            let issues = validated.issues.iter();
            let undeclared = &mut whole.undeclared;
            whole
                .issues
                .extend(issues.map(|said| issue(said, start, entity_type, &plugin.vocabularies[0], undeclared)));
            whole
                .tallies
                .extend(validated.tallies.into_iter().map(|tally| Tally { position: tally.position + start, ..tally }));
        }
        whole.logged = Logged::read(said, &self.plugin.vocabularies[0], &mut whole.undeclared);
        Ok(whole)
    }

    /// Plans the import of a batch. A record with an issue has no step.
    pub fn plan(&mut self, entity_type: &str, batch: &Batch) -> Result<Made<Step>, PluginError> {
        let limits = self.plugin.limits.clone();
        let (Isolated { parts, poisoned }, said) = self.isolated(batch, |domain, store, context, batch| {
            let planned: WireImportPlan =
                domain.sluice_plugin_importing().call_plan(store, context, entity_type, batch)?.into();
            let fits = check_steps(&planned, batch.ends.len(), &limits);
            Ok(fits.map(|()| planned))
        })?;
        let (mut steps, mut issues, mut undeclared) = (vec![], vec![], vec![]);
        let vocabulary = &self.plugin.vocabularies[0];
        for (part, planned) in parts {
            let start = part.start as u32;
            let bodies = unpack(&planned.bodies).expect("checked above");
            steps.extend(planned.steps.iter().zip(bodies).map(|(step, body)| Step {
                position: step.position + start,
                body: (!body.is_empty()).then(|| body.to_vec()),
            }));
            let said = planned.issues.iter();
            issues.extend(said.map(|said| issue(said, start, entity_type, vocabulary, &mut undeclared)));
        }
        let logged = Logged::read(said, vocabulary, &mut undeclared);
        Ok(Made { made: steps, issues, poisoned, undeclared, logged })
    }

    /// Makes records of an entity type from a batch of imported ones.
    pub fn generate(&mut self, entity_type: &str, batch: &Batch) -> Result<Made<GeneratedRecord>, PluginError> {
        let limits = self.plugin.limits.clone();
        let (Isolated { parts, poisoned }, said) = self.isolated(batch, |domain, store, context, batch| {
            let generated: WireGenerated =
                domain.sluice_plugin_importing().call_generate(store, context, entity_type, batch)?.into();
            let fits = check_generated(&generated, entity_type, batch.ends.len(), &limits);
            Ok(fits.map(|()| generated))
        })?;
        let (mut records, mut issues, mut undeclared) = (vec![], vec![], vec![]);
        let vocabulary = &self.plugin.vocabularies[1];
        for (part, generated) in parts {
            let start = part.start as u32;
            for produced in generated.produced {
                let bodies = unpack(&produced.records).expect("checked above");
                records.extend(bodies.into_iter().map(|body| GeneratedRecord { body: body.to_vec() }));
            }
            let said = generated.issues.iter();
            issues.extend(said.map(|said| issue(said, start, entity_type, vocabulary, &mut undeclared)));
        }
        let logged = Logged::read(said, vocabulary, &mut undeclared);
        Ok(Made { made: records, issues, poisoned, undeclared, logged })
    }

    fn isolated<T>(
        &mut self,
        batch: &Batch,
        mut call: impl FnMut(&Domain, &mut Store<State>, &types::Context, &types::Batch) -> Returned<T>,
    ) -> Result<(Isolated<T>, SaidLogs), PluginError> {
        let Self { plugin, lookup, instance } = self;
        let instantiate = |store: &mut Store<State>| {
            let domain = plugin.pre.instantiate(&mut *store)?;
            store.data_mut().records = lookup.clone();
            Ok(domain)
        };
        instance.isolated(batch, &instantiate, &mut call)
    }
}
