//! A sorted run: an immutable file of (key, ordinal) pairs. A lookup needs a filter, the fences and one read.
//!
//! ```text
//! magic 4 · version 4 · count 8 · from ordinal 8 · to ordinal 8 · CRC-32 of this 4
//! pages, each sealed: 170 × (key 16, big-endian order · ordinal 8), the last one perhaps fewer
//! ```
//!
//! Keys are hashes of customer numbers and the like, so a reader of the file could find them by trying all numbers.
//! Whole pages are sealed. Hashing keys with a secret instead would cost every record a keyed hash for each of its keys,
//! when it is staged and at each lookup. Opening a page costs almost nothing compared with reading it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cap_std::fs::Dir;

use crate::StagingError;
use crate::index::filter::Filter;
use crate::number::to_index;
use sluice_keys::Sealer;

const HEADER_BYTES: usize = 36;
/// Bytes of an entry.
pub(crate) const ENTRY_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"SLR2";
const VERSION: u32 = 2;

/// Entries of a page: one read of about four kilobytes, sealed as a whole.
const ENTRIES_PER_PAGE: usize = 170;
const PAGE_ENTRIES: u64 = ENTRIES_PER_PAGE as u64;
const PAGE_BYTES: usize = ENTRIES_PER_PAGE * ENTRY_BYTES;

/// A key as a big-endian number, and an ordinal.
pub(crate) type IndexPair = (u128, u64);

/// An open sorted run.
pub(crate) struct SortedRun {
    file: File,
    sealer: Arc<Sealer>,
    /// Name of the file.
    pub name: String,
    /// Number of pairs.
    pub count: u64,
    /// Ordinals that the run covers.
    pub covers: std::ops::Range<u64>,
    /// First key of each page.
    fences: Vec<u128>,
    filter: Filter,
}

fn encode(pair: IndexPair) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..16].copy_from_slice(&pair.0.to_be_bytes());
    bytes[16..].copy_from_slice(&pair.1.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> IndexPair {
    let key = u128::from_be_bytes(bytes[..16].try_into().expect("16 bytes"));
    (key, u64::from_le_bytes(bytes[16..24].try_into().expect("8 bytes")))
}

/// Returns the associated data of a page: the run's name, which contains the covered ordinals, and the page's number.
fn associated_data(name: &str, page: u64) -> Vec<u8> {
    [b"R", name.as_bytes(), &page.to_le_bytes()].concat()
}

/// Writes `expected` sorted pairs as a run of this name. The run exists as a whole or not at all.
pub(crate) fn write(
    dir: &Dir,
    sealer: &Arc<Sealer>,
    name: &str,
    covers: std::ops::Range<u64>,
    expected: u64,
    pairs: impl Iterator<Item = Result<IndexPair, StagingError>>,
) -> Result<SortedRun, StagingError> {
    let unfinished = format!("{name}.new");
    let mut file = dir.create(&unfinished)?.into_std();
    file.write_all(&[0; HEADER_BYTES])?;
    let mut out = io::BufWriter::with_capacity(1 << 18, file);
    let (mut count, mut fences, mut filter) = (0u64, vec![], Filter::new(expected));
    let (mut page, mut sealed) = (Vec::with_capacity(PAGE_BYTES), vec![]);
    let mut put = |page: &mut Vec<u8>, number: u64| {
        sealed.clear();
        sealer.seal(&associated_data(name, number), &[page], &mut sealed);
        page.clear();
        out.write_all(&sealed)
    };
    for pair in pairs {
        let pair = pair?;
        if page.is_empty() {
            fences.push(pair.0);
        }
        filter.add(pair.0);
        page.extend_from_slice(&encode(pair));
        count += 1;
        if page.len() == PAGE_BYTES {
            put(&mut page, fences.len() as u64 - 1)?;
        }
    }
    if !page.is_empty() {
        put(&mut page, fences.len() as u64 - 1)?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..16].copy_from_slice(&count.to_le_bytes());
    header[16..24].copy_from_slice(&covers.start.to_le_bytes());
    header[24..32].copy_from_slice(&covers.end.to_le_bytes());
    let own = crc32fast::hash(&header[..32]);
    header[32..].copy_from_slice(&own.to_le_bytes());
    file.write_all_at(&header, 0)?;
    file.sync_data()?;
    dir.rename(&unfinished, dir, name)?;
    let file = dir.open(name)?.into_std();
    Ok(SortedRun { file, sealer: sealer.clone(), name: name.into(), count, covers, fences, filter })
}

/// Opens a run. Returns `None` if the run is damaged. It is derived data, so the caller deletes it and builds the index
/// again.
pub(crate) fn open(dir: &Dir, sealer: &Arc<Sealer>, name: &str) -> io::Result<Option<SortedRun>> {
    let file = dir.open(name)?.into_std();
    let mut header = [0; HEADER_BYTES];
    if file.read_exact_at(&mut header, 0).is_err() {
        return Ok(None);
    }
    let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    if header[..4] != MAGIC || u32_at(4) != VERSION || crc32fast::hash(&header[..32]) != u32_at(32) {
        return Ok(None);
    }
    let (count, covers) = (u64_at(8), u64_at(16)..u64_at(24));
    let (name, sealer) = (name.to_owned(), sealer.clone());
    let mut run = SortedRun { file, sealer, name, count, covers, fences: vec![], filter: Filter::new(0) };
    let (mut filter, mut fences) = (Filter::new(count), vec![]);
    for (index, pair) in run.pairs().enumerate() {
        let Ok(pair) = pair else { return Ok(None) };
        if (index as u64).is_multiple_of(PAGE_ENTRIES) {
            fences.push(pair.0);
        }
        filter.add(pair.0);
    }
    run.fences = fences;
    run.filter = filter;
    Ok(Some(run))
}

impl SortedRun {
    /// Reads the entries of a page.
    fn page(&self, page: u64) -> Result<Vec<u8>, StagingError> {
        let entries = to_index(PAGE_ENTRIES.min(self.count - page * PAGE_ENTRIES));
        let mut bytes = vec![0; entries * ENTRY_BYTES + Sealer::OVERHEAD];
        let at = HEADER_BYTES as u64 + page * (PAGE_BYTES + Sealer::OVERHEAD) as u64;
        self.file.read_exact_at(&mut bytes, at)?;
        let damaged = |_| StagingError::Damaged { what: "an index", segment: 0, offset: at };
        self.sealer.open(&associated_data(&self.name, page), &mut bytes).map_err(damaged)?;
        Ok(bytes)
    }

    /// Adds the ordinals of this key to `found`, ascending.
    pub fn find(&self, key: u128, found: &mut Vec<u64>) -> Result<(), StagingError> {
        if !self.filter.may_contain(key) {
            return Ok(());
        }
        // The key's first entry is on the page before the first fence that is not below the key, or on that page.
        let mut page = (self.fences.partition_point(|fence| *fence < key) as u64).saturating_sub(1);
        while page * PAGE_ENTRIES < self.count {
            let bytes = self.page(page)?;
            let start = partition(&bytes, |pair| pair.0 < key);
            for entry in bytes[start * ENTRY_BYTES..].chunks_exact(ENTRY_BYTES) {
                let pair = decode(entry);
                if pair.0 != key {
                    return Ok(());
                }
                found.push(pair.1);
            }
            page += 1;
        }
        Ok(())
    }

    /// Reads all pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = Result<IndexPair, StagingError>> + '_ {
        let mut page = vec![];
        (0..self.count).map(move |index| {
            let within = to_index(index % PAGE_ENTRIES);
            if within == 0 {
                page = self.page(index / PAGE_ENTRIES)?;
            }
            Ok(decode(&page[within * ENTRY_BYTES..]))
        })
    }
}

/// Returns the place of the first entry of a page that is not `below`.
fn partition(bytes: &[u8], below: impl Fn(IndexPair) -> bool) -> usize {
    let (mut low, mut high) = (0, bytes.len() / ENTRY_BYTES);
    while low < high {
        let middle = (low + high) / 2;
        if below(decode(&bytes[middle * ENTRY_BYTES..])) { low = middle + 1 } else { high = middle }
    }
    low
}
