//! Which fields of two records with one id differ: by declared names, without values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::Kind;
use sluice_model::{FieldPath, Figure};
use sluice_plugin_host::DomainPlugin;

/// Fields that are told apart; what is beyond is counted with the record alone. A domain has some dozens.
const MOST: usize = 1_000;

/// Fields that differ, with the records in which they do. Items of a list are counted together.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<FieldPath, Kind>);

impl Fields {
    /// Notes each field in which these two differ, once a record.
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

    pub fn figures(self) -> Figure {
        let field = |(path, kind): (FieldPath, Kind)| {
            let Kind { count, ids } = kind;
            let (count, ids) = (Figure::from(count), Figure::list(ids));
            Figure::table([("field", Figure::from(path)), ("count", count), ("referenceIds", ids)])
        };
        Figure::list(self.0.into_iter().map(field))
    }
}

/// Adds the paths of what differs, as deep as both have something there.
fn differing(from: &Value, to: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
            for name in names {
                // A name with a dot or a bracket in it is none that a domain declares, and is shown as `?`.
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
