//! Checksums of rows. A checksum stands beside the values of its row, and shows whether the row was changed after its
//! import.
//!
//! SQLite has no checksums of its own: it reads a value in which the disk flipped a bit like any other value.

use std::io::Write;

use crc32fast::Hasher;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::embedded::column_names;
use super::table::CHECK;

/// The checksum of a row: the sum of its values' checksums. So the order of the columns does not matter, and columns
/// can be added.
pub(super) struct RowChecksums {
    /// Initial checksum of each column, computed from its name. So equal values in two columns have different
    /// checksums.
    begun: Vec<u32>,
}

impl RowChecksums {
    /// Creates checksums for rows with these columns.
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { begun: columns.into_iter().map(|name| crc32fast::hash(name.as_bytes())).collect() }
    }

    /// Returns the checksum of a text or blob value.
    pub fn bytes(&self, column: usize, value: &[u8]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.begun[column]);
        hasher.update(value);
        hasher.finalize()
    }

    /// Returns the checksum of an integer, computed from its decimal digits. SQLite's column affinity may have turned
    /// digits into an integer, or an integer into digits.
    pub fn integer(&self, column: usize, value: i64) -> u32 {
        let mut digits = [0; 20];
        let mut rest = &mut digits[..];
        write!(rest, "{value}").expect("no number has more digits");
        let length = 20 - rest.len();
        self.bytes(column, &digits[..length])
    }
}

/// The columns of a table as it is in the database, whatever the plugin describes, and its checksum column.
pub(super) struct TableColumns {
    /// Names of the columns, without the checksum column.
    pub columns: Vec<String>,
    checks: RowChecksums,
    /// The columns as a query names them, with the checksum last.
    pub list: String,
}

impl TableColumns {
    /// Reads the columns of a table.
    pub fn of(connection: &Connection, table: &str) -> rusqlite::Result<Self> {
        let mut columns = column_names(connection, table)?;
        let before = columns.len();
        columns.retain(|column| column != CHECK);
        let kept = if columns.len() < before { CHECK } else { "NULL" };
        let list = columns.iter().fold(String::new(), |list, column| list + &format!("\"{column}\", ")) + kept;
        Ok(Self { checks: RowChecksums::new(columns.iter().map(String::as_str)), columns, list })
    }

    /// Returns the index of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Returns the checksum of a row after the text of a column was replaced. A row without a checksum gets none.
    pub fn check_after(&self, kept: Option<i64>, column: usize, before: &[u8], after: &[u8]) -> Option<i64> {
        let change = self.checks.bytes(column, after).wrapping_sub(self.checks.bytes(column, before));
        let sum = u32::try_from(kept?).ok()?;
        Some(i64::from(sum.wrapping_add(change)))
    }

    /// Returns true if a row is as it was stored. A row without a checksum was stored by an earlier version, and counts
    /// as unaltered.
    pub fn is_unaltered(&self, row: &Row) -> rusqlite::Result<bool> {
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
