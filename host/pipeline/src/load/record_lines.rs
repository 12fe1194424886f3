//! Lines of a framed record, for its result.

use sluice_framing::RawBatch;
use sluice_model::{Issue, RecordOutcome, RecordResult, TablePlace};

/// Lines of a record in its upload.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordLines {
    line: u64,
    last: u64,
    quote: Option<TablePlace>,
}

impl RecordLines {
    /// Returns the lines of the record at a position of a batch.
    pub fn of(raw: &RawBatch, position: usize) -> Self {
        let line = raw.lines[position];
        let Some(span) = raw.span(position) else { return Self { line, last: line, quote: None } };
        let quote = span.quote.map(|quote| TablePlace { line: quote.line, column: quote.column });
        Self { line, last: span.last, quote }
    }

    /// Returns the result of the record.
    pub fn result(self, outcome: RecordOutcome, issues: Vec<Issue>) -> RecordResult {
        RecordResult { line: self.line, last_line: self.last, quote: self.quote, outcome, issues }
    }
}
