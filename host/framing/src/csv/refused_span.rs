//! A span of lines that is refused because of a quote that was opened and not closed properly.

use super::row::CsvRow;
use crate::charset::Charset;
use crate::lines::{LineSpan, QuotePlace};
use crate::{Fault, RawBatch};

/// Lines from the one on which a quote was opened to the one before the next correct row.
#[derive(Debug)]
pub(super) struct RefusedSpan {
    quote: QuotePlace,
    line: u64,
    last: u64,
    offset: u64,
    /// Bytes of the lines, without the end of the last one. They are as they were received.
    bytes: Vec<u8>,
    /// Character that ended the last line.
    end: u8,
}

impl RefusedSpan {
    /// Begins a span with a row.
    pub fn new(row: &CsvRow, quote: QuotePlace) -> Self {
        Self { quote, line: row.line, last: row.last_line, offset: row.offset, bytes: row.bytes.to_vec(), end: row.end }
    }

    /// Adds the next row. Returns false, and adds nothing, if the span would be longer than the limit.
    pub fn add(&mut self, row: &CsvRow, charset: Charset, max_bytes: usize) -> bool {
        let between = usize::try_from(row.offset - self.offset).unwrap_or(usize::MAX).saturating_sub(self.bytes.len());
        if row.too_long || self.bytes.len().saturating_add(between + row.bytes.len()) > max_bytes {
            return false;
        }
        // Between two rows is the end of a line: one character or two.
        self.bytes.extend_from_slice(&charset.encode_ascii(self.end));
        if between > charset.unit() {
            self.bytes.extend_from_slice(&charset.encode_ascii(b'\n'));
        }
        self.bytes.extend_from_slice(row.bytes);
        self.last = row.last_line;
        self.end = row.end;
        true
    }

    /// Adds the span to a batch, as one record.
    pub fn push_to(self, batch: &mut RawBatch) {
        batch.push(self.line, self.offset, &self.bytes, Some(Fault::Quotes));
        batch.mark_span(LineSpan { last: self.last, quote: Some(self.quote) });
    }
}
