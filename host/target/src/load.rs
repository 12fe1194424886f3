//! An import into one table of the embedded target. Each commit stores rows together with the position that was
//! reached.

use std::sync::MutexGuard;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Statement, params};
use uuid::Uuid;

use super::checksum::{RowChecksums, TableColumns};
use super::embedded::{EmbeddedTarget, lock, set_position};
use super::table::{HASH, ORIGIN, TenantTable};
use super::{NewRow, RowProvenance, StoreCounts, TargetError, TargetLoad, row};
use sluice_contract::EntityType;
use sluice_defects::{self, Defect};
use sluice_sqlite::SqlError;

fn origin(connection: &Connection, migration: Uuid, provenance: &RowProvenance) -> rusqlite::Result<i64> {
    let RowProvenance { source, mapper, domain_plugin } = provenance;
    let mapper = mapper.map(|digest| digest.to_string()).unwrap_or_default();
    let of = params![migration.to_string(), source, mapper, domain_plugin.to_string()];
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO sluice_origins (migration, source, mapper, domain_plugin) VALUES (?, ?, ?, ?)",
        )?
        .execute(of)?;
    connection
        .prepare_cached(
            "SELECT number FROM sluice_origins
             WHERE migration = ? AND source = ? AND mapper = ? AND domain_plugin = ?",
        )?
        .query_row(of, |row| row.get(0))
}

/// The writer with an open transaction. Dropping it, also in a panic, rolls the transaction back unless it was
/// committed.
struct OpenTransaction<'a>(MutexGuard<'a, Connection>);

impl Drop for OpenTransaction<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = %SqlError::from(error), "an import could not be rolled back");
        }
    }
}

/// A row with the id of a row to be stored.
enum ExistingRow {
    /// A row of another migration of the tenant.
    Foreign,
    /// The same row, unaltered.
    Same,
    /// A row with other contents, or one that was altered after it was stored.
    Other,
}

/// A lookup of existing rows by id.
struct RowLookup<'a> {
    columns_of_table: TableColumns,
    existing: CachedStatement<'a>,
}

impl<'a> RowLookup<'a> {
    fn new(writer: &'a Connection, table: &TenantTable) -> rusqlite::Result<Self> {
        let columns_of_table = TableColumns::of(writer, table.table.name())?;
        let migration = format!("(SELECT migration FROM sluice_origins WHERE number = {ORIGIN})");
        let columns = format!("{}, {HASH}, {migration}", columns_of_table.list);
        let existing = writer.prepare_cached(&table.find(&columns, 1))?;
        Ok(Self { columns_of_table, existing })
    }

    /// Returns the row with this id, seen by the migration `own` that wants to store a row with this hash.
    fn find(&mut self, id: &str, own: &str, hash: [u8; 16]) -> rusqlite::Result<Option<ExistingRow>> {
        let Self { columns_of_table, existing } = self;
        let at = columns_of_table.columns.len() + 1;
        let found = |row: &Row| {
            Ok(if row.get_ref(at + 1)?.as_str()? != own {
                ExistingRow::Foreign
            } else if row.get_ref(at)?.as_blob()? == hash && columns_of_table.is_unaltered(row)? {
                ExistingRow::Same
            } else {
                ExistingRow::Other
            })
        };
        existing.query_row([id], found).optional()
    }
}

/// An import into one table.
pub(super) struct SqliteLoad<'a> {
    target: &'a EmbeddedTarget,
    migration: Uuid,
    entity_type: &'a EntityType,
    /// The tenant's rows in the table of the entity type.
    pub table: TenantTable<'a>,
    /// True if the table was empty: rows come first, the index last.
    pub bulk: bool,
    /// The writer with rows that are stored and not committed yet.
    open: Option<OpenTransaction<'a>>,
    /// Number of those rows that did not exist before.
    added: u64,
    /// True if the last row did not exist before. Then the next one probably does not either.
    expects_new: bool,
}

impl<'a> SqliteLoad<'a> {
    /// Creates an import. [`EmbeddedTarget::begin_load`] sets `bulk`.
    pub fn new(
        target: &'a EmbeddedTarget,
        migration: Uuid,
        entity_type: &'a EntityType,
        table: TenantTable<'a>,
    ) -> Self {
        Self { target, migration, entity_type, table, bulk: false, open: None, added: 0, expects_new: true }
    }

    fn misfit(&self, id: [u8; 16], column: usize) -> TargetError {
        TargetError::Misfit {
            entity_type: self.entity_type.name.clone(),
            reference_id: Uuid::from_bytes(id),
            column: self.table.table.columns[column].name.clone(),
        }
    }

    /// Runs `work` in the transaction of the rows stored since the last commit.
    fn within<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &Connection) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let open = OpenTransaction(lock(&self.target.writer));
                // A transaction that begins with a read fails at once in SQLite if another process writes. This one
                // waits.
                open.0.execute_batch("BEGIN IMMEDIATE")?;
                if self.bulk {
                    // Only the first transaction has an index to drop.
                    open.0.execute(&self.table.table.drop_index(), [])?;
                }
                open
            }
        };
        let worked = work(self, &open.0);
        self.open = Some(open);
        worked
    }

    fn insert(
        &mut self,
        writer: &Connection,
        provenances: &[RowProvenance],
        rows: &[NewRow],
    ) -> Result<(StoreCounts, Vec<[u8; 16]>), TargetError> {
        let origins = provenances
            .iter()
            .map(|provenance| origin(writer, self.migration, provenance))
            .collect::<Result<Vec<i64>, _>>()?;
        let (mut stored, mut foreign) = (StoreCounts::default(), vec![]);
        let mut insert = writer.prepare_cached(&self.table.insert(!self.bulk))?;
        let mut update = writer.prepare_cached(&self.table.update())?;
        // A table that was empty has no existing rows.
        let mut there = if self.bulk { None } else { Some(RowLookup::new(writer, &self.table)?) };
        let columns = self.table.table.columns.len();
        let checks = RowChecksums::new(self.table.table.names());
        let tenant = self.table.tenant().value();
        let tenant_sum = checks.integer(columns + 4, tenant);
        let mut text_buffer = Uuid::encode_buffer();
        let own = self.migration.to_string();
        let put = |statement: &mut Statement, new: &NewRow| -> rusqlite::Result<Result<usize, usize>> {
            let sum = match new.sum {
                Ok(sum) => sum,
                Err(column) => return Ok(Err(column)),
            };
            if let Err(column) = row::bind(self.table.table.columns, new.body, new.spans, statement)? {
                return Ok(Err(column));
            }
            let (origin, position) = (origins[new.provenance], new.position.cast_signed());
            let checksum = sum
                .wrapping_add(checks.integer(columns, origin))
                .wrapping_add(checks.integer(columns + 1, position))
                .wrapping_add(checks.bytes(columns + 2, &new.hash))
                .wrapping_add(tenant_sum);
            statement.raw_bind_parameter(columns + 1, origin)?;
            statement.raw_bind_parameter(columns + 2, position)?;
            statement.raw_bind_parameter(columns + 3, &new.hash[..])?;
            statement.raw_bind_parameter(columns + 4, checksum)?;
            statement.raw_bind_parameter(columns + 5, tenant)?;
            statement.raw_execute().map(Ok)
        };
        for new in rows {
            // A lookup of each new row would take as long as inserting it.
            let insertion = if self.bulk || self.expects_new { Some(put(&mut insert, new)?) } else { None };
            if insertion.is_some_and(|inserted| inserted.is_ok_and(|rows| rows > 0)) {
                stored.inserted += 1;
                continue;
            }
            let id = Uuid::from_bytes(new.id).as_hyphenated().encode_lower(&mut text_buffer);
            let found = match &mut there {
                Some(there) => there.find(id, &own, new.hash)?,
                None => None,
            };
            self.expects_new = found.is_none();
            let put = match found {
                None => {
                    stored.inserted += 1;
                    insertion.map_or_else(|| put(&mut insert, new), Ok)
                }
                Some(ExistingRow::Foreign) => {
                    foreign.push(new.id);
                    continue;
                }
                Some(ExistingRow::Same) => {
                    stored.unchanged += 1;
                    continue;
                }
                Some(ExistingRow::Other) => {
                    stored.updated += 1;
                    update.raw_bind_parameter(columns + 6, &*id)?;
                    put(&mut update, new)
                }
            };
            put?.map_err(|column| self.misfit(new.id, column))?;
        }
        Ok((stored, foreign))
    }
}

impl TargetLoad for SqliteLoad<'_> {
    fn prefers_large_batches(&self) -> bool {
        !self.bulk
    }

    fn store(
        &mut self,
        provenances: &[RowProvenance],
        rows: &mut [NewRow],
    ) -> Result<(StoreCounts, Vec<[u8; 16]>), TargetError> {
        if !self.bulk {
            rows.sort_unstable_by_key(|row| row.id);
        }
        let (stored, foreign) = self.within(|load, writer| load.insert(writer, provenances, rows))?;
        self.added += stored.inserted;
        Ok((stored, foreign))
    }

    fn commit(&mut self, progress: u64) -> Result<(), TargetError> {
        let progress = progress + u64::from(sluice_defects::has(Defect::PositionAhead));
        self.within(|load, writer| {
            set_position(writer, load.migration, &load.entity_type.name, progress, load.added)?;
            Ok(writer.execute_batch("COMMIT")?)
        })?;
        (self.open, self.added) = (None, 0);
        Ok(())
    }

    fn finish(mut self: Box<Self>, progress: Option<u64>) -> Result<(), TargetError> {
        let index = self.table.table.create_index();
        if let Some(progress) = progress {
            self.within(|_, writer| Ok(writer.execute(&index, [])?))?;
            return self.commit(progress);
        }
        self.open = None;
        lock(&self.target.writer).execute(&index, [])?;
        Ok(())
    }
}

impl Drop for SqliteLoad<'_> {
    fn drop(&mut self) {
        // The next import into the table finds it as it was committed.
        self.open = None;
        lock(&self.target.busy).remove(self.table.table.name());
        self.target.freed.notify_all();
    }
}
