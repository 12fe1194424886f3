//! The order of import: it follows from the references that the domain plugins describe.

use std::sync::Arc;

use sluice_contract::{EntityType, Generation};
use sluice_model::Migration;
use sluice_plugin_host::{DomainPlugin, Plugins};

/// One stage of an import.
#[derive(Clone)]
pub enum Stage {
    /// Carries the staged records of an entity type over.
    Import(Arc<DomainPlugin>, EntityType),
    /// Makes records from imported ones, stages them, and carries them over.
    Generate(Arc<DomainPlugin>, Generation),
}

/// The entity types of the migration's domains, each after those it refers to, and then what is generated.
pub fn stages(plugins: &Plugins, migration: &Migration) -> Vec<Stage> {
    let covered = || plugins.domains().iter().filter(|plugin| migration.covers(&plugin.description.domain));
    let mut open: Vec<(&Arc<DomainPlugin>, &EntityType)> = covered()
        .flat_map(|plugin| plugin.description.entity_types.iter().map(move |entity_type| (plugin, entity_type)))
        .collect();
    let mut stages = vec![];
    while !open.is_empty() {
        let waits = |entity_type: &EntityType| {
            let open = || open.iter().map(|(_, open)| &open.name);
            let mut others =
                entity_type.references.iter().filter(|reference| entity_type.name != *reference.entity_type);
            others.any(|reference| open().any(|name| **name == *reference.entity_type))
        };
        // Types that refer to each other in a ring have no order; the first described goes first.
        let next = open.iter().position(|(_, entity_type)| !waits(entity_type)).unwrap_or(0);
        let (plugin, entity_type) = open.remove(next);
        stages.push(Stage::Import(plugin.clone(), entity_type.clone()));
    }
    for plugin in covered() {
        let generations = plugin.description.generations.iter();
        stages.extend(generations.map(|generation| Stage::Generate(plugin.clone(), generation.clone())));
    }
    stages
}
