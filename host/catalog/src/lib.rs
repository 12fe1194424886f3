//! The catalog: migrations, jobs, issues, logs, clients, plugins and the audit trail, in SQLite. It holds reference
//! ids, positions, codes and counts, never text of a record.

mod audit;
mod clients;
mod idempotency;
mod issue_changes;
mod issues;
mod jobs;
mod logs;
mod migrations;
mod plugins;
mod reference_grants;
mod restore_points;
mod schema_steps;
mod source_outcomes;
mod uploads;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, TransactionBehavior};

pub use audit::{Trail, TrailError};
pub use idempotency::{KeyReservation, PendingCreation, StoredResponse};
pub use issues::{IssueFilter, IssueTotal, ListedIssue, Phase, RecordIssue, SupersededIssues};
pub use jobs::{JobEnd, JobError};
pub use logs::{LogEntry, LogFilter, StoredLogEntry};
pub use migrations::TransitionError;
pub use reference_grants::{GrantedTenants, ReferenceGrant};
pub use source_outcomes::SourceOutcomeCount;
pub use uploads::{CatalogUpload, UploadEnd};

use sluice_model::{ImportStatus, Migration, MigrationStatus, StagingStatus};
use sluice_sqlite::{self, NewerVersion, SqlError};

/// An error of the catalog. Its text quotes no value of a record.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database failed.
    #[error("the catalog cannot be read or written: {0}")]
    Sql(SqlError),
    /// A later version of Sluice wrote the catalog.
    #[error("the catalog is {0}")]
    NewerVersion(NewerVersion),
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.into())
    }
}

/// The part of a list that a caller requests.
#[derive(Clone, Copy, Debug)]
pub struct Pagination {
    /// Number of items to skip.
    pub offset: u64,
    /// Maximum number of items to return.
    pub limit: u64,
}

/// The catalog, one SQLite file.
pub struct Catalog {
    connection: Mutex<Connection>,
    /// Notifies when an entry is added to a log.
    log_changes: tokio::sync::watch::Sender<()>,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY, reference_id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, components TEXT NOT NULL,
    mapper TEXT, mapper_digest TEXT,
    registered_at TEXT NOT NULL, staging TEXT NOT NULL, import TEXT NOT NULL,
    validated_version INTEGER, validated_by TEXT, purged_at TEXT, target TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0, label TEXT
);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, migration TEXT NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT, done INTEGER NOT NULL, total INTEGER NOT NULL,
    result TEXT, domains TEXT, client TEXT
);
CREATE INDEX IF NOT EXISTS jobs_of_migration ON jobs (migration);
CREATE TABLE IF NOT EXISTS paused_jobs (
    migration TEXT NOT NULL, kind TEXT NOT NULL, PRIMARY KEY (migration, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issues (
    number INTEGER PRIMARY KEY, migration TEXT NOT NULL, phase TEXT NOT NULL, stream TEXT NOT NULL,
    line INTEGER, reference_id TEXT, severity TEXT NOT NULL, code TEXT NOT NULL, field TEXT NOT NULL, rule TEXT,
    upload INTEGER, first_line INTEGER
);
CREATE INDEX IF NOT EXISTS issues_of_migration ON issues (migration, phase);
CREATE INDEX IF NOT EXISTS issues_of_record ON issues (migration, stream, reference_id);
CREATE INDEX IF NOT EXISTS issues_of_line ON issues (migration, stream, line);
CREATE TABLE IF NOT EXISTS issue_counts (
    migration TEXT NOT NULL, phase TEXT NOT NULL, stream TEXT NOT NULL, severity TEXT NOT NULL, code TEXT NOT NULL,
    rule TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (migration, phase, stream, severity, code, rule)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, migration TEXT NOT NULL, at TEXT NOT NULL, severity TEXT NOT NULL,
    component TEXT, job TEXT, code TEXT NOT NULL, figures TEXT NOT NULL, entry INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS log_numbers (migration TEXT PRIMARY KEY, entries INTEGER NOT NULL) WITHOUT ROWID;
DROP INDEX IF EXISTS logs_of_migration;
CREATE INDEX IF NOT EXISTS log_entries_of_migration ON logs (migration, entry);
CREATE TABLE IF NOT EXISTS clients (
    id TEXT PRIMARY KEY, tenant TEXT, permissions TEXT NOT NULL, domains TEXT NOT NULL, created_at TEXT NOT NULL,
    expires_at TEXT, revoked_at TEXT, secret BLOB NOT NULL, old_secret BLOB, old_secret_until TEXT, label TEXT
);
CREATE TABLE IF NOT EXISTS token_keys (id TEXT PRIMARY KEY, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS idempotency (
    client TEXT NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, at INTEGER NOT NULL, status INTEGER, location TEXT,
    body BLOB, PRIMARY KEY (client, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (at);
";

impl Catalog {
    /// Opens the catalog. Creates it if it is missing.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        Self::prepared(Connection::open(path)?)
    }

    /// Loads a copy of a catalog into memory and upgrades it there. The file stays unchanged.
    pub fn load_copy(path: &Path) -> Result<Self, CatalogError> {
        Self::prepared(sluice_sqlite::load_into_memory(path)?)
    }

    /// Returns the version of the catalog that this Sluice writes.
    pub fn version() -> i64 {
        schema_steps::STEPS.len() as i64
    }

    /// Makes a catalog in memory with this migration only, whose records are staged and not validated.
    pub fn in_memory_for(migration: &Migration) -> Result<Self, CatalogError> {
        let catalog = Self::prepared(Connection::open_in_memory()?)?;
        let status = MigrationStatus { staging: StagingStatus::Staged, import: ImportStatus::Pending };
        migrations::insert(&catalog.lock(), &Migration { status, ..migration.clone() })?;
        Ok(catalog)
    }

    fn prepared(mut connection: Connection) -> Result<Self, CatalogError> {
        // A transaction that reads and then writes fails if another process, such as `sluice client`, has written in
        // between, regardless of the busy timeout. So each transaction begins as a writer.
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // SQLite overwrites what a purge deletes, instead of leaving it in free pages.
        connection.pragma_update(None, "secure_delete", "ON")?;
        sluice_sqlite::upgrade_schema(&mut connection, "migrations", schema_steps::STEPS)?
            .map_err(CatalogError::NewerVersion)?;
        for schema in [
            SCHEMA,
            uploads::SCHEMA,
            source_outcomes::SCHEMA,
            audit::SCHEMA,
            plugins::SCHEMA,
            restore_points::SCHEMA,
            reference_grants::SCHEMA,
        ] {
            connection.execute_batch(schema)?;
        }
        Ok(Self { connection: Mutex::new(connection), log_changes: tokio::sync::watch::Sender::new(()) })
    }

    /// Checks that the catalog can be read.
    pub fn check(&self) -> Result<(), CatalogError> {
        Ok(self.lock().query_row("SELECT 1 FROM migrations LIMIT 1", [], |_| Ok(())).or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            error => Err(error),
        })?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic under the lock leaves at most a transaction, which its guard rolls back.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_model::{DOMAINS, MigrationEvent, Tenant};

    /// Two processes, such as a server and `sluice client`, write to one catalog. Neither makes the other fail.
    #[test]
    fn two_writers() {
        let temp_dir = tempfile::tempdir().unwrap();
        let path = temp_dir.path().join("catalogue.db");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let (server, beside) = (Catalog::open(&path).unwrap(), Catalog::open(&path).unwrap());
        let id = server
            .register(uuid::Uuid::new_v4(), Tenant::default_tenant(), vec![&DOMAINS[0]], None, None, now)
            .unwrap()
            .reference_id;
        std::thread::scope(|scope| {
            scope.spawn(|| (0..200).for_each(|_| beside.set_mapper(id, None).unwrap()));
            for event in [MigrationEvent::Changed, MigrationEvent::ValidationStarts, MigrationEvent::ValidationStopped]
                .iter()
                .cycle()
                .take(200)
            {
                server.transition(id, *event).unwrap();
            }
        });
    }
}
