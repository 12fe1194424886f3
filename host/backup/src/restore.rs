//! Restoring a backup into an empty data directory. No file is put in its place before all files are checked.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use sluice_data_dir::{CATALOG_FILE, LOCK_FILE, RESTORED_FILE, RESTORING_DIR, lock_directory};
use sluice_keys::{Keyring, PublicKey};

use crate::BackupProgress;
use crate::check::{self, BackupSummary};
use crate::error::BackupError;
use crate::files::{copy, create_folder, sync_folder, sync_folders};
use crate::manifest::{BackupFile, BackupManifest};

/// Restores a backup into a data directory that is empty but for its keys. `is_key` returns true for the paths of keys.
/// `keys` are the keys to check the backup with, if they are there.
///
/// # Errors
///
/// Fails if the data directory is not empty ([`BackupError::NotEmpty`]) or in use ([`BackupError::Lock`]), if the backup is
/// damaged (see [`verify`](crate::verify)), or if a file cannot be read or written. After an error the data directory
/// holds nothing of the backup, or a server refuses to start on it.
pub fn restore(
    backup: &Path,
    data_dir: &Path,
    is_key: &dyn Fn(&Path) -> bool,
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupSummary, BackupError> {
    let (manifest, key) = BackupManifest::read(backup, check::pinned_key(keys)?.as_ref())?;
    check::check_files(backup, &manifest, progress)?;
    check_empty(data_dir, is_key)?;
    create_folder(data_dir)?;
    let _lock = lock_directory(data_dir).map_err(|error| BackupError::Lock(error.into()))?;
    let restoring = data_dir.join(RESTORING_DIR);
    create_folder(&restoring)?;
    sync_folder(data_dir)?;
    let filled = fill(backup, &restoring, (&manifest, &key), keys, progress);
    if filled.is_err() {
        // The first error is the one to report. The folder `restoring`, if it cannot be removed, keeps servers away.
        let _ = fs::remove_dir_all(&restoring).and_then(|()| fs::remove_file(data_dir.join(LOCK_FILE)));
    }
    let summary = filled?;
    let write = BackupError::write(data_dir);
    fs::write(restoring.join(RESTORED_FILE), format!("{}\n", manifest.at)).map_err(&write)?;
    // The catalogue is moved last, because a server takes a directory with a catalogue for a complete one.
    let entries = fs::read_dir(&restoring).map_err(BackupError::read(&restoring))?;
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<OsString>>>();
    let mut names = names.map_err(BackupError::read(&restoring))?;
    names.sort_by_key(|name| name == CATALOG_FILE);
    for name in names {
        fs::rename(restoring.join(&name), data_dir.join(&name)).map_err(&write)?;
    }
    fs::remove_dir(&restoring).map_err(&write)?;
    sync_folder(data_dir)?;
    Ok(summary)
}

/// Fails if a data directory holds anything but keys.
fn check_empty(data_dir: &Path, is_key: &dyn Fn(&Path) -> bool) -> Result<(), BackupError> {
    if !data_dir.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(data_dir).map_err(BackupError::write(data_dir))? {
        let path = entry.map_err(BackupError::write(data_dir))?.path();
        if !is_key(&path) {
            let entry = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(BackupError::NotEmpty { data_dir: data_dir.to_owned(), entry });
        }
    }
    Ok(())
}

/// Copies all files into the folder `restoring` and checks the copies.
fn fill(
    backup: &Path,
    restoring: &Path,
    (manifest, key): (&BackupManifest, &PublicKey),
    keys: Option<&Keyring>,
    progress: &dyn BackupProgress,
) -> Result<BackupSummary, BackupError> {
    progress.step_started("Restoring", manifest.bytes());
    for BackupFile { path, bytes, sha256 } in &manifest.files {
        let file = fs::File::open(backup.join(path)).map_err(BackupError::read(Path::new(path)))?;
        if copy(file, &restoring.join(path), progress)? != (*bytes, *sha256) {
            return Err(BackupError::ChangedWhileRead { path: path.clone() });
        }
    }
    sync_folders(restoring)?;
    check::check_files(restoring, manifest, progress)?;
    check::check_contents(restoring, manifest, key, keys, progress)
}
