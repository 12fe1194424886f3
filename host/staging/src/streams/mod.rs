//! Streams of a staging area: positions of their blocks, live entries, and reading in order.

pub(crate) mod bitmap;
pub(crate) mod cache;
pub(crate) mod registry;

use std::sync::Arc;

use crate::area::AreaState;
use crate::journal::block::{Block, Origin, StoredEntry, StreamEntry};
use crate::journal::{BlockRef, read_block};
use crate::number::{length_u32, to_index};
use crate::streams::bitmap::Bitmap;
use crate::{EntryDetail, Key, StagingArea, StagingError};

/// One stream: source records of a table, records of an entity type, or batches of a source.
#[derive(Default)]
pub(crate) struct StreamState {
    /// Full name, such as `source/client`.
    pub name: String,
    /// Its blocks, in order.
    pub blocks: Vec<BlockRef>,
    /// Number of entries ever appended, which is the ordinal of the next entry.
    pub length: u64,
    /// Ordinals of replaced and deleted entries.
    pub dead: Bitmap,
}

impl StreamState {
    /// Adds a committed block.
    pub fn add(&mut self, block: BlockRef) {
        self.length = block.first + u64::from(block.count);
        self.blocks.push(block);
    }

    /// Returns the block that contains an ordinal.
    pub fn block_of(&self, ordinal: u64) -> Option<&BlockRef> {
        let after = self.blocks.partition_point(|block| block.first <= ordinal);
        self.blocks[..after].last().filter(|block| ordinal < block.first + u64::from(block.count))
    }

    /// Returns true if the entry was neither replaced nor deleted.
    pub fn lives(&self, ordinal: u64) -> bool {
        !self.dead.get(ordinal)
    }

    /// Returns the number of live entries.
    pub fn live(&self) -> u64 {
        self.length - self.dead.count()
    }

    /// Returns the number of live entries from an ordinal on.
    pub fn live_from(&self, from: u64) -> u64 {
        self.length.saturating_sub(from).saturating_sub(self.dead.count_from(from))
    }
}

/// A block with the state of its entries.
pub(crate) struct LiveBlock {
    /// The block.
    pub block: Arc<Block>,
    /// Ordinal of its first entry.
    pub first: u64,
    /// For each entry, true if it was replaced or deleted.
    pub dead: Vec<bool>,
}

/// A reader of a stream's live entries, in the order in which they were appended.
pub struct EntryReader<'a> {
    area: &'a StagingArea,
    stream: Option<u16>,
    /// Next ordinal to read.
    next: u64,
    end: u64,
    current: Option<LiveBlock>,
}

/// A batch of staged records, packed in the form that crosses the plugin boundary.
#[derive(Default)]
pub struct StagedBatch {
    /// Bodies, end to end.
    pub bytes: Vec<u8>,
    /// End of each body in `bytes`.
    pub ends: Vec<u32>,
    /// Metadata of each record.
    pub entries: Vec<StagedEntry>,
}

/// Metadata of a staged record.
#[derive(Clone, Debug)]
pub struct StagedEntry {
    /// Ordinal in the stream.
    pub ordinal: u64,
    /// Key of the record.
    pub key: Key,
    /// Hash of the body.
    pub hash: Key,
    /// Origin of the record.
    pub origin: Origin,
    /// Number of the upload.
    pub upload: u32,
    /// [`SourceStatus`](crate::SourceStatus) of a source record as a number; 0 in other streams.
    pub status: u8,
    /// Data that the stream keeps beside the body.
    pub detail: EntryDetail,
    /// Notes of the caller about the record. Empty if there are none.
    pub notes: Vec<u8>,
}

impl StagedEntry {
    /// Returns the metadata of an entry that was read from a block.
    pub(crate) fn new(ordinal: u64, stored: &StoredEntry) -> Self {
        let StreamEntry { key, hash, origin, upload, status, notes, .. } = stored.entry;
        Self { ordinal, key, hash, origin, upload, status, detail: stored.detail(), notes: notes.to_vec() }
    }
}

impl StagedBatch {
    /// Returns the number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if the batch contains no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the body at a position.
    pub fn body(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] as usize };
        &self.bytes[start..self.ends[position] as usize]
    }

    /// Keeps the records that satisfy a condition. Copies nothing if all do.
    pub fn retain(&mut self, keep: impl Fn(&StagedEntry) -> bool) {
        if self.entries.iter().all(&keep) {
            return;
        }
        let mut kept = Self::default();
        for (position, entry) in self.entries.iter().enumerate().filter(|(_, entry)| keep(entry)) {
            kept.bytes.extend_from_slice(self.body(position));
            kept.ends.push(u32::try_from(kept.bytes.len()).expect("a part of a batch is not longer than the batch"));
            kept.entries.push(entry.clone());
        }
        *self = kept;
    }
}

impl<'a> EntryReader<'a> {
    /// Returns a reader of the entries from `next` to `end`. Without a stream it reads nothing.
    pub(crate) fn new(area: &'a StagingArea, stream: Option<u16>, next: u64, end: u64) -> Self {
        Self { area, stream, next, end, current: None }
    }

    /// Returns the length of the stream when reading began. Entries appended later are not read.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Fills `batch` with the next live entries. Stops at `max_records`, or once the batch has `max_bytes` or more.
    /// Returns false at the end.
    pub fn next_batch(
        &mut self,
        batch: &mut StagedBatch,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<bool, StagingError> {
        batch.bytes.clear();
        batch.ends.clear();
        batch.entries.clear();
        let Some(stream) = self.stream else { return Ok(false) };
        while batch.len() < max_records && batch.bytes.len() < max_bytes && self.next < self.end {
            let within = |live: &LiveBlock| (live.first..live.first + live.block.count as u64).contains(&self.next);
            if !self.current.as_ref().is_some_and(within) {
                self.current = Some(self.area.live_block(stream, self.next)?);
            }
            let live = self.current.as_ref().expect("just read");
            let place = to_index(self.next - live.first);
            if !live.dead[place] {
                let stored = live.block.entry(place).ok_or(StagingError::Damaged {
                    what: "an entry",
                    segment: 0,
                    offset: self.next,
                })?;
                batch.bytes.extend_from_slice(stored.entry.body);
                batch.ends.push(length_u32(batch.bytes.len(), "a batch")?);
                batch.entries.push(StagedEntry::new(self.next, &stored));
            }
            self.next += 1;
        }
        Ok(!batch.is_empty())
    }
}

impl StagingArea {
    /// Reads the block that contains an ordinal, without the cache, and the state of its entries.
    pub(crate) fn live_block(&self, stream: u16, ordinal: u64) -> Result<LiveBlock, StagingError> {
        let (file, reference, dead) = {
            let inner = self.read_inner()?;
            let state = &inner.streams[stream as usize];
            let reference = *state.block_of(ordinal).ok_or(StagingError::Damaged {
                what: "a stream",
                segment: 0,
                offset: ordinal,
            })?;
            let ordinals = reference.first..reference.first + u64::from(reference.count);
            (inner.journal.file(&reference), reference, ordinals.map(|ordinal| !state.lives(ordinal)).collect())
        };
        Ok(LiveBlock { block: Arc::new(read_block(&file, &self.sealer, &reference)?), first: reference.first, dead })
    }
}

impl AreaState {
    /// Returns the block that contains an ordinal, through the cache, and the entry's place in the block.
    pub(crate) fn cached_block(&self, stream: u16, ordinal: u64) -> Result<(Arc<Block>, usize), StagingError> {
        let damaged = StagingError::Damaged { what: "a stream", segment: 0, offset: ordinal };
        let reference = self.streams[stream as usize].block_of(ordinal).ok_or(damaged)?;
        let place = to_index(ordinal - reference.first);
        let block = self.cache.get_or_read((reference.segment, reference.offset), || {
            read_block(&self.journal.file(reference), &self.sealer, reference)
        })?;
        Ok((block, place))
    }
}
