//! The log of a migration: entries of a code and safe values, with their time.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::jobs::{SEEN_JOB, component_names, granted_names};
use super::{Catalog, CatalogError, Pagination};
use sluice_model::{Code, Domain, Grant, Level, Migration, SafeReport, SafeValue};

/// A new entry for a migration's log. It accepts safe values; a text does not compile:
///
/// ```
/// use sluice_catalog::LogEntry;
/// use sluice_model::Level;
/// let _ = LogEntry::new(Level::Info, "UPLOAD_ENDED").with("records", 7_u64).with("way", "sources");
/// ```
///
/// ```compile_fail,E0277
/// use sluice_catalog::LogEntry;
/// use sluice_model::Level;
/// let record = String::from(r#"{"surname": "Novák"}"#);
/// let _ = LogEntry::new(Level::Info, "UPLOAD_ENDED").with("record", record);
/// ```
///
/// ```compile_fail
/// use sluice_catalog::LogEntry;
/// use sluice_model::Level;
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
    figures: Vec<(&'static str, SafeValue)>,
}

/// A stored entry of a migration's log.
#[derive(Clone, Debug)]
pub struct StoredLogEntry {
    /// Time of the entry.
    pub at: Timestamp,
    /// Severity of the entry.
    pub severity: Level,
    /// Domain that the entry is about.
    pub component: Option<&'static str>,
    /// Job that wrote the entry.
    pub job: Option<Uuid>,
    /// Code of the event.
    pub code: Code,
    /// Values by name.
    pub figures: SafeReport,
}

impl LogEntry {
    /// Makes an entry about the migration.
    pub fn new(severity: Level, code: impl Into<Code>) -> Self {
        let code = code.into();
        Self { at: Timestamp::now(), severity, component: None, job: None, code, figures: vec![] }
    }

    /// Adds a value.
    pub fn with(mut self, name: &'static str, value: impl Into<SafeValue>) -> Self {
        self.figures.push((name, value.into()));
        self
    }

    /// Sets the domain that the entry is about.
    pub fn of(mut self, domain: &Domain) -> Self {
        self.component = Some(domain.component);
        self
    }

    /// Sets the job that writes the entry.
    pub fn by(mut self, job: Uuid) -> Self {
        self.job = Some(job);
        self
    }
}

/// A filter of log entries.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Severity of the entries.
    pub severity: Option<String>,
    /// Domain that the entries are about.
    pub component: Option<String>,
    /// Code of the entries.
    pub code: Option<String>,
    /// Job that wrote the entries.
    pub job: Option<Uuid>,
}

/// Adds an entry to a migration's log, in the caller's transaction. The caller notifies [`Catalog::log_changes`] after the
/// commit.
///
/// The migration counts its entries itself: a number of all migrations would tell how much others do.
pub(super) fn log(connection: &Connection, migration: Uuid, entry: &LogEntry) -> rusqlite::Result<usize> {
    // Each migration counts its own entries: a number says nothing about other migrations, and none is used again after a
    // purge.
    let count = "INSERT INTO log_numbers (migration, entries) VALUES (?, 1)
        ON CONFLICT DO UPDATE SET entries = entries + 1 RETURNING entries";
    let number: u64 = connection.prepare_cached(count)?.query_row([migration.to_string()], |row| row.get(0))?;
    connection.execute(
        "INSERT INTO logs (migration, at, severity, component, job, code, figures, entry)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            migration.to_string(),
            entry.at.to_string(),
            entry.severity.as_str(),
            entry.component,
            entry.job.map(|job| job.to_string()),
            &*entry.code,
            SafeReport::from(SafeValue::table(entry.figures.iter().cloned())).to_string(),
            number,
        ],
    )
}

impl Catalog {
    /// Adds an entry to a migration's log.
    pub fn log(&self, migration: Uuid, entry: &LogEntry) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        log(&transaction, migration, entry)?;
        transaction.commit()?;
        drop(connection);
        self.log_changes.send_replace(());
        Ok(())
    }

    /// Returns log entries of a migration that match the filter and that the grant lets a client see, oldest first, and
    /// their total number.
    pub fn logs(
        &self,
        migration: &Migration,
        grant: &Grant,
        filter: &LogFilter,
        page: Pagination,
    ) -> Result<(Vec<StoredLogEntry>, u64), CatalogError> {
        let connection = self.lock();
        let seen = seen_entry();
        let matching = format!(
            "migration = ?1 AND (?2 IS NULL OR {seen}) AND (?3 IS NULL OR severity = ?3)
             AND (?4 IS NULL OR component = ?4) AND (?5 IS NULL OR code = ?5) AND (?6 IS NULL OR job = ?6)"
        );
        let LogFilter { severity, component, code, job } = filter;
        let (id, job) = (migration.reference_id.to_string(), job.map(|job| job.to_string()));
        let granted = granted_names(grant, migration);
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM logs WHERE {matching} ORDER BY entry LIMIT ?7 OFFSET ?8"
        ))?;
        let items = query
            .query_map(params![id, granted, severity, component, code, job, page.limit, page.offset], entry)?
            .collect::<rusqlite::Result<_>>()?;
        let total = connection.query_row(
            &format!("SELECT count(*) FROM logs WHERE {matching}"),
            params![id, granted, severity, component, code, job],
            |row| row.get(0),
        )?;
        Ok((items, total))
    }

    /// Returns log entries of a migration after this number, oldest first, each with its number. With `granted`, the names
    /// of domains, it returns those of these domains alone.
    pub fn logs_after(
        &self,
        migration: Uuid,
        number: u64,
        granted: Option<&[&'static Domain]>,
        limit: u64,
    ) -> Result<Vec<(u64, StoredLogEntry)>, CatalogError> {
        let (connection, seen) = (self.lock(), seen_entry());
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, entry FROM logs WHERE migration = ?1 AND (?2 IS NULL OR {seen}) AND entry > ?3
             ORDER BY entry LIMIT ?4"
        ))?;
        let granted = granted.map(|domains| serde_json::json!(component_names(domains)).to_string());
        let of = params![migration.to_string(), granted, number, limit];
        let entries = query.query_map(of, |row| Ok((row.get(6)?, entry(row)?)))?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the number of a migration's last log entry, or 0 before the first.
    pub fn last_log(&self, migration: Uuid) -> Result<u64, CatalogError> {
        let last = "SELECT coalesce(max(entries), 0) FROM log_numbers WHERE migration = ?";
        Ok(self.lock().query_row(last, [migration.to_string()], |row| row.get(0))?)
    }

    /// Returns a receiver that is notified when an entry is added to any log.
    pub fn log_changes(&self) -> tokio::sync::watch::Receiver<()> {
        self.log_changes.subscribe()
    }
}

/// Returns the condition for a row of `logs`: it is about a domain of the JSON list `?2`, or was written by a job of these
/// domains.
fn seen_entry() -> String {
    format!(
        "(component IN (SELECT value FROM json_each(?2))
          OR (component IS NULL AND job IN (SELECT id FROM jobs WHERE migration = ?1 AND {SEEN_JOB})))"
    )
}

const COLUMNS: &str = "at, severity, component, job, code, figures";

fn entry(row: &Row) -> rusqlite::Result<StoredLogEntry> {
    let (at, job): (String, Option<String>) = (row.get(0)?, row.get(3)?);
    let text = |index: usize| row.get::<_, Option<String>>(index).map(Option::unwrap_or_default);
    let figures: Map<String, Value> = serde_json::from_str(&text(5)?).unwrap_or_default();
    Ok(StoredLogEntry {
        at: at.parse().unwrap_or_default(),
        severity: Level::parse(&text(1)?).unwrap_or(Level::Info),
        component: Domain::by_component(&text(2)?).map(|domain| domain.component),
        job: job.and_then(|job| job.parse().ok()),
        code: Code::from_storage(&text(4)?),
        figures: SafeReport::from_storage(figures.into()),
    })
}
