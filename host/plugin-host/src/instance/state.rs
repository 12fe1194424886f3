//! The host's side of a plugin's imports: lookups, a log of codes, and a WASI without files, network or environment,
//! whose clock stands still.

use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::Result;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use crate::bindings::log;
use crate::bindings::types::{self, LookupError};
use crate::bindings::{record_lookup, source_lookup};
use crate::instance::log::RawLogEntry;
use crate::instance::store_limits::StoreLimits;
use sluice_config::PluginLimits;
use sluice_contract::Confidential;
use sluice_contract::output_validation::unpack;
use sluice_contract::{LookupAnswer, LookupRefusal, RecordLookup, SourceLookup};
use sluice_model::{Code, Level};

/// State of a store.
pub(crate) struct StoreState {
    /// Limits of memories and tables.
    pub limits: StoreLimits,
    /// Lookups of a mapper.
    pub sources: Option<Arc<dyn SourceLookup>>,
    /// Lookups of a domain plugin.
    pub records: Option<Arc<dyn RecordLookup>>,
    /// Log entries of the call.
    pub logs: Vec<RawLogEntry>,
    /// Number of log entries that were dropped.
    pub dropped_logs: u64,
    /// Message of a panic.
    pub panic: Option<String>,
    /// Code of a lookup's failure in the host. The plugin is not at fault.
    pub unavailable: Option<Code>,
    /// Number of calls into the host.
    calls: u64,
    stderr: MemoryOutputPipe,
    bounds: PluginLimits,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// Maximum number of bytes of standard error that are kept for a message.
const STDERR_BYTES: usize = 4_096;

impl StoreState {
    /// Returns a state whose clock stands still at `now`, and whose random numbers are derived from `seed`.
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
            .wall_clock(FixedClock(now))
            .monotonic_clock(FixedClock(Duration::ZERO))
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        Self {
            limits: StoreLimits::new(bounds),
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

    /// Returns the text that the plugin wrote to standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.contents()).trim().to_owned()
    }

    /// Counts a call into the host. Fails beyond the limit, which ends the guest.
    fn count_call(&mut self) -> Result<()> {
        self.calls += 1;
        if self.too_many_calls() {
            wasmtime::bail!("it called the host more than {} times for one batch", self.bounds.host_calls);
        }
        Ok(())
    }

    /// Returns true if the plugin has called the host more often than its limit.
    pub fn too_many_calls(&self) -> bool {
        self.calls > self.bounds.host_calls
    }

    /// Converts the answer of a lookup.
    fn answer(&mut self, found: Result<LookupAnswer, LookupRefusal>) -> Result<Result<types::Found, LookupError>> {
        Ok(match found {
            Ok(LookupAnswer { answers, bytes, ends }) => {
                Ok(types::Found { records: types::Batch { bytes, ends }, answers })
            }
            Err(refusal) => Err(self.refuse(refusal)),
        })
    }

    /// Converts the refusal of a lookup.
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

    /// Splits the ids of a lookup. Fails if there are too many.
    fn ids(&self, ids: &[u8]) -> Result<Vec<[u8; 16]>, LookupError> {
        if ids.len() > self.bounds.lookup_keys * 16 {
            return Err(LookupError::TooManyKeys);
        }
        Ok(ids.chunks_exact(16).map(|id| id.try_into().expect("16 bytes")).collect())
    }
}

impl source_lookup::Host for StoreState {
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

impl record_lookup::Host for StoreState {
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

impl types::Host for StoreState {}

impl log::Host for StoreState {
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
            self.logs.push(RawLogEntry { level, code: Confidential::word(&code), position });
        }
        Ok(())
    }

    fn panicked(&mut self, message: String) -> Result<()> {
        self.count_call()?;
        self.panic = Some(message);
        Ok(())
    }
}

impl WasiView for StoreState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// A clock that stands still.
struct FixedClock(Duration);

impl HostWallClock for FixedClock {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }
    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for FixedClock {
    fn resolution(&self) -> u64 {
        1
    }
    fn now(&self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}
