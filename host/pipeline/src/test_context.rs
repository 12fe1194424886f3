//! A server's parts for unit tests: a catalogue on disk, an empty target, and migrations without plugins.

use std::path::PathBuf;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use jiff::Timestamp;
use uuid::Uuid;

use crate::MigrationContext;
use crate::jobs::Jobs;
use sluice_catalog::{Catalog, Pagination, Trail};
use sluice_config::{Config, ImportLimits};
use sluice_keys::{Sealer, Signer};
use sluice_model::{DOMAINS, Tenant};
use sluice_plugin_host::{Engine, EngineOptions, Library, Plugins, Usage};
use sluice_staging::StagingArea;
use sluice_target::{EmbeddedTarget, TenantScope};

/// The parts of a server in a temporary directory.
pub(crate) struct TestServer {
    folder: tempfile::TempDir,
    /// The catalogue.
    pub store: Arc<Catalog>,
    /// The audit trail in the catalogue.
    pub trail: Arc<Trail>,
}

impl TestServer {
    /// Creates a server with an empty catalogue.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Catalog::open(&folder.path().join("catalogue.db")).unwrap());
        let trail = Arc::new(Trail::new(store.clone(), Signer::new(&[7; 32])));
        Self { folder, store, trail }
    }

    /// Returns the path of the catalogue.
    pub fn catalogue(&self) -> PathBuf {
        self.folder.path().join("catalogue.db")
    }

    /// Registers a migration of one domain, and returns its reference id.
    pub fn register(&self) -> Uuid {
        let (id, tenant) = (Uuid::new_v4(), Tenant::default_tenant());
        self.store.register(id, tenant, vec![&DOMAINS[0]], None, None, Timestamp::UNIX_EPOCH).unwrap().reference_id
    }

    /// Creates a registry of jobs on the catalogue.
    pub fn jobs(&self) -> Arc<Jobs> {
        Jobs::new(self.store.clone(), self.trail.clone(), Arc::default())
    }

    /// Returns the first page of a listing.
    pub fn page(&self) -> Pagination {
        Pagination { offset: 0, limit: 100 }
    }

    /// Creates the context of a migration with an empty staging area and without plugins.
    pub fn context(&self, migration: Uuid) -> MigrationContext {
        let path = self.folder.path().join(migration.to_string());
        let open = || {
            std::fs::create_dir_all(&path).unwrap();
            Dir::open_ambient_dir(&path, ambient_authority()).unwrap()
        };
        let engine = Engine::new(EngineOptions::default()).unwrap();
        let library = Arc::new(Library::new(engine, open()));
        let file = self.folder.path().join("platform.db");
        let target = Arc::new(EmbeddedTarget::open(&file, &ImportLimits::default(), &|_| None).unwrap());
        let migration = self.store.migration(migration).unwrap().unwrap();
        MigrationContext {
            config: Arc::new(Config::default()),
            plugins: Arc::new(Plugins::new(Tenant::default_tenant(), library, vec![], Default::default())),
            store: self.store.clone(),
            approvals: None,
            target: Arc::new(target.scoped(&TenantScope::of(migration.tenant.clone())).unwrap()),
            platform: None,
            migration,
            area: Arc::new(StagingArea::open(open(), path.clone(), Sealer::new(&[7; 32]), 0).unwrap()),
            usage: Usage::default(),
        }
    }
}
