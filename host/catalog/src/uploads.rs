//! Uploads: which mapper worked on which, and what each came to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::migrations::acknowledge;
use super::{Store, StoreError};
use sluice_model::{Digest, Name};

/// What an upload came to.
#[derive(Clone, Debug, Default)]
pub struct UploadEnd {
    /// Bytes received.
    pub bytes: u64,
    /// Digest of those bytes.
    pub body: Digest,
    /// Records that were read.
    pub records: u64,
    /// Records of which something is staged.
    pub accepted: u64,
    /// Records that were rightly passed over, by code.
    pub skipped: BTreeMap<String, u64>,
    /// Records that were wrong.
    pub rejected: u64,
    /// Records that broke a plugin.
    pub quarantined: u64,
    /// Whether the body broke off before its end.
    pub broken_off: bool,
}

/// An upload as it is kept.
#[derive(Clone, Debug)]
pub struct KeptUpload {
    /// Its number in the migration, from 1.
    pub number: u32,
    /// The source or entity type.
    pub stream: String,
    /// Whether nothing was sent, and records that were staged before were mapped again.
    pub rerun: bool,
    /// Digest of the mapper, if one worked on it.
    pub mapper: Option<Digest>,
    /// When it began.
    pub started_at: String,
    /// When it ended, and what it came to, or the code of what went wrong. None while it runs, and where the
    /// server was killed meanwhile.
    pub ended: Option<(String, Result<UploadEnd, String>)>,
}

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS uploads (
    migration TEXT NOT NULL, number INTEGER NOT NULL, stream TEXT NOT NULL, mapper TEXT, started_at TEXT NOT NULL,
    PRIMARY KEY (migration, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_ends (
    migration TEXT NOT NULL, number INTEGER NOT NULL, ended_at TEXT NOT NULL, failure TEXT,
    bytes INTEGER NOT NULL, body TEXT NOT NULL, records INTEGER NOT NULL, accepted INTEGER NOT NULL,
    skipped TEXT NOT NULL, rejected INTEGER NOT NULL, quarantined INTEGER NOT NULL, broken_off INTEGER NOT NULL,
    PRIMARY KEY (migration, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_reruns (
    migration TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (migration, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_tables (
    migration TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (migration, number)
) WITHOUT ROWID;
";

fn begin(
    connection: &Connection,
    migration: Uuid,
    stream: &Name,
    mapper: Option<Digest>,
    now: Timestamp,
) -> rusqlite::Result<u32> {
    connection.query_row(
        "INSERT INTO uploads (migration, number, stream, mapper, started_at)
         SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM uploads WHERE migration = ?1
         RETURNING number",
        params![migration.to_string(), &**stream, mapper.map(|mapper| mapper.to_string()), now.to_string()],
        |row| row.get(0),
    )
}

impl Store {
    /// Begins an upload, of a table (CSV) or not; its number in the migration, from 1.
    pub fn begin_upload(
        &self,
        migration: Uuid,
        stream: &Name,
        mapper: Option<Digest>,
        of_table: bool,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let number = begin(&transaction, migration, stream, mapper, now)?;
        if of_table {
            let table = "INSERT INTO upload_tables (migration, number) VALUES (?, ?)";
            transaction.execute(table, params![migration.to_string(), number])?;
        }
        transaction.commit()?;
        Ok(number)
    }

    /// Whether an upload was a table, of which each row became a record: no record stands in it as it is.
    pub fn is_table(&self, migration: Uuid, number: u32) -> Result<bool, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT 1 FROM upload_tables WHERE migration = ? AND number = ?")?;
        Ok(query.exists(params![migration.to_string(), number])?)
    }

    /// Begins to map a source's staged records again, which counts as an upload; its number.
    pub fn begin_rerun(
        &self,
        migration: Uuid,
        source: &Name,
        mapper: Digest,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let number = begin(&transaction, migration, source, Some(mapper), now)?;
        let rerun = "INSERT INTO upload_reruns (migration, number) VALUES (?, ?)";
        transaction.execute(rerun, params![migration.to_string(), number])?;
        transaction.commit()?;
        Ok(number)
    }

    /// Keeps what an upload came to, or the code of what went wrong, and the version of the staging area that is known
    /// to be on disk.
    pub fn end_upload(
        &self,
        migration: Uuid,
        number: u32,
        end: Result<&UploadEnd, &str>,
        acknowledged: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let nothing = UploadEnd::default();
        let failure = end.err();
        let end = end.unwrap_or(&nothing);
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        acknowledge(&transaction, migration, acknowledged)?;
        transaction.execute(
            "INSERT INTO upload_ends (migration, number, ended_at, failure, bytes, body, records, accepted, skipped,
                 rejected, quarantined, broken_off) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                migration.to_string(),
                number,
                now.to_string(),
                failure,
                end.bytes,
                end.body.to_string(),
                end.records,
                end.accepted,
                serde_json::json!(end.skipped).to_string(),
                end.rejected,
                end.quarantined,
                end.broken_off,
            ],
        )?;
        Ok(transaction.commit()?)
    }

    /// All uploads of a migration, in their order.
    pub fn uploads(&self, migration: Uuid) -> Result<Vec<KeptUpload>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT u.number, u.stream, u.mapper, u.started_at, e.ended_at, e.failure, e.bytes, e.body, e.records,
                 e.accepted, e.skipped, e.rejected, e.quarantined, e.broken_off,
                 EXISTS (SELECT 1 FROM upload_reruns r WHERE r.migration = u.migration AND r.number = u.number)
             FROM uploads u LEFT JOIN upload_ends e USING (migration, number)
             WHERE u.migration = ? ORDER BY u.number",
        )?;
        let uploads = query.query_map([migration.to_string()], |row| {
            let ended_at: Option<String> = row.get(4)?;
            let ended = match ended_at {
                None => None,
                Some(at) => match row.get::<_, Option<String>>(5)? {
                    Some(failure) => Some((at, Err(failure))),
                    None => {
                        let (body, skipped): (String, String) = (row.get(7)?, row.get(10)?);
                        let end = UploadEnd {
                            bytes: row.get(6)?,
                            body: Digest::parse(&body).unwrap_or_default(),
                            records: row.get(8)?,
                            accepted: row.get(9)?,
                            skipped: serde_json::from_str(&skipped).unwrap_or_default(),
                            rejected: row.get(11)?,
                            quarantined: row.get(12)?,
                            broken_off: row.get(13)?,
                        };
                        Some((at, Ok(end)))
                    }
                },
            };
            Ok(KeptUpload {
                number: row.get(0)?,
                stream: row.get(1)?,
                rerun: row.get(14)?,
                mapper: row.get::<_, Option<String>>(2)?.and_then(|digest| Digest::parse(&digest)),
                started_at: row.get(3)?,
                ended,
            })
        })?;
        Ok(uploads.collect::<rusqlite::Result<_>>()?)
    }

    /// Digest of the mapper that worked on an upload, if one did.
    pub fn upload_mapper(&self, migration: Uuid, number: u32) -> Result<Option<Digest>, StoreError> {
        let found = self
            .lock()
            .prepare_cached("SELECT mapper FROM uploads WHERE migration = ? AND number = ?")?
            .query_row(params![migration.to_string(), number], |row| row.get::<_, Option<String>>(0))
            .optional()?;
        Ok(found.flatten().and_then(|digest| Digest::parse(&digest)))
    }
}
