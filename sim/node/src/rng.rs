//! Named random streams.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// One random stream. Streams are forked by name from a run's seed: a new draw in one leaves all others alone.
///
/// Everything is integer arithmetic on ChaCha8's output, the same on every machine.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream called `name` of the run with `seed`, for example `("net/latency", 7)`. Different names give unrelated
    /// streams.
    pub fn named(seed: u64, name: &str) -> Rng {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), seed).to_le_bytes());
        key[16..].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), !seed).to_le_bytes());
        Rng(ChaCha8Rng::from_seed(key))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number from 0 to `n − 1`, all alike (Lemire's multiply-shift with rejection). `n` must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a draw needs at least one outcome");
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.0.next_u64()) * u128::from(n);
            if wide as u64 >= threshold {
                return (wide >> 64) as u64;
            }
        }
    }

    /// A number from `low` to `high`, both included. `low` must not be above `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "empty range {low}..={high}");
        match (high - low).checked_add(1) {
            Some(n) => low + self.below(n),
            None => self.next_u64(),
        }
    }

    /// True with probability `numerator / denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_name_and_seed() {
        let first = |seed, name| Rng::named(seed, name).next_u64();
        assert_eq!(first(7, "net"), first(7, "net"));
        assert_ne!(first(7, "net"), first(7, "disk"));
        assert_ne!(first(7, "net"), first(8, "net"));
    }

    /// The values are part of the product: if they change, every committed seed means another run.
    #[test]
    fn stream_is_pinned() {
        let mut rng = Rng::named(1, "pin");
        let drawn: Vec<u64> = (0..4).map(|_| rng.below(1_000)).collect();
        assert_eq!(drawn, PINNED);
    }
    const PINNED: [u64; 4] = [102, 727, 358, 305];

    #[test]
    fn between_covers_both_ends() {
        let mut rng = Rng::named(1, "ends");
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.between(3, 6)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6]);
    }
}
