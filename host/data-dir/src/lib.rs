//! Layout of a data directory: file names, the lock that excludes a second server, and the locations of the keys.

mod private;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use sluice_config::Config;
use sluice_keys::{KeyError, Keyring};

pub use private::{create_private_files, make_private};

/// Name of the embedded platform's database in the data directory.
pub const TARGET_FILE: &str = "platform.db";

/// Name of the catalog in the data directory.
pub const CATALOG_FILE: &str = "catalogue.db";

/// Name of the file that a running server locks.
pub const LOCK_FILE: &str = "lock";

/// Name of the folder into which a backup is restored, before its files move to their final places.
pub const RESTORING_DIR: &str = "restoring";

/// Name of the file that marks a restored data directory until a server has written the restore to its audit trail.
pub const RESTORED_FILE: &str = "restored";

/// Name of the file with the first client's id and secret, in the form that `curl -u` accepts.
pub const ADMIN_FILE: &str = "admin-client";

/// An error of a data directory.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The keys cannot be opened.
    #[error("the server's keys cannot be opened")]
    Keys(#[source] KeyError),
    /// Another process holds the lock of the data directory.
    #[error("another server is using {}: stop it, or use another --data-dir", .0.display())]
    InUse(PathBuf),
    /// A file cannot be created.
    #[error("cannot write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The operating system refuses to lock a file.
    #[error(transparent)]
    Lock(io::Error),
}

/// Opens the keys of a data directory. Creates a master key if it is missing.
pub fn open_keys(data_dir: &Path, config: &Config) -> Result<Keyring, DataDirError> {
    let (directory, master_key) = key_locations(data_dir, config);
    Keyring::open(&directory, &master_key).map_err(DataDirError::Keys)
}

/// Returns the locations of a data directory's keys: the key directory, and the file of the master key.
pub fn key_locations(data_dir: &Path, config: &Config) -> (PathBuf, PathBuf) {
    let locations = &config.keys;
    let directory = locations.directory.clone().unwrap_or_else(|| data_dir.join("keys"));
    (directory, locations.master_key_file.clone().unwrap_or_else(|| data_dir.join("master.key")))
}

/// Locks a data directory. No other server can use it while the returned file exists.
///
/// # Errors
///
/// Returns [`DataDirError::InUse`] if another process holds the lock.
pub fn lock_directory(data_dir: &Path) -> Result<File, DataDirError> {
    lock(&data_dir.join(LOCK_FILE))?.ok_or_else(|| DataDirError::InUse(data_dir.into()))
}

/// Locks a file, which it creates if it is missing. Returns `None` if another process holds the lock.
pub fn lock(path: &Path) -> Result<Option<File>, DataDirError> {
    let file = File::create(path).map_err(|error| DataDirError::Write(path.into(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(DataDirError::Lock(error)),
    }
}
