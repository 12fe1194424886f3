//! Application state: the parts of the server, and a migration's context.

mod async_app;
mod audit_author;
mod cells;
mod disk_probe;
mod plugin_registry;
pub(crate) mod purge;
mod startup;
mod tenant_disk;
mod tenant_permits;
#[cfg(test)]
mod test_worker;
mod upload_registry;

use std::path::PathBuf;
use std::sync::Arc;

use crate::access::Access;
use sluice_audit::{AuditEntry, AuditScope};
use sluice_catalog::{Catalog, GrantedTenants, Trail, TrailError};
use sluice_config::Config;
use sluice_metrics::Metrics;
use sluice_model::{Migration, StagingStatus, Tenant, TransitionRefusal};
use sluice_pipeline::jobs::{Jobs, StartError};
use sluice_pipeline::{ConnectedPlatform, MigrationContext, Platforms};
use sluice_plugin_host::{Usage, WorkerCommand};
use sluice_staging::{StagingArea, StagingError, StagingRoot};
use sluice_target::{EmbeddedTarget, TenantScope, TenantTarget};
use tenant_disk::TenantDisk;

use disk_probe::DiskProbe;

pub use async_app::{AsyncApp, spawn_blocking};
pub use audit_author::AuditAuthor;
pub use plugin_registry::{PluginPush, PluginRegistry, PushError, signed_text};
pub use tenant_permits::{TenantPermit, TenantPermits, TenantQuota, TenantWork};
pub use upload_registry::{LeaseRequest, UploadLease, UploadRegistry, UploadSlot, UploadStage};

/// Options to start a server with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Data directory.
    pub data_dir: PathBuf,
    /// Configuration.
    pub config: Config,
    /// Component files of mappers, beside the embedded mapper.
    pub mappers: Vec<PathBuf>,
    /// Command that starts plugin workers: this program.
    pub worker: WorkerCommand,
}

/// The server's application state. Its methods and most of its parts block the calling thread; asynchronous code uses an
/// [`AsyncApp`].
pub struct App {
    /// Configuration.
    pub config: Arc<Config>,
    /// Plugin registry.
    pub registry: PluginRegistry,
    /// Catalogue.
    pub store: Arc<Catalog>,
    /// Audit trail.
    pub trail: Arc<Trail>,
    /// Target that records are imported into. [`App::rows_of`] gives access to its rows.
    target: Arc<EmbeddedTarget>,
    /// Platforms with an API of their own. [`App::platform_of`] gives those of a tenant.
    platforms: Platforms,
    /// Authentication of clients.
    pub access: Access,
    /// Server metrics.
    pub metrics: Arc<Metrics>,
    /// Running jobs and uploads.
    pub jobs: Arc<Jobs>,
    /// Resumable uploads in use.
    pub uploads: UploadRegistry,
    /// Bytes that tenants take on disk.
    tenant_disk: TenantDisk,
    /// Permits for work of tenants.
    pub permits: Arc<TenantPermits>,
    staging: StagingRoot,
    disk: DiskProbe,
    /// Lock of the data directory. It keeps a second server away as long as this one lives.
    _lock: std::fs::File,
}

impl App {
    /// Appends an entry to the audit trail of a migration or of the server.
    pub fn audit(&self, scope: AuditScope, entry: AuditEntry) -> Result<(), TrailError> {
        self.trail.append(scope, &entry)
    }

    /// Returns a migration's staging area.
    ///
    /// Opening it checks that it holds everything that the catalogue recorded as durable. Then the catalogue records how
    /// much it holds, because a server that was killed could not do so.
    fn area(&self, migration: uuid::Uuid) -> Result<Arc<StagingArea>, StartError> {
        if let Some(area) = self.staging.opened(migration)? {
            return Ok(area);
        }
        let area = self.staging.area(migration, self.store.acknowledged(migration)?)?;
        if let Err(error) = self.store.acknowledge(migration, area.durable()?) {
            tracing::warn!(code = "CATALOGUE_FAILED", %migration, %error, "cannot record how much of staging is durable");
        }
        Ok(area)
    }

    /// Limits the journal of a migration that an upload begins to fill: it may take the rest of its tenant's quota.
    ///
    /// # Errors
    ///
    /// Fails if nothing is left of the quota.
    pub fn limit_disk(&self, migration: &Migration, area: &StagingArea) -> Result<(), StartError> {
        let all = self.tenant_disk.of_tenant(&migration.tenant, || {
            let ids = self.store.migrations_of(&migration.tenant)?;
            ids.into_iter().map(|id| Ok(self.staging.bytes(id)?)).sum::<Result<u64, StartError>>()
        })?;
        let left = self.config.tenant.disk_bytes.saturating_sub(all);
        if left == 0 {
            return Err(StagingError::QuotaReached.into());
        }
        area.set_max_bytes(area.bytes()?.saturating_add(left));
        Ok(())
    }

    /// Returns the platforms that the configuration grants to a tenant.
    pub fn platforms_of(&self, tenant: &Tenant) -> impl Iterator<Item = &Arc<ConnectedPlatform>> {
        let admits = |name: &str| self.config.platforms.get(name).is_some_and(|config| config.admits(tenant.as_str()));
        self.platforms.iter().filter(move |(name, _)| admits(name)).map(|(_, platform)| platform)
    }

    /// Returns the platform with this name, if the configuration grants it to the tenant.
    pub fn platform_of(&self, tenant: &Tenant, name: &str) -> Option<&Arc<ConnectedPlatform>> {
        self.platforms_of(tenant).find(|platform| platform.name == *name)
    }

    /// Returns the rows of the target that a tenant may see: its own, and those that an operator lets it refer to.
    pub fn rows_of(&self, tenant: &Tenant) -> Result<TenantTarget, StartError> {
        let GrantedTenants { lenders, borrowers } = self.store.granted_tenants(tenant)?;
        Ok(self.target.scoped(&TenantScope { tenant: tenant.clone(), lenders, borrowers })?)
    }

    /// Returns the dependencies of work on a migration.
    pub fn migration_context(&self, migration: Migration) -> Result<MigrationContext, StartError> {
        let purged = StartError::Refused(TransitionRefusal::Purged);
        if migration.status.staging == StagingStatus::Purged {
            return Err(purged);
        }
        let area = match self.area(migration.reference_id) {
            // Another request purged the migration after the caller read it.
            Err(StartError::Staging(StagingError::Erased)) => return Err(purged),
            area => area?,
        };
        Ok(MigrationContext {
            config: self.config.clone(),
            plugins: self.registry.plugins_of(&migration.tenant)?,
            approvals: Some(self.store.clone()),
            store: self.store.clone(),
            target: Arc::new(self.rows_of(&migration.tenant)?),
            platform: migration.target.as_deref().and_then(|name| self.platform_of(&migration.tenant, name)).cloned(),
            area,
            usage: Usage::default(),
            migration,
        })
    }

    /// Returns the resumable uploads whose bytes are on disk: migration's id and upload's id.
    pub fn unfinished_uploads(&self) -> Result<Vec<(uuid::Uuid, uuid::Uuid)>, StagingError> {
        self.staging.unfinished_uploads()
    }

    /// Returns an error code if the server cannot accept work.
    pub fn readiness(&self) -> Result<(), &'static str> {
        if self.jobs.is_stopping() {
            return Err("STOPPING");
        }
        self.store.check().map_err(|_| "CATALOGUE_FAILED")?;
        self.target.check().map_err(|_| "TARGET_FAILED")?;
        let (busy, most) = self.registry.workers();
        if busy >= most {
            return Err("WORKERS_BUSY");
        }
        if self.disk.is_writable(self.config.http.ready_free_bytes) { Ok(()) } else { Err("DISK_FULL") }
    }
}
