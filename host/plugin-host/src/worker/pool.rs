//! The pool of workers: a limited number at work for each tenant and in all, and idle ones that have a plugin loaded.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use rustix::process::{Pid, Signal, kill_process};

use crate::worker::Worker;
use crate::worker::launcher::{Launcher, WorkerCommand};
use sluice_config::WorkerLimits;
use sluice_contract::PluginError;
use sluice_model::{Digest, Tenant};
use sluice_plugin_protocol::{ChannelError, PluginWorld, ProcessLimits, Walls};

/// Key of workers that can replace each other. A worker never serves two tenants, nor two plugins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WorkerKey {
    /// Tenant whose records the worker sees. `None` for a description, and for a plugin's author on the own machine.
    pub tenant: Option<Tenant>,
    /// Plugin that the worker has loaded.
    pub digest: Digest,
    /// World of the plugin.
    pub world: PluginWorld,
    /// Limits of the process.
    pub limits: ProcessLimits,
}

/// A pool of workers.
pub(crate) struct WorkerPool {
    limits: WorkerLimits,
    stack_bytes: usize,
    launcher: Launcher,
    walls: OnceLock<Walls>,
    state: Mutex<PoolState>,
    released: Condvar,
}

#[derive(Default)]
struct PoolState {
    /// Number of workers at work, in all and by tenant.
    busy: usize,
    busy_by_tenant: HashMap<Option<Tenant>, usize>,
    /// Processes at work, which a shutdown kills.
    running: Vec<Pid>,
    /// Idle workers, the one that was used last at the end.
    idle: VecDeque<(WorkerKey, Worker, Instant)>,
    closed: bool,
}

/// Number of times that a worker is started for the same purpose, if it dies before it has run a plugin.
pub(crate) const ATTEMPTS: u32 = 3;

/// Reason why a worker is not prepared.
pub(crate) enum WorkerError {
    /// It died, or did not answer.
    Died(ChannelError),
    /// The work is refused.
    Failed(PluginError),
}

impl From<WorkerError> for PluginError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Died(error) => Self::Engine(format!("plugin workers end before they answer: {error}")),
            WorkerError::Failed(error) => error,
        }
    }
}

/// Permission to use a worker, until it is dropped.
pub(crate) struct WorkerPermit<'p> {
    pool: &'p WorkerPool,
    tenant: Option<Tenant>,
}

/// A worker at work. When it is dropped, it becomes idle again, or ends if it cannot be used any more.
pub(crate) struct WorkerLease<'p> {
    worker: Option<Worker>,
    key: Option<WorkerKey>,
    permit: WorkerPermit<'p>,
}

impl WorkerPool {
    /// Returns a pool without workers.
    pub fn new(
        limits: WorkerLimits,
        stack_bytes: usize,
        command: WorkerCommand,
        spare: bool,
    ) -> Result<Self, PluginError> {
        let launcher = Launcher::new(command, spare).map_err(|error| PluginError::Engine(error.to_string()))?;
        let (walls, state, released) = (OnceLock::new(), Mutex::default(), Condvar::new());
        Ok(Self { limits, stack_bytes, launcher, walls, state, released })
    }

    /// Returns the limits of the pool.
    pub fn limits(&self) -> &WorkerLimits {
        &self.limits
    }

    /// Returns the walls of its workers. Starts a worker if none was started before.
    pub fn walls(&self) -> Result<Walls, PluginError> {
        if self.walls.get().is_none() {
            drop(self.start()?);
        }
        Ok(self.walls.get().cloned().unwrap_or_default())
    }

    /// Waits for permission to use a worker for a tenant. A holder never waits for another permission.
    pub fn permit(&self, tenant: Option<&Tenant>) -> Result<WorkerPermit<'_>, PluginError> {
        let mut state = self.state();
        let tenant = tenant.cloned();
        loop {
            if state.closed {
                return Err(PluginError::Engine("the server stops".into()));
            }
            let own = state.busy_by_tenant.get(&tenant).copied().unwrap_or(0);
            if state.busy < self.limits.processes && own < self.limits.processes_per_tenant {
                break;
            }
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        *state.busy_by_tenant.entry(tenant.clone()).or_default() += 1;
        Ok(WorkerPermit { pool: self, tenant })
    }

    /// Returns a worker for the key: an idle one, or a new one that `load` prepares.
    pub fn lease(
        &self,
        key: WorkerKey,
        mut load: impl FnMut(&mut Worker) -> Result<(), WorkerError>,
    ) -> Result<WorkerLease<'_>, PluginError> {
        let permit = self.permit(key.tenant.as_ref())?;
        let idle =
            std::iter::from_fn(|| self.take_idle(&key)).find_map(|mut worker| worker.is_alive().then_some(worker));
        if let Some(worker) = idle {
            let mut lease = permit.with(worker)?;
            lease.key = Some(key);
            return Ok(lease);
        }
        let mut lease = permit.with(self.start()?)?;
        let mut attempt = 1;
        loop {
            match load(lease.worker()) {
                Ok(()) => break,
                // The system may end a process by chance.
                Err(WorkerError::Died(_)) if attempt < ATTEMPTS => attempt += 1,
                // A worker that fails to load has no key, so it ends.
                Err(error) => return Err(error.into()),
            }
            lease.replace(self.start()?)?;
        }
        lease.key = Some(key);
        Ok(lease)
    }

    /// Takes an idle worker with this key, the one that was used last.
    fn take_idle(&self, key: &WorkerKey) -> Option<Worker> {
        let mut state = self.state();
        let position = state.idle.iter().rposition(|(known, ..)| known == key)?;
        state.idle.remove(position).map(|(_, worker, _)| worker)
    }

    /// Starts a worker.
    pub fn start(&self) -> Result<Worker, PluginError> {
        let mut attempt = 1;
        loop {
            match self.start_once() {
                // The system may end a process by chance.
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                started => return started,
            }
        }
    }

    fn start_once(&self) -> Result<Worker, PluginError> {
        let failed = |reason: String| PluginError::Engine(format!("a plugin worker cannot be started: {reason}"));
        let started = self.launcher.launch().map_err(|error| failed(error.to_string()))?;
        let (worker, walls) = Worker::set_up(started, self.stack_bytes).map_err(|error| failed(error.to_string()))?;
        let _ = self.walls.set(walls);
        Ok(worker)
    }

    /// Kills all workers. Calls that run fail, and no call starts any more.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        for pid in &state.running {
            // A process is taken off the list before its id can go to another one.
            let _ = kill_process(*pid, Signal::KILL);
        }
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        drop(idle);
        self.released.notify_all();
    }

    /// Returns the number of workers at work, and their maximum.
    pub fn load(&self) -> (usize, usize) {
        (self.state().busy, self.limits.processes)
    }

    fn state(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'p> WorkerPermit<'p> {
    /// Returns the lease of a worker that ends afterwards.
    pub fn with(self, worker: Worker) -> Result<WorkerLease<'p>, PluginError> {
        let mut state = self.pool.state();
        if state.closed {
            drop(state);
            return Err(PluginError::Engine("the server stops".into()));
        }
        state.running.push(worker.pid());
        drop(state);
        Ok(WorkerLease { worker: Some(worker), key: None, permit: self })
    }
}

impl Drop for WorkerPermit<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.busy -= 1;
        if let Some(own) = state.busy_by_tenant.get_mut(&self.tenant) {
            *own -= 1;
            if *own == 0 {
                state.busy_by_tenant.remove(&self.tenant);
            }
        }
        drop(state);
        // Callers of other tenants wait for other conditions.
        self.pool.released.notify_all();
    }
}

impl WorkerLease<'_> {
    /// Puts another worker in the place of one that died.
    pub fn replace(&mut self, worker: Worker) -> Result<(), PluginError> {
        let mut state = self.permit.pool.state();
        if state.closed {
            return Err(PluginError::Engine("the server stops".into()));
        }
        let (pid, died) = (worker.pid(), self.worker.replace(worker));
        if let Some(died) = &died {
            let pid = died.pid();
            state.running.retain(|running| *running != pid);
        }
        state.running.push(pid);
        drop(state);
        drop(died);
        Ok(())
    }

    /// Returns the worker.
    pub fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().expect("a lease has its worker until it is dropped")
    }
}

impl Drop for WorkerLease<'_> {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let pool = self.permit.pool;
        let (now, mut ended) = (Instant::now(), vec![]);
        let mut state = pool.state();
        let pid = worker.pid();
        state.running.retain(|running| *running != pid);
        match self.key.take() {
            Some(key) if worker.is_reusable() && !state.closed => state.idle.push_back((key, worker, now)),
            _ => ended.push(worker),
        }
        let idle_time = Duration::from_secs(pool.limits.idle_seconds);
        while state.idle.len() > pool.limits.idle_processes
            || state.idle.front().is_some_and(|(_, _, since)| now.duration_since(*since) > idle_time)
        {
            ended.extend(state.idle.pop_front().map(|(_, worker, _)| worker));
        }
        drop(state);
        // Waiting for the end of a process takes a moment, so it is outside of the lock.
        drop(ended);
    }
}
