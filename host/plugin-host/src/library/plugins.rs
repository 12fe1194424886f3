//! The plugins that a tenant's migrations may use: a domain plugin for each domain, and mappers to choose from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::library::Library;
use crate::worlds::domain::DomainPlugin;
use crate::worlds::mapper::MapperPlugin;
use sluice_config::PluginLimits;
use sluice_contract::PluginError;
use sluice_model::{Digest, Tenant};

/// A mapper that a tenant may use.
#[derive(Clone, Debug)]
pub struct MapperGrant {
    /// Tenant that pushed it. `None` stands for the operator.
    pub owner: Option<Tenant>,
    /// Limits of its approval.
    pub limits: PluginLimits,
}

/// The plugins of a tenant.
pub struct Plugins {
    tenant: Tenant,
    library: Arc<Library>,
    domains: Vec<Arc<DomainPlugin>>,
    mappers: BTreeMap<Digest, MapperGrant>,
}

impl Plugins {
    /// Returns a tenant's set of these domain plugins, and these mappers.
    pub fn new(
        tenant: Tenant,
        library: Arc<Library>,
        domains: Vec<Arc<DomainPlugin>>,
        mappers: BTreeMap<Digest, MapperGrant>,
    ) -> Self {
        Self { tenant, library, domains, mappers }
    }

    /// Returns the mapper with this digest, if the tenant may use it. Compiles it if necessary.
    pub fn mapper(&self, digest: Digest) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        let Some(MapperGrant { owner, limits }) = self.mappers.get(&digest) else { return Ok(None) };
        Ok(Some(self.library.mapper(owner.as_ref(), digest)?.for_tenant(&self.tenant, limits.clone())))
    }

    /// Returns the domain plugin with this digest, even if another one of its domain is in use at present.
    pub fn earlier_domain(&self, digest: Digest) -> Result<Arc<DomainPlugin>, PluginError> {
        let limits = self.library.engine().limits.clone();
        Ok(self.library.domain(digest)?.for_tenant(&self.tenant, limits))
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
