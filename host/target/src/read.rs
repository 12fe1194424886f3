//! Reads of the embedded target: existence, references, and figures.

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::embedded::{EmbeddedTarget, lock};
use super::removal::{OwnRow, ReferringRows, RemovedRows, RowRemoval};
use super::table::{HASH, ORIGIN, POSITION, TargetTable, table_name};
use super::{ImportedRow, RowProvenance, Target, TargetError, TargetFigures, TargetLease, TargetLoad, row};
use sluice_contract::{CountGroup, EntityType, LookupAnswer};
use sluice_model::Digest;

/// Returns the SQL condition that selects the rows of a migration.
pub(super) fn of_migration() -> String {
    format!("{ORIGIN} IN (SELECT number FROM sluice_origins WHERE migration = ?1)")
}

/// Writes an id as it stands in tables.
pub(super) fn text(id: [u8; 16], buffer: &mut [u8]) -> &str {
    Uuid::from_bytes(id).as_hyphenated().encode_lower(buffer)
}

impl Target for EmbeddedTarget {
    fn prepare(&self, entity_type: &EntityType) -> Result<(), TargetError> {
        self.prepare_table(entity_type)
    }

    fn progress(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError> {
        let position = lock(&self.reader)
            .prepare_cached("SELECT position FROM sluice_progress WHERE migration = ? AND entity_type = ?")?
            .query_row(params![migration.to_string(), entity_type], |row| row.get(0))
            .optional()?;
        Ok(position.unwrap_or(0))
    }

    fn added(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError> {
        let added = lock(&self.reader)
            .prepare_cached("SELECT row_count FROM sluice_progress WHERE migration = ? AND entity_type = ?")?
            .query_row(params![migration.to_string(), entity_type], |row| row.get(0))
            .optional()?;
        Ok(added.unwrap_or(0))
    }

    fn set_progress(&self, migration: Uuid, entity_type: &str, progress: u64) -> Result<(), TargetError> {
        self.note_progress(migration, entity_type, progress)
    }

    fn begin<'a>(
        &'a self,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Box<dyn TargetLoad + 'a>, TargetError> {
        Ok(Box::new(self.begin_load(migration, entity_type, cancelled)?))
    }

    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        let reader = lock(&self.reader);
        let table = table_name(entity_type);
        let mut query =
            reader.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE reference_id = ?)"))?;
        let mut buffer = Uuid::encode_buffer();
        ids.iter().map(|id| Ok(query.query_row([text(*id, &mut buffer)], |row| row.get(0))?)).collect()
    }

    fn foreign(&self, migration: Uuid, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        let reader = lock(&self.reader);
        let (table, ours) = (table_name(entity_type), of_migration());
        let query = format!("SELECT EXISTS (SELECT 1 FROM \"{table}\" WHERE reference_id = ?2 AND NOT {ours})");
        let mut query = reader.prepare_cached(&query)?;
        let (migration, mut buffer) = (migration.to_string(), Uuid::encode_buffer());
        let found = |id: &[u8; 16]| Ok(query.query_row([&migration, text(*id, &mut buffer)], |row| row.get(0))?);
        ids.iter().map(found).collect()
    }

    fn read(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Vec<u8>>, TargetError> {
        let table = TargetTable::new(entity_type);
        let reader = lock(&self.reader);
        let mut query = reader.prepare_cached(&table.select(&format!("\"{}\" = ?", table.key())))?;
        let mut record = vec![];
        let write = |found: &Row| row::RowWriter::new(table.columns).write(found, &mut record);
        let found = query.query_row([text(id, &mut Uuid::encode_buffer())], write).optional()?;
        Ok(found.map(|()| record))
    }

    fn imported_row(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<ImportedRow>, TargetError> {
        let table = TargetTable::new(entity_type);
        let reader = lock(&self.reader);
        let mut query = reader.prepare_cached(&format!(
            "SELECT migration, source, mapper, domain_plugin, {POSITION}, {HASH}
             FROM \"{}\" JOIN sluice_origins ON number = {ORIGIN} WHERE \"{}\" = ?",
            table.name,
            table.key()
        ))?;
        let found = query.query_row([text(id, &mut Uuid::encode_buffer())], |row| {
            let word = |index: usize| row.get::<_, String>(index);
            let (migration, mapper, domain_plugin) = (word(0)?, word(2)?, word(3)?);
            Ok(ImportedRow {
                migration: migration.parse().unwrap_or_default(),
                provenance: RowProvenance {
                    source: word(1)?,
                    mapper: Digest::parse(&mapper),
                    domain_plugin: Digest::parse(&domain_plugin).unwrap_or_default(),
                },
                position: row.get(4)?,
                hash: row.get(5)?,
            })
        });
        Ok(found.optional()?)
    }

    fn referring(
        &self,
        entity_type: &EntityType,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Option<LookupAnswer>, TargetError> {
        let table = TargetTable::new(entity_type);
        let reader = lock(&self.reader);
        self.index(&reader, &table, column)?;
        // Prepared once for all ids. Parsing it for each id took a sixth of the time of generation.
        let mut query = reader.prepare_cached(&table.select(&format!("\"{column}\" = ?")))?;
        // One read transaction for all ids. Separate ones would lock and unlock the file for each id.
        let _transaction = reader.unchecked_transaction()?;
        let (shape, mut buffer, mut found) =
            (row::RowWriter::new(table.columns), Uuid::encode_buffer(), LookupAnswer::default());
        for (index, id) in ids.iter().enumerate() {
            let mut rows = query.query([text(*id, &mut buffer)])?;
            while let Some(row) = rows.next()? {
                shape.write(row, &mut found.bytes)?;
                if found.bytes.len() > max_bytes {
                    return Ok(None);
                }
                found.end(index as u32);
            }
        }
        Ok(Some(found))
    }

    fn figures(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<TargetFigures, TargetError> {
        self.scan(migration, entity_type, groups, most_altered, stopped)
    }

    fn begin_import(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.import_lease(cancelled)
    }

    fn begin_removal(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.removal_lease(cancelled)
    }

    fn removals(&self) -> Result<u64, TargetError> {
        self.count_removals()
    }

    fn own_rows(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        each: &mut dyn FnMut(&[OwnRow]) -> Result<(), TargetError>,
    ) -> Result<(), TargetError> {
        self.read_own_rows(migration, entity_type, each)
    }

    fn referring_rows(
        &self,
        types: &[&EntityType],
        removed: &RemovedRows,
        most: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<ReferringRows, TargetError> {
        self.find_referring_rows(types, removed, most, stopped)
    }

    fn remove(
        &self,
        removal: &RowRemoval,
        removed: &mut dyn FnMut(u64) -> Result<(), TargetError>,
    ) -> Result<u64, TargetError> {
        self.remove_own_rows(removal, removed)
    }

    fn forget(&self, migration: Uuid) -> Result<(), TargetError> {
        self.forget_progress(migration)
    }
}
