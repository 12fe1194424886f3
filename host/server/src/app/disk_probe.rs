//! Probe of the disk that holds the data directory.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time for which a result is valid. Anybody may ask for the readiness, and a probe waits for the disk.
const VALID_FOR: Duration = Duration::from_secs(1);

/// Name of the file that the probe writes and removes.
const PROBE_FILE: &str = "ready-probe";

/// A probe that writes a file and looks at the free space.
pub struct DiskProbe {
    data_dir: PathBuf,
    /// Time and result of the last probe.
    last: Mutex<Option<(Instant, bool)>>,
}

impl DiskProbe {
    /// Makes a probe of the disk with this directory.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.into(), last: Mutex::default() }
    }

    /// Returns true if a file can be written to the disk and at least `least` bytes are free.
    pub fn is_writable(&self, least: u64) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, writable)) if at.elapsed() < VALID_FOR => writable,
            _ => {
                let writable = self.free_bytes().is_ok_and(|free| free >= least) && self.write().is_ok();
                *last = Some((Instant::now(), writable));
                writable
            }
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.data_dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn write(&self) -> io::Result<()> {
        let path = self.data_dir.join(PROBE_FILE);
        let mut file = File::create(&path)?;
        file.write_all(b"probe")?;
        file.sync_data()?;
        std::fs::remove_file(&path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_full_disk_and_a_missing_directory() {
        let dir = tempfile::tempdir().unwrap();
        for (path, least, writable) in [
            (dir.path().to_owned(), 1, true),
            (dir.path().to_owned(), u64::MAX, false),
            (dir.path().join("absent"), 0, false),
        ] {
            assert_eq!(DiskProbe::new(&path).is_writable(least), writable, "{} {least}", path.display());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the probe leaves nothing");
        let probe = DiskProbe::new(dir.path());
        assert!(probe.is_writable(1) && probe.is_writable(u64::MAX), "the result is valid for a while");
    }
}
