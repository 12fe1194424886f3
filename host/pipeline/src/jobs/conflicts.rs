//! Table of the jobs and uploads of one migration that may run at the same time.
//!
//! The migration's status adds rules of its own: while a validation or an import runs, the catalogue refuses every other
//! start.

use sluice_model::{JobKind, TransitionRefusal};

use super::StartError;

/// Column of a pair of jobs that may run at the same time.
const FREE: bool = false;
/// Column of a pair of jobs of which the second waits for the first.
const WAIT: bool = true;

/// Number of job kinds.
const KINDS: usize = JobKind::ALL.len();

/// Returns the row of a kind: one column for each kind that runs, in the order of [`JobKind::ALL`].
///
/// Jobs that change staged records run alone. Jobs that only read them run beside each other. An undo conflicts with
/// jobs that read or write the same platform.
#[rustfmt::skip]
const fn row(starting: JobKind) -> [bool; KINDS] {
    match starting {
        //                    validate import counts remap trial compare replay plan  undo
        JobKind::Validate => [WAIT,    WAIT,  FREE,  WAIT, FREE, FREE,   FREE,  FREE, FREE],
        JobKind::Import   => [WAIT,    FREE,  FREE,  WAIT, WAIT, WAIT,   FREE,  FREE, WAIT],
        JobKind::Counts   => [FREE,    FREE,  FREE,  WAIT, FREE, FREE,   FREE,  FREE, WAIT],
        JobKind::Remap    => [WAIT,    WAIT,  WAIT,  WAIT, WAIT, WAIT,   WAIT,  WAIT, WAIT],
        JobKind::Trial    => [FREE,    WAIT,  FREE,  WAIT, WAIT, WAIT,   FREE,  FREE, FREE],
        JobKind::Compare  => [FREE,    WAIT,  FREE,  WAIT, WAIT, WAIT,   FREE,  FREE, FREE],
        JobKind::Replay   => [FREE,    FREE,  FREE,  WAIT, FREE, FREE,   FREE,  FREE, FREE],
        JobKind::Plan     => [FREE,    FREE,  FREE,  WAIT, FREE, FREE,   FREE,  FREE, FREE],
        JobKind::Undo     => [FREE,    WAIT,  WAIT,  WAIT, FREE, FREE,   FREE,  FREE, WAIT],
    }
}

/// Returns true if a job of kind `starting` has to wait while a job of kind `running` of the same migration runs.
pub(super) const fn has_to_wait(starting: JobKind, running: JobKind) -> bool {
    row(starting)[running as usize]
}

/// Returns the reason for which a job of kind `starting` has to wait for a job of kind `running`.
///
/// A validation and an import name the migration's status. A validation of some domains does not change it.
pub(super) fn job_refusal(starting: JobKind, running: JobKind) -> StartError {
    match (starting, running) {
        (JobKind::Validate | JobKind::Import, JobKind::Validate) => StartError::Refused(TransitionRefusal::Validating),
        (JobKind::Validate, JobKind::Import) => StartError::Refused(TransitionRefusal::Importing),
        _ => StartError::JobRunning,
    }
}

/// Returns the reason for which an upload cannot begin while a job of this kind runs.
///
/// A validation and an import count from the moment in which they are reserved. The catalogue learns of them later.
pub(super) fn upload_refusal(running: JobKind) -> Option<StartError> {
    match running {
        JobKind::Validate => Some(StartError::Refused(TransitionRefusal::Validating)),
        JobKind::Import => Some(StartError::Refused(TransitionRefusal::Importing)),
        // An undo plans calls from the staged records: a record that changes meanwhile would stay on the platform.
        JobKind::Remap | JobKind::Trial | JobKind::Compare | JobKind::Undo => Some(StartError::JobRunning),
        JobKind::Counts | JobKind::Replay | JobKind::Plan => None,
    }
}

/// Returns the reason for which exclusive work, such as a purge, cannot begin while a job of this kind runs.
pub(super) fn exclusive_refusal(running: JobKind) -> StartError {
    upload_refusal(running).unwrap_or(StartError::JobRunning)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs that wait for each other.
    const CONFLICTS: &[(JobKind, JobKind)] = {
        use JobKind::*;
        &[
            (Validate, Validate),
            (Validate, Import),
            (Remap, Validate),
            (Remap, Import),
            (Remap, Counts),
            (Remap, Remap),
            (Remap, Trial),
            (Remap, Compare),
            (Remap, Replay),
            (Remap, Plan),
            (Remap, Undo),
            (Import, Trial),
            (Import, Compare),
            (Import, Undo),
            (Trial, Trial),
            (Trial, Compare),
            (Compare, Compare),
            (Counts, Undo),
            (Undo, Undo),
        ]
    };

    /// All 81 pairs: the table is total, symmetric, and equal to the list above.
    #[test]
    fn the_table_is_total_and_symmetric() {
        let mut pairs = 0;
        for (index, starting) in JobKind::ALL.into_iter().enumerate() {
            assert_eq!(starting as usize, index, "the columns are in the order of the kinds");
            for running in JobKind::ALL {
                let listed = CONFLICTS.contains(&(starting, running)) || CONFLICTS.contains(&(running, starting));
                assert_eq!(has_to_wait(starting, running), listed, "{starting:?} while {running:?} runs");
                assert_eq!(
                    has_to_wait(starting, running),
                    has_to_wait(running, starting),
                    "{starting:?} and {running:?} wait for each other, or neither does"
                );
                pairs += 1;
            }
        }
        assert_eq!(pairs, 81);
    }

    /// Every job that changes staged records, or works on all of them alone, refuses uploads.
    #[test]
    fn uploads_wait_for_jobs_that_are_alone() {
        for running in JobKind::ALL {
            let refused = upload_refusal(running).is_some();
            let alone = matches!(running, JobKind::Validate | JobKind::Import | JobKind::Undo);
            let expected = running.is_exclusive() || alone;
            assert_eq!(refused, expected, "{running:?}");
        }
    }
}
