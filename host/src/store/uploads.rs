//! Uploads: which mapper worked on which.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::model::{Digest, Name};

impl Store {
    /// Begins an upload; its number in the migration, from 1.
    pub fn begin_upload(
        &self,
        migration: Uuid,
        stream: &Name,
        mapper: Option<&Digest>,
        now: Timestamp,
    ) -> Result<u32, StoreError> {
        Ok(self.lock().query_row(
            "INSERT INTO uploads (migration, number, stream, mapper, started_at)
             SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4 FROM uploads WHERE migration = ?1
             RETURNING number",
            params![migration.to_string(), &**stream, mapper.map(|mapper| &**mapper), now.to_string()],
            |row| row.get(0),
        )?)
    }

    /// Digest of the mapper that worked on an upload, if one did.
    pub fn upload_mapper(&self, migration: Uuid, number: u32) -> Result<Option<String>, StoreError> {
        let found = self
            .lock()
            .prepare_cached("SELECT mapper FROM uploads WHERE migration = ? AND number = ?")?
            .query_row(params![migration.to_string(), number], |row| row.get::<_, Option<String>>(0))
            .optional()?;
        Ok(found.flatten())
    }
}
