//! The context of a migration: everything that its steps work with.

use std::sync::Arc;

use crate::{ConnectedPlatform, PipelineError};
use sluice_catalog::Catalog;
use sluice_config::Config;
use sluice_contract::{Context, PluginError};
use sluice_model::{Digest, Migration};
use sluice_plugin_host::{DomainPlugin, MapperPlugin, Plugins, Usage};
use sluice_staging::StagingArea;
use sluice_target::{Target, TargetError};

/// A migration with everything that a step needs to work on it.
#[derive(Clone)]
pub struct MigrationContext {
    /// Configuration of the server.
    pub config: Arc<Config>,
    /// Plugins of the migration's tenant.
    pub plugins: Arc<Plugins>,
    /// The catalogue.
    pub store: Arc<Catalog>,
    /// The catalogue of approvals; none if nothing has to be approved, as in a trial.
    pub approvals: Option<Arc<Catalog>>,
    /// Target of the import, with the rows that the migration's tenant may see.
    pub target: Arc<dyn Target>,
    /// Platform of the import, if it has an API of its own.
    pub platform: Option<Arc<ConnectedPlatform>>,
    /// The migration.
    pub migration: Migration,
    /// Staging area of the migration.
    pub area: Arc<StagingArea>,
    /// Resources that plugins have used in this upload or job.
    pub usage: Usage,
}

impl MigrationContext {
    /// Returns the part of the migration that plugins see.
    pub fn plugin_context(&self) -> Context {
        Context {
            migration: self.migration.reference_id.as_bytes().to_vec(),
            registered_on: self.migration.registered_on().to_string(),
        }
    }

    /// Returns the version of the staging area that is known to be on disk; 0 if the area is closed.
    pub fn acknowledged(&self) -> u64 {
        self.area.durable().unwrap_or(0)
    }

    /// Returns the migration's mapper, if it has one.
    pub fn own_mapper(&self) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        match &self.migration.mapper {
            Some(chosen) => self.mapper(chosen.digest),
            None => Ok(None),
        }
    }

    /// Returns the mapper with this digest, if the migration may use it.
    pub fn mapper(&self, digest: Digest) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        self.plugins.mapper(digest)
    }

    /// Returns the domain plugins of the domains that the migration covers.
    fn domains(&self) -> impl Iterator<Item = &Arc<DomainPlugin>> {
        self.migration.components.iter().filter_map(|domain| self.plugins.domain(domain.component))
    }

    /// Returns one digest over all validators, and over the state of the rows that they can look up in the target. A
    /// validation holds only for the validators that made it, and for the rows that it looked up.
    pub fn validators_digest(&self) -> Result<Digest, TargetError> {
        let mut digests: Vec<u8> = self.domains().flat_map(|plugin| *plugin.digest.bytes()).collect();
        digests.extend_from_slice(&self.target.lookup_state()?);
        Ok(Digest::of(&digests))
    }

    /// Checks that the staged records are validated as they are. Another migration may have removed rows from the target
    /// that they refer to.
    pub(crate) fn check_validated(&self) -> Result<(), PipelineError> {
        // A trial validates on its own.
        if self.approvals.is_none() {
            return Ok(());
        }
        let valid = Some((self.area.version()?, self.validators_digest()?));
        if self.store.validated(self.migration.reference_id)? == valid { Ok(()) } else { Err(PipelineError::Outdated) }
    }

    /// Returns the digests of the plugins that may work on the migration: its domain plugins, and its mapper.
    pub fn plugin_digests(&self) -> impl Iterator<Item = Digest> {
        let mapper = self.migration.mapper.as_ref().map(|mapper| mapper.digest);
        self.domains().map(|plugin| plugin.digest).chain(mapper)
    }
}
