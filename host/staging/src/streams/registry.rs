//! Numbers of streams by name, and the open indexes of each stream. Every record looks both up, so a lookup allocates
//! nothing.

use hashbrown::HashMap;

use crate::index::Index;
use crate::{StagingError, StreamName};

/// Number of the stream that holds the names of the other streams, in the order of their numbers.
pub(crate) const NAMES_STREAM: u16 = u16::MAX;
/// Number of the stream that holds tombstones.
pub(crate) const TOMBSTONES_STREAM: u16 = u16::MAX - 1;
/// First reserved number. Streams of records have the numbers below it.
const FIRST_RESERVED: u16 = TOMBSTONES_STREAM;

/// Returns the number of the stream that is registered after `streams` others. Fails if that number is reserved.
pub(crate) fn next_number(streams: usize) -> Result<u16, StagingError> {
    let number = u16::try_from(streams).ok().filter(|number| *number < FIRST_RESERVED);
    number.ok_or(StagingError::TooManyStreams { streams })
}

/// Numbers of the streams by kind and name.
#[derive(Default)]
pub(crate) struct StreamRegistry {
    sources: HashMap<String, u16>,
    records: HashMap<String, u16>,
    batches: HashMap<String, u16>,
    refused: HashMap<String, u16>,
    probable_keys: HashMap<String, u16>,
    originals: HashMap<String, u16>,
}

impl StreamRegistry {
    /// Returns the number of a stream, if it is registered.
    pub fn get(&self, stream: StreamName) -> Option<u16> {
        let (of_kind, name) = match stream {
            StreamName::Source(name) => (&self.sources, name),
            StreamName::Records(name) => (&self.records, name),
            StreamName::Batches(name) => (&self.batches, name),
            StreamName::Refused(name) => (&self.refused, name),
            StreamName::ProbableKeys(name) => (&self.probable_keys, name),
            StreamName::Originals(name) => (&self.originals, name),
        };
        of_kind.get(name).copied()
    }

    /// Registers a stream by its full name, such as `source/client`.
    pub fn insert(&mut self, full_name: &str, number: u16) {
        let Some((kind, name)) = full_name.split_once('/') else { return };
        let of_kind = match kind {
            "source" => &mut self.sources,
            "records" => &mut self.records,
            "batches" => &mut self.batches,
            "refused" => &mut self.refused,
            "probable-keys" => &mut self.probable_keys,
            "originals" => &mut self.originals,
            // A later version may write other kinds. This version has no name for them.
            _ => return,
        };
        of_kind.insert(name.to_owned(), number);
    }
}

/// Field name of an index by the entry's own key.
pub(crate) const OWN_KEY: &str = "";

/// Open indexes of a stream, each with its field. A stream has a handful of them, so a linear search is faster than a
/// hash table.
#[derive(Default)]
pub(crate) struct StreamIndexes(Vec<(String, Index)>);

impl StreamIndexes {
    /// Returns the index by this field, if it is open.
    pub fn get(&self, field: &str) -> Option<&Index> {
        self.0.iter().find(|(of, _)| of == field).map(|(_, index)| index)
    }

    /// Returns the index by this field for writing, if it is open.
    pub fn get_mut(&mut self, field: &str) -> Option<&mut Index> {
        self.0.iter_mut().find(|(of, _)| of == field).map(|(_, index)| index)
    }

    /// Adds an open index.
    pub fn add(&mut self, field: &str, index: Index) {
        self.0.push((field.to_owned(), index));
    }

    /// Closes all indexes by fields other than these, except the index by the entry's own key.
    pub fn retain_fields(&mut self, fields: &[String]) {
        self.0.retain(|(field, _)| field == OWN_KEY || fields.contains(field));
    }

    /// Iterates over all open indexes.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Index> {
        self.0.iter_mut().map(|(_, index)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_numbers_are_not_given_out() {
        let last = usize::from(FIRST_RESERVED) - 1;
        assert_eq!(next_number(0).unwrap(), 0);
        assert_eq!(usize::from(next_number(last).unwrap()), last);
        for streams in [last + 1, last + 2, last + 3, usize::MAX] {
            let refused = next_number(streams);
            assert!(matches!(refused, Err(StagingError::TooManyStreams { streams: s }) if s == streams), "{refused:?}");
        }
        for reserved in [NAMES_STREAM, TOMBSTONES_STREAM] {
            assert!(next_number(usize::from(reserved)).is_err());
        }
    }
}
