//! A plugin prepared for one upload or job. Each call runs in a store of its own.
//!
//! So the output of a batch depends on the batch, the lookups and the context alone. A plugin cannot carry state from
//! one batch to the next, and a batch that runs again gives the same bytes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use super::bindings::types;
use super::classify::classify;
use super::engine::{Engine, Runner};
use super::inspect::link_error;
use super::isolate::{CallError, Isolated, isolate};
use super::state::{PluginLogEntry, State};
use super::usage::Usage;
use sluice_config::PluginLimits;
use sluice_contract::output_validation::slice;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, Confidential, PluginError, PluginFailure};
use sluice_model::{Digest, PluginTitle};

/// Result of a call that returned: its output, or the reason why the output does not fit the input.
pub(super) type Returned<T> = wasmtime::Result<Result<T, (Cause, String)>>;

/// A function that calls a plugin of a world on a batch.
pub(super) type Call<'a, B, T> = dyn FnMut(&B, &mut Store<State>, &types::Context, &types::Batch) -> Returned<T> + 'a;

/// A function that makes the bindings of a plugin in a new store.
pub(super) type Instantiate<'a, B> = dyn Fn(&mut Store<State>) -> wasmtime::Result<B> + 'a;

/// A plugin prepared for one upload or job.
pub(super) struct Instance {
    engine: Arc<Engine>,
    wasmtime: wasmtime::Engine,
    limits: PluginLimits,
    title: PluginTitle,
    digest: Digest,
    context: Context,
    usage: Usage,
    logs: PluginLogs,
}

/// Log entries of a plugin for a batch.
#[derive(Default)]
pub(super) struct PluginLogs {
    /// Entries within the limit.
    pub kept: Vec<PluginLogEntry>,
    /// Number of entries beyond the limit.
    pub dropped: u64,
}

impl Instance {
    /// Returns an instance without a store. Each call makes its own store.
    pub fn new(
        (engine, wasmtime): (&Arc<Engine>, &wasmtime::Engine),
        limits: &PluginLimits,
        title: PluginTitle,
        digest: Digest,
        context: Context,
        usage: &Usage,
    ) -> Self {
        let (engine, wasmtime, limits, usage) = (engine.clone(), wasmtime.clone(), limits.clone(), usage.clone());
        Self { engine, wasmtime, limits, title, digest, context, usage, logs: PluginLogs::default() }
    }

    /// Makes `call` on a batch. If it fails, searches for the records at which the plugin fails.
    pub fn isolated<B, T>(
        &mut self,
        batch: &Batch,
        instantiate: &Instantiate<B>,
        call: &mut Call<'_, B, T>,
    ) -> Result<(Isolated<T>, PluginLogs), PluginError> {
        let (usage, digest, limits) = (self.usage.clone(), self.digest, self.limits.clone());
        usage.of(digest, |used| used.begin(batch.ends.len() as u64, &self.title, &limits))?;
        self.logs = PluginLogs::default();
        let note = |failure: &PluginFailure, alone| usage.of(digest, |used| used.note(failure, alone, &limits));
        let packed = types::Batch { bytes: batch.bytes.clone(), ends: batch.ends.clone() };
        let work = |part, whole| self.call(&packed, &part, whole, instantiate, call);
        let isolated = isolate(batch.ends.len(), note, work)?;
        Ok((isolated, std::mem::take(&mut self.logs)))
    }

    /// Calls the plugin on a part of a batch, in a new store. `whole` is true if the part is the batch.
    fn call<B, T>(
        &mut self,
        batch: &types::Batch,
        part: &Range<usize>,
        whole: bool,
        instantiate: &Instantiate<B>,
        call: &mut Call<'_, B, T>,
    ) -> Result<T, CallError> {
        let limits = &self.limits;
        let in_time = self.usage.of(self.digest, |used| used.check_time(&self.title, limits));
        in_time.map_err(CallError::Fatal)?;
        let engine = self.engine.clone();
        let permit = engine.stores.acquire();
        let began = Instant::now();
        let limit = if whole { limits.batch_millis } else { limits.narrowing_millis };
        let cut;
        let batch = if whole {
            batch
        } else {
            let (bytes, ends) = slice(&batch.bytes, &batch.ends, part);
            cut = types::Batch { bytes, ends };
            &cut
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
        let failed = match returned {
            Ok(Ok(result)) => Ok(result),
            Ok(Err((cause, message))) => Err((cause, Confidential::new(&message))),
            Err(error) => Err(classify(&error, store.data_mut())),
        };
        let mut state = store.into_data();
        drop(permit);
        self.usage.of(self.digest, |used| used.spend(began.elapsed(), state.limits.memory_bytes()));
        // The host calls the plugin again on the halves of a failed part, and the plugin repeats its log entries.
        if failed.is_ok() || part.len() == 1 {
            self.take_logs(&mut state, part);
        }
        failed.map_err(|(cause, message)| match state.unavailable {
            Some(why) => CallError::Fatal(PluginError::Lookup(why)),
            None => {
                let (plugin, digest) = (self.title.clone(), self.digest);
                CallError::Plugin(PluginFailure { plugin, digest, cause, message })
            }
        })
    }

    /// Adds the log entries of a part to those of the batch, up to the batch's limit.
    fn take_logs(&mut self, state: &mut State, part: &Range<usize>) {
        let PluginLogs { kept, dropped } = &mut self.logs;
        let room = self.limits.log_entries.saturating_sub(kept.len());
        *dropped += state.dropped_logs + state.logs.len().saturating_sub(room) as u64;
        for mut said in state.logs.drain(..).take(room) {
            // A position outside the part can carry other data, so the entry loses it.
            said.position = said.position.filter(|position| (*position as usize) < part.len());
            said.position = said.position.map(|position| position + part.start as u32);
            kept.push(said);
        }
    }
}

/// Makes a store with all limits. Its clock stands at midnight (UTC) of the migration's registration date.
fn new_store(engine: &wasmtime::Engine, limits: &PluginLimits, context: &Context, records: &[u8]) -> Store<State> {
    let midnight = context.registered_on.parse::<jiff::civil::Date>().ok();
    let now = midnight.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let now = now.and_then(|midnight| midnight.timestamp().as_duration().try_into().ok()).unwrap_or_default();
    let mut store = Store::new(engine, State::new(limits, now, seed(context, records)));
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(limits.output_bytes);
    store.set_max_component_handles(MAX_HANDLES);
    store
}

/// Number of bytes at the front and at the end of a batch that its random seed depends on.
const SEED_BYTES: usize = 256;

/// Returns the random seed of a batch, derived from the migration and the batch. The same batch gets the same random
/// numbers again, and another batch gets other ones, such as other ids. Both ends and the length of a batch distinguish
/// it from other batches as well as all of its bytes, and are read in constant time.
fn seed(context: &Context, records: &[u8]) -> [u8; 16] {
    let (front, back) = (records.len().min(SEED_BYTES), records.len().saturating_sub(SEED_BYTES));
    let length = (records.len() as u64).to_le_bytes();
    let drawn = Digest::of(&[&context.migration, &length[..], &records[..front], &records[back..]].concat());
    *drawn.bytes().first_chunk().expect("a digest has 32 bytes")
}

/// Maximum number of handles of a store, for streams, clocks and the like. Each handle takes some hundred bytes of the
/// host's memory. A guest with a standard library has a handful.
const MAX_HANDLES: usize = 10_000;

/// Maximum size of a description in bytes. Enough for a few thousand codes and names of fields.
const MAX_DESCRIPTION_BYTES: usize = 4 << 20;

/// Reads a plugin's description in a new store that has received no record, and checks it.
pub(super) fn described<D, C>(
    engine: &Engine,
    runner: &Runner,
    name: &str,
    describe: impl FnOnce(&mut Store<State>) -> wasmtime::Result<D>,
    check: impl FnOnce(D) -> Result<C, String>,
) -> Result<C, PluginError> {
    let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
    let context = Context { migration: vec![0; 16], registered_on: "1970-01-01".into() };
    let _permit = engine.stores.acquire();
    let mut store = new_store(&runner.wasmtime, &engine.limits, &context, b"");
    store.set_epoch_deadline(engine.ticks(engine.limits.batch_millis));
    store.set_hostcall_fuel(engine.limits.output_bytes.min(MAX_DESCRIPTION_BYTES));
    let description = describe(&mut store).map_err(|error| {
        // wasmtime detects an export whose type differs from the contract when it binds the export, not when it links.
        if format!("{error:#}").contains("failed to convert function to given type") {
            return link_error(name, &error);
        }
        let (cause, message) = classify(&error, store.data_mut());
        // The plugin has received no record, so the message cannot quote one.
        let message = message.for_quarantine();
        refused(format!("it broke when asked to describe itself ({}): {message}", cause.code()))
    })?;
    check(description).map_err(|reason| refused(format!("its description is wrong: {reason}")))
}
