//! A plugin at work: a store that lives as long as an upload or a job, and is thrown away when a call fails.

use std::ops::Range;
use std::sync::Arc;

use wasmtime::Store;

use super::bindings::types::{Batch, Context};
use super::engine::Engine;
use super::failure::{Cause, Confidential, PluginError, PluginFailure, classify};
use super::isolate::{CallError, Isolated, Tolerance, isolate};
use super::mapper::slice;
use super::state::{SaidLog, State};
use crate::config::PluginLimits;
use crate::model::{Digest, Title};

/// What a call comes to that returned: a result, or why it does not fit what was given.
pub(super) type Returned<T> = wasmtime::Result<Result<T, (Cause, String)>>;

/// One call into a plugin of a world, on a batch.
pub(super) type Call<'a, B, T> = dyn FnMut(&B, &mut Store<State>, &Context, &Batch) -> Returned<T> + 'a;

/// A plugin at work; `B` is its world's bindings.
pub(super) struct Instance<B> {
    engine: Arc<Engine>,
    limits: PluginLimits,
    title: Title,
    digest: Digest,
    context: Context,
    live: Option<(Store<State>, B)>,
    tolerance: Tolerance,
    /// Most that a memory of it has grown to.
    memory_bytes: usize,
    /// What it logged since this was last taken.
    pub logs: Vec<SaidLog>,
}

impl<B> Instance<B> {
    /// Not yet instantiated: that is done with the first call, and after each that failed.
    pub fn new(
        engine: &Arc<Engine>,
        limits: &PluginLimits,
        title: Title,
        digest: Digest,
        context: Context,
    ) -> Self {
        let (engine, limits) = (engine.clone(), limits.clone());
        let tolerance = Tolerance::new(&limits);
        Self { engine, limits, title, digest, context, live: None, tolerance, memory_bytes: 0, logs: vec![] }
    }

    /// Most that a memory of any of its stores has grown to, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Makes `call` on a batch; what breaks the plugin is narrowed down to its records.
    pub fn isolated<T>(
        &mut self,
        batch: &Batch,
        instantiate: &dyn Fn(&mut Store<State>) -> wasmtime::Result<B>,
        call: &mut Call<'_, B, T>,
    ) -> Result<Isolated<T>, PluginError> {
        let mut tolerance = self.tolerance.clone();
        let isolated =
            isolate(batch.ends.len(), &mut tolerance, |part, whole| self.call(batch, &part, whole, instantiate, call));
        self.tolerance = tolerance;
        isolated
    }

    fn call<T>(
        &mut self,
        batch: &Batch,
        part: &Range<usize>,
        whole: bool,
        instantiate: &dyn Fn(&mut Store<State>) -> wasmtime::Result<B>,
        call: &mut Call<'_, B, T>,
    ) -> Result<T, CallError> {
        let limits = &self.limits;
        let (store, bindings) = match self.live.take() {
            Some(live) => self.live.insert(live),
            None => {
                let mut store = new_store(&self.engine, limits, &self.context);
                let bindings = instantiate(&mut store).map_err(|error| {
                    let (cause, _) = classify(&error, store.data_mut());
                    CallError::Fatal(PluginError::NotInstantiated { plugin: self.title.clone(), code: cause.code() })
                })?;
                self.live.insert((store, bindings))
            }
        };
        let limit = if whole { limits.batch_millis } else { limits.narrowing_millis };
        store.set_epoch_deadline(self.engine.ticks(limit));
        let cut;
        let batch = if whole {
            batch
        } else {
            cut = slice(batch, part);
            &cut
        };
        let returned = call(bindings, store, &self.context, batch);
        self.memory_bytes = self.memory_bytes.max(store.data().limits.memory_used);
        for mut said in store.data_mut().logs.drain(..) {
            // A number beyond the part is no position, and could be anything else.
            said.position = said.position.filter(|position| (*position as usize) < part.len());
            said.position = said.position.map(|position| position + part.start as u32);
            self.logs.push(said);
        }
        let (cause, message) = match returned {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err((cause, message))) => (cause, Confidential::new(&message)),
            Err(error) => classify(&error, store.data_mut()),
        };
        let failure = PluginFailure { plugin: self.title.clone(), digest: self.digest, cause, message };
        // A store that has failed is not used again: what is left in it is anybody's guess.
        let unavailable = self.live.take().and_then(|(store, _)| store.into_data().unavailable);
        Err(unavailable.map_or(CallError::Plugin(failure), |why| CallError::Fatal(PluginError::Lookup(why))))
    }
}

/// A store with all limits, whose clock stands at the migration's registration.
fn new_store(engine: &Engine, limits: &PluginLimits, context: &Context) -> Store<State> {
    let midnight = context.registered_on.parse::<jiff::civil::Date>().ok();
    let now = midnight.and_then(|day| day.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let now = now.and_then(|midnight| midnight.timestamp().as_duration().try_into().ok()).unwrap_or_default();
    let seed = context.migration.as_slice().try_into().unwrap_or_default();
    let mut store = Store::new(&engine.wasmtime, State::new(limits, now, seed));
    store.limiter(|state| &mut state.limits);
    store.set_hostcall_fuel(limits.output_bytes);
    store.set_epoch_deadline(engine.ticks(limits.batch_millis));
    store
}

/// Asks a plugin to describe itself, in a store of its own that has seen no record, and checks what it says.
pub(super) fn described<D, C>(
    engine: &Engine,
    name: &str,
    describe: impl FnOnce(&mut Store<State>) -> wasmtime::Result<D>,
    check: impl FnOnce(D) -> Result<C, String>,
) -> Result<C, PluginError> {
    let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
    let context = Context { migration: vec![0; 16], registered_on: "1970-01-01".into() };
    let mut store = new_store(engine, &engine.limits, &context);
    let description = describe(&mut store).map_err(|error| {
        let (cause, message) = classify(&error, store.data_mut());
        // It has seen no record that it could quote.
        let message = message.for_quarantine();
        refused(format!("it broke when asked to describe itself ({}): {message}", cause.code()))
    })?;
    check(description).map_err(|reason| refused(format!("its description is wrong: {reason}")))
}
