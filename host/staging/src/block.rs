//! The journal's unit: a block of entries of one stream, sealed as one piece, with checksums.
//!
//! ```text
//! header  magic 4 · flags 1 · reserved 1 · stream 2 · count 4 · sealed length 4 · first ordinal 8
//!         · durable version 8 · CRC-32 of the sealed payload 4 · CRC-32 of the header so far 4
//! payload, sealed
//!         count × (key 16 · hash 16 · origin 8 · upload 4 · end 4 · detail length 2 · status 1 · reserved 1)
//!         · count × (body · detail)
//! ```
//! All numbers are little-endian. A payload is sealed to what its header says of its place, so that one block
//! cannot stand in for another; flags and durable version are written later, and say nothing of the payload.
//! The checksums need no key: they tell a torn write from a whole one before anything is opened.

use std::ops::Range;

use super::{EntryDetail, Key};
use sluice_keys::Sealer;

pub(super) const HEADER_BYTES: usize = 40;
const META_BYTES: usize = 52;
pub(super) const MAGIC: [u8; 4] = *b"SLB2";
const COMMIT: u8 = 1;

/// The version of the blocks that are written and read here: the digit that the magic ends with.
pub(super) const VERSION: u8 = MAGIC[3];

/// A block is closed at this size: small enough to read for the sake of one record, large enough that
/// checksums and headers cost nothing.
pub(super) const BLOCK_BYTES: usize = 32 * 1024;

/// Where an entry came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line, or a number in a sequence, of the entry's own upload.
    Line(u64),
    /// An entry of a source's stream.
    Source {
        /// That stream's number.
        stream: u16,
        /// The entry's ordinal in it.
        ordinal: u64,
    },
    /// Made by a domain plugin from imported records.
    Generated,
}

const LINE_BITS: u64 = 48;
const GENERATED: u64 = u64::MAX;

impl Origin {
    fn to_bits(self) -> u64 {
        match self {
            // Stream numbers are shifted by one, so that 0 says "a line".
            Origin::Line(line) => line & ((1 << LINE_BITS) - 1),
            Origin::Source { stream, ordinal } => (u64::from(stream) + 1) << LINE_BITS | ordinal,
            Origin::Generated => GENERATED,
        }
    }

    fn from_bits(bits: u64) -> Self {
        if bits == GENERATED {
            return Origin::Generated;
        }
        let low = bits & ((1 << LINE_BITS) - 1);
        match bits >> LINE_BITS {
            0 => Origin::Line(low),
            stream => Origin::Source { stream: (stream - 1) as u16, ordinal: low },
        }
    }
}

/// Result of a source record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceStatus {
    /// Mapped. [`EntryDetail::Products`] lists the records made from it.
    Mapped = 1,
    /// Skipped. [`EntryDetail::Code`] is the reason.
    Skipped = 2,
    /// Rejected. [`EntryDetail::Code`] is the first issue's code.
    Rejected = 3,
    /// Quarantined because a plugin failed on it. [`EntryDetail::Code`] is the failure's code.
    Quarantined = 4,
}

impl SourceStatus {
    /// The status with this number, if it is one.
    pub fn from_u8(number: u8) -> Option<Self> {
        use SourceStatus::*;
        [Mapped, Skipped, Rejected, Quarantined].into_iter().find(|status| *status as u8 == number)
    }
}

/// One entry of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// What it is found by; zeros where it has none.
    pub key: Key,
    /// Hash of its body.
    pub hash: Key,
    /// Where it came from.
    pub origin: Origin,
    /// The upload it came with.
    pub upload: u32,
    /// A [`SourceStatus`], or 0.
    pub status: u8,
    /// The record, as it was uploaded or made.
    pub body: &'a [u8],
}

/// An entry as it was read from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StoredEntry<'a> {
    /// The entry.
    pub entry: Entry<'a>,
    /// The encoded [`EntryDetail`].
    pub detail_bytes: &'a [u8],
}

impl StoredEntry<'_> {
    /// Decodes the detail.
    pub fn detail(&self) -> EntryDetail {
        EntryDetail::decode(self.entry.status, self.detail_bytes)
    }
}

/// A block in the making.
#[derive(Default)]
pub(super) struct BlockBuilder {
    metas: Vec<u8>,
    data: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    pub fn push(&mut self, entry: &Entry, detail: &EntryDetail) {
        self.data.extend_from_slice(entry.body);
        let detail_start = self.data.len();
        detail.encode(&mut self.data);
        let detail_bytes = self.data.len() - detail_start;
        self.metas.extend_from_slice(&entry.key);
        self.metas.extend_from_slice(&entry.hash);
        self.metas.extend_from_slice(&entry.origin.to_bits().to_le_bytes());
        self.metas.extend_from_slice(&entry.upload.to_le_bytes());
        self.metas.extend_from_slice(&(self.data.len() as u32).to_le_bytes());
        self.metas.extend_from_slice(&(detail_bytes as u16).to_le_bytes());
        self.metas.extend_from_slice(&[entry.status, 0]);
        self.count += 1;
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_full(&self) -> bool {
        self.metas.len() + self.data.len() >= BLOCK_BYTES
    }

    /// Writes the block to `out` and empties it; returns its header.
    pub fn write(&mut self, sealer: &Sealer, stream: u16, first: u64, out: &mut Vec<u8>) -> Header {
        let payload = [self.metas.as_slice(), self.data.as_slice()];
        let header = write_block(sealer, (stream, self.count, first), &payload, out);
        self.metas.clear();
        self.data.clear();
        self.count = 0;
        header
    }
}

/// What a block's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub stream: u16,
    pub count: u32,
    /// Sealed.
    pub payload_bytes: u32,
    pub first: u64,
    pub commits: bool,
    /// Version of the journal that was known to be on disk when this was written; with a commit mark only.
    pub durable: u64,
    /// Of the sealed payload.
    pub payload_crc: u32,
}

/// What a block's payload is sealed to: stream, count and first ordinal.
pub(super) fn place(stream: u16, count: u32, first: u64) -> [u8; 15] {
    let mut place = [b'B'; 15];
    place[1..3].copy_from_slice(&stream.to_le_bytes());
    place[3..7].copy_from_slice(&count.to_le_bytes());
    place[7..].copy_from_slice(&first.to_le_bytes());
    place
}

/// Writes a block of this stream, count and first ordinal to `out`; returns its header.
pub(super) fn write_block(
    sealer: &Sealer,
    (stream, count, first): (u16, u32, u64),
    payload: &[&[u8]],
    out: &mut Vec<u8>,
) -> Header {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    sealer.seal(&place(stream, count, first), payload, out);
    let sealed = &out[at + HEADER_BYTES..];
    let (payload_bytes, payload_crc) = (sealed.len() as u32, crc32fast::hash(sealed));
    let header = Header { stream, count, payload_bytes, first, commits: false, durable: 0, payload_crc };
    out[at..at + HEADER_BYTES].copy_from_slice(&header.encode());
    header
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = if self.commits { COMMIT } else { 0 };
        bytes[6..8].copy_from_slice(&self.stream.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.durable.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.payload_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header that these bytes spell; none if they are no header, or damaged.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if bytes[..4] != MAGIC || crc32fast::hash(&bytes[..36]) != u32_at(36) {
            return None;
        }
        Some(Self {
            stream: u16::from_le_bytes(bytes[6..8].try_into().expect("2 bytes")),
            count: u32_at(8),
            payload_bytes: u32_at(12),
            first: u64_at(16),
            commits: bytes[4] & COMMIT != 0,
            durable: u64_at(24),
            payload_crc: u32_at(32),
        })
    }
}

/// The digit of another version of Sluice whose header these bytes are: all have had the magic and the checksum in
/// these places. What is merely damaged is none.
pub(super) fn other_version(bytes: &[u8; HEADER_BYTES]) -> Option<char> {
    let (covered, crc) = bytes.split_at(HEADER_BYTES - 4);
    let sound = crc32fast::hash(covered).to_le_bytes() == crc;
    (sound && bytes[..3] == MAGIC[..3] && bytes[3] != VERSION).then(|| bytes[3].into())
}

/// A block's payload, opened.
pub(super) struct Block {
    pub count: usize,
    pub payload: Vec<u8>,
}

impl Block {
    /// The entry at a place in the block; none if the payload does not hold it.
    pub fn entry(&self, place: usize) -> Option<StoredEntry<'_>> {
        if place >= self.count {
            return None;
        }
        let meta = self.payload.get(place * META_BYTES..(place + 1) * META_BYTES)?;
        let end_at = |place: usize| -> Option<usize> {
            let at = place * META_BYTES + 44;
            Some(u32::from_le_bytes(self.payload.get(at..at + 4)?.try_into().ok()?) as usize)
        };
        let data = self.payload.get(self.count * META_BYTES..)?;
        let start = if place == 0 { 0 } else { end_at(place - 1)? };
        let whole: Range<usize> = start..end_at(place)?;
        let detail_length = u16::from_le_bytes(meta[48..50].try_into().ok()?) as usize;
        let whole = data.get(whole)?;
        let (body, detail_bytes) = whole.split_at_checked(whole.len().checked_sub(detail_length)?)?;
        let entry = Entry {
            key: meta[..16].try_into().ok()?,
            hash: meta[16..32].try_into().ok()?,
            origin: Origin::from_bits(u64::from_le_bytes(meta[32..40].try_into().ok()?)),
            upload: u32::from_le_bytes(meta[40..44].try_into().ok()?),
            status: meta[50],
            body,
        };
        Some(StoredEntry { entry, detail_bytes })
    }
}
