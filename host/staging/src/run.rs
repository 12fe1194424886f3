//! A sorted run: an immutable file of (key, ordinal) pairs, found by a filter, a fence and one read.
//!
//! ```text
//! magic 4 · version 4 · count 8 · from ordinal 8 · to ordinal 8 · CRC-32 of this 4
//! pages, each sealed: 170 × (key 16, big-endian order · ordinal 8), the last one perhaps fewer
//! ```
//!
//! Keys are hashes of what old systems call their customers: whoever has the file could try all there are. Whole
//! pages are sealed, and no key is hashed with a secret instead: that would cost every record a keyed hash for each
//! of its keys, on the way in and at each lookup, where opening a page costs next to nothing beside reading it.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use cap_std::fs::Dir;

use super::StagingError;
use sluice_keys::Sealer;

const HEADER_BYTES: usize = 36;
pub(super) const ENTRY_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"SLR2";
const VERSION: u32 = 2;

/// Entries between two fences: one read of about four kilobytes, sealed as one piece.
const PAGE_ENTRIES: u64 = 170;
const PAGE_BYTES: usize = PAGE_ENTRIES as usize * ENTRY_BYTES;

/// Bits of the filter for each key, and how many of them a key sets, all within one block: about one false positive in a
/// thousand, for one cache line. With 10 bits anywhere (six lines, one in a hundred) a load of a million records read
/// 36,000 pages for keys that were not there.
const FILTER_BITS: u64 = 16;
const FILTER_PROBES: u64 = 7;

/// A cache line of the filter.
#[derive(Clone, Copy, Default)]
#[repr(align(64))]
struct FilterBlock([u64; 8]);

/// A pair in a run: a key as a big-endian number, and an ordinal.
pub(super) type Pair = (u128, u64);

pub(super) struct Run {
    file: File,
    sealer: Arc<Sealer>,
    pub name: String,
    pub count: u64,
    /// Ordinals that the run covers, end exclusive.
    pub covers: std::ops::Range<u64>,
    fences: Vec<u128>,
    filter: Vec<FilterBlock>,
}

fn encode(pair: Pair) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..16].copy_from_slice(&pair.0.to_be_bytes());
    bytes[16..].copy_from_slice(&pair.1.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Pair {
    let key = u128::from_be_bytes(bytes[..16].try_into().expect("16 bytes"));
    (key, u64::from_le_bytes(bytes[16..24].try_into().expect("8 bytes")))
}

/// What a page is sealed to: the run's name, which says what it covers, and the page's number.
fn place(name: &str, page: u64) -> Vec<u8> {
    [b"R", name.as_bytes(), &page.to_le_bytes()].concat()
}

/// Writes the pairs, which come in order and are so many, as a run of this name; it is there whole or not
/// at all.
pub(super) fn write(
    dir: &Dir,
    sealer: &Arc<Sealer>,
    name: &str,
    covers: std::ops::Range<u64>,
    expected: u64,
    pairs: impl Iterator<Item = Result<Pair, StagingError>>,
) -> Result<Run, StagingError> {
    let unfinished = format!("{name}.new");
    let mut file = dir.create(&unfinished)?.into_std();
    file.write_all(&[0; HEADER_BYTES])?;
    let mut out = io::BufWriter::with_capacity(1 << 18, file);
    let (mut count, mut fences, mut filter) = (0u64, vec![], new_filter(expected));
    let (mut page, mut sealed) = (Vec::with_capacity(PAGE_BYTES), vec![]);
    let mut put = |page: &mut Vec<u8>, number: u64| {
        sealed.clear();
        sealer.seal(&place(name, number), &[page], &mut sealed);
        page.clear();
        out.write_all(&sealed)
    };
    for pair in pairs {
        let pair = pair?;
        if page.is_empty() {
            fences.push(pair.0);
        }
        add_to(&mut filter, pair.0);
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
    Ok(Run { file, sealer: sealer.clone(), name: name.into(), count, covers, fences, filter })
}

/// Opens a run; none if it is not whole. A run is derived, so one that is not is simply made again.
pub(super) fn open(dir: &Dir, sealer: &Arc<Sealer>, name: &str) -> io::Result<Option<Run>> {
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
    let mut run = Run { file, sealer, name, count, covers, fences: vec![], filter: vec![] };
    let (mut filter, mut fences) = (new_filter(count), vec![]);
    for (index, pair) in run.pairs().enumerate() {
        let Ok(pair) = pair else { return Ok(None) };
        if (index as u64).is_multiple_of(PAGE_ENTRIES) {
            fences.push(pair.0);
        }
        add_to(&mut filter, pair.0);
    }
    run.fences = fences;
    run.filter = filter;
    Ok(Some(run))
}

impl Run {
    /// A page's entries.
    fn page(&self, page: u64) -> Result<Vec<u8>, StagingError> {
        let entries = PAGE_ENTRIES.min(self.count - page * PAGE_ENTRIES) as usize;
        let mut bytes = vec![0; entries * ENTRY_BYTES + Sealer::OVERHEAD];
        let at = HEADER_BYTES as u64 + page * (PAGE_BYTES + Sealer::OVERHEAD) as u64;
        self.file.read_exact_at(&mut bytes, at)?;
        let damaged = |_| StagingError::Damaged { what: "an index", segment: 0, offset: at };
        self.sealer.open(&place(&self.name, page), &mut bytes).map_err(damaged)?;
        Ok(bytes)
    }

    /// Adds the ordinals of this key to `found`, ascending.
    pub fn find(&self, key: u128, found: &mut Vec<u64>) -> Result<(), StagingError> {
        if !may_hold(&self.filter, key) {
            return Ok(());
        }
        // The key's first entry is on the page before the first fence that is not below it, or on it.
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

    /// All pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = Result<Pair, StagingError>> + '_ {
        let mut page = vec![];
        (0..self.count).map(move |index| {
            let within = (index % PAGE_ENTRIES) as usize;
            if within == 0 {
                page = self.page(index / PAGE_ENTRIES)?;
            }
            Ok(decode(&page[within * ENTRY_BYTES..]))
        })
    }
}

fn partition(bytes: &[u8], below: impl Fn(Pair) -> bool) -> usize {
    let (mut low, mut high) = (0, bytes.len() / ENTRY_BYTES);
    while low < high {
        let middle = (low + high) / 2;
        if below(decode(&bytes[middle * ENTRY_BYTES..])) { low = middle + 1 } else { high = middle }
    }
    low
}

fn new_filter(keys: u64) -> Vec<FilterBlock> {
    vec![FilterBlock::default(); (keys * FILTER_BITS).div_ceil(512).max(1) as usize]
}

fn add_to(filter: &mut [FilterBlock], key: u128) {
    let (block, bits) = probes(key, filter.len());
    bits.for_each(|bit| filter[block].0[bit / 64] |= 1 << (bit % 64));
}

fn may_hold(filter: &[FilterBlock], key: u128) -> bool {
    let (block, mut bits) = probes(key, filter.len());
    bits.all(|bit| filter[block].0[bit / 64] >> (bit % 64) & 1 == 1)
}

/// The block of a key, and its bits there.
fn probes(key: u128, blocks: usize) -> (usize, impl Iterator<Item = usize>) {
    let (high, low) = (mix((key >> 64) as u64), mix(key as u64));
    let block = (u128::from(high) * blocks as u128) >> 64;
    (block as usize, (0..FILTER_PROBES).map(move |probe| (low >> (9 * probe) & 511) as usize))
}

/// Keys are hashes, but only as even as those who made them: a reference id has bits that are always the same.
fn mix(half: u64) -> u64 {
    let mixed = (half ^ half >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ mixed >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    /// What was added may be there, and of what was not hardly anything; also where keys are reference ids.
    #[test]
    fn the_filter_tells_most_absent_keys() {
        let hashed = |number: u64| u128::from_be_bytes(hash(&[&number.to_le_bytes()]));
        let id = |number: u64| uuid::Builder::from_sha1_bytes(hashed(number).to_be_bytes()).into_uuid().as_u128();
        for key in [&hashed as &dyn Fn(u64) -> u128, &id] {
            for count in [1, 100, 20_000] {
                let mut filter = new_filter(count);
                (0..count).for_each(|number| add_to(&mut filter, key(number)));
                assert!((0..count).all(|number| may_hold(&filter, key(number))));
                let wrong = (count..count + 100_000).filter(|number| may_hold(&filter, key(*number))).count();
                assert!(wrong < 300, "{wrong} of 100,000 beside {count}");
            }
        }
    }
}
