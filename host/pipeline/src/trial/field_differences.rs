//! Fields in which two records with one id differ: declared names, without values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::compare::DifferenceCount;
use sluice_model::{FieldPath, SafeValue};
use sluice_plugin_host::DomainPlugin;

/// Maximum number of fields that are counted separately. A domain has some dozens.
const MOST: usize = 1_000;

/// Fields that differ, with the records in which they do. All items of a list count as one field.
#[derive(Default)]
pub(crate) struct FieldDifferences(BTreeMap<FieldPath, DifferenceCount>);

impl FieldDifferences {
    /// Adds each field in which two records differ, once for each record.
    pub fn note(&mut self, plugin: &DomainPlugin, entity_type: &str, id: Uuid, from: &[u8], to: &[u8]) {
        let read = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap_or_default();
        let mut paths = BTreeSet::new();
        differing(&read(from), &read(to), "", &mut paths);
        let declared: BTreeSet<FieldPath> = paths.iter().map(|path| plugin.field_path(entity_type, path)).collect();
        for path in declared {
            if self.0.len() < MOST || self.0.contains_key(&path) {
                self.0.entry(path).or_default().note(id);
            }
        }
    }

    /// Returns the fields with their counts.
    pub fn figures(self) -> SafeValue {
        let field = |(path, kind): (FieldPath, DifferenceCount)| {
            let DifferenceCount { count, ids } = kind;
            let (count, ids) = (SafeValue::from(count), SafeValue::list(ids));
            SafeValue::table([("field", SafeValue::from(path)), ("count", count), ("referenceIds", ids)])
        };
        SafeValue::list(self.0.into_iter().map(field))
    }
}

/// Adds the paths of the differences, as deep as both values have members.
fn differing(from: &Value, to: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
            for name in names {
                // No declared field has a dot or a bracket in its name, so such a name is shown as `?`.
                let within = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match (from.get(name), to.get(name)) {
                    (Some(from), Some(to)) => differing(from, to, &within, paths),
                    _ => drop(paths.insert(within)),
                }
            }
        }
        (Value::Array(from), Value::Array(to)) if from.len() == to.len() => {
            from.iter().zip(to).for_each(|(from, to)| differing(from, to, path, paths));
        }
        (from, to) if from != to => {
            paths.insert(path.to_owned());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_what_differs() {
        let cases = [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1, "b": null}), json!({"a": 2}), vec!["a", "b"]),
            (json!({"a": {"b": 1, "c": [1, 2]}}), json!({"a": {"b": 1, "c": [1, 3]}}), vec!["a.c"]),
            (json!({"l": [{"m": 1, "n": 1}, {"m": 2}]}), json!({"l": [{"m": 3, "n": 1}, {"m": 4}]}), vec!["l.m"]),
            (json!({"l": [1]}), json!({"l": []}), vec!["l"]),
            (json!({"a": "1"}), json!({"a": 1}), vec!["a"]),
        ];
        for (from, to, expected) in cases {
            let mut paths = BTreeSet::new();
            differing(&from, &to, "", &mut paths);
            assert_eq!(paths.into_iter().collect::<Vec<_>>(), expected, "{from} {to}");
        }
    }
}
