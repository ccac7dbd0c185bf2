//! Replication that must not take all of the network (KIP-73): on a leader what it sends to throttled followers that are not in
//! sync, on a follower what it fetches of throttled replicas while it is not in sync.
//!
//! As in Kafka, bytes are counted in samples of a second, of which the newest 11 count.

use std::collections::VecDeque;

use trial_node::{NodeId, Span, Time};

/// `replication.quota.window.num`.
const SAMPLES: u64 = 11;
/// `replication.quota.window.size.seconds`.
const SAMPLE: Span = Span::from_secs(1);

/// A rate that is not to be exceeded.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    /// Bytes per second.
    limit: u64,
    /// When each sample began, and its bytes; oldest first.
    samples: VecDeque<(Time, u64)>,
}

impl Throttle {
    /// No limit.
    pub fn new() -> Throttle {
        Throttle { limit: u64::MAX, samples: VecDeque::new() }
    }

    /// Sets the limit, in bytes per second. As in Kafka, what was sent before counts.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Whether there is a limit at all.
    pub fn is_on(&self) -> bool {
        self.limit != u64::MAX
    }

    /// Counts what was sent or received.
    pub fn record(&mut self, now: Time, bytes: usize) {
        if !self.is_on() || bytes == 0 {
            return;
        }
        self.forget(now);
        match self.samples.back_mut().filter(|(began, _)| now.since(*began) < SAMPLE) {
            Some((_, sum)) => *sum += bytes as u64,
            None => self.samples.push_back((now, bytes as u64)),
        }
    }

    /// Whether the rate of late is above the limit.
    pub fn is_exceeded(&mut self, now: Time) -> bool {
        if !self.is_on() {
            return false;
        }
        self.forget(now);
        let Some((oldest, _)) = self.samples.front() else { return false };
        let window = now.since(*oldest).max(SAMPLE);
        let sum: u128 = self.samples.iter().map(|(_, bytes)| u128::from(*bytes)).sum();
        sum * u128::from(Span::from_secs(1).0) > u128::from(self.limit) * u128::from(window.0)
    }

    fn forget(&mut self, now: Time) {
        while self.samples.front().is_some_and(|(began, _)| now.since(*began) >= SAMPLE.times(SAMPLES)) {
            self.samples.pop_front();
        }
    }
}

/// Whether the list of a topic's throttled replicas names this replica: `partition:broker` pairs, `*` for all, `none` or nothing
/// for none.
pub(super) fn is_listed(list: &str, partition: i32, broker: NodeId) -> bool {
    let names = |pair: &str| {
        let (index, id) = pair.trim().split_once(':')?;
        Some(index.parse() == Ok(partition) && id.parse() == Ok(broker.0))
    };
    list.trim() == "*" || list.split(',').any(|pair| names(pair) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn the_rate_is_over_the_newest_samples() {
        let mut throttle = Throttle::new();
        throttle.record(at(0), 1 << 40);
        assert!(!throttle.is_exceeded(at(0)), "without a limit nothing counts");
        throttle.set_limit(1_000);
        throttle.record(at(0), 1_000);
        assert!(!throttle.is_exceeded(at(0)));
        throttle.record(at(500), 2_000);
        assert!(throttle.is_exceeded(at(500)));
        assert!(throttle.is_exceeded(at(2_999)));
        assert!(!throttle.is_exceeded(at(3_000)), "3000 bytes in 3 seconds");
        throttle.record(at(10_900), 9_000);
        assert!(throttle.is_exceeded(at(10_900)));
        // The first sample is too old to count: what is left is 9000 bytes since 10.9 s.
        assert!(throttle.is_exceeded(at(19_899)));
        assert!(!throttle.is_exceeded(at(19_900)));
    }

    #[test]
    fn lists_name_replicas_by_partition_and_broker() {
        let listed = |list| is_listed(list, 1, NodeId(3));
        assert!(listed("*") && listed("1:3") && listed("0:1, 1:3") && listed(" 1:3 "));
        assert!(!listed("") && !listed("none") && !listed("1:2,2:3") && !listed("3:1"));
    }
}
