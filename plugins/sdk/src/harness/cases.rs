//! Tables of cases: one row a thing that can be wrong, and what is said of it.

use serde_json::Value;

use super::Harness;
use crate::Domain;
use crate::bindings::domain::exports::sluice::plugin::validation::Tally;

/// A record in which one value is another: its path, the JSON text that takes its place (nothing
/// removes it), and the issues that follow, joined by `; `.
pub type Row<'a> = (&'a str, &'a str, &'a str);

impl Harness {
    /// Checks that `record` is right, and says of each row's variant what the row expects, without
    /// position and, for an error, without severity: `INVALID_FORMAT birthDate`.
    pub fn check_rows<D: Domain>(&self, entity_type: &str, migration: bool, record: &str, rows: &[Row]) {
        let record = &record.replace('\n', "");
        assert_eq!(self.said::<D>(entity_type, migration, record), "", "{entity_type} itself");
        for (path, value, expected) in rows {
            let said = self.said::<D>(entity_type, migration, &with(record, path, value));
            assert_eq!(said, *expected, "{entity_type} with {path} = {value}");
        }
    }

    /// What these records add to the rules over many records.
    pub fn tallies<D: Domain>(&self, entity_type: &str, lines: &str) -> Vec<Tally> {
        self.validate::<D>(entity_type, true, lines).tallies
    }

    /// All issues of these records in one line: `INVALID_FORMAT birthDate`, with the position before
    /// it where it is not 0.
    pub fn said<D: Domain>(&self, entity_type: &str, migration: bool, lines: &str) -> String {
        let said = self.issues::<D>(entity_type, migration, lines);
        let said = said.iter().map(|issue| issue.strip_prefix("0 ").unwrap_or(issue).replacen("error ", "", 1));
        said.collect::<Vec<_>>().join("; ")
    }
}

/// `record` with the value at `path`, such as `addresses[0].postalCode`, replaced by this JSON text, or
/// removed where that is empty.
pub fn with(record: &str, path: &str, value: &str) -> String {
    const HERE: &str = "<the value goes here>";
    let mut json: Value = serde_json::from_str(record).expect("JSON");
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let (parent, name) = pointer.rsplit_once('/').expect("a path");
    let parent = json.pointer_mut(parent).unwrap_or_else(|| panic!("no such place: {path}"));
    match parent {
        Value::Object(fields) if value.is_empty() => {
            fields.remove(name).unwrap_or_else(|| panic!("nothing to remove: {path}"));
        }
        Value::Object(fields) => {
            fields.insert(name.into(), HERE.into());
        }
        other => other[name.parse::<usize>().expect("an index")] = HERE.into(),
    }
    json.to_string().replace(&format!("\"{HERE}\""), value)
}

/// Reads a record that was made, with the digits of its numbers as they are.
pub fn parse<'a, T: serde::Deserialize<'a>>(record: &'a str) -> T {
    serde_json::from_str(record).expect("a record of this type")
}
