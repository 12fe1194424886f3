//! Why work with a platform cannot go on. What only stops one record is not among these.

use sluice_model::{Code, Name};
use sluice_sqlite::{Newer, SqlError};

/// A failure that stops a job.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The ledger cannot be read or written.
    #[error("the ledger cannot be read or written: {0}")]
    Ledger(SqlError),
    /// A later version of Sluice has written it.
    #[error("the ledger is {0}")]
    Newer(Newer),
    /// The platform could not be reached, or did not answer, however often it was tried.
    #[error("the platform could not be reached ({0})")]
    Unreachable(Code),
    /// It does not take our credentials.
    #[error("the platform does not let us in (status {0})")]
    Denied(u16),
    /// It answers what nobody can read.
    #[error("the platform's answer to {0} is not as it is documented")]
    Answer(Name),
    /// A plan is not what the plugin's description says.
    #[error("the plugin's plan is not one: {0}")]
    Plan(&'static str),
    /// The client for calls could not be made.
    #[error("calls cannot be made from this server")]
    Client,
    /// Somebody cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<rusqlite::Error> for PlatformError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Ledger(error.into())
    }
}

impl PlatformError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ledger(_) | Self::Newer(_) => "LEDGER_FAILED",
            Self::Unreachable(_) => "PLATFORM_UNREACHABLE",
            Self::Denied(_) => "PLATFORM_DENIES_ACCESS",
            Self::Answer(_) => "PLATFORM_ANSWER_UNREADABLE",
            Self::Plan(_) => "PLATFORM_PLAN_REFUSED",
            Self::Client => "PLATFORM_CLIENT_FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}
