//! A plugin at work. Each call has a new store in a worker.
//!
//! So the output for a batch depends only on the batch, the lookups and the context. A plugin cannot keep state between
//! batches, and the same batch gives the same bytes again.

pub(crate) mod isolate;
pub(crate) mod log;
pub(crate) mod lookups;
pub(crate) mod usage;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{CompiledCode, Engine};
use crate::worker::Worker;
use crate::worker::pool::ATTEMPTS;
use isolate::{CallError, IsolationResult, isolate};
use log::{RawLog, RawLogEntry};
use lookups::Lookups;
use sluice_config::PluginLimits;
use sluice_contract::output_validation::slice;
use sluice_contract::wire::{Batch, Context};
use sluice_contract::{Cause, Confidential, PluginError, PluginFailure};
use sluice_model::{Digest, PluginTitle, Tenant};
use sluice_plugin_protocol::{
    CallRequest, CallReturn, CallValue, ChannelError, Description, PluginCall, PluginWorld, Rejection, Reply, Request,
};
use usage::Usage;

/// A plugin that is compiled and can be loaded by workers.
#[derive(Clone)]
pub(crate) struct CompiledPlugin {
    /// Engine that runs it.
    pub engine: Arc<Engine>,
    /// World of the plugin.
    pub world: PluginWorld,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Its code.
    pub code: Arc<CompiledCode>,
    /// Limits of its calls.
    pub limits: PluginLimits,
    /// Tenant whose records it gets. `None` while it is inspected, and for its author on the own machine.
    pub tenant: Option<Tenant>,
}

/// A plugin at work for one upload or job.
pub(crate) struct PluginInstance {
    plugin: CompiledPlugin,
    title: PluginTitle,
    context: Context,
    lookups: Lookups,
    usage: Usage,
    log: RawLog,
}

/// Bytes of a reply beyond the plugin's output: numbers, codes and log entries.
const REPLY_BYTES: usize = 4 << 20;

/// Time that a worker may take to send a result that it has, beyond the limit of the call.
const REPLY_TIME: Duration = Duration::from_millis(50);

impl PluginInstance {
    /// Returns an instance. Each call takes a worker from the pool.
    pub fn new(plugin: CompiledPlugin, title: PluginTitle, context: Context, lookups: Lookups, usage: &Usage) -> Self {
        Self { plugin, title, context, lookups, usage: usage.clone(), log: RawLog::default() }
    }

    /// Calls the plugin on a batch, and isolates the records on which it fails. `check` gets the value for a number of records,
    /// and returns the result, or the reason why the value does not fit the input.
    pub fn isolated<T>(
        &mut self,
        batch: &Batch,
        call: &PluginCall,
        check: impl Fn(CallValue, usize) -> Option<Result<T, (Cause, String)>>,
    ) -> Result<(IsolationResult<T>, RawLog), PluginError> {
        let (usage, digest, limits) = (self.usage.clone(), self.plugin.digest, self.plugin.limits.clone());
        usage.with(digest, |used| used.begin(batch.ends.len() as u64, &self.title, &limits))?;
        self.log = RawLog::default();
        let note = |failure: &PluginFailure, alone| usage.with(digest, |used| used.note(failure, alone, &limits));
        let work = |part: Range<usize>, whole| self.call(batch, &part, whole, call, &check);
        let isolated = isolate(batch.ends.len(), note, work)?;
        Ok((isolated, std::mem::take(&mut self.log)))
    }

    /// Calls the plugin on a part of a batch.
    fn call<T>(
        &mut self,
        batch: &Batch,
        part: &Range<usize>,
        whole: bool,
        call: &PluginCall,
        check: &impl Fn(CallValue, usize) -> Option<Result<T, (Cause, String)>>,
    ) -> Result<T, CallError> {
        let split;
        let batch = if whole {
            batch
        } else {
            let (bytes, ends) = slice(&batch.bytes, &batch.ends, part);
            split = Batch { bytes, ends };
            &split
        };
        let millis = if whole { self.plugin.limits.batch_millis } else { self.plugin.limits.narrowing_millis };
        let mut result = self.call_once(batch, part, millis, call, check);
        // The system may end a process by chance. Only a record on which two processes end is the cause.
        if part.len() == 1
            && let Err(CallError::Plugin(PluginFailure { cause: Cause::WorkerDied, .. })) = &result
        {
            result = self.call_once(batch, part, millis, call, check);
        }
        result
    }

    fn call_once<T>(
        &mut self,
        batch: &Batch,
        part: &Range<usize>,
        millis: u64,
        call: &PluginCall,
        check: &impl Fn(CallValue, usize) -> Option<Result<T, (Cause, String)>>,
    ) -> Result<T, CallError> {
        let limits = &self.plugin.limits;
        let in_time = self.usage.with(self.plugin.digest, |used| used.check_time(&self.title, limits));
        in_time.map_err(CallError::Fatal)?;
        let plugin = &self.plugin;
        let leased =
            plugin.engine.lease(plugin.tenant.as_ref(), plugin.digest, plugin.world, &plugin.code, &plugin.limits);
        let mut lease = leased.map_err(CallError::Fatal)?.map_err(|rejection| CallError::Fatal(stale(rejection)))?;
        let worker = lease.worker();
        worker.set_max_reply_bytes(limits.output_bytes.saturating_mul(2).saturating_add(REPLY_BYTES));
        let began = Instant::now();
        let deadline = began + Duration::from_millis(millis) + REPLY_TIME;
        let request = Request::Call(CallRequest {
            call: call.clone(),
            context: std::borrow::Cow::Borrowed(&self.context),
            batch: std::borrow::Cow::Borrowed(batch),
            limits: std::borrow::Cow::Borrowed(limits),
        });
        let mut unavailable = None;
        let returned = self.exchange(worker, &request, deadline, &mut unavailable);
        let (mut log, mut memory_bytes) = (None, 0);
        let result = match returned {
            Ok(CallReturn { result: Err(failure), not_instantiated: true, .. }) => {
                let (plugin, code) = (self.title.clone(), failure.cause.code());
                return Err(CallError::Fatal(PluginError::NotInstantiated { plugin, code }));
            }
            Ok(returned) => {
                let result = match returned.result {
                    Err(failure) => Err((failure.cause, failure.message)),
                    Ok(value) => check(value, part.len()).unwrap_or_else(|| {
                        worker.distrust();
                        Err((Cause::WorkerDied, "the worker answered with a value of another function".into()))
                    }),
                };
                // The log of a part that failed is discarded, because its halves log again.
                log = (result.is_ok() || part.len() == 1).then_some((returned.logs, returned.dropped_logs));
                memory_bytes = returned.memory_bytes.min(limits.memory_bytes as u64);
                result
            }
            Err(error) => {
                worker.distrust();
                let cause = match error {
                    ChannelError::TimedOut => Cause::TimedOut,
                    ChannelError::TooLong(_) => Cause::TooMuchOutput,
                    ChannelError::Closed | ChannelError::Malformed | ChannelError::System(_) => Cause::WorkerDied,
                };
                Err((cause, message_of(cause, millis)))
            }
        };
        drop(lease);
        self.usage.with(self.plugin.digest, |used| used.spend(began.elapsed(), memory_bytes));
        if let Some((logs, dropped)) = log {
            self.take_logs(logs, dropped, part);
        }
        result.map_err(|(cause, message)| match unavailable {
            Some(why) => CallError::Fatal(PluginError::Lookup(why)),
            None => {
                let (plugin, digest) = (self.title.clone(), self.plugin.digest);
                CallError::Plugin(PluginFailure { plugin, digest, cause, message: Confidential::new(&message) })
            }
        })
    }

    /// Sends a call, answers its lookups, and returns its result.
    fn exchange(
        &self,
        worker: &mut Worker,
        request: &Request<'_>,
        deadline: Instant,
        unavailable: &mut Option<sluice_model::Code>,
    ) -> Result<CallReturn, ChannelError> {
        worker.send(request, None, deadline)?;
        // The worker counts calls as well. It may be under the plugin's control.
        let mut lookups = 0;
        loop {
            match worker.receive(deadline)?.0 {
                Reply::Returned(returned) => return Ok(returned),
                Reply::Lookup(lookup) if lookups < self.plugin.limits.host_calls => {
                    lookups += 1;
                    let answer = self.lookups.answer(lookup, &self.plugin.limits, unavailable)?;
                    worker.send(&Request::LookupAnswer(answer), None, deadline)?;
                }
                _ => return Err(ChannelError::Malformed),
            }
        }
    }

    /// Adds the log entries of a part, up to the limit of the batch.
    fn take_logs(&mut self, logs: Vec<sluice_plugin_protocol::WireLogEntry>, dropped_logs: u64, part: &Range<usize>) {
        let RawLog { kept, dropped } = &mut self.log;
        let room = self.plugin.limits.log_entries.saturating_sub(kept.len());
        *dropped = dropped.saturating_add(dropped_logs).saturating_add(logs.len().saturating_sub(room) as u64);
        for entry in logs.into_iter().take(room) {
            // A number beyond the part is no position and could be data of a record.
            let within = entry.position.filter(|position| (*position as usize) < part.len());
            let position = within.map(|at| at + position(part.start));
            kept.push(RawLogEntry { level: entry.level, code: Confidential::word(&entry.code), position });
        }
    }
}

/// Returns the message of a call that has none of the plugin's.
fn message_of(cause: Cause, millis: u64) -> String {
    match cause {
        Cause::TimedOut => format!("the call took more than {millis} milliseconds"),
        Cause::TooMuchOutput => "the result is longer than the plugin's limit (output_bytes)".into(),
        _ => "the process that ran the plugin ended: it exceeded a limit of its process, or the system ended it".into(),
    }
}

/// Returns the error of code that a worker does not load, although it was loaded before.
fn stale(rejection: Rejection) -> PluginError {
    let (Rejection::Component(reason) | Rejection::StaleCode(reason)) = rejection;
    PluginError::Engine(format!("the code of a plugin cannot be loaded: {reason}"))
}

/// Loads a component's code in a worker and reads the plugin's description. Compiles the component anew if its code is of
/// another engine.
pub(crate) fn described<C>(
    engine: &Arc<Engine>,
    name: &str,
    source: PluginSource<'_>,
    world: PluginWorld,
    check: impl FnOnce(Description) -> Option<Result<C, String>>,
) -> Result<(CompiledPlugin, C), PluginError> {
    let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
    let PluginSource { owner, digest, bytes, mut code } = source;
    let limits = engine.limits.clone();
    let (mut is_new, mut attempt) = (false, 1);
    let description = loop {
        let mut lease = match engine.lease(owner, digest, world, &code, &limits)? {
            Ok(lease) => lease,
            Err(Rejection::StaleCode(_)) if !is_new => {
                code = engine.compile_anew(name, owner, digest, bytes, true)?;
                is_new = true;
                continue;
            }
            Err(Rejection::Component(reason) | Rejection::StaleCode(reason)) => return Err(refused(reason)),
        };
        let worker = lease.worker();
        let deadline = Instant::now() + Duration::from_millis(limits.batch_millis) + REPLY_TIME;
        worker.set_max_reply_bytes(limits.output_bytes.saturating_add(REPLY_BYTES));
        let sent = worker.send(&Request::Describe { limits: limits.clone() }, None, deadline);
        match sent.and_then(|()| worker.receive(deadline)) {
            Ok((Reply::Described(description), _)) => break description,
            Ok((Reply::Rejected(Rejection::Component(reason)), _)) => return Err(refused(reason)),
            Ok(_) => return Err(PluginError::Engine("a plugin worker answered something else".into())),
            // The system may end a process by chance.
            Err(ChannelError::Closed) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => {
                let cause = if matches!(error, ChannelError::TimedOut) { Cause::TimedOut } else { Cause::WorkerDied };
                let message = message_of(cause, limits.batch_millis);
                return Err(refused(format!("it broke when asked to describe itself ({}): {message}", cause.code())));
            }
        }
    };
    let checked = check(description).unwrap_or_else(|| Err("it is of another world".into()));
    let checked = checked.map_err(|reason| refused(format!("its description is wrong: {reason}")))?;
    Ok((CompiledPlugin { engine: engine.clone(), world, digest, code, limits, tenant: None }, checked))
}

/// A component with its compiled code.
pub(crate) struct PluginSource<'a> {
    /// Tenant that pushed the component. `None` stands for the operator.
    pub owner: Option<&'a Tenant>,
    /// SHA-256 of the component.
    pub digest: Digest,
    /// The component.
    pub bytes: &'a [u8],
    /// Its code.
    pub code: Arc<CompiledCode>,
}

/// Converts an index in a batch to a position.
pub(crate) fn position(index: usize) -> u32 {
    u32::try_from(index).expect("a batch has fewer than 2^32 records")
}
