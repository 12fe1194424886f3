//! The status of a migration: a state machine, and the reasons for which it refuses an event.

use serde::{Deserialize, Serialize};

/// The status of the staged records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum StagingStatus {
    /// No record is staged yet.
    Pending,
    /// Records are staged. They changed after the last validation.
    Staged,
    /// A validation is running.
    Validating,
    /// The current records have passed validation.
    Validated,
    /// The current records have errors.
    Rejected,
    /// The records were erased. Their counts remain.
    Purged,
}

/// The status of the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum ImportStatus {
    /// No import began since the staged records last changed.
    Pending,
    /// An import is running.
    Importing,
    /// All current records are in the target.
    Imported,
    /// The last import stopped before its end or skipped records, and the next import resumes from there. Or an undo
    /// stopped before its end.
    Incomplete,
}

/// The status of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Status of the staged records.
    pub staging: StagingStatus,
    /// Status of the import.
    pub import: ImportStatus,
}

/// An event that may change the status of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationEvent {
    /// A client begins to change staged records.
    ChangeStarts,
    /// Staged records changed.
    Changed,
    /// A validation job begins.
    ValidationStarts,
    /// A validation found no error.
    ValidationPassed,
    /// A validation found errors.
    ValidationFoundErrors,
    /// A validation was cancelled or failed.
    ValidationStopped,
    /// An import job begins.
    ImportStarts,
    /// An import imported every record.
    ImportFinished,
    /// An import was cancelled, failed or skipped records.
    ImportStopped,
    /// A counts job begins.
    CountsStart,
    /// An undo job begins to remove imported records from the embedded target.
    UndoStarts,
    /// An undo job has removed every imported record from the embedded target.
    ImportUndone,
    /// The records are being erased.
    Purged,
}

/// A reason for which the state machine refuses an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransitionRefusal {
    /// A validation is running.
    Validating,
    /// An import is running.
    Importing,
    /// No record is staged.
    NothingStaged,
    /// Records changed after the last validation, or no validation has run.
    NotValidated,
    /// The last validation found errors.
    Rejected,
    /// The records were erased.
    Purged,
}

impl TransitionRefusal {
    /// Returns the stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            TransitionRefusal::Validating => "VALIDATION_RUNNING",
            TransitionRefusal::Importing => "IMPORT_RUNNING",
            TransitionRefusal::NothingStaged => "NOTHING_STAGED",
            TransitionRefusal::NotValidated => "NOT_VALIDATED",
            TransitionRefusal::Rejected => "VALIDATION_FOUND_ERRORS",
            TransitionRefusal::Purged => "MIGRATION_PURGED",
        }
    }

    /// Returns a message with the cause and the remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            TransitionRefusal::Validating => "A validation is running. Wait for it, or cancel the job.",
            TransitionRefusal::Importing => "An import is running. Wait for it, or cancel the job.",
            TransitionRefusal::NothingStaged => "No records are staged. Upload records first.",
            TransitionRefusal::NotValidated => {
                "The staged records have not been validated since they, or the target's records, were last changed. Run a \
                 validate job first."
            }
            TransitionRefusal::Rejected => {
                "The last validation found errors. Correct or delete the records that its issues name, and validate again."
            }
            TransitionRefusal::Purged => "The migration's records were erased. Register a new one.",
        }
    }
}

impl MigrationStatus {
    /// Status of a newly registered migration.
    pub const NEW: MigrationStatus = MigrationStatus { staging: StagingStatus::Pending, import: ImportStatus::Pending };

    /// Returns the status after `event`.
    ///
    /// # Errors
    ///
    /// Returns the reason if the event is not possible in this status.
    pub fn after(self, event: MigrationEvent) -> Result<MigrationStatus, TransitionRefusal> {
        use MigrationEvent::*;
        let MigrationStatus { staging, import } = self;
        // Erased records cannot come back. Erasing again completes an interrupted erasure.
        if staging == StagingStatus::Purged && event != Purged {
            return Err(TransitionRefusal::Purged);
        }
        let idle = || match (staging, import) {
            (StagingStatus::Validating, _) => Err(TransitionRefusal::Validating),
            (_, ImportStatus::Importing) => Err(TransitionRefusal::Importing),
            _ => Ok(()),
        };
        match event {
            ChangeStarts | CountsStart => idle().map(|()| self),
            Changed => {
                idle().map(|()| MigrationStatus { staging: StagingStatus::Staged, import: ImportStatus::Pending })
            }
            ValidationStarts => {
                idle()?;
                if staging == StagingStatus::Pending {
                    return Err(TransitionRefusal::NothingStaged);
                }
                Ok(MigrationStatus { staging: StagingStatus::Validating, ..self })
            }
            ValidationPassed => Ok(MigrationStatus { staging: StagingStatus::Validated, ..self }),
            ValidationFoundErrors => Ok(MigrationStatus { staging: StagingStatus::Rejected, ..self }),
            ValidationStopped => Ok(MigrationStatus { staging: StagingStatus::Staged, ..self }),
            ImportStarts => {
                idle()?;
                match staging {
                    StagingStatus::Validated => Ok(MigrationStatus { import: ImportStatus::Importing, ..self }),
                    StagingStatus::Rejected => Err(TransitionRefusal::Rejected),
                    StagingStatus::Pending => Err(TransitionRefusal::NothingStaged),
                    _ => Err(TransitionRefusal::NotValidated),
                }
            }
            ImportFinished => Ok(MigrationStatus { import: ImportStatus::Imported, ..self }),
            ImportStopped => Ok(MigrationStatus { import: ImportStatus::Incomplete, ..self }),
            UndoStarts if import == ImportStatus::Pending => idle().map(|()| self),
            UndoStarts => idle().map(|()| MigrationStatus { import: ImportStatus::Incomplete, ..self }),
            // Staged records may refer to imported ones that are staged no longer.
            ImportUndone if staging == StagingStatus::Validated => {
                Ok(MigrationStatus { staging: StagingStatus::Staged, import: ImportStatus::Pending })
            }
            ImportUndone => Ok(MigrationStatus { import: ImportStatus::Pending, ..self }),
            Purged => idle().map(|()| MigrationStatus { staging: StagingStatus::Purged, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ImportStatus as I, MigrationEvent::*, MigrationStatus, StagingStatus as S, TransitionRefusal};

    const STAGING: [S; 6] = [S::Pending, S::Staged, S::Validating, S::Validated, S::Rejected, S::Purged];
    const IMPORT: [I; 4] = [I::Pending, I::Importing, I::Imported, I::Incomplete];

    /// Compares every state and event with a table that does not follow the structure of the code.
    #[test]
    fn every_transition() {
        for staging in STAGING {
            for import in IMPORT {
                let status = MigrationStatus { staging, import };
                let busy = match (staging, import) {
                    (S::Validating, _) => Some(TransitionRefusal::Validating),
                    (_, I::Importing) => Some(TransitionRefusal::Importing),
                    _ => None,
                };
                let unless_busy = |expected| busy.map_or(expected, Err);
                let with = |staging, import| Ok(MigrationStatus { staging, import });
                let table = [
                    (ChangeStarts, unless_busy(Ok(status))),
                    (CountsStart, unless_busy(Ok(status))),
                    (Changed, unless_busy(with(S::Staged, I::Pending))),
                    (
                        ValidationStarts,
                        unless_busy(match staging {
                            S::Pending => Err(TransitionRefusal::NothingStaged),
                            _ => with(S::Validating, import),
                        }),
                    ),
                    (ValidationPassed, with(S::Validated, import)),
                    (ValidationFoundErrors, with(S::Rejected, import)),
                    (ValidationStopped, with(S::Staged, import)),
                    (
                        ImportStarts,
                        unless_busy(match staging {
                            S::Pending => Err(TransitionRefusal::NothingStaged),
                            S::Rejected => Err(TransitionRefusal::Rejected),
                            S::Validated => with(S::Validated, I::Importing),
                            _ => Err(TransitionRefusal::NotValidated),
                        }),
                    ),
                    (ImportFinished, with(staging, I::Imported)),
                    (ImportStopped, with(staging, I::Incomplete)),
                    (UndoStarts, unless_busy(with(staging, if import == I::Pending { import } else { I::Incomplete }))),
                    (ImportUndone, with(if staging == S::Validated { S::Staged } else { staging }, I::Pending)),
                    (Purged, unless_busy(with(S::Purged, import))),
                ];
                for (event, expected) in table {
                    let expected = match (staging, event) {
                        (S::Purged, Purged) => expected,
                        (S::Purged, _) => Err(TransitionRefusal::Purged),
                        _ => expected,
                    };
                    assert_eq!(status.after(event), expected, "{status:?} after {event:?}");
                }
            }
        }
    }
}
