//! Quotas of tenants, and limits of the files that their migrations keep open.

use serde::{Deserialize, Serialize};

/// Quotas of each tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Maximum number of uploads that the server works on for one tenant at the same time. 32: each has a thread and some
    /// megabytes.
    pub uploads: usize,
    /// Maximum number of jobs that run for one tenant at the same time. 16: each has some threads.
    pub jobs: usize,
    /// Maximum number of plugins that one tenant pushes at the same time. 2: one is inspected while the next one arrives.
    pub pushes: usize,
    /// Maximum number of migrations of one tenant that are not purged. 1,000: rehearsals included.
    pub migrations: u64,
    /// Maximum number of bytes that one tenant's migrations take on disk. 256 GiB: some hundred million records. The server
    /// measures at the beginning of each upload, and stops an upload that exceeds the rest.
    pub disk_bytes: u64,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { uploads: 32, jobs: 16, pushes: 2, migrations: 1_000, disk_bytes: 256 << 30 }
    }
}

/// Limits of the staging areas' open files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StagingLimits {
    /// Number of seconds after which the server closes the files of a migration that nobody uses. 60: opening them again
    /// takes milliseconds.
    pub idle_seconds: u64,
    /// Maximum number of migrations whose files stay open while nobody uses them. 128: each has about five descriptors, and
    /// a process usually may have 1,024.
    pub idle_migrations: usize,
}

impl Default for StagingLimits {
    fn default() -> Self {
        Self { idle_seconds: 60, idle_migrations: 128 }
    }
}
