//! What a step works with: one migration's parts, and the ways in which work ends early.

use std::sync::Arc;

use crate::ConnectedPlatform;
use sluice_catalog::{Store, StoreError, TrailError};
use sluice_config::Config;
use sluice_connector::PlatformError;
use sluice_contract::{Context, PluginError};
use sluice_framing::HeaderFault;
use sluice_model::{Blame, Detail, Digest, Migration, told};
use sluice_plugin_host::{DomainPlugin, MapperPlugin, Plugins, Usage};
use sluice_staging::{StagingArea, StagingError};
use sluice_target::{Target, TargetError};

/// One migration and everything that a step needs to work on it.
#[derive(Clone)]
pub struct Desk {
    /// Limits.
    pub config: Arc<Config>,
    /// This server's plugins.
    pub plugins: Arc<Plugins>,
    /// The catalogue.
    pub store: Arc<Store>,
    /// Who knows what is approved; none where nothing has to be, as nothing of it stays.
    pub approvals: Option<Arc<Store>>,
    /// Where records are imported.
    pub target: Arc<dyn Target>,
    /// The platform that it goes to, where that is entered through its own API.
    pub platform: Option<Arc<ConnectedPlatform>>,
    /// The migration.
    pub migration: Migration,
    /// Its staging area.
    pub area: Arc<StagingArea>,
    /// What plugins have used up in this upload or job.
    pub usage: Usage,
}

impl Desk {
    /// What plugins are told of the migration.
    pub fn context(&self) -> Context {
        Context {
            migration: self.migration.reference_id.as_bytes().to_vec(),
            registered_on: self.migration.registered_on().to_string(),
        }
    }

    /// The version of the staging area that is known to be on disk; 0 where it is closed, and nobody can say.
    pub fn acknowledged(&self) -> u64 {
        self.area.durable().unwrap_or(0)
    }

    /// The migration's mapper, if it has one.
    pub fn own_mapper(&self) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        match &self.migration.mapper {
            Some(chosen) => self.mapper(chosen.digest),
            None => Ok(None),
        }
    }

    /// The mapper with this digest, if it may be tried on this migration.
    pub fn mapper(&self, digest: Digest) -> Result<Option<Arc<MapperPlugin>>, PluginError> {
        self.plugins.mapper(digest)
    }

    /// The domain plugins that judge and plan, of the domains that the migration covers.
    fn domains(&self) -> impl Iterator<Item = &Arc<DomainPlugin>> {
        self.migration.components.iter().filter_map(|domain| self.plugins.domain(domain.component))
    }

    /// Digest of all who judge: a validation is theirs, and nobody else's.
    pub fn judges(&self) -> Digest {
        let digests: Vec<u8> = self.domains().flat_map(|plugin| *plugin.digest.bytes()).collect();
        Digest::of(&digests)
    }

    /// Digests of the plugins that may work on the migration: those of its domains, and its mapper.
    pub fn plugin_digests(&self) -> impl Iterator<Item = Digest> {
        let mapper = self.migration.mapper.as_ref().map(|mapper| mapper.digest);
        self.domains().map(|plugin| plugin.digest).chain(mapper)
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
    /// The platform, or the ledger of what was sent to it, failed.
    #[error(transparent)]
    Platform(PlatformError),
    /// The migration goes to a platform that the server is not configured for.
    #[error("the migration's platform is not configured")]
    NoPlatform,
    /// A plugin made what would be imported, or judges it, and nobody has approved it for the tenant.
    #[error("plugin {digest} is not approved")]
    NotApproved {
        /// Its digest.
        digest: Digest,
    },
    /// A table has no header that names its fields.
    #[error("the table's header names no fields")]
    Header(HeaderFault),
}

impl Failure {
    /// Who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Failure::Staging(_) | Failure::Store(_) | Failure::Trail(_) => Blame::Host,
            Failure::NotApproved { .. } => Blame::Plugin,
            Failure::Header(_) => Blame::Record,
            Failure::Plugin(PluginError::Lookup(_) | PluginError::Engine(_) | PluginError::Missing(_)) => Blame::Host,
            Failure::Plugin(_) => Blame::Plugin,
            Failure::Platform(PlatformError::Ledger(_) | PlatformError::Client | PlatformError::Cancelled)
            | Failure::NoPlatform => Blame::Host,
            Failure::Platform(PlatformError::Plan(_)) => Blame::Plugin,
            Failure::Target(_) | Failure::Platform(_) => Blame::Target,
        }
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Staging(_) => "STAGING_FAILED",
            Failure::Store(_) => "CATALOGUE_FAILED",
            Failure::Trail(_) => "AUDIT_FAILED",
            Failure::Plugin(error) => match error {
                PluginError::Refused { .. } | PluginError::Undescribed { .. } => "PLUGIN_REFUSED",
                PluginError::Unfit { .. } => "PLUGIN_UNFIT",
                PluginError::UnfitShare { .. } => "PLUGIN_UNFIT_SHARE",
                PluginError::UnfitTimeouts { .. } => "PLUGIN_UNFIT_TIMEOUTS",
                PluginError::OutOfTime { .. } => "PLUGIN_OUT_OF_TIME",
                PluginError::NotInstantiated { .. } => "PLUGIN_NOT_INSTANTIATED",
                PluginError::Missing(_) => "PLUGIN_MISSING",
                PluginError::Lookup(_) | PluginError::Engine(_) => "PLUGIN_ENGINE_FAILED",
            },
            Failure::Target(_) => "TARGET_FAILED",
            Failure::Platform(error) => error.code(),
            Failure::NoPlatform => "PLATFORM_NOT_CONFIGURED",
            Failure::NotApproved { .. } => "PLUGIN_NOT_APPROVED",
            Failure::Header(_) => "INVALID_HEADER",
        }
    }

    /// What a client may be told: the host's and the target's own trouble is for the log.
    pub fn told(&self) -> Detail {
        match self {
            Failure::Plugin(PluginError::Unfit { plugin, records, code }) => {
                told!("plugin {} is unfit: it broke on {} records, the last time with {}.", plugin, records, code)
            }
            Failure::Plugin(PluginError::UnfitShare { plugin, quarantined, seen, percent }) => told!(
                "plugin {} is unfit: it broke on {} of {} records; {} in a hundred are tolerated.",
                plugin,
                quarantined,
                seen,
                percent
            ),
            Failure::Plugin(PluginError::UnfitTimeouts { plugin, timeouts }) => {
                told!("plugin {} is unfit: it ran out of time {} times.", plugin, timeouts)
            }
            Failure::Plugin(PluginError::OutOfTime { plugin, seconds }) => told!(
                "plugin {} took more than the {} seconds that it may take for all of this: plugin.total_seconds in \
                 the configuration.",
                plugin,
                seconds
            ),
            Failure::Plugin(PluginError::NotInstantiated { plugin, code }) => {
                told!("plugin {} could not be instantiated: {}.", plugin, code)
            }
            Failure::Plugin(PluginError::Undescribed { plugin, entity_type }) => {
                told!("plugin {} generates {}, which it does not describe.", plugin, entity_type)
            }
            Failure::NotApproved { digest } => told!(
                "Plugin {} is not approved for this tenant, or is not any more. Somebody with the permission approve can \
                 approve it: PUT /plugins/{{digest}}/approval.",
                digest
            ),
            Failure::Plugin(error @ PluginError::Refused { .. }) => match error.refusal() {
                Some(refusal) => told!("The plugin is refused: {}.", refusal),
                None => "The plugin is refused.".into(),
            },
            Failure::Plugin(PluginError::Missing(digest)) => told!(
                "The component of plugin {} is missing or damaged in the server's data directory. Restore its file from a \
                 backup, or push it again.",
                digest
            ),
            Failure::Plugin(PluginError::Lookup(_) | PluginError::Engine(_))
            | Failure::Staging(_)
            | Failure::Store(_)
            | Failure::Trail(_) => "The server could not go on. Its log says why.".into(),
            Failure::Platform(error) => told_of(error),
            Failure::NoPlatform => {
                "The migration goes to a platform that this server is not configured for: [platforms.NAME] in \
                 its configuration."
                    .into()
            }
            Failure::Target(_) => "The target could not be read or written. The server's log says why.".into(),
            Failure::Header(fault) => header_told(fault),
        }
    }
}

fn header_told(fault: &HeaderFault) -> Detail {
    match fault {
        HeaderFault::TooLong => {
            "The table's first row, its header, is longer than a record may be. Is it a table, and are separator and quote \
             the right ones?"
                .into()
        }
        HeaderFault::Encoding => {
            "The table's header is not in its encoding. Name the one it is in: Content-Type: text/csv; charset=…".into()
        }
        HeaderFault::Misquoted => {
            "The table's header has a quote within a field that is not quoted, or after one that is. Are separator and \
             quote the right ones?"
                .into()
        }
        HeaderFault::Empty(field) => told!(
            "Field {} of the table's header has no name. Name every field, or send Content-Type: text/csv; header=absent, \
             and the names as ?columns=.",
            field
        ),
        HeaderFault::Duplicate(first, second) => {
            told!("Fields {} and {} of the table's header have the same name. Give each field a name of its own.", first, second)
        }
    }
}

/// What a client may be told of a platform's trouble.
fn told_of(error: &PlatformError) -> Detail {
    match error {
        PlatformError::Unreachable(code) => told!(
            "The platform could not be reached ({}), however often it was tried. What was sent stands in the ledger: start \
             the job again, and it goes on from there.",
            code.clone()
        ),
        PlatformError::Denied(status) => told!(
            "The platform does not let us in (status {}). Look at the credentials in the configuration, and start the job \
             again.",
            u64::from(*status)
        ),
        PlatformError::Answer(what) => {
            told!(
                "The platform's answer about {} is not as it is documented. Nothing was taken for granted.",
                what.clone()
            )
        }
        PlatformError::Newer(_) => {
            "The migration's ledger was written by a later version of Sluice, which can go on with \
                                    it. The server's log has the versions."
                .into()
        }
        PlatformError::Plan(_) | PlatformError::Ledger(_) | PlatformError::Client | PlatformError::Cancelled => {
            "The server could not go on. Its log says why.".into()
        }
    }
}

impl From<PlatformError> for Failure {
    fn from(error: PlatformError) -> Self {
        Failure::Platform(error)
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
            Failure::Target(TargetError::Cancelled) | Failure::Platform(PlatformError::Cancelled) => Stop::Cancelled,
            failure => Stop::Failed(failure),
        }
    }
}
