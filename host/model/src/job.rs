//! Jobs: long work with progress, cancellation and a result.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Code, Domain, SafeReport};

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Validation of all staged records.
    Validate,
    /// Import of the staged records into the target.
    Import,
    /// Comparison of the staged records with the target.
    Counts,
    /// Mapping of the staged source records again, with the migration's mapper.
    Remap,
    /// A trial of the whole migration into a temporary target.
    Trial,
    /// Comparison of two mappers on the same records.
    Compare,
    /// Repetition of everything that a mapper did, to check that the results are the same.
    Replay,
    /// Planning of the calls to a platform, without sending them.
    Plan,
    /// Removal of the objects that an import created in a platform.
    Undo,
}

impl JobKind {
    /// Returns the name of the kind, as paths contain it.
    pub fn as_str(self) -> &'static str {
        match self {
            JobKind::Validate => "validate",
            JobKind::Import => "import",
            JobKind::Counts => "counts",
            JobKind::Remap => "remap",
            JobKind::Trial => "trial",
            JobKind::Compare => "compare",
            JobKind::Replay => "replay",
            JobKind::Plan => "plan",
            JobKind::Undo => "undo",
        }
    }

    /// Returns the log code for a job of this kind that enters this state.
    pub fn log_code(self, state: JobState) -> Code {
        LOG_CODES[self as usize][state as usize].into()
    }

    /// Returns the kind with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Validate,
        Self::Import,
        Self::Counts,
        Self::Remap,
        Self::Trial,
        Self::Compare,
        Self::Replay,
        Self::Plan,
        Self::Undo,
    ];

    /// Returns true if a job of this kind excludes every other change of staged records and other jobs of its kind.
    pub fn is_exclusive(self) -> bool {
        matches!(self, Self::Remap | Self::Trial | Self::Compare)
    }
}

/// Log codes of jobs, in the order of the kinds and of the states.
const LOG_CODES: [[&str; 5]; 9] = [
    ["VALIDATE_RUNNING", "VALIDATE_SUCCEEDED", "VALIDATE_FAILED", "VALIDATE_CANCELLED", "VALIDATE_INTERRUPTED"],
    ["IMPORT_RUNNING", "IMPORT_SUCCEEDED", "IMPORT_FAILED", "IMPORT_CANCELLED", "IMPORT_INTERRUPTED"],
    ["COUNTS_RUNNING", "COUNTS_SUCCEEDED", "COUNTS_FAILED", "COUNTS_CANCELLED", "COUNTS_INTERRUPTED"],
    ["REMAP_RUNNING", "REMAP_SUCCEEDED", "REMAP_FAILED", "REMAP_CANCELLED", "REMAP_INTERRUPTED"],
    ["TRIAL_RUNNING", "TRIAL_SUCCEEDED", "TRIAL_FAILED", "TRIAL_CANCELLED", "TRIAL_INTERRUPTED"],
    ["COMPARE_RUNNING", "COMPARE_SUCCEEDED", "COMPARE_FAILED", "COMPARE_CANCELLED", "COMPARE_INTERRUPTED"],
    ["REPLAY_RUNNING", "REPLAY_SUCCEEDED", "REPLAY_FAILED", "REPLAY_CANCELLED", "REPLAY_INTERRUPTED"],
    ["PLAN_RUNNING", "PLAN_SUCCEEDED", "PLAN_FAILED", "PLAN_CANCELLED", "PLAN_INTERRUPTED"],
    ["UNDO_RUNNING", "UNDO_SUCCEEDED", "UNDO_FAILED", "UNDO_CANCELLED", "UNDO_INTERRUPTED"],
];

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The job is running.
    Running,
    /// The job ended with a result.
    Succeeded,
    /// The job ended. Its result says what is wrong.
    Failed,
    /// A client cancelled the job.
    Cancelled,
    /// The server stopped during the job. The same job, started again, resumes from there.
    Interrupted,
}

impl JobState {
    /// Returns the name that the catalog stores and the API shows.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Interrupted => "interrupted",
        }
    }

    /// Returns the state with this name, or `None`.
    pub fn parse(name: &str) -> Option<Self> {
        use JobState::*;
        [Running, Succeeded, Failed, Cancelled, Interrupted].into_iter().find(|state| state.as_str() == name)
    }
}

/// A job, as the catalog stores it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Id of the job.
    pub id: Uuid,
    /// Migration that the job works on.
    pub migration: Uuid,
    /// Kind of the job.
    pub kind: JobKind,
    /// Domains that the job works on. `None` is the whole migration.
    pub domains: Option<Vec<&'static Domain>>,
    /// State of the job.
    pub state: JobState,
    /// Time of the start.
    pub started_at: Timestamp,
    /// Time of the end.
    pub finished_at: Option<Timestamp>,
    /// Number of processed records.
    pub done: u64,
    /// Number of records to process.
    pub total: u64,
    /// Result of the job, or its failure.
    pub result: Option<SafeReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_codes_consist_of_kind_and_state() {
        use JobState::*;
        for kind in JobKind::ALL {
            for state in [Running, Succeeded, Failed, Cancelled, Interrupted] {
                let expected = format!("{}_{}", kind.as_str(), state.as_str()).to_uppercase();
                assert_eq!(kind.log_code(state), expected.as_str());
            }
        }
    }
}
