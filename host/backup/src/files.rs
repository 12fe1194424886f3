//! Durable copies, digests and listings of files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use sluice_model::Digest;

use crate::BackupProgress;
use crate::error::BackupError;

/// Size of a read, in bytes.
const READ_SIZE: usize = 1 << 20;

/// Creates a folder and its parents for the owner alone, because imported records are not encrypted.
pub fn create_folder(path: &Path) -> Result<(), BackupError> {
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|source| BackupError::Create { path: path.to_owned(), source })
}

/// Copies a reader into a new file, durably. Returns the number of bytes and their digest.
pub fn copy(from: impl Read, to: &Path, progress: &dyn BackupProgress) -> Result<(u64, Digest), BackupError> {
    if let Some(folder) = to.parent() {
        create_folder(folder)?;
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
    let mut file = file.map_err(BackupError::write(to))?;
    let copied = digest(from, progress, |bytes| file.write_all(bytes)).map_err(BackupError::write(to))?;
    file.sync_all().map_err(BackupError::write(to))?;
    Ok(copied)
}

/// Returns the size of a file and its digest.
pub fn measure(path: &Path, progress: &dyn BackupProgress) -> Result<(u64, Digest), BackupError> {
    let file = File::open(path).map_err(BackupError::read(path))?;
    digest(file, progress, |_| Ok(())).map_err(BackupError::read(path))
}

/// Reads to the end and passes the bytes to `each`. Returns the number of bytes and their digest.
fn digest(
    mut from: impl Read,
    progress: &dyn BackupProgress,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(u64, Digest)> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; READ_SIZE]);
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok((bytes, <[u8; 32]>::from(hasher.finalize()).into())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..read]);
        each(&buffer[..read])?;
        bytes += read as u64;
        progress.advanced(read as u64);
    }
}

/// Returns the sorted paths of all files below a folder, relative to it. Everything that is not a folder counts as a file.
pub fn list_files(folder: &Path) -> Result<Vec<String>, BackupError> {
    let (mut files, mut pending) = (vec![], vec![PathBuf::new()]);
    while let Some(relative) = pending.pop() {
        let current = folder.join(&relative);
        for entry in fs::read_dir(&current).map_err(BackupError::read(&current))? {
            let entry = entry.map_err(BackupError::read(&current))?;
            let path = relative.join(entry.file_name());
            match entry.file_type().map_err(BackupError::read(&entry.path()))?.is_dir() {
                true => pending.push(path),
                false => files.push(path.to_string_lossy().into_owned()),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Makes the names in a folder and in all folders below it durable.
pub fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    for entry in fs::read_dir(folder).map_err(BackupError::read(folder))? {
        let entry = entry.map_err(BackupError::read(folder))?;
        if entry.file_type().map_err(BackupError::read(&entry.path()))?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(BackupError::write(folder))
}
