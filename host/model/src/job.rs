//! A job: something long that shows how far it is, can be cancelled, and says how it ended.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Code, Report};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// Checks all staged records.
    Validate,
    /// Carries them into the target.
    Import,
    /// Compares what is staged with what is in the target.
    Counts,
    /// Runs staged source records through the migration's mapper again.
    Remap,
    /// Goes the whole way into a target that is thrown away.
    Trial,
    /// Maps the same records with two mappers.
    Compare,
    /// Runs everything again that a mapper made, and says whether the same comes out.
    Replay,
    /// Works out the calls that a platform would get, and sends none.
    Plan,
    /// Takes back what an import into a platform has made.
    Undo,
}

impl JobKind {
    /// As it stands in paths.
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

    /// The code under which it is logged that a job of this kind stands so.
    pub fn ending(self, state: JobState) -> Code {
        ENDINGS[self as usize][state as usize].into()
    }

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// All kinds.
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

    /// Whether nothing may change staged records while it runs, but itself, and nothing else of its kind runs beside it.
    pub fn is_alone(self) -> bool {
        matches!(self, Self::Remap | Self::Trial | Self::Compare)
    }
}

/// How jobs of each kind are logged when they begin and end, in the order of the kinds and of the states.
const ENDINGS: [[&str; 5]; 9] = [
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

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// At work.
    Running,
    /// At its end, with a result.
    Succeeded,
    /// At its end, and the result says what is wrong.
    Failed,
    /// Stopped by somebody.
    Cancelled,
    /// Stopped because the server ended. Starting the same job again goes on from there.
    Interrupted,
}

impl JobState {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Interrupted => "interrupted",
        }
    }

    /// The state with this name.
    pub fn parse(name: &str) -> Option<Self> {
        use JobState::*;
        [Running, Succeeded, Failed, Cancelled, Interrupted].into_iter().find(|state| state.as_str() == name)
    }
}

/// A job as it is kept.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub migration: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// How it stands.
    pub state: JobState,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Records worked through.
    pub done: u64,
    /// Records to work through, as far as is known.
    pub total: u64,
    /// What came of it, or a problem: codes and figures.
    pub result: Option<Report>,
}

/// How far a running job is; shared between who works and who looks.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
    paused: AtomicBool,
}

impl Progress {
    /// Adds to what is to be done.
    pub fn expect(&self, records: u64) {
        self.total.fetch_add(records, Relaxed);
    }

    /// Adds to what is done.
    pub fn advance(&self, records: u64) {
        self.done.fetch_add(records, Relaxed);
    }

    /// Done and to be done.
    pub fn figures(&self) -> (u64, u64) {
        let done = self.done.load(Relaxed);
        (done, self.total.load(Relaxed).max(done))
    }

    /// Asks the job to stop at its next batch.
    pub fn cancel(&self) {
        self.cancelled.store(true, Relaxed);
    }

    /// Asks the job to wait where it is, or to go on.
    pub fn pause(&self, paused: bool) {
        self.paused.store(paused, Relaxed);
    }

    /// Whether it was asked to wait.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Relaxed)
    }

    /// Whether it was asked to.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_called_after_kind_and_state() {
        use JobState::*;
        for kind in JobKind::ALL {
            for state in [Running, Succeeded, Failed, Cancelled, Interrupted] {
                let expected = format!("{}_{}", kind.as_str(), state.as_str()).to_uppercase();
                assert_eq!(kind.ending(state), expected.as_str());
            }
        }
    }
}
