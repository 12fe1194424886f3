//! The streams of a staging area: where their entries stand, which of them live, and reading them in order.

use std::sync::Arc;

use super::area::Inner;
use super::block::{Block, Entry, Origin, StoredEntry};
use super::journal::{BlockRef, read_block};
use super::marks::Marks;
use super::{EntryDetail, Key, StagingArea, StagingError};

/// One stream: source records of a table, or records of an entity type.
#[derive(Default)]
pub(super) struct Stream {
    pub name: String,
    pub blocks: Vec<BlockRef>,
    /// Entries ever appended; the next one's ordinal.
    pub length: u64,
    pub dead: Marks,
}

impl Stream {
    pub fn add(&mut self, block: BlockRef) {
        self.length = block.first + u64::from(block.count);
        self.blocks.push(block);
    }

    pub fn block_of(&self, ordinal: u64) -> Option<&BlockRef> {
        let after = self.blocks.partition_point(|block| block.first <= ordinal);
        self.blocks[..after].last().filter(|block| ordinal < block.first + u64::from(block.count))
    }

    pub fn lives(&self, ordinal: u64) -> bool {
        !self.dead.get(ordinal)
    }

    pub fn live(&self) -> u64 {
        self.length - self.dead.count()
    }
}

/// A block with what is needed to read it.
pub(super) struct LiveBlock {
    pub block: Arc<Block>,
    pub first: u64,
    pub dead: Vec<bool>,
}

/// Live entries of a stream in the order in which they were appended.
pub struct EntryReader<'a> {
    area: &'a StagingArea,
    stream: Option<u16>,
    /// The next ordinal to be read.
    next: u64,
    end: u64,
    current: Option<LiveBlock>,
}

/// A batch of staged records, packed as they cross the plugin boundary.
#[derive(Default)]
pub struct StagedBatch {
    /// Bodies end to end.
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<u32>,
    /// What else is known of each.
    pub entries: Vec<StagedEntry>,
}

/// What is known of a staged record, beside its body.
#[derive(Clone, Debug)]
pub struct StagedEntry {
    /// Its place in the stream.
    pub ordinal: u64,
    /// Its key.
    pub key: Key,
    /// Hash of its body.
    pub hash: Key,
    /// Where it came from.
    pub origin: Origin,
    /// The upload it came with.
    pub upload: u32,
    /// A source record's status.
    pub status: u8,
    /// Data that the stream keeps beside it.
    pub detail: EntryDetail,
}

impl StagedEntry {
    pub(super) fn new(ordinal: u64, stored: &StoredEntry) -> Self {
        let Entry { key, hash, origin, upload, status, .. } = stored.entry;
        Self { ordinal, key, hash, origin, upload, status, detail: stored.detail() }
    }
}

impl StagedBatch {
    /// How many records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The body at a position.
    pub fn body(&self, position: usize) -> &[u8] {
        let start = if position == 0 { 0 } else { self.ends[position - 1] as usize };
        &self.bytes[start..self.ends[position] as usize]
    }
}

impl<'a> EntryReader<'a> {
    pub(super) fn new(area: &'a StagingArea, stream: Option<u16>, next: u64, end: u64) -> Self {
        Self { area, stream, next, end, current: None }
    }

    /// The ordinal that the stream had reached when reading began: entries appended later are not read.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Fills `batch` with the next live entries, at most so many and about so many bytes; whether there
    /// were any.
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
            let place = (self.next - live.first) as usize;
            if !live.dead[place] {
                let stored = live.block.entry(place).ok_or(StagingError::Damaged {
                    what: "an entry",
                    segment: 0,
                    offset: self.next,
                })?;
                batch.bytes.extend_from_slice(stored.entry.body);
                batch.ends.push(batch.bytes.len() as u32);
                batch.entries.push(StagedEntry::new(self.next, &stored));
            }
            self.next += 1;
        }
        Ok(!batch.is_empty())
    }
}

impl StagingArea {
    /// The block that holds an ordinal, and which of its entries live.
    pub(super) fn live_block(&self, stream: u16, ordinal: u64) -> Result<LiveBlock, StagingError> {
        let (file, reference, dead) = {
            let inner = self.read_inner()?;
            let held = &inner.streams[stream as usize];
            let reference = *held.block_of(ordinal).ok_or(StagingError::Damaged {
                what: "a stream",
                segment: 0,
                offset: ordinal,
            })?;
            let ordinals = reference.first..reference.first + u64::from(reference.count);
            (inner.journal.file(&reference), reference, ordinals.map(|ordinal| !held.lives(ordinal)).collect())
        };
        Ok(LiveBlock { block: Arc::new(read_block(&file, &self.sealer, &reference)?), first: reference.first, dead })
    }
}

impl Inner {
    /// The block that holds an ordinal, through the cache.
    pub(super) fn cached_block(&self, stream: u16, ordinal: u64) -> Result<(Arc<Block>, usize), StagingError> {
        let damaged = StagingError::Damaged { what: "a stream", segment: 0, offset: ordinal };
        let reference = self.streams[stream as usize].block_of(ordinal).ok_or(damaged)?;
        let place = (ordinal - reference.first) as usize;
        let block = self.cache.get_or_read((reference.segment, reference.offset), || {
            read_block(&self.journal.file(reference), &self.sealer, reference)
        })?;
        Ok((block, place))
    }
}

/// Blocks read for the sake of single records: about four megabytes.
const CACHED_BLOCKS: usize = 128;

/// The blocks read last, first in first out.
#[derive(Default)]
pub(super) struct Cache {
    held: std::sync::Mutex<Held>,
}

type Place = (u32, u64);

#[derive(Default)]
struct Held {
    blocks: hashbrown::HashMap<Place, Arc<Block>>,
    order: std::collections::VecDeque<Place>,
}

impl Cache {
    fn get_or_read(
        &self,
        place: Place,
        read: impl FnOnce() -> Result<Block, StagingError>,
    ) -> Result<Arc<Block>, StagingError> {
        let mut held = self.held.lock().expect("no panic while held");
        if let Some(block) = held.blocks.get(&place) {
            return Ok(block.clone());
        }
        let block = Arc::new(read()?);
        if held.order.len() >= CACHED_BLOCKS
            && let Some(oldest) = held.order.pop_front()
        {
            held.blocks.remove(&oldest);
        }
        held.blocks.insert(place, block.clone());
        held.order.push_back(place);
        Ok(block)
    }
}
