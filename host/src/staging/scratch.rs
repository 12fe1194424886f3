//! Files beside the journal: scratch without a name, and lists of lines.

use std::fs::File;
use std::io::Write;

use cap_std::fs::{Dir, OpenOptions};

use super::{StagingArea, StagingError};

/// A file that nobody else can open, and that is gone with whoever holds it.
pub(super) fn scratch(dir: &Dir) -> std::io::Result<File> {
    let name = format!("{}.scratch", uuid::Uuid::new_v4());
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    let file = dir.open_with(&name, &options)?.into_std();
    dir.remove_file(&name)?;
    Ok(file)
}

impl StagingArea {
    /// A file that nobody else can open, and that is gone with whoever holds it.
    pub fn scratch(&self) -> Result<File, StagingError> {
        Ok(scratch(&self.dir)?)
    }

    /// Adds lines to a list in the migration's directory, durably.
    pub fn append_lines(&self, list: &str, lines: &[u8]) -> Result<(), StagingError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        let mut file = self.dir.open_with(list, &options)?;
        file.write_all(lines)?;
        Ok(file.sync_data()?)
    }

    /// All lines of a list; nothing where there is none.
    pub fn read_lines(&self, list: &str) -> Result<Vec<u8>, StagingError> {
        match self.dir.read(list) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(vec![]),
            read => Ok(read?),
        }
    }
}
