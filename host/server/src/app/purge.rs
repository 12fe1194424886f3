//! Purges migrations: on request, at the end of their retention, and after a kill.

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{App, AsyncApp, UploadStage};
use sluice_audit::{Action, AuditEntry, AuditScope};
use sluice_catalog::LogEntry;
use sluice_model::{Actor, ImportStatus, Level, TransitionRefusal};
use sluice_pipeline::jobs::StartError;
use sluice_staging::StagingError;

impl App {
    /// Purges a migration: erases its key, which makes every copy of its records unreadable, and then its directory. Its
    /// row, jobs, counts and uploads stay. Idempotent: a second call finishes a purge that failed.
    ///
    /// `confirm` runs when nothing else can change the migration any more. Its error stops the purge.
    pub fn purge<E: From<StartError>>(
        &self,
        migration: Uuid,
        now: Timestamp,
        entry: AuditEntry,
        confirm: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let _guard = match self.jobs.begin_exclusive(migration) {
            Err(StartError::Refused(TransitionRefusal::Purged)) => {
                return Ok(self.staging.erase(migration).map_err(StartError::from)?);
            }
            guard => guard?,
        };
        confirm()?;
        Ok(self.purge_alone(migration, now, entry)?)
    }

    /// Purges a migration that nothing else works on.
    fn purge_alone(&self, migration: Uuid, now: Timestamp, entry: AuditEntry) -> Result<(), StartError> {
        // Nothing is erased without an audit entry. The catalogue comes next: if the server is killed after that, the next
        // start finishes the purge.
        self.audit(AuditScope::Migration(migration), entry)?;
        self.store.purge(migration, now)?;
        self.uploads.forget_all(migration);
        self.staging.erase(migration)?;
        self.store.log(migration, &LogEntry::new(Level::Info, "MIGRATION_PURGED"))?;
        tracing::info!(code = "MIGRATION_PURGED", %migration);
        Ok(())
    }

    /// Erases the directories of purged migrations: those that a killed server left, and copies that were put back
    /// since.
    pub(super) fn finish_erasing(&self) -> Result<()> {
        Ok(self.store.purged_migrations()?.into_iter().try_for_each(|migration| self.staging.erase(migration))?)
    }

    /// Removes resumable uploads that were not changed for `upload.resumable_hours`.
    pub fn expire_uploads(&self, now: std::time::SystemTime) -> Result<(), StagingError> {
        let age = Duration::from_secs(self.config.upload.resumable_hours * 60 * 60);
        for (migration, upload) in self.staging.stale_uploads(now, age)? {
            let slot = self.uploads.slot(migration, upload);
            // A request is using the upload, or its bytes are complete and it waits for its turn.
            let Some(_lease) = slot.try_lease() else { continue };
            if matches!(*slot.stage.borrow(), UploadStage::Waiting | UploadStage::Running) {
                continue;
            }
            self.staging.remove_upload(migration, upload)?;
            self.uploads.forget(migration, upload);
            tracing::info!(code = "UPLOAD_EXPIRED", %migration, %upload);
        }
        Ok(())
    }

    /// Purges the migrations whose import is older than the retention, and returns their ids. A migration with a running
    /// job or upload waits for the next check.
    pub fn purge_expired(&self, now: Timestamp) -> Result<Vec<Uuid>> {
        let Some(days) = self.config.retention.days_after_import else { return Ok(vec![]) };
        let kept = SignedDuration::from_hours(24 * i64::from(days));
        let mut purged = vec![];
        for (migration, imported_at) in self.store.imported_migrations()? {
            if now.duration_since(imported_at) < kept {
                continue;
            }
            let _guard = match self.jobs.begin_exclusive(migration) {
                Ok(guard) => guard,
                Err(error) => {
                    tracing::info!(code = "RETENTION_WAITS", %migration, %error);
                    continue;
                }
            };
            // Nothing else can change the migration from here on. A change before this point is not imported yet.
            let found = self.store.migration(migration)?;
            if !found.is_some_and(|found| found.status.import == ImportStatus::Imported) {
                continue;
            }
            let due = AuditEntry::new(Actor::Server, Action::MigrationPurged);
            match self.purge_alone(migration, now, due) {
                Ok(()) => purged.push(migration),
                // The other migrations are due as well.
                Err(error) => tracing::error!(code = "RETENTION_FAILED", %migration, %error),
            }
        }
        Ok(purged)
    }
}

/// Closes, at each interval, the files of migrations that nobody uses.
pub(crate) async fn close_idle_areas(app: AsyncApp) {
    let limits = app.config().staging.clone();
    let unused = Duration::from_secs(limits.idle_seconds);
    let mut clock = tokio::time::interval(unused.max(Duration::from_secs(1)));
    loop {
        clock.tick().await;
        let closed = app.spawn_blocking(move |app| app.staging.close_idle(unused, limits.idle_migrations)).await;
        if !matches!(closed, Ok(Ok(_))) {
            tracing::error!(code = "STAGING_FAILED", "cannot close the files of unused migrations");
        }
    }
}

/// Purges, at each interval, the migrations, trials and uploads that are due.
pub(crate) async fn enforce_retention(app: AsyncApp) {
    let retention = &app.config().retention;
    let mut clock = tokio::time::interval(Duration::from_secs(retention.check_seconds.max(1)));
    loop {
        clock.tick().await;
        let check = app.spawn_blocking(|app| {
            let now = Timestamp::now();
            app.staging.remove_expired_trials(now.as_second(), false)?;
            app.expire_uploads(std::time::SystemTime::now())?;
            app.purge_expired(now)
        });
        match check.await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(code = "RETENTION_FAILED", %error, "cannot purge what is due"),
            Err(error) => tracing::error!(code = "HOST_PANICKED", %error, "cannot purge what is due"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::app::{Options, test_worker};
    use sluice_model::{DOMAINS, Job, JobKind, JobState, MigrationEvent, StagingStatus, Tenant};

    fn open(data_dir: &std::path::Path, days: Option<u32>) -> Arc<App> {
        let mut options =
            Options { data_dir: data_dir.to_owned(), worker: test_worker::command(), ..Options::default() };
        options.config.retention.days_after_import = days;
        App::open(&options).unwrap()
    }

    /// Makes a migration that the catalogue and its directory show as imported at this time.
    fn imported(app: &App, at: Timestamp) -> Uuid {
        let migration = app
            .store
            .register(uuid::Uuid::new_v4(), Tenant::default_tenant(), vec![&DOMAINS[0]], None, None, at)
            .unwrap();
        let id = migration.reference_id;
        app.migration_context(migration).unwrap();
        use MigrationEvent::*;
        for event in [Changed, ValidationStarts, ValidationPassed, ImportStarts, ImportFinished] {
            app.store.transition(id, event).unwrap();
        }
        let (kind, state, finished_at) = (JobKind::Import, JobState::Succeeded, Some(at));
        let job = Uuid::now_v7();
        let job = Job {
            id: job,
            migration: id,
            kind,
            domains: None,
            state,
            started_at: at,
            finished_at,
            done: 1,
            total: 1,
            result: None,
        };
        app.trail.begin_job(&job, CountsStart, &AuditEntry::new(Actor::Server, Action::JobStarted)).unwrap();
        id
    }

    /// A migration is purged if its import is old enough and it was not changed since, and only if retention is configured.
    #[test]
    fn purges_what_is_due() {
        let data = tempfile::tempdir().unwrap();
        let begin: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let day = |number: i64| begin + SignedDuration::from_hours(24 * number);
        let app = open(data.path(), None);
        let (due, later, touched, busy) =
            (imported(&app, begin), imported(&app, day(10)), imported(&app, begin), imported(&app, begin));
        app.store.transition(touched, MigrationEvent::Changed).unwrap();
        assert!(app.purge_expired(day(100_000)).unwrap().is_empty(), "no retention is configured");
        drop(app);

        let app = open(data.path(), Some(30));
        let directory = |id: Uuid| data.path().join("migrations").join(id.to_string());
        let key = |id: Uuid| data.path().join(format!("keys/migration-{id}.key"));
        let guard = app.jobs.begin_upload(busy, "a").unwrap();
        assert!(app.purge_expired(day(30) - SignedDuration::from_secs(1)).unwrap().is_empty());
        assert_eq!(app.purge_expired(day(30)).unwrap(), [due]);
        assert!(app.purge_expired(day(39)).unwrap().is_empty(), "once");
        drop(guard);
        assert_eq!(app.purge_expired(day(39)).unwrap(), [busy]);
        assert_eq!(app.purge_expired(day(40)).unwrap(), [later]);
        assert!(app.purge_expired(day(100_000)).unwrap().is_empty(), "a migration that changed since its import stays");
        for id in [due, later, busy] {
            assert!(!directory(id).exists() && !key(id).exists());
            let migration = app.store.migration(id).unwrap().unwrap();
            assert_eq!(migration.status.staging, StagingStatus::Purged);
            assert!(matches!(
                app.migration_context(migration).map(drop),
                Err(StartError::Refused(TransitionRefusal::Purged))
            ));
        }
        assert!(directory(touched).exists() && key(touched).exists());
        assert_eq!(app.store.migration(due).unwrap().unwrap().purged_at, Some(day(30)));
    }

    /// The next start finishes an interrupted purge, and erases a directory that was put back.
    #[test]
    fn finishes_an_interrupted_purge() {
        let data = tempfile::tempdir().unwrap();
        let app = open(data.path(), None);
        let id = imported(&app, Timestamp::UNIX_EPOCH);
        let directory = data.path().join("migrations").join(id.to_string());
        let key = data.path().join(format!("keys/migration-{id}.key"));
        let interruptions: [&dyn Fn(&App); 2] = [&|app| app.store.purge(id, Timestamp::UNIX_EPOCH).unwrap(), &|_| {
            std::fs::create_dir_all(directory.join("journal")).unwrap()
        }];
        let mut app = app;
        for interrupt in interruptions {
            interrupt(&app);
            assert!(directory.exists());
            drop(app);
            app = open(data.path(), None);
            assert!(!directory.exists() && !key.exists());
        }
        app.purge(id, Timestamp::UNIX_EPOCH, AuditEntry::new(Actor::Server, Action::MigrationPurged), || {
            Ok::<_, StartError>(())
        })
        .unwrap();
    }
}
