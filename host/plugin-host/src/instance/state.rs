//! What stands behind a plugin's imports: lookups that were handed in, a log of codes, and a WASI that
//! gives nothing, with a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Result};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use super::bindings::log;
use super::bindings::types::{self, LookupError};
use super::bindings::{record_lookup, source_lookup};
use sluice_config::PluginLimits;
use sluice_contract::Confidential;
use sluice_contract::output_validation::unpack;
use sluice_contract::{Found, LookupRefusal, RecordLookup, SourceLookup};
use sluice_model::{Code, Level};

/// A plugin's log entry, as the plugin has it.
pub(super) struct SaidLog {
    pub level: Level,
    pub code: Confidential,
    /// Position of the record in the batch.
    pub position: Option<u32>,
}

/// What a store holds.
pub(super) struct State {
    pub limits: Limits,
    pub sources: Option<Arc<dyn SourceLookup>>,
    pub records: Option<Arc<dyn RecordLookup>>,
    pub logs: Vec<SaidLog>,
    /// Log entries beyond those that are kept.
    pub dropped_logs: u64,
    pub panic: Option<String>,
    /// A lookup that failed on the host's side: the plugin is not to blame.
    pub unavailable: Option<Code>,
    /// Calls into the host so far.
    calls: u64,
    stderr: MemoryOutputPipe,
    bounds: PluginLimits,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// Bytes of standard error that are kept for a message.
const STDERR_BYTES: usize = 4_096;

impl State {
    /// A state whose clock stands at `now` and whose randomness follows from `seed`.
    pub fn new(bounds: &PluginLimits, now: Duration, seed: [u8; 16]) -> Self {
        let stderr = MemoryOutputPipe::new(STDERR_BYTES);
        let random = |salt: u8| {
            let mut key = [salt; 32];
            key[..16].copy_from_slice(&seed);
            StdRng::from_seed(key)
        };
        let wasi = WasiCtx::builder()
            .stderr(stderr.clone())
            .secure_random(random(1))
            .insecure_random(random(2))
            .insecure_random_seed(u128::from_be_bytes(seed))
            .wall_clock(Stopped(now))
            .monotonic_clock(Stopped(Duration::ZERO))
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        let limits = Limits {
            memory: Allowance { left: bounds.memory_bytes, taken: 0 },
            table_elements: Allowance { left: bounds.table_elements, taken: 0 },
            denied: false,
        };
        Self {
            limits,
            sources: None,
            records: None,
            logs: vec![],
            dropped_logs: 0,
            calls: 0,
            panic: None,
            unavailable: None,
            stderr,
            bounds: bounds.clone(),
            wasi,
            table: ResourceTable::new(),
        }
    }

    /// What the plugin wrote to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.contents()).trim().to_owned()
    }

    /// Counts a call into the host; beyond what is allowed it ends the guest.
    fn count_call(&mut self) -> Result<()> {
        self.calls += 1;
        if self.too_many_calls() {
            wasmtime::bail!("it called the host more than {} times for one batch", self.bounds.host_calls);
        }
        Ok(())
    }

    /// Whether it has called the host more often than it may.
    pub fn too_many_calls(&self) -> bool {
        self.calls > self.bounds.host_calls
    }

    fn answer(&mut self, found: Result<Found, LookupRefusal>) -> Result<Result<types::Found, LookupError>> {
        Ok(match found {
            Ok(Found { answers, bytes, ends }) => Ok(types::Found { records: types::Batch { bytes, ends }, answers }),
            Err(refusal) => Err(self.refuse(refusal)),
        })
    }

    fn refuse(&mut self, refusal: LookupRefusal) -> LookupError {
        match refusal {
            LookupRefusal::UnknownName => LookupError::UnknownName,
            LookupRefusal::UnknownField => LookupError::UnknownField,
            LookupRefusal::TooLarge => LookupError::AnswerTooLarge,
            LookupRefusal::Unavailable(why) => {
                self.unavailable = Some(why);
                LookupError::Unavailable
            }
        }
    }

    fn ids(&self, ids: &[u8]) -> Result<Vec<[u8; 16]>, LookupError> {
        if ids.len() > self.bounds.lookup_keys * 16 {
            return Err(LookupError::TooManyKeys);
        }
        Ok(ids.chunks_exact(16).map(|id| id.try_into().expect("16 bytes")).collect())
    }
}

impl source_lookup::Host for State {
    fn find(&mut self, source: String, field: String, keys: types::Batch) -> Result<Result<types::Found, LookupError>> {
        self.count_call()?;
        let Some(sources) = self.sources.clone() else { return Ok(Err(LookupError::UnknownName)) };
        if keys.ends.len() > self.bounds.lookup_keys {
            return Ok(Err(LookupError::TooManyKeys));
        }
        let keys = keys.into();
        let Some(keys) = unpack(&keys) else {
            wasmtime::bail!("the keys of a lookup are not a batch: their ends do not fit their bytes");
        };
        let found = sources.find(&source, &field, &keys, self.bounds.lookup_bytes);
        self.answer(found)
    }
}

impl record_lookup::Host for State {
    fn exist(&mut self, entity_type: String, ids: Vec<u8>) -> Result<Result<Vec<u8>, LookupError>> {
        self.count_call()?;
        let Some(records) = self.records.clone() else { return Ok(Err(LookupError::UnknownName)) };
        Ok(match self.ids(&ids) {
            Ok(ids) => records.exist(&entity_type, &ids).map_err(|refusal| self.refuse(refusal)),
            Err(error) => Err(error),
        })
    }

    fn read(&mut self, entity_type: String, ids: Vec<u8>) -> Result<Result<types::Found, LookupError>> {
        self.count_call()?;
        let Some(records) = self.records.clone() else { return Ok(Err(LookupError::UnknownName)) };
        match self.ids(&ids) {
            Ok(ids) => {
                let found = records.read(&entity_type, &ids, self.bounds.lookup_bytes);
                self.answer(found)
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn referring(
        &mut self,
        entity_type: String,
        field: String,
        ids: Vec<u8>,
    ) -> Result<Result<types::Found, LookupError>> {
        self.count_call()?;
        let Some(records) = self.records.clone() else { return Ok(Err(LookupError::UnknownName)) };
        match self.ids(&ids) {
            Ok(ids) => {
                let found = records.referring(&entity_type, &field, &ids, self.bounds.lookup_bytes);
                self.answer(found)
            }
            Err(error) => Ok(Err(error)),
        }
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn entry(&mut self, level: log::Level, code: String, position: Option<u32>) -> Result<()> {
        self.count_call()?;
        if self.logs.len() >= self.bounds.log_entries {
            self.dropped_logs += 1;
        } else {
            let level = match level {
                log::Level::Debug => Level::Debug,
                log::Level::Info => Level::Info,
                log::Level::Warning => Level::Warning,
                log::Level::Error => Level::Error,
            };
            self.logs.push(SaidLog { level, code: Confidential::word(&code), position });
        }
        Ok(())
    }

    fn panicked(&mut self, message: String) -> Result<()> {
        self.count_call()?;
        self.panic = Some(message);
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What a store may still grow by, and whether it wanted more.
pub(super) struct Limits {
    memory: Allowance,
    table_elements: Allowance,
    pub denied: bool,
}

/// So much of something, for everything in a store together: a component may have thousands of memories.
struct Allowance {
    left: usize,
    taken: usize,
}

impl Allowance {
    /// Whether it can grow from `current` to `desired`; then that is taken.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let more = desired.saturating_sub(current);
        let Some(left) = self.left.checked_sub(more) else { return false };
        (self.left, self.taken) = (left, self.taken + more);
        true
    }
}

impl Limits {
    /// Memory that the store has taken, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.taken as u64
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let granted = self.memory.grow(current, desired);
        self.denied |= !granted;
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let granted = self.table_elements.grow(current, desired);
        self.denied |= !granted;
        Ok(granted)
    }
}

/// A clock that stands still.
struct Stopped(Duration);

impl HostWallClock for Stopped {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }
    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for Stopped {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        self.0.as_nanos() as u64
    }
}
