//! Checks of the JSON Schemas that are made from tables of fields.

use std::path::Path;

use crate::Domain;

/// Asserts that the files `ENTITY-TYPE.json` of a folder are the JSON Schemas of the domain's entity types. With
/// `SLUICE_BLESS=1` in the environment, writes them first.
///
/// # Panics
///
/// If a file differs, or cannot be read or written.
pub fn check_schemas<D: Domain>(folder: impl AsRef<Path>) {
    for entity in D::ENTITIES {
        let file = folder.as_ref().join(entity.name).with_extension("json");
        let schema = serde_json::to_string_pretty(&entity.json_schema()).expect("a schema is JSON") + "\n";
        if std::env::var_os("SLUICE_BLESS").is_some() {
            std::fs::write(&file, &schema).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
        let written = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // Values and not texts: the order of fields depends on a feature of serde_json that another crate may enable.
        assert!(
            serde_json::from_str::<serde_json::Value>(&written).is_ok_and(|written| written == entity.json_schema()),
            "{} differs from the table of fields: run the test again with SLUICE_BLESS=1",
            file.display()
        );
    }
}
