//! The configuration: every limit with its default and its reason. A configuration file (TOML) overrides defaults.

mod access;
mod approval;
mod http;
mod platform;
mod plugin;
mod retention;
mod tenant;
mod worker;

pub use access::{AccessLimits, Issuer};
pub use approval::{ApprovalConfig, FourEyes, LimitMaximum, PluginMaxima};
pub use http::HttpLimits;
pub use platform::{Flow, PlatformConfig};
pub use plugin::PluginLimits;
pub use retention::{Retention, TrialLimits};
pub use tenant::{StagingLimits, TenantLimits};
pub use worker::WorkerLimits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The configuration of a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Limits of uploads.
    pub upload: UploadLimits,
    /// Limits of plugins.
    pub plugin: PluginLimits,
    /// Limits of the processes that compile and run plugins.
    pub worker: WorkerLimits,
    /// Settings of approvals.
    pub approval: ApprovalConfig,
    /// Limits of the plugin registry.
    pub registry: RegistryLimits,
    /// Limits of imports.
    pub import: ImportLimits,
    /// Limits of listed issues.
    pub records: RecordLimits,
    /// Locations of the keys.
    pub keys: KeyLocations,
    /// Settings of tokens.
    pub access: AccessLimits,
    /// Limits of the HTTP server.
    pub http: HttpLimits,
    /// Limits of the audit trail's growth.
    pub audit: AuditLimits,
    /// Retention of staged records.
    pub retention: Retention,
    /// Limits of the staging areas' open files.
    pub staging: StagingLimits,
    /// Quotas of each tenant.
    pub tenant: TenantLimits,
    /// Retention of trials and comparisons.
    pub trial: TrialLimits,
    /// Platforms with an API of their own, by name. None by default: the server has the embedded platform only.
    pub platforms: BTreeMap<String, PlatformConfig>,
}

/// Limits of the audit trail's growth.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditLimits {
    /// Maximum number of audit entries per second for refused requests of one client. The server counts the others, and
    /// the next entry states their number. 5: an ordinary client in trouble sends fewer.
    pub refusals_per_second: u32,
    /// Maximum number of audit entries per minute for refused requests of all callers without valid credentials. 6:
    /// every host on the network can send such requests, and the server never truncates the trail.
    pub strangers_per_minute: u32,
}

impl Default for AuditLimits {
    fn default() -> Self {
        Self { refusals_per_second: 5, strangers_per_minute: 6 }
    }
}

/// Locations of the keys. Both default to the data directory, so a first server needs no preparation. A production
/// server has both elsewhere, outside the backups of its data.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyLocations {
    /// File of the master key, 64 hexadecimal digits. `master.key` in the data directory. The server creates it if it
    /// is missing.
    pub master_key_file: Option<PathBuf>,
    /// Directory of the wrapped keys. `keys` in the data directory.
    pub directory: Option<PathBuf>,
}

/// Limits of uploads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadLimits {
    /// Maximum length of a record in bytes. 1 MiB: a thousand times a usual record, and still little memory.
    pub max_record_bytes: usize,
    /// Maximum number of ends of lines in a quoted field of a table. 1,000: in a longer one the quote is a stray character.
    pub max_quoted_lines: u64,
    /// Maximum nesting of objects and lists. 64: more than any domain has, less than a parser's stack allows.
    pub max_depth: usize,
    /// Maximum number of records in a batch. 1,000: the cost of a call into a plugin, divided by the records, is then
    /// negligible.
    pub batch_records: usize,
    /// Number of bytes at which a batch ends. 1 MiB: limits memory if records are long.
    pub batch_bytes: usize,
    /// Number of records after which the server syncs to disk and sends results. 16,384: a sync takes milliseconds, so
    /// it costs less than a microsecond per record.
    pub sync_records: usize,
    /// Maximum time in milliseconds that results wait for a sync while records arrive slowly. 250: feels immediate.
    pub sync_millis: u64,
    /// Maximum number of syncs by which staging may be ahead of the disk. 2: one runs and one waits, so neither staging
    /// nor the disk is idle. The results of each wait in memory, a few megabytes.
    pub sync_ahead: usize,
    /// Maximum pause of a sending client, in seconds. 60: longer than a network interruption, short enough that a
    /// vanished client does not block a source for long.
    pub idle_seconds: u64,
    /// Minimum number of bytes that must arrive within `idle_seconds`, unless the body ends. 256: a client that sends
    /// single bytes cannot block a source for ever.
    pub least_bytes: u64,
    /// Maximum length of one upload in bytes, after decompression. 64 GiB: a hundred million records.
    pub max_bytes: u64,
    /// Maximum number of bytes to which one byte of a compressed upload may expand. 200: tables expand 5 to 30 times,
    /// decompression bombs 1,000 times and more.
    pub max_expansion: u64,
    /// Maximum window of a Zstandard body in bytes: memory that an upload takes. 8 MiB: the maximum of RFC 9659.
    pub max_zstd_window: u64,
    /// Number of hours for which the server keeps a resumable upload that receives nothing, and the results of one that
    /// ended. 72: longer than a weekend.
    pub resumable_hours: u64,
    /// Maximum number of unfinished resumable uploads of a migration. 32: a mapper has about ten sources.
    pub resumable_uploads: u64,
    /// Maximum total length in bytes of a migration's unfinished resumable uploads. 64 GiB, as for one upload: they are
    /// on disk.
    pub resumable_bytes: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            max_record_bytes: 1 << 20,
            max_quoted_lines: 1_000,
            max_depth: 64,
            batch_records: 1_000,
            batch_bytes: 1 << 20,
            sync_records: 16_384,
            sync_millis: 250,
            sync_ahead: 2,
            idle_seconds: 60,
            least_bytes: 256,
            max_bytes: 64 << 30,
            max_expansion: 200,
            max_zstd_window: 8 << 20,
            resumable_hours: 72,
            resumable_uploads: 32,
            resumable_bytes: 64 << 30,
        }
    }
}

/// Limits of the plugin registry.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryLimits {
    /// Maximum time in seconds for sending a component. 120: 64 MiB over a slow line.
    pub push_seconds: u64,
    /// Maximum number of plugins of a tenant. 200: the server keeps each one, so that its results can be reproduced.
    pub plugins_per_tenant: u64,
    /// True if a pushed plugin must be signed with a key of its tenant. False: tenants must exchange keys first.
    pub require_signature: bool,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { push_seconds: 120, plugins_per_tenant: 200, require_signature: false }
    }
}

/// Limits of imports.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportLimits {
    /// Number of records in a transaction of the embedded target. 20,000: a commit takes milliseconds, and the records
    /// need about ten megabytes of memory.
    pub transaction_records: usize,
    /// Page cache of the embedded target in bytes, two thirds of it for writing. 48 MiB: it holds the upper levels of
    /// the indexes, and memory stays far below 300 MB.
    pub cache_bytes: usize,
    /// Length in bytes of the embedded target's write-ahead log at which SQLite moves it into the database. 32 MiB:
    /// with SQLite's default of 4 MiB, each transaction of an import moved the log and synced a second file. The server
    /// reads the log when it starts.
    pub log_bytes: usize,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self { transaction_records: 20_000, cache_bytes: 48 << 20, log_bytes: 32 << 20 }
    }
}

/// Limits of listed issues.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordLimits {
    /// Maximum number of listed issues of a validation or of the uploads. The server counts the others. 100,000: more
    /// than a person reads, and it limits the disk space that a faulty mapper can fill.
    pub listed_issues: u64,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { listed_issues: 100_000 }
    }
}

/// Maximum of a duration: ten years in seconds. A longer one is a mistake.
const MAX_DURATION: u64 = 10 * 365 * 24 * 60 * 60;

impl Config {
    /// Checks that every value is within its range.
    ///
    /// # Errors
    ///
    /// Names the first value that is out of range, and its range.
    pub fn check(&self) -> anyhow::Result<()> {
        self.plugin.check()?;
        self.worker.check()?;
        let Self {
            upload,
            plugin: _,
            worker: _,
            approval,
            registry,
            import,
            records,
            keys: _,
            access,
            http,
            audit,
            retention,
            staging,
            tenant,
            trial,
            platforms,
        } = self;
        let ranges: &[(&str, u64, u64, u64)] = &[
            ("upload.max_record_bytes", upload.max_record_bytes as u64, 1, 1 << 30),
            ("upload.max_quoted_lines", upload.max_quoted_lines, 1, 1 << 30),
            ("upload.max_depth", upload.max_depth as u64, 1, 1_000),
            ("upload.batch_records", upload.batch_records as u64, 1, 1 << 20),
            ("upload.batch_bytes", upload.batch_bytes as u64, 1, 1 << 30),
            ("upload.sync_records", upload.sync_records as u64, 1, 1 << 30),
            ("upload.sync_millis", upload.sync_millis, 1, MAX_DURATION),
            ("upload.sync_ahead", upload.sync_ahead as u64, 1, 1_000),
            ("upload.idle_seconds", upload.idle_seconds, 1, MAX_DURATION),
            ("upload.max_bytes", upload.max_bytes, 1, u64::MAX),
            ("upload.max_expansion", upload.max_expansion, 1, 1 << 30),
            ("upload.max_zstd_window", upload.max_zstd_window, 1 << 10, 2 << 30),
            ("upload.resumable_hours", upload.resumable_hours, 1, 8_760),
            ("upload.resumable_uploads", upload.resumable_uploads, 0, 1 << 20),
            ("upload.resumable_bytes", upload.resumable_bytes, 0, u64::MAX),
            ("registry.push_seconds", registry.push_seconds, 1, MAX_DURATION),
            ("registry.plugins_per_tenant", registry.plugins_per_tenant, 0, 1 << 30),
            ("import.transaction_records", import.transaction_records as u64, 1, 1 << 30),
            ("records.listed_issues", records.listed_issues, 0, i64::MAX as u64),
            ("access.token_seconds", access.token_seconds, 1, MAX_DURATION),
            ("access.signing_key_days", access.signing_key_days, 1, 3_650),
            ("access.issuer_seconds", access.issuer_seconds, 1, 3_600),
            ("access.issuer_bytes", access.issuer_bytes as u64, 1, 1 << 30),
            ("access.wrong_secrets", access.wrong_secrets.into(), 0, u32::MAX.into()),
            ("access.wrong_secrets_per_address", access.wrong_secrets_per_address.into(), 0, u32::MAX.into()),
            ("access.backoff_seconds", access.backoff_seconds, 1, 86_400),
            ("http.json_bytes", http.json_bytes as u64, 1, 1 << 30),
            ("http.requests_per_second", http.requests_per_second.into(), 1, u32::MAX.into()),
            ("http.request_burst", http.request_burst.into(), 1, u32::MAX.into()),
            ("http.concurrent_requests", http.concurrent_requests as u64, 1, 1 << 20),
            ("http.connections", http.connections as u64, 1, 1 << 20),
            ("http.connections_per_address", http.connections_per_address as u64, 1, 1 << 20),
            ("http.head_seconds", http.head_seconds, 1, MAX_DURATION),
            ("http.idle_seconds", http.idle_seconds, 1, MAX_DURATION),
            ("http.write_seconds", http.write_seconds, 1, MAX_DURATION),
            ("http.shutdown_seconds", http.shutdown_seconds, 0, MAX_DURATION),
            ("http.ready_millis", http.ready_millis, 1, 60_000),
            ("http.idempotency_hours", http.idempotency_hours, 1, 87_600),
            ("audit.refusals_per_second", audit.refusals_per_second.into(), 1, u32::MAX.into()),
            ("audit.strangers_per_minute", audit.strangers_per_minute.into(), 1, u32::MAX.into()),
            ("retention.check_seconds", retention.check_seconds, 1, MAX_DURATION),
            ("staging.idle_seconds", staging.idle_seconds, 1, MAX_DURATION),
            ("staging.idle_migrations", staging.idle_migrations as u64, 0, 1 << 20),
            ("tenant.uploads", tenant.uploads as u64, 1, 1 << 20),
            ("tenant.jobs", tenant.jobs as u64, 1, 1 << 20),
            ("tenant.pushes", tenant.pushes as u64, 1, 1 << 20),
            ("tenant.migrations", tenant.migrations, 0, 1 << 30),
            ("tenant.disk_bytes", tenant.disk_bytes, 0, u64::MAX),
            ("trial.max_keep_hours", trial.max_keep_hours, 0, 8_760),
            ("trial.difference_hours", trial.difference_hours, 1, 8_760),
        ];
        check_ranges(ranges)?;
        if access.issuer.as_ref().is_some_and(|issuer| !access::is_secure_url(&issuer.jwks_url)) {
            anyhow::bail!("access.issuer.jwks_url has to begin with https://, or with http:// and a loopback address");
        }
        check_ranges(&approval.maxima.ranges()).context("approval.maxima")?;
        for (name, platform) in platforms {
            check_ranges(&platform.ranges()).with_context(|| format!("platforms.{name}"))?;
            platform.check_tenants().with_context(|| format!("platforms.{name}"))?;
        }
        Ok(())
    }

    /// Reads a configuration file. Values that it omits keep their defaults.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read or is not a configuration.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
    }
}

/// Checks that each value is within its range: name, value, minimum and maximum.
fn check_ranges(ranges: &[(&str, u64, u64, u64)]) -> anyhow::Result<()> {
    match ranges.iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
        Some((name, value, min, max)) => anyhow::bail!("{name} is {value}: it has to be from {min} to {max}"),
        None => Ok(()),
    }
}
