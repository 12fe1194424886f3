//! The embedded platform database: one SQLite file with a table for each entity type, readable with plain SQL.
//!
//! If a table is empty when an import begins, its unique index is built at the end. That is six times as fast as
//! updating an index of random keys with every row.

use std::path::Path as FilePath;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use hashbrown::{HashMap, HashSet};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::TargetError;
use super::id_repair;
use super::lease::LeaseState;
use super::load::SqliteLoad;
use super::table::{TargetTable, TenantTable};
use super::tenants::{self, TenantNumber, TenantNumbers};
use super::upgrade::{self, TenantOfMigration, VERSION};
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
CREATE TABLE IF NOT EXISTS sluice_removals (tenant INTEGER PRIMARY KEY, number INTEGER NOT NULL);
";

/// Bytes of a page of a new database. SQLite writes each page with two calls into the log and one into the database.
/// With its default of 4 KiB these calls took a fifth of the import's writer thread.
const PAGE_BYTES: usize = 16 << 10;

/// Time after which an import that waits for a table, or for a removal, checks whether it was cancelled.
pub(super) const CANCEL_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The embedded target. [`EmbeddedTarget::scoped`] gives access to the rows of one tenant.
pub struct EmbeddedTarget {
    /// Connection for writes.
    pub(super) writer: Mutex<Connection>,
    /// Connection for reads. Reads do not wait for the writer, because the database is in WAL mode.
    pub(super) reader: Mutex<Connection>,
    /// Tables into which a migration imports.
    pub(super) busy: Mutex<HashMap<String, Uuid>>,
    /// Notified when an import into a table ends.
    pub(super) freed: Condvar,
    /// Imports and removals that run.
    pub(super) leases: Mutex<LeaseState>,
    /// Notified when an import or a removal ends.
    pub(super) returned: Condvar,
    /// Indexes that are known to exist, beside the indexes of the reference ids.
    indexed: Mutex<HashSet<String>>,
    /// Numbers of the tenants that the process has met.
    pub(super) tenants: Mutex<TenantNumbers>,
}

/// Locks a mutex, also after a panic: at worst the panic left a transaction, and its guard has rolled it back.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn connect(path: &FilePath, cache_bytes: usize, log_bytes: usize) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // The page size has to be set first. Later statements create pages.
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

/// Returns the names of a table's columns, in their order.
pub(super) fn column_names(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = connection.prepare_cached("SELECT name FROM pragma_table_info(?)")?;
    query.query_map([table], |row| row.get(0))?.collect()
}

impl EmbeddedTarget {
    /// Opens the database, or creates it. `tenant_of` names the tenants of migrations whose rows an earlier version stored
    /// without a tenant.
    ///
    /// Columns that plugins add are not part of the schema's version: they are created when they are missing.
    pub fn open(path: &FilePath, limits: &ImportLimits, tenant_of: TenantOfMigration) -> Result<Self, TargetError> {
        let mut writer = connect(path, limits.cache_bytes / 3 * 2, limits.log_bytes)?;
        let add_tenants = |connection: &Connection| upgrade::add_tenants(connection, tenant_of);
        let steps: [sql::CodeStep; VERSION] = [&add_tenants];
        sql::upgrade_schema(&mut writer, "sluice_progress", &steps)?.map_err(TargetError::Newer)?;
        writer.execute_batch(SCHEMA)?;
        writer.execute_batch(tenants::SCHEMA)?;
        writer.execute_batch(id_repair::SCHEMA)?;
        let reader = Mutex::new(connect(path, limits.cache_bytes / 3, limits.log_bytes)?);
        let writer = Mutex::new(writer);
        Ok(Self::new(writer, reader))
    }

    /// Opens an existing database for reading only: see `sluice_sqlite::open_read_only`.
    pub fn open_read_only(path: &FilePath) -> Result<Self, TargetError> {
        let open = || {
            let connection = sql::open_read_only(path)?;
            sql::check_schema_version(&connection, VERSION)?.map_err(TargetError::Newer)?;
            Ok::<_, TargetError>(Mutex::new(connection))
        };
        Ok(Self::new(open()?, open()?))
    }

    fn new(writer: Mutex<Connection>, reader: Mutex<Connection>) -> Self {
        Self {
            writer,
            reader,
            busy: Mutex::default(),
            freed: Condvar::new(),
            leases: Mutex::default(),
            returned: Condvar::new(),
            indexed: Mutex::default(),
            tenants: Mutex::default(),
        }
    }

    /// Creates the entity type's table, its missing columns and its unique index.
    pub fn prepare(&self, entity_type: &EntityType) -> Result<(), TargetError> {
        let table = TargetTable::new(entity_type);
        let writer = lock(&self.writer);
        let transaction = Transaction::new_unchecked(&writer, TransactionBehavior::Immediate)?;
        transaction.execute(&table.create(), [])?;
        let there = column_names(&transaction, table.name())?;
        for statement in table.add_columns(&there) {
            transaction.execute(&statement, [])?;
        }
        // A table without its index was left by an import that was killed. No import writes to it now.
        if !lock(&self.busy).contains_key(table.name()) {
            transaction.execute(&table.create_index(), [])?;
        }
        Ok(transaction.commit()?)
    }

    /// Creates an index of a column when it is first needed. Building it at once is cheaper than updating it in every
    /// import.
    pub(super) fn index(&self, reader: &Connection, table: &TargetTable, column: &str) -> Result<(), TargetError> {
        let (name, create) = table.create_column_index(column);
        if !lock(&self.indexed).contains(&name) {
            reader.execute(&create, [])?;
            lock(&self.indexed).insert(name);
        }
        Ok(())
    }

    /// Checks that the database can be read.
    pub fn check(&self) -> Result<(), TargetError> {
        Ok(lock(&self.reader).query_row("SELECT count(*) FROM sluice_progress WHERE migration = ''", [], |_| Ok(()))?)
    }

    /// Saves the position that a migration has reached.
    pub(super) fn note_progress(&self, migration: Uuid, entity_type: &str, position: u64) -> Result<(), TargetError> {
        set_position(&lock(&self.writer), migration, entity_type, position, 0)?;
        Ok(())
    }

    /// Begins an import into the entity type's table, once no other import writes to it.
    pub(super) fn begin_load<'a>(
        &'a self,
        tenant: TenantNumber,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<SqliteLoad<'a>, TargetError> {
        let table = TenantTable::new(entity_type, tenant);
        let name = table.table.name();
        let mut busy = lock(&self.busy);
        while busy.contains_key(name) {
            if cancelled() {
                return Err(TargetError::Cancelled);
            }
            busy = self
                .freed
                .wait_timeout(busy, CANCEL_CHECK_INTERVAL)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
        busy.insert(name.to_owned(), migration);
        drop(busy);
        let mut load = SqliteLoad::new(self, migration, entity_type, table);
        load.bulk = lock(&self.writer).query_row(&load.table.table.is_empty(), [], |row| row.get(0))?;
        Ok(load)
    }
}

/// Saves the position that a migration has reached, and adds the number of rows that it has inserted since.
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
