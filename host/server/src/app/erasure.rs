//! Erasing migrations: when somebody asks for it, when their time has come, and what a killed server left half done.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{App, Stage};
use sluice_audit::{Action, Entry, Scope};
use sluice_catalog::LogEntry;
use sluice_model::{Actor, ImportStatus, Level, Refusal};
use sluice_pipeline::jobs::StartError;
use sluice_staging::StagingError;

impl App {
    /// Erases a migration's records: its key, which ends every copy of them, and then its directory. Its row, jobs,
    /// counts and uploads stay. Once more is as good as once, and finishes what failed half way.
    ///
    /// `sure` is asked when nobody else can change the migration any more.
    pub fn purge<E: From<StartError>>(
        &self,
        migration: Uuid,
        now: Timestamp,
        asked: Entry,
        sure: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let _guard = match self.jobs.begin_alone(migration) {
            Err(StartError::Refused(Refusal::Purged)) => {
                return Ok(self.staging.erase(migration).map_err(StartError::from)?);
            }
            guard => guard?,
        };
        sure()?;
        Ok(self.purge_alone(migration, now, asked)?)
    }

    /// The same, where nothing else works on the migration.
    fn purge_alone(&self, migration: Uuid, now: Timestamp, asked: Entry) -> Result<(), StartError> {
        // What is not noted is not done. Then the catalogue is told: where the server is killed from there on, the next
        // one finishes this.
        self.audit(Scope::Migration(migration), asked)?;
        self.store.purge(migration, now)?;
        self.uploads.forget_all(migration);
        self.staging.erase(migration)?;
        self.store.log(migration, &LogEntry::new(Level::Info, "MIGRATION_PURGED"))?;
        tracing::info!(code = "MIGRATION_PURGED", %migration);
        Ok(())
    }

    /// Erases what is left of migrations that were being purged when the server was killed, and of copies of their
    /// directories that somebody has put back since.
    pub(super) fn finish_erasing(&self) -> Result<()> {
        Ok(self.store.purged()?.into_iter().try_for_each(|migration| self.staging.erase(migration))?)
    }

    /// Removes uploads that were begun in parts and not touched for as long as they are kept.
    pub fn expire_uploads(&self, now: std::time::SystemTime) -> Result<(), StagingError> {
        let age = Duration::from_secs(self.config.upload.resumable_hours * 60 * 60);
        for (migration, upload) in self.staging.untouched_uploads(now, age)? {
            let slot = self.uploads.slot(migration, upload);
            // Somebody is at it after all, or all of it has come and waits for its turn.
            let Some(_held) = slot.try_hold() else { continue };
            if matches!(*slot.stage.borrow(), Stage::Waiting | Stage::Running) {
                continue;
            }
            self.staging.remove_upload(migration, upload)?;
            self.uploads.forget(migration, upload);
            tracing::info!(code = "UPLOAD_EXPIRED", %migration, %upload);
        }
        Ok(())
    }

    /// Purges migrations that were imported longer ago than they are to be kept; which they were. What is at work
    /// just now waits for the next time.
    pub fn purge_expired(&self, now: Timestamp) -> Result<Vec<Uuid>> {
        let Some(days) = self.config.retention.days_after_import else { return Ok(vec![]) };
        let kept = SignedDuration::from_hours(24 * i64::from(days));
        let mut purged = vec![];
        for (migration, imported_at) in self.store.imported()? {
            if now.duration_since(imported_at) < kept {
                continue;
            }
            let _guard = match self.jobs.begin_alone(migration) {
                Ok(guard) => guard,
                Err(error) => {
                    tracing::info!(code = "RETENTION_WAITS", %migration, %error);
                    continue;
                }
            };
            // From here on nobody can change it; until here somebody may have, and that is not imported yet.
            let found = self.store.migration(migration)?;
            if !found.is_some_and(|found| found.status.import == ImportStatus::Imported) {
                continue;
            }
            let due = Entry::new(Actor::Server, Action::MigrationPurged);
            match self.purge_alone(migration, now, due) {
                Ok(()) => purged.push(migration),
                // The others' time has come all the same.
                Err(error) => tracing::error!(code = "RETENTION_FAILED", %migration, %error),
            }
        }
        Ok(purged)
    }
}

/// Looks for migrations, and for trials that were kept, whose time has come, again and again.
pub(crate) async fn keep_to_retention(app: Arc<App>) {
    let retention = &app.config.retention;
    let mut clock = tokio::time::interval(Duration::from_secs(retention.check_seconds.max(1)));
    loop {
        clock.tick().await;
        let app = app.clone();
        let look = move || {
            let now = Timestamp::now();
            app.staging.clear_aside(now.as_second(), false)?;
            app.expire_uploads(std::time::SystemTime::now())?;
            app.purge_expired(now)
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(code = "RETENTION_FAILED", %error, "what is due could not be purged"),
            Err(error) => tracing::error!(code = "HOST_PANICKED", %error, "what is due could not be purged"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Options;
    use sluice_model::{DOMAINS, Event, Job, JobKind, JobState, StagingStatus, Tenant};

    fn open(data_dir: &std::path::Path, days: Option<u32>) -> Arc<App> {
        let mut options = Options { data_dir: data_dir.to_owned(), ..Options::default() };
        options.config.retention.days_after_import = days;
        App::open(&options).unwrap()
    }

    /// A migration that was imported then, as far as the catalogue and its directory tell.
    fn imported(app: &App, at: Timestamp) -> Uuid {
        let migration =
            app.store.register(uuid::Uuid::new_v4(), Tenant::only(), vec![&DOMAINS[0]], None, None, at).unwrap();
        let id = migration.reference_id;
        app.desk(migration).unwrap();
        use Event::*;
        for event in [Changed, ValidationStarts, ValidationPassed, ImportStarts, ImportFinished] {
            app.store.transition(id, event).unwrap();
        }
        let (kind, state, finished_at) = (JobKind::Import, JobState::Succeeded, Some(at));
        let job = Uuid::now_v7();
        let job =
            Job { id: job, migration: id, kind, state, started_at: at, finished_at, done: 1, total: 1, result: None };
        app.trail.begin_job(&job, CountsStart, &Entry::new(Actor::Server, Action::JobStarted)).unwrap();
        id
    }

    /// Purged is what was imported long enough ago and not touched since: nothing else, and nothing unasked.
    #[test]
    fn purges_what_is_due() {
        let held = tempfile::tempdir().unwrap();
        let begin: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let day = |number: i64| begin + SignedDuration::from_hours(24 * number);
        let app = open(held.path(), None);
        let (due, later, touched, busy) =
            (imported(&app, begin), imported(&app, day(10)), imported(&app, begin), imported(&app, begin));
        app.store.transition(touched, Event::Changed).unwrap();
        assert!(app.purge_expired(day(100_000)).unwrap().is_empty(), "nobody asked for it");
        drop(app);

        let app = open(held.path(), Some(30));
        let directory = |id: Uuid| held.path().join("migrations").join(id.to_string());
        let key = |id: Uuid| held.path().join(format!("keys/migration-{id}.key"));
        let guard = app.jobs.begin_upload(busy, "a").unwrap();
        assert!(app.purge_expired(day(30) - SignedDuration::from_secs(1)).unwrap().is_empty());
        assert_eq!(app.purge_expired(day(30)).unwrap(), [due]);
        assert!(app.purge_expired(day(39)).unwrap().is_empty(), "once");
        drop(guard);
        assert_eq!(app.purge_expired(day(39)).unwrap(), [busy]);
        assert_eq!(app.purge_expired(day(40)).unwrap(), [later]);
        assert!(app.purge_expired(day(100_000)).unwrap().is_empty(), "what is not imported as it stands");
        for id in [due, later, busy] {
            assert!(!directory(id).exists() && !key(id).exists());
            let migration = app.store.migration(id).unwrap().unwrap();
            assert_eq!(migration.status.staging, StagingStatus::Purged);
            assert!(matches!(app.desk(migration).map(drop), Err(StartError::Refused(Refusal::Purged))));
        }
        assert!(directory(touched).exists() && key(touched).exists());
        assert_eq!(app.store.migration(due).unwrap().unwrap().purged_at, Some(day(30)));
    }

    /// Wherever a purge is broken off, the next start finishes it; a directory that comes back goes again.
    #[test]
    fn finishes_what_was_broken_off() {
        let held = tempfile::tempdir().unwrap();
        let app = open(held.path(), None);
        let id = imported(&app, Timestamp::UNIX_EPOCH);
        let directory = held.path().join("migrations").join(id.to_string());
        let key = held.path().join(format!("keys/migration-{id}.key"));
        let break_offs: [&dyn Fn(&App); 2] = [&|app| app.store.purge(id, Timestamp::UNIX_EPOCH).unwrap(), &|_| {
            std::fs::create_dir_all(directory.join("journal")).unwrap()
        }];
        let mut app = app;
        for break_off in break_offs {
            break_off(&app);
            assert!(directory.exists());
            drop(app);
            app = open(held.path(), None);
            assert!(!directory.exists() && !key.exists());
        }
        app.purge(id, Timestamp::UNIX_EPOCH, Entry::new(Actor::Server, Action::MigrationPurged), || {
            Ok::<_, StartError>(())
        })
        .unwrap();
    }
}
