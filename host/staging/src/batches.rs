//! What each batch of source records was, so that it can be mapped again just so: its records in their order, where they
//! stood in the upload, and how far the other sources had come.
//!
//! ```text
//! first ordinal 8 · seen 2 × (stream 2 · length 8) · members × (ordinal, offset)
//! ```
//! A member is two variable-length numbers: its ordinal against the one before it, and one more than its offset against
//! the one before it, or 0 where nobody knows it.

use std::collections::BTreeMap;

use super::block::{Entry, Origin};
use super::change::Change;
use super::{EntryDetail, StagedEntry, StagingArea, StagingError, StreamName};

/// A record that a mapper was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its place in the source's stream.
    pub ordinal: u64,
    /// Where it began in the upload, in bytes; none where it was not uploaded just then.
    pub offset: Option<u64>,
}

/// A batch as a mapper was given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceBatch {
    /// Number of the upload.
    pub upload: u32,
    /// Its records, in their order.
    pub members: Vec<Member>,
    /// How many entries of each source could be looked up.
    pub seen: BTreeMap<String, u64>,
}

/// How many entries of each source can be looked up, by its name.
pub type Seen = BTreeMap<String, u64>;

fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

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

/// Small for small differences in either direction.
fn zigzag(difference: i64) -> u64 {
    ((difference << 1) ^ (difference >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn encode(first: u64, seen: &[(u16, u64)], members: &[Member]) -> Vec<u8> {
    let mut out = first.to_le_bytes().to_vec();
    out.extend_from_slice(&(seen.len() as u16).to_le_bytes());
    for (stream, length) in seen {
        out.extend_from_slice(&stream.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
    }
    let (mut next, mut at) = (first, 0);
    for member in members {
        put(zigzag(member.ordinal.wrapping_sub(next) as i64), &mut out);
        next = member.ordinal + 1;
        put(member.offset.map_or(0, |offset| offset.saturating_sub(at) + 1), &mut out);
        at = member.offset.unwrap_or(at);
    }
    out
}

/// Ordinal of the first record that came with a batch.
fn first_of(body: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*body.first_chunk()?))
}

type Decoded = (Vec<(u16, u64)>, Vec<Member>);

fn decode(body: &[u8]) -> Option<Decoded> {
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
        members.push(Member { ordinal, offset });
    }
    Some((seen, members))
}

impl Change<'_> {
    /// Notes what a batch was, of which the records from `first` on are new.
    pub(super) fn note_batch(
        &mut self,
        source: &str,
        upload: u32,
        seen: &Seen,
        first: u64,
        members: &[Member],
    ) -> Result<(), StagingError> {
        let seen: Vec<(u16, u64)> = seen
            .iter()
            .filter_map(|(name, length)| Some((self.inner.number(StreamName::Source(name))?, *length)))
            .collect();
        let body = encode(first, &seen, members);
        let stream = self.stream(StreamName::Batches(source))?;
        let entry = Entry { key: [0; 16], hash: [0; 16], origin: Origin::Line(0), upload, status: 0, body: &body };
        self.add(stream, entry, EntryDetail::None).map(drop)
    }
}

fn damaged(offset: u64) -> StagingError {
    StagingError::Damaged { what: "a batch's note", segment: 0, offset }
}

impl StagingArea {
    /// The batch with which a source record came; none where it was not given to a mapper.
    pub fn batch_of(&self, source: &str, ordinal: u64) -> Result<Option<SourceBatch>, StagingError> {
        let notes = self.length(StreamName::Batches(source))?;
        // Notes are in the order of what was new in them: the last that begins at or before it.
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

    /// How many batches of a source there were.
    pub fn batches(&self, source: &str) -> Result<u64, StagingError> {
        self.length(StreamName::Batches(source))
    }

    /// A source's batch by its number, from 0.
    pub fn batch(&self, source: &str, number: u64) -> Result<Option<SourceBatch>, StagingError> {
        let Some((note, body)) = self.entry(StreamName::Batches(source), number)? else { return Ok(None) };
        let (seen, members) = decode(&body).ok_or_else(|| damaged(number))?;
        let mut names = Seen::new();
        for (stream, length) in seen {
            names.extend(self.source_of(stream)?.map(|name| (name, length)));
        }
        Ok(Some(SourceBatch { upload: note.upload, members, seen: names }))
    }

    /// An entry of a stream with its body, whether or not it still lives.
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

    /// The staged record with this reference id, and what is known of it.
    pub fn record(&self, entity_type: &str, id: super::Key) -> Result<Option<(StagedEntry, Vec<u8>)>, StagingError> {
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
    fn what_is_noted_is_read_again() {
        let at = |ordinal, offset| Member { ordinal, offset };
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
                // Cut short it is nothing, or fewer members, and never anything else.
                if let Some((_, read)) = decode(&body[..cut]) {
                    assert!(read.len() < decode(&body).unwrap().1.len() || cut == body.len());
                }
            }
        }
    }
}
