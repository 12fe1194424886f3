//! The latest pairs of an index, in memory and unsorted.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::index::sorted_run::IndexPair;

/// A hash table of the latest pairs. Every record is looked up and added, and the order matters only when the table is
/// written to a sorted run. A sorted set took 6 % of the time of a load, and a list for each key 8 %.
#[derive(Default)]
pub(crate) struct MemoryTable {
    pairs: Vec<ChainedPair>,
    /// Index in `pairs` of the last pair of each key.
    by_key: HashTable<u32>,
    hashing: DefaultHashBuilder,
}

/// A pair with a link to the previous pair of its key.
struct ChainedPair {
    pair: IndexPair,
    /// Index of the previous pair with the same key plus one; 0 if there is none.
    previous: u32,
}

impl MemoryTable {
    /// Adds a pair. Ordinals are inserted in ascending order.
    pub fn insert(&mut self, key: u128, ordinal: u64) {
        let Self { pairs, by_key, hashing } = self;
        let place = u32::try_from(pairs.len()).expect("the table is flushed long before it has 2^32 pairs");
        let hash = |key: u128| hashing.hash_one(key);
        let previous = match by_key.find_mut(hash(key), |place| pairs[*place as usize].pair.0 == key) {
            Some(last) => std::mem::replace(last, place) + 1,
            None => {
                by_key.insert_unique(hash(key), place, |place| hash(pairs[*place as usize].pair.0));
                0
            }
        };
        pairs.push(ChainedPair { pair: (key, ordinal), previous });
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Iterates over the ordinals of this key, the last first.
    pub fn find(&self, key: u128) -> impl Iterator<Item = u64> + '_ {
        let hash = self.hashing.hash_one(key);
        let last = self.by_key.find(hash, |place| self.pairs[*place as usize].pair.0 == key);
        let mut next = last.map_or(0, |place| place + 1);
        std::iter::from_fn(move || {
            let chained = &self.pairs[next.checked_sub(1)? as usize];
            next = chained.previous;
            Some(chained.pair.1)
        })
    }

    /// Returns all pairs, sorted.
    pub fn sorted(&self) -> Vec<IndexPair> {
        let mut pairs: Vec<IndexPair> = self.pairs.iter().map(|chained| chained.pair).collect();
        pairs.sort_unstable();
        pairs
    }

    /// Removes all pairs and keeps the allocation. Allocating it again took 4 % of the time of staging.
    pub fn clear(&mut self) {
        self.pairs.clear();
        self.by_key.clear();
    }
}
