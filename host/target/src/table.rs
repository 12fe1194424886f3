//! An entity type's table: its columns and where in a record each comes from.

use sluice_contract::{Column, ColumnKind, EntityType};

/// Columns that every table has, after its own: where the row came from, and that it is as it came.
pub(super) const ORIGIN: &str = "sluice_origin";
pub(super) const POSITION: &str = "sluice_position";
pub(super) const HASH: &str = "sluice_hash";
/// The checksum of all of these, and of the table's own: see `check.rs`.
pub(super) const CHECK: &str = "sluice_check";

/// Statements for an entity type.
pub(super) struct Table<'a> {
    pub name: String,
    pub columns: &'a [Column],
}

/// `debit-mandates` as `debit_mandates`.
pub(super) fn table_name(entity_type: &str) -> String {
    entity_type.replace('-', "_")
}

fn kind(column: &Column) -> &'static str {
    match column.kind {
        ColumnKind::Integer | ColumnKind::Boolean => "INTEGER",
        // Decimals too: SQLite would make floats of them.
        _ => "TEXT",
    }
}

impl<'a> Table<'a> {
    pub fn new(entity_type: &'a EntityType) -> Self {
        Self { name: table_name(&entity_type.name), columns: &entity_type.columns }
    }

    /// Makes the table, its unique index apart.
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

    /// Adds columns that the table does not have: another plugin for the domain may describe more.
    pub fn add_columns(&self, there: &[String]) -> Vec<String> {
        let columns = self.columns.iter().map(|column| (&*column.name, kind(column)));
        // A table of a version that kept no checksums gets theirs as well.
        let missing = columns.chain([(CHECK, "INTEGER")]).filter(|(name, _)| !there.iter().any(|there| there == name));
        missing.map(|(name, kind)| format!("ALTER TABLE \"{}\" ADD COLUMN \"{name}\" {kind}", self.name)).collect()
    }

    /// The columns that rows are stored with.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name).chain([ORIGIN, POSITION, HASH, CHECK])
    }

    pub fn key(&self) -> &str {
        &self.columns[0].name
    }

    pub fn index_name(&self) -> String {
        format!("{}_by_reference_id", self.name)
    }

    pub fn create_index(&self) -> String {
        format!("CREATE UNIQUE INDEX IF NOT EXISTS \"{}\" ON \"{}\" (\"{}\")", self.index_name(), self.name, self.key())
    }

    /// With its unique index there, a row whose id is there can be passed over.
    pub fn insert(&self, only_new: bool) -> String {
        let names: Vec<String> = self.names().map(|name| format!("\"{name}\"")).collect();
        let places = vec!["?"; names.len()].join(", ");
        // By name: a plugin that replaced another may have added columns after these.
        let unless = if only_new { format!(" ON CONFLICT (\"{}\") DO NOTHING", self.key()) } else { String::new() };
        format!("INSERT INTO \"{}\" ({}) VALUES ({places}){unless}", self.name, names.join(", "))
    }

    /// Parameters in the order of [`Table::insert`], and then the reference id once more.
    pub fn update(&self) -> String {
        let set = |(index, name)| format!("\"{name}\" = ?{}", index + 1);
        let sets: Vec<String> = self.names().enumerate().map(set).collect();
        format!("UPDATE \"{}\" SET {} WHERE \"{}\" = ?{}", self.name, sets.join(", "), self.key(), sets.len() + 1)
    }

    pub fn select(&self, condition: &str) -> String {
        let names: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        format!("SELECT {} FROM \"{}\" WHERE {condition} ORDER BY \"{}\"", names.join(", "), self.name, self.key())
    }
}
