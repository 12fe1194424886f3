//! From key to ordinals: what came last in memory, the rest in sorted runs.
//!
//! Random keys in one big tree cost a seek each; runs are written in one go and merged eight at a time,
//! so a key is written a few times and read at most once a run.

use std::hash::BuildHasher;
use std::sync::Arc;

use cap_std::fs::Dir;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::run::{self, Pair, Run};
use super::{Key, StagingError};
use sluice_keys::Sealer;

/// Pairs kept in memory for each index: about two megabytes, as a migration has two or three dozen indexes.
const MEMORY_PAIRS: usize = 32 * 1024;

/// Runs of about one size that are merged into one.
const MERGE_RUNS: usize = 8;

/// An index of one stream by one kind of key.
pub(super) struct Index {
    name: String,
    sealer: Arc<Sealer>,
    memory: Memory,
    /// Oldest first; what they cover does not overlap.
    runs: Vec<Run>,
    /// Ordinals below this are in the runs or in memory.
    covered: u64,
}

impl Index {
    /// Opens the index of this name for a stream of this length; the stream tells it again what its runs
    /// do not cover.
    pub fn open(dir: &Dir, sealer: &Arc<Sealer>, name: &str, length: u64) -> Result<Self, StagingError> {
        let prefix = format!("{name}.");
        let mut runs = vec![];
        for file in dir.entries()? {
            let file = file?.file_name().to_string_lossy().into_owned();
            if !file.starts_with(&prefix) {
                continue;
            }
            match if file.ends_with(".run") { run::open(dir, sealer, &file)? } else { None } {
                Some(run) => runs.push(run),
                None => dir.remove_file(&file)?,
            }
        }
        // A merged run and the runs it was made of can stand side by side after a crash: the longer wins.
        runs.sort_by_key(|run| (run.covers.start, std::cmp::Reverse(run.covers.end)));
        let mut kept: Vec<Run> = vec![];
        for run in runs {
            let reached = kept.last().map_or(0, |last| last.covers.end);
            // A run beyond the stream's end covers what was never committed.
            if run.covers.start == reached && run.covers.end > reached && run.covers.end <= length {
                kept.push(run);
            } else {
                dir.remove_file(&run.name)?;
            }
        }
        let covered = kept.last().map_or(0, |last| last.covers.end);
        Ok(Self { name: name.into(), sealer: sealer.clone(), memory: Memory::default(), runs: kept, covered })
    }

    /// Ordinals below this need not be told again.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    pub fn insert(&mut self, key: Key, ordinal: u64) {
        self.memory.insert(u128::from_be_bytes(key), ordinal);
    }

    /// All ordinals of this key, ascending.
    pub fn find(&self, key: Key) -> Result<Vec<u64>, StagingError> {
        let key = u128::from_be_bytes(key);
        let mut found = vec![];
        for run in &self.runs {
            run.find(key, &mut found)?;
        }
        let before = found.len();
        found.extend(self.memory.find(key));
        found[before..].reverse();
        Ok(found)
    }

    /// The last ordinal of this key that is wanted: what came last is looked at first, as it is most often that.
    pub fn last(&self, key: Key, wanted: impl Fn(u64) -> bool) -> Result<Option<u64>, StagingError> {
        let key = u128::from_be_bytes(key);
        if let Some(ordinal) = self.memory.find(key).find(|ordinal| wanted(*ordinal)) {
            return Ok(Some(ordinal));
        }
        let mut found = vec![];
        for run in self.runs.iter().rev() {
            found.clear();
            run.find(key, &mut found)?;
            if let Some(ordinal) = found.iter().rev().find(|ordinal| wanted(**ordinal)) {
                return Ok(Some(*ordinal));
            }
        }
        Ok(None)
    }

    /// Moves what is in memory to disk if there is much of it; `end` is one past the last ordinal told,
    /// all of which must be committed.
    pub fn settle(&mut self, dir: &Dir, end: u64) -> Result<(), StagingError> {
        if self.memory.pairs.len() < MEMORY_PAIRS {
            return Ok(());
        }
        let from = self.covered;
        let name = format!("{}.{from:012}-{end:012}.run", self.name);
        let pairs = self.memory.sorted();
        let (count, pairs) = (pairs.len() as u64, pairs.into_iter().map(Ok));
        self.runs.push(run::write(dir, &self.sealer, &name, from..end, count, pairs)?);
        self.memory.clear();
        self.covered = end;
        while let Some(start) = self.to_merge() {
            self.merge(dir, start)?;
        }
        Ok(())
    }

    /// Where the youngest runs begin that are of one size and enough to be merged.
    fn to_merge(&self) -> Option<usize> {
        let tier = |run: &Run| (run.count / MEMORY_PAIRS as u64).max(1).ilog(MERGE_RUNS as u64);
        let last = tier(self.runs.last()?);
        let start = self.runs.iter().rposition(|run| tier(run) != last).map_or(0, |other| other + 1);
        (self.runs.len() - start >= MERGE_RUNS).then_some(start)
    }

    fn merge(&mut self, dir: &Dir, start: usize) -> Result<(), StagingError> {
        let merged = &self.runs[start..];
        let covers = merged[0].covers.start..merged[merged.len() - 1].covers.end;
        let name = format!("{}.{:012}-{:012}.run", self.name, covers.start, covers.end);
        let run = run::write(
            dir,
            &self.sealer,
            &name,
            covers,
            merged.iter().map(|run| run.count).sum(),
            merge_sorted(merged.iter().map(Run::pairs).collect()),
        )?;
        for old in self.runs.drain(start..) {
            dir.remove_file(&old.name)?;
        }
        self.runs.push(run);
        Ok(())
    }
}

/// What came last, by hash and not in order: every record is looked for and added, and order matters only when all of it
/// is written down. A sorted set was 6 % of loading, and a list for each answer 8 %.
#[derive(Default)]
struct Memory {
    pairs: Vec<Held>,
    /// Places of the pairs that came last with their key.
    by_key: HashTable<u32>,
    hashing: DefaultHashBuilder,
}

struct Held {
    pair: Pair,
    /// Place of the pair with the same key that came before, and one more; 0 if there is none.
    before: u32,
}

impl Memory {
    /// Ordinals come in ascending order.
    fn insert(&mut self, key: u128, ordinal: u64) {
        let Self { pairs, by_key, hashing } = self;
        let place = pairs.len() as u32;
        let hash = |key: u128| hashing.hash_one(key);
        let before = match by_key.find_mut(hash(key), |place| pairs[*place as usize].pair.0 == key) {
            Some(last) => std::mem::replace(last, place) + 1,
            None => {
                by_key.insert_unique(hash(key), place, |place| hash(pairs[*place as usize].pair.0));
                0
            }
        };
        pairs.push(Held { pair: (key, ordinal), before });
    }

    /// Ordinals of this key, the last first.
    fn find(&self, key: u128) -> impl Iterator<Item = u64> + '_ {
        let hash = self.hashing.hash_one(key);
        let last = self.by_key.find(hash, |place| self.pairs[*place as usize].pair.0 == key);
        let mut next = last.map_or(0, |place| place + 1);
        std::iter::from_fn(move || {
            let held = &self.pairs[next.checked_sub(1)? as usize];
            next = held.before;
            Some(held.pair.1)
        })
    }

    fn sorted(&self) -> Vec<Pair> {
        let mut pairs: Vec<Pair> = self.pairs.iter().map(|held| held.pair).collect();
        pairs.sort_unstable();
        pairs
    }

    /// Empties it and keeps its room: making that anew was 4 % of staging.
    fn clear(&mut self) {
        self.pairs.clear();
        self.by_key.clear();
    }
}

/// Merges sorted sequences into one.
fn merge_sorted<I>(mut sources: Vec<I>) -> impl Iterator<Item = Result<Pair, StagingError>>
where
    I: Iterator<Item = Result<Pair, StagingError>>,
{
    use std::cmp::Reverse;
    let mut heads = std::collections::BinaryHeap::new();
    let mut failed = None;
    for (index, source) in sources.iter_mut().enumerate() {
        match source.next() {
            Some(Ok(pair)) => heads.push(Reverse((pair, index))),
            Some(Err(error)) => failed = Some(error),
            None => {}
        }
    }
    std::iter::from_fn(move || {
        if let Some(error) = failed.take() {
            return Some(Err(error));
        }
        let Reverse((pair, index)) = heads.pop()?;
        match sources[index].next() {
            Some(Ok(next)) => heads.push(Reverse((next, index))),
            Some(Err(error)) => failed = Some(error),
            None => {}
        }
        Some(Ok(pair))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash;

    /// More pairs than memory holds, many times over, keys that repeat and keys that are absent;
    /// closed, opened again, and told the rest.
    #[test]
    fn finds_what_was_told() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), cap_std::ambient_authority()).unwrap();
        let total = MEMORY_PAIRS as u64 * 10;
        let key = |number: u64| hash(&[&(number / 2).to_le_bytes()]);
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let mut index = Index::open(&dir, &sealer, "a", 0).unwrap();
        for ordinal in 0..total {
            index.insert(key(ordinal), ordinal);
            if ordinal % 1_000 == 999 {
                index.settle(&dir, ordinal + 1).unwrap();
            }
        }
        assert!(index.runs.len() < MERGE_RUNS, "runs are merged: {}", index.runs.len());
        let mut again = Index::open(&dir, &sealer, "a", total).unwrap();
        for ordinal in again.covered()..total {
            again.insert(key(ordinal), ordinal);
        }
        for index in [&index, &again] {
            for number in (0..total).step_by(9_999) {
                let even = number / 2 * 2;
                assert_eq!(index.find(key(number)).unwrap(), [even, even + 1]);
                assert!(index.find(hash(&[b"absent", &number.to_le_bytes()])).unwrap().is_empty());
            }
        }
    }
}
