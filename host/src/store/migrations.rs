//! Registered migrations and their status.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Page, Store, StoreError};
use crate::model::{Domain, Event, Migration, Name, Refusal, Status};

/// Why a migration's status was not changed.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    /// It cannot happen now.
    #[error("{}", .0.remedy())]
    Refused(Refusal),
    /// There is no such migration any more.
    #[error("the migration does not exist")]
    Gone,
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for TransitionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

const COLUMNS: &str = "reference_id, components, mapper, registered_at, staging, import";

/// Enums are kept under the names that the API shows.
fn word<T: serde::Serialize>(value: T) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn read<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text: String = row.get(index)?;
    parse(&text).ok_or_else(|| rusqlite::Error::InvalidColumnType(index, text, rusqlite::types::Type::Text))
}

fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(word.into())).ok()
}

fn migration(row: &Row) -> rusqlite::Result<Migration> {
    Ok(Migration {
        reference_id: read(row, 0, |text| text.parse().ok())?,
        components: read(row, 1, |text| text.split(',').map(Domain::by_component).collect())?,
        mapper: row.get::<_, Option<String>>(2)?.map(|mapper| Name::kept(&mapper)),
        registered_at: read(row, 3, |text| text.parse().ok())?,
        status: Status { staging: read(row, 4, from_word)?, import: read(row, 5, from_word)? },
    })
}

fn find(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Migration>> {
    connection
        .query_row(&format!("SELECT {COLUMNS} FROM migrations WHERE reference_id = ?"), [id.to_string()], migration)
        .optional()
}

impl Store {
    /// Registers a migration of these components.
    pub fn register(
        &self,
        components: Vec<&'static Domain>,
        mapper: Option<Name>,
        now: Timestamp,
    ) -> Result<Migration, StoreError> {
        let migration =
            Migration { reference_id: Uuid::new_v4(), components, mapper, registered_at: now, status: Status::NEW };
        let components: Vec<&str> = migration.components.iter().map(|domain| domain.component).collect();
        self.lock().execute(
            "INSERT INTO migrations (reference_id, components, mapper, registered_at, staging, import)
             VALUES (?, ?, ?, ?, ?, ?)",
            params![
                migration.reference_id.to_string(),
                components.join(","),
                migration.mapper.as_deref(),
                migration.registered_at.to_string(),
                word(migration.status.staging),
                word(migration.status.import),
            ],
        )?;
        Ok(migration)
    }

    /// The migration with this reference id.
    pub fn migration(&self, id: Uuid) -> Result<Option<Migration>, StoreError> {
        Ok(find(&self.lock(), id)?)
    }

    /// A page of all migrations, the newest first, and how many there are.
    pub fn migrations(&self, page: Page) -> Result<(Vec<Migration>, u64), StoreError> {
        let connection = self.lock();
        let mut query =
            connection.prepare(&format!("SELECT {COLUMNS} FROM migrations ORDER BY number DESC LIMIT ? OFFSET ?"))?;
        let items = query.query_map([page.limit, page.offset], migration)?.collect::<rusqlite::Result<_>>()?;
        Ok((items, connection.query_row("SELECT count(*) FROM migrations", [], |row| row.get(0))?))
    }

    /// Gives a migration another mapper.
    pub fn set_mapper(&self, id: Uuid, mapper: Option<&Name>) -> Result<(), StoreError> {
        self.lock().execute(
            "UPDATE migrations SET mapper = ? WHERE reference_id = ?",
            params![mapper.map(|mapper| &**mapper), id.to_string()],
        )?;
        Ok(())
    }

    /// Applies an event to a migration's status, or says why it cannot happen now.
    pub fn transition(&self, id: Uuid, event: Event) -> Result<Status, TransitionError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let before = find(&transaction, id)?.ok_or(TransitionError::Gone)?.status;
        let after = before.after(event).map_err(TransitionError::Refused)?;
        if after != before {
            transaction.execute(
                "UPDATE migrations SET staging = ?, import = ? WHERE reference_id = ?",
                params![word(after.staging), word(after.import), id.to_string()],
            )?;
            transaction.commit()?;
        }
        Ok(after)
    }

    /// Notes the version of the staging area that has passed validation.
    pub fn set_validated_version(&self, id: Uuid, version: u64) -> Result<(), StoreError> {
        self.lock().execute(
            "UPDATE migrations SET validated_version = ? WHERE reference_id = ?",
            params![version, id.to_string()],
        )?;
        Ok(())
    }

    /// The version of the staging area that has passed validation.
    pub fn validated_version(&self, id: Uuid) -> Result<Option<u64>, StoreError> {
        Ok(self.lock().query_row(
            "SELECT validated_version FROM migrations WHERE reference_id = ?",
            [id.to_string()],
            |row| row.get(0),
        )?)
    }

    /// Forgets a migration and everything about it.
    pub fn forget(&self, id: Uuid) -> Result<(), StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        for table in ["jobs", "issues", "issue_counts", "logs", "uploads"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE migration = ?"), [id.to_string()])?;
        }
        transaction.execute("DELETE FROM migrations WHERE reference_id = ?", [id.to_string()])?;
        Ok(transaction.commit()?)
    }
}
