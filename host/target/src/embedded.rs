//! The embedded platform database: one SQLite file, a table an entity type, queryable with plain SQL.
//!
//! A table that is empty when an import begins gets its unique index at the end: rows first and index
//! last is six times as fast as keeping an index of random keys.

use std::path::Path as FilePath;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::TargetError;
use super::load::SqliteLoad;
use super::table::Table;
use sluice_config::ImportLimits;
use sluice_contract::EntityType;
use sluice_sqlite as sql;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sluice_origins (
    number INTEGER PRIMARY KEY, migration TEXT NOT NULL, source TEXT NOT NULL, mapper TEXT NOT NULL,
    domain_plugin TEXT NOT NULL, UNIQUE (migration, source, mapper, domain_plugin)
);
CREATE TABLE IF NOT EXISTS sluice_progress (
    migration TEXT NOT NULL, entity_type TEXT NOT NULL, position INTEGER NOT NULL,
    row_count INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (migration, entity_type)
) WITHOUT ROWID;
";

/// Bytes of a page, where the database is made: a page is two calls into the log and one into the database, and with
/// SQLite's 4 KiB those were a fifth of what an import's writer did.
const PAGE_BYTES: usize = 16 << 10;

/// What each version of the platform database has changed of the one before: nothing yet, beside columns that plugins
/// bring, which are added where they are missing.
const STEPS: &[&str] = &[];

/// How often somebody who waits for a table looks whether to give up.
const PATIENCE: Duration = Duration::from_millis(100);

/// The embedded target.
pub struct EmbeddedTarget {
    pub(super) writer: Mutex<Connection>,
    /// Readers do not wait for a writer: WAL.
    pub(super) reader: Mutex<Connection>,
    /// Tables into which a migration is importing.
    pub(super) busy: Mutex<HashMap<String, Uuid>>,
    pub(super) freed: Condvar,
    /// Indexes that are known to be there, beside those of the ids.
    indexed: Mutex<HashSet<String>>,
}

/// A panic while it was held has at worst left a transaction, which its guard rolled back.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn connect(path: &FilePath, cache_bytes: usize, log_bytes: usize) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // Before anything else is said to a new one: afterwards it has its pages.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let page_bytes: usize = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    connection.pragma_update(None, "wal_autocheckpoint", (log_bytes / page_bytes).max(1))?;
    connection.pragma_update(None, "cache_size", -((cache_bytes / 1024) as i64))?;
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

pub(super) fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare_cached("SELECT name FROM pragma_table_info(?)")?;
    query.query_map([table], |row| row.get(0))?.collect()
}

impl EmbeddedTarget {
    /// Opens the database, and makes it if need be.
    pub fn open(path: &FilePath, limits: &ImportLimits) -> Result<Self, TargetError> {
        let mut writer = connect(path, limits.cache_bytes / 3 * 2, limits.log_bytes)?;
        sql::bring_forward(&mut writer, "sluice_progress", STEPS)?.map_err(TargetError::Newer)?;
        writer.execute_batch(SCHEMA)?;
        let reader = Mutex::new(connect(path, limits.cache_bytes / 3, limits.log_bytes)?);
        let writer = Mutex::new(writer);
        Ok(Self { writer, reader, busy: Mutex::default(), freed: Condvar::new(), indexed: Mutex::default() })
    }

    /// Opens a database that somebody has kept, only to read it: see `sql::open_read_only`.
    pub fn open_read_only(path: &FilePath) -> Result<Self, TargetError> {
        let open = || {
            let connection = sql::open_read_only(path)?;
            sql::refuse_newer(&connection, STEPS)?.map_err(TargetError::Newer)?;
            Ok::<_, TargetError>(Mutex::new(connection))
        };
        Ok(Self {
            writer: open()?,
            reader: open()?,
            busy: Mutex::default(),
            freed: Condvar::new(),
            indexed: Mutex::default(),
        })
    }

    pub(super) fn prepare_table(&self, entity_type: &EntityType) -> Result<(), TargetError> {
        let table = Table::new(entity_type);
        let writer = lock(&self.writer);
        let transaction = Transaction::new_unchecked(&writer, TransactionBehavior::Immediate)?;
        transaction.execute(&table.create(), [])?;
        let there = column_names(&transaction, &table.name)?;
        for statement in table.add_columns(&there) {
            transaction.execute(&statement, [])?;
        }
        // A table without its index was left by an import that was killed; nobody is importing into it now.
        if !lock(&self.busy).contains_key(&table.name) {
            transaction.execute(&table.create_index(), [])?;
        }
        Ok(transaction.commit()?)
    }

    /// Makes an index of a column when it is first needed, in one go: cheaper than keeping it through every import.
    pub(super) fn index(&self, reader: &Connection, table: &Table, column: &str) -> Result<(), TargetError> {
        let name = format!("{}_by_{column}", table.name);
        if !lock(&self.indexed).contains(&name) {
            let make = format!("CREATE INDEX IF NOT EXISTS \"{name}\" ON \"{}\" (\"{column}\")", table.name);
            reader.execute(&make, [])?;
            lock(&self.indexed).insert(name);
        }
        Ok(())
    }

    pub(super) fn note_progress(&self, migration: Uuid, entity_type: &str, position: u64) -> Result<(), TargetError> {
        set_position(&lock(&self.writer), migration, entity_type, position, 0)?;
        Ok(())
    }

    pub(super) fn begin_load<'a>(
        &'a self,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<SqliteLoad<'a>, TargetError> {
        let table = Table::new(entity_type);
        let mut busy = lock(&self.busy);
        while busy.contains_key(&table.name) {
            if cancelled() {
                return Err(TargetError::Cancelled);
            }
            busy = self.freed.wait_timeout(busy, PATIENCE).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        busy.insert(table.name.clone(), migration);
        drop(busy);
        let mut load = SqliteLoad::new(self, migration, entity_type, table);
        let empty = format!("SELECT NOT EXISTS (SELECT 1 FROM \"{}\")", load.table.name);
        load.bulk = lock(&self.writer).query_row(&empty, [], |row| row.get(0))?;
        Ok(load)
    }
}

/// Notes how far a migration has come, and how many rows it has added on the way.
pub(super) fn set_position(
    connection: &Connection,
    migration: Uuid,
    entity_type: &str,
    position: u64,
    added: u64,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "INSERT INTO sluice_progress (migration, entity_type, position, row_count) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET position = excluded.position, row_count = row_count + excluded.row_count",
        )?
        .execute(params![migration.to_string(), entity_type, position, added])
}
