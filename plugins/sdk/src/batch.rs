//! Packing and unpacking of batches.

use crate::bindings::types::Batch;
use crate::writer::Writer;

/// Returns the records of a batch, in order.
pub(crate) fn unpack(batch: &Batch) -> impl Iterator<Item = &[u8]> + Clone {
    let mut start = 0;
    batch.ends.iter().map(move |&end| {
        let record = &batch.bytes[start..end as usize];
        start = end as usize;
        record
    })
}

/// Returns the records of a batch, in order, each as bytes and, if it is UTF-8, as text. Checks the whole batch at
/// once, and each record separately only if the whole is not UTF-8.
pub(crate) fn unpack_text(batch: &Batch) -> impl Iterator<Item = (&[u8], Option<&str>)> + Clone {
    let whole = std::str::from_utf8(&batch.bytes).ok();
    let mut start = 0;
    unpack(batch).map(move |record| {
        let range = start..start + record.len();
        start = range.end;
        let text = match whole {
            Some(whole) => whole.get(range),
            None => std::str::from_utf8(record).ok(),
        };
        (record, text)
    })
}

/// A builder of batches.
#[derive(Default)]
pub struct BatchBuilder {
    writer: Writer,
    ends: Vec<u32>,
}

impl BatchBuilder {
    /// Adds a record without changes.
    pub fn push(&mut self, record: &[u8]) {
        self.writer.raw(record);
        self.ends.push(self.writer.len() as u32);
    }

    /// Adds a record as JSON.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON, which is an error of the plugin.
    pub fn push_json<T: serde::Serialize + ?Sized>(&mut self, record: &T) {
        record.serialize(&mut self.writer).expect("a record must be writable as JSON");
        self.ends.push(self.writer.len() as u32);
    }

    /// Returns the number of records added.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if no record has been added.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the batch.
    pub fn finish(self) -> Batch {
        Batch { bytes: self.writer.finish(), ends: self.ends }
    }
}
