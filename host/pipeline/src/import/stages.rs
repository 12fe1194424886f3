//! Order of an import's stages. It follows from the references and the predecessors that the domain plugins describe.

use std::sync::Arc;

use sluice_contract::{DomainDescription, EntityType, Generation};
use sluice_model::{Migration, Name};
use sluice_plugin_host::{DomainPlugin, Plugins};

/// One stage of an import.
#[derive(Clone)]
pub enum ImportStage {
    /// Imports the staged records of an entity type.
    Import(Arc<DomainPlugin>, EntityType),
    /// Generates records from imported ones, stages them, and imports them.
    Generate(Arc<DomainPlugin>, Generation),
}

/// Returns the stages of a migration's domains in their order.
///
/// First come the entity types, each after the entity types that it refers to. Then come the generations, each after
/// the generations of its source and of the entity types that its `after` names.
pub fn stages(plugins: &Plugins, migration: &Migration) -> Vec<ImportStage> {
    let covered: Vec<&Arc<DomainPlugin>> =
        plugins.domains().iter().filter(|plugin| migration.covers(&plugin.description.domain)).collect();
    let descriptions: Vec<&DomainDescription> = covered.iter().map(|plugin| &plugin.description).collect();
    let imports = entity_types(&descriptions)
        .into_iter()
        .map(|(plugin, entity_type)| ImportStage::Import(covered[plugin].clone(), entity_type.clone()));
    let generations = generations(&descriptions)
        .into_iter()
        .map(|(plugin, generation)| ImportStage::Generate(covered[plugin].clone(), generation.clone()));
    imports.chain(generations).collect()
}

/// Returns the entity types in the order of import, each with the index of its description.
fn entity_types<'a>(descriptions: &[&'a DomainDescription]) -> Vec<(usize, &'a EntityType)> {
    let described = descriptions.iter().enumerate();
    let described = described.flat_map(|(plugin, of)| of.entity_types.iter().map(move |each| (plugin, each)));
    let waits = |(_, one): &(usize, &EntityType), (_, other): &(usize, &EntityType)| {
        one.name != other.name && one.references.iter().any(|reference| other.name == *reference.entity_type)
    };
    sorted(described.collect(), waits)
}

/// Returns the generations in the order of import, each with the index of its description.
fn generations<'a>(descriptions: &[&'a DomainDescription]) -> Vec<(usize, &'a Generation)> {
    let described = descriptions.iter().enumerate();
    let described = described.flat_map(|(plugin, of)| of.generations.iter().map(move |each| (plugin, each)));
    let waits = |(_, one): &(usize, &Generation), (_, other): &(usize, &Generation)| {
        let needed = |name: &Name| one.source == *name || one.after.contains(name);
        one.entity_type != other.entity_type && needed(&other.entity_type)
    };
    sorted(described.collect(), waits)
}

/// Sorts items so that each comes after the items that it waits for, and otherwise in the order of the description.
/// Items that wait for each other in a ring have no such order: the first described comes first.
fn sorted<T>(mut open: Vec<T>, waits: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut sorted = Vec::with_capacity(open.len());
    while !open.is_empty() {
        let next = open.iter().position(|one| !open.iter().any(|other| waits(one, other))).unwrap_or(0);
        sorted.push(open.remove(next));
    }
    sorted
}

#[cfg(test)]
mod tests {
    use sluice_contract::Reference;
    use sluice_model::Version;

    use super::*;

    /// A generated entity type with its source and its predecessors.
    type Described = (&'static str, &'static str, &'static [&'static str]);

    fn description(types: &[(&'static str, &[&str])], generated: &[Described]) -> DomainDescription {
        let entity_type = |(name, refers_to): &(&'static str, &[&str])| EntityType {
            name: Name::new(name),
            columns: vec![],
            references: refers_to.iter().map(|to| Reference { path: "of".into(), entity_type: (*to).into() }).collect(),
            amounts: vec![],
        };
        let generation = |(entity_type, source, after): &Described| Generation {
            entity_type: Name::new(entity_type),
            source: Name::new(source),
            after: after.iter().map(|name| Name::new(name)).collect(),
        };
        DomainDescription {
            name: Name::new("given"),
            version: Version::from_description("1").unwrap(),
            domain: Name::new("Given"),
            entity_types: types.iter().map(entity_type).collect(),
            count_groups: vec![],
            tally_rules: vec![],
            generations: generated.iter().map(generation).collect(),
        }
    }

    #[test]
    fn an_entity_type_comes_after_those_it_refers_to() {
        type Case<'a> = (&'a [(&'static str, &'a [&'a str])], &'a [&'a str]);
        let cases: [Case; 4] = [
            (&[("loans", &["people"]), ("people", &[])], &["people", "loans"]),
            (&[("a", &["b", "c"]), ("b", &["c"]), ("c", &["c"])], &["c", "b", "a"]),
            (&[("a", &["b"]), ("b", &["a"]), ("c", &[])], &["c", "a", "b"]),
            (&[("a", &["unknown"]), ("b", &[])], &["a", "b"]),
        ];
        for (described, expected) in cases {
            let one = description(described, &[]);
            let order: Vec<&str> = entity_types(&[&one]).into_iter().map(|(_, of)| &*of.name).collect();
            assert_eq!(order, expected);
        }
    }

    /// `after` is honoured within one description and across two, and so is the source. Entity types that are imported,
    /// or that no domain of the migration has, hold no generation back.
    #[test]
    fn a_generation_comes_after_the_entity_types_that_it_names() {
        let cases: [(&[Described], &[Described], &[&str]); 6] = [
            (&[("x", "loans", &["y"]), ("y", "loans", &[])], &[], &["y", "x"]),
            (&[("x", "loans", &["z"])], &[("y", "loans", &[]), ("z", "loans", &["y"])], &["y", "z", "x"]),
            (&[("x", "y", &[])], &[("y", "loans", &["loans"])], &["y", "x"]),
            (&[("x", "loans", &["unknown", "loans"]), ("y", "loans", &[])], &[], &["x", "y"]),
            (&[("x", "loans", &["y"])], &[("y", "loans", &["x"])], &["x", "y"]),
            (&[("y", "loans", &[]), ("x", "loans", &["y"])], &[], &["y", "x"]),
        ];
        for (one, other, expected) in cases {
            let (one, other) = (description(&[("loans", &[])], one), description(&[], other));
            let order: Vec<&str> = generations(&[&one, &other]).into_iter().map(|(_, of)| &*of.entity_type).collect();
            assert_eq!(order, expected);
        }
    }
}
