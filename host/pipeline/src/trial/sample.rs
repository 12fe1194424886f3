//! A repeatable sample of a migration's records, selected by their keys and a seed.

use sluice_staging::{Key, hash};

/// Approximate size of a sample, and its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Approximate number of records. Each record is selected on its own.
    pub records: u64,
    /// Seed of the selection.
    pub seed: u64,
}

/// A filter that selects records.
#[derive(Clone, Copy)]
pub(crate) struct SampleFilter {
    seed: u64,
    /// Hashes below this value are selected; none if all are.
    below: Option<u64>,
}

impl SampleFilter {
    /// Creates a filter for a sample of `total` records. Without a sample it selects all of them.
    pub fn of(sample: Option<Sample>, total: u64) -> Self {
        let Some(Sample { records, seed }) = sample else { return Self { seed: 0, below: None } };
        let below = (u128::from(records) << 64).checked_div(u128::from(total)).and_then(|below| below.try_into().ok());
        Self { seed, below }
    }

    /// Returns true if the record with this key is selected.
    pub fn includes(&self, key: Key) -> bool {
        let hash = |key: Key| {
            let hash = hash(&[&self.seed.to_le_bytes(), &key]);
            u64::from_le_bytes(hash[..8].try_into().expect("8 of 16 bytes"))
        };
        self.below.is_none_or(|below| hash(key) < below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_repeatability() {
        let keys: Vec<Key> = (0..10_000_u32).map(|number| hash(&[&number.to_le_bytes()])).collect();
        let chosen = |sample: Option<Sample>| {
            let filter = SampleFilter::of(sample, keys.len() as u64);
            keys.iter().filter(|key| filter.includes(**key)).copied().collect::<Vec<_>>()
        };
        let of = |records, seed| chosen(Some(Sample { records, seed }));
        for (records, least, most) in [(0, 0, 0), (100, 60, 140), (5_000, 4_800, 5_200), (10_000, 10_000, 10_000)] {
            let number = of(records, 7).len();
            assert!((least..=most).contains(&number), "{records} wanted, {number} chosen");
        }
        assert_eq!(of(20_000, 7).len(), keys.len());
        assert_eq!(chosen(None).len(), keys.len());
        assert_eq!(of(100, 7), of(100, 7));
        assert_ne!(of(100, 7), of(100, 8));
    }
}
