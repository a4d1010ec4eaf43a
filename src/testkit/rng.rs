//! The one source of chance in a simulation: SplitMix64, the same for ever for the same seed.
//!
//! Our own twenty lines rather than a crate, because a kept seed must mean the same run after any
//! update of dependencies. The algorithm is Steele, Lea and Flood's (OOPSLA 2014).

use std::ops::Range;
use std::time::Duration;

/// A stream of numbers drawn from a seed.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// A stream of its own for each label, whatever else was drawn from the seed.
    pub fn of(seed: u64, label: &str) -> Rng {
        let mut rng = Rng(seed ^ hash(0, label.as_bytes()));
        rng.next_u64();
        rng
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(end)) >> 64) as u64
    }

    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub fn range(&mut self, range: Range<u64>) -> u64 {
        range.start + self.below(range.end.saturating_sub(range.start))
    }

    /// True `per_mille` times in a thousand.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    pub fn duration(&mut self, range: &Range<Duration>) -> Duration {
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.range(nanos(range.start)..nanos(range.end)))
    }

    /// One of them; `None` of none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        if from.is_empty() {
            return None;
        }
        from.get(self.index(from.len()))
    }

    /// One of the values, each as often as its weight says.
    pub fn weighted<T: Copy>(&mut self, from: &[(u32, T)]) -> T {
        let total: u32 = from.iter().map(|(w, _)| w).sum();
        let mut at = self.below(u64::from(total)) as u32;
        for &(weight, value) in from {
            if at < weight {
                return value;
            }
            at -= weight;
        }
        from.last().expect("a choice among nothing").1
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// FNV-1a, 64 bits, going on from `state`.
pub(crate) fn hash(state: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(state ^ 0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_a_seed_never_change() {
        // From the reference implementation, seed 1234567.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn draws_stay_in_their_range() {
        let mut rng = Rng::new(7);
        for _ in 0..1000 {
            assert!((5..9).contains(&rng.range(5..9)));
            assert_ne!(rng.weighted(&[(1, 'a'), (0, 'b'), (3, 'c')]), 'b');
        }
        assert_eq!(rng.bytes(13).len(), 13);
        assert!(!rng.chance(0) && rng.chance(1000));
    }

    #[test]
    fn labels_make_streams_of_their_own() {
        assert_ne!(Rng::of(1, "a").next_u64(), Rng::of(1, "b").next_u64());
        assert_ne!(Rng::of(1, "a").next_u64(), Rng::of(2, "a").next_u64());
    }
}
