//! A sorted run: an immutable file of (key, ordinal) pairs, found by a filter, a fence and one read.
//!
//! ```text
//! magic 4 · version 4 · count 8 · from ordinal 8 · to ordinal 8 · CRC-32 of entries 4 · CRC-32 of this 4
//! count × (key 16, big-endian order · ordinal 8)
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use cap_std::fs::Dir;

const HEADER_BYTES: usize = 40;
pub(super) const ENTRY_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"SLR1";
const VERSION: u32 = 1;

/// Entries between two fences: one read of about four kilobytes.
const PAGE_ENTRIES: u64 = 170;

/// Bits of the filter for each key: about one false positive in a hundred.
const FILTER_BITS: u64 = 10;
const FILTER_PROBES: u64 = 6;

/// A pair in a run: a key as a big-endian number, and an ordinal.
pub(super) type Pair = (u128, u64);

pub(super) struct Run {
    file: File,
    pub name: String,
    pub count: u64,
    /// Ordinals that the run covers, end exclusive.
    pub covers: std::ops::Range<u64>,
    fences: Vec<u128>,
    filter: Vec<u64>,
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

/// Writes the pairs, which come in order and are so many, as a run of this name; it is there whole or not
/// at all.
pub(super) fn write(
    dir: &Dir,
    name: &str,
    covers: std::ops::Range<u64>,
    expected: u64,
    pairs: impl Iterator<Item = io::Result<Pair>>,
) -> io::Result<Run> {
    let unfinished = format!("{name}.new");
    let mut file = dir.create(&unfinished)?.into_std();
    file.write_all(&[0; HEADER_BYTES])?;
    let mut out = io::BufWriter::with_capacity(1 << 18, file);
    let (mut count, mut crc) = (0u64, crc32fast::Hasher::new());
    let (mut fences, mut filter) = (vec![], new_filter(expected));
    for pair in pairs {
        let pair = pair?;
        if count.is_multiple_of(PAGE_ENTRIES) {
            fences.push(pair.0);
        }
        add_to(&mut filter, pair.0);
        let bytes = encode(pair);
        crc.update(&bytes);
        out.write_all(&bytes)?;
        count += 1;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&VERSION.to_le_bytes());
    header[8..16].copy_from_slice(&count.to_le_bytes());
    header[16..24].copy_from_slice(&covers.start.to_le_bytes());
    header[24..32].copy_from_slice(&covers.end.to_le_bytes());
    header[32..36].copy_from_slice(&crc.finalize().to_le_bytes());
    let own = crc32fast::hash(&header[..36]);
    header[36..].copy_from_slice(&own.to_le_bytes());
    file.write_all_at(&header, 0)?;
    file.sync_data()?;
    dir.rename(&unfinished, dir, name)?;
    let file = dir.open(name)?.into_std();
    Ok(Run { file, name: name.into(), count, covers, fences, filter })
}

/// Opens a run; none if it is not whole. A run is derived, so one that is not is simply made again.
pub(super) fn open(dir: &Dir, name: &str) -> io::Result<Option<Run>> {
    let file = dir.open(name)?.into_std();
    let mut header = [0; HEADER_BYTES];
    if file.read_exact_at(&mut header, 0).is_err() {
        return Ok(None);
    }
    let u64_at = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
    if header[..4] != MAGIC || u32_at(4) != VERSION || crc32fast::hash(&header[..36]) != u32_at(36) {
        return Ok(None);
    }
    let (count, covers) = (u64_at(8), u64_at(16)..u64_at(24));
    let mut run = Run { file, name: name.into(), count, covers, fences: vec![], filter: vec![] };
    let (mut crc, mut filter, mut fences) = (crc32fast::Hasher::new(), new_filter(count), vec![]);
    for (index, pair) in run.pairs().enumerate() {
        let Ok(pair) = pair else { return Ok(None) };
        if (index as u64).is_multiple_of(PAGE_ENTRIES) {
            fences.push(pair.0);
        }
        crc.update(&encode(pair));
        add_to(&mut filter, pair.0);
    }
    if crc.finalize() != u32_at(32) {
        return Ok(None);
    }
    run.fences = fences;
    run.filter = filter;
    Ok(Some(run))
}

impl Run {
    /// Adds the ordinals of this key to `found`, ascending.
    pub fn find(&self, key: u128, found: &mut Vec<u64>) -> io::Result<()> {
        if !may_hold(&self.filter, key) {
            return Ok(());
        }
        // The key's first entry is on the page before the first fence that is not below it, or on it.
        let mut page = (self.fences.partition_point(|fence| *fence < key) as u64).saturating_sub(1);
        let mut bytes = [0; PAGE_ENTRIES as usize * ENTRY_BYTES];
        while page * PAGE_ENTRIES < self.count {
            let entries = PAGE_ENTRIES.min(self.count - page * PAGE_ENTRIES) as usize;
            let bytes = &mut bytes[..entries * ENTRY_BYTES];
            self.file.read_exact_at(bytes, HEADER_BYTES as u64 + page * PAGE_ENTRIES * ENTRY_BYTES as u64)?;
            let start = partition(bytes, |pair| pair.0 < key);
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
    pub fn pairs(&self) -> impl Iterator<Item = io::Result<Pair>> + '_ {
        const CHUNK: u64 = 4_096;
        let mut buffer = vec![];
        (0..self.count).map(move |index| {
            let within = (index % CHUNK) as usize;
            if within == 0 {
                buffer.resize((CHUNK.min(self.count - index) as usize) * ENTRY_BYTES, 0);
                self.file.read_exact_at(&mut buffer, HEADER_BYTES as u64 + index * ENTRY_BYTES as u64)?;
            }
            Ok(decode(&buffer[within * ENTRY_BYTES..]))
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

fn new_filter(keys: u64) -> Vec<u64> {
    vec![0; (keys * FILTER_BITS).max(64).div_ceil(64) as usize]
}

fn add_to(filter: &mut [u64], key: u128) {
    probes(mix(key), filter.len()).for_each(|bit| filter[(bit / 64) as usize] |= 1 << (bit % 64));
}

fn may_hold(filter: &[u64], key: u128) -> bool {
    probes(mix(key), filter.len()).all(|bit| filter[(bit / 64) as usize] >> (bit % 64) & 1 == 1)
}

fn probes(mixed: u64, words: usize) -> impl Iterator<Item = u64> {
    let (bits, step) = (words as u64 * 64, mixed.rotate_left(32) | 1);
    (0..FILTER_PROBES).map(move |probe| mixed.wrapping_add(probe.wrapping_mul(step)) % bits)
}

fn mix(key: u128) -> u64 {
    let folded = (key >> 64) as u64 ^ (key as u64).rotate_left(29);
    let mixed = (folded ^ folded >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ mixed >> 32
}
