//! The plugin engine: compiler settings, the cache of compiled code, and the clock that interrupts calls.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{domain, mapper, platform};
use super::bounds;
use super::pool::{self, Semaphore};
use super::state::State;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// Interval at which the engine checks whether a call is over its time limit. Fine enough for limits of half a second,
/// and coarse enough to cost nothing measurable.
const TICK: Duration = Duration::from_millis(10);

/// A compiler of plugins that links them to the host.
pub struct Engine {
    /// Runner with pooled memory. None if this machine cannot reserve the pool.
    pooled: Option<Runner>,
    /// Runner with memory on demand, for components that do not fit the pool.
    on_demand: Runner,
    /// Limit of the number of stores at a time.
    pub(super) stores: Semaphore,
    /// Default limits of each plugin.
    pub(super) limits: PluginLimits,
    /// Directory of compiled components. None if compiled components are not kept.
    cache: Option<Dir>,
}

/// A wasmtime engine and the linkers of the three worlds.
pub(super) struct Runner {
    /// The wasmtime engine.
    pub wasmtime: wasmtime::Engine,
    /// Linker of world `mapper`.
    pub mappers: Linker<State>,
    /// Linker of world `domain`.
    pub domains: Linker<State>,
    /// Linker of world `platform`.
    pub platforms: Linker<State>,
}

impl Runner {
    fn new(limits: &PluginLimits, strategy: InstanceAllocationStrategy) -> wasmtime::Result<Self> {
        let mut config = wasmtime::Config::new();
        config
            .epoch_interruption(true)
            .concurrency_support(false)
            .max_wasm_stack(limits.stack_bytes)
            .memory_reservation(1 << 32)
            .allocation_strategy(strategy);
        let wasmtime = wasmtime::Engine::new(&config)?;
        let mut mappers = Linker::new(&wasmtime);
        let mut domains = Linker::new(&wasmtime);
        let mut platforms = Linker::new(&wasmtime);
        for linker in [&mut mappers, &mut domains, &mut platforms] {
            wasmtime_wasi::p2::add_to_linker_sync(linker)?;
        }
        mapper::Mapper::add_to_linker::<_, HasSelf<_>>(&mut mappers, |state| state)?;
        domain::Domain::add_to_linker::<_, HasSelf<_>>(&mut domains, |state| state)?;
        platform::Platform::add_to_linker::<_, HasSelf<_>>(&mut platforms, |state| state)?;
        Ok(Self { wasmtime, mappers, domains, platforms })
    }
}

impl Engine {
    /// Makes an engine with these limits and starts its clock thread. The engine keeps compiled plugins in `cache`, a
    /// directory that only the host writes.
    pub fn new(limits: PluginLimits, cache: Option<Dir>) -> Result<Arc<Self>, PluginError> {
        let pooled = Runner::new(&limits, pool::pooled());
        if let Err(error) = &pooled {
            let error = format!("{error:#}");
            tracing::warn!(code = "PLUGIN_POOL_UNAVAILABLE", error, "each batch's memory is made on demand: slower");
        }
        let pooled = pooled.ok();
        let on_demand = Runner::new(&limits, InstanceAllocationStrategy::OnDemand).map_err(engine_error)?;
        let ticking: Vec<_> = pooled.iter().chain([&on_demand]).map(|runner| runner.wasmtime.weak()).collect();
        std::thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || {
                loop {
                    let alive: Vec<_> = ticking.iter().filter_map(|engine| engine.upgrade()).collect();
                    if alive.is_empty() {
                        return;
                    }
                    alive.iter().for_each(wasmtime::Engine::increment_epoch);
                    drop(alive);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| PluginError::Engine(error.to_string()))?;
        Ok(Arc::new(Self { pooled, on_demand, stores: Semaphore::default(), limits, cache }))
    }

    /// Returns the number of ticks after which a call of `millis` milliseconds is over its time limit.
    pub(super) fn ticks(&self, millis: u64) -> u64 {
        millis.div_ceil(TICK.as_millis() as u64) + 1
    }

    /// Compiles a component, or reads the compiled code from the cache. Returns it with the runner that it is compiled
    /// for. Compiles for the pool first, and for memory on demand if the component does not fit the pool.
    pub(super) fn compile(
        &self,
        name: &str,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<(Component, &Runner), PluginError> {
        let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
        bounds::check(bytes, &self.limits).map_err(refused)?;
        let unfit = match self.pooled.as_ref().map(|runner| (self.compile_for(runner, digest, bytes), runner)) {
            Some((Ok(component), runner)) => return Ok((component, runner)),
            Some((Err(error), _)) => Some(error),
            None => None,
        };
        let component = self.compile_for(&self.on_demand, digest, bytes);
        if let (Ok(_), Some(unfit)) = (&component, unfit) {
            let why = format!("{unfit:#}");
            tracing::warn!(code = "PLUGIN_NOT_POOLED", plugin = name, why, "its memory is made on demand: slower");
        }
        let component =
            component.map_err(|error| refused(format!("it is not a component that can be compiled: {error:#}")))?;
        Ok((component, &self.on_demand))
    }

    /// Compiles a component for one runner, or reads the compiled code from the cache.
    fn compile_for(&self, runner: &Runner, digest: Digest, bytes: &[u8]) -> wasmtime::Result<Component> {
        let file = cached_name(runner, digest);
        if let Some(component) = self.cached(runner, &file) {
            return Ok(component);
        }
        let component = Component::new(&runner.wasmtime, bytes)?;
        if let Some(cache) = &self.cache
            && let Err(error) = keep(cache, &file, &component)
        {
            tracing::warn!(code = "PLUGIN_CACHE_UNWRITABLE", %error, "compiled plugins are not kept");
        }
        Ok(component)
    }

    /// Reads a compiled component from the cache. Returns none if the file is missing, damaged or of other settings.
    fn cached(&self, runner: &Runner, file: &PathBuf) -> Option<Component> {
        let bytes = self.cache.as_ref()?.read(file).ok()?;
        // The file starts with a checksum. A file truncated by a crash fails the checksum, and the component is
        // compiled again.
        let (checksum, code) = bytes.split_at_checked(4)?;
        if crc32fast::hash(code).to_le_bytes() != checksum {
            return None;
        }
        // SAFETY: `deserialize` requires output of `serialize` of a compatible engine. The file is in a directory that
        // only this host writes. Its name contains the digest of the component and the hash of the engine's settings.
        // `keep` below wrote it, and its checksum matches. wasmtime refuses code of another version or other settings.
        // No upload of a customer is written to this directory.
        #[allow(unsafe_code)]
        unsafe { Component::deserialize(&runner.wasmtime, code) }.ok()
    }
}

/// Returns the cache's file name for a component: its digest and the hash of the runner's settings.
fn cached_name(runner: &Runner, digest: Digest) -> PathBuf {
    let mut hasher = std::hash::DefaultHasher::new();
    runner.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish()).into()
}

/// Writes a compiled component to the cache under a temporary name, then renames it.
fn keep(cache: &Dir, file: &PathBuf, component: &Component) -> anyhow::Result<()> {
    let code = component.serialize().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let unfinished = file.with_extension(format!("{}.new", std::process::id()));
    let mut out = cache.create(&unfinished)?;
    out.write_all(&crc32fast::hash(&code).to_le_bytes())?;
    out.write_all(&code)?;
    out.sync_data()?;
    cache.rename(&unfinished, cache, file)?;
    Ok(())
}

/// Converts an error of wasmtime into an error of the engine.
pub(super) fn engine_error(error: wasmtime::Error) -> PluginError {
    PluginError::Engine(format!("{error:#}"))
}
