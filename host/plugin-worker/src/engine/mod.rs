//! wasmtime's engines and linkers.

pub(crate) mod pool;
pub(crate) mod wasi;
pub(crate) mod wasmtime_errors;

use wasmtime::InstanceAllocationStrategy;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{domain, mapper, platform};
use crate::plugin::state::StoreState;

/// Engine of wasmtime with its linkers.
pub(crate) struct PluginEngine {
    /// The engine of wasmtime.
    pub wasmtime: wasmtime::Engine,
    /// Linker of mappers.
    pub mappers: Linker<StoreState>,
    /// Linker of domain plugins.
    pub domains: Linker<StoreState>,
    /// Linker of platform plugins.
    pub platforms: Linker<StoreState>,
}

impl PluginEngine {
    /// Returns an engine. The server ends endless loops by killing the process, so compiled code has no checks of time,
    /// which cost 12 to 25 percent of a guest.
    pub fn new(stack_bytes: usize, strategy: InstanceAllocationStrategy) -> wasmtime::Result<Self> {
        let mut config = wasmtime::Config::new();
        config
            .concurrency_support(false)
            .max_wasm_stack(stack_bytes)
            .memory_reservation(1 << 32)
            .allocation_strategy(strategy);
        let wasmtime = wasmtime::Engine::new(&config)?;
        let mut mappers = Linker::new(&wasmtime);
        let mut domains = Linker::new(&wasmtime);
        let mut platforms = Linker::new(&wasmtime);
        for linker in [&mut mappers, &mut domains, &mut platforms] {
            wasi::add_to_linker(linker)?;
        }
        mapper::Mapper::add_to_linker::<_, HasSelf<_>>(&mut mappers, |state| state)?;
        domain::Domain::add_to_linker::<_, HasSelf<_>>(&mut domains, |state| state)?;
        platform::Platform::add_to_linker::<_, HasSelf<_>>(&mut platforms, |state| state)?;
        Ok(Self { wasmtime, mappers, domains, platforms })
    }
}

/// The engines of a worker.
pub(crate) struct Engines {
    stack_bytes: usize,
    /// Engine with a pool of memories. Otherwise the reason why the machine does not support it.
    pooled: Result<PluginEngine, String>,
    /// Engine with memory on demand, for components that do not fit the pool. It is created when it is first needed.
    on_demand: Option<PluginEngine>,
}

impl Engines {
    /// Creates the engine with a pool.
    pub fn new(stack_bytes: usize) -> Self {
        let pooled = PluginEngine::new(stack_bytes, pool::pooled()).map_err(|error| format!("{error:#}"));
        Self { stack_bytes, pooled, on_demand: None }
    }

    /// Returns the engine with a pool, or the reason why there is none.
    pub fn pooled(&self) -> Result<&PluginEngine, String> {
        self.pooled.as_ref().map_err(Clone::clone)
    }

    /// Returns the engine with memory on demand.
    pub fn on_demand(&mut self) -> wasmtime::Result<&PluginEngine> {
        if self.on_demand.is_none() {
            self.on_demand = Some(PluginEngine::new(self.stack_bytes, InstanceAllocationStrategy::OnDemand)?);
        }
        Ok(self.on_demand.as_ref().expect("it was set above"))
    }
}
