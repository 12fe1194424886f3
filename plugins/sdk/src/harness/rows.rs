//! Tables of invalid values: each row changes one value of a record and lists the expected issues.

use serde_json::Value;

use super::Harness;
use crate::Domain;
use crate::bindings::domain::exports::sluice::plugin::validation::Tally;

/// A change of one value of a record: the path of the value, the JSON text that replaces it (empty text removes it),
/// and the expected issues, joined by `; `.
pub type Row<'a> = (&'a str, &'a str, &'a str);

impl Harness {
    /// Asserts that `record` has no issue, and that each row's variant has the issues that the row expects. Issues have
    /// the form of [`said`](Self::said).
    pub fn check_rows<D: Domain>(&self, entity_type: &str, migration: bool, record: &str, rows: &[Row]) {
        let record = &record.replace('\n', "");
        assert_eq!(self.said::<D>(entity_type, migration, record), "", "{entity_type} itself");
        for (path, value, expected) in rows {
            let said = self.said::<D>(entity_type, migration, &with(record, path, value));
            assert_eq!(said, *expected, "{entity_type} with {path} = {value}");
        }
    }

    /// Returns the contributions of these records to rules over many records.
    pub fn tallies<D: Domain>(&self, entity_type: &str, lines: &str) -> Vec<Tally> {
        self.validate::<D>(entity_type, true, lines).tallies
    }

    /// Returns the issues of these records, joined by `; `. Position 0 and severity `error` are omitted:
    /// `INVALID_FORMAT birthDate`.
    pub fn said<D: Domain>(&self, entity_type: &str, migration: bool, lines: &str) -> String {
        let said = self.issues::<D>(entity_type, migration, lines);
        let said = said.iter().map(|issue| issue.strip_prefix("0 ").unwrap_or(issue).replacen("error ", "", 1));
        said.collect::<Vec<_>>().join("; ")
    }
}

/// Returns `record` with the value at `path`, such as `addresses[0].postalCode`, replaced by this JSON text, or removed
/// if the text is empty.
///
/// # Panics
///
/// If `record` is not JSON or has no such path.
pub fn with(record: &str, path: &str, value: &str) -> String {
    const PLACEHOLDER: &str = "<the value goes here>";
    let mut json: Value = serde_json::from_str(record).expect("JSON");
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let (parent, name) = pointer.rsplit_once('/').expect("a path");
    let parent = json.pointer_mut(parent).unwrap_or_else(|| panic!("the record has no path {path}"));
    match parent {
        Value::Object(fields) if value.is_empty() => {
            fields.remove(name).unwrap_or_else(|| panic!("the record has no value to remove at {path}"));
        }
        Value::Object(fields) => {
            fields.insert(name.into(), PLACEHOLDER.into());
        }
        other => other[name.parse::<usize>().expect("an index")] = PLACEHOLDER.into(),
    }
    json.to_string().replace(&format!("\"{PLACEHOLDER}\""), value)
}

/// Reads a JSON record as `T`. Numbers keep their digits.
///
/// # Panics
///
/// If the record does not fit `T`.
pub fn parse<'a, T: serde::Deserialize<'a>>(record: &'a str) -> T {
    serde_json::from_str(record).expect("a record of this type")
}
