//! The work of a job, with its options.

use sluice_model::{Digest, Domain, JobKind, MigrationEvent};

use crate::{CompareOptions, ImportOptions, PlanOptions, RemapOptions, TrialOptions, UndoOptions, ValidateOptions};

/// The work of a job.
pub enum Task {
    /// Validates staged records: all, or those of some domains.
    Validate(ValidateOptions),
    /// Imports all staged records into the target.
    Import(ImportOptions),
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
    /// Takes back what imports have stored in the target or created on the platform.
    Undo(UndoOptions),
}

impl Task {
    /// Returns the kind of the job.
    pub fn kind(&self) -> JobKind {
        match self {
            Task::Validate(_) => JobKind::Validate,
            Task::Import(_) => JobKind::Import,
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
            Task::Validate(_) | Task::Import(_) | Task::Counts | Task::Replay | Task::Plan(_) | Task::Undo(_) => vec![],
            Task::Remap(options) => vec![options.mapper.digest],
            Task::Trial(options) => options.mapper.iter().map(|mapper| mapper.digest).collect(),
            Task::Compare(options) => vec![options.from.digest, options.to.digest],
        }
    }

    /// Returns the domains that the task works on. `None` is the whole migration.
    pub(super) fn domains(&self) -> Option<Vec<&'static Domain>> {
        match self {
            Task::Validate(options) => options.domains.clone(),
            _ => None,
        }
    }

    /// Returns true if the task reports what it would do, and changes nothing.
    pub(super) fn is_preview(&self) -> bool {
        match self {
            Task::Import(options) => options.preview,
            Task::Undo(options) => options.preview,
            _ => false,
        }
    }

    /// Returns the event that the end of the task means for its migration. `completed` is true if it succeeded and false
    /// if it found errors; none if it ended early.
    pub(super) fn end_event(&self, completed: Option<bool>, embedded: bool) -> Option<MigrationEvent> {
        if self.is_preview() {
            return None;
        }
        match (self, completed) {
            // The records of the other domains may be invalid.
            (Task::Validate(ValidateOptions { domains: Some(_) }), _) => None,
            (Task::Validate(_), Some(true)) => Some(MigrationEvent::ValidationPassed),
            (Task::Validate(_), Some(false)) => Some(MigrationEvent::ValidationFoundErrors),
            (Task::Validate(_), None) => Some(MigrationEvent::ValidationStopped),
            (Task::Import(_), Some(true)) => Some(MigrationEvent::ImportFinished),
            (Task::Import(_), Some(false) | None) => Some(MigrationEvent::ImportStopped),
            (Task::Undo(_), Some(true)) if embedded => Some(MigrationEvent::ImportUndone),
            // A part of the records may be taken back. The job itself saves that it begins to change the embedded target.
            (Task::Undo(_), _) if !embedded => Some(MigrationEvent::ImportStopped),
            _ => None,
        }
    }
}
