//! A migration's log: codes and figures, with the time.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Page, Store, StoreError};
use sluice_model::{Code, Domain, Figure, Level, Report};

/// An entry for a migration's log. It takes figures, ids and words; a text does not compile:
///
/// ```
/// use sluice::{model::Level, store::LogEntry};
/// let _ = LogEntry::new(Level::Info, "UPLOAD_ENDED").with("records", 7_u64).with("way", "sources");
/// ```
///
/// ```compile_fail
/// use sluice::{model::Level, store::LogEntry};
/// let record = String::from(r#"{"surname": "Novák"}"#);
/// let _ = LogEntry::new(Level::Info, "UPLOAD_ENDED").with("record", record);
/// ```
///
/// ```compile_fail
/// use sluice::{model::Level, store::LogEntry};
/// let surname = String::from("NOVAK");
/// let _ = LogEntry::new(Level::Info, surname.as_str());
/// ```
#[derive(Clone, Debug)]
pub struct LogEntry {
    at: Timestamp,
    severity: Level,
    component: Option<&'static str>,
    job: Option<Uuid>,
    code: Code,
    figures: Vec<(&'static str, Figure)>,
}

/// An entry of a migration's log, as it was kept.
#[derive(Clone, Debug)]
pub struct LoggedEntry {
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub severity: Level,
    /// The domain it is about, if one.
    pub component: Option<&'static str>,
    /// The job it belongs to, if one.
    pub job: Option<Uuid>,
    /// What happened.
    pub code: Code,
    /// Figures and reference ids.
    pub figures: Report,
}

impl LogEntry {
    /// An entry about the migration as a whole.
    pub fn new(severity: Level, code: impl Into<Code>) -> Self {
        let code = code.into();
        Self { at: Timestamp::now(), severity, component: None, job: None, code, figures: vec![] }
    }

    /// With a figure.
    pub fn with(mut self, name: &'static str, figure: impl Into<Figure>) -> Self {
        self.figures.push((name, figure.into()));
        self
    }

    /// About this domain.
    pub fn of(mut self, domain: &Domain) -> Self {
        self.component = Some(domain.component);
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

/// Adds an entry to a migration's log. Whoever waits for entries is told when it is kept.
pub(super) fn log(connection: &Connection, migration: Uuid, entry: &LogEntry) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO logs (migration, at, severity, component, job, code, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            migration.to_string(),
            entry.at.to_string(),
            entry.severity.as_str(),
            entry.component,
            entry.job.map(|job| job.to_string()),
            &*entry.code,
            Report::from(Figure::table(entry.figures.iter().cloned())).to_string(),
        ],
    )
}

impl Store {
    /// Adds an entry to a migration's log.
    pub fn log(&self, migration: Uuid, entry: &LogEntry) -> Result<(), StoreError> {
        log(&self.lock(), migration, entry)?;
        self.logged.send_replace(());
        Ok(())
    }

    /// A page of a migration's log, the oldest first, and how many entries there are.
    pub fn logs(&self, migration: Uuid, filter: &LogFilter, page: Page) -> Result<(Vec<LoggedEntry>, u64), StoreError> {
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
    pub fn logs_after(&self, migration: Uuid, number: u64, limit: u64) -> Result<Vec<(u64, LoggedEntry)>, StoreError> {
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

fn entry(row: &Row) -> rusqlite::Result<LoggedEntry> {
    let (at, job): (String, Option<String>) = (row.get(0)?, row.get(3)?);
    let text = |index: usize| row.get::<_, Option<String>>(index).map(Option::unwrap_or_default);
    let figures: Map<String, Value> = serde_json::from_str(&text(5)?).unwrap_or_default();
    Ok(LoggedEntry {
        at: at.parse().unwrap_or_default(),
        severity: Level::parse(&text(1)?).unwrap_or(Level::Info),
        component: Domain::by_component(&text(2)?).map(|domain| domain.component),
        job: job.and_then(|job| job.parse().ok()),
        code: Code::kept(&text(4)?),
        figures: Report::kept(figures.into()),
    })
}
