//! A checksum of each row's values, kept beside them: a row that was changed since it was imported is known by it.
//!
//! SQLite has none: a bit that a disk flips in a value is read as any other value.

use std::io::Write;

use crc32fast::Hasher;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::embedded::column_names;
use super::table::CHECK;

/// The checksums of rows: a sum, so that columns may stand in any order, and others may be added.
pub(super) struct Checks {
    /// Of each column's name, where its value's checksum begins: the same value in another column is another.
    begun: Vec<u32>,
}

impl Checks {
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { begun: columns.into_iter().map(|name| crc32fast::hash(name.as_bytes())).collect() }
    }

    /// What a value adds to the checksum of its row.
    pub fn bytes(&self, column: usize, value: &[u8]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.begun[column]);
        hasher.update(value);
        hasher.finalize()
    }

    /// As its digits: a column's affinity may have made them of it, or it of them.
    pub fn integer(&self, column: usize, value: i64) -> u32 {
        let mut digits = [0; 20];
        let mut rest = &mut digits[..];
        write!(rest, "{value}").expect("no number has more digits");
        let length = 20 - rest.len();
        self.bytes(column, &digits[..length])
    }
}

/// All columns that a table has, whatever a plugin describes, and its checksums behind them.
pub(super) struct Whole {
    pub columns: Vec<String>,
    checks: Checks,
    /// As a query names them.
    pub list: String,
}

impl Whole {
    pub fn of(connection: &Connection, table: &str) -> rusqlite::Result<Self> {
        let mut columns = column_names(connection, table)?;
        let before = columns.len();
        columns.retain(|column| column != CHECK);
        let kept = if columns.len() < before { CHECK } else { "NULL" };
        let list = columns.iter().fold(String::new(), |list, column| list + &format!("\"{column}\", ")) + kept;
        Ok(Self { checks: Checks::new(columns.iter().map(String::as_str)), columns, list })
    }

    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Whether a row is as it was stored. Rows of versions that kept no checksums are taken to be.
    pub fn holds(&self, row: &Row) -> rusqlite::Result<bool> {
        let Some(kept) = row.get::<_, Option<i64>>(self.columns.len())? else { return Ok(true) };
        let mut sum = 0_u32;
        for column in 0..self.columns.len() {
            sum = sum.wrapping_add(match row.get_ref(column)? {
                ValueRef::Null => 0,
                ValueRef::Integer(number) => self.checks.integer(column, number),
                ValueRef::Real(number) => self.checks.bytes(column, number.to_string().as_bytes()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => self.checks.bytes(column, bytes),
            });
        }
        Ok(kept == i64::from(sum))
    }
}
