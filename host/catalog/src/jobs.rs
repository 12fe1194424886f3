//! Stored jobs.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::migrations::{acknowledge, step, validate};
use super::{Catalog, CatalogError, LogEntry, Pagination, Trail, TrailError, TransitionError, logs};
use sluice_audit::{AuditEntry, AuditScope};
use sluice_model::{Digest, Domain, Grant, Job, JobKind, JobState, Migration, MigrationEvent, SafeReport};

/// An error of storing the beginning or the end of a job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The status of the migration does not permit the job.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The entry cannot be appended to the audit trail.
    #[error(transparent)]
    Trail(#[from] TrailError),
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        Self::Transition(error.into())
    }
}

/// The end of a job and its consequences.
#[derive(Debug)]
pub struct JobEnd {
    /// The job in its final state.
    pub job: Job,
    /// Event for the status of the migration.
    pub event: Option<MigrationEvent>,
    /// Version of the staging area that passed validation, and the digest of its validators.
    pub validated: Option<(u64, Digest)>,
    /// Version of the staging area that is durable.
    pub acknowledged: u64,
    /// Entry for the audit trail.
    pub audited: AuditEntry,
    /// Entry for the migration's log.
    pub logged: LogEntry,
}

const COLUMNS: &str = "id, migration, kind, state, started_at, finished_at, done, total, result, domains";

/// Condition for a row of `jobs`: the job works on no other domains than those of the JSON list `?2`.
pub(super) const SEEN_JOB: &str = "(domains IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM json_each('[\"' || replace(domains, ',', '\",\"') || '\"]') AS own
    WHERE own.value NOT IN (SELECT value FROM json_each(?2))))";

/// Returns the names of domains in the API.
pub(super) fn component_names(domains: &[&'static Domain]) -> Vec<&'static str> {
    domains.iter().map(|domain| domain.component).collect()
}

/// Returns the JSON list of the domains to which a grant restricts the view of a migration. `None` is no restriction.
pub(super) fn granted_names(grant: &Grant, migration: &Migration) -> Option<String> {
    grant.restricted_to(migration).map(|domains| serde_json::json!(component_names(&domains)).to_string())
}

fn job(row: &Row) -> rusqlite::Result<Job> {
    let text = |index: usize| row.get::<_, String>(index);
    let bad = |index: usize| rusqlite::Error::InvalidColumnType(index, String::new(), rusqlite::types::Type::Text);
    let finished: Option<String> = row.get(5)?;
    let (result, domains): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
    let domains = domains.map(|names| names.split(',').map(Domain::by_component).collect::<Option<Vec<_>>>());
    Ok(Job {
        id: text(0)?.parse().map_err(|_| bad(0))?,
        migration: text(1)?.parse().map_err(|_| bad(1))?,
        kind: JobKind::parse(&text(2)?).ok_or_else(|| bad(2))?,
        state: JobState::parse(&text(3)?).ok_or_else(|| bad(3))?,
        started_at: text(4)?.parse().map_err(|_| bad(4))?,
        finished_at: finished.and_then(|at| at.parse().ok()),
        done: row.get(6)?,
        total: row.get(7)?,
        result: result.and_then(|result| serde_json::from_str(&result).ok()).map(SafeReport::from_storage),
        domains: domains.map(|domains| domains.ok_or_else(|| bad(9))).transpose()?,
    })
}

fn put(connection: &Connection, job: &Job) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO jobs (id, migration, kind, state, started_at, finished_at, done, total, result, domains)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, finished_at = excluded.finished_at,
             done = excluded.done, total = excluded.total, result = excluded.result",
        params![
            job.id.to_string(),
            job.migration.to_string(),
            job.kind.as_str(),
            job.state.as_str(),
            job.started_at.to_string(),
            job.finished_at.map(|at| at.to_string()),
            job.done,
            job.total,
            job.result.as_ref().map(ToString::to_string),
            job.domains.as_ref().map(|domains| component_names(domains).join(",")),
        ],
    )
}

fn pause(connection: &Connection, migration: Uuid, kind: JobKind, paused: bool) -> rusqlite::Result<usize> {
    let statement = if paused {
        "INSERT OR IGNORE INTO paused_jobs (migration, kind) VALUES (?, ?)"
    } else {
        "DELETE FROM paused_jobs WHERE migration = ? AND kind = ?"
    };
    connection.execute(statement, params![migration.to_string(), kind.as_str()])
}

impl Trail {
    /// Stores the beginning of a job, the event for its migration and the audit entry in one transaction. So a full
    /// disk cannot leave a running status without a job.
    pub fn begin_job(&self, job: &Job, event: MigrationEvent, started: &AuditEntry) -> Result<(), JobError> {
        self.append_with(AuditScope::Migration(job.migration), started, |transaction| {
            step(transaction, job.migration, event)?;
            put(transaction, job).map_err(CatalogError::from)?;
            let started_by = "UPDATE jobs SET client = ? WHERE id = ?";
            let client = params![started.actor_client(), job.id.to_string()];
            transaction.execute(started_by, client).map_err(CatalogError::from)?;
            Ok(())
        })
    }

    /// Stores the end of a job and its consequences in one transaction. If it fails, the caller can try again.
    pub fn end_job(&self, end: &JobEnd) -> Result<(), JobError> {
        let migration = end.job.migration;
        self.append_with(AuditScope::Migration(migration), &end.audited, |transaction| {
            if let Some(event) = end.event {
                step(transaction, migration, event)?;
            }
            let store = || {
                if let Some((version, validators)) = end.validated {
                    validate(transaction, migration, version, validators)?;
                }
                acknowledge(transaction, migration, end.acknowledged)?;
                put(transaction, &end.job)?;
                // An interrupted job is started again, and then still paused.
                if end.job.state != JobState::Interrupted {
                    pause(transaction, migration, end.job.kind, false)?;
                }
                logs::log(transaction, migration, &end.logged)
            };
            store().map_err(CatalogError::from)?;
            Ok::<_, JobError>(())
        })?;
        self.catalog().log_changes.send_replace(());
        Ok(())
    }
}

impl Catalog {
    /// Returns the id of the client that started the last validation that passed, or the last import that reached its end.
    /// None if there was none, or an earlier version started it.
    pub fn last_client(&self, migration: Uuid, kind: JobKind) -> Result<Option<String>, CatalogError> {
        let states = if kind == JobKind::Validate { "('succeeded')" } else { "('succeeded', 'failed')" };
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT client FROM jobs WHERE migration = ? AND kind = ? AND state IN {states}
             AND coalesce(result ->> '$.preview', 0) = 0 ORDER BY number DESC LIMIT 1"
        ))?;
        let client = query.query_row([&migration.to_string(), kind.as_str()], |row| row.get(0)).optional()?;
        Ok(client.flatten())
    }

    /// Returns a job of a migration.
    pub fn job(&self, migration: Uuid, id: Uuid) -> Result<Option<Job>, CatalogError> {
        Ok(self
            .lock()
            .query_row(
                &format!("SELECT {COLUMNS} FROM jobs WHERE id = ? AND migration = ?"),
                [id.to_string(), migration.to_string()],
                job,
            )
            .optional()?)
    }

    /// Returns jobs of a migration that the grant lets a client see, newest first, and their total number.
    pub fn jobs(
        &self,
        migration: &Migration,
        grant: &Grant,
        page: Pagination,
    ) -> Result<(Vec<Job>, u64), CatalogError> {
        let connection = self.lock();
        let (id, granted) = (migration.reference_id.to_string(), granted_names(grant, migration));
        let seen = format!("migration = ?1 AND (?2 IS NULL OR {SEEN_JOB})");
        let mut query = connection
            .prepare(&format!("SELECT {COLUMNS} FROM jobs WHERE {seen} ORDER BY number DESC LIMIT ?3 OFFSET ?4"))?;
        let items =
            query.query_map(params![id, granted, page.limit, page.offset], job)?.collect::<rusqlite::Result<_>>()?;
        let total =
            connection.query_row(&format!("SELECT count(*) FROM jobs WHERE {seen}"), params![id, granted], |row| {
                row.get(0)
            })?;
        Ok((items, total))
    }

    /// Returns the ids of a migration's jobs of one kind.
    pub fn jobs_of_kind(&self, migration: Uuid, kind: JobKind) -> Result<Vec<Uuid>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT id FROM jobs WHERE migration = ? AND kind = ?")?;
        let ids = query.query_map([migration.to_string(), kind.as_str().into()], |row| row.get::<_, String>(0))?;
        Ok(ids.collect::<rusqlite::Result<Vec<String>>>()?.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Returns the last counts job of a migration that has a result.
    pub fn last_counts(&self, migration: Uuid) -> Result<Option<Job>, CatalogError> {
        Ok(self
            .lock()
            .query_row(
                &format!(
                    "SELECT {COLUMNS} FROM jobs WHERE migration = ? AND kind = 'counts'
                     AND state IN ('succeeded', 'failed') AND json_type(result) = 'array' ORDER BY number DESC LIMIT 1"
                ),
                [migration.to_string()],
                job,
            )
            .optional()?)
    }

    /// Returns the jobs that have removed imported records, oldest first.
    pub fn removal_jobs(&self, migration: Uuid) -> Result<Vec<Job>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM jobs WHERE migration = ? AND kind IN ('import', 'undo')
             AND json_type(result, '$.removed') = 'object' AND result -> '$.removed' <> '{{}}' ORDER BY number"
        ))?;
        Ok(query.query_map([migration.to_string()], job)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Stores that jobs of this kind are paused, or not any more. A pause outlives the server.
    pub fn set_paused(&self, migration: Uuid, kind: JobKind, paused: bool) -> Result<(), CatalogError> {
        pause(&self.lock(), migration, kind, paused)?;
        Ok(())
    }

    /// Returns true if jobs of this kind are paused.
    pub fn is_paused(&self, migration: Uuid, kind: JobKind) -> Result<bool, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT 1 FROM paused_jobs WHERE migration = ? AND kind = ?")?;
        Ok(query.exists(params![migration.to_string(), kind.as_str()])?)
    }

    /// Stores the progress of running jobs: id, processed records and total. A server that is killed shows it later.
    pub fn save_progress(&self, jobs: &[(Uuid, u64, u64)]) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for (id, done, total) in jobs {
            let update = "UPDATE jobs SET done = ?, total = ? WHERE id = ? AND state = 'running'";
            transaction.prepare_cached(update)?.execute(params![done, total, id.to_string()])?;
        }
        Ok(transaction.commit()?)
    }

    /// Marks the jobs that a stopped server left running as interrupted, and returns them.
    pub fn interrupt_jobs(&self, now: Timestamp) -> Result<Vec<Job>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare(&format!(
            "UPDATE jobs SET state = 'interrupted', finished_at = ? WHERE state = 'running' RETURNING {COLUMNS}"
        ))?;
        Ok(query.query_map([now.to_string()], job)?.collect::<rusqlite::Result<_>>()?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use sluice_audit::Action;
    use sluice_keys::Signer;
    use sluice_model::{Actor, DOMAINS, Tenant};

    /// Returns a job of the whole migration that has just begun.
    fn running(id: Uuid, migration: Uuid, kind: JobKind) -> Job {
        let (state, started_at) = (JobState::Running, Timestamp::UNIX_EPOCH);
        let (done, total) = (0, 0);
        Job { id, migration, kind, domains: None, state, started_at, finished_at: None, done, total, result: None }
    }

    /// A job that cannot be stored has not begun: the status of its migration is unchanged, and the trail has no entry.
    #[test]
    fn begins_atomically() {
        let temp_dir = tempfile::tempdir().unwrap();
        let catalog = Arc::new(Catalog::open(&temp_dir.path().join("catalogue.db")).unwrap());
        let trail = Trail::new(catalog.clone(), Signer::new(&[7; 32]));
        let now = Timestamp::UNIX_EPOCH;
        let migration = catalog
            .register(uuid::Uuid::new_v4(), Tenant::default_tenant(), vec![&DOMAINS[0]], None, None, now)
            .unwrap()
            .reference_id;
        catalog.transition(migration, MigrationEvent::Changed).unwrap();
        let status = || catalog.migration(migration).unwrap().unwrap().status;
        let before = status();
        let (id, kind) = (Uuid::now_v7(), JobKind::Validate);
        let job = running(id, migration, kind);
        let started = AuditEntry::new(Actor::Server, Action::JobStarted).job(id, kind);
        let refusal = "CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END";
        catalog.lock().execute_batch(refusal).unwrap();
        assert!(trail.begin_job(&job, MigrationEvent::ValidationStarts, &started).is_err());
        assert_eq!((status(), trail.head(AuditScope::Migration(migration)).unwrap().0), (before, 0));
        catalog.lock().execute_batch("DROP TRIGGER full").unwrap();
        trail.begin_job(&job, MigrationEvent::ValidationStarts, &started).unwrap();
        assert!(status() != before && catalog.job(migration, id).unwrap().is_some());
        let refused = trail.begin_job(&job, MigrationEvent::ValidationStarts, &started);
        assert!(matches!(refused, Err(JobError::Transition(TransitionError::Refused(_)))), "{refused:?}");
    }

    /// A job that a stopped server left running keeps its saved progress, and its pause. Any other end ends the pause.
    #[test]
    fn progress_and_pause_outlive_the_server() {
        let temp_dir = tempfile::tempdir().unwrap();
        let catalog = Arc::new(Catalog::open(&temp_dir.path().join("catalogue.db")).unwrap());
        let trail = Trail::new(catalog.clone(), Signer::new(&[7; 32]));
        let now = Timestamp::UNIX_EPOCH;
        let tenant = Tenant::default_tenant();
        let registered = catalog.register(uuid::Uuid::new_v4(), tenant, vec![&DOMAINS[0]], None, None, now);
        let migration = registered.unwrap().reference_id;
        catalog.transition(migration, MigrationEvent::Changed).unwrap();
        let (id, kind) = (Uuid::now_v7(), JobKind::Counts);
        let job = running(id, migration, kind);
        let entry = || AuditEntry::new(Actor::Server, Action::JobStarted).job(id, kind);
        trail.begin_job(&job, MigrationEvent::CountsStart, &entry()).unwrap();
        catalog.save_progress(&[(id, 7, 9)]).unwrap();
        catalog.set_paused(migration, kind, true).unwrap();
        let interrupted = catalog.interrupt_jobs(now).unwrap();
        assert_eq!((interrupted[0].done, interrupted[0].total), (7, 9));
        // The progress of a job that has ended stays.
        catalog.save_progress(&[(id, 8, 9)]).unwrap();
        assert_eq!(catalog.job(migration, id).unwrap().unwrap().done, 7);
        for (state, paused) in [(JobState::Interrupted, true), (JobState::Cancelled, false)] {
            let job = Job { state, ..job.clone() };
            let logged = LogEntry::new(sluice_model::Level::Info, "COUNTS_CANCELLED");
            let end = JobEnd { job, event: None, validated: None, acknowledged: 0, audited: entry(), logged };
            trail.end_job(&end).unwrap();
            assert_eq!(catalog.is_paused(migration, kind).unwrap(), paused, "{state:?}");
        }
    }
}
