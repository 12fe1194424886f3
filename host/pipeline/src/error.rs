//! Errors of a step, and the reasons for which a job ends early.

use sluice_catalog::{CatalogError, TrailError};
use sluice_connector::PlatformError;
use sluice_contract::PluginError;
use sluice_framing::HeaderFault;
use sluice_model::{Blame, Digest, Message, TransitionRefusal, message};
use sluice_staging::StagingError;
use sluice_target::TargetError;

/// An error that ends a step. An invalid record is not among them.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The staging area failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The catalogue failed.
    #[error(transparent)]
    Store(#[from] CatalogError),
    /// The audit trail could not be extended.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// A plugin is unfit, or the engine failed.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// The target failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The platform, or the ledger of the calls to it, failed.
    #[error(transparent)]
    Platform(PlatformError),
    /// The server has no configuration for the migration's platform.
    #[error("the migration's platform is not configured")]
    NoPlatform,
    /// A plugin has made or validated the records of the import, and is not approved for the tenant.
    #[error("plugin {digest} is not approved")]
    NotApproved {
        /// Digest of the plugin.
        digest: Digest,
    },
    /// Not every line of an upload is accounted for. The records with a result are staged.
    #[error("not every line of the upload is accounted for")]
    LinesLost,
    /// The work stopped because of a defect.
    #[error("the work stopped because of a defect")]
    Panicked,
    /// The validation is outdated: rows were removed from the target since.
    #[error("the validation is outdated")]
    Outdated,
    /// A table has no header that names its fields.
    #[error("the table's header names no fields")]
    Header(HeaderFault),
}

impl PipelineError {
    /// Returns the party that has to act.
    pub fn blame(&self) -> Blame {
        match self {
            PipelineError::Staging(_)
            | PipelineError::Store(_)
            | PipelineError::Trail(_)
            | PipelineError::LinesLost
            | PipelineError::Panicked => Blame::Host,
            PipelineError::NotApproved { .. } => Blame::Plugin,
            PipelineError::Header(_) | PipelineError::Outdated => Blame::Record,
            PipelineError::Plugin(PluginError::Lookup(_) | PluginError::Engine(_) | PluginError::Missing(_)) => {
                Blame::Host
            }
            PipelineError::Plugin(_) => Blame::Plugin,
            PipelineError::Platform(PlatformError::Ledger(_) | PlatformError::Client | PlatformError::Cancelled)
            | PipelineError::NoPlatform => Blame::Host,
            PipelineError::Platform(PlatformError::Plan(_)) => Blame::Plugin,
            PipelineError::Target(_) | PipelineError::Platform(_) => Blame::Target,
        }
    }

    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            PipelineError::Staging(StagingError::QuotaReached) => "DISK_QUOTA",
            PipelineError::Staging(_) => "STAGING_FAILED",
            PipelineError::Store(_) => "CATALOGUE_FAILED",
            PipelineError::Trail(_) => "AUDIT_FAILED",
            PipelineError::Plugin(error) => match error {
                PluginError::Refused { .. } | PluginError::Undescribed { .. } => "PLUGIN_REFUSED",
                PluginError::Unfit { .. } => "PLUGIN_UNFIT",
                PluginError::UnfitShare { .. } => "PLUGIN_UNFIT_SHARE",
                PluginError::UnfitTimeouts { .. } => "PLUGIN_UNFIT_TIMEOUTS",
                PluginError::OutOfTime { .. } => "PLUGIN_OUT_OF_TIME",
                PluginError::NotInstantiated { .. } => "PLUGIN_NOT_INSTANTIATED",
                PluginError::Missing(_) => "PLUGIN_MISSING",
                PluginError::Lookup(_) | PluginError::Engine(_) => "PLUGIN_ENGINE_FAILED",
            },
            PipelineError::Target(_) => "TARGET_FAILED",
            PipelineError::Platform(error) => error.code(),
            PipelineError::NoPlatform => "PLATFORM_NOT_CONFIGURED",
            PipelineError::NotApproved { .. } => "PLUGIN_NOT_APPROVED",
            PipelineError::Outdated => TransitionRefusal::NotValidated.code(),
            PipelineError::Header(_) => "INVALID_HEADER",
            PipelineError::LinesLost => "LINES_NOT_ACCOUNTED_FOR",
            PipelineError::Panicked => "HOST_PANICKED",
        }
    }

    /// Returns a message for the client. Errors of the server and of the target have their details in the log alone.
    pub fn client_message(&self) -> Message {
        match self {
            PipelineError::Plugin(error) => plugin_message(error),
            PipelineError::NotApproved { digest } => message!(
                "Plugin {} is not approved for this tenant, or its approval was revoked. A client with the permission \
                 approve can approve it: PUT /plugins/{{digest}}/approval, or sluice plugin approve. If it is a mapper, you \
                 can also map its records again with an approved one: sluice remap ID --mapper DIGEST.",
                digest
            ),
            PipelineError::Staging(_) | PipelineError::Store(_) | PipelineError::Trail(_) | PipelineError::Panicked => {
                SERVER_FAILED.into()
            }
            PipelineError::LinesLost => {
                "The server did not account for every line of the upload, because of a defect. \
                                         Its log has the figures. An import is refused until the table is uploaded \
                                         again."
                    .into()
            }
            PipelineError::Platform(error) => platform_message(error),
            PipelineError::NoPlatform => "The server has no configuration for the migration's platform, or does not \
                                          grant it to the tenant. Add [platforms.NAME] to the configuration, with the \
                                          tenant in its tenants."
                .into(),
            PipelineError::Target(_) => "The target cannot be read or written. The server's log has the reason.".into(),
            PipelineError::Outdated => TransitionRefusal::NotValidated.remedy().into(),
            PipelineError::Header(fault) => header_message(fault),
        }
    }
}

/// Message for an error whose details are in the log alone.
const SERVER_FAILED: &str = "The server could not continue. Its log has the reason.";

/// Returns a message for the client about an error of a plugin.
fn plugin_message(error: &PluginError) -> Message {
    match error {
        PluginError::Unfit { plugin, records, code } => {
            message!("Plugin {} is unfit: it failed on {} records, the last time with {}.", plugin, records, code)
        }
        PluginError::UnfitShare { plugin, quarantined, seen, percent } => message!(
            "Plugin {} is unfit: it failed on {} of {} records. At most {} in a hundred are tolerated.",
            plugin,
            quarantined,
            seen,
            percent
        ),
        PluginError::UnfitTimeouts { plugin, timeouts } => {
            message!("Plugin {} is unfit: it ran out of time {} times.", plugin, timeouts)
        }
        PluginError::OutOfTime { plugin, seconds } => message!(
            "Plugin {} exceeded the {} seconds that it may take in total (plugin.total_seconds in the configuration).",
            plugin,
            seconds
        ),
        PluginError::NotInstantiated { plugin, code } => {
            message!("Plugin {} cannot be instantiated: {}.", plugin, code)
        }
        PluginError::Undescribed { plugin, entity_type } => {
            message!("Plugin {} generates {}, which it does not describe.", plugin, entity_type)
        }
        PluginError::Refused { .. } => match error.refusal() {
            Some(refusal) => message!("The plugin is refused: {}.", refusal),
            None => "The plugin is refused.".into(),
        },
        PluginError::Missing(digest) => message!(
            "The component of plugin {} is missing or damaged in the server's data directory. Restore its file from a \
             backup, or push it again.",
            digest
        ),
        PluginError::Lookup(_) | PluginError::Engine(_) => SERVER_FAILED.into(),
    }
}

/// Returns a message for the client about a table's header.
fn header_message(fault: &HeaderFault) -> Message {
    match fault {
        HeaderFault::TooLong => {
            "The table's first row, its header, is longer than a record may be. Check that it is a \
                                 table, and that separator and quote are right."
                .into()
        }
        HeaderFault::Encoding => "The table's header does not match its encoding. Name the right one: \
                                  Content-Type: text/csv; charset=…"
            .into(),
        HeaderFault::Misquoted => "The table's header has a quote inside a field without quotes, or after a quoted \
                                   field. Check that separator and quote are right."
            .into(),
        HeaderFault::Empty(field) => message!(
            "Field {} of the table's header has no name. Name every field, or send Content-Type: text/csv; \
             header=absent, and the names as ?columns=.",
            field
        ),
        HeaderFault::Duplicate(first, second) => message!(
            "Fields {} and {} of the table's header have the same name. Give each field a name of its own.",
            first,
            second
        ),
    }
}

/// Returns a message for the client about an error of the platform.
fn platform_message(error: &PlatformError) -> Message {
    match error {
        PlatformError::Unreachable(code) => message!(
            "The platform could not be reached in any attempt ({}). The ledger has all calls that were sent: start the \
             job again, and it continues from there.",
            code.clone()
        ),
        PlatformError::Denied(status) => message!(
            "The platform denies access (status {}). Check the credentials in the configuration, and start the job again.",
            u64::from(*status)
        ),
        PlatformError::UnreadableResponse(subject) => message!(
            "The platform's response about {} does not match its documentation. Nothing was assumed from it.",
            subject.clone()
        ),
        PlatformError::Newer(_) => "The migration's ledger was written by a later version of Sluice, which can \
                                    continue with it. The server's log has the versions."
            .into(),
        PlatformError::Plan(_) | PlatformError::Ledger(_) | PlatformError::Client | PlatformError::Cancelled => {
            SERVER_FAILED.into()
        }
    }
}

impl From<PlatformError> for PipelineError {
    fn from(error: PlatformError) -> Self {
        PipelineError::Platform(error)
    }
}

/// The reason for which a job ended early.
#[derive(Debug)]
pub enum Interrupt {
    /// A client cancelled the job, or the server stops.
    Cancelled,
    /// An error.
    Failed(PipelineError),
}

impl<E: Into<PipelineError>> From<E> for Interrupt {
    fn from(error: E) -> Self {
        match error.into() {
            PipelineError::Target(TargetError::Cancelled) | PipelineError::Platform(PlatformError::Cancelled) => {
                Interrupt::Cancelled
            }
            error => Interrupt::Failed(error),
        }
    }
}
