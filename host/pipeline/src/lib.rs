//! The five steps of a migration, its jobs and its reports. This crate knows neither HTTP nor SQL.

mod connector;
mod context;
mod error;
mod import;
pub mod jobs;
mod load;
mod lookups;
mod parallel;
mod plugin_log;
mod quarantine;
mod remap;
mod reporting;
#[cfg(test)]
mod test_context;
mod trial;
mod validate;

pub use connector::{ConnectedPlatform, PLAN, PlanOptions, Platforms, UndoOptions};
pub use context::MigrationContext;
pub use error::PipelineError;
pub use import::ImportOptions;
pub use load::{
    InputTotals, OriginalFormat, RecordStream, RecordStreamError, ResultWriter, StreamPart, UploadSummary,
    WithdrawalRefusal, delete_records, frame_limits, load_records, load_source, withdraw_upload,
};
pub use quarantine::{QUARANTINE, quarantined};
pub use remap::{RemapOptions, ReplayResult, replay};
pub use reporting::{
    EvidenceBundle, EvidenceVerifyError, FigureComparison, IssueRecords, RecordProvenance, count_sources, evidence,
    provenance, records_with_issue, verify_counts,
};
pub use trial::{CompareOptions, Sample, TrialOptions, differences};
pub use validate::ValidateOptions;

pub(crate) use error::Interrupt;
