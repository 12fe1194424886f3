//! Runs a domain plugin: validation, planning and generation, each batch narrowed down where it breaks.

use std::ops::Range;
use std::sync::Arc;

use wasmtime::Store;

use super::bindings::domain::exports::sluice::plugin::validation::Scope;
use super::bindings::domain::{Domain, DomainPre};
use super::bindings::types::{Batch, Context};
use super::contract::{DomainDescription, EntityType, Tally, check_domain};
use super::engine::{Engine, engine_error};
use super::failure::{Cause, PluginError, PluginFailure, classify};
use super::isolate::{CallError, Isolated, Poisoned, Tolerance, isolate};
use super::mapper::{check_produced, issue, new_store, slice, unpack};
use super::state::{RecordLookup, State};
use crate::model::Issue;

/// A compiled domain plugin.
pub struct DomainPlugin {
    engine: Arc<Engine>,
    pre: DomainPre<State>,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// What it says of itself.
    pub description: DomainDescription,
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
    /// Its entity type.
    pub entity_type: String,
    /// The record.
    pub body: Vec<u8>,
}

impl DomainPlugin {
    /// Compiles a domain plugin and asks it to describe itself.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: String, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
        let component = engine.compile(name, &digest, bytes)?;
        let pre = engine.domains.instantiate_pre(&component).and_then(DomainPre::new);
        let pre = pre.map_err(|error| refused(super::inspect::link_reason(&error)))?;
        let context = Context { migration: vec![0; 16], registered_on: "1970-01-01".into() };
        let mut store = new_store(engine, &context);
        let described =
            pre.instantiate(&mut store).and_then(|domain| domain.sluice_plugin_validation().call_describe(&mut store));
        let description = described.map_err(|error| {
            let failure = classify(name, &digest, &error, store.data_mut());
            refused(format!("it broke when asked to describe itself ({}): {}", failure.cause.code(), failure.message))
        })?;
        check_domain(&description).map_err(|reason| refused(format!("its description is wrong: {reason}")))?;
        Ok(Arc::new(Self { engine: engine.clone(), pre, digest, description }))
    }

    /// Name and version, as they stand in messages.
    pub fn title(&self) -> String {
        format!("{} {}", self.description.name, self.description.version)
    }

    /// The entity type with this name.
    pub fn entity_type(&self, name: &str) -> Option<&EntityType> {
        self.description.entity_types.iter().find(|entity_type| entity_type.name == name)
    }

    /// Prepares to run for one upload or job. Without lookups it can only judge records on their own.
    pub fn instance(self: &Arc<Self>, context: Context, lookup: Option<Arc<dyn RecordLookup>>) -> DomainInstance {
        let tolerance = Tolerance::new(&self.engine.limits);
        DomainInstance { plugin: self.clone(), context, lookup, live: None, tolerance }
    }
}

/// A domain plugin at work for one upload or job.
pub struct DomainInstance {
    plugin: Arc<DomainPlugin>,
    context: Context,
    lookup: Option<Arc<dyn RecordLookup>>,
    live: Option<(Store<State>, Domain)>,
    tolerance: Tolerance,
}

impl DomainInstance {
    /// The plugin at work.
    pub fn plugin(&self) -> &Arc<DomainPlugin> {
        &self.plugin
    }

    /// Validates a batch: in full where it was prepared with lookups, otherwise each record on its own.
    pub fn validate(&mut self, entity_type: &str, batch: &Batch) -> Result<Validated, PluginError> {
        let scope = if self.lookup.is_some() { Scope::Migration } else { Scope::Record };
        let rules = self.plugin.description.tally_rules.len();
        let Isolated { parts, poisoned } = self.isolated(batch, |domain, store, context, batch| {
            let validated =
                domain.sluice_plugin_validation().call_validate(store, context, entity_type, scope, batch)?;
            let records = batch.ends.len();
            let fits = validated.ids.len() == records * 16
                && validated.issues.iter().all(|issue| (issue.position as usize) < records)
                && validated
                    .tallies
                    .iter()
                    .all(|tally| (tally.position as usize) < records && (tally.rule as usize) < rules);
            Ok(if fits { Ok(validated) } else { Err("what it found does not fit its batch".into()) })
        })?;
        let mut whole = Validated { ids: vec![None; batch.ends.len()], poisoned, ..Validated::default() };
        for (part, validated) in parts {
            for (id, known) in validated.ids.chunks_exact(16).zip(&mut whole.ids[part.clone()]) {
                *known = Some(id.try_into().expect("16 bytes")).filter(|id| *id != [0; 16]);
            }
            let start = part.start as u32;
            whole
                .issues
                .extend(validated.issues.into_iter().map(|reported| (reported.position + start, issue(reported))));
            whole
                .tallies
                .extend(validated.tallies.into_iter().map(|tally| Tally { position: tally.position + start, ..tally }));
        }
        Ok(whole)
    }

    /// Plans the import of a batch. A record with an issue has no step.
    pub fn plan(
        &mut self,
        entity_type: &str,
        batch: &Batch,
    ) -> Result<(Vec<Step>, Vec<(u32, Issue)>, Vec<Poisoned>), PluginError> {
        let Isolated { parts, poisoned } = self.isolated(batch, |domain, store, context, batch| {
            let planned = domain.sluice_plugin_importing().call_plan(store, context, entity_type, batch)?;
            let records = batch.ends.len();
            let fits = planned.steps.len() == planned.bodies.ends.len()
                && unpack(&planned.bodies).is_some()
                && planned.steps.iter().all(|step| (step.position as usize) < records)
                && planned.issues.iter().all(|issue| (issue.position as usize) < records);
            Ok(if fits { Ok(planned) } else { Err("its plan does not fit its batch".into()) })
        })?;
        let (mut steps, mut issues) = (vec![], vec![]);
        for (part, planned) in parts {
            let start = part.start as u32;
            let bodies = unpack(&planned.bodies).expect("checked above");
            steps.extend(planned.steps.iter().zip(bodies).map(|(step, body)| Step {
                position: step.position + start,
                body: (!body.is_empty()).then(|| body.to_vec()),
            }));
            issues.extend(planned.issues.into_iter().map(|reported| (reported.position + start, issue(reported))));
        }
        Ok((steps, issues, poisoned))
    }

    /// Makes records of an entity type from a batch of imported ones.
    pub fn generate(
        &mut self,
        entity_type: &str,
        batch: &Batch,
    ) -> Result<(Vec<GeneratedRecord>, Vec<(u32, Issue)>, Vec<Poisoned>), PluginError> {
        let Isolated { parts, poisoned } = self.isolated(batch, |domain, store, context, batch| {
            let generated = domain.sluice_plugin_importing().call_generate(store, context, entity_type, batch)?;
            let records = batch.ends.len();
            for produced in &generated.produced {
                if produced.entity_type != entity_type {
                    return Ok(Err("it generated another entity type than it was asked for".into()));
                }
                if let Err((_, message)) = check_produced(produced, records) {
                    return Ok(Err(message));
                }
            }
            let fits = generated.issues.iter().all(|issue| (issue.position as usize) < records);
            Ok(if fits { Ok(generated) } else { Err("what it generated does not fit its batch".into()) })
        })?;
        let (mut records, mut issues) = (vec![], vec![]);
        for (part, generated) in parts {
            let start = part.start as u32;
            for produced in generated.produced {
                let bodies = unpack(&produced.records).expect("checked above");
                records.extend(
                    bodies
                        .into_iter()
                        .map(|body| GeneratedRecord { entity_type: produced.entity_type.clone(), body: body.to_vec() }),
                );
            }
            issues.extend(generated.issues.into_iter().map(|reported| (reported.position + start, issue(reported))));
        }
        Ok((records, issues, poisoned))
    }

    fn isolated<T>(
        &mut self,
        batch: &Batch,
        mut call: impl FnMut(&Domain, &mut Store<State>, &Context, &Batch) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<Isolated<T>, PluginError> {
        let mut tolerance = self.tolerance.clone();
        let isolated =
            isolate(batch.ends.len(), &mut tolerance, |part, whole| self.call(batch, &part, whole, &mut call));
        self.tolerance = tolerance;
        isolated
    }

    fn call<T>(
        &mut self,
        batch: &Batch,
        part: &Range<usize>,
        whole: bool,
        call: &mut impl FnMut(&Domain, &mut Store<State>, &Context, &Batch) -> wasmtime::Result<Result<T, String>>,
    ) -> Result<T, CallError> {
        let engine = self.plugin.engine.clone();
        let (store, domain) = match self.live.take() {
            Some(live) => self.live.insert(live),
            None => {
                let mut store = new_store(&engine, &self.context);
                store.data_mut().records = self.lookup.clone();
                let domain =
                    self.plugin.pre.instantiate(&mut store).map_err(|error| CallError::Fatal(engine_error(error)))?;
                self.live.insert((store, domain))
            }
        };
        let limit = if whole { engine.limits.batch_millis } else { engine.limits.narrowing_millis };
        store.set_epoch_deadline(engine.ticks(limit));
        let cut;
        let batch = if whole {
            batch
        } else {
            cut = slice(batch, part);
            &cut
        };
        let (plugin, digest) = (self.plugin.title(), self.plugin.digest.clone());
        let failure = match call(domain, store, &self.context, batch) {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(message)) => PluginFailure { plugin, digest, cause: Cause::BrokeContract, message },
            Err(error) => classify(&plugin, &digest, &error, store.data_mut()),
        };
        // A store that has failed is not used again: what is left in it is anybody's guess.
        let unavailable = self.live.take().and_then(|(store, _)| store.into_data().unavailable);
        Err(unavailable.map_or(CallError::Plugin(failure), |why| CallError::Fatal(PluginError::Lookup(why))))
    }
}
