//! The append-only files of a staging area: groups of blocks, each group there whole or not at all.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cap_std::fs::{Dir, OpenOptions};

use super::StagingError;
use super::block::{self, Block, HEADER_BYTES, Header, MAGIC, place};
use super::received::sync_dir;
use sluice_defects::{self, Defect};
use sluice_keys::Sealer;

/// A segment is closed at this size: large enough to be few, small enough to be copied. In tests so small
/// that there are several.
const SEGMENT_BYTES: u64 = if cfg!(test) { 4 * 1024 } else { 256 * 1024 * 1024 };

/// Where a block stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockRef {
    pub stream: u16,
    pub first: u64,
    pub count: u32,
    pub payload_bytes: u32,
    pub payload_crc: u32,
    pub segment: u32,
    /// Of the payload.
    pub offset: u64,
}

/// Blocks that are written together.
#[derive(Default)]
pub(super) struct Group {
    pub bytes: Vec<u8>,
    /// Header and place in `bytes` of each block.
    blocks: Vec<(usize, Header)>,
}

impl Group {
    /// Notes the block that was just written to `bytes`.
    pub fn note(&mut self, at: usize, header: Header) {
        self.blocks.push((at, header));
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }
}

/// The segments of one staging area.
pub(super) struct Journal {
    dir: Dir,
    sealer: Arc<Sealer>,
    segments: Vec<Arc<File>>,
    /// Length of the last segment.
    length: u64,
    /// Version that is known to be on disk.
    durable: AtomicU64,
}

fn segment_name(number: usize) -> String {
    format!("{number:08}.seg")
}

/// The names of a journal's segments, in order.
pub(super) fn segment_names(dir: &Dir) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = dir
        .entries()?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()?;
    names.retain(|name| name.ends_with(".seg"));
    names.sort();
    Ok(names)
}

/// Whether this is the name of the segment with this number: if not, one before it is gone.
pub(super) fn is_segment(name: &str, number: usize) -> Result<(), StagingError> {
    if name == segment_name(number) {
        return Ok(());
    }
    Err(StagingError::Damaged { what: "a segment is missing", segment: number as u32, offset: 0 })
}

/// Whether so many segments, the last of this length, reach as far as was acknowledged. Cut where a group ends, or gone
/// altogether, what is left says nothing of that by itself.
pub(super) fn reaches(segments: usize, length: u64, acknowledged: u64) -> Result<(), StagingError> {
    if version(segments, length) >= acknowledged {
        return Ok(());
    }
    Err(StagingError::Behind { segment: segments.saturating_sub(1) as u32, offset: length })
}

impl Journal {
    /// Opens the journal, drops what was not committed, and shows every committed block in order. It is damaged where
    /// it does not reach as far as it is known to have been `acknowledged`, a version.
    pub fn open(
        dir: Dir,
        sealer: Arc<Sealer>,
        acknowledged: u64,
        mut block: impl FnMut(&Header, BlockRef, &dyn Fn() -> Result<Block, StagingError>) -> Result<(), StagingError>,
    ) -> Result<Self, StagingError> {
        let names = segment_names(&dir)?;
        let mut journal = Self { dir, sealer, segments: vec![], length: 0, durable: AtomicU64::new(0) };
        let last = names.len().saturating_sub(1);
        for (number, name) in names.iter().enumerate() {
            is_segment(name, number)?;
            let file = journal.dir.open_with(name, OpenOptions::new().read(true).write(true))?.into_std();
            journal.segments.push(Arc::new(file));
            let file = journal.segments[number].clone();
            let size = file.metadata()?.len();
            let known = (number == last).then_some(acknowledged);
            let committed = committed(&file, number as u32, size, known, &mut |header, reference| {
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
        reaches(journal.segments.len(), journal.length, acknowledged)?;
        // What was read back just now may still be on its way to disk: it is synced before anybody builds on it.
        if let Some(tail) = journal.tail() {
            tail.sync_data()?;
        }
        journal.note_durable(journal.version());
        Ok(journal)
    }

    /// Appends a group; returns where its blocks stand. It is durable after the next [`Journal::tail`]'s sync.
    pub fn append(&mut self, group: &mut Group) -> Result<Vec<BlockRef>, StagingError> {
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
            .map(|(at, header)| reference(header, segment as u32, self.length + *at as u64))
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
        // The file's name must be as durable as what will be in it.
        sync_dir(&self.dir)?;
        self.segments.push(Arc::new(file));
        self.length = 0;
        Ok(())
    }

    /// The file that still has to be synced for everything appended so far to be durable.
    pub fn tail(&self) -> Option<Arc<File>> {
        self.segments.last().cloned()
    }

    /// Segments and bytes in the last one, as one number that only grows.
    pub fn version(&self) -> u64 {
        version(self.segments.len(), self.length)
    }

    /// The version up to which everything is known to be on disk.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Relaxed)
    }

    /// Notes that everything up to this version has been synced.
    pub fn note_durable(&self, version: u64) {
        self.durable.fetch_max(version, Ordering::Relaxed);
    }

    /// The file of a block, to read it without holding on to the journal.
    pub fn file(&self, reference: &BlockRef) -> Arc<File> {
        self.segments[reference.segment as usize].clone()
    }
}

/// Where what was committed of a segment's first `size` bytes ends, having shown its blocks in order. Of the last
/// segment, which comes with the version that is known to have been acknowledged, what was never known to be durable may
/// be torn. What was known to be, and is not what was written, is damage, and dropping it would lose records in silence.
pub(super) fn committed(
    file: &File,
    segment: u32,
    size: u64,
    last: Option<u64>,
    block: &mut dyn FnMut(&Header, BlockRef) -> Result<(), StagingError>,
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

/// Refuses a segment that another version of Sluice wrote: none of its blocks could be read, and all would look torn.
pub(super) fn check_version(file: &File, size: u64) -> Result<(), StagingError> {
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

/// Shows the committed blocks of a segment; returns where they end.
fn scan(
    file: &File,
    segment: u32,
    size: u64,
    check_payload: bool,
    block: &mut dyn FnMut(&Header, BlockRef) -> Result<(), StagingError>,
) -> Result<u64, StagingError> {
    let (mut at, mut committed) = (0u64, 0u64);
    let mut group = vec![];
    while at + HEADER_BYTES as u64 <= size {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, at)?;
        let Some(header) = Header::decode(&bytes) else { break };
        let reference = reference(&header, segment, at);
        at = reference.offset + u64::from(header.payload_bytes);
        if at > size {
            break;
        }
        if check_payload {
            match read_sealed(file, &reference) {
                Ok(_) => {}
                Err(StagingError::Damaged { .. }) => break,
                // What cannot be read at this moment says nothing of what stands there: it is not cut off.
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

/// The highest version that any header between `from` and `to` says was durable. Blocks cannot be followed
/// there, as one is damaged: headers are searched for.
fn known_durable(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let mut bytes = vec![0; (to - from) as usize];
    file.read_exact_at(&mut bytes, from)?;
    let headers = memchr::memmem::find_iter(&bytes, &MAGIC).filter_map(|at| {
        let header = bytes.get(at..at + HEADER_BYTES)?.try_into().ok()?;
        Header::decode(header)
    });
    Ok(headers.map(|header| header.durable).max().unwrap_or(0))
}

fn reference(header: &Header, segment: u32, at: u64) -> BlockRef {
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

/// Reads a block's payload and opens it.
pub(super) fn read_block(file: &File, sealer: &Sealer, reference: &BlockRef) -> Result<Block, StagingError> {
    let mut payload = read_sealed(file, reference)?;
    let &BlockRef { stream, count, first, segment, offset, .. } = reference;
    let damaged = |_| StagingError::Damaged { what: "a sealed block", segment, offset };
    sealer.open(&place(stream, count, first), &mut payload).map_err(damaged)?;
    Ok(Block { count: count as usize, payload })
}

/// Reads a block's payload as it was sealed, and checks that it is whole.
pub(super) fn read_sealed(file: &File, reference: &BlockRef) -> Result<Vec<u8>, StagingError> {
    let mut payload = vec![0; reference.payload_bytes as usize];
    file.read_exact_at(&mut payload, reference.offset)?;
    if crc32fast::hash(&payload) != reference.payload_crc {
        return Err(StagingError::Damaged { what: "a checksum", segment: reference.segment, offset: reference.offset });
    }
    Ok(payload)
}
