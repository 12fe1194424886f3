//! What plugins say of themselves, in the host's own types, checked for what the host relies on.

pub use super::bindings::domain::exports::sluice::plugin::validation::{
    Column, ColumnKind, CountGroup, Description as DomainDescription, EntityType, Generation, Reference, Tally,
    TallyRule,
};
pub use super::bindings::mapper::exports::sluice::plugin::mapping::{Description as MapperDescription, Source};

/// Longest name or code that a plugin may give.
const MAX_NAME_BYTES: usize = 64;

/// Whether this is a name that may stand in paths and file names: lower-case letters, digits, `-`, `_`.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

/// Whether this is an issue or log code: upper-case letters, digits and `_`.
pub(super) fn is_code(code: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether this can be the path of a field: short, and without anything that is no part of a path.
pub(super) fn is_field_path(path: &str) -> bool {
    const MAX_PATH_BYTES: usize = 200;
    path.len() <= MAX_PATH_BYTES && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-[]?/".contains(&byte))
}

/// What is wrong with a mapper's description.
pub(super) fn check_mapper(description: &MapperDescription) -> Result<(), String> {
    if !is_name(&description.name) {
        return Err("its name is not made of lower-case letters, digits, - and _".into());
    }
    if description.sources.is_empty() {
        return Err("it names no source".into());
    }
    for (index, source) in description.sources.iter().enumerate() {
        if !is_name(&source.name) {
            return Err(format!("source {} has no proper name", index + 1));
        }
        if source.key.is_empty() {
            return Err(format!("source {} has no key field", source.name));
        }
        if description.sources[..index].iter().any(|earlier| earlier.name == source.name) {
            return Err(format!("source {} is there twice", source.name));
        }
    }
    match description.entity_types.iter().find(|name| !is_name(name)) {
        Some(_) => Err("an entity type has no proper name".into()),
        None => Ok(()),
    }
}

/// What is wrong with a domain plugin's description.
pub(super) fn check_domain(description: &DomainDescription) -> Result<(), String> {
    let column_name = |name: &str| is_name(name) && !name.contains('-');
    for entity_type in &description.entity_types {
        if !is_name(&entity_type.name) {
            return Err("an entity type has no proper name".into());
        }
        if !matches!(entity_type.columns.first(), Some(first) if matches!(first.kind, ColumnKind::Id)) {
            return Err(format!("the first column of {} is not its reference id", entity_type.name));
        }
        for (index, column) in entity_type.columns.iter().enumerate() {
            if !column_name(&column.name) {
                return Err(format!("a column of {} has no proper name", entity_type.name));
            }
            if entity_type.columns[..index].iter().any(|earlier| earlier.name == column.name) {
                return Err(format!("column {} of {} is there twice", column.name, entity_type.name));
            }
        }
    }
    if description.entity_types.is_empty() { Err("it has no entity type".into()) } else { Ok(()) }
}
