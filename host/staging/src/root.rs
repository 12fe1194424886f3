//! The data directory, with a directory and a key for each migration. Only this module opens a directory by its path.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use hashbrown::HashMap;
use uuid::Uuid;

use crate::area::JOURNAL;
use crate::directory::snapshot::MigrationDirectories;
use crate::file_system::{if_exists, sync_dir};
use crate::journal::{check_version, segment_names};
use crate::{StagingArea, StagingError, trial_workspace};
use sluice_keys::{Keyring, Sealer};

/// The data directory. A migration's [`StagingArea`] gives no access to anything outside its directory.
pub struct StagingRoot {
    /// Directory of the migrations.
    pub(crate) migrations: Dir,
    path: PathBuf,
    keys: Arc<Keyring>,
    open: Mutex<OpenAreas>,
}

/// Open areas by migration. `None` if the migration was erased, so that a request that began before the erasure does not
/// create the directory again.
type OpenAreas = HashMap<Uuid, Option<Arc<StagingArea>>>;

/// Returns the area of a migration, if it is open. Fails if the migration was erased.
fn open_area(open: &OpenAreas, migration: Uuid) -> Result<Option<Arc<StagingArea>>, StagingError> {
    match open.get(&migration) {
        Some(None) => Err(StagingError::Erased),
        area => Ok(area.cloned().flatten()),
    }
}

/// Returns the name of a migration's key.
pub fn key_name(migration: Uuid) -> String {
    format!("migration-{migration}")
}

impl StagingRoot {
    /// Opens the data directory. Creates it if it does not exist.
    pub fn open(data_dir: &Path, keys: Arc<Keyring>) -> Result<Self, StagingError> {
        std::fs::create_dir_all(data_dir)?;
        let data = Dir::open_ambient_dir(data_dir, ambient_authority())?;
        data.create_dir_all("migrations")?;
        let path = data_dir.join("migrations");
        Ok(Self { migrations: data.open_dir("migrations")?, path, keys, open: Mutex::default() })
    }

    /// Returns the staging area of a migration, if it is open.
    pub fn opened(&self, migration: Uuid) -> Result<Option<Arc<StagingArea>>, StagingError> {
        open_area(&*self.open.lock().map_err(|_| StagingError::Closed)?, migration)
    }

    /// Opens the staging area of a migration and creates it if it is new. `acknowledged` is the version that the area is
    /// known to have reached.
    pub fn area(&self, migration: Uuid, acknowledged: u64) -> Result<Arc<StagingArea>, StagingError> {
        let mut open = self.open.lock().map_err(|_| StagingError::Closed)?;
        if let Some(area) = open_area(&open, migration)? {
            return Ok(area);
        }
        let (name, key) = (migration.to_string(), key_name(migration));
        // The key is created before the directory, so the key of a directory without one is lost. A new key would open
        // nothing, and hide the loss.
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

    /// Fails if the first block says that another version of Sluice wrote a migration's journal.
    fn check_version(&self, migration: Uuid) -> Result<(), StagingError> {
        let Some(journal) = if_exists(self.migrations.open_dir(format!("{migration}/{JOURNAL}")))? else {
            return Ok(());
        };
        let Some(first) = segment_names(&journal)?.into_iter().next() else { return Ok(()) };
        let file = journal.open(first)?.into_std();
        let size = file.metadata()?.len();
        check_version(&file, size)
    }

    /// Returns the migrations whose journals another version of Sluice has written.
    pub fn of_other_versions(&self) -> Result<Vec<(Uuid, StagingError)>, StagingError> {
        let ids = MigrationDirectories::ids_in(&self.migrations)?;
        let other = |id| self.check_version(id).err().filter(|error| matches!(error, StagingError::Version { .. }));
        Ok(ids.into_iter().filter_map(|id| Some((id, other(id)?))).collect())
    }

    /// Destroys a migration's key and then removes its directory. Idempotent. After the first step no copy of the
    /// directory can be read, even if the second one fails.
    pub fn erase(&self, migration: Uuid) -> Result<(), StagingError> {
        let mut open = self.open.lock().map_err(|_| StagingError::Closed)?;
        if let Some(Some(area)) = open.insert(migration, None) {
            area.close();
        }
        self.keys.destroy(&key_name(migration))?;
        // The remaining files are unreadable and may be large, so other requests do not wait for their removal.
        drop(open);
        // Only trial workspaces contain files that are not sealed. They are overwritten.
        let _ = self.migrations.open_dir(migration.to_string()).map(|home| trial_workspace::remove_all(&home));
        match self.migrations.remove_dir_all(migration.to_string()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
