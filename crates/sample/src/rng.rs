//! A reproducible random number generator.
//!
//! It uses only the raw words of `ChaCha`, and samples by integer arithmetic of its own: neither a new version of `rand` nor
//! another processor changes a byte of a sample.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// A random number generator, one for each independent part of a sample.
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    /// Creates the generator of one `stream` of a seed. Streams are independent of each other, so that the format of files
    /// has no influence on the market.
    pub(crate) fn new(seed: u64, stream: u64) -> Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut words = ChaCha8Rng::from_seed(key);
        words.set_stream(stream);
        Rng(words)
    }

    /// Returns a number in `0..n`, uniformly distributed (to within n / 2^32). `n` is at least 1.
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(n)) >> 32) as u32
    }

    /// Returns a number in `low..=high`, which are less than 2^32 apart.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::from(self.below((high - low + 1) as u32))
    }

    /// Returns `true` with probability 1 / `n`.
    pub(crate) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    /// Returns `true` with a probability of `percent` / 100.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.below(100) < percent
    }

    /// Returns one of `choices`, which is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// Returns an approximately normal number with mean 0 and standard deviation 1000, within ±3500 (Irwin-Hall, 4 terms).
    pub(crate) fn swing(&mut self) -> i64 {
        let words = self.0.next_u64();
        let sum: i64 = (0..4).map(|part| ((words >> (16 * part)) & 0xffff) as i64).sum();
        // Four uniform words of 16 bits: mean 131,070, standard deviation 37,837.
        (sum - 131_070) * 1000 / 37_837
    }

    /// Shuffles `items` (Fisher-Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.below(end as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_and_stream_give_the_same_numbers_for_ever() {
        let mut rng = Rng::new(7, 3);
        let numbers: Vec<u32> = (0..6).map(|_| rng.below(1000)).collect();
        assert_eq!(numbers, [674, 662, 674, 504, 785, 736]);
        assert_ne!(Rng::new(7, 4).below(1 << 31), Rng::new(7, 3).below(1 << 31));
        assert_ne!(Rng::new(8, 3).below(1 << 31), Rng::new(7, 3).below(1 << 31));
    }

    #[test]
    fn numbers_stay_in_their_bounds() {
        let mut rng = Rng::new(1, 0);
        let mut spread = 0;
        for _ in 0..10_000 {
            assert!(rng.below(3) < 3);
            assert!((-2..=2).contains(&rng.between(-2, 2)));
            let swing = rng.swing();
            assert!(swing.abs() <= 3500);
            spread += swing.abs();
        }
        assert!((700..900).contains(&(spread / 10_000)), "mean distance {}", spread / 10_000);
    }
}
