//! Tables for the lookups of a test: JSON lines by name of the table. A table is indexed by a field on the first
//! lookup.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use crate::bindings::mapper::exports::sluice::plugin::mapping::Description;
use crate::bindings::types::{Batch, Found, LookupError};
use crate::{BatchBuilder, batch};

thread_local! {
    static TABLES: RefCell<LookupTables> = RefCell::default();
}

#[derive(Default)]
struct LookupTables {
    /// Records by table.
    lines: BTreeMap<String, Vec<String>>,
    /// Indexes of `lines` by table and field, and then by value.
    indexes: BTreeMap<(String, String), BTreeMap<String, Vec<usize>>>,
    /// Description of the mapper under test.
    description: Option<Description>,
}

/// Removes all tables of this thread.
pub fn clear() {
    TABLES.take();
}

/// Adds JSON lines to a table.
pub fn load(table: &str, lines: &str) {
    TABLES.with_borrow_mut(|tables| {
        let records = lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned);
        tables.lines.entry(table.into()).or_default().extend(records);
        tables.indexes.clear();
    });
}

/// Restricts lookups to those that the mapper's description declares.
pub fn set_description(description: Description) {
    TABLES.with_borrow_mut(|tables| tables.description = Some(description));
}

/// Stands for `source-lookup.find`.
pub fn find(source: &str, field: &str, keys: &Batch) -> Result<Found, LookupError> {
    TABLES.with_borrow_mut(|tables| {
        if let Some(description) = &tables.description {
            let declared =
                description.sources.iter().find(|known| known.name == source).ok_or(LookupError::UnknownName)?;
            if declared.key.join("+") != field && !declared.lookups.iter().any(|known| known == field) {
                return Err(LookupError::UnknownField);
            }
        }
        let keys = batch::unpack(keys).map(|key| String::from_utf8_lossy(key).into_owned());
        Ok(tables.search(source, field, keys))
    })
}

/// Stands for `record-lookup.exist`. Every loaded record counts as staged.
pub fn exist(entity_type: &str, ids: &[u8]) -> Result<Vec<u8>, LookupError> {
    let found = read(entity_type, ids)?;
    let mut exist = vec![0; ids.len() / 16];
    found.answers.iter().for_each(|&index| exist[index as usize] = 1);
    Ok(exist)
}

/// Stands for `record-lookup.read`.
pub fn read(entity_type: &str, ids: &[u8]) -> Result<Found, LookupError> {
    TABLES.with_borrow_mut(|tables| Ok(tables.search(entity_type, "referenceId", texts(ids))))
}

/// Stands for `record-lookup.referring`.
pub fn referring(entity_type: &str, field: &str, ids: &[u8]) -> Result<Found, LookupError> {
    TABLES.with_borrow_mut(|tables| Ok(tables.search(entity_type, &camel_case(field), texts(ids))))
}

impl LookupTables {
    fn search(&mut self, table: &str, field: &str, keys: impl Iterator<Item = String>) -> Found {
        let lines = self.lines.get(table).map_or(&[][..], Vec::as_slice);
        let index = self.indexes.entry((table.into(), field.into())).or_insert_with(|| index(lines, field));
        let mut records = BatchBuilder::default();
        let mut answers = vec![];
        for (position, key) in keys.enumerate() {
            for &line in index.get(&key).into_iter().flatten() {
                records.push(lines[line].as_bytes());
                answers.push(position as u32);
            }
        }
        Found { records: records.finish(), answers }
    }
}

/// Returns the indexes of the lines that have each value of `field`. Names of several fields are joined by `+`, and
/// their values by U+001F.
fn index(lines: &[String], field: &str) -> BTreeMap<String, Vec<usize>> {
    let mut index: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (position, line) in lines.iter().enumerate() {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let key: Vec<String> = field.split('+').map(|field| text(&record[field])).collect();
        index.entry(key.join("\u{1f}")).or_default().push(position);
    }
    index
}

/// Returns packed ids as UUID texts.
fn texts(ids: &[u8]) -> impl Iterator<Item = String> {
    ids.chunks(16).map(|id| uuid::Uuid::from_slice(id).expect("16 bytes").to_string())
}

/// Returns the camel-case name of the field for a column's snake-case name.
fn camel_case(column: &str) -> String {
    let mut camel = String::new();
    for (index, part) in column.split('_').enumerate() {
        let (first, rest) = part.split_at(usize::from(index > 0 && !part.is_empty()));
        camel.push_str(&first.to_uppercase());
        camel.push_str(rest);
    }
    camel
}
