//! The data directory, with a directory and a key for each migration. Only this module opens a directory by its path.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

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
    /// Maximum number of areas that stay open while nobody uses them.
    max_idle: usize,
    /// Areas by migration. It is locked for a moment only: opening an area locks the area's own slot.
    areas: Mutex<HashMap<Uuid, Arc<AreaSlot>>>,
}

/// Place of a migration's area.
struct AreaSlot(Mutex<AreaSlotState>);

/// State of a place.
struct AreaSlotState {
    /// The area, if it is open.
    area: Option<Arc<StagingArea>>,
    /// True once the migration was erased, so that a request that began before the erasure does not create the directory
    /// again.
    erased: bool,
    /// Time of the last use.
    used: Instant,
}

impl AreaSlot {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(AreaSlotState { area: None, erased: false, used: Instant::now() })))
    }

    fn state(&self) -> Result<MutexGuard<'_, AreaSlotState>, StagingError> {
        self.0.lock().map_err(|_| StagingError::Closed)
    }
}

impl AreaSlotState {
    /// Returns the area, if it is open. Fails if the migration was erased.
    fn opened(&mut self) -> Result<Option<Arc<StagingArea>>, StagingError> {
        if self.erased {
            return Err(StagingError::Erased);
        }
        self.used = Instant::now();
        Ok(self.area.clone())
    }

    /// Returns true if the place remembers nothing.
    fn is_vacant(&self) -> bool {
        self.area.is_none() && !self.erased
    }

    /// Returns true if the area is open and nobody has it.
    fn is_idle(&self) -> bool {
        self.area.as_ref().is_some_and(|area| Arc::strong_count(area) == 1)
    }
}

/// Returns the name of a migration's key.
pub fn key_name(migration: Uuid) -> String {
    format!("migration-{migration}")
}

impl StagingRoot {
    /// Opens the data directory. Creates it if it does not exist. At most `max_idle` areas stay open while nobody uses them.
    pub fn open(data_dir: &Path, keys: Arc<Keyring>, max_idle: usize) -> Result<Self, StagingError> {
        std::fs::create_dir_all(data_dir)?;
        let data = Dir::open_ambient_dir(data_dir, ambient_authority())?;
        data.create_dir_all("migrations")?;
        let path = data_dir.join("migrations");
        Ok(Self { migrations: data.open_dir("migrations")?, path, keys, max_idle, areas: Mutex::default() })
    }

    /// Returns the place of a migration's area.
    fn slot(&self, migration: Uuid) -> Result<Arc<AreaSlot>, StagingError> {
        let mut areas = self.areas.lock().map_err(|_| StagingError::Closed)?;
        Ok(areas.entry(migration).or_insert_with(AreaSlot::new).clone())
    }

    /// Returns the staging area of a migration, if it is open.
    pub fn opened(&self, migration: Uuid) -> Result<Option<Arc<StagingArea>>, StagingError> {
        self.slot(migration)?.state()?.opened()
    }

    /// Opens the staging area of a migration and creates it if it is new. `acknowledged` is the version that the area is
    /// known to have reached. Only callers of the same migration wait while it is opened.
    pub fn area(&self, migration: Uuid, acknowledged: u64) -> Result<Arc<StagingArea>, StagingError> {
        let slot = self.slot(migration)?;
        let mut state = slot.state()?;
        if let Some(area) = state.opened()? {
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
        state.area = Some(area.clone());
        drop(state);
        self.close_idle(Duration::MAX, self.max_idle)?;
        Ok(area)
    }

    /// Closes areas that nobody uses: those that were not used for this time, and the longest unused ones beyond a number.
    /// A closed area is opened again when it is needed. Returns the number of closed areas.
    pub fn close_idle(&self, unused: Duration, most: usize) -> Result<usize, StagingError> {
        let mut areas = self.areas.lock().map_err(|_| StagingError::Closed)?;
        let now = Instant::now();
        let mut idle: Vec<(Instant, Uuid)> = vec![];
        for (migration, slot) in &*areas {
            // A slot that is locked is in use.
            if let Ok(state) = slot.0.try_lock()
                && state.is_idle()
            {
                idle.push((state.used, *migration));
            }
        }
        idle.sort_unstable();
        let beyond = idle.len().saturating_sub(most);
        let (mut closed, mut checked) = (vec![], 0);
        for (used, migration) in idle {
            if checked >= beyond && now.duration_since(used) < unused {
                break;
            }
            checked += 1;
            if let Some(slot) = areas.get(&migration)
                && let Ok(mut state) = slot.0.try_lock()
                && state.is_idle()
            {
                closed.extend(state.area.take());
            }
        }
        areas.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.0.try_lock().is_ok_and(|state| !state.is_vacant()));
        drop(areas);
        Ok(closed.len())
    }

    /// Returns the number of bytes that a migration's directory takes on disk.
    pub fn bytes(&self, migration: Uuid) -> Result<u64, StagingError> {
        match if_exists(self.migrations.open_dir(migration.to_string()))? {
            Some(home) => Ok(bytes_below(&home)?),
            None => Ok(0),
        }
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
        let slot = self.slot(migration)?;
        let mut state = slot.state()?;
        state.erased = true;
        if let Some(area) = state.area.take() {
            area.close();
        }
        self.keys.destroy(&key_name(migration))?;
        // The remaining files are unreadable and may be large, so other requests do not wait for their removal.
        drop(state);
        // Only trial workspaces contain files that are not sealed. They are overwritten.
        let _ = self.migrations.open_dir(migration.to_string()).map(|home| trial_workspace::remove_all(&home));
        match self.migrations.remove_dir_all(migration.to_string()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Returns the number of bytes of all files below a directory. A file that disappears meanwhile does not count.
fn bytes_below(dir: &Dir) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in dir.entries()? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir() {
            true => entry.open_dir().map_or(Ok(0), |below| bytes_below(&below))?,
            false => metadata.len(),
        };
    }
    Ok(bytes)
}
