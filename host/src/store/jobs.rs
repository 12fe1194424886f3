//! Jobs, as they are kept.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Page, Store, StoreError};
use crate::model::{Job, JobKind, JobState, Report};

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

impl Store {
    /// Keeps a job as it stands.
    pub fn put_job(&self, job: &Job) -> Result<(), StoreError> {
        self.lock().execute(
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
        )?;
        Ok(())
    }

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
