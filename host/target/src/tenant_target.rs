//! The rows of one tenant in the embedded target: existence, references, and figures.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::embedded::{EmbeddedTarget, lock};
use super::removal::{OwnRow, ReferringRows, RemovedRows, RowRemoval};
use super::table::{HASH, ORIGIN, POSITION, TenantTable};
use super::tenants::TenantNumber;
use super::{ImportedRow, RowProvenance, Target, TargetError, TargetFigures, TargetLease, TargetLoad, row};
use sluice_contract::{CountGroup, EntityType, LookupAnswer};
use sluice_model::{Digest, Tenant};

/// Returns the SQL condition that selects the rows of a migration.
pub(super) fn of_migration() -> String {
    format!("{ORIGIN} IN (SELECT number FROM sluice_origins WHERE migration = ?1)")
}

/// Writes an id as it stands in tables.
pub(super) fn text(id: [u8; 16], buffer: &mut [u8]) -> &str {
    Uuid::from_bytes(id).as_hyphenated().encode_lower(buffer)
}

/// The rows that one migration's tenant may see: see [`EmbeddedTarget::scoped`].
///
/// Everything reads the tenant's own rows alone, with two exceptions. Lookups of a record by its id also find the rows of
/// tenants that the operator lets this one refer to. A removal respects the rows of tenants that may refer to this one.
pub struct TenantTarget {
    pub(super) database: Arc<EmbeddedTarget>,
    pub(super) tenant: TenantNumber,
    pub(super) lenders: Vec<TenantNumber>,
    pub(super) lender_names: Vec<Tenant>,
    pub(super) borrowers: Vec<TenantNumber>,
}

impl TenantTarget {
    /// Returns the tenant's rows of an entity type.
    pub(super) fn own<'a>(&self, entity_type: &'a EntityType) -> TenantTable<'a> {
        TenantTable::new(entity_type, self.tenant)
    }

    /// Returns the rows of an entity type in which a reference is looked up: the tenant's own, then those of each tenant
    /// that lets it refer to its rows.
    fn referable<'a>(&self, entity_type: &'a EntityType) -> impl Iterator<Item = TenantTable<'a>> {
        let tenants = std::iter::once(self.tenant).chain(self.lenders.iter().copied());
        tenants.map(|tenant| TenantTable::new(entity_type, tenant))
    }
}

impl Target for TenantTarget {
    fn prepare(&self, entity_type: &EntityType) -> Result<(), TargetError> {
        self.database.prepare(entity_type)
    }

    fn progress(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError> {
        let position = lock(&self.database.reader)
            .prepare_cached("SELECT position FROM sluice_progress WHERE migration = ? AND entity_type = ?")?
            .query_row(params![migration.to_string(), entity_type], |row| row.get(0))
            .optional()?;
        Ok(position.unwrap_or(0))
    }

    fn added(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError> {
        let added = lock(&self.database.reader)
            .prepare_cached("SELECT row_count FROM sluice_progress WHERE migration = ? AND entity_type = ?")?
            .query_row(params![migration.to_string(), entity_type], |row| row.get(0))
            .optional()?;
        Ok(added.unwrap_or(0))
    }

    fn set_progress(&self, migration: Uuid, entity_type: &str, progress: u64) -> Result<(), TargetError> {
        self.database.note_progress(migration, entity_type, progress)
    }

    fn begin<'a>(
        &'a self,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Box<dyn TargetLoad + 'a>, TargetError> {
        Ok(Box::new(self.database.begin_load(self.tenant, migration, entity_type, cancelled)?))
    }

    fn exist(&self, entity_type: &EntityType, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        let reader = lock(&self.database.reader);
        let mut found = vec![false; ids.len()];
        for table in self.referable(entity_type) {
            let mut query = reader.prepare_cached(&table.find("1", 1))?;
            let mut buffer = Uuid::encode_buffer();
            for (found, id) in found.iter_mut().zip(ids).filter(|(found, _)| !**found) {
                *found = query.exists([text(*id, &mut buffer)])?;
            }
        }
        Ok(found)
    }

    fn foreign(&self, migration: Uuid, entity_type: &EntityType, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError> {
        let reader = lock(&self.database.reader);
        let query = format!("{} AND NOT {}", self.own(entity_type).find("1", 2), of_migration());
        let mut query = reader.prepare_cached(&query)?;
        let (migration, mut buffer) = (migration.to_string(), Uuid::encode_buffer());
        let found = |id: &[u8; 16]| Ok(query.exists([migration.as_str(), text(*id, &mut buffer)])?);
        ids.iter().map(found).collect()
    }

    fn read(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Vec<u8>>, TargetError> {
        let reader = lock(&self.database.reader);
        for table in self.referable(entity_type) {
            let mut query = reader.prepare_cached(&table.record())?;
            let mut record = vec![];
            let write = |found: &Row| row::RowWriter::new(table.table.columns).write(found, &mut record);
            let found = query.query_row([text(id, &mut Uuid::encode_buffer())], write).optional()?;
            if found.is_some() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn imported_row(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<ImportedRow>, TargetError> {
        let reader = lock(&self.database.reader);
        let row = self.own(entity_type).find(&format!("{ORIGIN} AS origin, {POSITION}, {HASH}"), 1);
        let mut query = reader.prepare_cached(&format!(
            "SELECT migration, source, mapper, domain_plugin, {POSITION}, {HASH}
             FROM ({row}) JOIN sluice_origins ON number = origin"
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
        let table = self.own(entity_type);
        let reader = lock(&self.database.reader);
        let select = if column == table.table.key() {
            table.record()
        } else {
            self.database.index(&reader, &table.table, column)?;
            table.records_by(column)
        };
        // Prepared once for all ids. Parsing it for each id took a sixth of the time of generation.
        let mut query = reader.prepare_cached(&select)?;
        // One read transaction for all ids. Separate ones would lock and unlock the file for each id.
        let _transaction = reader.unchecked_transaction()?;
        let (shape, mut buffer, mut found) =
            (row::RowWriter::new(table.table.columns), Uuid::encode_buffer(), LookupAnswer::default());
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
        self.database.import_lease(self.tenant, &self.lenders, cancelled)
    }

    fn begin_removal(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError> {
        self.database.removal_lease(self.tenant, &self.borrowers, cancelled)
    }

    fn lookup_state(&self) -> Result<Vec<u8>, TargetError> {
        let mut removals = 0;
        for tenant in std::iter::once(&self.tenant).chain(&self.lenders) {
            removals += self.database.count_removals(*tenant)?;
        }
        let mut state = if removals > 0 { removals.to_le_bytes().to_vec() } else { vec![] };
        for lender in &self.lender_names {
            state.extend_from_slice(lender.as_str().as_bytes());
            state.push(0);
        }
        Ok(state)
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
        self.database.forget_progress(migration)
    }
}
