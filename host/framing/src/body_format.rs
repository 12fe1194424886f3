//! Formats of a body, and the framer of each.

use std::sync::Arc;

use super::{CsvFormat, CsvFramer, HeaderFault, JsonFormat, JsonFramer, PassedLines, RawBatch};

/// Limits of the records of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Maximum length of a record in bytes.
    pub record_bytes: usize,
    /// Maximum number of ends of lines in a quoted field of a table. A field with more is taken for one whose quote is a
    /// stray character.
    pub quoted_lines: u64,
}

/// A framer: it takes the bytes of a body as they arrive and returns batches of complete records.
pub trait Framing {
    /// Takes bytes and returns how many it took. If it took fewer than all, the batch has reached `max_records` or
    /// `max_bytes`: the caller takes the batch and pushes the rest again.
    fn push(&mut self, bytes: &[u8], max_records: usize, max_bytes: usize) -> usize;

    /// Takes the batch.
    fn take_batch(&mut self) -> RawBatch;

    /// Returns the number of records in the batch.
    fn waiting(&self) -> usize;

    /// Ends the body. The bytes after the last separator are the last record. Returns false if the batch has reached
    /// `max_records` or `max_bytes` before: the caller takes the batch and finishes again.
    fn finish(&mut self, max_records: usize, max_bytes: usize) -> bool;

    /// Returns the numbers of lines that belong to no record.
    fn passed(&self) -> PassedLines;

    /// Returns the fault of the header if it is invalid, so that the body yields no record.
    fn refused(&self) -> Option<HeaderFault> {
        None
    }
}

/// Format of a body.
#[derive(Clone, Debug)]
pub enum BodyFormat {
    /// JSON Lines or a JSON text sequence.
    Json(JsonFormat),
    /// A table.
    Csv(Arc<CsvFormat>),
}

impl BodyFormat {
    /// Returns the framer of such a body, for records within these limits.
    pub fn framer(&self, limits: FrameLimits) -> Box<dyn Framing> {
        match self {
            BodyFormat::Json(format) => Box::new(JsonFramer::new(*format, limits.record_bytes)),
            BodyFormat::Csv(table) => Box::new(CsvFramer::new(table.clone(), limits)),
        }
    }
}
