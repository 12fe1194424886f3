//! The one place that turns a path into authority: the data directory, and a directory for each migration.

use std::path::Path;
use std::sync::{Arc, Mutex};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use hashbrown::HashMap;
use uuid::Uuid;

use super::{StagingArea, StagingError};

/// The data directory. Whoever holds a migration's [`StagingArea`] cannot reach beyond it.
pub struct StagingRoot {
    migrations: Dir,
    open: Mutex<HashMap<Uuid, Arc<StagingArea>>>,
}

impl StagingRoot {
    /// Opens the data directory, and makes it if need be.
    pub fn open(data_dir: &Path) -> Result<Self, StagingError> {
        std::fs::create_dir_all(data_dir)?;
        let data = Dir::open_ambient_dir(data_dir, ambient_authority())?;
        data.create_dir_all("migrations")?;
        Ok(Self { migrations: data.open_dir("migrations")?, open: Mutex::default() })
    }

    /// The staging area of a migration, new or not.
    pub fn area(&self, migration: Uuid) -> Result<Arc<StagingArea>, StagingError> {
        let mut open = self.open.lock().map_err(|_| StagingError::Poisoned)?;
        if let Some(area) = open.get(&migration) {
            return Ok(area.clone());
        }
        let name = migration.to_string();
        self.migrations.create_dir_all(&name)?;
        let area = Arc::new(StagingArea::open(self.migrations.open_dir(&name)?)?);
        open.insert(migration, area.clone());
        Ok(area)
    }

    /// Removes a migration's directory and everything in it.
    pub fn remove(&self, migration: Uuid) -> Result<(), StagingError> {
        let mut open = self.open.lock().map_err(|_| StagingError::Poisoned)?;
        open.remove(&migration);
        match self.migrations.remove_dir_all(migration.to_string()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
