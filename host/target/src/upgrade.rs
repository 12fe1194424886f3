//! Schema steps of the embedded target.

use rusqlite::{Connection, params};
use sluice_model::Tenant;
use uuid::Uuid;

use super::checksum::RowChecksums;
use super::embedded::column_names;
use super::table::{CHECK, ORIGIN, TENANT, create_unique_index};
use super::tenants::{self, number_of};

/// Number of schema steps: the version of a new database.
pub(super) const VERSION: usize = 1;

/// Name of the tenant of rows whose migration the catalogue does not know. No tenant can have it, so nobody sees the rows.
const NO_TENANT: &str = "";

/// Returns the tenant of a migration, as the catalogue knows it.
pub type TenantOfMigration<'a> = &'a dyn Fn(Uuid) -> Option<Tenant>;

/// Gives each row of a version without tenants to the tenant of its migration.
pub(super) fn add_tenants(connection: &Connection, tenant_of: TenantOfMigration) -> rusqlite::Result<()> {
    connection.execute_batch(tenants::SCHEMA)?;
    connection.execute_batch(
        "CREATE TEMP TABLE origin_tenants (origin INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, sum INTEGER NOT NULL)",
    )?;
    let checks = RowChecksums::new([TENANT]);
    let mut query = connection.prepare("SELECT number, migration FROM sluice_origins")?;
    let mut origins = query.query([])?;
    while let Some(origin) = origins.next()? {
        let migration: String = origin.get(1)?;
        let tenant = migration.parse().ok().and_then(tenant_of);
        let tenant = number_of(connection, tenant.as_ref().map_or(NO_TENANT, Tenant::as_str))?.value();
        connection.execute(
            "INSERT INTO temp.origin_tenants VALUES (?, ?, ?)",
            params![origin.get::<_, i64>(0)?, tenant, checks.integer(0, tenant)],
        )?;
    }
    let mut tables = connection.prepare(
        "SELECT DISTINCT tables.name FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' AND columns.name = ?",
    )?;
    for table in tables.query_map([ORIGIN], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()? {
        add_tenants_to(connection, &table)?;
    }
    connection.execute_batch(
        "DROP TABLE temp.origin_tenants;
         CREATE TABLE IF NOT EXISTS sluice_removals (one INTEGER, number INTEGER);
         CREATE TABLE removals_of_tenants (tenant INTEGER PRIMARY KEY, number INTEGER NOT NULL);
         INSERT INTO removals_of_tenants
             SELECT sluice_tenants.number, sluice_removals.number FROM sluice_tenants JOIN sluice_removals;
         DROP TABLE sluice_removals;
         ALTER TABLE removals_of_tenants RENAME TO sluice_removals;",
    )
}

fn add_tenants_to(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let columns = column_names(connection, table)?;
    let mut indexes = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND name LIKE ?1 || '@_by@_%' ESCAPE '@'")?;
    // The indexes begin with the tenant from now on. Those of other columns are made again when they are needed.
    for index in indexes.query_map([table], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()? {
        connection.execute_batch(&format!("DROP INDEX \"{index}\""))?;
    }
    connection.execute_batch(&format!("ALTER TABLE \"{table}\" ADD COLUMN {TENANT} INTEGER"))?;
    let mut changes = format!("{TENANT} = origins.tenant");
    if columns.iter().any(|column| column == CHECK) {
        // A row that was altered before still counts as altered.
        changes.push_str(&format!(", {CHECK} = ({CHECK} + origins.sum) % 4294967296"));
    }
    connection.execute_batch(&format!(
        "UPDATE \"{table}\" SET {changes} FROM temp.origin_tenants AS origins WHERE origins.origin = {ORIGIN}"
    ))?;
    let key = columns.first().map_or("reference_id", String::as_str);
    connection.execute_batch(&create_unique_index(table, key))?;
    let lost: i64 = connection.query_row(
        &format!(
            "SELECT count(*) FROM \"{table}\" WHERE {TENANT} IS NULL
             OR {TENANT} IN (SELECT number FROM sluice_tenants WHERE name = ?)"
        ),
        [NO_TENANT],
        |row| row.get(0),
    )?;
    if lost > 0 {
        tracing::error!(
            code = "ROWS_WITHOUT_TENANT",
            table,
            rows = lost,
            "the catalogue does not know the migrations of rows in the target, so no tenant sees them"
        );
    }
    Ok(())
}
