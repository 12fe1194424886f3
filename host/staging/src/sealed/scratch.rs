//! Scratch files without a name: temporary data that does not fit in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use cap_std::fs::{Dir, OpenOptions};

use crate::{StagingArea, StagingError};
use sluice_keys::Sealer;

/// A file of sealed chunks that nothing else can open and that is removed when it is dropped. Its blocks may stay on the
/// disk for long, so the chunks are sealed with a key that exists only in memory.
pub struct ScratchFile {
    file: File,
    sealer: Sealer,
}

/// Bytes of the length in front of each sealed chunk.
const LENGTH_BYTES: usize = 4;

impl ScratchFile {
    fn new(dir: &Dir) -> io::Result<Self> {
        let name = format!("{}.scratch", uuid::Uuid::new_v4());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = dir.open_with(&name, &options)?.into_std();
        dir.remove_file(&name)?;
        Ok(Self { file, sealer: Sealer::new(&sluice_keys::random()) })
    }

    /// Writes a chunk at an offset. Returns the offset after the chunk.
    pub fn write(&self, at: u64, chunk: &[u8]) -> io::Result<u64> {
        let mut bytes = vec![0; LENGTH_BYTES];
        self.sealer.seal(&at.to_le_bytes(), &[chunk], &mut bytes);
        let length = u32::try_from(bytes.len() - LENGTH_BYTES).map_err(|_| io::ErrorKind::FileTooLarge)?;
        bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&bytes, at)?;
        Ok(at + bytes.len() as u64)
    }

    /// Reads the chunk at an offset. Returns it with the offset after it.
    pub fn read(&self, at: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut length = [0; LENGTH_BYTES];
        self.file.read_exact_at(&mut length, at)?;
        let mut chunk = vec![0; u32::from_le_bytes(length) as usize];
        let from = at + LENGTH_BYTES as u64;
        self.file.read_exact_at(&mut chunk, from)?;
        let next = from + chunk.len() as u64;
        self.sealer
            .open(&at.to_le_bytes(), &mut chunk)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok((chunk, next))
    }

    /// Returns all bytes of the file.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = self.file.metadata().expect("it is open").len();
        let mut bytes = vec![0; crate::number::to_index(length)];
        self.file.read_exact_at(&mut bytes, 0).expect("it is open");
        bytes
    }
}

impl StagingArea {
    /// Creates a scratch file.
    pub fn scratch(&self) -> Result<ScratchFile, StagingError> {
        Ok(ScratchFile::new(&self.dir)?)
    }
}
