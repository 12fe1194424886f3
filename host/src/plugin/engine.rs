//! The one engine: what code is compiled with, where compiled code is kept, and the tick that ends loops.

use std::hash::{Hash, Hasher};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cap_std::fs::Dir;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{domain, mapper};
use super::failure::PluginError;
use super::state::State;
use crate::config::PluginLimits;
use crate::model::Digest;

/// How often the engine looks whether a call has run out of time: fine enough for limits of half a
/// second, too coarse to cost anything.
const TICK: Duration = Duration::from_millis(10);

/// Compiles plugins and links them to the host.
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) mappers: Linker<State>,
    pub(super) domains: Linker<State>,
    pub(super) limits: PluginLimits,
    cache: Option<Dir>,
}

impl Engine {
    /// An engine with these limits, which keeps compiled plugins in `cache`: a directory that only the
    /// host writes.
    pub fn new(limits: PluginLimits, cache: Option<Dir>) -> Result<Arc<Self>, PluginError> {
        let mut config = wasmtime::Config::new();
        config
            .epoch_interruption(true)
            .concurrency_support(false)
            .max_wasm_stack(limits.stack_bytes)
            .memory_reservation(1 << 32);
        let wasmtime = wasmtime::Engine::new(&config).map_err(engine_error)?;
        let mut mappers = Linker::new(&wasmtime);
        let mut domains = Linker::new(&wasmtime);
        for linker in [&mut mappers, &mut domains] {
            wasmtime_wasi::p2::add_to_linker_sync(linker).map_err(engine_error)?;
        }
        mapper::Mapper::add_to_linker::<_, HasSelf<_>>(&mut mappers, |state| state).map_err(engine_error)?;
        domain::Domain::add_to_linker::<_, HasSelf<_>>(&mut domains, |state| state).map_err(engine_error)?;
        let ticking = wasmtime.weak();
        std::thread::Builder::new()
            .name("plugin-clock".into())
            .spawn(move || {
                while let Some(engine) = ticking.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|error| PluginError::Engine(error.to_string()))?;
        Ok(Arc::new(Self { wasmtime, mappers, domains, limits, cache }))
    }

    /// Ticks after which a call has run out of time.
    pub(super) fn ticks(&self, millis: u64) -> u64 {
        millis.div_ceil(TICK.as_millis() as u64) + 1
    }

    /// Compiles a component, or takes it from the cache.
    pub(super) fn compile(&self, name: &str, digest: Digest, bytes: &[u8]) -> Result<Component, PluginError> {
        let file = self.cached_name(digest);
        if let Some(component) = self.cached(&file) {
            return Ok(component);
        }
        let component = Component::new(&self.wasmtime, bytes).map_err(|error| PluginError::Refused {
            name: name.into(),
            reason: format!("it is not a component that can be compiled: {error:#}"),
        })?;
        if let Some(cache) = &self.cache
            && let Err(error) = keep(cache, &file, &component)
        {
            tracing::warn!(code = "PLUGIN_CACHE_UNWRITABLE", %error, "compiled plugins are not kept");
        }
        Ok(component)
    }

    fn cached_name(&self, digest: Digest) -> PathBuf {
        let mut hasher = std::hash::DefaultHasher::new();
        self.wasmtime.precompile_compatibility_hash().hash(&mut hasher);
        format!("{digest}-{:016x}.cwasm", hasher.finish()).into()
    }

    fn cached(&self, file: &PathBuf) -> Option<Component> {
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
        unsafe { Component::deserialize(&self.wasmtime, code) }.ok()
    }
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
