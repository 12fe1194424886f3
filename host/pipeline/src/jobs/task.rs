//! The work of a job, with its options.

use sluice_model::{Digest, JobKind};

use crate::{CompareOptions, PlanOptions, RemapOptions, TrialOptions, UndoOptions};

/// The work of a job.
pub enum Task {
    /// Validates all staged records.
    Validate,
    /// Imports all staged records into the target.
    Import,
    /// Compares counts and sums of the staged records with those of the target.
    Counts,
    /// Maps staged source records again.
    Remap(RemapOptions),
    /// Runs all steps into a target that is deleted afterwards.
    Trial(TrialOptions),
    /// Maps the same records with two mappers.
    Compare(CompareOptions),
    /// Maps all staged source records again, and compares the result with what is staged.
    Replay,
    /// Plans the calls to the migration's platform without sending them.
    Plan(PlanOptions),
    /// Rolls back what an import has created on the platform.
    Undo(UndoOptions),
}

impl Task {
    /// Returns the kind of the job.
    pub fn kind(&self) -> JobKind {
        match self {
            Task::Validate => JobKind::Validate,
            Task::Import => JobKind::Import,
            Task::Counts => JobKind::Counts,
            Task::Remap(_) => JobKind::Remap,
            Task::Trial(_) => JobKind::Trial,
            Task::Compare(_) => JobKind::Compare,
            Task::Replay => JobKind::Replay,
            Task::Plan(_) => JobKind::Plan,
            Task::Undo(_) => JobKind::Undo,
        }
    }

    /// Returns the digests of the plugins that the options name, beside the plugins of the migration.
    pub(super) fn plugin_digests(&self) -> Vec<Digest> {
        match self {
            Task::Validate
            | Task::Import
            | Task::Counts
            | Task::Remap(_)
            | Task::Replay
            | Task::Plan(_)
            | Task::Undo(_) => vec![],
            Task::Trial(options) => options.mapper.iter().map(|mapper| mapper.digest).collect(),
            Task::Compare(options) => vec![options.from.digest, options.to.digest],
        }
    }
}
