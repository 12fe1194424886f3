//! Files without a name: what does not fit in memory, for as long as somebody works on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use cap_std::fs::{Dir, OpenOptions};

use super::{StagingArea, StagingError};
use sluice_keys::{self, Sealer};

/// A file of pieces that nobody else can open, and that is gone with whoever holds it. Its blocks may stay on the
/// disk for long: pieces are sealed with a key that is nowhere but here.
pub struct Scratch {
    file: File,
    sealer: Sealer,
}

/// In front of each piece: its sealed length.
const LENGTH_BYTES: usize = 4;

impl Scratch {
    fn new(dir: &Dir) -> io::Result<Self> {
        let name = format!("{}.scratch", uuid::Uuid::new_v4());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = dir.open_with(&name, &options)?.into_std();
        dir.remove_file(&name)?;
        Ok(Self { file, sealer: Sealer::new(&sluice_keys::random()) })
    }

    /// Writes a piece at `at`; where the next one may stand.
    pub fn write(&self, at: u64, piece: &[u8]) -> io::Result<u64> {
        let mut bytes = vec![0; LENGTH_BYTES];
        self.sealer.seal(&at.to_le_bytes(), &[piece], &mut bytes);
        let length = (bytes.len() - LENGTH_BYTES) as u32;
        bytes[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        self.file.write_all_at(&bytes, at)?;
        Ok(at + bytes.len() as u64)
    }

    /// The piece at `at`, and where the next one stands.
    pub fn read(&self, at: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut length = [0; LENGTH_BYTES];
        self.file.read_exact_at(&mut length, at)?;
        let mut piece = vec![0; u32::from_le_bytes(length) as usize];
        let from = at + LENGTH_BYTES as u64;
        self.file.read_exact_at(&mut piece, from)?;
        let next = from + piece.len() as u64;
        self.sealer
            .open(&at.to_le_bytes(), &mut piece)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok((piece, next))
    }

    /// All that stands in the file.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.file.metadata().expect("it is open").len() as usize];
        self.file.read_exact_at(&mut bytes, 0).expect("it is open");
        bytes
    }
}

impl StagingArea {
    /// A file that nobody else can open, and that is gone with whoever holds it.
    pub fn scratch(&self) -> Result<Scratch, StagingError> {
        Ok(Scratch::new(&self.dir)?)
    }
}
