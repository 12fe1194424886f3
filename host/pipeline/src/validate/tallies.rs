//! Rules over many records: adds up the amounts that plugins tallied by key, on disk if there are many.

use std::io;

use sluice_staging::{ScratchFile, StagingArea, StagingError};

/// The part of one record in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TallyPart {
    /// Number of the rule among all plugins' rules.
    pub rule: u32,
    /// Key of the amounts that are added up.
    pub key: u128,
    /// Index of the entity type among the validated ones.
    pub stream: u32,
    /// Ordinal of the record in its stream. The parts of earlier records are added first.
    pub ordinal: u64,
    /// Reference id of the record.
    pub id: [u8; 16],
    /// Amount of the record.
    pub amount: i64,
    /// Limit of the sum.
    pub limit: i64,
}

const PART_BYTES: usize = 64;

/// Maximum number of parts in memory: 64 MB.
const MEMORY_PARTS: usize = 800_000;

/// Number of parts in a chunk of a scratch file: 64 KiB. A merge holds one chunk of each file in memory.
const PIECE_PARTS: usize = 1_024;

/// A collection of parts that are sorted by rule and key.
#[derive(Default)]
pub struct Tallies {
    memory: Vec<TallyPart>,
    /// ScratchFile files, each with its end.
    spilled: Vec<(ScratchFile, u64)>,
}

impl Tallies {
    /// Adds a part. If there are too many for memory, they move to a scratch file.
    pub fn add(&mut self, part: TallyPart, area: &StagingArea) -> Result<(), StagingError> {
        self.memory.push(part);
        if self.memory.len() < MEMORY_PARTS {
            return Ok(());
        }
        self.memory.sort_unstable();
        let file = area.scratch()?;
        let mut end = 0;
        for parts in self.memory.chunks(PIECE_PARTS) {
            end = file.write(end, &parts.iter().flat_map(TallyPart::encode).collect::<Vec<u8>>())?;
        }
        self.memory.clear();
        self.spilled.push((file, end));
        Ok(())
    }

    /// Calls `over_limit` with each part that takes the sum of its key over its limit.
    pub fn for_each_over_limit(mut self, mut over_limit: impl FnMut(TallyPart)) -> io::Result<()> {
        self.memory.sort_unstable();
        let mut sources: Vec<Box<dyn Iterator<Item = io::Result<TallyPart>>>> =
            vec![Box::new(self.memory.into_iter().map(Ok))];
        for (file, end) in self.spilled {
            sources.push(Box::new(parts(file, end)));
        }
        let mut current = None;
        let mut sum = 0i128;
        let mut heads = std::collections::BinaryHeap::new();
        for (index, source) in sources.iter_mut().enumerate() {
            heads.extend(source.next().transpose()?.map(|part| std::cmp::Reverse((part, index))));
        }
        while let Some(std::cmp::Reverse((part, index))) = heads.pop() {
            heads.extend(sources[index].next().transpose()?.map(|part| std::cmp::Reverse((part, index))));
            if current != Some((part.rule, part.key)) {
                current = Some((part.rule, part.key));
                sum = 0;
            }
            sum += i128::from(part.amount);
            if sum > i128::from(part.limit) {
                over_limit(part);
            }
        }
        Ok(())
    }
}

fn parts(file: ScratchFile, end: u64) -> impl Iterator<Item = io::Result<TallyPart>> {
    let (mut at, mut piece, mut taken) = (0, vec![], 0);
    std::iter::from_fn(move || {
        if taken == piece.len() {
            if at == end {
                return None;
            }
            match file.read(at) {
                Ok((read, next)) => (piece, at, taken) = (read, next, 0),
                Err(error) => return Some(Err(error)),
            }
        }
        let part = piece[taken..].first_chunk().map(TallyPart::decode)?;
        taken += PART_BYTES;
        Some(Ok(part))
    })
}

impl TallyPart {
    fn encode(&self) -> [u8; PART_BYTES] {
        let mut bytes = [0; PART_BYTES];
        bytes[..4].copy_from_slice(&self.rule.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stream.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.key.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.ordinal.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.id);
        bytes[48..56].copy_from_slice(&self.amount.to_le_bytes());
        bytes[56..].copy_from_slice(&self.limit.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; PART_BYTES]) -> Self {
        fn take<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
            bytes[at..at + N].try_into().expect("within the part")
        }
        Self {
            rule: u32::from_le_bytes(take(bytes, 0)),
            stream: u32::from_le_bytes(take(bytes, 4)),
            key: u128::from_le_bytes(take(bytes, 8)),
            ordinal: u64::from_le_bytes(take(bytes, 24)),
            id: take(bytes, 32),
            amount: i64::from_le_bytes(take(bytes, 48)),
            limit: i64::from_le_bytes(take(bytes, 56)),
        }
    }
}
