//! Platform plugins: compilation, and planning of calls by batch.

use std::sync::Arc;

use crate::engine::Engine;
use crate::instance::isolate::IsolationResult;
use crate::instance::log::BatchLog;
use crate::instance::lookups::Lookups;
use crate::instance::usage::Usage;
use crate::instance::{CompiledPlugin, PluginInstance, PluginSource, described, position};
use crate::worlds::domain::PluginOutput;
use sluice_config::Flow;
use sluice_contract::PluginError;
use sluice_contract::Vocabulary;
use sluice_contract::call_plan::PlannedEntity;
use sluice_contract::output_validation::{check_calls, issue};
use sluice_contract::platform::{PlatformDescription, PlatformKind, check_platform};
use sluice_contract::wire::{Batch, Context};
use sluice_model::{Digest, PluginTitle, Tenant};
use sluice_plugin_protocol::{CallValue, Description, PluginCall, PluginWorld};

/// A compiled platform plugin.
#[derive(Clone)]
pub struct PlatformPlugin {
    plugin: CompiledPlugin,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Description of the plugin.
    pub description: PlatformDescription,
    vocabulary: Vocabulary,
}

impl PlatformPlugin {
    /// Compiles a platform plugin and reads its description.
    pub fn new(engine: &Arc<Engine>, name: &str, digest: Digest, bytes: &[u8]) -> Result<Arc<Self>, PluginError> {
        let code = engine.compile(name, None, digest, bytes, true)?;
        let source = PluginSource { owner: None, digest, bytes, code };
        let (plugin, (description, vocabulary)) =
            described(engine, name, source, PluginWorld::Platform, |description| match description {
                Description::Platform(description) => Some(check_platform(*description)),
                _ => None,
            })?;
        Ok(Arc::new(Self { plugin, digest, description, vocabulary }))
    }

    /// Returns name and version for messages.
    pub fn title(&self) -> PluginTitle {
        PluginTitle { name: self.description.name.clone(), version: self.description.version.clone() }
    }

    /// Returns an instance for one job of a tenant. Its usage is added to `usage`.
    pub fn instance(self: &Arc<Self>, tenant: &Tenant, context: Context, usage: &Usage) -> PlatformInstance {
        let plugin = CompiledPlugin { tenant: Some(tenant.clone()), ..self.plugin.clone() };
        let instance = PluginInstance::new(plugin, self.title(), context, Lookups::None, usage);
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
        let call = PluginCall::PlanCalls(settings.to_vec(), flow == Flow::EveryStep, kind.name.to_string());
        let (description, limits) = (&plugin.description, &plugin.plugin.limits);
        let (IsolationResult { parts, failed }, log) = instance.isolated(batch, &call, |value, records| {
            let CallValue::CallPlans(planned) = value else { return None };
            let plans = check_calls(planned.plans, &planned.issues, records, (kind, description), limits);
            Some(plans.map(|plans| (plans, planned.issues)))
        })?;
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
