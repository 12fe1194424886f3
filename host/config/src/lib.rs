//! Every limit, with its default and the reason for it. A configuration file (TOML) changes them.

mod platform;
mod plugin;

pub use platform::{Flow, PlatformConfig};
pub use plugin::PluginLimits;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What an upload may be.
    pub upload: UploadLimits,
    /// What a plugin may use.
    pub plugin: PluginLimits,
    /// Which plugins are taken.
    pub registry: RegistryLimits,
    /// How an import is cut.
    pub import: ImportLimits,
    /// What is kept of issues and logs.
    pub records: RecordLimits,
    /// Where keys are kept.
    pub keys: KeyPlaces,
    /// Whom the API lets in, and for how long.
    pub access: AccessLimits,
    /// What a client may ask of the HTTP server.
    pub http: HttpLimits,
    /// What the audit trail may grow by.
    pub audit: AuditLimits,
    /// How long records stay in staging.
    pub retention: Retention,
    /// How long what was tried out may stay.
    pub trial: TrialLimits,
    /// Platforms that are entered through their own API, by name. None: the embedded one alone.
    pub platforms: BTreeMap<String, PlatformConfig>,
}

/// How long what was tried out may stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrialLimits {
    /// Most hours for which a trial's target is kept, where somebody asks for it. 168: a week to look into it; it is
    /// not encrypted.
    pub max_keep_hours: u64,
    /// Hours for which the differences that a comparison found can be read, or until the next one. 168.
    pub difference_hours: u64,
}

impl Default for TrialLimits {
    fn default() -> Self {
        Self { max_keep_hours: 168, difference_hours: 168 }
    }
}

/// What the audit trail may grow by.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditLimits {
    /// Refused requests of one client that are noted in a second; those beyond are counted, and the next entry says how
    /// many they were. 5: people and programs in trouble are fewer.
    pub refusals_per_second: u32,
    /// The same of all who were not let in, in a minute. 6: anybody can knock, and the trail is never cut.
    pub strangers_per_minute: u32,
}

impl Default for AuditLimits {
    fn default() -> Self {
        Self { refusals_per_second: 5, strangers_per_minute: 6 }
    }
}

/// Whom the API lets in, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessLimits {
    /// Life of a token in seconds. 900: long enough for a page of work, short enough that a lost one is soon worthless.
    pub token_seconds: u64,
    /// Days after which tokens are signed with a new key. 30.
    pub signing_key_days: u64,
    /// Another issuer whose tokens are taken too.
    pub issuer: Option<Issuer>,
}

impl Default for AccessLimits {
    fn default() -> Self {
        Self { token_seconds: 900, signing_key_days: 30, issuer: None }
    }
}

/// Another issuer of tokens. Its tokens carry `tenant` (`*` for every tenant), `scope` (permissions parted by spaces)
/// and, unless every domain is granted, `domains` (a list of components).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that they must be made for.
    pub audience: String,
    /// Where it publishes its keys.
    pub jwks_url: String,
}

/// What a client may ask of the HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpLimits {
    /// Certificate chain (PEM). With it and its key the server speaks TLS and nothing else.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's private key (PEM).
    pub certificate_key_file: Option<PathBuf>,
    /// Bytes of a JSON body. 64 KiB: registrations are small. Uploads of records have limits of their own.
    pub json_bytes: usize,
    /// Requests a second that one client may send on average. 100: beyond that it is a loop.
    pub requests_per_second: u32,
    /// Requests that it may send at once before that counts. 200.
    pub request_burst: u32,
    /// Requests of one client that may be in work at once. 32: every upload and every stream is one.
    pub concurrent_requests: usize,
    /// Connections at once. 1,024: each costs a few ten kilobytes.
    pub connections: usize,
    /// Longest wait for a request's head, for a JSON body, and for a TLS handshake, in seconds. 10: these are small.
    pub head_seconds: u64,
    /// Longest that a client may take to read what is ready for it, in seconds. 60: then it is gone.
    pub write_seconds: u64,
    /// Longest wait for running requests when the server stops, in seconds. 30: what orchestrators grant.
    pub shutdown_seconds: u64,
    /// Hours for which the answer to a `POST` with an `Idempotency-Key` is kept. 24.
    pub idempotency_hours: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            certificate_file: None,
            certificate_key_file: None,
            json_bytes: 64 << 10,
            requests_per_second: 100,
            request_burst: 200,
            concurrent_requests: 32,
            connections: 1_024,
            head_seconds: 10,
            write_seconds: 60,
            shutdown_seconds: 30,
            idempotency_hours: 24,
        }
    }
}

/// Where keys are kept. Both default to the data directory, so that a first server needs no preparation; a server
/// that matters has both elsewhere, and not in the backups of its data.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyPlaces {
    /// The file of the master key, 64 hexadecimal digits. `master.key` in the data directory, made if it is absent.
    pub master_key_file: Option<PathBuf>,
    /// The directory of wrapped keys. `keys` in the data directory.
    pub directory: Option<PathBuf>,
}

/// How long records stay in staging.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Days after its import at which a migration is purged. None: nobody's data is deleted without being asked.
    pub days_after_import: Option<u32>,
    /// Seconds between two looks at what is due. 3,600: fine enough for days, and a look costs one query.
    pub check_seconds: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days_after_import: None, check_seconds: 3_600 }
    }
}

/// What an upload may be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadLimits {
    /// Longest record in bytes. 1 MiB: a thousand times a usual one, and still little memory.
    pub max_record_bytes: usize,
    /// Deepest nesting of objects and lists. 64: beyond what any domain has, below what a parser's stack holds.
    pub max_depth: usize,
    /// Records in a batch. 1,000: crossing into a plugin then costs next to nothing a record.
    pub batch_records: usize,
    /// Bytes in a batch before it is cut. 1 MiB: bounds memory where records are long.
    pub batch_bytes: usize,
    /// Records after which results wait no longer for a sync to disk. 16,384: a sync takes milliseconds,
    /// so this costs under a microsecond a record.
    pub sync_records: usize,
    /// Longest that results wait for a sync, in milliseconds, while records trickle in. 250: feels immediate.
    pub sync_millis: u64,
    /// Syncs that an upload may be ahead of its disk. 2: one is being made and one waits, so that neither staging nor the disk
    /// stands still. The results of each wait in memory, a few megabytes.
    pub sync_ahead: usize,
    /// Longest silence of a sending client, in seconds. 60: longer than any hiccup, short enough that a
    /// vanished client holds nothing for long.
    pub idle_seconds: u64,
    /// Bytes that must arrive within `idle_seconds`, unless the body ends. 256: a client that sends a byte now and then
    /// does not hold a source for ever.
    pub least_bytes: u64,
    /// Bytes of one upload, after it was expanded. 64 GiB: a hundred million records.
    pub max_bytes: u64,
    /// Bytes that one byte of a compressed upload may expand to. 200: tables expand to 5 to 30; what is made to fill a
    /// server, to 1,000 and more.
    pub max_expansion: u64,
    /// Hours for which an upload that resumes is kept while nothing comes, and its results once it has ended. 72: over a
    /// weekend.
    pub resumable_hours: u64,
    /// Uploads that a migration may have begun and not finished. 32: a mapper has some ten sources.
    pub resumable_uploads: u64,
    /// Bytes of all of them together, by their lengths. 64 GiB, as of one upload: they lie on disk.
    pub resumable_bytes: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            max_record_bytes: 1 << 20,
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
            resumable_hours: 72,
            resumable_uploads: 32,
            resumable_bytes: 64 << 30,
        }
    }
}

/// Which plugins are taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryLimits {
    /// Longest wait for a component that is being sent, in seconds. 120: 64 MiB over a slow line.
    pub push_seconds: u64,
    /// Plugins that a tenant may have. 200: each stays, so that what it made can be made again.
    pub plugins_per_tenant: u64,
    /// Whether a pushed plugin has to be signed with a key of its tenant. No: keys have to be exchanged first.
    pub require_signature: bool,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self { push_seconds: 120, plugins_per_tenant: 200, require_signature: false }
    }
}

/// How an import is cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportLimits {
    /// Records in a transaction of the embedded target. 20,000: a commit takes milliseconds, and so many
    /// records wait in some ten megabytes of memory.
    pub transaction_records: usize,
    /// The embedded target's page cache in bytes, two thirds of it for writing. 48 MiB: enough for the upper
    /// levels of its indexes, and memory stays far below 300 MB.
    pub cache_bytes: usize,
    /// Bytes of the embedded target's write-ahead log before it is moved into the database. 32 MiB: with SQLite's 4 MiB
    /// every transaction of an import moved it, and synced a second file; what there is of it is read at a start.
    pub log_bytes: usize,
}

impl Default for ImportLimits {
    fn default() -> Self {
        Self { transaction_records: 20_000, cache_bytes: 48 << 20, log_bytes: 32 << 20 }
    }
}

/// What is kept of issues and logs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordLimits {
    /// Issues listed for a validation or upload; beyond that they are counted only. 100,000: nobody
    /// reads more, and it bounds the disk that a broken mapper fills.
    pub listed_issues: u64,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self { listed_issues: 100_000 }
    }
}

/// Ten years, in seconds: longer is a mistake.
const LONGEST: u64 = 10 * 365 * 24 * 60 * 60;

impl Config {
    /// Whether a server can keep to this; if not, which value it is and what it has to be.
    pub fn check(&self) -> anyhow::Result<()> {
        self.plugin.check()?;
        let Self {
            upload,
            plugin: _,
            registry,
            import,
            records,
            keys: _,
            access,
            http,
            audit,
            retention,
            trial,
            platforms,
        } = self;
        let figures: &[(&str, u64, u64, u64)] = &[
            ("upload.max_record_bytes", upload.max_record_bytes as u64, 1, 1 << 30),
            ("upload.max_depth", upload.max_depth as u64, 1, 1_000),
            ("upload.batch_records", upload.batch_records as u64, 1, 1 << 20),
            ("upload.batch_bytes", upload.batch_bytes as u64, 1, 1 << 30),
            ("upload.sync_records", upload.sync_records as u64, 1, 1 << 30),
            ("upload.sync_millis", upload.sync_millis, 1, LONGEST),
            ("upload.sync_ahead", upload.sync_ahead as u64, 1, 1_000),
            ("upload.idle_seconds", upload.idle_seconds, 1, LONGEST),
            ("upload.max_bytes", upload.max_bytes, 1, u64::MAX),
            ("upload.max_expansion", upload.max_expansion, 1, 1 << 30),
            ("upload.resumable_hours", upload.resumable_hours, 1, 8_760),
            ("upload.resumable_uploads", upload.resumable_uploads, 0, 1 << 20),
            ("upload.resumable_bytes", upload.resumable_bytes, 0, u64::MAX),
            ("registry.push_seconds", registry.push_seconds, 1, LONGEST),
            ("registry.plugins_per_tenant", registry.plugins_per_tenant, 0, 1 << 30),
            ("import.transaction_records", import.transaction_records as u64, 1, 1 << 30),
            ("records.listed_issues", records.listed_issues, 0, i64::MAX as u64),
            ("access.token_seconds", access.token_seconds, 1, LONGEST),
            ("access.signing_key_days", access.signing_key_days, 1, 3_650),
            ("http.json_bytes", http.json_bytes as u64, 1, 1 << 30),
            ("http.requests_per_second", http.requests_per_second.into(), 1, u32::MAX.into()),
            ("http.request_burst", http.request_burst.into(), 1, u32::MAX.into()),
            ("http.concurrent_requests", http.concurrent_requests as u64, 1, 1 << 20),
            ("http.connections", http.connections as u64, 1, 1 << 20),
            ("http.head_seconds", http.head_seconds, 1, LONGEST),
            ("http.write_seconds", http.write_seconds, 1, LONGEST),
            ("http.shutdown_seconds", http.shutdown_seconds, 0, LONGEST),
            ("http.idempotency_hours", http.idempotency_hours, 1, 87_600),
            ("audit.refusals_per_second", audit.refusals_per_second.into(), 1, u32::MAX.into()),
            ("audit.strangers_per_minute", audit.strangers_per_minute.into(), 1, u32::MAX.into()),
            ("retention.check_seconds", retention.check_seconds, 1, LONGEST),
            ("trial.max_keep_hours", trial.max_keep_hours, 0, 8_760),
            ("trial.difference_hours", trial.difference_hours, 1, 8_760),
        ];
        within(figures)?;
        for (name, platform) in platforms {
            within(&platform.figures()).with_context(|| format!("platforms.{name}"))?;
        }
        Ok(())
    }

    /// Reads a configuration file; what it leaves out keeps its default.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
    }
}

/// Whether each figure is from its least to its most; if not, which it is and what it has to be.
fn within(figures: &[(&str, u64, u64, u64)]) -> anyhow::Result<()> {
    match figures.iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
        Some((name, value, least, most)) => anyhow::bail!("{name} is {value}: it has to be from {least} to {most}"),
        None => Ok(()),
    }
}
