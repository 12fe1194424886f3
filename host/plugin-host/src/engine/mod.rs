//! The one engine: what code is compiled with, where compiled code is kept, and the tick that ends loops.

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
use super::pool::{self, Rooms};
use super::state::State;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// How often the engine looks whether a call has run out of time: fine enough for limits of half a
/// second, too coarse to cost anything.
const TICK: Duration = Duration::from_millis(10);

/// Compiles plugins and links them to the host.
pub struct Engine {
    /// In the pool, where this machine has one.
    pooled: Option<Runner>,
    /// For what does not fit there.
    on_demand: Runner,
    pub(super) rooms: Rooms,
    pub(super) limits: PluginLimits,
    cache: Option<Dir>,
}

/// One of wasmtime's engines, and what it links to plugins.
pub(super) struct Runner {
    pub wasmtime: wasmtime::Engine,
    pub mappers: Linker<State>,
    pub domains: Linker<State>,
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
    /// An engine with these limits, which keeps compiled plugins in `cache`: a directory that only the
    /// host writes.
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
        Ok(Arc::new(Self { pooled, on_demand, rooms: Rooms::default(), limits, cache }))
    }

    /// Ticks after which a call has run out of time.
    pub(super) fn ticks(&self, millis: u64) -> u64 {
        millis.div_ceil(TICK.as_millis() as u64) + 1
    }

    /// Compiles a component, or takes it from the cache; with what runs it.
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

    fn cached(&self, runner: &Runner, file: &PathBuf) -> Option<Component> {
        let bytes = self.cache.as_ref()?.read(file).ok()?;
        // A checksum of our own in front: a file cut short by a crash is compiled again.
        let (checksum, code) = bytes.split_at_checked(4)?;
        if crc32fast::hash(code).to_le_bytes() != checksum {
            return None;
        }
        // SAFETY: `deserialize` trusts its input to be what `serialize` of a compatible engine gave.
        // The file stands in a directory that only this host writes, under the digest of the component
        // and the hash of the engine's settings; it was written by `keep` below, its checksum fits, and
        // wasmtime refuses code of another version or other settings. Nothing a customer uploads gets here.
        #[allow(unsafe_code)]
        unsafe { Component::deserialize(&runner.wasmtime, code) }.ok()
    }
}

fn cached_name(runner: &Runner, digest: Digest) -> PathBuf {
    let mut hasher = std::hash::DefaultHasher::new();
    runner.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish()).into()
}

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

pub(super) fn engine_error(error: wasmtime::Error) -> PluginError {
    PluginError::Engine(format!("{error:#}"))
}
