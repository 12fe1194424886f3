//! A migration's log: codes and figures, with the time.

use jiff::Timestamp;
use rusqlite::{Row, params};
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

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Only those of this severity.
    pub severity: Option<String>,
    /// Only those about this domain.
    pub component: Option<String>,
    /// Only those with this code.
    pub code: Option<String>,
    /// Only those of this job.
    pub job: Option<Uuid>,
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
        self.logged.send_replace(());
        Ok(())
    }

    /// A page of a migration's log, the oldest first, and how many entries there are.
    pub fn logs(&self, migration: Uuid, filter: &LogFilter, page: Page) -> Result<(Vec<LogEntry>, u64), StoreError> {
        let connection = self.lock();
        let matching = "migration = ?1 AND (?2 IS NULL OR severity = ?2) AND (?3 IS NULL OR component = ?3)
             AND (?4 IS NULL OR code = ?4) AND (?5 IS NULL OR job = ?5)";
        let LogFilter { severity, component, code, job } = filter;
        let (id, job) = (migration.to_string(), job.map(|job| job.to_string()));
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM logs WHERE {matching} ORDER BY number LIMIT ?6 OFFSET ?7"
        ))?;
        let items = query
            .query_map(params![id, severity, component, code, job, page.limit, page.offset], entry)?
            .collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row(
            &format!("SELECT count(*) FROM logs WHERE {matching}"),
            params![id, severity, component, code, job],
            |row| row.get(0),
        )?;
        Ok((items, total))
    }

    /// A migration's entries after this number, the oldest first, each with its number.
    pub fn logs_after(&self, migration: Uuid, number: u64, limit: u64) -> Result<Vec<(u64, LogEntry)>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, number FROM logs WHERE migration = ? AND number > ? ORDER BY number LIMIT ?"
        ))?;
        let entries =
            query.query_map(params![migration.to_string(), number, limit], |row| Ok((row.get(6)?, entry(row)?)))?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    }

    /// The number of a migration's last entry; 0 before the first.
    pub fn last_log(&self, migration: Uuid) -> Result<u64, StoreError> {
        let last = "SELECT coalesce(max(number), 0) FROM logs WHERE migration = ?";
        Ok(self.lock().query_row(last, [migration.to_string()], |row| row.get(0))?)
    }

    /// Changes whenever an entry is added to any log.
    pub fn log_changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.logged.subscribe()
    }
}

const COLUMNS: &str = "at, severity, component, job, code, figures";

fn entry(row: &Row) -> rusqlite::Result<LogEntry> {
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
}
