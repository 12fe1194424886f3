//! The data directory of a server, for verbs that work without the server or beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use sluice_audit::{Action, AuditEntry, AuditScope};
use sluice_catalog::{Catalog, Trail};
use sluice_config::Config;
use sluice_data_dir::{CATALOG_FILE, create_private_files, key_locations, make_private, open_keys};
use sluice_keys::{Keyring, Signer};
use sluice_model::Actor;

/// Options that name a server's data directory. The server may be running.
#[derive(Args)]
pub struct DataDirArgs {
    /// The server's data directory
    #[arg(long, value_name = "DIR", default_value = "./sluice-data", env = "SLUICE_DATA_DIR")]
    data_dir: PathBuf,
    /// The server's configuration file (TOML), if it has one
    #[arg(long, value_name = "FILE", env = "SLUICE_CONFIG")]
    config: Option<PathBuf>,
}

impl DataDirArgs {
    /// Reads the server's configuration.
    pub fn config(&self) -> Result<Config> {
        Ok(self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default())
    }

    /// Opens the catalogue, and creates it if there is none.
    pub fn store(&self) -> Result<Catalog> {
        let cannot_use = || format!("cannot use {} as a data directory", self.data_dir.display());
        // The command may run before the first start of the server.
        create_private_files();
        make_private(&self.data_dir).with_context(cannot_use)?;
        Catalog::open(&self.data_dir.join(CATALOG_FILE)).with_context(cannot_use)
    }

    /// Returns the path of the data directory.
    pub fn path(&self) -> &Path {
        &self.data_dir
    }

    /// Returns the key directory and the file of the master key.
    pub fn key_locations(&self) -> Result<(PathBuf, PathBuf)> {
        Ok(key_locations(&self.data_dir, &self.config()?))
    }

    /// Opens the server's keys, and creates them if there are none.
    pub fn open_keys(&self) -> Result<Keyring> {
        Ok(open_keys(&self.data_dir, &self.config()?)?)
    }

    /// Opens the server's keys. Returns none if there are none.
    pub fn existing_keys(&self) -> Result<Option<Keyring>> {
        let (directory, master_key) = self.key_locations()?;
        Keyring::open_existing(&directory, &master_key).context("the server's keys cannot be read")
    }

    /// Appends an entry to the server's audit trail and returns the key that signs the trail. `complete` adds to the entry.
    ///
    /// Call it before the action. So an action that cannot be audited is not done, and no secret is in force that was
    /// never shown.
    pub fn audit(&self, action: Action, complete: impl FnOnce(AuditEntry) -> AuditEntry) -> Result<Signer> {
        let signer = || Ok::<_, anyhow::Error>(self.open_keys()?.signer("audit")?);
        let trail = Trail::new(self.store()?.into(), signer()?);
        trail.append(AuditScope::Server, &complete(AuditEntry::new(Actor::Operator, action))).context(
            "nothing was changed: are these the server's keys? If it has a configuration, name it (--config)",
        )?;
        signer()
    }
}
