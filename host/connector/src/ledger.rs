//! The ledger of a migration. It saves every call durably before the call is sent and after the response has come. It
//! holds ids, steps, codes and the platform's keys, and nothing of a record's contents.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::PlatformError;
use super::state::{CallState, EntityState, LedgerLine};
use sluice_model::{Code, Name};
use sluice_sqlite as sql;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS entities (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, id BLOB NOT NULL, state TEXT NOT NULL, step TEXT, code TEXT,
    status INTEGER, at TEXT NOT NULL, UNIQUE (kind, id)
);
CREATE INDEX IF NOT EXISTS entities_by_state ON entities (state, kind);
CREATE TABLE IF NOT EXISTS calls (
    entity INTEGER NOT NULL, call TEXT NOT NULL, ordinal INTEGER NOT NULL, step TEXT NOT NULL, state TEXT NOT NULL,
    request BLOB NOT NULL, attempts INTEGER NOT NULL, sent_at TEXT NOT NULL, answered_at TEXT, status INTEGER,
    PRIMARY KEY (entity, call)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    kind TEXT NOT NULL, id BLOB NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, id, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS undone_calls (
    entity INTEGER NOT NULL, call TEXT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (entity, call)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS changed_calls (
    entity INTEGER NOT NULL, call TEXT NOT NULL, request BLOB NOT NULL, PRIMARY KEY (entity, call)
) WITHOUT ROWID;
";

/// Statements that bring a ledger forward, one for each version. No version has changed the schema yet.
const STEPS: &[&str] = &[];

/// Kind and reference id of a record's plan.
#[derive(Clone, Copy, Debug)]
pub struct LedgerKey<'a> {
    /// Kind of the plan.
    pub kind: &'a str,
    /// Reference id of the record.
    pub id: [u8; 16],
}

/// State of a call in the ledger.
#[derive(Clone, Debug)]
pub struct KnownCall {
    /// State of the call.
    pub state: CallState,
    /// Hash of the request that was sent.
    pub request: [u8; 16],
    /// Number of times that the call was rolled back.
    pub undone: u32,
}

/// One migration's ledger.
pub struct Ledger {
    connection: Mutex<Connection>,
}

pub(super) fn now() -> String {
    Timestamp::now().to_string()
}

pub(super) fn line(row: &Row) -> rusqlite::Result<LedgerLine> {
    let text = |index: usize| row.get::<_, Option<String>>(index);
    Ok(LedgerLine {
        kind: Name::from_storage(&text(0)?.unwrap_or_default()),
        id: row.get(1)?,
        state: EntityState::parse(&text(2)?.unwrap_or_default()),
        step: text(3)?.map(|step| Name::from_storage(&step)),
        code: text(4)?.map(|code| Code::from_storage(&code)),
        status: row.get(5)?,
        at: text(6)?.unwrap_or_default(),
        calls: row.get(7)?,
    })
}

pub(super) const LINE: &str = "SELECT kind, id, state, step, code, status, at,
    (SELECT count(*) FROM calls WHERE entity = number AND calls.state = 'done') FROM entities";

impl Ledger {
    /// Opens a ledger, or creates it.
    pub fn open(path: &Path) -> Result<Self, PlatformError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A call that is missing from the ledger would be sent again.
        connection.pragma_update(None, "synchronous", "FULL")?;
        sql::upgrade_schema(&mut connection, "entities", STEPS)?.map_err(PlatformError::Newer)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Checks that this version can read an existing ledger.
    pub fn check_version(path: &Path) -> Result<(), PlatformError> {
        sql::check_schema_version(&sql::open_read_only(path)?, STEPS.len())?.map(drop).map_err(PlatformError::Newer)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the state of a record's plan; none if it was never begun.
    pub fn entity(&self, LedgerKey { kind, id }: LedgerKey) -> Result<Option<EntityState>, PlatformError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT state FROM entities WHERE kind = ? AND id = ?")?;
        let state = query.query_row(params![kind, id], |row| row.get::<_, String>(0)).optional()?;
        Ok(state.map(|state| EntityState::parse(&state)))
    }

    /// Saves the state of a record's plan. If the plan failed, `failed` names the step, the code and the HTTP status.
    pub fn set_entity(
        &self,
        key: LedgerKey,
        state: EntityState,
        failed: Option<(&Name, &Code, u16)>,
    ) -> Result<(), PlatformError> {
        let connection = self.lock();
        if state == EntityState::Undone {
            // Records that need its answers wait until it is there again.
            connection.execute("DELETE FROM answers WHERE kind = ? AND id = ?", params![key.kind, key.id])?;
        }
        Ok(put_entity(&connection, key, state, failed)?)
    }

    /// Returns the state of a call of a record's plan.
    pub fn call(&self, LedgerKey { kind, id }: LedgerKey, call: &str) -> Result<Option<KnownCall>, PlatformError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT calls.state, request, coalesce(times, 0) FROM calls JOIN entities ON number = calls.entity
             LEFT JOIN undone_calls USING (entity, call) WHERE kind = ? AND id = ? AND call = ?",
        )?;
        let known = query.query_row(params![kind, id, call], |row| {
            Ok(KnownCall {
                state: CallState::parse(&row.get::<_, String>(0)?),
                request: row.get(1)?,
                undone: row.get(2)?,
            })
        });
        Ok(known.optional()?)
    }

    /// Saves that a call is about to be sent.
    pub fn record_sent(
        &self,
        LedgerKey { kind, id }: LedgerKey,
        (call, ordinal, step): (&str, usize, &str),
        request: [u8; 16],
    ) -> Result<(), PlatformError> {
        self.lock()
            .prepare_cached(
                "INSERT INTO calls (entity, call, ordinal, step, state, request, attempts, sent_at)
                 SELECT number, ?3, ?4, ?5, 'sent', ?6, 1, ?7 FROM entities WHERE kind = ?1 AND id = ?2
                 ON CONFLICT DO UPDATE SET state = 'sent', request = excluded.request, attempts = attempts + 1,
                     sent_at = excluded.sent_at",
            )?
            .execute(params![kind, id, call, ordinal, step, request, now()])?;
        Ok(())
    }

    /// Saves the result of a call, and the values of its response that later calls need.
    pub fn record_result(
        &self,
        LedgerKey { kind, id }: LedgerKey,
        call: &str,
        state: CallState,
        status: u16,
        kept: &[(String, String)],
    ) -> Result<(), PlatformError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction
            .prepare_cached(
                "UPDATE calls SET state = ?4, status = ?5, answered_at = ?6
                 WHERE call = ?3 AND entity = (SELECT number FROM entities WHERE kind = ?1 AND id = ?2)",
            )?
            .execute(params![kind, id, call, state.as_str(), status, now()])?;
        if state == CallState::Undone {
            transaction
                .prepare_cached(
                    "INSERT INTO undone_calls (entity, call, times)
                     SELECT number, ?3, 1 FROM entities WHERE kind = ?1 AND id = ?2
                     ON CONFLICT DO UPDATE SET times = times + 1",
                )?
                .execute(params![kind, id, call])?;
        }
        for (name, value) in kept {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO answers (kind, id, name, value) VALUES (?, ?, ?, ?)")?
                .execute(params![kind, id, name, value])?;
        }
        Ok(transaction.commit()?)
    }

    /// Returns a value that was saved from a response.
    pub fn saved_value(&self, LedgerKey { kind, id }: LedgerKey, name: &str) -> Result<Option<String>, PlatformError> {
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("SELECT value FROM answers WHERE kind = ? AND id = ? AND name = ?")?;
        Ok(query.query_row(params![kind, id, name], |row| row.get(0)).optional()?)
    }

    /// Returns a page of records' plans, of one state or of all, and their total number.
    pub fn lines(
        &self,
        state: Option<EntityState>,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<LedgerLine>, u64), PlatformError> {
        let connection = self.lock();
        let state = state.map(EntityState::as_str);
        let filter = "WHERE ?1 IS NULL OR state = ?1";
        let mut query = connection.prepare(&format!("{LINE} {filter} ORDER BY number LIMIT ?2 OFFSET ?3"))?;
        let lines = query.query_map(params![state, limit, offset], line)?.collect::<rusqlite::Result<_>>()?;
        let count = connection.query_row(&format!("SELECT count(*) FROM entities {filter}"), [state], |row| row.get(0));
        Ok((lines, count?))
    }

    /// Returns a record's plan.
    pub fn line(&self, LedgerKey { kind, id }: LedgerKey) -> Result<Option<LedgerLine>, PlatformError> {
        let connection = self.lock();
        Ok(connection.query_row(&format!("{LINE} WHERE kind = ? AND id = ?"), params![kind, id], line).optional()?)
    }

    /// Returns the number of plans by kind and state.
    pub fn counts(&self) -> Result<Vec<(Name, EntityState, u64)>, PlatformError> {
        let connection = self.lock();
        let mut query = connection
            .prepare("SELECT kind, state, count(*) FROM entities GROUP BY kind, state ORDER BY kind, state")?;
        let counts = query.query_map([], |row| {
            let (kind, state): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((Name::from_storage(&kind), EntityState::parse(&state), row.get(2)?))
        })?;
        Ok(counts.collect::<rusqlite::Result<_>>()?)
    }
}

/// Saves the state of a record's plan, within the caller's transaction.
pub(super) fn put_entity(
    connection: &Connection,
    LedgerKey { kind, id }: LedgerKey,
    state: EntityState,
    failed: Option<(&Name, &Code, u16)>,
) -> rusqlite::Result<()> {
    let (step, code, status) = match failed {
        Some((step, code, status)) => (Some(&**step), Some(&**code), Some(status)),
        None => (None, None, None),
    };
    connection
        .prepare_cached(
            "INSERT INTO entities (kind, id, state, step, code, status, at) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET state = excluded.state, step = excluded.step, code = excluded.code,
                 status = excluded.status, at = excluded.at",
        )?
        .execute(params![kind, id, state.as_str(), step, code, status, now()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_survive_a_restart() {
        let held = tempfile::tempdir().unwrap();
        let path = held.path().join("ledger.db");
        let (key, step) = (LedgerKey { kind: "loans", id: [7; 16] }, Name::new("approval"));
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.entity(key).unwrap(), None);
        ledger.set_entity(key, EntityState::Open, None).unwrap();
        ledger.record_sent(key, ("approval:7", 2, "approval"), [1; 16]).unwrap();
        drop(ledger);
        // A call that was sent is uncertain after the ledger is opened again.
        let ledger = Ledger::open(&path).unwrap();
        let known = ledger.call(key, "approval:7").unwrap().unwrap();
        assert_eq!((known.state, known.request), (CallState::Sent, [1; 16]));
        ledger.record_result(key, "approval:7", CallState::Done, 200, &[("loan".into(), "8a8b".into())]).unwrap();
        assert_eq!(ledger.saved_value(key, "loan").unwrap().as_deref(), Some("8a8b"));
        assert_eq!(ledger.call(key, "approval:7").unwrap().unwrap().state, CallState::Done);
        ledger.set_entity(key, EntityState::Failed, Some((&step, &Code::new("INVALID_DATE"), 400))).unwrap();
        let (lines, total) = ledger.lines(Some(EntityState::Failed), 0, 10).unwrap();
        assert_eq!((total, lines[0].id, lines[0].status, lines[0].calls), (1, [7; 16], Some(400), 1));
        assert_eq!(ledger.counts().unwrap(), [(Name::new("loans"), EntityState::Failed, 1)]);
        let skipped = ledger.decide(key, crate::LedgerDecision::Skip).unwrap();
        assert!(skipped.is_none(), "no call failed");
    }
}
