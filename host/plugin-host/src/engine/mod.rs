//! Compilation of plugins in workers, and the cache of compiled code.

pub(crate) mod code_cache;

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::code_cache::CodeCache;
use crate::worker::Worker;
use crate::worker::launcher::WorkerCommand;
use crate::worker::pool::{ATTEMPTS, WorkerError, WorkerKey, WorkerLease, WorkerPool};
use sluice_config::{PluginLimits, WorkerLimits};
use sluice_contract::PluginError;
use sluice_model::{Digest, Tenant};
use sluice_plugin_protocol::{
    ChannelError, CompiledComponent, InspectedComponent, PluginWorld, ProcessLimits, Rejection, Reply, Request,
    SharedBytes, Walls,
};

/// Settings of an engine.
pub struct EngineOptions {
    /// Limits of plugins without limits of their own.
    pub plugin: PluginLimits,
    /// Limits of workers.
    pub worker: WorkerLimits,
    /// Command that starts a worker.
    pub command: WorkerCommand,
    /// Cache of compiled code. `None` compiles each plugin anew.
    pub cache: Option<CodeCache>,
    /// True to have one more process ready than is needed, so that the next plugin does not wait for its start.
    pub spare: bool,
}

impl Default for EngineOptions {
    /// Returns the settings of a command that uses few plugins on this machine.
    fn default() -> Self {
        let command = WorkerCommand::this_program();
        Self { plugin: PluginLimits::default(), worker: WorkerLimits::default(), command, cache: None, spare: false }
    }
}

/// Engine that compiles plugins and runs them, in worker processes.
pub struct Engine {
    /// Limits of plugins without limits of their own.
    pub(crate) limits: PluginLimits,
    pool: WorkerPool,
    cache: Option<CodeCache>,
}

/// Compiled code of a component, with what the component's file says about itself.
pub struct CompiledCode {
    code: SharedBytes,
    component: CompiledComponent,
}

impl CompiledCode {
    /// Returns what the component's file says about itself.
    pub(crate) fn inspected(&self) -> &InspectedComponent {
        &self.component.inspected
    }
}

/// Bytes that a worker needs beyond what its limits name: structures of wasmtime for each instance, and buffers.
const PROCESS_BYTES: u64 = 96 << 20;

/// Address space that a worker may reserve beyond its memory: guards and memories that grow.
const RESERVED_BYTES: u64 = 32 << 30;

/// Bytes of an element of a table.
const ELEMENT_BYTES: u64 = 16;

impl Engine {
    /// Returns an engine. It starts no process yet.
    pub fn new(options: EngineOptions) -> Result<Arc<Self>, PluginError> {
        let EngineOptions { plugin, worker, command, cache, spare } = options;
        let pool = WorkerPool::new(worker, plugin.stack_bytes, command, spare)?;
        Ok(Arc::new(Self { limits: plugin, pool, cache }))
    }

    /// Returns the walls around its workers.
    pub fn walls(&self) -> Result<Walls, PluginError> {
        self.pool.walls()
    }

    /// Kills all workers. Calls that run fail, and none starts any more.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Returns the number of workers at work, and their maximum.
    pub fn workers(&self) -> (usize, usize) {
        self.pool.load()
    }

    /// Returns a component's code from the cache, or compiles it.
    ///
    /// `owner` is the tenant that pushed the component; `None` stands for the operator. The cache keeps the code of each
    /// owner apart, so its timing says nothing about other tenants. It keeps new code only if `accepted` is true: code of a
    /// component that is refused afterwards takes no room.
    pub(crate) fn compile(
        &self,
        name: &str,
        owner: Option<&Tenant>,
        digest: Digest,
        bytes: &[u8],
        accepted: bool,
    ) -> Result<Arc<CompiledCode>, PluginError> {
        if let Some((component, code)) = self.cache.as_ref().and_then(|cache| cache.read(owner, digest)) {
            let code = SharedBytes::new(&code).map_err(system_error)?;
            return Ok(Arc::new(CompiledCode { code, component }));
        }
        self.compile_anew(name, owner, digest, bytes, accepted)
    }

    /// Compiles a component, even if the cache has it: its code is of another version of the engine.
    pub(crate) fn compile_anew(
        &self,
        name: &str,
        owner: Option<&Tenant>,
        digest: Digest,
        bytes: &[u8],
        accepted: bool,
    ) -> Result<Arc<CompiledCode>, PluginError> {
        let refused = |reason: String| PluginError::Refused { name: name.into(), reason };
        if bytes.len() > self.limits.file_bytes {
            let (is, most) = (bytes.len(), self.limits.file_bytes);
            return Err(refused(format!(
                "it has {is} bytes, {most} are allowed (plugin.file_bytes): strip its debugging sections"
            )));
        }
        let limits = self.pool.limits();
        let most = limits.compile_memory_bytes;
        let process = ProcessLimits {
            data_bytes: most,
            address_bytes: most.saturating_mul(2) + RESERVED_BYTES,
            file_bytes: limits.code_bytes,
        };
        let component = SharedBytes::new(bytes).map_err(system_error)?;
        let permit = self.pool.permit(owner)?;
        let mut lease = permit.with(self.pool.start()?)?;
        let deadline = Instant::now() + Duration::from_secs(limits.compile_seconds);
        let request = Request::Compile { process };
        let mut attempt = 1;
        let reply = loop {
            let worker = lease.worker();
            let sent = worker.send(&request, Some(component.as_fd()), deadline);
            match sent.and_then(|()| worker.receive(deadline)) {
                Ok(reply) => break reply,
                Err(ChannelError::TimedOut) => {
                    return Err(refused(format!(
                        "compiling it takes more than {} seconds (worker.compile_seconds): make it smaller",
                        limits.compile_seconds
                    )));
                }
                // The system may end a process by chance.
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(_) => {
                    return Err(refused(format!(
                        "the process that compiles it ends: it takes more than {most} bytes of memory \
                         (worker.compile_memory_bytes), or its code is longer than {} (worker.code_bytes). Make it smaller",
                        limits.code_bytes
                    )));
                }
            }
            lease.replace(self.pool.start()?)?;
        };
        let (component, code) = match reply {
            (Reply::Compiled(component), Some(code)) => (component, code),
            (Reply::Rejected(Rejection::Component(reason)), _) => return Err(refused(reason)),
            _ => return Err(PluginError::Engine("the compiler answered something else".into())),
        };
        let code = SharedBytes::accept(code, limits.code_bytes).map_err(system_error)?;
        if let Some(reason) = &component.not_pooled {
            tracing::warn!(
                code = "PLUGIN_NOT_POOLED",
                plugin = name,
                why = reason,
                "its memory is allocated on demand, which is slower"
            );
        }
        let compiled = Arc::new(CompiledCode { code, component });
        if accepted {
            self.keep(owner, digest, &compiled);
        }
        Ok(compiled)
    }

    /// Keeps the code of an accepted component in the cache.
    pub(crate) fn keep(&self, owner: Option<&Tenant>, digest: Digest, compiled: &CompiledCode) {
        let Some(cache) = &self.cache else { return };
        let kept = compiled.code.read().map_err(anyhow::Error::from);
        let kept = kept.and_then(|code| cache.write(owner, digest, &compiled.component, &code));
        if let Err(error) = kept {
            tracing::warn!(code = "PLUGIN_CACHE_UNWRITABLE", %error, "compiled plugins are not kept");
        }
    }

    /// Returns a worker that has the code loaded, for a tenant's records.
    pub(crate) fn lease(
        &self,
        tenant: Option<&Tenant>,
        digest: Digest,
        world: PluginWorld,
        code: &CompiledCode,
        limits: &PluginLimits,
    ) -> Result<Result<WorkerLease<'_>, Rejection>, PluginError> {
        let process = self.process_limits(code, limits);
        let key = WorkerKey { tenant: tenant.cloned(), digest, world, limits: process };
        let mut rejection = None;
        let leased = self.pool.lease(key, |worker| {
            let rejected = self.load(worker, world, code, process)?;
            rejected.map_or(Ok(()), |reason| {
                rejection = Some(reason);
                Err(WorkerError::Failed(PluginError::Engine("the code cannot be loaded".into())))
            })
        });
        match (leased, rejection) {
            (_, Some(reason)) => Ok(Err(reason)),
            (leased, None) => leased.map(Ok),
        }
    }

    fn load(
        &self,
        worker: &mut Worker,
        world: PluginWorld,
        code: &CompiledCode,
        process: ProcessLimits,
    ) -> Result<Option<Rejection>, WorkerError> {
        let deadline = Instant::now() + Duration::from_secs(self.pool.limits().compile_seconds);
        let request = Request::Load { world, pooled: code.component.not_pooled.is_none(), process };
        let sent = worker.send(&request, Some(code.code.as_fd()), deadline);
        match sent.and_then(|()| worker.receive(deadline)) {
            Ok((Reply::Loaded, _)) => Ok(None),
            Ok((Reply::Rejected(rejection), _)) => Ok(Some(rejection)),
            Ok(_) => Err(WorkerError::Died(ChannelError::Malformed)),
            Err(error) => Err(WorkerError::Died(error)),
        }
    }

    /// Returns the limits of a process that runs a plugin with these limits.
    fn process_limits(&self, code: &CompiledCode, limits: &PluginLimits) -> ProcessLimits {
        let (memory, output) = (limits.memory_bytes as u64, limits.output_bytes as u64);
        let tables = limits.table_elements as u64 * ELEMENT_BYTES;
        // Results exist as the plugin's, as plain values and encoded; an answer to a lookup encoded and decoded. Code is read
        // and then copied to where it runs.
        let buffers = output * 3 + limits.lookup_bytes as u64 * 3 + code.code.length() * 2;
        let data_bytes = memory + tables + buffers + PROCESS_BYTES;
        ProcessLimits { data_bytes, address_bytes: data_bytes * 2 + RESERVED_BYTES, file_bytes: memory + PROCESS_BYTES }
    }
}

/// Converts an error of the system about memory that is shared with a worker.
fn system_error(error: std::io::Error) -> PluginError {
    PluginError::Engine(format!("memory cannot be shared with a plugin worker: {error}"))
}
