//! The table of an entity type: its columns, and its SQL statements.

use sluice_contract::{Column, ColumnKind, EntityType};

/// Columns of every table after its own columns: origin of the row, position in the source, and hash of the record.
pub(super) const ORIGIN: &str = "sluice_origin";
pub(super) const POSITION: &str = "sluice_position";
pub(super) const HASH: &str = "sluice_hash";
/// Column with the checksum of all other columns: see `checksum.rs`.
pub(super) const CHECK: &str = "sluice_check";

/// SQL statements for the table of an entity type.
pub(super) struct TargetTable<'a> {
    /// Name of the table.
    pub name: String,
    /// Columns that the plugin describes.
    pub columns: &'a [Column],
}

/// Converts an entity type's name into a table name: `debit-mandates` becomes `debit_mandates`.
pub(super) fn table_name(entity_type: &str) -> String {
    entity_type.replace('-', "_")
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
             {POSITION} INTEGER NOT NULL, {HASH} BLOB NOT NULL, {CHECK} INTEGER)",
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
        self.columns.iter().map(|column| &*column.name).chain([ORIGIN, POSITION, HASH, CHECK])
    }

    /// Returns the name of the column with the reference id.
    pub fn key(&self) -> &str {
        &self.columns[0].name
    }

    /// Returns the name of the unique index.
    pub fn index_name(&self) -> String {
        format!("{}_by_reference_id", self.name)
    }

    /// Returns the statement that creates the unique index.
    pub fn create_index(&self) -> String {
        format!("CREATE UNIQUE INDEX IF NOT EXISTS \"{}\" ON \"{}\" (\"{}\")", self.index_name(), self.name, self.key())
    }

    /// Returns the statement that inserts a row. With `only_new` and the unique index, it skips a row whose id exists.
    pub fn insert(&self, only_new: bool) -> String {
        let names: Vec<String> = self.names().map(|name| format!("\"{name}\"")).collect();
        let places = vec!["?"; names.len()].join(", ");
        // Columns are named: a plugin that replaced another may have added columns after these.
        let unless = if only_new { format!(" ON CONFLICT (\"{}\") DO NOTHING", self.key()) } else { String::new() };
        format!("INSERT INTO \"{}\" ({}) VALUES ({places}){unless}", self.name, names.join(", "))
    }

    /// Returns the statement that updates a row. Its parameters are those of [`TargetTable::insert`], followed by the
    /// reference id.
    pub fn update(&self) -> String {
        let set = |(index, name)| format!("\"{name}\" = ?{}", index + 1);
        let sets: Vec<String> = self.names().enumerate().map(set).collect();
        format!("UPDATE \"{}\" SET {} WHERE \"{}\" = ?{}", self.name, sets.join(", "), self.key(), sets.len() + 1)
    }

    /// Returns the query of rows that match a condition, in the order of their reference ids.
    pub fn select(&self, condition: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        format!("SELECT {} FROM \"{}\" WHERE {condition} ORDER BY \"{}\"", names.join(", "), self.name, self.key())
    }
}
