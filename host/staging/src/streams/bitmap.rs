//! A growing bitmap of ordinals. It marks the entries of a stream that were replaced or deleted.

use crate::number::to_index;

/// A growing set of ordinals, one bit each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    count: u64,
}

impl Bitmap {
    /// Adds an ordinal.
    pub fn set(&mut self, ordinal: u64) {
        let (word, bit) = (to_index(ordinal / 64), ordinal % 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.count += u64::from(self.words[word] >> bit & 1 == 0);
        self.words[word] |= 1 << bit;
    }

    /// Returns true if the bitmap contains the ordinal.
    pub fn get(&self, ordinal: u64) -> bool {
        self.words.get(to_index(ordinal / 64)).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }

    /// Returns the number of ordinals in the bitmap.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of ordinals in the bitmap from this one on.
    pub fn count_from(&self, from: u64) -> u64 {
        let first = to_index(from / 64);
        let Some(word) = self.words.get(first) else { return 0 };
        let rest = self.words[first + 1..].iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        u64::from((word >> (from % 64)).count_ones()) + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_any_ordinal() {
        let ordinals = [0, 1, 63, 64, 65, 127, 128, 400];
        let mut bitmap = Bitmap::default();
        for ordinal in ordinals {
            bitmap.set(ordinal);
            bitmap.set(ordinal);
        }
        for from in 0..600 {
            let expected = ordinals.iter().filter(|ordinal| **ordinal >= from).count() as u64;
            assert_eq!(bitmap.count_from(from), expected, "from {from}");
        }
    }
}
