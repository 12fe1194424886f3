//! What plugins say of themselves, checked once and taken over into words of the host's own: from here on
//! nothing a plugin calls something is text of its own making.
//!
//! A description is asked for in a store that has seen no record and offers no lookup, so nothing in it can come
//! out of one.

use super::vocabulary::Vocabulary;
pub use super::wire::{ColumnKind, Reference, Tally};
use super::wire::{WireCountGroup, WireDomainDescription, WireEntityType, WireMapperDescription};
use sluice_model::{Code, FieldPath, Name, Severity, Version};

/// Codes that a plugin may declare: far more than anyone will read about.
const MAX_CODES: usize = 500;
/// Names of fields that a source or an entity type may declare: the widest tables of old systems have hundreds.
pub const MAX_FIELDS: usize = 2_000;
/// Sources, entity types, columns of one, or values of a field, that a plugin may describe.
const MAX_ENTRIES: usize = 2_000;

/// A table of the old system.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name in the upload's path.
    pub name: Name,
    /// Fields that identify a record.
    pub key: Vec<String>,
    /// Further fields by which it can be looked up.
    pub lookups: Vec<String>,
}

/// A mapper's description.
#[derive(Clone, Debug)]
pub struct MapperDescription {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// In upload order.
    pub sources: Vec<Source>,
    /// What it produces.
    pub entity_types: Vec<Name>,
}

/// A value of a record as a column of its table.
#[derive(Clone, Debug)]
pub struct Column {
    /// Unique in its table.
    pub name: Name,
    /// Where the value stands in the record.
    pub path: String,
    /// What it holds.
    pub kind: ColumnKind,
}

/// An entity type of a domain.
#[derive(Clone, Debug)]
pub struct EntityType {
    /// Its name in paths.
    pub name: Name,
    /// In the order of the table; the first is the reference id.
    pub columns: Vec<Column>,
    /// What it refers to.
    pub references: Vec<Reference>,
    /// Paths of money to add up.
    pub amounts: Vec<String>,
}

/// A verification count.
#[derive(Clone, Debug)]
pub struct CountGroup {
    /// Its name.
    pub name: Name,
    /// What is counted.
    pub entity_type: Name,
    /// By which field.
    pub field: Name,
    /// The values that are told apart.
    pub values: Vec<Name>,
}

/// A rule over many records.
#[derive(Clone, Debug)]
pub struct TallyRule {
    /// Its code.
    pub code: Code,
    /// Severity of its issues.
    pub severity: Severity,
    /// The field that an issue names.
    pub field: FieldPath,
}

/// Records made from imported ones.
#[derive(Clone, Debug)]
pub struct Generation {
    /// What is made.
    pub entity_type: Name,
    /// From what.
    pub source: Name,
    /// Entity types whose records must have been imported before.
    pub after: Vec<Name>,
}

/// A domain plugin's description.
#[derive(Clone, Debug)]
pub struct DomainDescription {
    /// Its name.
    pub name: Name,
    /// Its version.
    pub version: Version,
    /// The domain as the API names it.
    pub domain: Name,
    /// Its entity types.
    pub entity_types: Vec<EntityType>,
    /// Its verification counts.
    pub count_groups: Vec<CountGroup>,
    /// Its rules over many records.
    pub tally_rules: Vec<TallyRule>,
    /// What it generates.
    pub generations: Vec<Generation>,
}

/// Something of a description, or what is wrong with it.
pub type Checked<T> = Result<T, String>;

/// A name that may stand in paths and file names: lower-case letters, digits, `-`, `_`.
pub fn path_name(name: &str) -> Option<Name> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    Name::declared(name).filter(|name| name.bytes().all(plain))
}

pub fn plugin_name(name: &str) -> Checked<Name> {
    path_name(name).ok_or_else(|| "its name is not made of lower-case letters, digits, - and _".into())
}

pub fn plugin_version(version: &str) -> Checked<Version> {
    Version::declared(version).ok_or_else(|| "its version is not made of at most 32 letters, digits and .-+".into())
}

fn name(what: &str, name: &str) -> Checked<Name> {
    Name::declared(name).ok_or_else(|| format!("{what} has no proper name"))
}

fn entity_type_name(name: &str) -> Checked<Name> {
    path_name(name).ok_or_else(|| "an entity type has no proper name".into())
}

pub fn bounded<T>(what: &str, most: usize, items: &[T]) -> Checked<()> {
    if items.len() <= most { Ok(()) } else { Err(format!("it describes more than {most} {what}")) }
}

pub fn codes(declared: &[String]) -> Checked<Vec<Code>> {
    bounded("codes", MAX_CODES, declared)?;
    let code = |(index, code): (usize, &String)| {
        Code::declared(code)
            .ok_or_else(|| format!("code {} is not made of at most 64 upper-case letters, digits and _", index + 1))
    };
    declared.iter().enumerate().map(code).collect()
}

/// What a mapper says of itself and may say later, or what is wrong with that.
pub fn check_mapper(described: WireMapperDescription) -> Checked<(MapperDescription, Vocabulary)> {
    let (name, version) = (plugin_name(&described.name)?, plugin_version(&described.version)?);
    bounded("sources", MAX_ENTRIES, &described.sources)?;
    bounded("entity types", MAX_ENTRIES, &described.entity_types)?;
    if described.sources.is_empty() {
        return Err("it names no source".into());
    }
    let mut vocabulary = Vocabulary::new(codes(&described.codes)?);
    let mut sources: Vec<Source> = vec![];
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
        sources.push(Source { name, key: source.key, lookups: source.lookups });
    }
    let entity_types = described.entity_types.iter().map(|name| entity_type_name(name)).collect::<Checked<_>>()?;
    Ok((MapperDescription { name, version, sources, entity_types }, vocabulary))
}

/// What a domain plugin says of itself, and may say later of records of its entity types and of those that it
/// generates from; or what is wrong with that.
pub fn check_domain(described: WireDomainDescription) -> Checked<(DomainDescription, [Vocabulary; 2])> {
    let (plugin, version) = (plugin_name(&described.name)?, plugin_version(&described.version)?);
    bounded("entity types", MAX_ENTRIES, &described.entity_types)?;
    if described.entity_types.is_empty() {
        return Err("it has no entity type".into());
    }
    let mut declared = codes(&described.codes)?;
    let rules: Vec<String> = described.tally_rules.iter().map(|rule| rule.code.clone()).collect();
    let rules = codes(&rules)?;
    declared.extend(rules.iter().cloned());
    let (mut vocabulary, mut of_sources) = (Vocabulary::new(declared.clone()), Vocabulary::new(declared));
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
    let tally_rules = tally_rules.collect::<Checked<_>>()?;
    let mut generations = vec![];
    for generation in described.generations {
        let (made, source) = (entity_type_name(&generation.entity_type)?, entity_type_name(&generation.source)?);
        bounded("fields of a generation", MAX_FIELDS, &generation.fields)?;
        of_sources.add_fields(&made, &generation.fields);
        let after = check_after(&made, &generation.after)?;
        generations.push(Generation { entity_type: made, source, after });
    }
    let count_groups = described.count_groups.iter().map(check_count_group).collect::<Checked<_>>()?;
    let domain = name("its domain", &described.domain)?;
    let name = plugin;
    let description = DomainDescription { name, version, domain, entity_types, count_groups, tally_rules, generations };
    Ok((description, [vocabulary, of_sources]))
}

/// Checks the entity types that have to be imported before a generation of `made`.
fn check_after(made: &Name, after: &[String]) -> Checked<Vec<Name>> {
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

fn check_entity_type(entity_type: &WireEntityType) -> Checked<EntityType> {
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

fn check_count_group(group: &WireCountGroup) -> Checked<CountGroup> {
    bounded("values of a field", MAX_ENTRIES, &group.values)?;
    Ok(CountGroup {
        name: name("a count", &group.name)?,
        entity_type: entity_type_name(&group.entity_type)?,
        field: name("the field of a count", &group.field)?,
        values: group.values.iter().map(|value| name("a value that is counted", value)).collect::<Checked<_>>()?,
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
