//! The server: its parts, put together once, and its life from start to stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use jiff::Timestamp;
use uuid::Uuid;

use crate::config::Config;
use crate::jobs::Jobs;
use crate::keys::Keyring;
use crate::model::{Event, JobKind, Level, Migration};
use crate::pipeline::Desk;
use crate::plugin::{Engine, Plugins};
use crate::staging::{StagingError, StagingRoot};
use crate::store::{LogEntry, Store};
use crate::target::{EmbeddedTarget, Target};

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
    pub plugins: Arc<Plugins>,
    /// The catalogue.
    pub store: Arc<Store>,
    /// Where records are imported.
    pub target: Arc<dyn Target>,
    /// Keys by purpose.
    pub keys: Arc<Keyring>,
    /// What is running.
    pub jobs: Arc<Jobs>,
    staging: StagingRoot,
    /// Held as long as the server lives: no second server on the same directory.
    _lock: std::fs::File,
}

/// Name of the embedded platform database in the data directory.
pub const TARGET_FILE: &str = "platform.db";

impl App {
    /// Opens the data directory, recovers what a killed server left, and compiles the plugins.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let data_dir = &options.data_dir;
        let staging = StagingRoot::open(data_dir).with_context(|| format!("cannot open {}", data_dir.display()))?;
        let lock = lock(data_dir)?;
        let places = &options.config.keys;
        let key_dir = places.directory.clone().unwrap_or_else(|| data_dir.join("keys"));
        let master_key = places.master_key_file.clone().unwrap_or_else(|| data_dir.join("master.key"));
        let keys = Arc::new(Keyring::open(&key_dir, &master_key).context("the server's keys cannot be had")?);
        let cache = plugin_cache(data_dir)?;
        let engine = Engine::new(options.config.plugin.clone(), Some(cache))?;
        let mut plugins = Plugins::embedded(&engine)?;
        for file in &options.mappers {
            let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            plugins.add_mapper(&file.display().to_string(), &bytes)?;
        }
        let target = EmbeddedTarget::open(&data_dir.join(TARGET_FILE), &options.config.import)?;
        for plugin in plugins.domains() {
            plugin.description.entity_types.iter().try_for_each(|entity_type| target.prepare(entity_type))?;
        }
        let store = Arc::new(Store::open(&data_dir.join("catalogue.db"))?);
        let app = Arc::new(Self {
            config: Arc::new(options.config.clone()),
            plugins: Arc::new(plugins),
            store: store.clone(),
            target: Arc::new(target),
            keys,
            jobs: Jobs::new(store),
            staging,
            _lock: lock,
        });
        app.recover()?;
        Ok(app)
    }

    /// Marks jobs that a killed server left running as interrupted: starting the same job goes on from there.
    fn recover(&self) -> Result<()> {
        for job in self.store.interrupt_jobs(Timestamp::now())? {
            let stopped = match job.kind {
                JobKind::Validate => Some(Event::ValidationStopped),
                JobKind::Import => Some(Event::ImportStopped),
                JobKind::Counts => None,
            };
            if let Some(event) = stopped {
                self.store.transition(job.migration, event)?;
            }
            let entry = LogEntry::new(Level::Warning, "JOB_INTERRUPTED").by(job.id).with("kind", job.kind.as_str());
            self.store.log(job.migration, &entry)?;
            tracing::warn!(code = "JOB_INTERRUPTED", migration = %job.migration, job = %job.id, "found a job that a stopped server left");
        }
        Ok(())
    }

    /// Everything that is needed to work on a migration.
    pub fn desk(&self, migration: Migration) -> Result<Desk, StagingError> {
        Ok(Desk {
            config: self.config.clone(),
            plugins: self.plugins.clone(),
            store: self.store.clone(),
            target: self.target.clone(),
            area: self.staging.area(migration.reference_id)?,
            migration,
        })
    }

    /// Removes a migration's directory.
    pub fn purge(&self, migration: Uuid) -> Result<(), StagingError> {
        self.staging.remove(migration)
    }
}

fn lock(data_dir: &Path) -> Result<std::fs::File> {
    let file = std::fs::File::create(data_dir.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            anyhow::bail!("another server is using {}: stop it, or use another --data-dir", data_dir.display())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

fn plugin_cache(data_dir: &Path) -> Result<Dir> {
    let path = data_dir.join("plugin-cache");
    std::fs::create_dir_all(&path)?;
    Ok(Dir::open_ambient_dir(&path, cap_std::ambient_authority())?)
}

/// Serves on `listener` until `shutdown`, and then until running requests and jobs have come to a stop.
pub async fn serve(
    listener: tokio::net::TcpListener,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let app = tokio::task::spawn_blocking(move || App::open(&options)).await??;
    let router = crate::http::router(app.clone());
    let jobs = app.clone();
    let stopping = async move {
        shutdown.await;
        jobs.jobs.stop();
    };
    crate::http::serve(listener, router, stopping).await?;
    app.jobs.wait().await;
    Ok(())
}
