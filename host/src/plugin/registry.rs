//! The plugins that this server has: the embedded ones, and mappers that the operator named.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::domain::DomainPlugin;
use super::engine::Engine;
use super::failure::PluginError;
use super::inspect::inspect;
use super::mapper::MapperPlugin;
use crate::model::{Digest, Name};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Every plugin of this server.
#[derive(Clone)]
pub struct Plugins {
    engine: Arc<Engine>,
    mappers: BTreeMap<Name, Arc<MapperPlugin>>,
    /// Every mapper, also one whose name another has taken: it can still be tried.
    by_digest: BTreeMap<Digest, Arc<MapperPlugin>>,
    domains: Vec<Arc<DomainPlugin>>,
}

impl Plugins {
    /// The plugins that are part of this binary.
    pub fn embedded(engine: &Arc<Engine>) -> Result<Self, PluginError> {
        let mut plugins =
            Self { engine: engine.clone(), mappers: BTreeMap::new(), by_digest: BTreeMap::new(), domains: vec![] };
        for (name, bytes) in EMBEDDED_MAPPERS {
            let mapper = MapperPlugin::new(engine, name, Digest::of(bytes), bytes)?;
            plugins.offer(mapper);
        }
        for (name, bytes) in EMBEDDED_DOMAINS {
            plugins.domains.push(DomainPlugin::new(engine, name, Digest::of(bytes), bytes)?);
        }
        Ok(plugins)
    }

    /// Adds a mapper, which takes the name of one that is called the same.
    pub fn add_mapper(&mut self, name: &str, bytes: &[u8]) -> Result<Arc<MapperPlugin>, PluginError> {
        inspect(&self.engine, name, bytes)?;
        let mapper = MapperPlugin::new(&self.engine, name, Digest::of(bytes), bytes)?;
        self.offer(mapper.clone());
        Ok(mapper)
    }

    fn offer(&mut self, mapper: Arc<MapperPlugin>) {
        self.by_digest.insert(mapper.digest, mapper.clone());
        self.mappers.insert(mapper.description.name.clone(), mapper);
    }

    /// The mapper with this digest, whether another of its name took its place or not.
    pub fn mapper_with(&self, digest: Digest) -> Option<&Arc<MapperPlugin>> {
        self.by_digest.get(&digest)
    }

    /// The mapper with this name.
    pub fn mapper(&self, name: &str) -> Option<&Arc<MapperPlugin>> {
        self.mappers.get(name)
    }

    /// All mappers that have their name, by it.
    pub fn mappers(&self) -> impl Iterator<Item = &Arc<MapperPlugin>> {
        self.mappers.values()
    }

    /// The same plugins, where it is counted anew what the domain plugins take.
    pub fn metered(&self) -> Self {
        let domains = self.domains.iter().map(|plugin| plugin.metered()).collect();
        Self { domains, ..self.clone() }
    }

    /// All domain plugins.
    pub fn domains(&self) -> &[Arc<DomainPlugin>] {
        &self.domains
    }

    /// Digests of all plugins.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let domains = self.domains.iter().map(|plugin| plugin.digest);
        domains.chain(self.mappers().map(|mapper| mapper.digest))
    }

    /// The plugin of a domain, as the API names it.
    pub fn domain(&self, component: &str) -> Option<&Arc<DomainPlugin>> {
        self.domains.iter().find(|plugin| plugin.description.domain == component)
    }

    /// The plugin that judges this entity type.
    pub fn of_entity_type(&self, entity_type: &str) -> Option<&Arc<DomainPlugin>> {
        self.domains.iter().find(|plugin| plugin.entity_type(entity_type).is_some())
    }
}
