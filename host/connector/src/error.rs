//! Errors that end work with a platform. An error that stops only one record is not among them.

use sluice_model::{Code, Name};
use sluice_sqlite::{NewerVersion, SqlError};

/// An error that ends a job.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The ledger cannot be read or written.
    #[error("the ledger cannot be read or written: {0}")]
    Ledger(SqlError),
    /// The ledger was written by a later version of Sluice.
    #[error("the ledger is {0}")]
    Newer(NewerVersion),
    /// The platform could not be reached, or did not respond, in any attempt.
    #[error("the platform could not be reached ({0})")]
    Unreachable(Code),
    /// The platform does not accept the credentials.
    #[error("the platform denies access (status {0})")]
    Denied(u16),
    /// The platform's response cannot be read.
    #[error("the platform's response to {0} does not match its documentation")]
    UnreadableResponse(Name),
    /// A plan does not match the plugin's description.
    #[error("the plugin's plan is invalid: {0}")]
    Plan(&'static str),
    /// The client for calls could not be created.
    #[error("the HTTP client could not be created")]
    Client,
    /// The job was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<rusqlite::Error> for PlatformError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Ledger(error.into())
    }
}

impl PlatformError {
    /// Returns the stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ledger(_) | Self::Newer(_) => "LEDGER_FAILED",
            Self::Unreachable(_) => "PLATFORM_UNREACHABLE",
            Self::Denied(_) => "PLATFORM_DENIES_ACCESS",
            Self::UnreadableResponse(_) => "PLATFORM_ANSWER_UNREADABLE",
            Self::Plan(_) => "PLATFORM_PLAN_REFUSED",
            Self::Client => "PLATFORM_CLIENT_FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}
