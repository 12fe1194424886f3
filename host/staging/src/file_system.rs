//! Helpers for directories and files.

use std::io;

use cap_std::fs::Dir;

/// Makes created and renamed files of a directory durable. A `Dir` is opened with `O_PATH` and cannot be synced, so the
/// directory is opened again for reading.
pub(crate) fn sync_dir(dir: &Dir) -> io::Result<()> {
    dir.open(".")?.into_std().sync_all()
}

/// Returns `None` if the file or directory does not exist.
pub(crate) fn if_exists<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
