//! The engine: compilation of plugins, the cache of compiled code, and the tick that ends endless loops.

pub(crate) mod pool;
pub(crate) mod semaphore;
pub(crate) mod wasmtime_errors;

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use wasmtime::InstanceAllocationStrategy;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::{domain, mapper, platform};
use crate::engine::semaphore::StoreSemaphore;
use crate::inspect::bounds;
use crate::instance::state::StoreState;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// Interval in milliseconds at which the engine checks time limits. It is short enough for limits of half a second, and
/// long enough to cost nothing.
const TICK_MILLIS: u64 = 10;

/// An engine that compiles plugins and links them to the host.
pub struct Engine {
    /// Variant with the pool of stores. `None` if the machine does not support it.
    pooled: Option<EngineVariant>,
    /// Variant with memory on demand, for components that do not fit in the pool.
    on_demand: EngineVariant,
    /// Semaphore that limits the number of stores.
    pub(crate) stores: StoreSemaphore,
    /// Limits of plugins without limits of their own.
    pub(crate) limits: PluginLimits,
    cache: Option<Dir>,
}

/// An engine of wasmtime with its linkers.
pub(crate) struct EngineVariant {
    /// The engine of wasmtime.
    pub wasmtime: wasmtime::Engine,
    /// Linker of mappers.
    pub mappers: Linker<StoreState>,
    /// Linker of domain plugins.
    pub domains: Linker<StoreState>,
    /// Linker of platform plugins.
    pub platforms: Linker<StoreState>,
}

impl EngineVariant {
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
    /// Returns an engine with these limits, which keeps compiled plugins in `cache`, a directory that only the host
    /// writes.
    pub fn new(limits: PluginLimits, cache: Option<Dir>) -> Result<Arc<Self>, PluginError> {
        let pooled = EngineVariant::new(&limits, pool::pooled());
        if let Err(error) = &pooled {
            let error = format!("{error:#}");
            tracing::warn!(
                code = "PLUGIN_POOL_UNAVAILABLE",
                error,
                "memory of batches is allocated on demand, which is slower"
            );
        }
        let pooled = pooled.ok();
        let on_demand = EngineVariant::new(&limits, InstanceAllocationStrategy::OnDemand).map_err(engine_error)?;
        let ticking: Vec<_> = pooled.iter().chain([&on_demand]).map(|variant| variant.wasmtime.weak()).collect();
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
                    std::thread::sleep(Duration::from_millis(TICK_MILLIS));
                }
            })
            .map_err(|error| PluginError::Engine(error.to_string()))?;
        Ok(Arc::new(Self { pooled, on_demand, stores: StoreSemaphore::default(), limits, cache }))
    }

    /// Returns the number of ticks after which a call exceeds its time limit.
    pub(crate) fn ticks(&self, millis: u64) -> u64 {
        millis.div_ceil(TICK_MILLIS) + 1
    }

    /// Compiles a component, or takes it from the cache. Returns it with the variant of the engine that runs it.
    pub(crate) fn compile(
        &self,
        name: &str,
        digest: Digest,
        bytes: &[u8],
    ) -> Result<(Component, &EngineVariant), PluginError> {
        let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
        bounds::check(bytes, &self.limits).map_err(refused)?;
        let unfit = match self.pooled.as_ref().map(|variant| (self.compile_for(variant, digest, bytes), variant)) {
            Some((Ok(component), variant)) => return Ok((component, variant)),
            Some((Err(error), _)) => Some(error),
            None => None,
        };
        let component = self.compile_for(&self.on_demand, digest, bytes);
        if let (Ok(_), Some(unfit)) = (&component, unfit) {
            let why = format!("{unfit:#}");
            tracing::warn!(
                code = "PLUGIN_NOT_POOLED",
                plugin = name,
                why,
                "its memory is allocated on demand, which is slower"
            );
        }
        let component =
            component.map_err(|error| refused(format!("it is not a component that can be compiled: {error:#}")))?;
        Ok((component, &self.on_demand))
    }

    /// Compiles a component for a variant, or takes it from the cache.
    fn compile_for(&self, variant: &EngineVariant, digest: Digest, bytes: &[u8]) -> wasmtime::Result<Component> {
        let file = cached_name(variant, digest);
        if let Some(component) = self.cached(variant, &file) {
            return Ok(component);
        }
        let component = Component::new(&variant.wasmtime, bytes)?;
        if let Some(cache) = &self.cache
            && let Err(error) = write_cached(cache, &file, &component)
        {
            tracing::warn!(code = "PLUGIN_CACHE_UNWRITABLE", %error, "compiled plugins are not kept");
        }
        Ok(component)
    }

    /// Returns a component from the cache, if it is there and intact.
    fn cached(&self, variant: &EngineVariant, file: &PathBuf) -> Option<Component> {
        let bytes = self.cache.as_ref()?.read(file).ok()?;
        // A checksum precedes the code. A file that a crash has truncated is compiled again.
        let (checksum, code) = bytes.split_at_checked(4)?;
        if crc32fast::hash(code).to_le_bytes() != checksum {
            return None;
        }
        // SAFETY: `deserialize` requires the output of `serialize` of a compatible engine. The file is in a directory that
        // only this host writes, under the digest of the component and the hash of the engine's settings. `write_cached`
        // below wrote it, its checksum is correct, and wasmtime refuses code of another version or of other settings.
        // Uploaded bytes never get here.
        #[allow(unsafe_code)]
        unsafe { Component::deserialize(&variant.wasmtime, code) }.ok()
    }
}

/// Returns the name of a compiled component's file.
fn cached_name(variant: &EngineVariant, digest: Digest) -> PathBuf {
    let mut hasher = std::hash::DefaultHasher::new();
    variant.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.cwasm", hasher.finish()).into()
}

/// Writes a compiled component to the cache.
fn write_cached(cache: &Dir, file: &PathBuf, component: &Component) -> anyhow::Result<()> {
    let code = component.serialize().map_err(|error| anyhow::anyhow!("{error:#}"))?;
    let unfinished = file.with_extension(format!("{}.new", uuid::Uuid::new_v4()));
    let mut out = cache.create(&unfinished)?;
    out.write_all(&crc32fast::hash(&code).to_le_bytes())?;
    out.write_all(&code)?;
    out.sync_data()?;
    cache.rename(&unfinished, cache, file)?;
    Ok(())
}

/// Converts an error of wasmtime at the start of the server.
fn engine_error(error: wasmtime::Error) -> PluginError {
    PluginError::Engine(format!("{error:#}"))
}
