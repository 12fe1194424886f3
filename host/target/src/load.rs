//! An import into one table of the embedded target: rows as they come, committed with how far it has come.

use std::sync::MutexGuard;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Statement, params};
use uuid::Uuid;

use super::check::{Checks, Whole};
use super::embedded::{EmbeddedTarget, lock, set_position};
use super::table::{HASH, ORIGIN, Table};
use super::{Load, NewRow, Provenance, Stored, TargetError, row};
use sluice_contract::EntityType;
use sluice_defects::{self, Defect};
use sluice_sqlite::SqlError;

fn origin(connection: &Connection, migration: Uuid, provenance: &Provenance) -> rusqlite::Result<i64> {
    let Provenance { source, mapper, domain_plugin } = provenance;
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

/// The writer, with a transaction that is rolled back unless it was committed, also where somebody panics.
struct Open<'a>(MutexGuard<'a, Connection>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit()
            && let Err(error) = self.0.execute_batch("ROLLBACK")
        {
            tracing::warn!(error = %SqlError::from(error), "an import could not be rolled back");
        }
    }
}

/// What is in the place of a row that is to be stored.
enum Found {
    /// Another migration's.
    Foreign,
    /// The same, as it was stored.
    Same,
    /// One with other contents, or that was changed since it was stored.
    Other,
}

/// How rows are looked at that are there already.
struct There<'a> {
    whole: Whole,
    existing: CachedStatement<'a>,
}

impl<'a> There<'a> {
    fn new(writer: &'a Connection, table: &Table) -> rusqlite::Result<Self> {
        let whole = Whole::of(writer, &table.name)?;
        let existing = writer.prepare_cached(&format!(
            "SELECT {}, {HASH}, (SELECT migration FROM sluice_origins WHERE number = {ORIGIN}) FROM \"{}\"
             WHERE \"{}\" = ?",
            whole.list,
            table.name,
            table.key()
        ))?;
        Ok(Self { whole, existing })
    }

    /// What has this id, for a migration that wants to store a row of this hash.
    fn find(&mut self, id: &str, own: &str, hash: [u8; 16]) -> rusqlite::Result<Option<Found>> {
        let Self { whole, existing } = self;
        let at = whole.columns.len() + 1;
        let found = |row: &Row| {
            Ok(if row.get_ref(at + 1)?.as_str()? != own {
                Found::Foreign
            } else if row.get_ref(at)?.as_blob()? == hash && whole.holds(row)? {
                Found::Same
            } else {
                Found::Other
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
    pub table: Table<'a>,
    /// The table was empty: rows first, index last.
    pub bulk: bool,
    /// The writer, while rows are stored that are not committed yet.
    open: Option<Open<'a>>,
    /// How many those are that were not there before.
    added: u64,
    /// Whether the last row was not there before: so the next one is hardly either.
    news: bool,
}

impl<'a> SqliteLoad<'a> {
    pub fn new(target: &'a EmbeddedTarget, migration: Uuid, entity_type: &'a EntityType, table: Table<'a>) -> Self {
        Self { target, migration, entity_type, table, bulk: false, open: None, added: 0, news: true }
    }

    fn misfit(&self, id: [u8; 16], column: usize) -> TargetError {
        TargetError::Misfit {
            entity_type: self.entity_type.name.clone(),
            reference_id: Uuid::from_bytes(id),
            column: self.table.columns[column].name.clone(),
        }
    }

    /// Works in a transaction with what was stored since the last commit.
    fn within<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &Connection) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => {
                let open = Open(lock(&self.target.writer));
                // Begun with reading, it could not wait for somebody who writes from outside: SQLite fails at once.
                open.0.execute_batch("BEGIN IMMEDIATE")?;
                if self.bulk {
                    // Nothing to do but in the first transaction.
                    open.0.execute(&format!("DROP INDEX IF EXISTS \"{}\"", self.table.index_name()), [])?;
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
        provenances: &[Provenance],
        rows: &[NewRow],
    ) -> Result<(Stored, Vec<[u8; 16]>), TargetError> {
        let origins = provenances
            .iter()
            .map(|provenance| origin(writer, self.migration, provenance))
            .collect::<Result<Vec<i64>, _>>()?;
        let (mut stored, mut foreign) = (Stored::default(), vec![]);
        let mut insert = writer.prepare_cached(&self.table.insert(!self.bulk))?;
        let mut update = writer.prepare_cached(&self.table.update())?;
        // A table that was empty has nothing to be looked at.
        let mut there = if self.bulk { None } else { Some(There::new(writer, &self.table)?) };
        let columns = self.table.columns.len();
        let checks = Checks::new(self.table.names());
        let mut text_buffer = Uuid::encode_buffer();
        let own = self.migration.to_string();
        let put = |statement: &mut Statement, new: &NewRow| -> rusqlite::Result<Result<usize, usize>> {
            let sum = match new.sum {
                Ok(sum) => sum,
                Err(column) => return Ok(Err(column)),
            };
            if let Err(column) = row::bind(self.table.columns, new.body, new.spans, statement)? {
                return Ok(Err(column));
            }
            let (origin, position) = (origins[new.provenance], new.position.cast_signed());
            let check = sum
                .wrapping_add(checks.integer(columns, origin))
                .wrapping_add(checks.integer(columns + 1, position))
                .wrapping_add(checks.bytes(columns + 2, &new.hash));
            statement.raw_bind_parameter(columns + 1, origin)?;
            statement.raw_bind_parameter(columns + 2, position)?;
            statement.raw_bind_parameter(columns + 3, &new.hash[..])?;
            statement.raw_bind_parameter(columns + 4, check)?;
            statement.raw_execute().map(Ok)
        };
        for new in rows {
            // Asking of each new row whether it is there would be as much again as inserting it.
            let tried = if self.bulk || self.news { Some(put(&mut insert, new)?) } else { None };
            if tried.is_some_and(|inserted| inserted.is_ok_and(|rows| rows > 0)) {
                stored.inserted += 1;
                continue;
            }
            let id = Uuid::from_bytes(new.id).as_hyphenated().encode_lower(&mut text_buffer);
            let found = match &mut there {
                Some(there) => there.find(id, &own, new.hash)?,
                None => None,
            };
            self.news = found.is_none();
            let put = match found {
                None => {
                    stored.inserted += 1;
                    tried.map_or_else(|| put(&mut insert, new), Ok)
                }
                Some(Found::Foreign) => {
                    foreign.push(new.id);
                    continue;
                }
                Some(Found::Same) => {
                    stored.unchanged += 1;
                    continue;
                }
                Some(Found::Other) => {
                    stored.updated += 1;
                    update.raw_bind_parameter(columns + 5, &*id)?;
                    put(&mut update, new)
                }
            };
            put?.map_err(|column| self.misfit(new.id, column))?;
        }
        Ok((stored, foreign))
    }
}

impl Load for SqliteLoad<'_> {
    fn gathers(&self) -> bool {
        !self.bulk
    }

    fn store(
        &mut self,
        provenances: &[Provenance],
        rows: &mut [NewRow],
    ) -> Result<(Stored, Vec<[u8; 16]>), TargetError> {
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
        let index = self.table.create_index();
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
        // Whoever waits for the table finds it as it was committed.
        self.open = None;
        lock(&self.target.busy).remove(&self.table.name);
        self.target.freed.notify_all();
    }
}
