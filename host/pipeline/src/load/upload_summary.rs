//! Counts of an upload's records by result.

use std::collections::BTreeMap;

use super::record_stream::InputTotals;
use crate::{MigrationContext, PipelineError};
use sluice_catalog::{TransitionError, UploadEnd};
use sluice_model::{Code, MigrationEvent, RecordOutcome, RecordResult, UploadLines};

/// Counts of an upload's records by result.
#[derive(Clone, Debug, Default)]
pub struct UploadSummary {
    /// Totals of the input.
    pub input: InputTotals,
    /// Number of records read.
    pub records: u64,
    /// Number of source records that were mapped, or of records that were staged.
    pub accepted: u64,
    /// Number of source records that were skipped, by code.
    pub skipped: BTreeMap<Code, u64>,
    /// Number of invalid records.
    pub rejected: u64,
    /// Number of records on which a plugin failed.
    pub quarantined: u64,
    /// Lines of the body by what became of them.
    pub lines: UploadLines,
    /// True if the upload changed the staging area.
    pub changed: bool,
    /// Number of records that are new or changed in staging; 0 if the same records were uploaded before.
    pub changes: u64,
    /// Numbers of earlier uploads whose records it contained unchanged.
    pub confirmed: Vec<u32>,
}

impl UploadSummary {
    /// Records that the upload changed the staging area, so that an earlier validation no longer holds.
    pub(crate) fn note_change(&mut self, context: &MigrationContext, changed: bool) -> Result<(), PipelineError> {
        if changed && !std::mem::replace(&mut self.changed, true) {
            // The status refuses this only while a job runs, and no job starts during an upload.
            match context.store.transition(context.migration.reference_id, MigrationEvent::Changed) {
                Err(TransitionError::Catalog(error)) => return Err(error.into()),
                Err(TransitionError::Refused(_) | TransitionError::MigrationNotFound) | Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Sets the totals of the input.
    pub(super) fn set_input(&mut self, input: InputTotals) {
        self.input = input;
        self.lines.read = input.lines;
        (self.lines.header, self.lines.blank) = (input.passed.header, input.passed.blank);
    }

    /// Returns true if the input came to its end, and not each of its lines is accounted for.
    pub fn has_lost_lines(&self) -> bool {
        self.input.error.is_none() && !self.lines.agree()
    }

    /// Returns the totals for the catalogue.
    pub fn end(&self) -> UploadEnd {
        let InputTotals { bytes, digest, error, lines, .. } = self.input;
        UploadEnd {
            bytes,
            body: digest,
            records: self.records,
            accepted: self.accepted,
            skipped: self.skipped.iter().map(|(code, records)| (code.to_string(), *records)).collect(),
            rejected: self.rejected,
            quarantined: self.quarantined,
            broken_off: error.is_some(),
            // Records that are mapped again have no lines.
            lines: (lines > 0).then_some(self.lines),
            confirmed: self.confirmed.clone(),
        }
    }

    /// Counts a record's result.
    pub(crate) fn tally(&mut self, result: &RecordResult) {
        self.records += 1;
        let (records, lines) = match &result.outcome {
            RecordOutcome::Staged(_) | RecordOutcome::Mapped(_) | RecordOutcome::Deleted(_) => {
                (&mut self.accepted, &mut self.lines.accepted)
            }
            RecordOutcome::Skipped(code) => (self.skipped.entry(code.clone()).or_default(), &mut self.lines.skipped),
            RecordOutcome::Rejected(_) => (&mut self.rejected, &mut self.lines.rejected),
            RecordOutcome::Quarantined(_) => (&mut self.quarantined, &mut self.lines.quarantined),
        };
        *records += 1;
        *lines += result.lines();
    }
}
