//! The little randomness that the language needs: `States.MathRandom` and the jitter of retries.

use uuid::Uuid;

/// A seed that nobody can predict.
pub(crate) fn seed() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

/// A number below `end` (which is not zero), evenly spread over seeds. The same seed gives the same number.
pub(crate) fn below(seed: u64, end: u64) -> u64 {
    // SplitMix64's output function: seeds that differ in one bit give unrelated numbers.
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    ((u128::from(z) * u128::from(end)) >> 64) as u64
}

/// A part of a whole: 0 or more, below 1.
pub(crate) fn fraction() -> f64 {
    const STEPS: u64 = 1 << 53;
    below(seed(), STEPS) as f64 / STEPS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_spread_over_the_whole_range() {
        let mut counts = [0_u32; 10];
        for seed in 0..10_000 {
            counts[usize::try_from(below(seed, 10)).expect("small")] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
        assert_eq!(below(1, 1), 0);
        assert!((0.0..1.0).contains(&fraction()));
    }
}
