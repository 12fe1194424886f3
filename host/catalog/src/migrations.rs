//! Registered migrations and their status.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Page, Store, StoreError};
use sluice_model::{
    ChosenMapper, Digest, Domain, Event, Grant, ImportStatus, Migration, Name, Refusal, StagingStatus, Status, Tenant,
};

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

const COLUMNS: &str =
    "reference_id, tenant, components, mapper, registered_at, staging, import, purged_at, mapper_digest, target";

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

fn mapper(row: &Row) -> rusqlite::Result<Option<ChosenMapper>> {
    let (name, digest): (Option<String>, Option<String>) = (row.get(3)?, row.get(8)?);
    let digest = digest.and_then(|digest| Digest::parse(&digest));
    Ok(name.zip(digest).map(|(name, digest)| ChosenMapper { digest, name: Name::kept(&name) }))
}

fn migration(row: &Row) -> rusqlite::Result<Migration> {
    Ok(Migration {
        reference_id: read(row, 0, |text| text.parse().ok())?,
        tenant: read(row, 1, |text| text.parse().ok())?,
        components: read(row, 2, |text| text.split(',').map(Domain::by_component).collect())?,
        mapper: mapper(row)?,
        registered_at: read(row, 4, |text| text.parse().ok())?,
        status: Status { staging: read(row, 5, from_word)?, import: read(row, 6, from_word)? },
        purged_at: row.get::<_, Option<String>>(7)?.and_then(|at| at.parse().ok()),
        target: row.get::<_, Option<String>>(9)?.map(|target| Name::kept(&target)),
    })
}

fn find(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Migration>> {
    connection
        .query_row(&format!("SELECT {COLUMNS} FROM migrations WHERE reference_id = ?"), [id.to_string()], migration)
        .optional()
}

/// Adds a migration as it is.
pub(super) fn insert(connection: &Connection, migration: &Migration) -> rusqlite::Result<usize> {
    let components: Vec<&str> = migration.components.iter().map(|domain| domain.component).collect();
    connection.execute(
        "INSERT INTO migrations (reference_id, tenant, components, mapper, mapper_digest, registered_at, staging, import,
             target)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            migration.reference_id.to_string(),
            migration.tenant.as_str(),
            components.join(","),
            migration.mapper.as_ref().map(|mapper| &*mapper.name),
            migration.mapper.as_ref().map(|mapper| mapper.digest.to_string()),
            migration.registered_at.to_string(),
            word(migration.status.staging),
            word(migration.status.import),
            migration.target.as_deref(),
        ],
    )
}

/// Applies an event to a migration's status, within a transaction.
pub(super) fn step(connection: &Connection, id: Uuid, event: Event) -> Result<Status, TransitionError> {
    let before = find(connection, id)?.ok_or(TransitionError::Gone)?.status;
    let after = before.after(event).map_err(TransitionError::Refused)?;
    if after != before {
        connection.execute(
            "UPDATE migrations SET staging = ?, import = ? WHERE reference_id = ?",
            params![word(after.staging), word(after.import), id.to_string()],
        )?;
    }
    Ok(after)
}

/// Notes the version of the staging area that is known to be on disk, where that is more than was noted before.
pub(super) fn acknowledge(connection: &Connection, id: Uuid, version: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("UPDATE migrations SET acknowledged = ?1 WHERE reference_id = ?2 AND acknowledged < ?1")?
        .execute(params![version, id.to_string()])
}

/// Notes the version of the staging area that has passed validation, and the digest of those who judged it.
pub(super) fn validate(connection: &Connection, id: Uuid, version: u64, judges: Digest) -> rusqlite::Result<usize> {
    connection.execute(
        "UPDATE migrations SET validated_version = ?, validated_by = ? WHERE reference_id = ?",
        params![version, judges.to_string(), id.to_string()],
    )
}

impl Store {
    /// Registers a migration of these components under this reference id.
    pub fn register(
        &self,
        reference_id: Uuid,
        tenant: Tenant,
        components: Vec<&'static Domain>,
        mapper: Option<ChosenMapper>,
        target: Option<Name>,
        now: Timestamp,
    ) -> Result<Migration, StoreError> {
        let status = Status::NEW;
        let migration =
            Migration { reference_id, tenant, components, mapper, target, registered_at: now, status, purged_at: None };
        insert(&self.lock(), &migration)?;
        Ok(migration)
    }

    /// The migration with this reference id.
    pub fn migration(&self, id: Uuid) -> Result<Option<Migration>, StoreError> {
        Ok(find(&self.lock(), id)?)
    }

    /// A page of the migrations that somebody sees, the newest first, and how many there are.
    pub fn migrations(&self, grant: &Grant, page: Page) -> Result<(Vec<Migration>, u64), StoreError> {
        let connection = self.lock();
        // Domains are a list of ours: their names need no quoting.
        let covers = |domain: &&Domain| format!("instr(',' || components || ',', ',{},') > 0", domain.component);
        let granted: Vec<String> = grant.domains.iter().map(covers).collect();
        let seen = format!("(?1 IS NULL OR tenant = ?1) AND ({})", [vec!["0".into()], granted].concat().join(" OR "));
        let tenant = grant.tenant.as_ref().map(|tenant| tenant.as_str());
        let mut query = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM migrations WHERE {seen} ORDER BY number DESC LIMIT ?2 OFFSET ?3"
        ))?;
        let items =
            query.query_map(params![tenant, page.limit, page.offset], migration)?.collect::<rusqlite::Result<_>>()?;
        let count = format!("SELECT count(*) FROM migrations WHERE {seen}");
        Ok((items, connection.query_row(&count, [tenant], |row| row.get(0))?))
    }

    /// Gives a migration another mapper.
    pub fn set_mapper(&self, id: Uuid, mapper: Option<&ChosenMapper>) -> Result<(), StoreError> {
        self.lock().execute(
            "UPDATE migrations SET mapper = ?, mapper_digest = ? WHERE reference_id = ?",
            params![mapper.map(|mapper| &*mapper.name), mapper.map(|mapper| mapper.digest.to_string()), id.to_string()],
        )?;
        Ok(())
    }

    /// Applies an event to a migration's status, or says why it cannot happen now.
    pub fn transition(&self, id: Uuid, event: Event) -> Result<Status, TransitionError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let after = step(&transaction, id, event)?;
        transaction.commit()?;
        Ok(after)
    }

    /// Notes the version of the staging area that is known to be on disk, where that is more than was noted before.
    pub fn acknowledge(&self, id: Uuid, version: u64) -> Result<(), StoreError> {
        acknowledge(&self.lock(), id, version)?;
        Ok(())
    }

    /// The version that a staging area is known to have reached.
    pub fn acknowledged(&self, id: Uuid) -> Result<u64, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT acknowledged FROM migrations WHERE reference_id = ?")?;
        Ok(query.query_row([id.to_string()], |row| row.get(0))?)
    }

    /// The version of the staging area that has passed validation, and the digest of those who judged it.
    pub fn validated(&self, id: Uuid) -> Result<Option<(u64, Digest)>, StoreError> {
        Ok(self.lock().query_row(
            "SELECT validated_version, validated_by FROM migrations WHERE reference_id = ?",
            [id.to_string()],
            |row| {
                let (version, judges): (Option<u64>, Option<String>) = (row.get(0)?, row.get(1)?);
                Ok(version.zip(judges.and_then(|judges| Digest::parse(&judges))))
            },
        )?)
    }

    /// Notes that a migration's records are erased, if nothing works on them; listed issues and log entries go,
    /// all that is a figure stays.
    pub fn purge(&self, id: Uuid, now: Timestamp) -> Result<(), TransitionError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let before = find(&transaction, id)?.ok_or(TransitionError::Gone)?.status;
        let after = before.after(Event::Purged).map_err(TransitionError::Refused)?;
        transaction.execute(
            "UPDATE migrations SET staging = ?, import = ?, validated_version = NULL,
                 purged_at = coalesce(purged_at, ?) WHERE reference_id = ?",
            params![word(after.staging), word(after.import), now.to_string(), id.to_string()],
        )?;
        for table in ["issues", "logs"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE migration = ?"), [id.to_string()])?;
        }
        transaction.commit()?;
        // The write-ahead log has what was deleted until it is emptied; somebody who reads just now may prevent it,
        // and then the next checkpoint does it.
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }

    /// Migrations of which the catalogue says that something runs on them, and what has to happen to them when a server
    /// begins and nothing does: also where one was killed before it had noted the job, or while it put things in order.
    pub fn left_running(&self) -> Result<Vec<(Uuid, Event)>, StoreError> {
        let connection = self.lock();
        let stopped = [
            ("staging", word(StagingStatus::Validating), Event::ValidationStopped),
            ("import", word(ImportStatus::Importing), Event::ImportStopped),
        ];
        let mut left = vec![];
        for (column, status, event) in stopped {
            let mut query = connection.prepare(&format!("SELECT reference_id FROM migrations WHERE {column} = ?"))?;
            for id in query.query_map([status], |row| read(row, 0, |text| text.parse().ok()))? {
                left.push((id?, event));
            }
        }
        Ok(left)
    }

    /// Migrations whose records were erased.
    pub fn purged(&self) -> Result<Vec<Uuid>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT reference_id FROM migrations WHERE staging = ?")?;
        let ids = query.query_map([word(StagingStatus::Purged)], |row| read(row, 0, |text| text.parse().ok()))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// Migrations all of whose records as they stand are in the target, and still in staging, with when their
    /// last successful import ended.
    pub fn imported(&self) -> Result<Vec<(Uuid, Timestamp)>, StoreError> {
        let connection = self.lock();
        let mut query = connection.prepare(
            "SELECT reference_id, (SELECT finished_at FROM jobs WHERE migration = reference_id
                 AND kind = 'import' AND jobs.state = 'succeeded' ORDER BY number DESC LIMIT 1) AS imported_at
             FROM migrations WHERE import = ? AND staging <> ? AND imported_at IS NOT NULL",
        )?;
        let statuses = [word(ImportStatus::Imported), word(StagingStatus::Purged)];
        let imported = query.query_map(statuses, |row| {
            Ok((read(row, 0, |text| text.parse().ok())?, read(row, 1, |text| text.parse().ok())?))
        })?;
        Ok(imported.collect::<rusqlite::Result<_>>()?)
    }
}
