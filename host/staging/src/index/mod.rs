//! An index from keys to ordinals: the latest pairs in a memory table, the others in sorted runs.
//!
//! Random keys in one large tree cost a seek each. Runs are written sequentially and merged eight at a time, so a key is
//! written a few times and read at most once a run.

mod filter;
mod memory_table;
pub(crate) mod sorted_run;

use std::sync::Arc;

use cap_std::fs::Dir;

use crate::{Key, StagingError};
use memory_table::MemoryTable;
use sluice_keys::Sealer;
use sorted_run::{IndexPair, SortedRun};

/// Maximum number of pairs in an index's memory table: about two megabytes. A migration has two or three dozen indexes.
const MEMORY_PAIRS: usize = 32 * 1024;

/// Number of runs of about one size that are merged into one.
const MERGE_RUNS: usize = 8;

/// An index of one stream by one kind of key.
pub(crate) struct Index {
    name: String,
    sealer: Arc<Sealer>,
    memory: MemoryTable,
    /// Sorted runs, oldest first. The ordinals that they cover do not overlap.
    runs: Vec<SortedRun>,
    /// Ordinals below this one are in the runs.
    covered: u64,
}

impl Index {
    /// Opens the index of this name for a stream of this length. The caller then inserts the entries from
    /// [`Index::covered`] on.
    pub fn open(dir: &Dir, sealer: &Arc<Sealer>, name: &str, length: u64) -> Result<Self, StagingError> {
        let prefix = format!("{name}.");
        let mut runs = vec![];
        for file in dir.entries()? {
            let file = file?.file_name().to_string_lossy().into_owned();
            if !file.starts_with(&prefix) {
                continue;
            }
            match if file.ends_with(".run") { sorted_run::open(dir, sealer, &file)? } else { None } {
                Some(run) => runs.push(run),
                None => dir.remove_file(&file)?,
            }
        }
        // After a crash a merged run and its parts can both exist. The longer one is kept.
        runs.sort_by_key(|run| (run.covers.start, std::cmp::Reverse(run.covers.end)));
        let mut kept: Vec<SortedRun> = vec![];
        for run in runs {
            let reached = kept.last().map_or(0, |last| last.covers.end);
            // A run beyond the stream's end covers entries that were never committed.
            if run.covers.start == reached && run.covers.end > reached && run.covers.end <= length {
                kept.push(run);
            } else {
                dir.remove_file(&run.name)?;
            }
        }
        let covered = kept.last().map_or(0, |last| last.covers.end);
        Ok(Self { name: name.into(), sealer: sealer.clone(), memory: MemoryTable::default(), runs: kept, covered })
    }

    /// Returns the first ordinal that the sorted runs do not cover.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// Adds a pair. Ordinals are inserted in ascending order.
    pub fn insert(&mut self, key: Key, ordinal: u64) {
        self.memory.insert(u128::from_be_bytes(key), ordinal);
    }

    /// Returns all ordinals of this key, ascending.
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

    /// Returns the last ordinal of this key that `wanted` accepts. Searches from the latest pair on, which is most often
    /// the result.
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

    /// Writes the memory table to a sorted run if it is full. `end` is the ordinal after the last inserted one. All
    /// ordinals before it must be committed.
    pub fn flush(&mut self, dir: &Dir, end: u64) -> Result<(), StagingError> {
        if self.memory.len() < MEMORY_PAIRS {
            return Ok(());
        }
        let from = self.covered;
        let name = format!("{}.{from:012}-{end:012}.run", self.name);
        let pairs = self.memory.sorted();
        let (count, pairs) = (pairs.len() as u64, pairs.into_iter().map(Ok));
        self.runs.push(sorted_run::write(dir, &self.sealer, &name, from..end, count, pairs)?);
        self.memory.clear();
        self.covered = end;
        while let Some(start) = self.to_merge() {
            self.merge(dir, start)?;
        }
        Ok(())
    }

    /// Returns the first of the latest runs that have one size, if they are enough to be merged.
    fn to_merge(&self) -> Option<usize> {
        let tier = |run: &SortedRun| (run.count / MEMORY_PAIRS as u64).max(1).ilog(MERGE_RUNS as u64);
        let last = tier(self.runs.last()?);
        let start = self.runs.iter().rposition(|run| tier(run) != last).map_or(0, |other| other + 1);
        (self.runs.len() - start >= MERGE_RUNS).then_some(start)
    }

    fn merge(&mut self, dir: &Dir, start: usize) -> Result<(), StagingError> {
        let merged = &self.runs[start..];
        let covers = merged[0].covers.start..merged[merged.len() - 1].covers.end;
        let name = format!("{}.{:012}-{:012}.run", self.name, covers.start, covers.end);
        let run = sorted_run::write(
            dir,
            &self.sealer,
            &name,
            covers,
            merged.iter().map(|run| run.count).sum(),
            merge_sorted(merged.iter().map(SortedRun::pairs).collect()),
        )?;
        for old in self.runs.drain(start..) {
            dir.remove_file(&old.name)?;
        }
        self.runs.push(run);
        Ok(())
    }
}

/// Merges sorted sequences of pairs into one.
fn merge_sorted<I>(mut sources: Vec<I>) -> impl Iterator<Item = Result<IndexPair, StagingError>>
where
    I: Iterator<Item = Result<IndexPair, StagingError>>,
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

    /// Inserts many times more pairs than fit in memory, with repeated and absent keys; then opens the index again and
    /// inserts the rest.
    #[test]
    fn finds_inserted_pairs() {
        let held = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(held.path(), cap_std::ambient_authority()).unwrap();
        let total = MEMORY_PAIRS as u64 * 10;
        let key = |number: u64| hash(&[&(number / 2).to_le_bytes()]);
        let sealer = Arc::new(Sealer::new(&[7; 32]));
        let mut index = Index::open(&dir, &sealer, "a", 0).unwrap();
        for ordinal in 0..total {
            index.insert(key(ordinal), ordinal);
            if ordinal % 1_000 == 999 {
                index.flush(&dir, ordinal + 1).unwrap();
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
