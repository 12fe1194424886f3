//! Chance without state: a number that follows from seed, purpose and key alone, so that each record can
//! be made without the ones before it, and comes out the same on every machine.

/// The chance of one thing.
#[derive(Clone, Copy)]
pub struct Chance(u64);

impl Chance {
    /// What seed and purpose decide about the thing with this key. Purposes are different numbers for
    /// different questions, so that no two answers are tied to each other.
    pub fn of(seed: u64, purpose: u64, key: u64) -> Self {
        Self(mix(mix(mix(seed) ^ purpose) ^ key))
    }

    /// The next number, evenly spread over `0..bound`. The bias is below `bound` in 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// The next number, evenly spread over `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Whether something happens that happens so often in a hundred.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    fn next(&mut self) -> u64 {
        let drawn = mix(self.0);
        self.0 = self.0.wrapping_add(STEP);
        drawn
    }
}

/// 2^64 divided by the golden ratio, made odd: steps of it visit every number.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finalizer of SplitMix64: every bit of what goes in changes half the bits of what comes out.
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
    fn the_same_key_has_the_same_chance_and_others_have_others() {
        let draw = |seed, purpose, key| Chance::of(seed, purpose, key).below(1 << 40);
        assert_eq!(draw(1, 2, 3), draw(1, 2, 3));
        let drawn = [draw(1, 2, 3), draw(0, 2, 3), draw(1, 0, 3), draw(1, 2, 0), draw(3, 2, 1)];
        assert_eq!(drawn.iter().collect::<std::collections::BTreeSet<_>>().len(), drawn.len());
    }

    #[test]
    fn shares_are_kept() {
        let hits = (0..100_000).filter(|&key| Chance::of(7, 1, key).percent(18)).count();
        assert!((17_500..18_500).contains(&hits), "{hits}");
    }
}
