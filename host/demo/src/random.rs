//! Random numbers that depend on a seed, a purpose and a key only. So each record can be made without the previous
//! ones, and is the same on every machine.

/// A generator of random numbers for one key.
#[derive(Clone, Copy)]
pub struct SeededRandom(u64);

impl SeededRandom {
    /// Makes a generator. Different purposes give independent numbers for the same key.
    pub fn of(seed: u64, purpose: u64, key: u64) -> Self {
        Self(mix(mix(mix(seed) ^ purpose) ^ key))
    }

    /// Returns the next number, uniformly distributed over `0..bound`. The bias is below `bound` in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns the next number, uniformly distributed over `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Returns one of the items.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Returns true with a probability of `share` in a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn next(&mut self) -> u64 {
        let drawn = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        drawn
    }
}

/// Step between states: 2^64 divided by the golden ratio, made odd. Its multiples visit every number.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Returns the finalizer of SplitMix64. Each input bit changes half of the output bits on average.
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_seed_purpose_and_key() {
        let draw = |seed, purpose, key| SeededRandom::of(seed, purpose, key).below(1 << 40);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        let drawn = [draw(1, 2, 3), draw(0, 2, 3), draw(1, 0, 3), draw(1, 2, 0), draw(3, 2, 1)];
        assert_eq!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len(), drawn.len());
    }

    #[test]
    fn shares_are_met() {
        let hits = (0..100_000).filter(|&key| SeededRandom::of(7, 1, key).percent(18)).count();
        assert!((17_500..18_500).contains(&hits), "{hits}");
    }
}
