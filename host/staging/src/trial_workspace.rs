//! Trial workspaces: folders in a migration's directory in which a job tries something out. A workspace is removed with
//! the job, or when its retention time ends.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions};
use uuid::Uuid;

use crate::number::to_index;
use crate::sealed::lines::SealedLines;
use crate::{StagingArea, StagingError, StagingRoot};
use sluice_keys::Sealer;

/// Folder of all trial workspaces in a migration's directory. Each has the id of its job as its name.
pub const TRIALS: &str = "trials";

/// File with the time until which a workspace is kept, in seconds since 1970. A workspace without it belongs to a job that
/// is at work or was killed.
const UNTIL: &str = "keep-until";

/// Number of bytes that are overwritten at once.
const CHUNK: usize = 1 << 16;

/// A trial workspace. It is removed when it is dropped, unless it is kept.
pub struct TrialWorkspace {
    trials: Dir,
    name: String,
    path: PathBuf,
    sealer: Arc<Sealer>,
    kept: bool,
}

impl TrialWorkspace {
    fn dir(&self) -> io::Result<Dir> {
        self.trials.open_dir(&self.name)
    }

    /// Creates a staging area in the workspace, sealed with the migration's key.
    pub fn area(&self, name: &str) -> Result<Arc<StagingArea>, StagingError> {
        let dir = self.dir()?;
        dir.create_dir(name)?;
        Ok(Arc::new(StagingArea::open(dir.open_dir(name)?, self.path.join(name), self.sealer.clone(), 0)?))
    }

    /// Returns the path of a file that another part may create in the workspace. Only such files in a migration's
    /// directory may be unsealed. They are overwritten before they are removed.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes a staging area of the workspace. The area must not be in use.
    pub fn discard(&self, area: Arc<StagingArea>) -> Result<(), StagingError> {
        let name = area.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        drop(area);
        Ok(self.dir()?.remove_dir_all(name)?)
    }

    /// Keeps the workspace until a time, in seconds since 1970.
    pub fn keep_until(mut self, seconds: i64) -> Result<(), StagingError> {
        let mut file = self.dir()?.create(UNTIL)?.into_std();
        writeln!(file, "{seconds}")?;
        file.sync_all()?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for TrialWorkspace {
    fn drop(&mut self) {
        // If this fails, the next start of the server tries again.
        if !self.kept
            && let Err(error) = remove(&self.trials, &self.name)
        {
            let error = StagingError::from(error);
            tracing::error!(code = "STAGING_FAILED", %error, "what was tried out could not be removed");
        }
    }
}

/// Overwrites the files that may be unsealed in a workspace, and removes it. Overwriting is no guarantee: a file system or
/// a disk may keep older blocks.
fn remove(trials: &Dir, name: &str) -> io::Result<()> {
    let dir = trials.open_dir(name)?;
    for entry in dir.entries()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let mut file = dir.open_with(entry.file_name(), OpenOptions::new().write(true))?.into_std();
            let mut left = file.metadata()?.len();
            while left > 0 {
                let chunk = left.min(CHUNK as u64);
                file.write_all(&[0; CHUNK][..to_index(chunk)])?;
                left -= chunk;
            }
            file.sync_data()?;
        }
    }
    trials.remove_dir_all(name)
}

/// Returns the time until which a workspace is kept, if it is.
fn kept_until(trials: &Dir, name: &str) -> Option<i64> {
    trials.open_dir(name).ok()?.read_to_string(UNTIL).ok()?.trim().parse().ok()
}

/// Removes the workspaces in a migration's directory that `is_due` accepts by the time until which they are kept.
fn remove_due(home: &Dir, is_due: &dyn Fn(Option<i64>) -> bool) -> io::Result<()> {
    let trials = match home.open_dir(TRIALS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        trials => trials?,
    };
    for entry in trials.entries()? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_due(kept_until(&trials, &name)) {
            remove(&trials, &name)?;
        }
    }
    Ok(())
}

/// Removes all workspaces in a migration's directory.
pub(crate) fn remove_all(home: &Dir) -> io::Result<()> {
    remove_due(home, &|_| true)
}

impl StagingArea {
    /// Creates the trial workspace of a job.
    pub fn trial_workspace(&self, job: Uuid) -> Result<TrialWorkspace, StagingError> {
        let name = job.to_string();
        self.dir.create_dir_all(TRIALS)?;
        let (trials, path) = (self.dir.open_dir(TRIALS)?, self.path.join(TRIALS).join(&name));
        trials.create_dir(&name)?;
        Ok(TrialWorkspace { trials, name, path, sealer: self.sealer.clone(), kept: false })
    }

    /// Returns the lines of a list in an area of a kept workspace. Returns `None` if the workspace was removed.
    pub fn trial_lines(&self, job: Uuid, area: &str, list: &str) -> Result<Option<SealedLines>, StagingError> {
        drop(self.read_inner()?);
        match self.dir.open_dir(format!("{TRIALS}/{job}/{area}")) {
            Ok(dir) => SealedLines::open(&dir, self.sealer.clone(), list),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the kept workspace of a job, if it exists.
    pub fn discard_trial(&self, job: Uuid) -> Result<(), StagingError> {
        match self.dir.open_dir(TRIALS) {
            Ok(trials) if trials.exists(job.to_string()) => Ok(remove(&trials, &job.to_string())?),
            _ => Ok(()),
        }
    }
}

impl StagingRoot {
    /// Removes the workspaces of all migrations whose retention time ended before `now`, in seconds since 1970. When the
    /// server is `starting`, also removes workspaces of killed jobs.
    pub fn remove_expired_trials(&self, now: i64, starting: bool) -> Result<(), StagingError> {
        for entry in self.migrations.entries()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                let due = |until: Option<i64>| until.map_or(starting, |until| until <= now);
                remove_due(&entry.open_dir()?, &due)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    /// A dropped workspace is removed, a killed server's workspace at the next start, and a kept one when it is due.
    #[test]
    fn workspaces_are_removed() {
        let held = tempfile::tempdir().unwrap();
        let keys = sluice_keys::Keyring::open(&held.path().join("keys"), &held.path().join("master.key")).unwrap();
        let root = StagingRoot::open(held.path(), Arc::new(keys), 100).unwrap();
        let id = Uuid::new_v4();
        let area = root.area(id, 0).unwrap();
        let trials = held.path().join("migrations").join(id.to_string()).join(TRIALS);
        let names = || std::fs::read_dir(&trials).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        let begin = || {
            let workspace = area.trial_workspace(Uuid::new_v4()).unwrap();
            workspace.area("staging").unwrap();
            std::fs::write(workspace.file("plain"), "x".repeat(CHUNK + 1)).unwrap();

            workspace
        };
        let dropped = begin();
        assert_eq!(names().len(), 1);
        drop(dropped);
        assert!(names().is_empty());

        begin().keep_until(1_000).unwrap();
        let mut killed = begin();
        killed.kept = true;
        root.remove_expired_trials(999, false).unwrap();
        assert_eq!(names().len(), 2, "a job may be at work");
        root.remove_expired_trials(999, true).unwrap();
        assert_eq!(names().len(), 1);
        root.remove_expired_trials(1_000, false).unwrap();
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
