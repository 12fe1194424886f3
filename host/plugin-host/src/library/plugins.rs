//! The plugins that a tenant's migrations may use: a domain plugin for each domain, and mappers to choose from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::library::Library;
use crate::worlds::domain::DomainPlugin;
use crate::worlds::mapper::MapperPlugin;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::Digest;

/// The plugins of a tenant.
pub struct Plugins {
    library: Arc<Library>,
    domains: Vec<Arc<DomainPlugin>>,
    /// Mappers, each with the limits of its approval.
    mappers: BTreeMap<Digest, PluginLimits>,
}

impl Plugins {
    /// Returns a set of these domain plugins, and these mappers with their limits.
    pub fn new(
        library: Arc<Library>,
        domains: Vec<Arc<DomainPlugin>>,
        mappers: BTreeMap<Digest, PluginLimits>,
    ) -> Self {
        Self { library, domains, mappers }
    }

    /// Returns the mapper with this digest, if the tenant may use it. Compiles it if necessary.
    pub fn mapper(&self, digest: Digest) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        let Some(limits) = self.mappers.get(&digest) else { return Ok(None) };
        Ok(Some(self.library.mapper(digest)?.limited(limits.clone())))
    }

    /// Returns the domain plugin with this digest, even if another one of its domain is in use at present.
    pub fn earlier_domain(&self, digest: Digest) -> Result<Arc<DomainPlugin>, PluginError> {
        self.library.domain(digest)
    }

    /// Returns the domain plugins.
    pub fn domains(&self) -> &[Arc<DomainPlugin>] {
        &self.domains
    }

    /// Returns the plugin of a domain by the domain's name in the API.
    pub fn domain(&self, component: &str) -> Option<&Arc<DomainPlugin>> {
        self.domains.iter().find(|plugin| plugin.description.domain == component)
    }

    /// Returns the plugin that validates this entity type.
    pub fn of_entity_type(&self, entity_type: &str) -> Option<&Arc<DomainPlugin>> {
        self.domains.iter().find(|plugin| plugin.entity_type(entity_type).is_some())
    }
}
