//! One bit an ordinal: which entries of a stream were replaced or removed.

/// A growing set of ordinals.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    words: Vec<u64>,
    count: u64,
}

impl Marks {
    pub fn set(&mut self, ordinal: u64) {
        let (word, bit) = ((ordinal / 64) as usize, ordinal % 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.count += u64::from(self.words[word] >> bit & 1 == 0);
        self.words[word] |= 1 << bit;
    }

    pub fn get(&self, ordinal: u64) -> bool {
        self.words.get((ordinal / 64) as usize).is_some_and(|word| word >> (ordinal % 64) & 1 == 1)
    }

    pub fn count(&self) -> u64 {
        self.count
    }
}
