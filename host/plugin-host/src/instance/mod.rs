//! A plugin at work. Each call has a new store.
//!
//! So the output for a batch depends only on the batch, the lookups and the context. A plugin cannot keep state between
//! batches, and the same batch gives the same bytes again.

pub(crate) mod classify;
pub(crate) mod isolate;
pub(crate) mod log;
pub(crate) mod state;
pub(crate) mod store_limits;
pub(crate) mod usage;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::Component;

use crate::bindings::types;
use crate::engine::wasmtime_errors::is_from_guest;
use crate::engine::{Engine, EngineVariant};
use crate::inspect::link_error::link_error;
use classify::classify;
use isolate::{CallError, IsolationResult, isolate};
use log::RawLog;
use sluice_config::PluginLimits;
use sluice_contract::output_validation::slice;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, Confidential, PluginError, PluginFailure};
use sluice_model::{Digest, PluginTitle};
use state::StoreState;
use usage::Usage;

/// Output of a call that returned: a result, or the reason why it does not fit the input.
pub(crate) type CallOutput<T> = wasmtime::Result<Result<T, (Cause, String)>>;

/// One call into a plugin of a world, on a batch.
pub(crate) type PluginCall<'a, B, T> =
    dyn FnMut(&B, &mut Store<StoreState>, &types::Context, &types::Batch) -> CallOutput<T> + 'a;

/// Creation of a plugin's bindings in a new store.
pub(crate) type Instantiate<'a, B> = dyn Fn(&mut Store<StoreState>) -> wasmtime::Result<B> + 'a;

/// A plugin at work.
pub(crate) struct PluginInstance {
    engine: Arc<Engine>,
    wasmtime: wasmtime::Engine,
    limits: PluginLimits,
    title: PluginTitle,
    digest: Digest,
    context: Context,
    usage: Usage,
    log: RawLog,
}

impl PluginInstance {
    /// Returns an instance. The component is instantiated with each call.
    pub fn new(
        (engine, wasmtime): (&Arc<Engine>, &wasmtime::Engine),
        limits: &PluginLimits,
        title: PluginTitle,
        digest: Digest,
        context: Context,
        usage: &Usage,
    ) -> Self {
        let (engine, wasmtime, limits, usage) = (engine.clone(), wasmtime.clone(), limits.clone(), usage.clone());
        Self { engine, wasmtime, limits, title, digest, context, usage, log: RawLog::default() }
    }

    /// Runs `call` on a batch, and isolates the records on which the plugin fails.
    pub fn isolated<B, T>(
        &mut self,
        batch: &Batch,
        instantiate: &Instantiate<B>,
        call: &mut PluginCall<'_, B, T>,
    ) -> Result<(IsolationResult<T>, RawLog), PluginError> {
        let (usage, digest, limits) = (self.usage.clone(), self.digest, self.limits.clone());
        usage.with(digest, |used| used.begin(batch.ends.len() as u64, &self.title, &limits))?;
        self.log = RawLog::default();
        let note = |failure: &PluginFailure, alone| usage.with(digest, |used| used.note(failure, alone, &limits));
        let packed = types::Batch { bytes: batch.bytes.clone(), ends: batch.ends.clone() };
        let work = |part, whole| self.call(&packed, &part, whole, instantiate, call);
        let isolated = isolate(batch.ends.len(), note, work)?;
        Ok((isolated, std::mem::take(&mut self.log)))
    }

    /// Runs `call` on a part of a batch, in a new store.
    fn call<B, T>(
        &mut self,
        batch: &types::Batch,
        part: &Range<usize>,
        whole: bool,
        instantiate: &Instantiate<B>,
        call: &mut PluginCall<'_, B, T>,
    ) -> Result<T, CallError> {
        let limits = &self.limits;
        let in_time = self.usage.with(self.digest, |used| used.check_time(&self.title, limits));
        in_time.map_err(CallError::Fatal)?;
        let engine = self.engine.clone();
        let permit = engine.stores.acquire();
        let began = Instant::now();
        let limit = if whole { limits.batch_millis } else { limits.narrowing_millis };
        let split;
        let batch = if whole {
            batch
        } else {
            let (bytes, ends) = slice(&batch.bytes, &batch.ends, part);
            split = types::Batch { bytes, ends };
            &split
        };
        let mut store = new_store(&self.wasmtime, limits, &self.context, &batch.bytes);
        store.set_epoch_deadline(self.engine.ticks(limit));
        let bindings = instantiate(&mut store).map_err(|error| {
            let (cause, _) = classify(&error, store.data_mut());
            CallError::Fatal(PluginError::NotInstantiated { plugin: self.title.clone(), code: cause.code() })
        })?;
        let context = types::Context {
            migration: self.context.migration.clone(),
            registered_on: self.context.registered_on.clone(),
        };
        let returned = call(&bindings, &mut store, &context, batch);
        let result = match returned {
            Ok(Ok(result)) => Ok(result),
            Ok(Err((cause, message))) => Err((cause, Confidential::new(&message))),
            Err(error) => Err(classify(&error, store.data_mut())),
        };
        let mut state = store.into_data();
        drop(permit);
        self.usage.with(self.digest, |used| used.spend(began.elapsed(), state.limits.memory_bytes()));
        // The log of a part that failed is discarded, because its halves log again.
        if result.is_ok() || part.len() == 1 {
            self.take_logs(&mut state, part);
        }
        result.map_err(|(cause, message)| match state.unavailable {
            Some(why) => CallError::Fatal(PluginError::Lookup(why)),
            None => {
                let (plugin, digest) = (self.title.clone(), self.digest);
                CallError::Plugin(PluginFailure { plugin, digest, cause, message })
            }
        })
    }

    /// Adds the log entries of a part, up to the limit of the batch.
    fn take_logs(&mut self, state: &mut StoreState, part: &Range<usize>) {
        let RawLog { kept, dropped } = &mut self.log;
        let room = self.limits.log_entries.saturating_sub(kept.len());
        *dropped += state.dropped_logs + state.logs.len().saturating_sub(room) as u64;
        for mut entry in state.logs.drain(..).take(room) {
            // A number beyond the part is no position and could be data of a record.
            entry.position = entry.position.filter(|position| (*position as usize) < part.len());
            entry.position = entry.position.map(|at| at + position(part.start));
            kept.push(entry);
        }
    }
}

/// Returns a store with all limits. Its clock stands still at the day of the migration's registration.
fn new_store(engine: &wasmtime::Engine, limits: &PluginLimits, context: &Context, records: &[u8]) -> Store<StoreState> {
    let midnight = context.registered_on.parse::<jiff::civil::Date>().ok();
    let now = midnight.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let now = now.and_then(|midnight| midnight.timestamp().as_duration().try_into().ok()).unwrap_or_default();
    let mut store = Store::new(engine, StoreState::new(limits, now, seed(context, records)));
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

/// Maximum number of handles of a store, of streams, clocks and the like. Each takes some hundred bytes of the host. A guest
/// with a standard library has a handful.
const MAX_HANDLES: usize = 10_000;

/// Maximum number of bytes of a description. A few thousand codes and names of fields fit.
const MAX_DESCRIPTION_BYTES: usize = 4 << 20;

/// Reads a plugin's description in a store of its own that has seen no record, and checks it.
pub(crate) fn described<B, D, C>(
    engine: &Engine,
    (component, variant): &(Component, &EngineVariant),
    name: &str,
    instantiate: impl FnOnce(&mut Store<StoreState>) -> wasmtime::Result<B>,
    describe: impl FnOnce(&B, &mut Store<StoreState>) -> wasmtime::Result<D>,
    check: impl FnOnce(D) -> Result<C, String>,
) -> Result<C, PluginError> {
    let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
    let failed = |error: &wasmtime::Error, state: &mut StoreState| {
        let (cause, message) = classify(error, state);
        // The plugin has seen no record that the message could quote.
        let message = message.for_quarantine();
        refused(format!("it broke when asked to describe itself ({}): {message}", cause.code()))
    };
    let context = Context { migration: vec![0; 16], registered_on: "1970-01-01".into() };
    let _permit = engine.stores.acquire();
    let mut store = new_store(&variant.wasmtime, &engine.limits, &context, b"");
    store.set_epoch_deadline(engine.ticks(engine.limits.batch_millis));
    store.set_hostcall_fuel(engine.limits.output_bytes.min(MAX_DESCRIPTION_BYTES));
    let bindings = instantiate(&mut store).map_err(|error| {
        // The types of exports are compared with the contract after the instantiation, and not when the component is
        // linked.
        if store.data().limits.denied || is_from_guest(&error) {
            failed(&error, store.data_mut())
        } else {
            link_error(name, component, &error)
        }
    })?;
    let description = describe(&bindings, &mut store).map_err(|error| failed(&error, store.data_mut()))?;
    check(description).map_err(|reason| refused(format!("its description is wrong: {reason}")))
}

/// Converts an index in a batch to a position.
pub(crate) fn position(index: usize) -> u32 {
    u32::try_from(index).expect("a batch has fewer than 2^32 records")
}
