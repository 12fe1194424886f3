//! Answers to requests that may be sent again: the second time, what was answered the first time.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError};

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its status.
    pub status: u16,
    /// Where what was made can be found.
    pub location: Option<String>,
    /// Its body: a migration's figures, never a record.
    pub body: Vec<u8>,
}

/// What is known of a client's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Nothing: the request is to be carried out, and its answer kept.
    Fresh,
    /// The same request is being carried out, or its server was stopped while it was.
    InWork,
    /// Another request was sent with this key.
    Other,
    /// It was answered.
    Answered(Kept),
}

impl Store {
    /// Reserves a client's key for a request, known by the hash of its path and body. Keys from before `oldest`
    /// (seconds since 1970) are forgotten.
    pub fn reserve_key(
        &self,
        client: &str,
        key: &str,
        request: &[u8; 32],
        now: i64,
        oldest: i64,
    ) -> Result<Reserved, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM idempotency WHERE at < ?", [oldest])?;
        let found = transaction
            .query_row(
                "SELECT request, status, location, body FROM idempotency WHERE client = ? AND key = ?",
                [client, key],
                |row| {
                    let (known, status): ([u8; 32], Option<u16>) = (row.get(0)?, row.get(1)?);
                    Ok(match status {
                        _ if known != *request => Reserved::Other,
                        None => Reserved::InWork,
                        Some(status) => Reserved::Answered(Kept { status, location: row.get(2)?, body: row.get(3)? }),
                    })
                },
            )
            .optional()?;
        if found.is_none() {
            transaction.execute(
                "INSERT INTO idempotency (client, key, request, at) VALUES (?, ?, ?, ?)",
                params![client, key, request, now],
            )?;
        }
        transaction.commit()?;
        Ok(found.unwrap_or(Reserved::Fresh))
    }

    /// Gives back the keys of requests that a stopped server was carrying out.
    pub fn release_unanswered(&self) -> Result<(), StoreError> {
        self.lock().execute("DELETE FROM idempotency WHERE status IS NULL", [])?;
        Ok(())
    }

    /// Keeps the answer to a reserved request.
    pub fn keep_answer(&self, client: &str, key: &str, kept: &Kept) -> Result<(), StoreError> {
        self.lock().execute(
            "UPDATE idempotency SET status = ?, location = ?, body = ? WHERE client = ? AND key = ?",
            params![kept.status, kept.location, kept.body, client, key],
        )?;
        Ok(())
    }

    /// Gives a key back: nothing was done for it.
    pub fn release_key(&self, client: &str, key: &str) -> Result<(), StoreError> {
        self.lock().execute("DELETE FROM idempotency WHERE client = ? AND key = ?", [client, key])?;
        Ok(())
    }
}
