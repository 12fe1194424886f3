//! Packs and unpacks a batch.

use crate::bindings::types::Batch;
use crate::writer::Writer;

/// Slices of the records in a batch, in order.
pub(crate) fn unpack(batch: &Batch) -> impl Iterator<Item = &[u8]> + Clone {
    let mut start = 0;
    batch.ends.iter().map(move |&end| {
        let record = &batch.bytes[start..end as usize];
        start = end as usize;
        record
    })
}

/// The records in a batch, in order, and each as text where it is UTF-8. The whole is looked at once;
/// only where that fails is each record looked at.
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

/// A batch in the making.
#[derive(Default)]
pub struct BatchBuilder {
    written: Writer,
    ends: Vec<u32>,
}

impl BatchBuilder {
    /// Adds one record that is already bytes.
    pub fn push(&mut self, record: &[u8]) {
        self.written.raw(record);
        self.ends.push(self.written.len() as u32);
    }

    /// Adds one record by writing it as JSON; a value that cannot be JSON is a mistake in the plugin.
    pub fn push_json<T: serde::Serialize + ?Sized>(&mut self, record: &T) {
        record.serialize(&mut self.written).expect("a record can be written as JSON");
        self.ends.push(self.written.len() as u32);
    }

    /// The number of records so far.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The batch as it crosses the boundary.
    pub fn finish(self) -> Batch {
        Batch { bytes: self.written.finish(), ends: self.ends }
    }
}
