//! A migration's log: codes and figures, with the time.

use jiff::Timestamp;
use rusqlite::params;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Page, Store, StoreError};

/// An entry of a migration's log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// When.
    pub at: Timestamp,
    /// `info`, `warning` or `error`.
    pub severity: String,
    /// The domain it is about, if one.
    pub component: Option<String>,
    /// The job it belongs to, if one.
    pub job: Option<Uuid>,
    /// What happened.
    pub code: String,
    /// Figures and reference ids.
    pub figures: Map<String, Value>,
}

impl LogEntry {
    /// An entry about the migration as a whole.
    pub fn new(severity: &str, code: &str) -> Self {
        let (severity, code) = (severity.into(), code.into());
        Self { at: Timestamp::now(), severity, component: None, job: None, code, figures: Map::new() }
    }

    /// With a figure.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.into(), value.into());
        self
    }

    /// About this domain.
    pub fn of(mut self, component: &str) -> Self {
        self.component = Some(component.into());
        self
    }

    /// By this job.
    pub fn by(mut self, job: Uuid) -> Self {
        self.job = Some(job);
        self
    }
}

impl Store {
    /// Adds an entry to a migration's log.
    pub fn log(&self, migration: Uuid, entry: &LogEntry) -> Result<(), StoreError> {
        self.lock().execute(
            "INSERT INTO logs (migration, at, severity, component, job, code, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                migration.to_string(),
                entry.at.to_string(),
                entry.severity,
                entry.component,
                entry.job.map(|job| job.to_string()),
                entry.code,
                Value::Object(entry.figures.clone()).to_string(),
            ],
        )?;
        Ok(())
    }

    /// A page of a migration's log, the oldest first, and how many entries there are.
    pub fn logs(&self, migration: Uuid, page: Page) -> Result<(Vec<LogEntry>, u64), StoreError> {
        let connection = self.lock();
        let id = migration.to_string();
        let mut query = connection.prepare_cached(
            "SELECT at, severity, component, job, code, figures FROM logs WHERE migration = ?
             ORDER BY number LIMIT ? OFFSET ?",
        )?;
        let items = query
            .query_map(params![id, page.limit, page.offset], |row| {
                let (at, job): (String, Option<String>) = (row.get(0)?, row.get(3)?);
                let figures: String = row.get(5)?;
                Ok(LogEntry {
                    at: at.parse().unwrap_or_default(),
                    severity: row.get(1)?,
                    component: row.get(2)?,
                    job: job.and_then(|job| job.parse().ok()),
                    code: row.get(4)?,
                    figures: serde_json::from_str(&figures).unwrap_or_default(),
                })
            })?
            .collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row("SELECT count(*) FROM logs WHERE migration = ?", [id], |row| row.get(0))?;
        Ok((items, total))
    }
}
