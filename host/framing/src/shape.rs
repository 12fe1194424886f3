//! How records stand in a body, and what cuts it.

use std::sync::Arc;

use super::{CsvFramer, Format, Framer, HeaderFault, RawBatch, Table};

/// Takes a body's bytes as they come, gives batches of whole records.
pub trait Framing {
    /// Takes more bytes; returns how many were taken. Fewer than all means that the batch has reached `max_records` or
    /// `max_bytes`: take it and come again.
    fn push(&mut self, bytes: &[u8], max_records: usize, max_bytes: usize) -> usize;

    /// Takes the batch so far.
    fn take_batch(&mut self) -> RawBatch;

    /// How many records wait in the batch.
    fn waiting(&self) -> usize;

    /// The body is at its end, complete: what is unfinished is the last record.
    fn finish(&mut self);

    /// Why no record comes out of this body, if its header says so.
    fn refused(&self) -> Option<HeaderFault> {
        None
    }
}

/// How records stand in a body.
#[derive(Clone, Debug)]
pub enum Shape {
    /// JSON, one way or the other.
    Json(Format),
    /// A table.
    Csv(Arc<Table>),
}

impl Shape {
    /// What cuts such a body, into records of at most so many bytes.
    pub fn framer(&self, max_record_bytes: usize) -> Box<dyn Framing> {
        match self {
            Shape::Json(format) => Box::new(Framer::new(*format, max_record_bytes)),
            Shape::Csv(table) => Box::new(CsvFramer::new(table.clone(), max_record_bytes)),
        }
    }
}
