//! The host's side of a plugin's imports: lookups, a log of codes, and a WASI without files, network or environment,
//! whose clock stands still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::Result;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxView, WasiView};

use crate::bindings::log;
use crate::bindings::types::{self, LookupError};
use crate::bindings::{record_lookup, source_lookup};
use crate::engine::wasi::CapturedOutput;
use crate::plugin::store_limits::StoreLimits;
use sluice_config::PluginLimits;
use sluice_contract::output_validation::unpack;
use sluice_contract::wire::Batch;
use sluice_model::Level;
use sluice_plugin_protocol::{
    Channel, LookupRequest, Reply, Request, WireIds, WireLogEntry, WireLookupAnswer, WireLookupRefusal,
};

/// State of a store.
pub(crate) struct StoreState {
    /// Limits of memories and tables.
    pub limits: StoreLimits,
    /// True while the plugin may look records up: not while it is instantiated or described.
    pub lookups: bool,
    /// Log entries of the call.
    pub logs: Vec<WireLogEntry>,
    /// Number of log entries that were dropped.
    pub dropped_logs: u64,
    /// Message of a panic.
    pub panic: Option<String>,
    /// Number of calls into the host.
    calls: u64,
    output: CapturedOutput,
    bounds: PluginLimits,
    channel: Arc<Mutex<Channel>>,
    wasi: WasiCtx,
    table: ResourceTable,
}

/// Maximum number of bytes of standard output and standard error that are kept for a message.
const OUTPUT_BYTES: usize = 4_096;

/// Maximum length of the text of a code, a source or a field, in bytes. The server cuts it again.
const MAX_WORD_BYTES: usize = 1_024;

impl StoreState {
    /// Returns a state whose clock stands still at `now`, and whose random numbers are derived from `seed`.
    pub fn new(bounds: &PluginLimits, channel: &Arc<Mutex<Channel>>, now: Duration, seed: [u8; 16]) -> Self {
        let output = CapturedOutput::new(OUTPUT_BYTES);
        let random = |salt: u8| {
            let mut key = [salt; 32];
            key[..16].copy_from_slice(&seed);
            StdRng::from_seed(key)
        };
        let wasi = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output.clone())
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
            lookups: false,
            logs: vec![],
            dropped_logs: 0,
            panic: None,
            calls: 0,
            output,
            bounds: bounds.clone(),
            channel: channel.clone(),
            wasi,
            table: ResourceTable::new(),
        }
    }

    /// Returns the text that the plugin wrote to standard output and standard error.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Counts a call into the host. Fails beyond the limit, which ends the guest.
    pub fn count_call(&mut self) -> Result<()> {
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

    /// Asks the server for a lookup. Ends the process if the server is gone.
    fn ask(&self, request: LookupRequest) -> Result<WireLookupAnswer, LookupError> {
        if !self.lookups {
            return Err(LookupError::UnknownName);
        }
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = channel.send(&Reply::Lookup(request), None, None).and_then(|()| channel.receive(None));
        match answer {
            Ok((Request::LookupAnswer(Ok(answer)), _)) => Ok(answer),
            Ok((Request::LookupAnswer(Err(refusal)), _)) => Err(match refusal {
                WireLookupRefusal::UnknownName => LookupError::UnknownName,
                WireLookupRefusal::UnknownField => LookupError::UnknownField,
                WireLookupRefusal::TooLarge => LookupError::AnswerTooLarge,
                WireLookupRefusal::Unavailable => LookupError::Unavailable,
            }),
            Ok(_) | Err(_) => std::process::exit(1),
        }
    }

    /// Asks the server for records.
    fn find(&self, request: LookupRequest) -> Result<types::Found, LookupError> {
        let WireLookupAnswer { answers, records } = self.ask(request)?;
        Ok(types::Found { records: types::Batch { bytes: records.bytes, ends: records.ends }, answers })
    }

    /// Checks the number of ids of a lookup.
    fn ids(&self, ids: Vec<u8>) -> Result<WireIds, LookupError> {
        if ids.len() > self.bounds.lookup_keys * 16 { Err(LookupError::TooManyKeys) } else { Ok(ids.into()) }
    }
}

impl source_lookup::Host for StoreState {
    fn find(&mut self, source: String, field: String, keys: types::Batch) -> Result<Result<types::Found, LookupError>> {
        self.count_call()?;
        if keys.ends.len() > self.bounds.lookup_keys {
            return Ok(Err(LookupError::TooManyKeys));
        }
        let keys: Batch = keys.into();
        if unpack(&keys).is_none() {
            wasmtime::bail!("the keys of a lookup are not a batch: their ends do not fit their bytes");
        }
        Ok(Self::find(self, LookupRequest::Find(source, field, keys)))
    }
}

impl record_lookup::Host for StoreState {
    fn exist(&mut self, entity_type: String, ids: Vec<u8>) -> Result<Result<Vec<u8>, LookupError>> {
        self.count_call()?;
        let ids = self.ids(ids);
        Ok(ids.and_then(|ids| self.ask(LookupRequest::Exist(entity_type, ids))).map(|answer| answer.records.bytes))
    }

    fn read(&mut self, entity_type: String, ids: Vec<u8>) -> Result<Result<types::Found, LookupError>> {
        self.count_call()?;
        let ids = self.ids(ids);
        Ok(ids.and_then(|ids| self.find(LookupRequest::Read(entity_type, ids))))
    }

    fn referring(
        &mut self,
        entity_type: String,
        field: String,
        ids: Vec<u8>,
    ) -> Result<Result<types::Found, LookupError>> {
        self.count_call()?;
        let ids = self.ids(ids);
        Ok(ids.and_then(|ids| self.find(LookupRequest::Referring(entity_type, field, ids))))
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
            let code = code[..code.floor_char_boundary(MAX_WORD_BYTES)].to_owned();
            self.logs.push(WireLogEntry { level, code, position });
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
