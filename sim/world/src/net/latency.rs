//! Drawing how long a message travels, in integers.

use trial_node::{Rng, Span};

use crate::config::Latency;

/// Quantiles of a log-normal distribution with median 1 and σ = 0.5, from 0.1 % to 99.9 % in equal steps, in 1/1024.
const LONG_TAIL: [u64; 65] = [
    218, 353, 406, 445, 477, 505, 531, 555, 577, 598, 619, 639, 658, 677, 695, 713, 731, 749, 767, 785, 802,
    820, 838, 856, 873, 892, 910, 928, 947, 966, 985, 1004, 1024, 1044, 1065, 1086, 1108, 1130, 1153, 1176,
    1200, 1226, 1252, 1279, 1307, 1336, 1367, 1399, 1434, 1470, 1508, 1549, 1594, 1642, 1694, 1752, 1817,
    1890, 1974, 2075, 2197, 2356, 2582, 2970, 4801,
];

impl Latency {
    /// Draws one.
    pub(crate) fn draw(self, rng: &mut Rng) -> Span {
        match self {
            Latency::Constant(span) => span,
            Latency::Uniform { low, high } => Span(rng.between(low.0, high.0)),
            Latency::LongTail { median } => {
                let draw = rng.next_u64();
                let steps = (LONG_TAIL.len() - 1) as u64;
                let step = ((draw >> 32) * steps) >> 32;
                let within = (draw & 0xffff_ffff) >> 16;
                let (low, high) = (LONG_TAIL[step as usize], LONG_TAIL[step as usize + 1]);
                // In 1/2^26: 10 bits of the table and 16 of the place between its entries.
                let factor = (low << 16) + (high - low) * within;
                Span(((u128::from(median.0) * u128::from(factor)) >> 26) as u64)
            }
        }
    }

    /// The longest that it usually takes: what is later than that there and back counts as lost.
    pub(crate) fn typical_max(self) -> Span {
        match self {
            Latency::Constant(span) => span,
            Latency::Uniform { high, .. } => high,
            Latency::LongTail { median } => median.times(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_tail_is_what_its_docs_say() {
        let mut rng = Rng::named(1, "tail");
        let latency = Latency::LongTail { median: Span(1_000_000) };
        let mut drawn: Vec<u64> = (0..100_000).map(|_| latency.draw(&mut rng).0).collect();
        drawn.sort_unstable();
        let mean = drawn.iter().sum::<u64>() / 100_000;
        assert!((1_120_000..1_150_000).contains(&mean), "{mean}");
        assert!((985_000..1_015_000).contains(&drawn[50_000]), "{}", drawn[50_000]);
        assert!((3_300_000..3_800_000).contains(&drawn[99_000]), "{}", drawn[99_000]);
        assert!(drawn[99_999] <= 4_700_000, "{}", drawn[99_999]);
        assert!(drawn[0] >= 200_000, "{}", drawn[0]);
    }

    #[test]
    fn uniform_reaches_both_ends() {
        let mut rng = Rng::named(1, "uniform");
        let latency = Latency::Uniform { low: Span(5), high: Span(7) };
        let drawn: std::collections::BTreeSet<u64> = (0..100).map(|_| latency.draw(&mut rng).0).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [5, 6, 7]);
    }
}
