//! Limits of plugin workers: the processes that compile and run plugins.

use serde::{Deserialize, Serialize};

use super::{MAX_DURATION, check_ranges};

/// Limits of plugin workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerLimits {
    /// True to refuse to start where the kernel lacks one of the walls around workers. False: the server logs which are
    /// missing, so that it can be tried on an older kernel.
    pub require_walls: bool,
    /// Maximum number of workers at work. A call that needs another one waits. 64: far more than there are processors.
    pub processes: usize,
    /// Maximum number of workers at work for one tenant. 16: a quarter, so that four busy tenants do not shut others out.
    pub processes_per_tenant: usize,
    /// Maximum number of idle workers. 16: each keeps a few megabytes, and starting one takes about 20 milliseconds.
    pub idle_processes: usize,
    /// Number of seconds after which an idle worker may end. 60.
    pub idle_seconds: u64,
    /// Maximum time for compiling a component, in seconds. 120: a Python component of 18 MB takes 4 on two processors, and
    /// much more on a machine that is busy.
    pub compile_seconds: u64,
    /// Maximum memory of a worker that compiles, in bytes. 2 GiB: a Python component of 18 MB takes about 700 MB.
    pub compile_memory_bytes: u64,
    /// Maximum length of a component's compiled code in bytes. 512 MiB: a Python component of 18 MB has about 60 MB.
    pub code_bytes: u64,
    /// Maximum length in bytes of all compiled code that the server keeps. 4 GiB: some sixty Python plugins. The code that
    /// was not used for the longest time goes first, and is compiled again when it is needed.
    pub cache_bytes: u64,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            require_walls: false,
            processes: 64,
            processes_per_tenant: 16,
            idle_processes: 16,
            idle_seconds: 60,
            compile_seconds: 120,
            compile_memory_bytes: 2 << 30,
            code_bytes: 512 << 20,
            cache_bytes: 4 << 30,
        }
    }
}

impl WorkerLimits {
    /// Returns each limit: its name in the configuration, its value, its minimum and its maximum.
    pub fn ranges(&self) -> [(&'static str, u64, u64, u64); 8] {
        [
            ("worker.processes", self.processes as u64, 1, 4_096),
            ("worker.processes_per_tenant", self.processes_per_tenant as u64, 1, 4_096),
            ("worker.idle_processes", self.idle_processes as u64, 0, 4_096),
            ("worker.idle_seconds", self.idle_seconds, 0, MAX_DURATION),
            ("worker.compile_seconds", self.compile_seconds, 1, MAX_DURATION),
            ("worker.compile_memory_bytes", self.compile_memory_bytes, 64 << 20, 1 << 40),
            ("worker.code_bytes", self.code_bytes, 1 << 20, 1 << 32),
            ("worker.cache_bytes", self.cache_bytes, 0, 1 << 50),
        ]
    }

    /// Checks that every limit is within its range.
    ///
    /// # Errors
    ///
    /// Names the first value that is out of range, and its range.
    pub fn check(&self) -> anyhow::Result<()> {
        check_ranges(&self.ranges())
    }
}
