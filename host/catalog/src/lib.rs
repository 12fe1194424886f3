//! The catalogue: migrations, jobs, issues, logs and the audit trail. Reference ids, positions, codes and figures only.

mod audit;
mod clients;
mod copies;
mod idempotency;
mod issues;
mod jobs;
mod logs;
mod migrations;
mod outcomes;
mod plugins;
mod uploads;
mod versions;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use rusqlite::{Connection, TransactionBehavior};

pub use audit::{Trail, TrailError};
pub use idempotency::{Kept, Making, Reserved};
pub use issues::{IssueCount, IssueFilter, ListedIssue, Phase, RecordIssue};
pub use jobs::{JobEnd, JobError};
pub use logs::{LogEntry, LogFilter, LoggedEntry};
pub use migrations::TransitionError;
pub use outcomes::SourceOutcome;
pub use uploads::{KeptUpload, UploadEnd};

use sluice_model::{ImportStatus, Migration, StagingStatus, Status};
use sluice_sqlite::{self, Newer, SqlError};

/// A failure of the catalogue: the host's trouble. It says which, and quotes nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("the catalogue cannot be read or written: {0}")]
    Sql(SqlError),
    /// A later version of Sluice has written it.
    #[error("the catalogue is {0}")]
    Newer(Newer),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error.into())
    }
}

/// A page of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// How many to pass over.
    pub offset: u64,
    /// How many to give.
    pub limit: u64,
}

/// The catalogue, one SQLite file.
pub struct Store {
    connection: Mutex<Connection>,
    /// Changes whenever something is logged.
    logged: tokio::sync::watch::Sender<()>,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS migrations (
    number INTEGER PRIMARY KEY, reference_id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL, components TEXT NOT NULL,
    mapper TEXT, mapper_digest TEXT,
    registered_at TEXT NOT NULL, staging TEXT NOT NULL, import TEXT NOT NULL,
    validated_version INTEGER, validated_by TEXT, purged_at TEXT, target TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, migration TEXT NOT NULL, kind TEXT NOT NULL,
    state TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT, done INTEGER NOT NULL, total INTEGER NOT NULL,
    result TEXT
);
CREATE INDEX IF NOT EXISTS jobs_of_migration ON jobs (migration);
CREATE TABLE IF NOT EXISTS issues (
    number INTEGER PRIMARY KEY, migration TEXT NOT NULL, phase TEXT NOT NULL, stream TEXT NOT NULL,
    line INTEGER, reference_id TEXT, severity TEXT NOT NULL, code TEXT NOT NULL, field TEXT NOT NULL, rule TEXT
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
    component TEXT, job TEXT, code TEXT NOT NULL, figures TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS logs_of_migration ON logs (migration);
CREATE TABLE IF NOT EXISTS clients (
    id TEXT PRIMARY KEY, tenant TEXT, permissions TEXT NOT NULL, domains TEXT NOT NULL, created_at TEXT NOT NULL,
    expires_at TEXT, revoked_at TEXT, secret BLOB NOT NULL, old_secret BLOB, old_secret_until TEXT
);
CREATE TABLE IF NOT EXISTS token_keys (id TEXT PRIMARY KEY, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS idempotency (
    client TEXT NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, at INTEGER NOT NULL, status INTEGER, location TEXT,
    body BLOB, PRIMARY KEY (client, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (at);
";

impl Store {
    /// Opens the catalogue, and makes it if need be.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::prepared(Connection::open(path)?)
    }

    /// A catalogue in memory that is what a kept one holds, brought forward: the file stays as it is.
    pub fn of_copy(path: &Path) -> Result<Self, StoreError> {
        Self::prepared(sluice_sqlite::in_memory(path)?)
    }

    /// The version of the catalogue that is written here.
    pub fn version() -> i64 {
        versions::STEPS.len() as i64
    }

    /// A catalogue in memory that knows this one migration, as if it had just been loaded.
    pub fn in_memory(migration: &Migration) -> Result<Self, StoreError> {
        let store = Self::prepared(Connection::open_in_memory()?)?;
        let status = Status { staging: StagingStatus::Staged, import: ImportStatus::Pending };
        migrations::insert(&store.lock(), &Migration { status, ..migration.clone() })?;
        Ok(store)
    }

    fn prepared(mut connection: Connection) -> Result<Self, StoreError> {
        // A transaction that reads and then writes fails where another process, such as `sluice client`, has written in
        // between, however long it would wait: so each begins as a writer.
        connection.set_transaction_behavior(TransactionBehavior::Immediate);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What a purge deletes is overwritten, and not left in free pages.
        connection.pragma_update(None, "secure_delete", "ON")?;
        sluice_sqlite::bring_forward(&mut connection, "migrations", versions::STEPS)?.map_err(StoreError::Newer)?;
        for schema in [SCHEMA, uploads::SCHEMA, outcomes::SCHEMA, audit::SCHEMA, plugins::SCHEMA, copies::SCHEMA] {
            connection.execute_batch(schema)?;
        }
        Ok(Self { connection: Mutex::new(connection), logged: tokio::sync::watch::Sender::new(()) })
    }

    /// Whether the catalogue can be read.
    pub fn check(&self) -> Result<(), StoreError> {
        Ok(self.lock().query_row("SELECT 1 FROM migrations LIMIT 1", [], |_| Ok(())).or_else(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => Ok(()),
            error => Err(error),
        })?)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while it was held has at worst left a transaction, which its guard rolled back.
        self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_model::{DOMAINS, Event, Tenant};

    /// Two processes write to one catalogue, as a server and `sluice client` do: neither fails for the other.
    #[test]
    fn two_writers() {
        let held = tempfile::tempdir().unwrap();
        let path = held.path().join("catalogue.db");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let (server, beside) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
        let id = server
            .register(uuid::Uuid::new_v4(), Tenant::only(), vec![&DOMAINS[0]], None, None, now)
            .unwrap()
            .reference_id;
        std::thread::scope(|scope| {
            scope.spawn(|| (0..200).for_each(|_| beside.set_mapper(id, None).unwrap()));
            for event in [Event::Changed, Event::ValidationStarts, Event::ValidationStopped].iter().cycle().take(200) {
                server.transition(id, *event).unwrap();
            }
        });
    }
}
