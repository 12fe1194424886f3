//! Removal of a migration's rows, and the search for rows that refer to them.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use super::TargetError;
use super::checksum::TableColumns;
use super::embedded::{EmbeddedTarget, lock};
use super::record_path::{RecordPath, each, visit};
use super::table::{ORIGIN, TenantTable};
use super::tenant_target::{TenantTarget, of_migration, text};
use super::tenants::TenantNumber;
use sluice_contract::EntityType;
use sluice_framing::scalar_text;
use sluice_model::Name;

/// Number of rows that one transaction removes: short enough that readers of the log do not wait for long.
const REMOVED_AT_ONCE: usize = 10_000;

/// Condition for the origin of generated rows.
const GENERATED: &str = "source = 'generated' AND mapper = ''";

/// Number of rows between two checks for cancellation.
const ROWS_BETWEEN_CHECKS: u64 = 4_096;

/// A row of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnRow {
    /// Reference id.
    pub id: [u8; 16],
    /// True if a domain plugin generated the record.
    pub generated: bool,
}

/// Rows of a migration that are removed from one table.
pub struct RowRemoval<'a> {
    /// The migration.
    pub migration: Uuid,
    /// Entity type of the rows.
    pub entity_type: &'a EntityType,
    /// Reference ids of the rows; all rows of the migration if none.
    pub ids: Option<&'a [[u8; 16]]>,
    /// True if an entity type refers to this one. Then validations that looked its records up are outdated.
    pub is_referred: bool,
}

/// The rows that are to be removed.
pub enum RemovedRows<'a> {
    /// All rows of a migration.
    OfMigration(Uuid),
    /// Rows with these reference ids, by entity type.
    Ids(&'a IdSets),
    /// Rows with these reference ids, and all generated rows of a migration.
    IdsAndGenerated(&'a IdSets, Uuid),
}

/// Reference ids by entity type.
pub type IdSets = BTreeMap<Name, HashSet<[u8; 16]>>;

/// A row that stays, and that refers to a row which is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferringRow {
    /// Entity type of the referring row.
    pub entity_type: Name,
    /// Reference id of the referring row.
    pub id: Uuid,
    /// Migration of the referring row.
    pub migration: Uuid,
    /// Entity type of the row that is to be removed.
    pub to_type: Name,
    /// Reference id of the row that is to be removed.
    pub to: Uuid,
}

/// Rows that refer to rows which are to be removed.
#[derive(Clone, Debug, Default)]
pub struct ReferringRows {
    /// The first of them.
    pub first: Vec<ReferringRow>,
    /// Number of all of them.
    pub count: u64,
    /// Reference ids of the rows that they refer to. Empty if all rows of a migration are to be removed.
    pub referred: IdSets,
}

/// The place of a reference in a table: a column with the id, or a column of JSON.
enum ReferenceColumn {
    Id(usize),
    Within { column: usize, list: bool, rest: RecordPath },
}

impl ReferenceColumn {
    /// Returns the place of a reference; none if the table does not have its column.
    fn find(entity_type: &EntityType, columns: &TableColumns, path: &str) -> Option<Self> {
        let named = |path: &str| {
            let described = entity_type.columns.iter().find(|column| column.path == path)?;
            columns.column(&described.name)
        };
        if let Some(column) = named(path) {
            return Some(Self::Id(column));
        }
        let (first, list, rest) = RecordPath::new(path).split_first_owned();
        named(&first).map(|column| Self::Within { column, list, rest })
    }

    fn ids(&self, row: &Row, found: &mut Vec<Uuid>) -> rusqlite::Result<()> {
        let (Self::Id(column) | Self::Within { column, .. }) = self;
        let Ok(value) = row.get_ref(*column)?.as_str() else { return Ok(()) };
        let mut add = |raw: &str| found.extend(scalar_text(raw).and_then(|id| id.parse::<Uuid>().ok()));
        match self {
            Self::Id(_) => found.extend(value.parse::<Uuid>().ok()),
            // An empty path names the items themselves.
            Self::Within { list: true, rest, .. } => each(value, |item| visit(item, rest, &mut add)),
            Self::Within { list: false, rest, .. } => visit(value, rest, &mut add),
        }
        Ok(())
    }
}

impl TenantTarget {
    /// Calls `each` with the rows that a migration has imported, batch by batch.
    pub(super) fn read_own_rows(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        each: &mut dyn FnMut(&[OwnRow]) -> Result<(), TargetError>,
    ) -> Result<(), TargetError> {
        let table = self.own(entity_type);
        let query = table.scan(
            &format!(
                "rowid, \"{}\", {ORIGIN} IN (SELECT number FROM sluice_origins WHERE {GENERATED})",
                table.table.key()
            ),
            &format!("{} AND rowid > ?2 ORDER BY rowid LIMIT ?3", of_migration()),
        );
        let mut after = -1_i64;
        loop {
            // The lock is not held while `each` works.
            let mut batch = vec![];
            let mut last = None;
            {
                let reader = lock(&self.database.reader);
                let mut query = reader.prepare_cached(&query)?;
                let mut rows = query.query(params![migration.to_string(), after, REMOVED_AT_ONCE])?;
                while let Some(row) = rows.next()? {
                    last = Some(row.get::<_, i64>(0)?);
                    let id = row.get_ref(1)?.as_str().ok().and_then(|id| id.parse::<Uuid>().ok());
                    let generated = row.get(2)?;
                    batch.extend(id.map(|id| OwnRow { id: id.into_bytes(), generated }));
                }
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
            each(&batch)?;
        }
    }

    /// Returns the rows that stay and refer to rows which are to be removed, at most `most` of them by name.
    pub(super) fn find_referring_rows(
        &self,
        types: &[&EntityType],
        removed: &RemovedRows,
        most: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<ReferringRows, TargetError> {
        let reader = lock(&self.database.reader);
        let mut search = ReferenceSearch {
            reader: &reader,
            target: self,
            types,
            removed,
            most,
            stopped,
            found: ReferringRows::default(),
        };
        for entity_type in types.iter().filter(|of| !of.references.is_empty()) {
            search.search(entity_type, self.tenant)?;
            for borrower in &self.borrowers {
                search.search(entity_type, *borrower)?;
            }
        }
        Ok(search.found)
    }

    /// Removes rows of a migration, and returns their number.
    ///
    /// Each transaction removes at most [`REMOVED_AT_ONCE`] rows and saves with them what remains. So a removal that was
    /// killed can be repeated. If all rows are removed, the migration's position becomes that of a new import.
    pub(super) fn remove_own_rows(
        &self,
        removal: &RowRemoval,
        removed: &mut dyn FnMut(u64) -> Result<(), TargetError>,
    ) -> Result<u64, TargetError> {
        let mut sum = 0;
        if let Some(ids) = removal.ids {
            for ids in ids.chunks(REMOVED_AT_ONCE) {
                let rows = self.remove_once(removal, |transaction| self.delete_ids(transaction, removal, ids))?;
                sum += rows;
                removed(rows)?;
            }
            return Ok(sum);
        }
        let mut after = -1;
        loop {
            let rows = self.remove_once(removal, |transaction| self.delete_next(transaction, removal, &mut after))?;
            if rows == 0 {
                return Ok(sum);
            }
            sum += rows;
            removed(rows)?;
        }
    }

    /// Removes rows in one transaction, together with their number in the migration's progress.
    fn remove_once(
        &self,
        removal: &RowRemoval,
        delete: impl FnOnce(&Connection) -> rusqlite::Result<u64>,
    ) -> Result<u64, TargetError> {
        let writer = lock(&self.database.writer);
        let transaction = Transaction::new_unchecked(&writer, TransactionBehavior::Immediate)?;
        let rows = delete(&transaction)?;
        let position = if removal.ids.is_none() { "position = 0," } else { "" };
        transaction.execute(
            &format!(
                "UPDATE sluice_progress SET {position} row_count = max(row_count - ?3, 0)
                 WHERE migration = ?1 AND entity_type = ?2"
            ),
            params![removal.migration.to_string(), &*removal.entity_type.name, rows],
        )?;
        if rows > 0 && removal.is_referred {
            transaction.execute(
                "INSERT INTO sluice_removals (tenant, number) VALUES (?, 1)
                 ON CONFLICT DO UPDATE SET number = number + 1",
                [self.tenant.value()],
            )?;
        }
        transaction.commit()?;
        Ok(rows)
    }

    fn delete_ids(&self, connection: &Connection, removal: &RowRemoval, ids: &[[u8; 16]]) -> rusqlite::Result<u64> {
        let mut delete = connection.prepare_cached(&self.own(removal.entity_type).delete(&of_migration()))?;
        let (migration, mut buffer, mut rows) = (removal.migration.to_string(), Uuid::encode_buffer(), 0);
        for id in ids {
            rows += delete.execute([migration.as_str(), text(*id, &mut buffer)])? as u64;
        }
        Ok(rows)
    }

    /// Deletes the next rows of a migration, in the order in which they were stored. `after` is the row up to which all are
    /// deleted: rows of other migrations before it are not read again.
    fn delete_next(&self, connection: &Connection, removal: &RowRemoval, after: &mut i64) -> rusqlite::Result<u64> {
        let (table, ours) = (self.own(removal.entity_type), of_migration());
        let migration = removal.migration.to_string();
        let next = table.scan("rowid", &format!("rowid > ?2 AND {ours} ORDER BY rowid LIMIT ?3"));
        let last: Option<i64> = connection
            .prepare_cached(&format!("SELECT max(rowid) FROM ({next})"))?
            .query_row(params![migration, *after, REMOVED_AT_ONCE], |row| row.get(0))?;
        let Some(last) = last else { return Ok(0) };
        let delete = table.delete_all(&format!("rowid > ?2 AND rowid <= ?3 AND {ours}"));
        let rows = connection.prepare_cached(&delete)?.execute(params![migration, *after, last])?;
        *after = last;
        Ok(rows as u64)
    }
}

impl EmbeddedTarget {
    /// Returns the number of transactions that have removed rows of a tenant.
    pub(super) fn count_removals(&self, tenant: TenantNumber) -> Result<u64, TargetError> {
        let reader = lock(&self.reader);
        let mut query = reader.prepare_cached("SELECT number FROM sluice_removals WHERE tenant = ?")?;
        Ok(query.query_row([tenant.value()], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// Removes the positions of a migration without rows, as if it had never been imported.
    pub(super) fn forget_progress(&self, migration: Uuid) -> Result<(), TargetError> {
        let writer = lock(&self.writer);
        writer.execute("DELETE FROM sluice_progress WHERE migration = ?", [migration.to_string()])?;
        Ok(())
    }
}

/// A search for rows that stay and refer to rows which are to be removed.
struct ReferenceSearch<'a> {
    reader: &'a Connection,
    target: &'a TenantTarget,
    types: &'a [&'a EntityType],
    removed: &'a RemovedRows<'a>,
    most: usize,
    stopped: &'a dyn Fn() -> bool,
    found: ReferringRows,
}

impl ReferenceSearch<'_> {
    /// Searches the rows that one tenant has of an entity type. The rows of a tenant that may refer to the target's own all
    /// stay. They refer to a row only if their own tenant has none with its id.
    fn search(&mut self, entity_type: &EntityType, tenant: TenantNumber) -> Result<(), TargetError> {
        let Self { reader, target, types, removed, .. } = *self;
        let (table, is_own) = (TenantTable::new(entity_type, tenant), tenant == target.tenant);
        let columns = TableColumns::of(reader, table.table.name())?;
        let mut references = vec![];
        for reference in &entity_type.references {
            let Some(to) = types.iter().find(|of| of.name == *reference.entity_type) else { continue };
            let Some(column) = ReferenceColumn::find(entity_type, &columns, &reference.path) else { continue };
            let of_migration = format!("{} AND {}", target.own(to).find("1", 2), of_migration());
            let shadow = TenantTable::new(to, tenant).find("1", 1);
            references.push((column, &to.name, reader.prepare(&of_migration)?, reader.prepare(&shadow)?));
        }
        let (condition, migration) = match removed {
            RemovedRows::OfMigration(migration) if is_own => (format!("NOT {}", of_migration()), migration.to_string()),
            RemovedRows::IdsAndGenerated(_, migration) if is_own => {
                let generated = format!("{ORIGIN} IN (SELECT number FROM sluice_origins WHERE {GENERATED})");
                (format!("NOT ({} AND {generated})", of_migration()), migration.to_string())
            }
            RemovedRows::OfMigration(migration) => ("?1 <> ''".into(), migration.to_string()),
            RemovedRows::Ids(_) | RemovedRows::IdsAndGenerated(..) => ("?1 = ''".into(), String::new()),
        };
        let of = format!("{}, (SELECT migration FROM sluice_origins WHERE number = {ORIGIN})", columns.list);
        let mut query = reader.prepare(&table.scan(&of, &condition))?;
        let mut rows = query.query([&migration])?;
        let (mut ids, mut buffer, mut seen) = (vec![], Uuid::encode_buffer(), 0_u64);
        let goes = |of: &Name, id: Uuid| match removed {
            RemovedRows::OfMigration(_) => false,
            RemovedRows::Ids(ids) | RemovedRows::IdsAndGenerated(ids, _) => {
                ids.get(of).is_some_and(|ids| ids.contains(id.as_bytes()))
            }
        };
        while let Some(row) = rows.next()? {
            if seen % ROWS_BETWEEN_CHECKS == 0 && (self.stopped)() {
                return Err(TargetError::Cancelled);
            }
            seen += 1;
            let id = row.get_ref(0)?.as_str().ok().and_then(|id| id.parse::<Uuid>().ok()).unwrap_or_default();
            if is_own && goes(&entity_type.name, id) {
                continue;
            }
            for (column, to, of_migration, shadow) in &mut references {
                ids.clear();
                column.ids(row, &mut ids)?;
                for referred in &ids {
                    let key = text(referred.into_bytes(), &mut buffer);
                    let refers = match removed {
                        RemovedRows::OfMigration(_) => of_migration.exists([migration.as_str(), key])?,
                        _ => goes(to, *referred),
                    };
                    if !refers || (!is_own && shadow.exists([key])?) {
                        continue;
                    }
                    let of: Option<String> = row.get(columns.columns.len() + 1)?;
                    self.found.add(
                        self.removed,
                        self.most,
                        ReferringRow {
                            entity_type: entity_type.name.clone(),
                            id,
                            migration: of.and_then(|of| of.parse().ok()).unwrap_or_default(),
                            to_type: (*to).clone(),
                            to: *referred,
                        },
                    );
                }
            }
        }
        Ok(())
    }
}

impl ReferringRows {
    /// Adds a referring row. Names it if fewer than `most` are named.
    fn add(&mut self, removed: &RemovedRows, most: usize, row: ReferringRow) {
        self.count += 1;
        if !matches!(removed, RemovedRows::OfMigration(_)) {
            self.referred.entry(row.to_type.clone()).or_default().insert(row.to.into_bytes());
        }
        if self.first.len() < most {
            self.first.push(row);
        }
    }
}
