//! The table of an entity type: its columns, and its SQL statements.
//!
//! Every statement that reads or changes rows comes from a [`TenantTable`], which names one tenant. No other file of this
//! crate writes the name of a table into a statement, so no query can reach the rows of another tenant by mistake.

use sluice_contract::{Column, ColumnKind, EntityType};

use super::tenants::TenantNumber;

/// Columns of every table after its own columns: origin of the row, position in the source, and hash of the record.
pub(super) const ORIGIN: &str = "sluice_origin";
pub(super) const POSITION: &str = "sluice_position";
pub(super) const HASH: &str = "sluice_hash";
/// Column with the checksum of all other columns: see `checksum.rs`.
pub(super) const CHECK: &str = "sluice_check";

/// Column with the number of the tenant to which the row belongs.
pub(super) const TENANT: &str = "sluice_tenant";

/// The table of an entity type, and SQL statements that create and extend it.
pub(super) struct TargetTable<'a> {
    name: String,
    /// Columns that the plugin describes.
    pub columns: &'a [Column],
}

/// The rows of one tenant in the table of an entity type, and SQL statements for them.
pub(super) struct TenantTable<'a> {
    /// The table with the rows of every tenant.
    pub table: TargetTable<'a>,
    tenant: TenantNumber,
}

/// Converts an entity type's name into a table name: `debit-mandates` becomes `debit_mandates`.
fn table_name(entity_type: &str) -> String {
    entity_type.replace('-', "_")
}

/// Returns the statement that creates the unique index of the reference ids of each tenant.
pub(super) fn create_unique_index(table: &str, key: &str) -> String {
    format!(
        "CREATE UNIQUE INDEX IF NOT EXISTS \"{}\" ON \"{table}\" ({TENANT}, \"{key}\")",
        index_name(table, "reference_id")
    )
}

/// Returns the name of the index of a column.
fn index_name(table: &str, column: &str) -> String {
    format!("{table}_by_{column}")
}

fn kind(column: &Column) -> &'static str {
    match column.kind {
        ColumnKind::Integer | ColumnKind::Boolean => "INTEGER",
        // Decimals are text as well. SQLite would convert them to floating point.
        _ => "TEXT",
    }
}

impl<'a> TargetTable<'a> {
    /// Creates the statements for an entity type.
    pub fn new(entity_type: &'a EntityType) -> Self {
        Self { name: table_name(&entity_type.name), columns: &entity_type.columns }
    }

    /// Returns the name of the table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the statement that creates the table without its unique index.
    pub fn create(&self) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let required = if index == 0 { " NOT NULL" } else { "" };
                format!("\"{}\" {}{required}", column.name, kind(column))
            })
            .collect();
        format!(
            "CREATE TABLE IF NOT EXISTS \"{}\" ({}, {ORIGIN} INTEGER NOT NULL REFERENCES sluice_origins (number),
             {POSITION} INTEGER NOT NULL, {HASH} BLOB NOT NULL, {CHECK} INTEGER,
             {TENANT} INTEGER NOT NULL)",
            self.name,
            columns.join(", ")
        )
    }

    /// Returns statements that add the columns that the table lacks. Another plugin of the same domain may describe
    /// more columns.
    pub fn add_columns(&self, there: &[String]) -> Vec<String> {
        let columns = self.columns.iter().map(|column| (&*column.name, kind(column)));
        // A table of a version without checksums gets the checksum column.
        let missing = columns.chain([(CHECK, "INTEGER")]).filter(|(name, _)| !there.iter().any(|there| there == name));
        missing.map(|(name, kind)| format!("ALTER TABLE \"{}\" ADD COLUMN \"{name}\" {kind}", self.name)).collect()
    }

    /// Returns the names of the columns with which rows are stored.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name).chain([ORIGIN, POSITION, HASH, CHECK, TENANT])
    }

    /// Returns the name of the column with the reference id.
    pub fn key(&self) -> &str {
        &self.columns[0].name
    }

    /// Returns the statement that creates the unique index.
    pub fn create_index(&self) -> String {
        create_unique_index(&self.name, self.key())
    }

    /// Returns the statement that drops the unique index.
    pub fn drop_index(&self) -> String {
        format!("DROP INDEX IF EXISTS \"{}\"", index_name(&self.name, "reference_id"))
    }

    /// Returns the name of the index of a column, and the statement that creates it.
    pub fn create_column_index(&self, column: &str) -> (String, String) {
        let name = index_name(&self.name, column);
        let create = format!("CREATE INDEX IF NOT EXISTS \"{name}\" ON \"{}\" ({TENANT}, \"{column}\")", self.name);
        (name, create)
    }

    /// Returns the query that tells whether no tenant has rows in the table.
    pub fn is_empty(&self) -> String {
        format!("SELECT NOT EXISTS (SELECT 1 FROM \"{}\")", self.name)
    }

    /// Returns the query of these columns of the rows of every tenant that match a condition. A server has no use for it:
    /// see [`super::EmbeddedTarget::figures_of_file`].
    pub fn scan_every_tenant(&self, columns: &str, condition: &str) -> String {
        format!("SELECT {columns} FROM \"{}\" WHERE {condition}", self.name)
    }

    /// Returns the rows of a tenant.
    pub fn of(self, tenant: TenantNumber) -> TenantTable<'a> {
        TenantTable { table: self, tenant }
    }
}

impl<'a> TenantTable<'a> {
    /// Returns the rows of a tenant in the table of an entity type.
    pub fn new(entity_type: &'a EntityType, tenant: TenantNumber) -> Self {
        TargetTable::new(entity_type).of(tenant)
    }

    /// Returns the tenant to which the rows belong.
    pub fn tenant(&self) -> TenantNumber {
        self.tenant
    }

    /// Returns the query of these columns of the tenant's row with the reference id `?{parameter}`.
    pub fn find(&self, columns: &str, parameter: usize) -> String {
        format!(
            "SELECT {columns} FROM \"{}\" WHERE {TENANT} = {} AND \"{}\" = ?{parameter}",
            self.table.name,
            self.tenant,
            self.table.key()
        )
    }

    /// Returns the query of these columns of the tenant's rows that match a condition, for reading them all. It does not use
    /// the index of reference ids: the rows would come in random order.
    pub fn scan(&self, columns: &str, condition: &str) -> String {
        format!("SELECT {columns} FROM \"{}\" WHERE +{TENANT} = {} AND {condition}", self.table.name, self.tenant)
    }

    /// Returns the statement that deletes the tenant's row with the reference id `?2`, if it matches a condition.
    pub fn delete(&self, condition: &str) -> String {
        let (table, key) = (&self.table.name, self.table.key());
        format!("DELETE FROM \"{table}\" WHERE {TENANT} = {} AND \"{key}\" = ?2 AND {condition}", self.tenant)
    }

    /// Returns the statement that deletes the tenant's rows that match a condition.
    pub fn delete_all(&self, condition: &str) -> String {
        format!("DELETE FROM \"{}\" WHERE +{TENANT} = {} AND {condition}", self.table.name, self.tenant)
    }

    /// Returns the statement that inserts a row. With `only_new` and the unique index, it skips a row whose id exists.
    pub fn insert(&self, only_new: bool) -> String {
        let table = &self.table;
        let names: Vec<String> = table.names().map(|name| format!("\"{name}\"")).collect();
        let places = vec!["?"; names.len()].join(", ");
        // Columns are named: a plugin that replaced another may have added columns after these.
        let unless =
            if only_new { format!(" ON CONFLICT ({TENANT}, \"{}\") DO NOTHING", table.key()) } else { String::new() };
        format!("INSERT INTO \"{}\" ({}) VALUES ({places}){unless}", table.name, names.join(", "))
    }

    /// Returns the statement that updates a row. Its parameters are those of [`TenantTable::insert`], followed by the
    /// reference id.
    pub fn update(&self) -> String {
        let table = &self.table;
        let set = |(index, name)| format!("\"{name}\" = ?{}", index + 1);
        let sets: Vec<String> = table.names().enumerate().map(set).collect();
        self.set(&sets.join(", "), &format!("\"{}\" = ?{}", table.key(), sets.len() + 1))
    }

    /// Returns the statement that changes columns of the tenant's rows that match a condition.
    pub fn set(&self, changes: &str, condition: &str) -> String {
        format!("UPDATE \"{}\" SET {changes} WHERE {TENANT} = {} AND {condition}", self.table.name, self.tenant)
    }

    /// Returns the query of the tenant's records with the reference id `?1`.
    pub fn record(&self) -> String {
        self.find(&self.record_columns(), 1)
    }

    /// Returns the query of the tenant's records whose column is `?1`, in the order of their reference ids. It names the
    /// index, because SQLite would rather read all rows of the tenant than sort a few.
    pub fn records_by(&self, column: &str) -> String {
        format!(
            "SELECT {} FROM \"{}\" INDEXED BY \"{}\" WHERE {TENANT} = {} AND \"{column}\" = ?1 ORDER BY \"{}\"",
            self.record_columns(),
            self.table.name,
            index_name(&self.table.name, column),
            self.tenant,
            self.table.key()
        )
    }

    fn record_columns(&self) -> String {
        let names: Vec<String> = self.table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        names.join(", ")
    }
}
