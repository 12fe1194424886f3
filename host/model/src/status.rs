//! How far a migration has come: a small state machine, and every reason to refuse a step.

use serde::{Deserialize, Serialize};

/// What has become of the staged records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum StagingStatus {
    /// Nothing was staged yet.
    Pending,
    /// Records are staged, and were changed since any validation.
    Staged,
    /// A validation is running.
    Validating,
    /// The records as they stand have passed validation.
    Validated,
    /// The records as they stand have errors.
    Rejected,
    /// The records were erased; what is known of them in figures stays.
    Purged,
}

/// What has become of the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum ImportStatus {
    /// Not begun, or staging was changed since.
    Pending,
    /// An import is running.
    Importing,
    /// All records as they stand are in the target.
    Imported,
    /// The last import stopped before its end, or left records out. Importing again goes on from there.
    Incomplete,
}

/// Both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Of the staged records.
    pub staging: StagingStatus,
    /// Of the import.
    pub import: ImportStatus,
}

/// What happens to a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody begins to change staged records.
    ChangeStarts,
    /// Staged records were really changed.
    Changed,
    /// A validation job begins.
    ValidationStarts,
    /// It found no error.
    ValidationPassed,
    /// It found errors.
    ValidationFoundErrors,
    /// It was cancelled, or broke off.
    ValidationStopped,
    /// An import job begins.
    ImportStarts,
    /// It carried everything over.
    ImportFinished,
    /// It was cancelled, broke off, or left records out.
    ImportStopped,
    /// A counts job begins.
    CountsStart,
    /// The records are erased.
    Purged,
}

/// Why an event cannot happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A validation is running.
    Validating,
    /// An import is running.
    Importing,
    /// Nothing is staged.
    NothingStaged,
    /// Records were changed since the last validation, or none was made.
    NotValidated,
    /// The last validation found errors.
    Rejected,
    /// The records were erased.
    Purged,
}

impl Refusal {
    /// Stable code for machines.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::Validating => "VALIDATION_RUNNING",
            Refusal::Importing => "IMPORT_RUNNING",
            Refusal::NothingStaged => "NOTHING_STAGED",
            Refusal::NotValidated => "NOT_VALIDATED",
            Refusal::Rejected => "VALIDATION_FOUND_ERRORS",
            Refusal::Purged => "MIGRATION_PURGED",
        }
    }

    /// What is the matter and what to do.
    pub fn remedy(self) -> &'static str {
        match self {
            Refusal::Validating => "A validation is running. Wait for it, or cancel the job.",
            Refusal::Importing => "An import is running. Wait for it, or cancel the job.",
            Refusal::NothingStaged => "No records are staged. Upload records first.",
            Refusal::NotValidated => {
                "The staged records have not been validated since they were last changed. Run a validate job first."
            }
            Refusal::Rejected => {
                "The last validation found errors. Correct or delete the records that its issues name, and validate again."
            }
            Refusal::Purged => "The migration's records were erased. Register a new one.",
        }
    }
}

impl Status {
    /// A migration that was just registered.
    pub const NEW: Status = Status { staging: StagingStatus::Pending, import: ImportStatus::Pending };

    /// The status after `event`, or why it cannot happen now.
    pub fn after(self, event: Event) -> Result<Status, Refusal> {
        use Event::*;
        let Status { staging, import } = self;
        // Nothing brings back what was erased; erasing it once more finishes what was broken off.
        if staging == StagingStatus::Purged && event != Purged {
            return Err(Refusal::Purged);
        }
        let idle = || match (staging, import) {
            (StagingStatus::Validating, _) => Err(Refusal::Validating),
            (_, ImportStatus::Importing) => Err(Refusal::Importing),
            _ => Ok(()),
        };
        match event {
            ChangeStarts | CountsStart => idle().map(|()| self),
            Changed => idle().map(|()| Status { staging: StagingStatus::Staged, import: ImportStatus::Pending }),
            ValidationStarts => {
                idle()?;
                if staging == StagingStatus::Pending {
                    return Err(Refusal::NothingStaged);
                }
                Ok(Status { staging: StagingStatus::Validating, ..self })
            }
            ValidationPassed => Ok(Status { staging: StagingStatus::Validated, ..self }),
            ValidationFoundErrors => Ok(Status { staging: StagingStatus::Rejected, ..self }),
            ValidationStopped => Ok(Status { staging: StagingStatus::Staged, ..self }),
            ImportStarts => {
                idle()?;
                match staging {
                    StagingStatus::Validated => Ok(Status { import: ImportStatus::Importing, ..self }),
                    StagingStatus::Rejected => Err(Refusal::Rejected),
                    StagingStatus::Pending => Err(Refusal::NothingStaged),
                    _ => Err(Refusal::NotValidated),
                }
            }
            ImportFinished => Ok(Status { import: ImportStatus::Imported, ..self }),
            ImportStopped => Ok(Status { import: ImportStatus::Incomplete, ..self }),
            Purged => idle().map(|()| Status { staging: StagingStatus::Purged, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event::*, ImportStatus as I, Refusal, StagingStatus as S, Status};

    const STAGING: [S; 6] = [S::Pending, S::Staged, S::Validating, S::Validated, S::Rejected, S::Purged];
    const IMPORT: [I; 4] = [I::Pending, I::Importing, I::Imported, I::Incomplete];

    /// Every state and event: what is expected, by a table that says it in other words than the code.
    #[test]
    fn every_transition() {
        for staging in STAGING {
            for import in IMPORT {
                let status = Status { staging, import };
                let busy = match (staging, import) {
                    (S::Validating, _) => Some(Refusal::Validating),
                    (_, I::Importing) => Some(Refusal::Importing),
                    _ => None,
                };
                let unless_busy = |expected| busy.map_or(expected, Err);
                let with = |staging, import| Ok(Status { staging, import });
                let table = [
                    (ChangeStarts, unless_busy(Ok(status))),
                    (CountsStart, unless_busy(Ok(status))),
                    (Changed, unless_busy(with(S::Staged, I::Pending))),
                    (
                        ValidationStarts,
                        unless_busy(match staging {
                            S::Pending => Err(Refusal::NothingStaged),
                            _ => with(S::Validating, import),
                        }),
                    ),
                    (ValidationPassed, with(S::Validated, import)),
                    (ValidationFoundErrors, with(S::Rejected, import)),
                    (ValidationStopped, with(S::Staged, import)),
                    (
                        ImportStarts,
                        unless_busy(match staging {
                            S::Pending => Err(Refusal::NothingStaged),
                            S::Rejected => Err(Refusal::Rejected),
                            S::Validated => with(S::Validated, I::Importing),
                            _ => Err(Refusal::NotValidated),
                        }),
                    ),
                    (ImportFinished, with(staging, I::Imported)),
                    (ImportStopped, with(staging, I::Incomplete)),
                    (Purged, unless_busy(with(S::Purged, import))),
                ];
                for (event, expected) in table {
                    let expected = match (staging, event) {
                        (S::Purged, Purged) => expected,
                        (S::Purged, _) => Err(Refusal::Purged),
                        _ => expected,
                    };
                    assert_eq!(status.after(event), expected, "{status:?} after {event:?}");
                }
            }
        }
    }
}
