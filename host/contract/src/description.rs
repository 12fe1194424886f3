//! Descriptions of plugins. They are checked once and converted to checked names, so that no other part handles text of a
//! plugin's own making.
//!
//! The host asks for a description in a store that has seen no record and offers no lookup, so it cannot contain data of
//! a record.

use super::vocabulary::Vocabulary;
pub use super::wire::{ColumnKind, Reference, TallyEntry};
use super::wire::{WireCountGroup, WireDomainDescription, WireEntityType, WireMapperDescription};
use sluice_model::{Code, FieldName, FieldPath, Name, Severity, Version};

/// Maximum number of codes that a plugin may declare.
const MAX_CODES: usize = 500;
/// Maximum number of fields of a source or an entity type. The widest tables of old systems have hundreds.
pub(crate) const MAX_FIELDS: usize = 2_000;
/// Maximum number of sources, entity types, columns of an entity type, or values of a field.
const MAX_ENTRIES: usize = 2_000;

/// A table of the old system.
#[derive(Clone, Debug)]
pub struct SourceTable {
    /// Name in the path of an upload.
    pub name: Name,
    /// Fields that identify a record.
    pub key: Vec<String>,
    /// Further fields by which a record can be looked up.
    pub lookups: Vec<String>,
}

impl SourceTable {
    /// Returns the fields that identify a record, as they may be shown. A name with a control character is left out.
    pub fn key_fields(&self) -> Vec<FieldName> {
        self.key.iter().filter_map(|field| FieldName::from_description(field)).collect()
    }
}

/// A mapper's description.
#[derive(Clone, Debug)]
pub struct MapperDescription {
    /// Name of the plugin.
    pub name: Name,
    /// Version of the plugin.
    pub version: Version,
    /// Sources in the recommended order of upload.
    pub sources: Vec<SourceTable>,
    /// Entity types that the mapper produces.
    pub entity_types: Vec<Name>,
}

/// A column of an entity type's table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Name, unique in the table.
    pub name: Name,
    /// Path of the value in the record.
    pub path: String,
    /// Type of the column.
    pub kind: ColumnKind,
}

/// An entity type of a domain.
#[derive(Clone, Debug)]
pub struct EntityType {
    /// Name in paths.
    pub name: Name,
    /// Columns in the order of the table. The first is the reference id.
    pub columns: Vec<Column>,
    /// References to other records.
    pub references: Vec<Reference>,
    /// Paths of money values that verification adds up.
    pub amounts: Vec<String>,
}

/// A verification count: the number of records for each value of a field.
#[derive(Clone, Debug)]
pub struct CountGroup {
    /// Name of the plugin.
    pub name: Name,
    /// Entity type of the counted records.
    pub entity_type: Name,
    /// Field whose values are counted.
    pub field: Name,
    /// Values that are counted separately.
    pub values: Vec<Name>,
}

/// A rule over many records.
#[derive(Clone, Debug)]
pub struct TallyRule {
    /// Code of the rule.
    pub code: Code,
    /// Severity of its issues.
    pub severity: Severity,
    /// Field that an issue names.
    pub field: FieldPath,
}

/// A kind of record that a domain plugin makes from imported records.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Entity type of the new records.
    pub entity_type: Name,
    /// Entity type of the imported records.
    pub source: Name,
    /// Entity types whose records must have been imported before.
    pub after: Vec<Name>,
}

/// A domain plugin's description.
#[derive(Clone, Debug)]
pub struct DomainDescription {
    /// Name of the plugin.
    pub name: Name,
    /// Version of the plugin.
    pub version: Version,
    /// Name of the domain in the API.
    pub domain: Name,
    /// Entity types of the domain.
    pub entity_types: Vec<EntityType>,
    /// Verification counts.
    pub count_groups: Vec<CountGroup>,
    /// Rules over many records.
    pub tally_rules: Vec<TallyRule>,
    /// Kinds of records that the plugin generates.
    pub generations: Vec<Generation>,
}

/// A checked part of a description, or a clause that says what is wrong with it.
pub type DescriptionResult<T> = Result<T, String>;

/// Returns a name that may be used in paths and file names: lower-case letters, digits, `-` and `_`.
pub(crate) fn path_name(name: &str) -> Option<Name> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    Name::from_description(name).filter(|name| name.bytes().all(plain))
}

/// Checks the name of a plugin.
pub(crate) fn plugin_name(name: &str) -> DescriptionResult<Name> {
    path_name(name).ok_or_else(|| "its name is not made of lower-case letters, digits, - and _".into())
}

/// Checks the version of a plugin.
pub(crate) fn plugin_version(version: &str) -> DescriptionResult<Version> {
    Version::from_description(version)
        .ok_or_else(|| "its version is not made of at most 32 letters, digits and .-+".into())
}

/// Checks a name of `what`.
fn name(what: &str, name: &str) -> DescriptionResult<Name> {
    Name::from_description(name).ok_or_else(|| format!("{what} has no proper name"))
}

/// Checks the name of an entity type.
fn entity_type_name(name: &str) -> DescriptionResult<Name> {
    path_name(name).ok_or_else(|| "an entity type has no proper name".into())
}

/// Checks that a list has at most `most` items.
pub(crate) fn bounded<T>(what: &str, most: usize, items: &[T]) -> DescriptionResult<()> {
    if items.len() <= most { Ok(()) } else { Err(format!("it describes more than {most} {what}")) }
}

/// Checks declared codes.
pub(crate) fn codes(declared: &[String]) -> DescriptionResult<Vec<Code>> {
    bounded("codes", MAX_CODES, declared)?;
    let code = |(index, code): (usize, &String)| {
        Code::from_description(code)
            .ok_or_else(|| format!("code {} is not made of at most 64 upper-case letters, digits and _", index + 1))
    };
    declared.iter().enumerate().map(code).collect()
}

/// Checks a mapper's description. Returns it with the vocabulary of the mapper's later output.
pub fn check_mapper(described: WireMapperDescription) -> DescriptionResult<(MapperDescription, Vocabulary)> {
    let (name, version) = (plugin_name(&described.name)?, plugin_version(&described.version)?);
    bounded("sources", MAX_ENTRIES, &described.sources)?;
    bounded("entity types", MAX_ENTRIES, &described.entity_types)?;
    if described.sources.is_empty() {
        return Err("it names no source".into());
    }
    let mut vocabulary = Vocabulary::new(codes(&described.codes)?);
    let mut sources: Vec<SourceTable> = vec![];
    for (index, source) in described.sources.into_iter().enumerate() {
        let name = path_name(&source.name).ok_or_else(|| format!("source {} has no proper name", index + 1))?;
        if source.key.is_empty() {
            return Err(format!("source {name} has no key field"));
        }
        if sources.iter().any(|earlier| earlier.name == name) {
            return Err(format!("source {name} is there twice"));
        }
        bounded("fields of a source", MAX_FIELDS, &source.fields)?;
        bounded("key fields of a source", MAX_FIELDS, &source.key)?;
        bounded("lookups of a source", MAX_FIELDS, &source.lookups)?;
        vocabulary.add_fields(&name, [&source.key, &source.lookups].into_iter().flatten().chain(&source.fields));
        sources.push(SourceTable { name, key: source.key, lookups: source.lookups });
    }
    let entity_types =
        described.entity_types.iter().map(|name| entity_type_name(name)).collect::<DescriptionResult<_>>()?;
    Ok((MapperDescription { name, version, sources, entity_types }, vocabulary))
}

/// Checks a domain plugin's description. Returns it with the vocabularies of the plugin's later output: for records of its
/// entity types, and for the records that it generates from.
pub fn check_domain(described: WireDomainDescription) -> DescriptionResult<(DomainDescription, [Vocabulary; 2])> {
    let (plugin, version) = (plugin_name(&described.name)?, plugin_version(&described.version)?);
    bounded("entity types", MAX_ENTRIES, &described.entity_types)?;
    if described.entity_types.is_empty() {
        return Err("it has no entity type".into());
    }
    let mut declared = codes(&described.codes)?;
    let rules: Vec<String> = described.tally_rules.iter().map(|rule| rule.code.clone()).collect();
    let rules = codes(&rules)?;
    declared.extend(rules.iter().cloned());
    let (mut vocabulary, mut source_vocabulary) = (Vocabulary::new(declared.clone()), Vocabulary::new(declared));
    let mut entity_types = vec![];
    for entity_type in described.entity_types {
        bounded("fields of an entity type", MAX_FIELDS, &entity_type.fields)?;
        let checked = check_entity_type(&entity_type)?;
        vocabulary.add_fields(&checked.name, &entity_type.fields);
        entity_types.push(checked);
    }
    let tally_rules = described.tally_rules.iter().zip(rules).map(|(rule, code)| {
        let field = vocabulary.declared_path(&rule.field);
        Ok(TallyRule {
            severity: rule.severity.into(),
            field: field.ok_or_else(|| format!("rule {code} names a field that it does not declare"))?,
            code,
        })
    });
    let tally_rules = tally_rules.collect::<DescriptionResult<_>>()?;
    let mut generations = vec![];
    for generation in described.generations {
        let (made, source) = (entity_type_name(&generation.entity_type)?, entity_type_name(&generation.source)?);
        bounded("fields of a generation", MAX_FIELDS, &generation.fields)?;
        source_vocabulary.add_fields(&made, &generation.fields);
        let after = check_after(&made, &generation.after)?;
        generations.push(Generation { entity_type: made, source, after });
    }
    let count_groups = described.count_groups.iter().map(check_count_group).collect::<DescriptionResult<_>>()?;
    let domain = name("its domain", &described.domain)?;
    let name = plugin;
    let description = DomainDescription { name, version, domain, entity_types, count_groups, tally_rules, generations };
    Ok((description, [vocabulary, source_vocabulary]))
}

/// Checks the entity types that have to be imported before a generation of `made`.
fn check_after(made: &Name, after: &[String]) -> DescriptionResult<Vec<Name>> {
    bounded("entity types that a generation comes after", MAX_ENTRIES, after)?;
    let earlier = |name: &String| {
        let name = path_name(name)
            .ok_or_else(|| format!("the generation of {made} comes after an entity type without a proper name"))?;
        if name == *made {
            return Err(format!("the generation of {made} comes after {made} itself"));
        }
        Ok(name)
    };
    after.iter().map(earlier).collect()
}

/// Checks an entity type.
fn check_entity_type(entity_type: &WireEntityType) -> DescriptionResult<EntityType> {
    let name = entity_type_name(&entity_type.name)?;
    if !matches!(entity_type.columns.first(), Some(first) if matches!(first.kind, ColumnKind::Id)) {
        return Err(format!("the first column of {name} is not its reference id"));
    }
    bounded("columns of an entity type", MAX_ENTRIES, &entity_type.columns)?;
    let mut columns: Vec<Column> = vec![];
    for column in &entity_type.columns {
        let column_name = path_name(&column.name).filter(|name| !name.contains('-'));
        let column_name = column_name.ok_or_else(|| format!("a column of {name} has no proper name"))?;
        if columns.iter().any(|earlier| earlier.name == column_name) {
            return Err(format!("column {column_name} of {name} is there twice"));
        }
        columns.push(Column { name: column_name, path: column.path.clone(), kind: column.kind });
    }
    let (references, amounts) = (entity_type.references.clone(), entity_type.amounts.clone());
    Ok(EntityType { name, columns, references, amounts })
}

/// Checks a verification count.
fn check_count_group(group: &WireCountGroup) -> DescriptionResult<CountGroup> {
    bounded("values of a field", MAX_ENTRIES, &group.values)?;
    Ok(CountGroup {
        name: name("a count", &group.name)?,
        entity_type: entity_type_name(&group.entity_type)?,
        field: name("the field of a count", &group.field)?,
        values: group
            .values
            .iter()
            .map(|value| name("a value that is counted", value))
            .collect::<DescriptionResult<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire::{WireColumn, WireGeneration, WireSeverity, WireTallyRule};
    use super::*;

    /// A description with one entity type, one rule and one generation.
    fn described(severity: WireSeverity, after: &[&str]) -> WireDomainDescription {
        let column = WireColumn { name: "id".into(), path: "id".into(), kind: ColumnKind::Id };
        let (references, amounts, fields) = (vec![], vec![], vec!["amount".into()]);
        let columns = vec![column];
        let (entity_type, source) = ("schedules".to_owned(), "loans".to_owned());
        let after = after.iter().map(|name| (*name).to_owned()).collect();
        WireDomainDescription {
            name: "given".into(),
            version: "1".into(),
            domain: "Given".into(),
            entity_types: vec![WireEntityType { name: "loans".into(), columns, references, amounts, fields }],
            count_groups: vec![],
            tally_rules: vec![WireTallyRule { code: "TOO_MUCH".into(), severity, field: "amount".into() }],
            generations: vec![WireGeneration { entity_type, source, after, fields: vec![] }],
            codes: vec![],
        }
    }

    #[test]
    fn severity_and_order_are_read() {
        for (wire, severity) in [(WireSeverity::Error, Severity::Error), (WireSeverity::Warning, Severity::Warning)] {
            let (description, _) = check_domain(described(wire, &["repayments", "loans"])).unwrap();
            assert_eq!(description.tally_rules[0].severity, severity);
            assert_eq!(description.generations[0].after, [Name::new("repayments"), Name::new("loans")]);
        }
        let (description, _) = check_domain(described(WireSeverity::Error, &[])).unwrap();
        assert!(description.generations[0].after.is_empty());
    }

    #[test]
    fn a_generation_comes_after_proper_names_of_other_types() {
        let many = vec!["loans"; MAX_ENTRIES + 1];
        let cases: [(&[&str], &str); 4] = [
            (&["loans", "Loans!"], "the generation of schedules comes after an entity type without a proper name"),
            (&[""], "the generation of schedules comes after an entity type without a proper name"),
            (&["loans", "schedules"], "the generation of schedules comes after schedules itself"),
            (&many, "it describes more than 2000 entity types that a generation comes after"),
        ];
        for (after, message) in cases {
            assert_eq!(check_domain(described(WireSeverity::Error, after)).map(drop).unwrap_err(), message);
        }
    }
}
