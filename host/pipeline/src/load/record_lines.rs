//! Lines of a framed record, for its result.

use sluice_framing::{Fault, RawBatch, repeated_field};
use sluice_model::{FieldPath, Issue, RecordOutcome, RecordResult, TablePlace};

/// Lines of a record in its upload.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordLines {
    line: u64,
    last: u64,
    quote: Option<TablePlace>,
    field_counts: Option<(u32, u32)>,
}

impl RecordLines {
    /// Returns the lines of the record at a position of a batch.
    pub fn of(raw: &RawBatch, position: usize) -> Self {
        let line = raw.lines[position];
        let field_counts = raw.field_counts(position).map(|counts| (counts.expected, counts.found));
        let Some(span) = raw.span(position) else { return Self { line, last: line, quote: None, field_counts } };
        let quote = span.quote.map(|quote| TablePlace { line: quote.line, column: quote.column });
        Self { line, last: span.last, quote, field_counts }
    }

    /// Returns the result of the record.
    pub fn result(self, outcome: RecordOutcome, issues: Vec<Issue>) -> RecordResult {
        let Self { line, last, quote, field_counts } = self;
        RecordResult { line, last_line: last, quote, field_counts, outcome, issues }
    }
}

/// Returns the issue for a fault of a record. It names a field that is there twice if `declared` knows the name. Any other
/// name could be data.
pub(super) fn fault_issue(fault: Fault, record: &[u8], declared: impl Fn(&str) -> Option<FieldPath>) -> Issue {
    let mut issue = Issue::error(fault.code());
    if fault == Fault::DuplicateField {
        let name = std::str::from_utf8(record).ok().and_then(repeated_field);
        issue.field = name.and_then(|name| declared(&name)).unwrap_or(FieldPath::WHOLE_RECORD);
    }
    issue
}
