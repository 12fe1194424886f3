//! The one place that turns a path into authority: the data directory, and a directory and key for each migration.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use hashbrown::HashMap;
use uuid::Uuid;

use super::area::JOURNAL;
use super::copy::Migrations;
use super::journal::{check_version, segment_names};
use super::received::{absent, sync_dir};
use super::{StagingArea, StagingError, aside};
use sluice_keys::{Keyring, Sealer};

/// The data directory. Whoever holds a migration's [`StagingArea`] cannot reach beyond it.
pub struct StagingRoot {
    pub(super) migrations: Dir,
    path: PathBuf,
    keys: Arc<Keyring>,
    /// None where a migration was erased: somebody who began before does not bring its directory back.
    open: Mutex<Open>,
}

type Open = HashMap<Uuid, Option<Arc<StagingArea>>>;

fn known(open: &Open, migration: Uuid) -> Result<Option<Arc<StagingArea>>, StagingError> {
    match open.get(&migration) {
        Some(None) => Err(StagingError::Erased),
        area => Ok(area.cloned().flatten()),
    }
}

/// Name of a migration's key.
pub fn key_name(migration: Uuid) -> String {
    format!("migration-{migration}")
}

impl StagingRoot {
    /// Opens the data directory, and makes it if need be.
    pub fn open(data_dir: &Path, keys: Arc<Keyring>) -> Result<Self, StagingError> {
        std::fs::create_dir_all(data_dir)?;
        let data = Dir::open_ambient_dir(data_dir, ambient_authority())?;
        data.create_dir_all("migrations")?;
        let path = data_dir.join("migrations");
        Ok(Self { migrations: data.open_dir("migrations")?, path, keys, open: Mutex::default() })
    }

    /// The staging area of a migration, if it is open.
    pub fn opened(&self, migration: Uuid) -> Result<Option<Arc<StagingArea>>, StagingError> {
        known(&*self.open.lock().map_err(|_| StagingError::Poisoned)?, migration)
    }

    /// The staging area of a migration, new or not, which is known to have reached the version `acknowledged`.
    pub fn area(&self, migration: Uuid, acknowledged: u64) -> Result<Arc<StagingArea>, StagingError> {
        let mut open = self.open.lock().map_err(|_| StagingError::Poisoned)?;
        if let Some(area) = known(&open, migration)? {
            return Ok(area);
        }
        let (name, key) = (migration.to_string(), key_name(migration));
        // A key is there before its directory, so a directory without a key has lost it: a new one would open
        // nothing, and hide that.
        let sealer = if self.migrations.try_exists(&name)? {
            self.check_version(migration)?;
            Sealer::new(&self.keys.find(&key)?.ok_or(StagingError::KeyGone)?)
        } else {
            let sealer = self.keys.sealer(&key)?;
            self.migrations.create_dir(&name)?;
            sync_dir(&self.migrations)?;
            sealer
        };
        let (dir, path) = (self.migrations.open_dir(&name)?, self.path.join(&name));
        let area = Arc::new(StagingArea::open(dir, path, sealer, acknowledged)?);
        open.insert(migration, Some(area.clone()));
        Ok(area)
    }

    /// Whether this version of Sluice can read a migration's journal, as its first block says.
    fn check_version(&self, migration: Uuid) -> Result<(), StagingError> {
        let Some(journal) = absent(self.migrations.open_dir(format!("{migration}/{JOURNAL}")))? else { return Ok(()) };
        let Some(first) = segment_names(&journal)?.into_iter().next() else { return Ok(()) };
        let file = journal.open(first)?.into_std();
        let size = file.metadata()?.len();
        check_version(&file, size)
    }

    /// Migrations whose journals another version of Sluice has written.
    pub fn of_other_versions(&self) -> Result<Vec<(Uuid, StagingError)>, StagingError> {
        let ids = Migrations::ids_in(&self.migrations)?;
        let other = |id| self.check_version(id).err().filter(|error| matches!(error, StagingError::Version { .. }));
        Ok(ids.into_iter().filter_map(|id| Some((id, other(id)?))).collect())
    }

    /// Destroys a migration's key, and then removes its directory; what is gone already is no mistake. The key
    /// goes first: from then on no copy of the directory can be read either, whatever happens next.
    pub fn erase(&self, migration: Uuid) -> Result<(), StagingError> {
        let mut open = self.open.lock().map_err(|_| StagingError::Poisoned)?;
        if let Some(Some(area)) = open.insert(migration, None) {
            area.close();
        }
        self.keys.destroy(&key_name(migration))?;
        // What is left is unreadable, and may be large: nobody has to wait for it.
        drop(open);
        // Only what lies aside is not sealed.
        let _ = self.migrations.open_dir(migration.to_string()).map(|home| aside::remove_all(&home));
        match self.migrations.remove_dir_all(migration.to_string()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
