//! The batches in which source records were passed to the mapper, so that a batch can be mapped again with the same
//! input: its records in order, their offsets in the upload, and the lengths of the other sources.
//!
//! ```text
//! first ordinal 8 · seen 2 × (stream 2 · length 8) · members × (ordinal, offset)
//! ```
//! A member is two variable-length numbers: the difference of its ordinal to the one before it, and the difference of
//! its offset to the one before it plus one, or 0 if the offset is unknown.

use std::collections::BTreeMap;

use crate::area::transaction::Transaction;
use crate::journal::block::{Origin, StreamEntry};
use crate::{EntryDetail, Key, StagedEntry, StagingArea, StagingError, StreamName};

/// A record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMember {
    /// Ordinal in the source's stream.
    pub ordinal: u64,
    /// Offset of its first byte in the upload. `None` if it was mapped again and not uploaded just then.
    pub offset: Option<u64>,
}

/// A batch as it was passed to a mapper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceBatch {
    /// Number of the upload.
    pub upload: u32,
    /// Its records, in order.
    pub members: Vec<BatchMember>,
    /// Length of each source that could be looked up.
    pub seen: BTreeMap<String, u64>,
}

/// Length of each source that can be looked up, by name.
pub type SourceLengths = BTreeMap<String, u64>;

/// Appends a number in LEB128.
fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// Takes a number in LEB128 off the front.
fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Encodes a difference so that small differences in either direction become small numbers.
fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn encode(first: u64, seen: &[(u16, u64)], members: &[BatchMember]) -> Vec<u8> {
    let mut out = first.to_le_bytes().to_vec();
    let sources = u16::try_from(seen.len()).expect("a source has a stream number of 16 bits");
    out.extend_from_slice(&sources.to_le_bytes());
    for (stream, length) in seen {
        out.extend_from_slice(&stream.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
    }
    let (mut next, mut at) = (first, 0);
    for member in members {
        put(zigzag(member.ordinal.wrapping_sub(next).cast_signed()), &mut out);
        next = member.ordinal + 1;
        put(member.offset.map_or(0, |offset| offset.saturating_sub(at) + 1), &mut out);
        at = member.offset.unwrap_or(at);
    }
    out
}

/// Returns the ordinal of the first record that is new in a batch.
fn first_of(body: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*body.first_chunk()?))
}

/// Lengths of the sources by stream number, and the members.
type DecodedBatch = (Vec<(u16, u64)>, Vec<BatchMember>);

fn decode(body: &[u8]) -> Option<DecodedBatch> {
    let mut next = first_of(body)?;
    let (count, mut rest) = body[8..].split_first_chunk::<2>()?;
    let mut seen = vec![];
    for _ in 0..u16::from_le_bytes(*count) {
        let (stream, after) = rest.split_first_chunk::<2>()?;
        let (length, after) = after.split_first_chunk::<8>()?;
        seen.push((u16::from_le_bytes(*stream), u64::from_le_bytes(*length)));
        rest = after;
    }
    let (mut members, mut at) = (vec![], 0_u64);
    while !rest.is_empty() {
        let ordinal = next.wrapping_add_signed(unzigzag(take(&mut rest)?));
        next = ordinal + 1;
        let offset = take(&mut rest)?.checked_sub(1).map(|difference| at + difference);
        at = offset.unwrap_or(at);
        members.push(BatchMember { ordinal, offset });
    }
    Some((seen, members))
}

impl Transaction<'_> {
    /// Adds a batch. Its records from the ordinal `first` on are new.
    pub(crate) fn add_batch(
        &mut self,
        source: &str,
        upload: u32,
        seen: &SourceLengths,
        first: u64,
        members: &[BatchMember],
    ) -> Result<(), StagingError> {
        let seen: Vec<(u16, u64)> = seen
            .iter()
            .filter_map(|(name, length)| Some((self.inner.number(StreamName::Source(name))?, *length)))
            .collect();
        let body = encode(first, &seen, members);
        let stream = self.stream(StreamName::Batches(source))?;
        let entry = StreamEntry {
            key: [0; 16],
            hash: [0; 16],
            origin: Origin::Line(0),
            upload,
            status: 0,
            notes: b"",
            body: &body,
        };
        self.add(stream, entry, EntryDetail::None).map(drop)
    }
}

fn damaged(offset: u64) -> StagingError {
    StagingError::Damaged { what: "a batch", segment: 0, offset }
}

impl StagingArea {
    /// Returns the batch in which a source record was passed to the mapper, if it was.
    pub fn batch_of(&self, source: &str, ordinal: u64) -> Result<Option<SourceBatch>, StagingError> {
        let notes = self.length(StreamName::Batches(source))?;
        // Batches are ordered by their first new record. The last one that begins at or before the record contains it.
        let (mut low, mut high) = (0, notes);
        while low < high {
            let middle = low + (high - low) / 2;
            let (_, body) = self.entry(StreamName::Batches(source), middle)?.ok_or_else(|| damaged(middle))?;
            if first_of(&body).ok_or_else(|| damaged(middle))? <= ordinal {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(note) = low.checked_sub(1) else { return Ok(None) };
        let batch = self.batch(source, note)?;
        Ok(batch.filter(|batch| batch.members.iter().any(|member| member.ordinal == ordinal)))
    }

    /// Returns the number of batches of a source.
    pub fn batches(&self, source: &str) -> Result<u64, StagingError> {
        self.length(StreamName::Batches(source))
    }

    /// Returns a source's batch by its number, from 0.
    pub fn batch(&self, source: &str, number: u64) -> Result<Option<SourceBatch>, StagingError> {
        let Some((note, body)) = self.entry(StreamName::Batches(source), number)? else { return Ok(None) };
        let (seen, members) = decode(&body).ok_or_else(|| damaged(number))?;
        let mut names = SourceLengths::new();
        for (stream, length) in seen {
            names.extend(self.source_of(stream)?.map(|name| (name, length)));
        }
        Ok(Some(SourceBatch { upload: note.upload, members, seen: names }))
    }

    /// Returns an entry of a stream with its body, even if it was replaced or deleted.
    pub fn entry(&self, stream: StreamName, ordinal: u64) -> Result<Option<(StagedEntry, Vec<u8>)>, StagingError> {
        let inner = self.read_inner()?;
        let Some(number) = inner.number(stream) else { return Ok(None) };
        if ordinal >= inner.streams[number as usize].length {
            return Ok(None);
        }
        let (block, place) = inner.cached_block(number, ordinal)?;
        let found = block.entry(place).ok_or_else(|| damaged(ordinal))?;
        Ok(Some((StagedEntry::new(ordinal, &found), found.entry.body.to_vec())))
    }

    /// Returns the staged record with this reference id, and its metadata.
    pub fn record(&self, entity_type: &str, id: Key) -> Result<Option<(StagedEntry, Vec<u8>)>, StagingError> {
        match self.latest(StreamName::Records(entity_type), id)? {
            Some(ordinal) => self.entry(StreamName::Records(entity_type), ordinal),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_back() {
        let at = |ordinal, offset| BatchMember { ordinal, offset };
        let cases = [
            (0, vec![], vec![]),
            (7, vec![(0, 7), (3, u64::MAX)], vec![at(7, Some(0)), at(8, Some(150)), at(9, Some(300))]),
            (
                900,
                vec![(1, 5)],
                vec![at(3, Some(1 << 40)), at(900, Some((1 << 40) + 1)), at(4, None), at(u64::from(u32::MAX), None)],
            ),
        ];
        for (first, seen, members) in cases {
            let body = encode(first, &seen, &members);
            assert_eq!(first_of(&body), Some(first));
            assert_eq!(decode(&body), Some((seen, members)));
            for cut in 0..body.len() {
                // A truncated batch is invalid or has fewer members.
                if let Some((_, read)) = decode(&body[..cut]) {
                    assert!(read.len() < decode(&body).unwrap().1.len() || cut == body.len());
                }
            }
        }
    }
}
