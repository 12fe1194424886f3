//! Uploads: their mappers and results.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::migrations::acknowledge;
use super::{Catalog, CatalogError};
use sluice_model::{Digest, Name, UploadLines};

/// The result of an upload.
#[derive(Clone, Debug, Default)]
pub struct UploadEnd {
    /// Number of received bytes.
    pub bytes: u64,
    /// Digest of the received bytes.
    pub body: Digest,
    /// Number of records.
    pub records: u64,
    /// Number of accepted records: those that are staged, mapped or deleted.
    pub accepted: u64,
    /// Number of skipped records, by code.
    pub skipped: BTreeMap<String, u64>,
    /// Number of rejected records.
    pub rejected: u64,
    /// Number of records at which a plugin failed.
    pub quarantined: u64,
    /// True if the upload stopped before its end.
    pub broken_off: bool,
    /// Lines of the upload. `None` if it is a remap, or an earlier version received it.
    pub lines: Option<UploadLines>,
    /// Numbers of earlier uploads whose records it contained unchanged.
    pub confirmed: Vec<u32>,
}

/// An upload, as the catalog stores it.
#[derive(Clone, Debug)]
pub struct CatalogUpload {
    /// Number of the upload in the migration, from 1.
    pub number: u32,
    /// Source or entity type.
    pub stream: String,
    /// True if the upload is a remap: no records were sent, and staged records were mapped again.
    pub remap: bool,
    /// Digest of the mapper, if there was one.
    pub mapper: Option<Digest>,
    /// Time of the start.
    pub started_at: String,
    /// Time of the end, and the result or the code of the failure. `None` while the upload runs, and if the server was
    /// killed during it.
    pub ended: Option<(String, Result<UploadEnd, String>)>,
    /// Time of the withdrawal, if the upload was withdrawn.
    pub withdrawn_at: Option<String>,
    /// Numbers of the uploads whose records this upload contains unchanged.
    pub confirmed: Vec<u32>,
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
CREATE TABLE IF NOT EXISTS upload_lines (
    migration TEXT NOT NULL, number INTEGER NOT NULL, read INTEGER NOT NULL, header INTEGER NOT NULL,
    blank INTEGER NOT NULL, accepted INTEGER NOT NULL, skipped INTEGER NOT NULL, rejected INTEGER NOT NULL,
    quarantined INTEGER NOT NULL, PRIMARY KEY (migration, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_tables (
    migration TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (migration, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_confirmations (
    migration TEXT NOT NULL, number INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    PRIMARY KEY (migration, number, confirmed)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload_withdrawals (
    migration TEXT NOT NULL, number INTEGER NOT NULL, at TEXT NOT NULL, PRIMARY KEY (migration, number)
) WITHOUT ROWID;
";

/// Reads the lines of an upload from the row of its query.
fn upload_lines(row: &Row) -> rusqlite::Result<Option<UploadLines>> {
    let Some(read) = row.get(15)? else { return Ok(None) };
    Ok(Some(UploadLines {
        read,
        header: row.get(16)?,
        blank: row.get(17)?,
        accepted: row.get(18)?,
        skipped: row.get(19)?,
        rejected: row.get(20)?,
        quarantined: row.get(21)?,
    }))
}

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

impl Catalog {
    /// Begins an upload and returns its number. `of_table` is true if its records are rows of a table (CSV).
    pub fn begin_upload(
        &self,
        migration: Uuid,
        stream: &Name,
        mapper: Option<Digest>,
        of_table: bool,
        now: Timestamp,
    ) -> Result<u32, CatalogError> {
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

    /// Returns true if an upload was a table. Each row became a record, so the upload does not contain the records
    /// literally.
    pub fn is_table(&self, migration: Uuid, number: u32) -> Result<bool, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT 1 FROM upload_tables WHERE migration = ? AND number = ?")?;
        Ok(query.exists(params![migration.to_string(), number])?)
    }

    /// Begins a remap of a source's staged records and returns its number. A remap counts as an upload.
    pub fn begin_remap(
        &self,
        migration: Uuid,
        source: &Name,
        mapper: Digest,
        now: Timestamp,
    ) -> Result<u32, CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let number = begin(&transaction, migration, source, Some(mapper), now)?;
        let remap = "INSERT INTO upload_reruns (migration, number) VALUES (?, ?)";
        transaction.execute(remap, params![migration.to_string(), number])?;
        transaction.commit()?;
        Ok(number)
    }

    /// Stores the result of an upload, or the code of its failure, and the durable version of the staging area.
    pub fn end_upload(
        &self,
        migration: Uuid,
        number: u32,
        end: Result<&UploadEnd, &str>,
        acknowledged: u64,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let empty = UploadEnd::default();
        let failure = end.err();
        let end = end.unwrap_or(&empty);
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
        if let Some(lines) = &end.lines {
            let UploadLines { read, header, blank, accepted, skipped, rejected, quarantined } = *lines;
            transaction.execute(
                "INSERT INTO upload_lines (migration, number, read, header, blank, accepted, skipped, rejected,
                     quarantined) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![migration.to_string(), number, read, header, blank, accepted, skipped, rejected, quarantined],
            )?;
        }
        for confirmed in &end.confirmed {
            let insert = "INSERT INTO upload_confirmations (migration, number, confirmed) VALUES (?, ?, ?)";
            transaction.prepare_cached(insert)?.execute(params![migration.to_string(), number, confirmed])?;
        }
        Ok(transaction.commit()?)
    }

    /// Stores that an upload was withdrawn, with the durable version of the staging area.
    pub fn withdraw_upload(
        &self,
        migration: Uuid,
        number: u32,
        acknowledged: u64,
        now: Timestamp,
    ) -> Result<(), CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        acknowledge(&transaction, migration, acknowledged)?;
        transaction.execute(
            "INSERT OR IGNORE INTO upload_withdrawals (migration, number, at) VALUES (?, ?, ?)",
            params![migration.to_string(), number, now.to_string()],
        )?;
        Ok(transaction.commit()?)
    }

    /// Returns all uploads of a migration, oldest first.
    pub fn uploads(&self, migration: Uuid) -> Result<Vec<CatalogUpload>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT u.number, u.stream, u.mapper, u.started_at, e.ended_at, e.failure, e.bytes, e.body, e.records,
                 e.accepted, e.skipped, e.rejected, e.quarantined, e.broken_off,
                 EXISTS (SELECT 1 FROM upload_reruns r WHERE r.migration = u.migration AND r.number = u.number),
                 l.read, l.header, l.blank, l.accepted, l.skipped, l.rejected, l.quarantined,
                 (SELECT at FROM upload_withdrawals w WHERE w.migration = u.migration AND w.number = u.number),
                 (SELECT json_group_array(confirmed) FROM upload_confirmations c
                  WHERE c.migration = u.migration AND c.number = u.number)
             FROM uploads u LEFT JOIN upload_ends e USING (migration, number)
                 LEFT JOIN upload_lines l USING (migration, number)
             WHERE u.migration = ? ORDER BY u.number",
        )?;
        let uploads = query.query_map([migration.to_string()], |row| {
            let confirmed: Vec<u32> = serde_json::from_str(&row.get::<_, String>(23)?).unwrap_or_default();
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
                            lines: upload_lines(row)?,
                            confirmed: confirmed.clone(),
                        };
                        Some((at, Ok(end)))
                    }
                },
            };
            Ok(CatalogUpload {
                number: row.get(0)?,
                stream: row.get(1)?,
                remap: row.get(14)?,
                mapper: row.get::<_, Option<String>>(2)?.and_then(|digest| Digest::parse(&digest)),
                started_at: row.get(3)?,
                ended,
                withdrawn_at: row.get(22)?,
                confirmed,
            })
        })?;
        Ok(uploads.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the digest of an upload's mapper, or `None` if it had none.
    pub fn upload_mapper(&self, migration: Uuid, number: u32) -> Result<Option<Digest>, CatalogError> {
        let found = self
            .lock()
            .prepare_cached("SELECT mapper FROM uploads WHERE migration = ? AND number = ?")?
            .query_row(params![migration.to_string(), number], |row| row.get::<_, Option<String>>(0))
            .optional()?;
        Ok(found.flatten().and_then(|digest| Digest::parse(&digest)))
    }
}
