//! Errors of an upload.

use crate::app::TenantQuota;
use sluice_framing::{BodyFormat, ForeignFormat};
use sluice_model::Message;
use sluice_pipeline::jobs::StartError;
use sluice_pipeline::{PipelineError, RecordStreamError};
use sluice_staging::StagingError;
use tokio::task::JoinError;

/// Reason why an upload was not processed completely.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body has no record.
    #[error("the body has no record")]
    Empty,
    /// The body has another format than its request names.
    #[error("the body has another format than its request names")]
    Foreign(ForeignFormat, BodyFormat),
    /// The table has no column of its source's key. The message names the columns.
    #[error("the table has no column of its source's key")]
    MissingKeyColumn(Message),
    /// The body ended before its first record, because the client went away or was too slow.
    #[error("the body ended before its first record")]
    EndedEarly,
    /// The body ended before its end.
    #[error("the body ended early: {}", .0.code())]
    BrokenOff(RecordStreamError),
    /// The tenant has reached a quota.
    #[error(transparent)]
    Quota(#[from] TenantQuota),
    /// The upload cannot begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The pipeline failed.
    #[error(transparent)]
    Failure(#[from] PipelineError),
    /// The staging area failed.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The thread that worked on the upload panicked.
    #[error("the thread that worked on the upload panicked")]
    Panicked(#[from] JoinError),
}

/// An error as the last line of an upload's results shows it.
pub trait ResultError: From<IngestError> + Send + 'static {
    /// Returns the error as JSON.
    fn to_json(&self) -> serde_json::Value;
}
