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
use super::failure::Confidential;
use crate::config::PluginLimits;
use crate::model::{Code, Level};

/// Records that answer a lookup, each with the index of the key that it answers, ascending.
pub type Found = Vec<(u32, Vec<u8>)>;

/// Why a lookup is not answered.
#[derive(Debug)]
pub enum LookupRefusal {
    /// No such source or entity type.
    UnknownName,
    /// It cannot be looked up by this field.
    UnknownField,
    /// The answer would be too large.
    TooLarge,
    /// The host could not read: what failed is in its log.
    Unavailable(Code),
}

/// What a mapper may look up.
pub trait SourceLookup: Send + Sync {
    /// Loaded records of `source` whose `field` has one of `keys`; stops with `TooLarge` beyond `max_bytes`.
    fn find(&self, source: &str, field: &str, keys: &[&[u8]], max_bytes: usize) -> Result<Found, LookupRefusal>;
}

/// What a domain plugin may look up.
pub trait RecordLookup: Send + Sync {
    /// Where each id is: 0 nowhere, 1 staged, 2 in the target.
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<u8>, LookupRefusal>;
    /// The records with these ids.
    fn read(&self, entity_type: &str, ids: &[[u8; 16]], max_bytes: usize) -> Result<Found, LookupRefusal>;
    /// Imported records whose column refers to one of these ids.
    fn referring(
        &self,
        entity_type: &str,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Found, LookupRefusal>;
}

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
    pub panic: Option<String>,
    /// A lookup that failed on the host's side: the plugin is not to blame.
    pub unavailable: Option<Code>,
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
            memory_bytes: bounds.memory_bytes,
            table_elements: bounds.table_elements,
            memory_denied: false,
            memory_used: 0,
        };
        Self {
            limits,
            sources: None,
            records: None,
            logs: vec![],
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

    fn answer(&mut self, found: Result<Found, LookupRefusal>) -> Result<Result<types::Found, LookupError>> {
        Ok(match found {
            Ok(found) => {
                let mut records = types::Batch { bytes: vec![], ends: Vec::with_capacity(found.len()) };
                let mut answers = Vec::with_capacity(found.len());
                for (answer, body) in found {
                    records.bytes.extend_from_slice(&body);
                    records.ends.push(records.bytes.len() as u32);
                    answers.push(answer);
                }
                Ok(types::Found { records, answers })
            }
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
        let Some(sources) = self.sources.clone() else { return Ok(Err(LookupError::UnknownName)) };
        if keys.ends.len() > self.bounds.lookup_keys {
            return Ok(Err(LookupError::TooManyKeys));
        }
        let Some(keys) = super::mapper::unpack(&keys) else {
            wasmtime::bail!("the keys of a lookup are not a batch: their ends do not fit their bytes");
        };
        let found = sources.find(&source, &field, &keys, self.bounds.lookup_bytes);
        self.answer(found)
    }
}

impl record_lookup::Host for State {
    fn exist(&mut self, entity_type: String, ids: Vec<u8>) -> Result<Result<Vec<u8>, LookupError>> {
        let Some(records) = self.records.clone() else { return Ok(Err(LookupError::UnknownName)) };
        Ok(match self.ids(&ids) {
            Ok(ids) => records.exist(&entity_type, &ids).map_err(|refusal| self.refuse(refusal)),
            Err(error) => Err(error),
        })
    }

    fn read(&mut self, entity_type: String, ids: Vec<u8>) -> Result<Result<types::Found, LookupError>> {
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
        if self.logs.len() < self.bounds.log_entries {
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
        self.panic = Some(message);
        Ok(())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// What an instance may grow to, and whether it wanted more.
pub(super) struct Limits {
    memory_bytes: usize,
    table_elements: usize,
    pub memory_denied: bool,
    /// Most that one memory has grown to.
    pub memory_used: usize,
}

impl ResourceLimiter for Limits {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        let granted = desired <= self.memory_bytes;
        self.memory_denied |= !granted;
        if granted {
            self.memory_used = self.memory_used.max(desired);
        }
        Ok(granted)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(desired <= self.table_elements)
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
