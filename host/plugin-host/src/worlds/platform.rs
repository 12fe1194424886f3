//! Runs a platform plugin: it plans calls for a batch of records, narrowed down where it breaks.

use std::sync::Arc;

use wasmtime::Store;

use super::bindings::platform::exports::sluice::plugin::calling;
use super::bindings::platform::{Platform, PlatformPre};
use super::bindings::types;
use super::domain::Made;
use super::engine::Engine;
use super::inspect::link_error;
use super::instance::{Instance, described};
use super::isolate::Isolated;
use super::mapper::Logged;
use super::state::State;
use super::usage::Usage;
use sluice_config::{Flow, PluginLimits};
use sluice_contract::PluginError;
use sluice_contract::Vocabulary;
use sluice_contract::call_plan::PlannedEntity;
use sluice_contract::output_validation::{check_calls, issue};
use sluice_contract::platform::{Kind, PlatformDescription, check_platform};
use sluice_contract::wire::{Batch, Context, WireCallPlans};
use sluice_model::{Digest, Title};

/// A compiled platform plugin.
#[derive(Clone)]
pub struct PlatformPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: PlatformPre<State>,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// What it says of itself.
    pub description: PlatformDescription,
    vocabulary: Vocabulary,
}

impl PlatformPlugin {
    /// Compiles a platform plugin and asks it to describe itself.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        let (component, runner) = engine.compile(name, digest, bytes)?;
        let pre = runner.platforms.instantiate_pre(&component).and_then(PlatformPre::new);
        let pre = pre.map_err(|error| link_error(name, &error))?;
        let describe = |store: &mut Store<State>| {
            let platform = pre.instantiate(&mut *store)?;
            platform.sluice_plugin_calling().call_describe(store).map(Into::into)
        };
        let (description, vocabulary) = described(engine, runner, name, describe, check_platform)?;
        let (engine, limits) = (engine.clone(), engine.limits.clone());
        Ok(Arc::new(Self { engine, limits, pre, digest, description, vocabulary }))
    }

    /// Name and version, as they stand in messages.
    pub fn title(&self) -> Title {
        Title { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// Prepares to plan for one job, whose usage this counts towards.
    pub fn instance(self: &Arc<Self>, context: Context, usage: &Usage) -> PlatformInstance {
        let instance =
            Instance::new((&self.engine, self.pre.engine()), &self.limits, self.title(), self.digest, context, usage);
        PlatformInstance { plugin: self.clone(), instance }
    }
}

/// A platform plugin at work for one job.
pub struct PlatformInstance {
    plugin: Arc<PlatformPlugin>,
    instance: Instance,
}

impl PlatformInstance {
    /// Plans the calls for a batch of records of a kind, each with those that go with it. A record with an issue has no
    /// plan.
    pub fn plan(
        &mut self,
        kind: &Kind,
        flow: Flow,
        settings: &[(String, String)],
        batch: &Batch,
    ) -> Result<Made<PlannedEntity>, PluginError> {
        let Self { plugin, instance } = self;
        let flow = match flow {
            Flow::Fewest => calling::Flow::Fewest,
            Flow::EveryStep => calling::Flow::EveryStep,
        };
        let instantiate = |store: &mut Store<State>| plugin.pre.instantiate(store);
        let (description, limits) = (&plugin.description, &plugin.limits);
        let mut call =
            |platform: &Platform, store: &mut Store<State>, context: &types::Context, batch: &types::Batch| {
                let calling = platform.sluice_plugin_calling();
                let made: WireCallPlans = calling.call_plan(store, context, settings, flow, &kind.name, batch)?.into();
                let plans = check_calls(made.plans, &made.issues, batch.ends.len(), (kind, description), limits);
                Ok(plans.map(|plans| (plans, made.issues)))
            };
        let (Isolated { parts, poisoned }, said) = instance.isolated(batch, &instantiate, &mut call)?;
        let (mut made, mut issues, mut undeclared) = (vec![], vec![], vec![]);
        for (part, (plans, found)) in parts {
            let start = part.start as u32;
            made.extend(plans.into_iter().map(|plan| PlannedEntity { position: plan.position + start, ..plan }));
            issues.extend(found.iter().map(|said| issue(said, start, &kind.name, &plugin.vocabulary, &mut undeclared)));
        }
        let logged = Logged::read(said, &plugin.vocabulary, &mut undeclared);
        Ok(Made { made, issues, poisoned, undeclared, logged })
    }
}
