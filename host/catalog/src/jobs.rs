//! Jobs, as they are kept.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::migrations::{acknowledge, step, validate};
use super::{LogEntry, Page, Store, StoreError, Trail, TrailError, TransitionError, logs};
use sluice_audit::{Entry, Scope};
use sluice_model::{Digest, Event, Job, JobKind, JobState, Report};

/// Why a job's beginning or end was not kept.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The migration's status cannot be changed so.
    #[error(transparent)]
    Status(#[from] TransitionError),
    /// The audit trail cannot be added to.
    #[error(transparent)]
    Trail(#[from] TrailError),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Status(error.into())
    }
}

/// How a job ended, with all that follows from it.
#[derive(Debug)]
pub struct JobEnd {
    /// The job, at its end.
    pub job: Job,
    /// What that means for its migration.
    pub event: Option<Event>,
    /// The version of the staging area of which a validation holds, and the digest of those who judged it.
    pub validated: Option<(u64, Digest)>,
    /// The version of the staging area that is known to be on disk.
    pub acknowledged: u64,
    /// For the audit trail.
    pub audited: Entry,
    /// For the migration's log.
    pub logged: LogEntry,
}

const COLUMNS: &str = "id, migration, kind, state, started_at, finished_at, done, total, result";

fn job(row: &Row) -> rusqlite::Result<Job> {
    let text = |index: usize| row.get::<_, String>(index);
    let bad = |index: usize| rusqlite::Error::InvalidColumnType(index, String::new(), rusqlite::types::Type::Text);
    let finished: Option<String> = row.get(5)?;
    let result: Option<String> = row.get(8)?;
    Ok(Job {
        id: text(0)?.parse().map_err(|_| bad(0))?,
        migration: text(1)?.parse().map_err(|_| bad(1))?,
        kind: JobKind::parse(&text(2)?).ok_or_else(|| bad(2))?,
        state: JobState::parse(&text(3)?).ok_or_else(|| bad(3))?,
        started_at: text(4)?.parse().map_err(|_| bad(4))?,
        finished_at: finished.and_then(|at| at.parse().ok()),
        done: row.get(6)?,
        total: row.get(7)?,
        result: result.and_then(|result| serde_json::from_str(&result).ok()).map(Report::kept),
    })
}

fn put(connection: &Connection, job: &Job) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO jobs (id, migration, kind, state, started_at, finished_at, done, total, result)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
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
        ],
    )
}

impl Trail {
    /// Keeps that a job begins, what that means for its migration, and who began it: all of it, or nothing, so that
    /// a full disk leaves no migration at work on which no job is.
    pub fn begin_job(&self, job: &Job, event: Event, started: &Entry) -> Result<(), JobError> {
        self.with(Scope::Migration(job.migration), started, |transaction| {
            step(transaction, job.migration, event)?;
            put(transaction, job).map_err(StoreError::from)?;
            Ok(())
        })
    }

    /// Keeps how a job ended, and all that follows from it, or nothing: then it can be tried again.
    pub fn end_job(&self, end: &JobEnd) -> Result<(), JobError> {
        let migration = end.job.migration;
        self.with(Scope::Migration(migration), &end.audited, |transaction| {
            if let Some(event) = end.event {
                step(transaction, migration, event)?;
            }
            let keep = || {
                if let Some((version, judges)) = end.validated {
                    validate(transaction, migration, version, judges)?;
                }
                acknowledge(transaction, migration, end.acknowledged)?;
                put(transaction, &end.job)?;
                logs::log(transaction, migration, &end.logged)
            };
            keep().map_err(StoreError::from)?;
            Ok::<_, JobError>(())
        })?;
        self.store().logged.send_replace(());
        Ok(())
    }
}

impl Store {
    /// A job of a migration.
    pub fn job(&self, migration: Uuid, id: Uuid) -> Result<Option<Job>, StoreError> {
        Ok(self
            .lock()
            .query_row(
                &format!("SELECT {COLUMNS} FROM jobs WHERE id = ? AND migration = ?"),
                [id.to_string(), migration.to_string()],
                job,
            )
            .optional()?)
    }

    /// A page of a migration's jobs, the newest first, and how many there are.
    pub fn jobs(&self, migration: Uuid, page: Page) -> Result<(Vec<Job>, u64), StoreError> {
        let connection = self.lock();
        let id = migration.to_string();
        let mut query = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM jobs WHERE migration = ? ORDER BY number DESC LIMIT ? OFFSET ?"
        ))?;
        let items = query.query_map(params![id, page.limit, page.offset], job)?.collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row("SELECT count(*) FROM jobs WHERE migration = ?", [id], |row| row.get(0))?;
        Ok((items, total))
    }

    /// Ids of a migration's jobs of one kind.
    pub fn jobs_of_kind(&self, migration: Uuid, kind: JobKind) -> Result<Vec<Uuid>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT id FROM jobs WHERE migration = ? AND kind = ?")?;
        let ids = query.query_map([migration.to_string(), kind.as_str().into()], |row| row.get::<_, String>(0))?;
        Ok(ids.collect::<rusqlite::Result<Vec<String>>>()?.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// The last counts job of a migration that came to a result.
    pub fn last_counts(&self, migration: Uuid) -> Result<Option<Job>, StoreError> {
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

    /// Marks jobs that a stopped server left running; returns them.
    pub fn interrupt_jobs(&self, now: Timestamp) -> Result<Vec<Job>, StoreError> {
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

    /// A job that cannot be kept has not begun: its migration is as it was, and the trail does not tell of it.
    #[test]
    fn begins_whole_or_not_at_all() {
        let held = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&held.path().join("catalogue.db")).unwrap());
        let trail = Trail::new(store.clone(), Signer::new(&[7; 32]));
        let now = Timestamp::UNIX_EPOCH;
        let migration = store
            .register(uuid::Uuid::new_v4(), Tenant::only(), vec![&DOMAINS[0]], None, None, now)
            .unwrap()
            .reference_id;
        store.transition(migration, Event::Changed).unwrap();
        let status = || store.migration(migration).unwrap().unwrap().status;
        let before = status();
        let (id, kind, state) = (Uuid::now_v7(), JobKind::Validate, JobState::Running);
        let job =
            Job { id, migration, kind, state, started_at: now, finished_at: None, done: 0, total: 0, result: None };
        let started = Entry::new(Actor::Server, Action::JobStarted).job(id, kind);
        let refusal = "CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END";
        store.lock().execute_batch(refusal).unwrap();
        assert!(trail.begin_job(&job, Event::ValidationStarts, &started).is_err());
        assert_eq!((status(), trail.head(Scope::Migration(migration)).unwrap().0), (before, 0));
        store.lock().execute_batch("DROP TRIGGER full").unwrap();
        trail.begin_job(&job, Event::ValidationStarts, &started).unwrap();
        assert!(status() != before && store.job(migration, id).unwrap().is_some());
        let refused = trail.begin_job(&job, Event::ValidationStarts, &started);
        assert!(matches!(refused, Err(JobError::Status(TransitionError::Refused(_)))), "{refused:?}");
    }
}
