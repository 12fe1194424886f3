//! A plugin at work: a store for each call, thrown away with it.
//!
//! So what comes out of a batch follows from that batch, the lookups and the context alone: no plugin can carry
//! anything over to the next, and a batch that is run again gives the same bytes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use super::bindings::types;
use super::classify::classify;
use super::engine::{Engine, Runner};
use super::inspect::link_error;
use super::isolate::{CallError, Isolated, isolate};
use super::state::{SaidLog, State};
use super::usage::Usage;
use sluice_config::PluginLimits;
use sluice_contract::output_validation::slice;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, Confidential, PluginError, PluginFailure};
use sluice_model::{Digest, Title};

/// What a call comes to that returned: a result, or why it does not fit what was given.
pub(super) type Returned<T> = wasmtime::Result<Result<T, (Cause, String)>>;

/// One call into a plugin of a world, on a batch.
pub(super) type Call<'a, B, T> = dyn FnMut(&B, &mut Store<State>, &types::Context, &types::Batch) -> Returned<T> + 'a;

/// Makes the bindings of a plugin in a new store.
pub(super) type Instantiate<'a, B> = dyn Fn(&mut Store<State>) -> wasmtime::Result<B> + 'a;

/// A plugin at work.
pub(super) struct Instance {
    engine: Arc<Engine>,
    wasmtime: wasmtime::Engine,
    limits: PluginLimits,
    title: Title,
    digest: Digest,
    context: Context,
    usage: Usage,
    logs: SaidLogs,
}

/// What a plugin logged for a batch.
#[derive(Default)]
pub(super) struct SaidLogs {
    pub kept: Vec<SaidLog>,
    pub dropped: u64,
}

impl Instance {
    /// Not yet instantiated: that is done with each call.
    pub fn new(
        (engine, wasmtime): (&Arc<Engine>, &wasmtime::Engine),
        limits: &PluginLimits,
        title: Title,
        digest: Digest,
        context: Context,
        usage: &Usage,
    ) -> Self {
        let (engine, wasmtime, limits, usage) = (engine.clone(), wasmtime.clone(), limits.clone(), usage.clone());
        Self { engine, wasmtime, limits, title, digest, context, usage, logs: SaidLogs::default() }
    }

    /// Makes `call` on a batch; what breaks the plugin is narrowed down to its records.
    pub fn isolated<B, T>(
        &mut self,
        batch: &Batch,
        instantiate: &Instantiate<B>,
        call: &mut Call<'_, B, T>,
    ) -> Result<(Isolated<T>, SaidLogs), PluginError> {
        let (usage, digest, limits) = (self.usage.clone(), self.digest, self.limits.clone());
        usage.of(digest, |used| used.begin(batch.ends.len() as u64, &self.title, &limits))?;
        self.logs = SaidLogs::default();
        let note = |failure: &PluginFailure, alone| usage.of(digest, |used| used.note(failure, alone, &limits));
        let packed = types::Batch { bytes: batch.bytes.clone(), ends: batch.ends.clone() };
        let work = |part, whole| self.call(&packed, &part, whole, instantiate, call);
        let isolated = isolate(batch.ends.len(), note, work)?;
        Ok((isolated, std::mem::take(&mut self.logs)))
    }

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
        let room = engine.rooms.take();
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
        drop(room);
        self.usage.of(self.digest, |used| used.spend(began.elapsed(), state.limits.memory_bytes()));
        // A part that failed is run again in halves, and says again what it has to say.
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

    /// Takes over what was logged of a part, as far as the batch may log.
    fn take_logs(&mut self, state: &mut State, part: &Range<usize>) {
        let SaidLogs { kept, dropped } = &mut self.logs;
        let room = self.limits.log_entries.saturating_sub(kept.len());
        *dropped += state.dropped_logs + state.logs.len().saturating_sub(room) as u64;
        for mut said in state.logs.drain(..).take(room) {
            // A number beyond the part is no position, and could be anything else.
            said.position = said.position.filter(|position| (*position as usize) < part.len());
            said.position = said.position.map(|position| position + part.start as u32);
            kept.push(said);
        }
    }
}

/// A store with all limits, whose clock stands at the migration's registration.
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

/// Bytes at the front and at the end of a batch that its randomness follows from.
const SEED_BYTES: usize = 256;

/// What a batch's randomness follows from: the migration and the batch, so that the same is drawn for the same batch
/// again, and something else, such as another id, for another. Both ends of a batch tell it from others as well as all of
/// it would, and are read in no time.
fn seed(context: &Context, records: &[u8]) -> [u8; 16] {
    let (front, back) = (records.len().min(SEED_BYTES), records.len().saturating_sub(SEED_BYTES));
    let length = (records.len() as u64).to_le_bytes();
    let drawn = Digest::of(&[&context.migration, &length[..], &records[..front], &records[back..]].concat());
    *drawn.bytes().first_chunk().expect("a digest has 32 bytes")
}

/// Handles that a store may hold, of streams, clocks and the like: each is some hundred bytes of the host's. A guest with
/// a standard library has a handful.
const MAX_HANDLES: usize = 10_000;

/// Bytes of a description: a few thousand codes and names of fields.
const MAX_DESCRIPTION_BYTES: usize = 4 << 20;

/// Asks a plugin to describe itself, in a store of its own that has seen no record, and checks what it says.
pub(super) fn described<D, C>(
    engine: &Engine,
    runner: &Runner,
    name: &str,
    describe: impl FnOnce(&mut Store<State>) -> wasmtime::Result<D>,
    check: impl FnOnce(D) -> Result<C, String>,
) -> Result<C, PluginError> {
    let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
    let context = Context { migration: vec![0; 16], registered_on: "1970-01-01".into() };
    let _room = engine.rooms.take();
    let mut store = new_store(&runner.wasmtime, &engine.limits, &context, b"");
    store.set_epoch_deadline(engine.ticks(engine.limits.batch_millis));
    store.set_hostcall_fuel(engine.limits.output_bytes.min(MAX_DESCRIPTION_BYTES));
    let description = describe(&mut store).map_err(|error| {
        // An export of another shape than the contract's is found out when it is bound, not when it is linked.
        if format!("{error:#}").contains("failed to convert function to given type") {
            return link_error(name, &error);
        }
        let (cause, message) = classify(&error, store.data_mut());
        // It has seen no record that it could quote.
        let message = message.for_quarantine();
        refused(format!("it broke when asked to describe itself ({}): {message}", cause.code()))
    })?;
    check(description).map_err(|reason| refused(format!("its description is wrong: {reason}")))
}
