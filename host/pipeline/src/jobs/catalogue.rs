//! Reads and writes of the catalogue at the start and at the end of a job.

use std::sync::Arc;

use uuid::Uuid;

use sluice_audit::AuditEntry;
use sluice_catalog::{Catalog, CatalogError, JobEnd, JobError, Trail};
use sluice_model::{Digest, Job, JobKind, MigrationEvent, MigrationStatus};

/// The part of the catalogue that starts and ends jobs. Every method may wait for a disk.
pub(super) trait JobCatalogue: Send + Sync {
    /// Returns the status of a migration; none if it does not exist.
    fn status(&self, migration: Uuid) -> Result<Option<MigrationStatus>, CatalogError>;

    /// Returns the version of the staging area that passed validation, and the digest of the validators.
    fn validated(&self, migration: Uuid) -> Result<Option<(u64, Digest)>, CatalogError>;

    /// Saves the start of a job, the new status of its migration and the audit entry in one transaction.
    fn begin_job(&self, job: &Job, event: MigrationEvent, started: &AuditEntry) -> Result<(), JobError>;

    /// Saves the end of a job and all that follows from it in one transaction.
    fn end_job(&self, end: &JobEnd) -> Result<(), JobError>;

    /// Returns true if jobs of this kind are paused.
    fn is_paused(&self, migration: Uuid, kind: JobKind) -> Result<bool, CatalogError>;

    /// Saves the progress of running jobs: id, processed records and total.
    fn save_progress(&self, jobs: &[(Uuid, u64, u64)]) -> Result<(), CatalogError>;
}

/// The catalogue together with its audit trail.
pub(super) struct AuditedCatalogue {
    store: Arc<Catalog>,
    trail: Arc<Trail>,
}

impl AuditedCatalogue {
    /// Creates a catalogue whose writes are audited in `trail`.
    pub fn new(store: Arc<Catalog>, trail: Arc<Trail>) -> Self {
        Self { store, trail }
    }
}

impl JobCatalogue for AuditedCatalogue {
    fn status(&self, migration: Uuid) -> Result<Option<MigrationStatus>, CatalogError> {
        Ok(self.store.migration(migration)?.map(|migration| migration.status))
    }

    fn validated(&self, migration: Uuid) -> Result<Option<(u64, Digest)>, CatalogError> {
        self.store.validated(migration)
    }

    fn begin_job(&self, job: &Job, event: MigrationEvent, started: &AuditEntry) -> Result<(), JobError> {
        self.trail.begin_job(job, event, started)
    }

    fn end_job(&self, end: &JobEnd) -> Result<(), JobError> {
        self.trail.end_job(end)
    }

    fn is_paused(&self, migration: Uuid, kind: JobKind) -> Result<bool, CatalogError> {
        self.store.is_paused(migration, kind)
    }

    fn save_progress(&self, jobs: &[(Uuid, u64, u64)]) -> Result<(), CatalogError> {
        self.store.save_progress(jobs)
    }
}
