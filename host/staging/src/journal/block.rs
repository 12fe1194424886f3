//! The unit of the journal: a block of entries of one stream, sealed as a whole, with checksums.
//!
//! ```text
//! header  magic 4 · flags 1 · reserved 1 · stream 2 · count 4 · sealed length 4 · first ordinal 8
//!         · durable version 8 · CRC-32 of the sealed payload 4 · CRC-32 of the header so far 4
//! payload, sealed
//!         count × (key 16 · hash 16 · origin 8 · upload 4 · end 4 · detail length 2 · status 1 · flags 1)
//!         · count × (body · detail)
//! ```
//! With the flag 1 of an entry, its detail ends with notes: notes · their length 2.
//! All numbers are little-endian. The stream, the count and the first ordinal are the payload's associated data, so
//! that one block cannot replace another. Flags and durable version are written later and are not part of it. The
//! checksums need no key: they tell a torn write from a whole one before the payload is opened.

use std::ops::Range;

use crate::number::length_u32;
use crate::{EntryDetail, Key, StagingError};
use sluice_keys::Sealer;

/// Bytes of a block's header.
pub(crate) const HEADER_BYTES: usize = 40;
/// Bytes of an entry's metadata.
const META_BYTES: usize = 52;
/// First bytes of a header.
pub(crate) const MAGIC: [u8; 4] = *b"SLB2";
/// Flag of the last block of a group.
const COMMIT: u8 = 1;
/// Flag of an entry whose detail ends with notes.
const NOTES: u8 = 1;

/// Version of the blocks that this code writes and reads: the last digit of the magic.
pub(crate) const VERSION: u8 = MAGIC[3];

/// Size at which a block is closed. It is small enough to read for one record, and large enough that checksums and
/// headers cost nothing.
pub(crate) const BLOCK_BYTES: usize = 32 * 1024;

/// Origin of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line, or a number in a sequence, of the entry's own upload.
    Line(u64),
    /// An entry of a source's stream.
    Source {
        /// Number of the source's stream.
        stream: u16,
        /// Ordinal of the entry in it.
        ordinal: u64,
    },
    /// A domain plugin made the entry from imported records.
    Generated,
}

const LINE_BITS: u64 = 48;
const GENERATED: u64 = u64::MAX;

impl Origin {
    fn to_bits(self) -> u64 {
        match self {
            // Stream numbers are shifted by one, so that 0 stands for a line.
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
        let [.., second, first] = bits.to_le_bytes();
        match u16::from_le_bytes([second, first]) {
            0 => Origin::Line(low),
            stream => Origin::Source { stream: stream - 1, ordinal: low },
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
    /// Returns the status with this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        use SourceStatus::*;
        [Mapped, Skipped, Rejected, Quarantined].into_iter().find(|status| *status as u8 == number)
    }
}

/// One entry of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamEntry<'a> {
    /// Key by which the entry is found; zeros if it has none.
    pub key: Key,
    /// Hash of the body.
    pub hash: Key,
    /// Origin of the entry.
    pub origin: Origin,
    /// Number of the upload.
    pub upload: u32,
    /// A [`SourceStatus`], or 0.
    pub status: u8,
    /// Notes of the caller about the record. Empty if there are none.
    pub notes: &'a [u8],
    /// The record, as it was uploaded or made.
    pub body: &'a [u8],
}

/// An entry as it was read from a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredEntry<'a> {
    /// The entry.
    pub entry: StreamEntry<'a>,
    /// The encoded [`EntryDetail`].
    pub detail_bytes: &'a [u8],
}

impl StoredEntry<'_> {
    /// Decodes the detail.
    pub fn detail(&self) -> EntryDetail {
        EntryDetail::decode(self.entry.status, self.detail_bytes)
    }
}

/// A block that is being built.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    metas: Vec<u8>,
    data: Vec<u8>,
    count: u32,
}

impl BlockBuilder {
    /// Adds an entry. Fails if the entry's detail or the block does not fit its length field; the builder cannot be
    /// used after that.
    pub fn push(&mut self, entry: &StreamEntry, detail: &EntryDetail) -> Result<(), StagingError> {
        self.data.extend_from_slice(entry.body);
        let detail_start = self.data.len();
        detail.encode(&mut self.data);
        let noted = self.add_notes(detail_start, entry.notes);
        let detail_bytes = u16::try_from(self.data.len() - detail_start)
            .map_err(|_| StagingError::TooLarge { part: "the list of records made from a source record" })?;
        let end = length_u32(self.data.len(), "a record")?;
        self.metas.extend_from_slice(&entry.key);
        self.metas.extend_from_slice(&entry.hash);
        self.metas.extend_from_slice(&entry.origin.to_bits().to_le_bytes());
        self.metas.extend_from_slice(&entry.upload.to_le_bytes());
        self.metas.extend_from_slice(&end.to_le_bytes());
        self.metas.extend_from_slice(&detail_bytes.to_le_bytes());
        self.metas.extend_from_slice(&[entry.status, if noted { NOTES } else { 0 }]);
        self.count += 1;
        Ok(())
    }

    /// Adds notes to the detail that begins at `start`. Leaves out notes that do not fit beside it, and returns false.
    fn add_notes(&mut self, start: usize, notes: &[u8]) -> bool {
        let Ok(length) = u16::try_from(notes.len()) else { return false };
        if notes.is_empty() || self.data.len() - start + notes.len() + 2 > usize::from(u16::MAX) {
            return false;
        }
        self.data.extend_from_slice(notes);
        self.data.extend_from_slice(&length.to_le_bytes());
        true
    }

    /// Returns true if the block has no entry.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns true if the block has reached [`BLOCK_BYTES`].
    pub fn is_full(&self) -> bool {
        self.metas.len() + self.data.len() >= BLOCK_BYTES
    }

    /// Writes the block to `out` and empties the builder. Returns the block's header.
    pub fn write(
        &mut self,
        sealer: &Sealer,
        stream: u16,
        first: u64,
        out: &mut Vec<u8>,
    ) -> Result<BlockHeader, StagingError> {
        let payload = [self.metas.as_slice(), self.data.as_slice()];
        let header = write_block(sealer, (stream, self.count, first), &payload, out)?;
        self.metas.clear();
        self.data.clear();
        self.count = 0;
        Ok(header)
    }
}

/// Header of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    /// Number of the stream.
    pub stream: u16,
    /// Number of entries.
    pub count: u32,
    /// Bytes of the sealed payload.
    pub payload_bytes: u32,
    /// Ordinal of the first entry.
    pub first: u64,
    /// True if the block ends a group.
    pub commits: bool,
    /// Version of the journal that was known to be on disk when the block was written. Only a block that ends a group
    /// has it.
    pub durable: u64,
    /// CRC-32 of the sealed payload.
    pub payload_crc: u32,
}

/// Returns the associated data of a block's payload: stream, count and first ordinal.
pub(crate) fn associated_data(stream: u16, count: u32, first: u64) -> [u8; 15] {
    let mut data = [b'B'; 15];
    data[1..3].copy_from_slice(&stream.to_le_bytes());
    data[3..7].copy_from_slice(&count.to_le_bytes());
    data[7..].copy_from_slice(&first.to_le_bytes());
    data
}

/// Writes a block of this stream, count and first ordinal to `out`. Returns its header.
pub(crate) fn write_block(
    sealer: &Sealer,
    (stream, count, first): (u16, u32, u64),
    payload: &[&[u8]],
    out: &mut Vec<u8>,
) -> Result<BlockHeader, StagingError> {
    let at = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    sealer.seal(&associated_data(stream, count, first), payload, out);
    let sealed = &out[at + HEADER_BYTES..];
    let (payload_bytes, payload_crc) = (length_u32(sealed.len(), "a block")?, crc32fast::hash(sealed));
    let header = BlockHeader { stream, count, payload_bytes, first, commits: false, durable: 0, payload_crc };
    out[at..at + HEADER_BYTES].copy_from_slice(&header.encode());
    Ok(header)
}

impl BlockHeader {
    /// Returns the bytes of the header.
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

    /// Decodes a header. Returns `None` if the bytes are no header, or are damaged.
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

/// Returns the version digit of a header that another version of Sluice wrote. All versions have the magic and the
/// checksum in these places. Returns `None` for a damaged header.
pub(crate) fn other_version(bytes: &[u8; HEADER_BYTES]) -> Option<char> {
    let (covered, crc) = bytes.split_at(HEADER_BYTES - 4);
    let sound = crc32fast::hash(covered).to_le_bytes() == crc;
    (sound && bytes[..3] == MAGIC[..3] && bytes[3] != VERSION).then(|| bytes[3].into())
}

/// An opened block.
pub(crate) struct Block {
    /// Number of entries.
    pub count: usize,
    /// The opened payload.
    pub payload: Vec<u8>,
}

impl Block {
    /// Returns the entry at a place in the block. Returns `None` if the payload does not contain it.
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
        let range: Range<usize> = start..end_at(place)?;
        let detail_length = usize::from(u16::from_le_bytes(meta[48..50].try_into().ok()?));
        let data = data.get(range)?;
        let (body, detail_bytes) = data.split_at_checked(data.len().checked_sub(detail_length)?)?;
        let (detail_bytes, notes) =
            if meta[51] & NOTES == 0 { (detail_bytes, &[][..]) } else { notes_of(detail_bytes)? };
        let entry = StreamEntry {
            key: meta[..16].try_into().ok()?,
            hash: meta[16..32].try_into().ok()?,
            origin: Origin::from_bits(u64::from_le_bytes(meta[32..40].try_into().ok()?)),
            upload: u32::from_le_bytes(meta[40..44].try_into().ok()?),
            status: meta[50],
            notes,
            body,
        };
        Some(StoredEntry { entry, detail_bytes })
    }
}

/// Splits a detail with notes into the detail and the notes.
fn notes_of(detail_bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, length) = detail_bytes.split_last_chunk::<2>()?;
    rest.split_at_checked(rest.len().checked_sub(usize::from(u16::from_le_bytes(*length)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProductRef;
    use crate::journal::detail::MAX_PRODUCTS;

    /// The payload of a block. Data directories of earlier versions hold it, so it may not change.
    #[test]
    fn bytes_on_disk() {
        let mut builder = BlockBuilder::default();
        let origin = Origin::Source { stream: 2, ordinal: 5 };
        let (body, upload, status) = (&b"{}"[..], 9, SourceStatus::Mapped as u8);
        let entry = StreamEntry { key: [1; 16], hash: [2; 16], origin, upload, status, notes: b"", body };
        let detail = EntryDetail::Products(vec![ProductRef { stream: 4, id: [7; 16] }]);
        builder.push(&entry, &detail).unwrap();
        let origin_bytes = [5, 0, 0, 0, 0, 0, 3, 0];
        let meta = [&[1; 16][..], &[2; 16], &origin_bytes, &[9, 0, 0, 0], &[20, 0, 0, 0], &[18, 0], &[1, 0]].concat();
        assert_eq!(builder.metas, meta);
        assert_eq!(builder.data, [&b"{}"[..], &[4, 0], &[7; 16]].concat());
        let payload = [builder.metas, builder.data].concat();
        let stored = Block { count: 1, payload };
        let stored = stored.entry(0).unwrap();
        assert_eq!((stored.entry, stored.detail()), (entry, detail));
    }

    /// Notes are read back beside any detail. Notes that do not fit are left out.
    #[test]
    fn notes_are_read_back() {
        let (origin, body) = (Origin::Line(1), &b"{}"[..]);
        let products = |count| EntryDetail::Products(vec![ProductRef { stream: 4, id: [7; 16] }; count]);
        let long = vec![b'n'; 70_000];
        let cases: [(EntryDetail, SourceStatus, &[u8], usize); 6] = [
            (EntryDetail::Code("WRONG".into()), SourceStatus::Rejected, b"note", 4),
            (EntryDetail::Code("WRONG".into()), SourceStatus::Rejected, b"", 0),
            (products(2), SourceStatus::Mapped, b"note", 4),
            (products(MAX_PRODUCTS), SourceStatus::Mapped, b"note too long here", 0),
            (products(1), SourceStatus::Mapped, &long, 0),
            (EntryDetail::None, SourceStatus::Mapped, b"", 0),
        ];
        for (detail, status, notes, kept) in cases {
            let detail = if detail == EntryDetail::None { products(0) } else { detail };
            let status = status as u8;
            let entry = StreamEntry { key: [1; 16], hash: [2; 16], origin, upload: 1, status, notes, body };
            let mut builder = BlockBuilder::default();
            builder.push(&entry, &detail).unwrap();
            let block = Block { count: 1, payload: [builder.metas, builder.data].concat() };
            let stored = block.entry(0).unwrap();
            assert_eq!((stored.entry.notes, stored.detail()), (&notes[..kept], detail));
            assert_eq!(stored.entry.body, body);
        }
    }

    #[test]
    fn origins_are_read_back() {
        let last = (1 << LINE_BITS) - 1;
        let source = |stream, ordinal| Origin::Source { stream, ordinal };
        for origin in [Origin::Line(0), Origin::Line(last), source(0, 0), source(65_533, last), Origin::Generated] {
            assert_eq!(Origin::from_bits(origin.to_bits()), origin);
        }
    }

    /// A detail that does not fit its length field is refused. It would be read back as a part of the body.
    #[test]
    fn a_long_detail_is_refused() {
        let body = &b"{}"[..];
        let (origin, notes) = (Origin::Line(1), &b""[..]);
        let entry = StreamEntry { key: [1; 16], hash: [2; 16], origin, upload: 1, status: 1, notes, body };
        let products = |count| EntryDetail::Products(vec![ProductRef { stream: 4, id: [7; 16] }; count]);
        assert!(BlockBuilder::default().push(&entry, &products(MAX_PRODUCTS)).is_ok());
        let refused = BlockBuilder::default().push(&entry, &products(MAX_PRODUCTS + 1));
        assert!(matches!(refused, Err(StagingError::TooLarge { .. })), "{refused:?}");
    }
}
