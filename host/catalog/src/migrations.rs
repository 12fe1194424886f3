//! Registered migrations and their statuses.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use super::{Catalog, CatalogError, Pagination};
use sluice_model::{
    Digest, Domain, Grant, ImportStatus, MapperRef, Migration, MigrationEvent, MigrationOwner, MigrationStatus, Name,
    StagingStatus, Tenant, TransitionRefusal,
};

/// An error of changing the status of a migration.
#[derive(Debug, thiserror::Error)]
pub enum TransitionError {
    /// The status does not permit the event.
    #[error("{}", .0.remedy())]
    Refused(TransitionRefusal),
    /// The migration does not exist.
    #[error("the migration does not exist")]
    MigrationNotFound,
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<rusqlite::Error> for TransitionError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Catalog(error.into())
    }
}

const COLUMNS: &str =
    "reference_id, tenant, components, mapper, registered_at, staging, import, purged_at, mapper_digest, target, label";

/// Returns the name of an enum value, as the API shows it. The catalog stores this name.
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

fn mapper(row: &Row) -> rusqlite::Result<Option<MapperRef>> {
    let (name, digest): (Option<String>, Option<String>) = (row.get(3)?, row.get(8)?);
    let digest = digest.and_then(|digest| Digest::parse(&digest));
    Ok(name.zip(digest).map(|(name, digest)| MapperRef { digest, name: Name::from_storage(&name) }))
}

fn migration(row: &Row) -> rusqlite::Result<Migration> {
    Ok(Migration {
        reference_id: read(row, 0, |text| text.parse().ok())?,
        tenant: read(row, 1, |text| text.parse().ok())?,
        components: read(row, 2, |text| text.split(',').map(Domain::by_component).collect())?,
        mapper: mapper(row)?,
        registered_at: read(row, 4, |text| text.parse().ok())?,
        status: MigrationStatus { staging: read(row, 5, from_word)?, import: read(row, 6, from_word)? },
        purged_at: row.get::<_, Option<String>>(7)?.and_then(|at| at.parse().ok()),
        target: row.get::<_, Option<String>>(9)?.map(|target| Name::from_storage(&target)),
        // A label that cannot be read hides the migration from clients of any label.
        label: row.get::<_, Option<String>>(10)?.map(|label| label.parse().unwrap_or_default()),
    })
}

fn find(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Migration>> {
    connection
        .query_row(&format!("SELECT {COLUMNS} FROM migrations WHERE reference_id = ?"), [id.to_string()], migration)
        .optional()
}

/// Adds a migration.
pub(super) fn insert(connection: &Connection, migration: &Migration) -> rusqlite::Result<usize> {
    let components: Vec<&str> = migration.components.iter().map(|domain| domain.component).collect();
    connection.execute(
        "INSERT INTO migrations (reference_id, tenant, components, mapper, mapper_digest, registered_at, staging, import,
             target, label)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            migration.label.map(|label| label.to_string()),
        ],
    )
}

/// Applies an event to the status of a migration, within the caller's transaction.
pub(super) fn step(
    connection: &Connection,
    id: Uuid,
    event: MigrationEvent,
) -> Result<MigrationStatus, TransitionError> {
    let before = find(connection, id)?.ok_or(TransitionError::MigrationNotFound)?.status;
    let after = before.after(event).map_err(TransitionError::Refused)?;
    if after != before {
        connection.execute(
            "UPDATE migrations SET staging = ?, import = ? WHERE reference_id = ?",
            params![word(after.staging), word(after.import), id.to_string()],
        )?;
    }
    Ok(after)
}

/// Stores the durable version of the staging area, if it is higher than the stored one.
pub(super) fn acknowledge(connection: &Connection, id: Uuid, version: u64) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("UPDATE migrations SET acknowledged = ?1 WHERE reference_id = ?2 AND acknowledged < ?1")?
        .execute(params![version, id.to_string()])
}

/// Stores the version of the staging area that passed validation, and the digest of its validators.
pub(super) fn validate(connection: &Connection, id: Uuid, version: u64, validators: Digest) -> rusqlite::Result<usize> {
    connection.execute(
        "UPDATE migrations SET validated_version = ?, validated_by = ? WHERE reference_id = ?",
        params![version, validators.to_string(), id.to_string()],
    )
}

impl Catalog {
    /// Registers a migration with this reference id.
    pub fn register(
        &self,
        reference_id: Uuid,
        owner: impl Into<MigrationOwner>,
        components: Vec<&'static Domain>,
        mapper: Option<MapperRef>,
        target: Option<Name>,
        now: Timestamp,
    ) -> Result<Migration, CatalogError> {
        let MigrationOwner { tenant, label } = owner.into();
        let migration = Migration {
            reference_id,
            tenant,
            label,
            components,
            mapper,
            target,
            registered_at: now,
            status: MigrationStatus::NEW,
            purged_at: None,
        };
        insert(&self.lock(), &migration)?;
        Ok(migration)
    }

    /// Returns the migration with this reference id, or `None`.
    pub fn migration(&self, id: Uuid) -> Result<Option<Migration>, CatalogError> {
        Ok(find(&self.lock(), id)?)
    }

    /// Returns migrations that the grant lets a client see, newest first, and their total number.
    pub fn migrations(&self, grant: &Grant, page: Pagination) -> Result<(Vec<Migration>, u64), CatalogError> {
        let connection = self.lock();
        // The names of domains are constants of this workspace and need no quoting.
        let covers = |domain: &&Domain| format!("instr(',' || components || ',', ',{},') > 0", domain.component);
        let granted: Vec<String> = grant.domains.iter().map(covers).collect();
        let seen = format!(
            "(?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR label = ?2) AND ({})",
            [vec!["0".into()], granted].concat().join(" OR ")
        );
        let tenant = grant.tenant.as_ref().map(|tenant| tenant.as_str());
        let label = grant.label.map(|label| label.to_string());
        let mut query = connection.prepare(&format!(
            "SELECT {COLUMNS} FROM migrations WHERE {seen} ORDER BY number DESC LIMIT ?3 OFFSET ?4"
        ))?;
        let items = query
            .query_map(params![tenant, label, page.limit, page.offset], migration)?
            .collect::<rusqlite::Result<_>>()?;
        let count = format!("SELECT count(*) FROM migrations WHERE {seen}");
        Ok((items, connection.query_row(&count, params![tenant, label], |row| row.get(0))?))
    }

    /// Sets or removes the mapper of a migration.
    pub fn set_mapper(&self, id: Uuid, mapper: Option<&MapperRef>) -> Result<(), CatalogError> {
        self.lock().execute(
            "UPDATE migrations SET mapper = ?, mapper_digest = ? WHERE reference_id = ?",
            params![mapper.map(|mapper| &*mapper.name), mapper.map(|mapper| mapper.digest.to_string()), id.to_string()],
        )?;
        Ok(())
    }

    /// Applies an event to the status of a migration and returns the new status.
    pub fn transition(&self, id: Uuid, event: MigrationEvent) -> Result<MigrationStatus, TransitionError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let after = step(&transaction, id, event)?;
        transaction.commit()?;
        Ok(after)
    }

    /// Returns the ids of a tenant's migrations that are not purged.
    pub fn migrations_of(&self, tenant: &Tenant) -> Result<Vec<Uuid>, CatalogError> {
        let connection = self.lock();
        let query = "SELECT reference_id FROM migrations WHERE tenant = ? AND staging <> ?";
        let mut query = connection.prepare_cached(query)?;
        let of = params![tenant.as_str(), word(StagingStatus::Purged)];
        let ids = query.query_map(of, |row| read(row, 0, |text| text.parse().ok()))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the number of a tenant's migrations that are not purged.
    pub fn count_migrations(&self, of: &Tenant) -> Result<u64, CatalogError> {
        let count = "SELECT count(*) FROM migrations WHERE tenant = ? AND staging <> ?";
        let purged = word(StagingStatus::Purged);
        Ok(self.lock().query_row(count, params![of.as_str(), purged], |row| row.get(0))?)
    }

    /// Stores the durable version of a staging area, if it is higher than the stored one.
    pub fn acknowledge(&self, id: Uuid, version: u64) -> Result<(), CatalogError> {
        acknowledge(&self.lock(), id, version)?;
        Ok(())
    }

    /// Returns the durable version of a staging area.
    pub fn acknowledged(&self, id: Uuid) -> Result<u64, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT acknowledged FROM migrations WHERE reference_id = ?")?;
        Ok(query.query_row([id.to_string()], |row| row.get(0))?)
    }

    /// Returns the version of the staging area that passed validation, and the digest of its validators.
    pub fn validated(&self, id: Uuid) -> Result<Option<(u64, Digest)>, CatalogError> {
        Ok(self.lock().query_row(
            "SELECT validated_version, validated_by FROM migrations WHERE reference_id = ?",
            [id.to_string()],
            |row| {
                let (version, validators): (Option<u64>, Option<String>) = (row.get(0)?, row.get(1)?);
                Ok(version.zip(validators.and_then(|validators| Digest::parse(&validators))))
            },
        )?)
    }

    /// Marks the records of a migration as erased, if no work runs on them. Deletes its listed issues and log entries.
    /// Its counts remain.
    pub fn purge(&self, id: Uuid, now: Timestamp) -> Result<(), TransitionError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let before = find(&transaction, id)?.ok_or(TransitionError::MigrationNotFound)?.status;
        let after = before.after(MigrationEvent::Purged).map_err(TransitionError::Refused)?;
        transaction.execute(
            "UPDATE migrations SET staging = ?, import = ?, validated_version = NULL,
                 purged_at = coalesce(purged_at, ?) WHERE reference_id = ?",
            params![word(after.staging), word(after.import), now.to_string(), id.to_string()],
        )?;
        for table in ["issues", "logs"] {
            transaction.execute(&format!("DELETE FROM {table} WHERE migration = ?"), [id.to_string()])?;
        }
        transaction.commit()?;
        // The write-ahead log holds the deleted rows until a checkpoint empties it. A concurrent reader may prevent
        // that now; then the next checkpoint does it.
        let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        Ok(())
    }

    /// Returns the migrations whose status is running, and the event that ends that status. A starting server applies
    /// the events, because no work runs yet. This also covers a server that was killed before it stored the job, or
    /// while it applied these events.
    pub fn running_migrations(&self) -> Result<Vec<(Uuid, MigrationEvent)>, CatalogError> {
        let connection = self.lock();
        let events = [
            ("staging", word(StagingStatus::Validating), MigrationEvent::ValidationStopped),
            ("import", word(ImportStatus::Importing), MigrationEvent::ImportStopped),
        ];
        let mut running = vec![];
        for (column, status, event) in events {
            let mut query = connection.prepare(&format!("SELECT reference_id FROM migrations WHERE {column} = ?"))?;
            for id in query.query_map([status], |row| read(row, 0, |text| text.parse().ok()))? {
                running.push((id?, event));
            }
        }
        Ok(running)
    }

    /// Returns the migrations whose records were erased.
    pub fn purged_migrations(&self) -> Result<Vec<Uuid>, CatalogError> {
        let connection = self.lock();
        let mut query = connection.prepare("SELECT reference_id FROM migrations WHERE staging = ?")?;
        let ids = query.query_map([word(StagingStatus::Purged)], |row| read(row, 0, |text| text.parse().ok()))?;
        Ok(ids.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the migrations whose current records are all in the target and still staged, with the end of their last
    /// successful import.
    pub fn imported_migrations(&self) -> Result<Vec<(Uuid, Timestamp)>, CatalogError> {
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
