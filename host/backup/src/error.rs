//! Errors of backups.

use std::io;
use std::path::{Path, PathBuf};

use sluice_catalog::{CatalogError, TransitionError};
use sluice_connector::PlatformError;
use sluice_keys::KeyError;
use sluice_sqlite::SqlError;
use sluice_staging::StagingError;
use sluice_target::TargetError;
use uuid::Uuid;

use crate::manifest::MANIFEST;

/// An error of a backup, a check or a restore. Its text is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder has no manifest.
    #[error("{} is not a backup, or not a whole one: it has no {MANIFEST}", backup.display())]
    NoManifest {
        /// Folder of the backup.
        backup: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A later version of Sluice wrote the manifest, and its signature may have another form.
    #[error("{} is of version {version}, and this Sluice reads version 1: use the Sluice that wrote it", file.display())]
    NewerManifest {
        /// File of the manifest.
        file: PathBuf,
        /// Version of the manifest.
        version: u32,
    },
    /// The signature of the manifest is wrong, or another key made it.
    #[error("{MANIFEST} {0}")]
    ManifestSignature(sluice_audit::VerificationFault),
    /// The manifest is signed but cannot be parsed.
    #[error("{MANIFEST} was changed")]
    ManifestSyntax(#[source] serde_json::Error),
    /// The manifest names a file that does not belong to a data directory.
    #[error("{MANIFEST} names {path}, which is no file of a data directory")]
    ForeignFile {
        /// Path of the file.
        path: String,
    },
    /// A later version of Sluice wrote the catalogue.
    #[error(
        "the backup has a catalogue of version {catalogue}, and this Sluice knows versions up to {known}: use Sluice \
         {version} or later"
    )]
    NewerCatalogue {
        /// Version of the backup's catalogue.
        catalogue: i64,
        /// Latest version that this Sluice knows.
        known: i64,
        /// Version of the Sluice that took the backup.
        version: String,
    },
    /// The backup has a file that the manifest does not name.
    #[error("{path} is in the backup and not in its manifest")]
    UnlistedFile {
        /// Path of the file.
        path: String,
    },
    /// The backup lacks a file that the manifest names.
    #[error("{path} is missing")]
    MissingFile {
        /// Path of the file.
        path: String,
    },
    /// A file of the backup is not as it was backed up.
    #[error("{path} was changed after the backup: its size or SHA-256 differs")]
    ChangedFile {
        /// Path of the file.
        path: String,
    },
    /// A file of the backup changed while it was restored.
    #[error("{path} was changed while it was read")]
    ChangedWhileRead {
        /// Path of the file.
        path: String,
    },
    /// SQLite finds errors in a database.
    #[error("{name} is damaged: SQLite finds errors in it")]
    DamagedDatabase {
        /// Name of the database file.
        name: String,
    },
    /// A database could not be read.
    #[error("{name} cannot be read")]
    UnreadableDatabase {
        /// Name of the database.
        name: String,
        /// The error of SQLite.
        source: SqlError,
    },
    /// A database could not be copied.
    #[error("{name} cannot be copied")]
    UncopiedDatabase {
        /// Name of the database.
        name: String,
        /// The error of SQLite.
        source: SqlError,
    },
    /// The catalogue could not be locked against changes.
    #[error("the catalogue cannot be locked")]
    CatalogueLock(#[source] SqlError),
    /// An audit trail is broken.
    #[error("the audit trail of {scope} is not sound")]
    BrokenTrail {
        /// Migration of the trail, or the server.
        scope: sluice_audit::AuditScope,
        /// Location and kind of the fault.
        source: sluice_audit::VerificationError,
    },
    /// The directory of a migration could not be read.
    #[error("migration {migration} cannot be read")]
    UnreadableMigration {
        /// Reference id of the migration.
        migration: Uuid,
        /// The error of its staging area.
        source: StagingError,
    },
    /// The directory of a migration could not be copied.
    #[error("migration {migration} cannot be copied")]
    UncopiedMigration {
        /// Reference id of the migration.
        migration: Uuid,
        /// The reason.
        source: Box<BackupError>,
    },
    /// The data directory to restore into holds more than keys.
    #[error(
        "{} is not empty: there is {entry} in it. Restore into a directory that is empty but for its keys, or that does \
         not exist",
        data_dir.display()
    )]
    NotEmpty {
        /// The data directory.
        data_dir: PathBuf,
        /// Name of a file in it.
        entry: String,
    },
    /// The folder to back up to exists and holds something.
    #[error("{} is there already: name a new folder for the backup", destination.display())]
    DestinationExists {
        /// The folder.
        destination: PathBuf,
    },
    /// The path to back up to has no file name.
    #[error("{} is not a valid name for a folder", destination.display())]
    InvalidDestination {
        /// The path.
        destination: PathBuf,
    },
    /// Another process writes a backup to the same folder.
    #[error("another backup is being written to {}", destination.display())]
    DestinationInUse {
        /// The folder.
        destination: PathBuf,
    },
    /// The key that signs audit trails and manifests could not be read.
    #[error("the audit trail's key cannot be read")]
    AuditKey(#[source] KeyError),
    /// The key of a migration could not be read.
    #[error(transparent)]
    MigrationKey(KeyError),
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A folder could not be created.
    #[error("cannot create {}", path.display())]
    Create {
        /// Path of the folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file or folder could not be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// Path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A lock file could not be taken, for example because a server uses the data directory.
    #[error(transparent)]
    Lock(Box<dyn std::error::Error + Send + Sync>),
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogError),
    /// The catalogue refused a change of a migration's status.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The platform database failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A ledger of calls failed.
    #[error(transparent)]
    Ledger(#[from] PlatformError),
    /// A staging area failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
}

impl BackupError {
    /// Returns a function that adds a path to a reading error.
    pub(crate) fn read(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }

    /// Returns a function that adds a path to a writing error.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// Returns true if a file of a staging area is missing.
    pub(crate) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Staging(StagingError::Io { kind: io::ErrorKind::NotFound, .. }))
    }
}
