//! What is tried out beside a migration's staging: a folder of its own in the migration's directory, which goes with
//! whoever works in it, or stays until its time has come.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};
use uuid::Uuid;

use super::lines::Lines;
use super::{StagingArea, StagingError, StagingRoot};
use sluice_keys::Sealer;

/// The folder of a migration's directory that these folders are in, each under the id of its job.
pub const TRIALS: &str = "trials";

/// The file that says how long a folder stays, in seconds since 1970: a folder without it has no owner left.
const UNTIL: &str = "keep-until";

/// Bytes that are overwritten at once.
const PIECE: usize = 1 << 16;

/// A folder aside. What lies in it goes when this is dropped, unless it is kept.
pub struct Aside {
    trials: Dir,
    name: String,
    path: PathBuf,
    sealer: Arc<Sealer>,
    kept: bool,
}

impl Aside {
    fn dir(&self) -> io::Result<Dir> {
        self.trials.open_dir(&self.name)
    }

    /// A staging area in it, new, sealed with the migration's key.
    pub fn area(&self, name: &str) -> Result<Arc<StagingArea>, StagingError> {
        let dir = self.dir()?;
        dir.create_dir(name)?;
        Ok(Arc::new(StagingArea::open(dir.open_dir(name)?, self.path.join(name), self.sealer.clone(), 0)?))
    }

    /// Where another part may have a file in it. It is the only thing in a migration's directory that may not be
    /// sealed, and is overwritten before it is removed.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes one of its areas, which nobody reads or writes any more.
    pub fn discard(&self, area: Arc<StagingArea>) -> Result<(), StagingError> {
        let name = area.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        drop(area);
        Ok(self.dir()?.remove_dir_all(name)?)
    }

    /// Keeps it until then, in seconds since 1970.
    pub fn keep_until(mut self, seconds: i64) -> Result<(), StagingError> {
        let mut file = self.dir()?.create(UNTIL)?.into_std();
        writeln!(file, "{seconds}")?;
        file.sync_all()?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Where this fails the next start tries again.
        if !self.kept
            && let Err(error) = remove(&self.trials, &self.name)
        {
            let error = StagingError::from(error);
            tracing::error!(code = "STAGING_FAILED", %error, "what was tried out could not be removed");
        }
    }
}

/// Overwrites what may not be sealed in a folder, and removes it. It is no promise: a file system or a disk may keep
/// older blocks.
fn remove(trials: &Dir, name: &str) -> io::Result<()> {
    let dir = trials.open_dir(name)?;
    for entry in dir.entries()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let mut file = dir.open_with(entry.file_name(), OpenOptions::new().write(true))?.into_std();
            let mut left = file.metadata()?.len();
            while left > 0 {
                let piece = left.min(PIECE as u64);
                file.write_all(&[0; PIECE][..piece as usize])?;
                left -= piece;
            }
            file.sync_data()?;
        }
    }
    trials.remove_dir_all(name)
}

/// Until when a folder is kept; none if nobody said.
fn kept_until(trials: &Dir, name: &str) -> Option<i64> {
    trials.open_dir(name).ok()?.read_to_string(UNTIL).ok()?.trim().parse().ok()
}

/// Removes the folders in a migration's directory that are such, by how long they are kept.
fn remove_such(home: &Dir, such: &dyn Fn(Option<i64>) -> bool) -> io::Result<()> {
    let trials = match home.open_dir(TRIALS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        trials => trials?,
    };
    for entry in trials.entries()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if such(kept_until(&trials, &name)) {
            remove(&trials, &name)?;
        }
    }
    Ok(())
}

/// Removes all that lies aside in a migration's directory.
pub(super) fn remove_all(home: &Dir) -> io::Result<()> {
    remove_such(home, &|_| true)
}

impl StagingArea {
    /// A new folder aside for this job.
    pub fn aside(&self, job: Uuid) -> Result<Aside, StagingError> {
        let name = job.to_string();
        self.dir.create_dir_all(TRIALS)?;
        let (trials, path) = (self.dir.open_dir(TRIALS)?, self.path.join(TRIALS).join(&name));
        trials.create_dir(&name)?;
        Ok(Aside { trials, name, path, sealer: self.sealer.clone(), kept: false })
    }

    /// The lines of a list that was kept in an area aside; none if it is kept no longer.
    pub fn lines_aside(&self, job: Uuid, area: &str, list: &str) -> Result<Option<Lines>, StagingError> {
        drop(self.read_inner()?);
        match self.dir.open_dir(format!("{TRIALS}/{job}/{area}")) {
            Ok(dir) => Lines::open(&dir, self.sealer.clone(), list),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes what was kept aside of this job, if it still is.
    pub fn discard_aside(&self, job: Uuid) -> Result<(), StagingError> {
        match self.dir.open_dir(TRIALS) {
            Ok(trials) if trials.exists(job.to_string()) => Ok(remove(&trials, &job.to_string())?),
            _ => Ok(()),
        }
    }
}

impl StagingRoot {
    /// Removes what is kept aside in all migrations' directories and is due, in seconds since 1970; when a server
    /// starts, also what nobody is there for any more.
    pub fn clear_aside(&self, now: i64, starting: bool) -> Result<(), StagingError> {
        for entry in self.migrations.entries()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let due = |until: Option<i64>| until.map_or(starting, |until| until <= now);
                remove_such(&entry.open_dir()?, &due)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    /// What is not kept goes, also what a killed server left; what is kept goes when it is due.
    #[test]
    fn nothing_stays_that_is_not_kept() {
        let held = tempfile::tempdir().unwrap();
        let keys = sluice_keys::Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap();
        let root = StagingRoot::open(held.path(), Arc::new(keys)).unwrap();
        let id = Uuid::new_v4();
        let area = root.area(id, 0).unwrap();
        let trials = held.path().join("migrations").join(id.to_string()).join(TRIALS);
        let names = || std::fs::read_dir(&trials).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let begin = || {
            let aside = area.aside(Uuid::new_v4()).unwrap();
            aside.area("staging").unwrap();
            std::fs::write(aside.file("plain"), "x".repeat(PIECE + 1)).unwrap();
            aside
        };
        let dropped = begin();
        assert_eq!(names().len(), 1);
        drop(dropped);
        assert!(names().is_empty());

        begin().keep_until(1_000).unwrap();
        let mut killed = begin();
        killed.kept = true;
        root.clear_aside(999, false).unwrap();
        assert_eq!(names().len(), 2, "somebody may be at work");
        root.clear_aside(999, true).unwrap();
        assert_eq!(names().len(), 1);
        root.clear_aside(1_000, false).unwrap();
        assert!(names().is_empty());

        let plain = begin().file("plain");
        std::fs::create_dir_all(plain.parent().unwrap()).unwrap();
        std::fs::write(&plain, "y").unwrap();
        let beside = std::fs::File::open(&plain).unwrap();
        remove_all(&Dir::open_ambient_dir(trials.parent().unwrap(), ambient_authority()).unwrap()).unwrap();
        assert!(!plain.exists());
        assert_eq!(io::read_to_string(beside).unwrap(), "\0", "overwritten");
    }
}
