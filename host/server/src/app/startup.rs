//! Opens a data directory: recovers from a kill, registers plugins, and makes the first client.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use jiff::Timestamp;

use super::tenant_disk::TenantDisk;
use super::{App, DiskProbe, Options, PluginRegistry, TenantPermits, UploadRegistry};
use crate::access::{Access, NewClient};
use sluice_audit::{Action, AuditEntry, AuditScope};
use sluice_catalog::{Catalog, LogEntry, Trail};
use sluice_config::Config;
use sluice_data_dir::{
    ADMIN_FILE, CATALOG_FILE, RESTORED_FILE, RESTORING_DIR, TARGET_FILE, lock_directory, make_private, open_keys,
};
use sluice_keys::Credentials;
use sluice_metrics::Metrics;
use sluice_model::{Actor, Grant, Level, Name, Permission, Tenant};
use sluice_pipeline::jobs::Jobs;
use sluice_plugin_host::{CodeCache, Engine, EngineOptions, Library};
use sluice_sqlite as sql;
use sluice_staging::StagingRoot;
use sluice_target::{EmbeddedTarget, IdRepair};

impl App {
    /// Opens the data directory, recovers from a kill of an earlier server, and compiles the plugins.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let data_dir = &options.data_dir;
        options.config.check().context("the configuration is not valid")?;
        let cannot_open = || format!("cannot open {}", data_dir.display());
        // The directory holds the records of every tenant. Only the server's user may read it.
        let changed = make_private(data_dir).with_context(cannot_open)?;
        if changed > 0 {
            tracing::warn!(code = "MODES_TIGHTENED", changed, "other users could read files of the data directory");
        }
        let lock = lock_directory(data_dir)?;
        if data_dir.join(RESTORING_DIR).exists() {
            anyhow::bail!(
                "a restore into {} did not finish: remove everything in it except its keys, and restore again",
                data_dir.display()
            );
        }
        let keys = Arc::new(open_keys(data_dir, &options.config)?);
        let staging = StagingRoot::open(data_dir, keys.clone(), options.config.staging.idle_migrations)
            .with_context(cannot_open)?;
        let config = Arc::new(options.config.clone());
        let sealer = keys.sealer("plugin-cache").context("cannot read the key of the plugin cache")?;
        let cache = CodeCache::new(plugin_directory(data_dir, "plugin-cache")?, sealer, config.worker.cache_bytes);
        let engine = Engine::new(EngineOptions {
            plugin: config.plugin.clone(),
            worker: config.worker.clone(),
            command: options.worker.clone(),
            cache: Some(cache),
            spare: true,
        })?;
        check_walls(&engine, &config)?;
        let library = Library::new(engine, plugin_directory(data_dir, "plugins")?);
        for file in [CATALOG_FILE, TARGET_FILE] {
            if let Some(damage) = sql::check_wal(&data_dir.join(file))? {
                anyhow::bail!("{file} cannot be used: {damage}");
            }
        }
        let store = Arc::new(Catalog::open(&data_dir.join(CATALOG_FILE))?);
        let registry = PluginRegistry::open(config.clone(), store.clone(), library, &options.mappers)?;
        let platforms = registry.platforms()?;
        for name in
            options.config.platforms.iter().filter(|(_, platform)| platform.tenants.is_empty()).map(|(name, _)| name)
        {
            tracing::warn!(
                code = "PLATFORM_WITHOUT_TENANT",
                platform = name,
                "the configuration grants a platform to no tenant"
            );
        }
        // Earlier versions stored rows without their tenant.
        let tenant_of = |migration| Some(store.migration(migration).ok()??.tenant);
        let target = EmbeddedTarget::open(&data_dir.join(TARGET_FILE), &options.config.import, &tenant_of)?;
        for plugin in registry.plugins_of(&Tenant::default_tenant())?.domains() {
            for entity_type in &plugin.description.entity_types {
                target.prepare(entity_type)?;
                report_ids(&entity_type.name, target.canonicalise_ids(entity_type)?);
            }
        }
        // Databases that were made just now have the modes of the process.
        make_private(data_dir).with_context(cannot_open)?;
        let metrics = Arc::new(Metrics::default());
        let signer = keys.signer("audit").context("cannot read the key of the audit trail")?;
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
            uploads: UploadRegistry::default(),
            tenant_disk: TenantDisk::default(),
            permits: TenantPermits::new(options.config.tenant.clone()),
            staging,
            disk: DiskProbe::new(data_dir),
            _lock: lock,
        });
        let digests = app.registry.embedded_digests();
        app.audit(AuditScope::Server, AuditEntry::new(Actor::Server, Action::ServerStarted).plugins(digests)).context(
            "are these the keys that this data directory was written with? A backup does not contain keys: put the \
             master key and the key directory back in their places",
        )?;
        app.audit_restore(data_dir)?;
        app.store.release_unanswered()?;
        app.recover()?;
        app.finish_erasing()?;
        for (migration, error) in app.staging.of_other_versions()? {
            tracing::error!(code = "STAGING_VERSION", %migration, %error, "cannot read a migration of another version");
        }
        // The server starts even if one directory cannot be read: the other migrations need it.
        if let Err(error) = app.staging.remove_expired_trials(Timestamp::now().as_second(), true) {
            tracing::error!(code = "STAGING_FAILED", %error, "cannot remove the trial workspaces of an earlier server");
        }
        Ok(app)
    }

    /// Adds an audit entry if the data directory was restored since the last start.
    fn audit_restore(&self, data_dir: &Path) -> Result<()> {
        let note = data_dir.join(RESTORED_FILE);
        if note.exists() {
            self.audit(AuditScope::Server, AuditEntry::new(Actor::Operator, Action::BackupRestored))?;
            std::fs::remove_file(&note)?;
        }
        Ok(())
    }

    /// Marks the jobs that a killed server left running as interrupted. Starting the same job continues it.
    fn recover(&self) -> Result<()> {
        for job in self.store.interrupt_jobs(Timestamp::now())? {
            let entry =
                AuditEntry::new(Actor::Server, Action::JobFoundInterrupted).job(job.id, job.kind).state(job.state);
            // The server starts even if the trail of one migration is broken: the other migrations need it.
            if let Err(error) = self.audit(AuditScope::Migration(job.migration), entry) {
                tracing::error!(code = "AUDIT_FAILED", job = %job.id, %error, "cannot audit an interrupted job");
            }
            let entry = LogEntry::new(Level::Warning, "JOB_INTERRUPTED").by(job.id).with("kind", job.kind.as_str());
            self.store.log(job.migration, &entry)?;
            tracing::warn!(code = "JOB_INTERRUPTED", migration = %job.migration, job = %job.id, "an earlier server did not finish a job");
        }
        // This reads the migrations' own statuses, because a server can be killed between changing a job and a migration.
        for (migration, event) in self.store.running_migrations()? {
            self.store.transition(migration, event)?;
        }
        Ok(())
    }

    /// Makes a first client with every permission if there are no clients, and writes its id and secret to a file that only
    /// the server's user can read. Returns false if there are clients.
    pub(crate) fn first_client(&self, data_dir: &Path) -> Result<bool> {
        if !self.store.clients()?.is_empty() {
            return Ok(false);
        }
        let new = NewClient {
            tenant: Some(Tenant::default_tenant()),
            label: None,
            permissions: vec![Permission::Migrate, Permission::Approve, Permission::Admin],
            domains: Grant::all_domains(),
            expires_at: None,
        };
        let (client, credentials) = new.make(Timestamp::now());
        // In this order, a crash between the two steps leaves a file that the next start replaces.
        write_secret(&data_dir.join(ADMIN_FILE), &credentials)?;
        self.store.add_client(&client)?;
        self.audit(AuditScope::Server, AuditEntry::new(Actor::Server, Action::ClientMade).client(&client.id))?;
        Ok(true)
    }
}

/// Logs which walls around plugin workers the kernel lacks. Fails if the configuration requires all.
fn check_walls(engine: &Engine, config: &Config) -> Result<()> {
    let walls = engine.walls()?;
    for (wall, reason) in &walls.missing {
        tracing::warn!(code = "WORKER_WALL_MISSING", wall, reason, "a wall around plugin workers cannot be raised");
    }
    let missing: Vec<&str> = walls.missing.iter().map(|(wall, _)| wall.as_str()).collect();
    if config.worker.require_walls && !missing.is_empty() {
        anyhow::bail!(
            "walls around plugin workers are missing: {}. Run the server on a kernel that has them, or set \
             worker.require_walls to false",
            missing.join(", ")
        );
    }
    tracing::info!(walls = walls.standing.join(" "), "plugins run in worker processes");
    Ok(())
}

/// Logs what the check of an older table has found.
fn report_ids(entity_type: &Name, IdRepair { rewritten, left }: IdRepair) {
    if rewritten > 0 {
        tracing::warn!(code = "IDS_REWRITTEN", %entity_type, rows = rewritten, "ids in the target were not in lower case");
    }
    if left > 0 {
        tracing::error!(
            code = "IDS_NOT_CANONICAL",
            %entity_type,
            rows = left,
            "rows of the target have the same id in another letter case: delete one of each two, and start again"
        );
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
