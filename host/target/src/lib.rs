//! Where records are imported. What is in a target is asked of the target, never remembered.
//!
//! It does not know how records were staged, only what they look like.

mod check;
mod embedded;
mod load;
mod paths;
mod read;
mod row;
mod scan;
mod table;

use uuid::Uuid;

pub use embedded::EmbeddedTarget;
pub use paths::{Path, decimal, money, visit};
pub use row::{Fields, Span};
pub use scan::add;

use sluice_contract::{CountGroup, EntityType, Found};
use sluice_model::{Digest, Name};
use sluice_sqlite::{Newer, SqlError};

/// A failure of the target: the platform's trouble. It says which, and quotes nothing.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The database refused.
    #[error("the target cannot be read or written: {0}")]
    Database(SqlError),
    /// A later version of Sluice has written it.
    #[error("the platform database is {0}")]
    Newer(Newer),
    /// A record does not fit the table that its own plugin describes.
    #[error("record {reference_id} of {entity_type} does not fit its table: column {column}")]
    Misfit {
        /// Its entity type.
        entity_type: Name,
        /// Which record.
        reference_id: Uuid,
        /// Which column.
        column: Name,
    },
    /// What stands behind it could not be read.
    #[error("what the target sees through to cannot be read")]
    Unreadable,
    /// Somebody cancelled meanwhile.
    #[error("cancelled")]
    Cancelled,
}

impl From<rusqlite::Error> for TargetError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Where a batch of rows comes from: what the provenance of a row names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Provenance {
    /// The source table, or `upload` for records in the platform's own shape, or `generated`.
    pub source: String,
    /// Digest of the mapper, if one made the record.
    pub mapper: Option<Digest>,
    /// Digest of the domain plugin.
    pub domain_plugin: Digest,
}

/// Where a row that is in the target came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which migration brought it.
    pub migration: Uuid,
    /// What it was made of, by which plugins.
    pub provenance: Provenance,
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
    /// Where in it the values of its columns are, as [`Fields`] finds them.
    pub spans: &'a [Span],
    /// What these add to its row's checksum, or the column whose value does not fit.
    pub sum: Result<u32, usize>,
    /// Index into the batch's provenances.
    pub provenance: usize,
    /// Ordinal of the source record, or line of the upload.
    pub position: u64,
}

/// What storing came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Rows that were not there.
    pub inserted: u64,
    /// Rows that were there with other contents.
    pub updated: u64,
    /// Rows that were there just so.
    pub unchanged: u64,
}

impl std::ops::AddAssign for Stored {
    fn add_assign(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}

/// A verification count by the value of a field.
pub type Groups = std::collections::BTreeMap<String, u64>;

/// Sums by currency.
pub type Sums = std::collections::BTreeMap<String, rust_decimal::Decimal>;

/// What a migration has brought of an entity type, as it stands there.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Rows.
    pub count: u64,
    /// Rows that are as they were stored, as far as that can be told.
    pub unaltered: u64,
    /// Some of those that are not, with their reference ids as far as those can be read.
    pub altered: Vec<Option<Uuid>>,
    /// Of each group that was asked for.
    pub groups: Vec<Groups>,
    /// Exact sums of amounts by currency.
    pub sums: Sums,
}

/// Somewhere records can be imported.
pub trait Target: Send + Sync {
    /// Makes the entity type's table ready. Called before anything else is asked of it.
    fn prepare(&self, entity_type: &EntityType) -> Result<(), TargetError>;

    /// How far this migration has come with an entity type.
    fn progress(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError>;

    /// Notes how far it has come where there was nothing to store.
    fn set_progress(&self, migration: Uuid, entity_type: &str, progress: u64) -> Result<(), TargetError>;

    /// How many rows this migration has added, as noted with its progress: for show, not for verification.
    fn added(&self, migration: Uuid, entity_type: &str) -> Result<u64, TargetError>;

    /// Begins to import records of an entity type; waits while another migration does. `cancelled` is asked
    /// meanwhile.
    fn begin<'a>(
        &'a self,
        migration: Uuid,
        entity_type: &'a EntityType,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Box<dyn Load + 'a>, TargetError>;

    /// Which of these ids are in the target.
    fn exist(&self, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError>;

    /// Which of these ids another migration has brought.
    fn foreign(&self, migration: Uuid, entity_type: &str, ids: &[[u8; 16]]) -> Result<Vec<bool>, TargetError>;

    /// The record with this id, as JSON.
    fn read(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Vec<u8>>, TargetError>;

    /// Where the record with this id came from.
    fn arrived(&self, entity_type: &EntityType, id: [u8; 16]) -> Result<Option<Arrived>, TargetError>;

    /// The records whose column holds one of these ids, as JSON, for each in order of their own ids; none where they
    /// would be more than so many bytes.
    fn referring(
        &self,
        entity_type: &EntityType,
        column: &str,
        ids: &[[u8; 16]],
        max_bytes: usize,
    ) -> Result<Option<Found>, TargetError>;

    /// Looks at every record of this type that the migration has brought. Of those that were altered it names so many at
    /// most; `stopped` is asked meanwhile.
    fn figures(
        &self,
        migration: Uuid,
        entity_type: &EntityType,
        groups: &[&CountGroup],
        most_altered: usize,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Figures, TargetError>;
}

/// An import of one entity type's records, in progress.
pub trait Load {
    /// Whether rows are stored faster the more of them come at once.
    fn gathers(&self) -> bool;

    /// Stores rows, which are there for everybody after [`Load::commit`]. Rows whose id belongs to another migration are
    /// left alone and returned.
    fn store(
        &mut self,
        provenances: &[Provenance],
        rows: &mut [NewRow],
    ) -> Result<(Stored, Vec<[u8; 16]>), TargetError>;

    /// Notes how far the migration has come, in one transaction with the rows that were stored since the last time.
    fn commit(&mut self, progress: u64) -> Result<(), TargetError>;

    /// Ends it: after this, everything that was committed can be found. What was not is committed with how far it has come,
    /// if that is given, and otherwise forgotten.
    fn finish(self: Box<Self>, progress: Option<u64>) -> Result<(), TargetError>;
}
