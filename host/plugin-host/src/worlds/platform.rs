//! Platform plugins: compilation, and planning of calls by batch.

use std::sync::Arc;

use wasmtime::Store;

use crate::bindings::platform::exports::sluice::plugin::calling;
use crate::bindings::platform::{Platform, PlatformPre};
use crate::bindings::types;
use crate::engine::Engine;
use crate::inspect::link_error::link_error;
use crate::instance::isolate::IsolationResult;
use crate::instance::log::BatchLog;
use crate::instance::state::StoreState;
use crate::instance::usage::Usage;
use crate::instance::{PluginInstance, described, position};
use crate::worlds::domain::PluginOutput;
use sluice_config::{Flow, PluginLimits};
use sluice_contract::PluginError;
use sluice_contract::Vocabulary;
use sluice_contract::call_plan::PlannedEntity;
use sluice_contract::output_validation::{check_calls, issue};
use sluice_contract::platform::{PlatformDescription, PlatformKind, check_platform};
use sluice_contract::wire::{Batch, Context, WireCallPlans};
use sluice_model::{Digest, PluginTitle};

/// A compiled platform plugin.
#[derive(Clone)]
pub struct PlatformPlugin {
    engine: Arc<Engine>,
    limits: PluginLimits,
    pre: PlatformPre<StoreState>,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Description of the plugin.
    pub description: PlatformDescription,
    vocabulary: Vocabulary,
}

impl PlatformPlugin {
    /// Compiles a platform plugin and reads its description.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        let compiled = engine.compile(name, digest, bytes)?;
        let (component, variant) = &compiled;
        let pre = variant.platforms.instantiate_pre(component).and_then(PlatformPre::new);
        let pre = pre.map_err(|error| link_error(name, component, &error))?;
        let instantiate = |store: &mut Store<StoreState>| pre.instantiate(store);
        let describe = |platform: &Platform, store: &mut Store<StoreState>| {
            platform.sluice_plugin_calling().call_describe(store).map(Into::into)
        };
        let (description, vocabulary) = described(engine, &compiled, name, instantiate, describe, check_platform)?;
        let (engine, limits) = (engine.clone(), engine.limits.clone());
        Ok(Arc::new(Self { engine, limits, pre, digest, description, vocabulary }))
    }

    /// Returns name and version for messages.
    pub fn title(&self) -> PluginTitle {
        PluginTitle { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// Returns an instance for one job. Its usage is added to `usage`.
    pub fn instance(self: &Arc<Self>, context: Context, usage: &Usage) -> PlatformInstance {
        let instance = PluginInstance::new(
            (&self.engine, self.pre.engine()),
            &self.limits,
            self.title(),
            self.digest,
            context,
            usage,
        );
        PlatformInstance { plugin: self.clone(), instance }
    }
}

/// A platform plugin at work for one job.
pub struct PlatformInstance {
    plugin: Arc<PlatformPlugin>,
    instance: PluginInstance,
}

impl PlatformInstance {
    /// Plans the calls for a batch of records of a kind, each with its companion records. A record with an error has no
    /// plan.
    pub fn plan(
        &mut self,
        kind: &PlatformKind,
        flow: Flow,
        settings: &[(String, String)],
        batch: &Batch,
    ) -> Result<PluginOutput<PlannedEntity>, PluginError> {
        let Self { plugin, instance } = self;
        let flow = match flow {
            Flow::Fewest => calling::Flow::Fewest,
            Flow::EveryStep => calling::Flow::EveryStep,
        };
        let instantiate = |store: &mut Store<StoreState>| plugin.pre.instantiate(store);
        let (description, limits) = (&plugin.description, &plugin.limits);
        let mut call =
            |platform: &Platform, store: &mut Store<StoreState>, context: &types::Context, batch: &types::Batch| {
                let calling = platform.sluice_plugin_calling();
                let planned: WireCallPlans =
                    calling.call_plan(store, context, settings, flow, &kind.name, batch)?.into();
                let plans = check_calls(planned.plans, &planned.issues, batch.ends.len(), (kind, description), limits);
                Ok(plans.map(|plans| (plans, planned.issues)))
            };
        let (IsolationResult { parts, failed }, log) = instance.isolated(batch, &instantiate, &mut call)?;
        let (mut items, mut issues, mut undeclared) = (vec![], vec![], vec![]);
        for (part, (plans, reported)) in parts {
            let start = position(part.start);
            items.extend(plans.into_iter().map(|plan| PlannedEntity { position: plan.position + start, ..plan }));
            issues.extend(
                reported.iter().map(|reported| issue(reported, start, &kind.name, &plugin.vocabulary, &mut undeclared)),
            );
        }
        let logged = BatchLog::from_raw(log, &plugin.vocabulary, &mut undeclared);
        Ok(PluginOutput { items, issues, failed, undeclared, logged })
    }
}
