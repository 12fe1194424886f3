//! Answers to requests that may be sent again: the second time, what was answered the first time.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

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

/// What a request makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Making {
    /// The id that it gets.
    pub id: Uuid,
    /// Whether it may be there already: a server was stopped before it could answer, or came to trouble.
    pub begun: bool,
}

impl Making {
    /// Something new.
    pub fn anew() -> Self {
        Self { id: Uuid::new_v4(), begun: false }
    }
}

/// What is known of a client's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is to be carried out, and its answer kept.
    ToDo(Making),
    /// The same request is being carried out.
    InWork,
    /// Another request was sent with this key.
    Other,
    /// It was answered.
    Answered(Kept),
}

/// Stands where the status of an answer will: a server was stopped before it could answer, or came to trouble.
const STOPPED: u16 = 0;

impl Store {
    /// Reserves a client's key for a request, known by the hash of its path and body, and notes the id of what it will make.
    /// Keys from before `oldest` (seconds since 1970) are forgotten.
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
        let new = Making::anew();
        let found = transaction
            .query_row(
                "SELECT request, status, location, body FROM idempotency WHERE client = ? AND key = ?",
                [client, key],
                |row| {
                    let (known, status): ([u8; 32], Option<u16>) = (row.get(0)?, row.get(1)?);
                    Ok(match status {
                        _ if known != *request => Reserved::Other,
                        None => Reserved::InWork,
                        Some(STOPPED) => Reserved::ToDo(Making { id: Uuid::from_bytes(row.get(3)?), begun: true }),
                        Some(status) => Reserved::Answered(Kept { status, location: row.get(2)?, body: row.get(3)? }),
                    })
                },
            )
            .optional()?;
        match &found {
            None => transaction.execute(
                "INSERT INTO idempotency (client, key, request, at, body) VALUES (?, ?, ?, ?, ?)",
                params![client, key, request, now, new.id.as_bytes()],
            )?,
            Some(Reserved::ToDo(_)) => transaction
                .execute("UPDATE idempotency SET status = NULL WHERE client = ? AND key = ?", [client, key])?,
            Some(_) => 0,
        };
        transaction.commit()?;
        Ok(found.unwrap_or(Reserved::ToDo(new)))
    }

    /// Lets requests be carried out to their end, when they come again, that a stopped server was carrying out.
    pub fn release_unanswered(&self) -> Result<(), StoreError> {
        let connection = self.lock();
        // Earlier versions did not note what they were making.
        connection.execute("DELETE FROM idempotency WHERE status IS NULL AND body IS NULL", [])?;
        connection.execute("UPDATE idempotency SET status = ? WHERE status IS NULL", [STOPPED])?;
        Ok(())
    }

    /// Lets a request be carried out to its end, when it comes again, that came to trouble.
    pub fn release_unanswered_key(&self, client: &str, key: &str) -> Result<(), StoreError> {
        self.lock()
            .execute("UPDATE idempotency SET status = ? WHERE client = ? AND key = ?", params![STOPPED, client, key])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stopped server was making gets the same id when its request comes again; another request has no claim to it.
    #[test]
    fn goes_on_with_the_same_id() {
        let held = tempfile::tempdir().unwrap();
        let store = Store::open(&held.path().join("catalogue.db")).unwrap();
        let reserve = |request: u8| store.reserve_key("client", "key", &[request; 32], 10, 0).unwrap();
        let Reserved::ToDo(Making { id, begun: false }) = reserve(1) else { panic!("it is new") };
        let begun = Reserved::ToDo(Making { id, begun: true });
        assert_eq!(reserve(1), Reserved::InWork);
        store.release_unanswered().unwrap();
        assert_eq!(reserve(2), Reserved::Other);
        assert_eq!(reserve(1), begun);
        assert_eq!(reserve(1), Reserved::InWork);
        store.release_unanswered_key("client", "key").unwrap();
        assert_eq!(reserve(2), Reserved::Other);
        assert_eq!(reserve(1), begun);
        let kept = Kept { status: 201, location: None, body: b"{}".to_vec() };
        store.keep_answer("client", "key", &kept).unwrap();
        store.release_unanswered().unwrap();
        assert_eq!(reserve(1), Reserved::Answered(kept));
    }
}
