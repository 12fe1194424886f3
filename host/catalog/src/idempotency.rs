//! Idempotency keys: stored responses to requests that a client may send again.

use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{Catalog, CatalogError};

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResponse {
    /// Status code.
    pub status: u16,
    /// Location of the created resource.
    pub location: Option<String>,
    /// Body. It holds ids and counts of a migration, never a record.
    pub body: Vec<u8>,
}

/// The creation of a resource by a request with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCreation {
    /// Id of the resource.
    pub id: Uuid,
    /// True if the resource may exist already, because an earlier attempt stopped or failed before its response.
    pub begun: bool,
}

impl Default for PendingCreation {
    fn default() -> Self {
        Self::new()
    }
}

impl PendingCreation {
    /// Starts the creation of a resource with a new id.
    pub fn new() -> Self {
        Self { id: Uuid::new_v4(), begun: false }
    }
}

/// The state of a client's idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyReservation {
    /// The caller must execute the request and store its response.
    Execute(PendingCreation),
    /// The same request is in progress.
    InProgress,
    /// The client used the key for a different request.
    DifferentRequest,
    /// The request has a response.
    Answered(StoredResponse),
}

/// Status of a request that stopped or failed before its response.
const STOPPED: u16 = 0;

impl Catalog {
    /// Reserves a client's key for a request and the id of the resource that it creates. `request` is the hash of the
    /// request's path and body. Removes keys from before `oldest` (seconds since 1970).
    pub fn reserve_key(
        &self,
        client: &str,
        key: &str,
        request: &[u8; 32],
        now: i64,
        oldest: i64,
    ) -> Result<KeyReservation, CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        transaction.execute("DELETE FROM idempotency WHERE at < ?", [oldest])?;
        let new = PendingCreation::new();
        let found = transaction
            .query_row(
                "SELECT request, status, location, body FROM idempotency WHERE client = ? AND key = ?",
                [client, key],
                |row| {
                    let (known, status): ([u8; 32], Option<u16>) = (row.get(0)?, row.get(1)?);
                    Ok(match status {
                        _ if known != *request => KeyReservation::DifferentRequest,
                        None => KeyReservation::InProgress,
                        Some(STOPPED) => {
                            KeyReservation::Execute(PendingCreation { id: Uuid::from_bytes(row.get(3)?), begun: true })
                        }
                        Some(status) => KeyReservation::Answered(StoredResponse {
                            status,
                            location: row.get(2)?,
                            body: row.get(3)?,
                        }),
                    })
                },
            )
            .optional()?;
        match &found {
            None => transaction.execute(
                "INSERT INTO idempotency (client, key, request, at, body) VALUES (?, ?, ?, ?, ?)",
                params![client, key, request, now, new.id.as_bytes()],
            )?,
            Some(KeyReservation::Execute(_)) => transaction
                .execute("UPDATE idempotency SET status = NULL WHERE client = ? AND key = ?", [client, key])?,
            Some(_) => 0,
        };
        transaction.commit()?;
        Ok(found.unwrap_or(KeyReservation::Execute(new)))
    }

    /// Releases the requests that a stopped server had in progress. When a client sends one again, the server continues
    /// it with the same id.
    pub fn release_unanswered(&self) -> Result<(), CatalogError> {
        let connection = self.lock();
        // Earlier versions did not store the id of the resource.
        connection.execute("DELETE FROM idempotency WHERE status IS NULL AND body IS NULL", [])?;
        connection.execute("UPDATE idempotency SET status = ? WHERE status IS NULL", [STOPPED])?;
        Ok(())
    }

    /// Releases a request that failed. When the client sends it again, the server continues it with the same id.
    pub fn release_unanswered_key(&self, client: &str, key: &str) -> Result<(), CatalogError> {
        self.lock()
            .execute("UPDATE idempotency SET status = ? WHERE client = ? AND key = ?", params![STOPPED, client, key])?;
        Ok(())
    }

    /// Stores the response to a reserved request.
    pub fn store_response(&self, client: &str, key: &str, response: &StoredResponse) -> Result<(), CatalogError> {
        self.lock().execute(
            "UPDATE idempotency SET status = ?, location = ?, body = ? WHERE client = ? AND key = ?",
            params![response.status, response.location, response.body, client, key],
        )?;
        Ok(())
    }

    /// Releases a key whose request changed nothing.
    pub fn release_key(&self, client: &str, key: &str) -> Result<(), CatalogError> {
        self.lock().execute("DELETE FROM idempotency WHERE client = ? AND key = ?", [client, key])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that a stopped server had in progress gets the same id when the client sends it again. A different
    /// request with the key does not.
    #[test]
    fn continues_with_the_same_id() {
        let temp_dir = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&temp_dir.path().join("catalogue.db")).unwrap();
        let reserve = |request: u8| catalog.reserve_key("client", "key", &[request; 32], 10, 0).unwrap();
        let KeyReservation::Execute(PendingCreation { id, begun: false }) = reserve(1) else { panic!("it is new") };
        let begun = KeyReservation::Execute(PendingCreation { id, begun: true });
        assert_eq!(reserve(1), KeyReservation::InProgress);
        catalog.release_unanswered().unwrap();
        assert_eq!(reserve(2), KeyReservation::DifferentRequest);
        assert_eq!(reserve(1), begun);
        assert_eq!(reserve(1), KeyReservation::InProgress);
        catalog.release_unanswered_key("client", "key").unwrap();
        assert_eq!(reserve(2), KeyReservation::DifferentRequest);
        assert_eq!(reserve(1), begun);
        let kept = StoredResponse { status: 201, location: None, body: b"{}".to_vec() };
        catalog.store_response("client", "key", &kept).unwrap();
        catalog.release_unanswered().unwrap();
        assert_eq!(reserve(1), KeyReservation::Answered(kept));
    }
}
