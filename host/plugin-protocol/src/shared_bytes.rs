//! Sealed memory: a file without a name whose bytes cannot change any more.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};

/// Seals after which bytes and length of a file stay as they are.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// Bytes in sealed memory. The server and its workers pass them to each other without a copy.
#[derive(Debug)]
pub struct SharedBytes {
    file: File,
    length: u64,
}

impl SharedBytes {
    /// Copies bytes into sealed memory.
    ///
    /// # Errors
    ///
    /// Fails if the system has no memory or no descriptor left, or the process's limit of a file's length is exceeded.
    pub fn new(bytes: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("sluice", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.write_all(bytes)?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(Self { file, length: bytes.len() as u64 })
    }

    /// Accepts a file from another process. Nobody can change it afterwards.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be sealed, or is longer than `max_bytes`.
    pub fn accept(file: OwnedFd, max_bytes: u64) -> io::Result<Self> {
        if !fcntl_get_seals(&file)?.contains(SEALS) {
            // Fails while the other process has a writable mapping of the file.
            fcntl_add_seals(&file, SEALS)?;
        }
        let length = u64::try_from(fstat(&file)?.st_size).unwrap_or(u64::MAX);
        if length > max_bytes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file of a worker is too long"));
        }
        Ok(Self { file: file.into(), length })
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads all bytes.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot read the file.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.length).map_err(|_| io::ErrorKind::FileTooLarge)?];
        // All holders of the file share its offset, so it is not used.
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

impl AsFd for SharedBytes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_cannot_change() {
        let shared = SharedBytes::new(b"sealed").unwrap();
        assert_eq!((shared.length(), shared.read().unwrap().as_slice()), (6, &b"sealed"[..]));
        let other = shared.as_fd().try_clone_to_owned().unwrap();
        assert!(File::from(other.try_clone().unwrap()).write_all(b"x").is_err());
        assert!(File::from(other.try_clone().unwrap()).set_len(1).is_err());
        assert_eq!(SharedBytes::accept(other.try_clone().unwrap(), 6).unwrap().read().unwrap(), b"sealed");
        assert!(SharedBytes::accept(other, 5).is_err());
    }
}
