//! Waiting longer after each failure, never quite as long as everybody else (KIP-144, KIP-580).

use trial_node::{Rng, Span};

/// Waits that double with each attempt up to a maximum, each off by up to a fifth so that clients spread out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExponentialBackoff {
    /// The wait after the first failure, before jitter.
    pub initial: Span,
    /// No wait is longer.
    pub max: Span,
}

impl ExponentialBackoff {
    /// The wait after `attempts` earlier failures: `initial × 2^attempts × (0.8 to 1.2)`, at most `max`.
    pub fn wait(self, attempts: u32, rng: &mut Rng) -> Span {
        let doubled = self.initial.times(1u64 << attempts.min(32));
        let jittered = u128::from(doubled.0) * u128::from(rng.between(800, 1_200)) / 1_000;
        Span(u64::try_from(jittered).unwrap_or(u64::MAX)).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_a_fifth_of_jitter_up_to_the_maximum() {
        let backoff = ExponentialBackoff { initial: Span::from_millis(100), max: Span::from_secs(1) };
        let mut rng = Rng::named(1, "backoff");
        for (attempts, low, high) in
            [(0, 80, 120), (1, 160, 240), (2, 320, 480), (3, 640, 960), (9, 1_000, 1_000)]
        {
            for _ in 0..100 {
                let wait = backoff.wait(attempts, &mut rng);
                assert!(
                    Span::from_millis(low) <= wait && wait <= Span::from_millis(high),
                    "{attempts}: {wait}"
                );
            }
        }
    }
}
