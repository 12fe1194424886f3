//! Layout of a data directory: file names, the lock that keeps a second server out, and the places of its keys.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sluice_config::Config;
use sluice_keys::Keyring;

/// Name of the embedded platform database in the data directory.
pub const TARGET_FILE: &str = "platform.db";

/// Name of the catalogue in the data directory.
pub const CATALOGUE_FILE: &str = "catalogue.db";

/// Name of the file that a server holds locked.
pub const LOCK_FILE: &str = "lock";

/// Name of the folder that a backup is restored into before all of it is put in its place.
pub const RESTORING_DIR: &str = "restoring";

/// Name of the file that says that the data directory was restored, until a server has noted it.
pub const RESTORED_FILE: &str = "restored";

/// Name of the file with the first client's id and secret, as `curl -u` takes them.
pub const ADMIN_FILE: &str = "admin-client";

/// The keys of a data directory.
pub fn open_keys(data_dir: &Path, config: &Config) -> Result<Keyring> {
    let (directory, master_key) = key_places(data_dir, config);
    Keyring::open(&directory, &master_key).context("the server's keys cannot be had")
}

/// Where a data directory's keys are: the key directory, and the file of the master key.
pub fn key_places(data_dir: &Path, config: &Config) -> (PathBuf, PathBuf) {
    let places = &config.keys;
    let directory = places.directory.clone().unwrap_or_else(|| data_dir.join("keys"));
    (directory, places.master_key_file.clone().unwrap_or_else(|| data_dir.join("master.key")))
}

/// Keeps servers from a data directory, for as long as what is returned lives.
pub fn lock_directory(data_dir: &Path) -> Result<std::fs::File> {
    lock(&data_dir.join(LOCK_FILE))?
        .with_context(|| format!("another server is using {}: stop it, or use another --data-dir", data_dir.display()))
}

/// Takes a lock that is a file, made if need be; none where somebody else has it.
pub fn lock(file: &Path) -> Result<Option<std::fs::File>> {
    let held = std::fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    match held.try_lock() {
        Ok(()) => Ok(Some(held)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}
