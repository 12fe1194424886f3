//! The journal of a staging area: append-only segment files of groups of blocks. A group is committed as a whole or not
//! at all.

pub(crate) mod block;
pub(crate) mod detail;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, OpenOptions};

use crate::StagingError;
use crate::file_system::sync_dir;
use crate::number::{segment_number, to_index};
use block::{Block, BlockHeader, HEADER_BYTES, MAGIC, associated_data};
use sluice_defects::Defect;
use sluice_keys::Sealer;

/// Size at which a segment is closed. Segments are large enough to be few, and small enough to copy. Tests use a small
/// size to get several segments.
const SEGMENT_BYTES: u64 = if cfg!(test) { 4 * 1024 } else { 256 * 1024 * 1024 };

/// Position of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockRef {
    /// Number of the stream.
    pub stream: u16,
    /// Ordinal of the first entry.
    pub first: u64,
    /// Number of entries.
    pub count: u32,
    /// Bytes of the sealed payload.
    pub payload_bytes: u32,
    /// CRC-32 of the sealed payload.
    pub payload_crc: u32,
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the payload in the segment.
    pub offset: u64,
}

/// A group of blocks that are written together.
#[derive(Default)]
pub(crate) struct BlockGroup {
    /// The blocks, end to end.
    pub bytes: Vec<u8>,
    /// Offset in `bytes` and header of each block.
    blocks: Vec<(usize, BlockHeader)>,
}

impl BlockGroup {
    /// Adds the block that was written to the end of `bytes`.
    pub fn push(&mut self, at: usize, header: BlockHeader) {
        self.blocks.push((at, header));
    }

    /// Returns true if the group contains no block.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// The segments of one staging area.
pub(crate) struct Journal {
    dir: Dir,
    sealer: Arc<Sealer>,
    segments: Vec<Arc<File>>,
    /// Length of all segments but the last.
    earlier: u64,
    /// Length of the last segment.
    length: u64,
    /// Version up to which everything is known to be on disk.
    durable: AtomicU64,
}

fn segment_name(number: usize) -> String {
    format!("{number:08}.seg")
}

/// Returns the names of a journal's segments, in order.
pub(crate) fn segment_names(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = dir
        .entries()?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    Ok(names)
}

/// Checks that this is the name of the segment with this number. Fails if an earlier segment is missing.
pub(crate) fn check_segment_name(name: &str, number: usize) -> Result<(), StagingError> {
    if name == segment_name(number) {
        return Ok(());
    }
    Err(StagingError::Damaged { what: "a segment is missing", segment: segment_number(number), offset: 0 })
}

/// Checks that a journal of `segments` segments, the last one `length` bytes long, reaches the version `acknowledged`.
/// A journal truncated at a group boundary, or deleted, cannot be told from a shorter or new one by reading it.
pub(crate) fn check_reaches(segments: usize, length: u64, acknowledged: u64) -> Result<(), StagingError> {
    if version(segments, length) >= acknowledged {
        return Ok(());
    }
    Err(StagingError::Behind { segment: segment_number(segments.saturating_sub(1)), offset: length })
}

impl Journal {
    /// Opens the journal, truncates uncommitted bytes, and passes every committed block to `block` in order. Fails if the
    /// journal does not reach the version `acknowledged`.
    pub fn open(
        dir: Dir,
        sealer: Arc<Sealer>,
        acknowledged: u64,
        mut block: impl FnMut(&BlockHeader, BlockRef, &dyn Fn() -> Result<Block, StagingError>) -> Result<(), StagingError>,
    ) -> Result<Self, StagingError> {
        let names = segment_names(&dir)?;
        let mut journal = Self { dir, sealer, segments: vec![], earlier: 0, length: 0, durable: AtomicU64::new(0) };
        let last = names.len().saturating_sub(1);
        for (number, name) in names.iter().enumerate() {
            check_segment_name(name, number)?;
            journal.earlier += journal.length;
            let file = journal.dir.open_with(name, OpenOptions::new().read(true).write(true))?.into_std();
            journal.segments.push(Arc::new(file));
            let file = journal.segments[number].clone();
            let size = file.metadata()?.len();
            let known = (number == last).then_some(acknowledged);
            let committed = committed(&file, segment_number(number), size, known, &mut |header, reference| {
                block(header, reference, &|| read_block(&file, &journal.sealer, &reference))
            })?;
            if committed < size {
                if sluice_defects::has(Defect::TornTail) {
                    journal.length = size;
                    break;
                }
                file.set_len(committed)?;
                file.sync_data()?;
            }
            journal.length = committed;
        }
        check_reaches(journal.segments.len(), journal.length, acknowledged)?;
        // The bytes that were read may not be on disk yet. They are synced before anything is appended.
        if let Some(tail) = journal.tail() {
            tail.sync_data()?;
        }
        journal.note_durable(journal.version());
        Ok(journal)
    }

    /// Returns the number of bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.earlier + self.length
    }

    /// Appends a group and returns the positions of its blocks. The group is durable once the file returned by
    /// [`Journal::tail`] is synced.
    pub fn append(&mut self, group: &mut BlockGroup) -> Result<Vec<BlockRef>, StagingError> {
        let Some((at, last)) = group.blocks.last_mut() else { return Ok(vec![]) };
        last.commits = true;
        last.durable = self.durable();
        let at = *at;
        let header = last.encode();
        group.bytes[at..at + HEADER_BYTES].copy_from_slice(&header);
        if self.segments.is_empty() || self.length >= SEGMENT_BYTES {
            self.begin_segment()?;
        }
        let segment = self.segments.len() - 1;
        self.segments[segment].write_all_at(&group.bytes, self.length)?;
        let written = group
            .blocks
            .iter()
            .map(|(at, header)| reference(header, segment_number(segment), self.length + *at as u64))
            .collect();
        self.length += group.bytes.len() as u64;
        Ok(written)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        if let Some(full) = self.segments.last() {
            full.sync_data()?;
            self.note_durable(self.version());
        }
        let options = OpenOptions::new().read(true).write(true).create_new(true).to_owned();
        let file = self.dir.open_with(segment_name(self.segments.len()), &options)?.into_std();
        // The file's name must be as durable as its content.
        sync_dir(&self.dir)?;
        self.segments.push(Arc::new(file));
        self.earlier += self.length;
        self.length = 0;
        Ok(())
    }

    /// Returns the file to sync so that everything appended so far is durable.
    pub fn tail(&self) -> Option<Arc<File>> {
        self.segments.last().cloned()
    }

    /// Returns the version: the number of segments and the length of the last one, as one number that only grows.
    pub fn version(&self) -> u64 {
        version(self.segments.len(), self.length)
    }

    /// Returns the version up to which everything is known to be on disk.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Relaxed)
    }

    /// Records that everything up to this version was synced.
    pub fn note_durable(&self, version: u64) {
        self.durable.fetch_max(version, Ordering::Relaxed);
    }

    /// Returns the segment file of a block, so that the block can be read without a lock on the journal.
    pub fn file(&self, reference: &BlockRef) -> Arc<File> {
        self.segments[reference.segment as usize].clone()
    }
}

/// Passes the committed blocks in a segment's first `size` bytes to `block`, in order. Returns the end of the last one.
///
/// `last` is given for the last segment only: the version that is known to have been acknowledged. Bytes of the last
/// segment that were never known to be durable may be torn. Bytes that were known to be durable and are not readable are
/// damage: truncating them would lose records without a message.
pub(crate) fn committed(
    file: &File,
    segment: u32,
    size: u64,
    last: Option<u64>,
    block: &mut dyn FnMut(&BlockHeader, BlockRef) -> Result<(), StagingError>,
) -> Result<u64, StagingError> {
    check_version(file, size)?;
    let committed = scan(file, segment, size, last.is_some(), block)?;
    if committed == size {
        return Ok(committed);
    }
    let known = last.map(|known| Ok::<_, io::Error>(known_durable(file, committed, size)?.max(known))).transpose()?;
    match known {
        Some(known) if known <= version(segment as usize + 1, committed) => Ok(committed),
        _ => Err(StagingError::Damaged { what: "a block", segment, offset: committed }),
    }
}

/// Fails if another version of Sluice wrote the segment. Without this check all its blocks would look torn.
pub(crate) fn check_version(file: &File, size: u64) -> Result<(), StagingError> {
    let mut bytes = [0; HEADER_BYTES];
    if size < HEADER_BYTES as u64 {
        return Ok(());
    }
    file.read_exact_at(&mut bytes, 0)?;
    match block::other_version(&bytes) {
        Some(found) => Err(StagingError::Version { found }),
        None => Ok(()),
    }
}

/// Passes the committed blocks of a segment to `block`. Returns the end of the last one.
fn scan(
    file: &File,
    segment: u32,
    size: u64,
    check_payload: bool,
    block: &mut dyn FnMut(&BlockHeader, BlockRef) -> Result<(), StagingError>,
) -> Result<u64, StagingError> {
    let (mut at, mut committed) = (0u64, 0u64);
    let mut group = vec![];
    while at + HEADER_BYTES as u64 <= size {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, at)?;
        let Some(header) = BlockHeader::decode(&bytes) else { break };
        let reference = reference(&header, segment, at);
        at = reference.offset + u64::from(header.payload_bytes);
        if at > size {
            break;
        }
        if check_payload {
            match read_sealed(file, &reference) {
                Ok(_) => {}
                Err(StagingError::Damaged { .. }) => break,
                // After a read error the content is unknown, so nothing may be truncated.
                Err(error) => return Err(error),
            }
        }
        group.push((header, reference));
        if header.commits {
            for (header, reference) in group.drain(..) {
                block(&header, reference)?;
            }
            committed = at;
        }
    }
    Ok(committed)
}

fn version(segments: usize, length: u64) -> u64 {
    ((segments as u64) << 40) + length
}

/// Returns the highest durable version in any header between `from` and `to`. A damaged block is among them, so the
/// headers are found by their magic.
fn known_durable(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let mut bytes = vec![0; to_index(to - from)];
    file.read_exact_at(&mut bytes, from)?;
    let headers = memchr::memmem::find_iter(&bytes, &MAGIC).filter_map(|at| {
        let header = bytes.get(at..at + HEADER_BYTES)?.try_into().ok()?;
        BlockHeader::decode(header)
    });
    Ok(headers.map(|header| header.durable).max().unwrap_or(0))
}

fn reference(header: &BlockHeader, segment: u32, at: u64) -> BlockRef {
    BlockRef {
        stream: header.stream,
        first: header.first,
        count: header.count,
        payload_bytes: header.payload_bytes,
        payload_crc: header.payload_crc,
        segment,
        offset: at + HEADER_BYTES as u64,
    }
}

/// Reads and opens a block.
pub(crate) fn read_block(file: &File, sealer: &Sealer, reference: &BlockRef) -> Result<Block, StagingError> {
    let mut payload = read_sealed(file, reference)?;
    let &BlockRef { stream, count, first, segment, offset, .. } = reference;
    let damaged = |_| StagingError::Damaged { what: "a sealed block", segment, offset };
    sealer.open(&associated_data(stream, count, first), &mut payload).map_err(damaged)?;
    Ok(Block { count: count as usize, payload })
}

/// Reads a block's sealed payload and checks its checksum.
pub(crate) fn read_sealed(file: &File, reference: &BlockRef) -> Result<Vec<u8>, StagingError> {
    let mut payload = vec![0; reference.payload_bytes as usize];
    file.read_exact_at(&mut payload, reference.offset)?;
    if crc32fast::hash(&payload) != reference.payload_crc {
        return Err(StagingError::Damaged { what: "a checksum", segment: reference.segment, offset: reference.offset });
    }
    Ok(payload)
}
