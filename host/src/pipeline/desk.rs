//! What a step works with: one migration's parts, and the ways in which work ends early.

use std::sync::Arc;

use crate::config::Config;
use crate::model::{Blame, Detail, Digest, Migration, told};
use crate::plugin::{Context, MapperPlugin, PluginError, Plugins};
use crate::staging::{StagingArea, StagingError};
use crate::store::{Store, StoreError, TrailError};
use crate::target::{Target, TargetError};

/// One migration and everything that a step needs to work on it.
#[derive(Clone)]
pub struct Desk {
    /// Limits.
    pub config: Arc<Config>,
    /// This server's plugins.
    pub plugins: Arc<Plugins>,
    /// The catalogue.
    pub store: Arc<Store>,
    /// Where records are imported.
    pub target: Arc<dyn Target>,
    /// The migration.
    pub migration: Migration,
    /// Its staging area.
    pub area: Arc<StagingArea>,
}

impl Desk {
    /// What plugins are told of the migration.
    pub fn context(&self) -> Context {
        Context {
            migration: self.migration.reference_id.as_bytes().to_vec(),
            registered_on: self.migration.registered_on().to_string(),
        }
    }

    /// The mapper with this digest, if it may be tried on this migration.
    pub fn mapper(&self, digest: Digest) -> Option<Arc<MapperPlugin>> {
        self.plugins.mapper_with(digest).cloned()
    }

    /// The migration's own mapper, if it has one.
    pub fn own_mapper(&self) -> Option<Arc<MapperPlugin>> {
        self.migration.mapper.as_deref().and_then(|name| self.plugins.mapper(name)).cloned()
    }

    /// Digests of the plugins that may work on the migration: those of its domains, and its mapper.
    pub fn plugin_digests(&self) -> impl Iterator<Item = Digest> {
        let mapper = self.own_mapper();
        let domains = self.migration.components.iter().filter_map(|domain| self.plugins.domain(domain.component));
        domains.map(|plugin| plugin.digest).chain(mapper.map(|mapper| mapper.digest))
    }
}

/// Why a step cannot go on. A record that is wrong is not among these.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The staging area failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit trail could not be added to.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// A plugin is unfit, or the engine failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl Failure {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Failure::Staging(_) | Failure::Store(_) | Failure::Trail(_) => Blame::Host,
            Failure::Plugin(
                PluginError::Refused { .. } | PluginError::Unfit { .. } | PluginError::Undescribed { .. },
            ) => Blame::Plugin,
            Failure::Plugin(_) => Blame::Host,
            Failure::Target(_) => Blame::Target,
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Staging(_) => "STAGING_FAILED",
            Failure::Store(_) => "CATALOGUE_FAILED",
            Failure::Trail(_) => "AUDIT_FAILED",
            Failure::Plugin(PluginError::Unfit { .. }) => "PLUGIN_UNFIT",
            Failure::Plugin(PluginError::Refused { .. } | PluginError::Undescribed { .. }) => "PLUGIN_REFUSED",
            Failure::Plugin(_) => "PLUGIN_ENGINE_FAILED",
            Failure::Target(_) => "TARGET_FAILED",
        }
    }

    /// What a client may be told: the host's and the target's own trouble is for the log.
    pub fn told(&self) -> Detail {
        match self {
            Failure::Plugin(PluginError::Unfit { plugin, records, code }) => {
                told!("plugin {} is unfit: it broke on {} records, the last time with {}.", plugin, records, code)
            }
            Failure::Plugin(PluginError::Undescribed { plugin, entity_type }) => {
                told!("plugin {} generates {}, which it does not describe.", plugin, entity_type)
            }
            Failure::Plugin(PluginError::Refused { .. }) => "A plugin was refused. The server's log says why.".into(),
            Failure::Plugin(_) | Failure::Staging(_) | Failure::Store(_) | Failure::Trail(_) => {
                "The server could not go on. Its log says why.".into()
            }
            Failure::Target(_) => "The target could not be read or written. The server's log says why.".into(),
        }
    }
}

/// How a job ended before its end.
#[derive(Debug)]
pub enum Stop {
    /// Somebody cancelled it.
    Cancelled,
    /// It cannot go on.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        match error.into() {
            Failure::Target(TargetError::Cancelled) => Stop::Cancelled,
            failure => Stop::Failed(failure),
        }
    }
}
