//! A loaded plugin. Each call has a new store.
//!
//! So the output for a batch depends only on the batch, the lookups and the context. A plugin cannot keep state between
//! batches, and the same batch gives the same bytes again.

pub(crate) mod classify;
pub(crate) mod state;
pub(crate) mod store_limits;

use std::sync::{Arc, Mutex};

use wasmtime::Store;
use wasmtime::component::Component;

use crate::bindings::domain::exports::sluice::plugin::validation::Scope;
use crate::bindings::domain::{Domain, DomainPre};
use crate::bindings::mapper::{Mapper, MapperPre};
use crate::bindings::platform::exports::sluice::plugin::calling::Flow;
use crate::bindings::platform::{Platform, PlatformPre};
use crate::bindings::types;
use crate::component::link_error::link_error;
use crate::engine::PluginEngine;
use crate::engine::wasmtime_errors::{is_from_guest, is_out_of_memory};
use classify::classify;
use sluice_config::PluginLimits;
use sluice_contract::wire::{Batch, Context};
use sluice_model::Digest;
use sluice_plugin_protocol::{
    CallFailure, CallRequest, CallReturn, CallValue, Channel, Description, PluginCall, PluginWorld,
};
use state::StoreState;

/// A component that is linked to the host.
pub(crate) struct LoadedPlugin {
    engine: wasmtime::Engine,
    component: Component,
    pre: LinkedWorld,
}

/// A linked component, by world.
enum LinkedWorld {
    Mapper(MapperPre<StoreState>),
    Domain(DomainPre<StoreState>),
    Platform(PlatformPre<StoreState>),
}

/// A plugin in a store, by world.
enum Bindings {
    Mapper(Mapper),
    Domain(Domain),
    Platform(Platform),
}

/// Socket to the server, which calls share with lookups.
pub(crate) type SharedChannel = Arc<Mutex<Channel>>;

/// Maximum number of handles of a store, of streams, clocks and the like. Each takes some hundred bytes of the host. A guest
/// with a standard library has a handful.
const MAX_HANDLES: usize = 10_000;

/// Maximum number of bytes of a description. A few thousand codes and names of fields fit.
const MAX_DESCRIPTION_BYTES: usize = 4 << 20;

impl LoadedPlugin {
    /// Links a component. Otherwise returns the reason why it cannot be linked.
    pub fn link(engine: &PluginEngine, component: Component, world: PluginWorld) -> Result<Self, String> {
        let pre = match world {
            PluginWorld::Mapper => {
                engine.mappers.instantiate_pre(&component).and_then(MapperPre::new).map(LinkedWorld::Mapper)
            }
            PluginWorld::Domain => {
                engine.domains.instantiate_pre(&component).and_then(DomainPre::new).map(LinkedWorld::Domain)
            }
            PluginWorld::Platform => {
                engine.platforms.instantiate_pre(&component).and_then(PlatformPre::new).map(LinkedWorld::Platform)
            }
        };
        let pre = pre.map_err(|error| link_error(&component, &error))?;
        Ok(Self { engine: engine.wasmtime.clone(), component, pre })
    }

    fn instantiate(&self, store: &mut Store<StoreState>) -> wasmtime::Result<Bindings> {
        Ok(match &self.pre {
            LinkedWorld::Mapper(pre) => Bindings::Mapper(pre.instantiate(store)?),
            LinkedWorld::Domain(pre) => Bindings::Domain(pre.instantiate(store)?),
            LinkedWorld::Platform(pre) => Bindings::Platform(pre.instantiate(store)?),
        })
    }

    /// Reads the plugin's description in a store of its own that has seen no record. Otherwise returns the reason why it is
    /// refused.
    pub fn describe(&self, limits: &PluginLimits, channel: &SharedChannel) -> Result<Description, String> {
        let failed = |error: &wasmtime::Error, state: &mut StoreState| {
            // The plugin has seen no record that the message could quote.
            let CallFailure { cause, message } = classify(error, state);
            format!("it broke when asked to describe itself ({}): {message}", cause.code())
        };
        let context = Context { migration: vec![0; 16], registered_on: "1970-01-01".into() };
        let mut store = new_store(&self.engine, limits, channel, &context, b"");
        store.set_hostcall_fuel(limits.output_bytes.min(MAX_DESCRIPTION_BYTES));
        let bindings = self.instantiate(&mut store).map_err(|error| {
            // The types of exports are compared with the contract after the instantiation, and not when the component is
            // linked.
            if store.data().limits.denied || is_out_of_memory(&error) || is_from_guest(&error) {
                failed(&error, store.data_mut())
            } else {
                link_error(&self.component, &error)
            }
        })?;
        let description = match &bindings {
            Bindings::Mapper(mapper) => {
                let described = mapper.sluice_plugin_mapping().call_describe(&mut store);
                described.map(|description| Description::Mapper(description.into()))
            }
            Bindings::Domain(domain) => {
                let described = domain.sluice_plugin_validation().call_describe(&mut store);
                described.map(|description| Description::Domain(description.into()))
            }
            Bindings::Platform(platform) => {
                let described = platform.sluice_plugin_calling().call_describe(&mut store);
                described.map(|description| Description::Platform(Box::new(description.into())))
            }
        };
        description.map_err(|error| failed(&error, store.data_mut()))
    }

    /// Calls the plugin on a batch, in a new store.
    pub fn call(&self, request: CallRequest<'_>, channel: &SharedChannel) -> CallReturn {
        let CallRequest { call, context, batch, limits } = request;
        let mut store = new_store(&self.engine, &limits, channel, &context, &batch.bytes);
        let (result, not_instantiated) = match self.instantiate(&mut store) {
            Err(error) => (Err(classify(&error, store.data_mut())), true),
            Ok(bindings) => {
                store.data_mut().lookups = true;
                let returned = Self::call_in(&mut store, &bindings, call, context.into_owned(), batch.into_owned());
                (returned.map_err(|error| classify(&error, store.data_mut())), false)
            }
        };
        let mut state = store.into_data();
        CallReturn {
            result,
            logs: std::mem::take(&mut state.logs),
            dropped_logs: state.dropped_logs,
            memory_bytes: state.limits.memory_bytes(),
            not_instantiated,
        }
    }

    fn call_in(
        store: &mut Store<StoreState>,
        bindings: &Bindings,
        call: PluginCall,
        context: Context,
        batch: Batch,
    ) -> wasmtime::Result<CallValue> {
        let context = types::Context { migration: context.migration, registered_on: context.registered_on };
        let (context, batch) = (&context, &types::Batch { bytes: batch.bytes, ends: batch.ends });
        Ok(match (bindings, call) {
            (Bindings::Mapper(mapper), PluginCall::Transform(source)) => {
                let mapping = mapper.sluice_plugin_mapping();
                CallValue::Transformed(mapping.call_transform(store, context, &source, batch)?.into())
            }
            (Bindings::Domain(domain), PluginCall::Validate(entity_type, migration)) => {
                let scope = if migration { Scope::Migration } else { Scope::Record };
                let validation = domain.sluice_plugin_validation();
                CallValue::Validated(validation.call_validate(store, context, &entity_type, scope, batch)?.into())
            }
            (Bindings::Domain(domain), PluginCall::Plan(entity_type)) => {
                let importing = domain.sluice_plugin_importing();
                CallValue::Planned(importing.call_plan(store, context, &entity_type, batch)?.into())
            }
            (Bindings::Domain(domain), PluginCall::Generate(entity_type)) => {
                let importing = domain.sluice_plugin_importing();
                CallValue::Generated(importing.call_generate(store, context, &entity_type, batch)?.into())
            }
            (Bindings::Platform(platform), PluginCall::PlanCalls(settings, every_step, kind)) => {
                let flow = if every_step { Flow::EveryStep } else { Flow::Fewest };
                let calling = platform.sluice_plugin_calling();
                CallValue::CallPlans(calling.call_plan(store, context, &settings, flow, &kind, batch)?.into())
            }
            _ => wasmtime::bail!("the function belongs to another world than the plugin"),
        })
    }
}

/// Returns a store with all limits. Its clock stands still at the day of the migration's registration.
fn new_store(
    engine: &wasmtime::Engine,
    limits: &PluginLimits,
    channel: &SharedChannel,
    context: &Context,
    records: &[u8],
) -> Store<StoreState> {
    let midnight = context.registered_on.parse::<jiff::civil::Date>().ok();
    let now = midnight.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let now = now.and_then(|midnight| midnight.timestamp().as_duration().try_into().ok()).unwrap_or_default();
    let mut store = Store::new(engine, StoreState::new(limits, channel, now, seed(context, records)));
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(limits.output_bytes);
    store.set_max_component_handles(MAX_HANDLES);
    store
}

/// Number of bytes at the start and at the end of a batch from which the random seed is derived.
const SEED_BYTES: usize = 256;

/// Returns the random seed of a batch, derived from the migration and the batch. The same batch gets the same random
/// numbers again, and another batch gets others. Both ends of a batch distinguish it as well as the whole would, and are
/// hashed faster.
fn seed(context: &Context, records: &[u8]) -> [u8; 16] {
    let (front, back) = (records.len().min(SEED_BYTES), records.len().saturating_sub(SEED_BYTES));
    let length = (records.len() as u64).to_le_bytes();
    let drawn = Digest::of(&[&context.migration, &length[..], &records[..front], &records[back..]].concat());
    *drawn.bytes().first_chunk().expect("a digest has 32 bytes")
}
