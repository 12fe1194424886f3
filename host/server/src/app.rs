//! The server: its parts, put together once, and its life from start to stop.

pub(crate) mod erasure;
mod registry;
mod uploads;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use jiff::Timestamp;

use crate::access::{Access, NewClient};
use sluice_audit::{Action, Entry, Scope};
use sluice_config::Config;
use sluice_data_dir::{
    ADMIN_FILE, CATALOGUE_FILE, RESTORED_FILE, RESTORING_DIR, TARGET_FILE, lock_directory, open_keys,
};
use sluice_keys::Credentials;
use sluice_metrics::Metrics;
use sluice_model::{Actor, Grant, Level, Migration, Permission, Refusal, StagingStatus, Tenant};
use sluice_pipeline::jobs::{Jobs, StartError};
use sluice_pipeline::{Desk, Platforms};
use sluice_plugin_host::{Engine, Library, Usage};
use sluice_sqlite as sql;
use sluice_staging::{StagingArea, StagingError, StagingRoot};

pub use registry::{PushError, Pushed, Registry, signed_text};
pub use uploads::{Held, Slot, Stage, Uploads, Wanted};

use sluice_catalog::{LogEntry, Store, Trail, TrailError};
use sluice_target::{EmbeddedTarget, Target};

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Limits.
    pub config: Config,
    /// Files of mappers beside the embedded one.
    pub mappers: Vec<PathBuf>,
}

/// Everything that a request may need.
pub struct App {
    /// Limits.
    pub config: Arc<Config>,
    /// This server's plugins.
    pub registry: Registry,
    /// The catalogue.
    pub store: Arc<Store>,
    /// Who did what.
    pub trail: Arc<Trail>,
    /// Where records are imported.
    pub target: Arc<dyn Target>,
    /// Platforms that are entered through their own API.
    pub platforms: Platforms,
    /// Who is let in.
    pub access: Access,
    /// What the server counts of itself.
    pub metrics: Arc<Metrics>,
    /// What is running.
    pub jobs: Arc<Jobs>,
    /// What comes in parts.
    pub uploads: Uploads,
    staging: StagingRoot,
    /// Held as long as the server lives: no second server on the same directory.
    _lock: std::fs::File,
}

impl App {
    /// Opens the data directory, recovers what a killed server left, and compiles the plugins.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let data_dir = &options.data_dir;
        options.config.check().context("the configuration cannot be kept to")?;
        let cannot_open = || format!("cannot open {}", data_dir.display());
        // Everybody's records are in it: it is for the server's user alone, unless somebody made it otherwise.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir).with_context(cannot_open)?;
        let lock = lock_directory(data_dir)?;
        if data_dir.join(RESTORING_DIR).exists() {
            anyhow::bail!(
                "a restore into {} was broken off: remove all of it but its keys, and restore again",
                data_dir.display()
            );
        }
        let keys = Arc::new(open_keys(data_dir, &options.config)?);
        let staging = StagingRoot::open(data_dir, keys.clone()).with_context(cannot_open)?;
        let cache = plugin_directory(data_dir, "plugin-cache")?;
        let engine = Engine::new(options.config.plugin.clone(), Some(cache))?;
        let library = Library::new(engine, plugin_directory(data_dir, "plugins")?);
        for file in [CATALOGUE_FILE, TARGET_FILE] {
            if let Some(damage) = sql::check_log(&data_dir.join(file))? {
                anyhow::bail!("{file} cannot be used: {damage}");
            }
        }
        let store = Arc::new(Store::open(&data_dir.join(CATALOGUE_FILE))?);
        let config = Arc::new(options.config.clone());
        let registry = Registry::open(config.clone(), store.clone(), library, &options.mappers)?;
        let platforms = registry.platforms()?;
        let target = EmbeddedTarget::open(&data_dir.join(TARGET_FILE), &options.config.import)?;
        for plugin in registry.of(&Tenant::only())?.domains() {
            plugin.description.entity_types.iter().try_for_each(|entity_type| target.prepare(entity_type))?;
        }
        let metrics = Arc::new(Metrics::default());
        let signer = keys.signer("audit").context("the audit trail's key cannot be had")?;
        let trail = Arc::new(Trail::new(store.clone(), signer));
        let app = Arc::new(Self {
            config,
            registry,
            store: store.clone(),
            target: Arc::new(target),
            platforms,
            access: Access::new(store.clone(), keys, &options.config.access),
            jobs: Jobs::new(store, trail.clone(), metrics.clone()),
            metrics,
            trail,
            uploads: Uploads::default(),
            staging,
            _lock: lock,
        });
        let digests = app.registry.digests();
        app.audit(Scope::Server, Entry::new(Actor::Server, Action::ServerStarted).plugins(digests)).context(
            "are these the keys that this data directory was written with? A backup holds none: put the master key and \
             the key directory in their places",
        )?;
        app.note_restored(data_dir)?;
        app.store.release_unanswered()?;
        app.recover()?;
        app.finish_erasing()?;
        for (migration, error) in app.staging.of_other_versions()? {
            tracing::error!(code = "STAGING_VERSION", %migration, %error, "a migration cannot be read");
        }
        // One directory that cannot be looked into is no reason to leave all others without a server.
        if let Err(error) = app.staging.clear_aside(Timestamp::now().as_second(), true) {
            tracing::error!(code = "STAGING_FAILED", %error, "what a stopped server left of trials could not be removed");
        }
        Ok(app)
    }

    /// Notes in the trail that the data directory was restored, if it was and nobody has.
    fn note_restored(&self, data_dir: &Path) -> Result<()> {
        let note = data_dir.join(RESTORED_FILE);
        if note.exists() {
            self.audit(Scope::Server, Entry::new(Actor::Operator, Action::BackupRestored))?;
            std::fs::remove_file(&note)?;
        }
        Ok(())
    }

    /// Marks jobs that a killed server left running as interrupted: starting the same job goes on from there.
    fn recover(&self) -> Result<()> {
        for job in self.store.interrupt_jobs(Timestamp::now())? {
            let found = Entry::new(Actor::Server, Action::JobFoundInterrupted).job(job.id, job.kind).state(job.state);
            // A migration whose trail is broken is no reason to leave all others without a server.
            if let Err(error) = self.audit(Scope::Migration(job.migration), found) {
                tracing::error!(code = "AUDIT_FAILED", job = %job.id, %error, "an interrupted job could not be audited");
            }
            let entry = LogEntry::new(Level::Warning, "JOB_INTERRUPTED").by(job.id).with("kind", job.kind.as_str());
            self.store.log(job.migration, &entry)?;
            tracing::warn!(code = "JOB_INTERRUPTED", migration = %job.migration, job = %job.id, "found a job that a stopped server left");
        }
        // By what migrations say of themselves, and not by the jobs: a server can be killed between the two.
        for (migration, event) in self.store.left_running()? {
            self.store.transition(migration, event)?;
        }
        Ok(())
    }

    /// Adds an entry to the audit trail of a migration, or of the server as a whole.
    pub fn audit(&self, scope: Scope, entry: Entry) -> Result<(), TrailError> {
        self.trail.append(scope, &entry)
    }

    /// A migration's staging area. When it is opened, it has to reach as far as was noted of it; and how far it does is
    /// noted, as a server that was killed had no time for that.
    fn area(&self, migration: uuid::Uuid) -> Result<Arc<StagingArea>, StartError> {
        if let Some(area) = self.staging.opened(migration)? {
            return Ok(area);
        }
        let area = self.staging.area(migration, self.store.acknowledged(migration)?)?;
        if let Err(error) = self.store.acknowledge(migration, area.durable()?) {
            tracing::warn!(code = "CATALOGUE_FAILED", %migration, %error, "how far staging reaches could not be noted");
        }
        Ok(area)
    }

    /// Everything that is needed to work on a migration.
    pub fn desk(&self, migration: Migration) -> Result<Desk, StartError> {
        let purged = StartError::Refused(Refusal::Purged);
        if migration.status.staging == StagingStatus::Purged {
            return Err(purged);
        }
        let area = match self.area(migration.reference_id) {
            // It was erased since the caller found it.
            Err(StartError::Staging(StagingError::Erased)) => return Err(purged),
            area => area?,
        };
        Ok(Desk {
            config: self.config.clone(),
            plugins: self.registry.of(&migration.tenant)?,
            approvals: Some(self.store.clone()),
            store: self.store.clone(),
            target: self.target.clone(),
            platform: migration.target.as_deref().and_then(|name| self.platforms.get(name)).cloned(),
            area,
            usage: Usage::default(),
            migration,
        })
    }

    /// Uploads whose bytes are still there, by migration.
    pub fn unfinished_uploads(&self) -> Result<Vec<(uuid::Uuid, uuid::Uuid)>, StagingError> {
        self.staging.unfinished_uploads()
    }

    /// Whether the server can take work; if not, the code of why.
    pub fn readiness(&self) -> Result<(), &'static str> {
        if self.jobs.is_stopping() {
            return Err("STOPPING");
        }
        self.store.check().map_err(|_| "CATALOGUE_FAILED")?;
        self.target.progress(uuid::Uuid::nil(), "").map(drop).map_err(|_| "TARGET_FAILED")
    }

    /// On a server without clients: makes one that may do everything, and leaves its id and secret in a file that
    /// only the server's user can read. `false` where there are clients already.
    pub(crate) fn first_client(&self, data_dir: &Path) -> Result<bool> {
        if !self.store.clients()?.is_empty() {
            return Ok(false);
        }
        let new = NewClient {
            tenant: Some(Tenant::only()),
            permissions: vec![Permission::Migrate, Permission::Approve, Permission::Admin],
            domains: Grant::every_domain(),
            expires_at: None,
        };
        let (client, credentials) = new.make(Timestamp::now());
        // In this order, a crash between the two leaves a file that the next start writes anew.
        write_secret(&data_dir.join(ADMIN_FILE), &credentials)?;
        self.store.add_client(&client)?;
        self.audit(Scope::Server, Entry::new(Actor::Server, Action::ClientMade).client(&client.id))?;
        Ok(true)
    }
}

fn write_secret(path: &Path, credentials: &Credentials) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    writeln!(file, "{}", credentials.reveal())?;
    Ok(file.sync_all()?)
}

fn plugin_directory(data_dir: &Path, name: &str) -> Result<Dir> {
    let path = data_dir.join(name);
    std::fs::create_dir_all(&path)?;
    Ok(Dir::open_ambient_dir(&path, cap_std::ambient_authority())?)
}
