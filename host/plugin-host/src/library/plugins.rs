//! The plugins that a tenant's migrations may use: a domain plugin for each domain, and mappers to choose from.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::domain::DomainPlugin;
use super::library::Library;
use super::mapper::MapperPlugin;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// What a tenant's migrations may use.
pub struct Plugins {
    library: Arc<Library>,
    domains: Vec<Arc<DomainPlugin>>,
    /// With the limits that each was approved under.
    mappers: BTreeMap<Digest, PluginLimits>,
}

impl Plugins {
    /// These domain plugins, and these mappers under these limits.
    pub fn new(
        library: Arc<Library>,
        domains: Vec<Arc<DomainPlugin>>,
        mappers: BTreeMap<Digest, PluginLimits>,
    ) -> Self {
        Self { library, domains, mappers }
    }

    /// The mapper with this digest, if it may be used.
    pub fn mapper(&self, digest: Digest) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        let Some(limits) = self.mappers.get(&digest) else { return Ok(None) };
        Ok(Some(self.library.mapper(digest)?.limited(limits.clone())))
    }

    /// The domain plugin with this digest, whether or not it judges at present.
    pub fn earlier_domain(&self, digest: Digest) -> Result<Arc<DomainPlugin>, PluginError> {
        self.library.domain(digest)
    }

    /// The domain plugins.
    pub fn domains(&self) -> &[Arc<DomainPlugin>] {
        &self.domains
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
