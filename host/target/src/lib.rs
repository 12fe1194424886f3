//! Targets of imports, and the embedded target.
//!
//! Callers read a target's contents from the target each time. This crate does not know how records were staged.

mod checksum;
mod embedded;
mod id_repair;
mod lease;
mod load;
mod record_path;
mod removal;
mod row;
mod scan;
mod table;
mod tenant_target;
mod tenants;
mod upgrade;

use uuid::Uuid;

pub use embedded::EmbeddedTarget;
pub use id_repair::IdRepair;
pub use lease::TargetLease;
pub use record_path::{RecordPath, decimal, money, visit};
pub use removal::{IdSets, OwnRow, ReferringRow, ReferringRows, RemovedRows, RowRemoval};
pub use row::{ColumnExtractor, Span};
pub use scan::add_amount;
pub use tenant_target::TenantTarget;
pub use tenants::TenantScope;
pub use upgrade::TenantOfMigration;

use sluice_contract::{CountGroup, EntityType, LookupAnswer};
use sluice_model::{Digest, Name};
use sluice_sqlite::{NewerVersion, SqlError};

/// An error of the target. It names the cause, and quotes no values.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The database failed.
    #[error("the target cannot be read or written: {0}")]
    Database(SqlError),
    /// The database was written by a later version of Sluice.
    #[error("the platform database is {0}")]
    Newer(NewerVersion),
    /// A record does not fit the table that its own plugin describes.
    #[error("record {reference_id} of {entity_type} does not fit its table: column {column}")]
    Misfit {
        /// Entity type of the record.
        entity_type: Name,
        /// Reference id of the record.
        reference_id: Uuid,
        /// Column that the record does not fit.
        column: Name,
    },
    /// The records behind a trial's target cannot be read.
    #[error("the records behind the trial's target cannot be read")]
    Unreadable,
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<rusqlite::Error> for TargetError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// The origin of a batch of rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowProvenance {
    /// Name of the source table; `upload` for records in the platform's own shape; `generated` for generated records.
    pub source: String,
    /// Digest of the mapper, if a mapper made the record.
    pub mapper: Option<Digest>,
    /// Digest of the domain plugin.
    pub domain_plugin: Digest,
}

/// The origin of a row in the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedRow {
    /// Migration that imported the row.
    pub migration: Uuid,
    /// Source and plugins of the row.
    pub provenance: RowProvenance,
    /// Ordinal of the source record, or line of the upload.
    pub position: u64,
    /// Hash of the record.
    pub hash: [u8; 16],
}

/// A row to be stored.
#[derive(Clone, Copy)]
pub struct NewRow<'a> {
    /// Reference id.
    pub id: [u8; 16],
    /// Hash of the record.
    pub hash: [u8; 16],
    /// The record.
    pub body: &'a [u8],
    /// Position in the record of each column's value, as [`ColumnExtractor`] finds it.
    pub spans: &'a [Span],
    /// Sum of the values' checksums, or the index of the column whose value does not fit.
    pub sum: Result<u32, usize>,
    /// Index into the batch's provenances.
    pub provenance: usize,
    /// Ordinal of the source record, or line of the upload.
    pub position: u64,
}

/// Numbers of rows by result of storing them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Rows that did not exist.
    pub inserted: u64,
    /// Rows that existed with other contents.
    pub updated: u64,
    /// Rows that existed with the same contents.
    pub unchanged: u64,
}

impl std::ops::AddAssign for StoreCounts {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}

/// Numbers of records by the value of a field.
pub type Groups = std::collections::BTreeMap<String, u64>;

/// Sums by currency.
pub type Sums = std::collections::BTreeMap<String, rust_decimal::Decimal>;

/// Counts and sums of the records that a migration has imported of one entity type.
#[derive(Clone, Debug, Default)]
pub struct TargetFigures {
    /// Number of rows.
    pub count: u64,
    /// Number of rows that are as they were stored, as far as checksums tell.
    pub unaltered: u64,
    /// Reference ids of the first altered rows; none for a row whose id cannot be read.
    pub altered: Vec<Option<Uuid>>,
    /// One entry for each group of the request.
    pub groups: Vec<Groups>,
    /// Exact sums of amounts by currency.
    pub sums: Sums,
}

/// A destination of imports, as the tenant of a migration sees it.
///
/// A target belongs to one tenant. Its methods neither return nor change rows of another one, and answer as if those rows
/// did not exist. [`Target::exist`] and [`Target::read`] alone find rows of other tenants, if an operator has granted it.
pub trait Target: Send + Sync {
    /// Creates or extends the entity type's table. Callers call it before any other method.
    fn prepare(&self, entity_type: &EntityType) -> Result<(), TargetError>;

    /// Returns the position that this migration has reached in an entity type's stream.
    fn progress(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError>;

    /// Saves the position that the migration has reached, if there was nothing to store.
    fn set_progress(&self, migration: Uuid, entity_type: &str, progress: u64) -> Result<(), TargetError>;

    /// Returns the number of rows that this migration has added, as saved with its progress. The number is for display,
    /// not for verification.
    fn added(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError>;

    /// Begins to import records of an entity type. Waits while another migration imports into the same table, and calls
    /// `cancelled` meanwhile.
    fn begin<'a>(
        &'a self,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Box<dyn TargetLoad + 'a>, TargetError>;

    /// Returns, for each id, true if the target has the record.
    fn exist(&self, entity_type: &EntityType, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError>;

    /// Returns, for each id, true if another migration of the tenant has imported the record.
    fn foreign(&self, migration: Uuid, entity_type: &EntityType, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError>;

    /// Returns the record with this id, as JSON.
    fn read(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Vec<u8>>, TargetError>;

    /// Returns the origin of the record with this id.
    fn imported_row(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<ImportedRow>, TargetError>;

    /// Returns the records whose column holds one of these ids, as JSON; for each id in the order of the records' own
    /// ids. Returns none if they would exceed `max_bytes`.
    fn referring(
        &self,
        entity_type: &EntityType,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Option<LookupAnswer>, TargetError>;

    /// Reads every record of this type that the migration has imported. Names at most `most_altered` altered records,
    /// and calls `stopped` meanwhile.
    fn figures(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<TargetFigures, TargetError>;

    /// Begins an import. Waits while rows are removed to which its records may refer, and calls `cancelled` meanwhile.
    /// Imports run beside each other.
    fn begin_import(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError>;

    /// Begins a removal of rows. Waits while imports run whose records may refer to them, of any migration, and calls
    /// `cancelled` meanwhile.
    fn begin_removal(&self, cancelled: &dyn Fn() -> bool) -> Result<TargetLease<'_>, TargetError>;

    /// Returns bytes that change whenever a lookup may find less than before: if rows are removed, or a grant to refer to
    /// another tenant's rows is given or taken back. A validation that looked records up before is outdated. Empty at first.
    fn lookup_state(&self) -> Result<Vec<u8>, TargetError>;

    /// Calls `each` with the rows that a migration has imported, batch by batch.
    fn own_rows(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        each: &mut dyn FnMut(&[OwnRow]) -> Result<(), TargetError>,
    ) -> Result<(), TargetError>;

    /// Returns the rows of these entity types that stay, and refer to rows which are to be removed. Names at most `most`
    /// of them, and calls `stopped` meanwhile.
    fn referring_rows(
        &self,
        types: &[&EntityType],
        removed: &RemovedRows,
        most: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<ReferringRows, TargetError>;

    /// Removes rows of a migration, and returns their number. Calls `removed` with the number of rows after each
    /// transaction; its error ends the removal.
    fn remove(
        &self,
        removal: &RowRemoval,
        removed: &mut dyn FnMut(u64) -> Result<(), TargetError>,
    ) -> Result<u64, TargetError>;

    /// Removes the positions of a migration whose rows are all removed. The next import begins anew.
    fn forget(&self, migration: Uuid) -> Result<(), TargetError>;
}

/// An import of one entity type's records, in progress.
pub trait TargetLoad {
    /// Returns true if the target prefers large batches.
    fn prefers_large_batches(&self) -> bool;

    /// Stores rows, which other readers see after [`TargetLoad::commit`]. Skips rows whose id belongs to another
    /// migration, and returns their ids.
    fn store(
        &mut self,
        provenances: &[RowProvenance],
        rows: &mut [NewRow],
    ) -> Result<(StoreCounts, Vec<[u8; 16]>), TargetError>;

    /// Saves the position that the migration has reached, in one transaction with the rows stored since the last
    /// commit.
    fn commit(&mut self, progress: u64) -> Result<(), TargetError>;

    /// Ends the import. All committed rows can be found afterwards. Rows that are not committed yet are committed
    /// together with `progress`, or discarded if it is none.
    fn finish(self: Box<Self>, progress: Option<u64>) -> Result<(), TargetError>;
}
