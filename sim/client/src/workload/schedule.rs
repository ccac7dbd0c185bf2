//! When records are intended, exactly.

use trial_node::{Span, Time};

use super::config::Rate;

/// One producer's part of a workload's schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub start_at: Time,
    pub rate: Rate,
    /// Which of the workload's producers it is, and of how many.
    pub index: u32,
    pub of: u32,
}

impl Schedule {
    /// The number, over all the workload's producers, of this producer's record `sequence`.
    pub fn global(&self, sequence: u64) -> u64 {
        sequence * u64::from(self.of) + u64::from(self.index)
    }

    /// When the producer's record `sequence` is intended.
    pub fn intended(&self, sequence: u64) -> Time {
        let after =
            u128::from(self.global(sequence)) * u128::from(self.rate.per.0) / u128::from(self.rate.records);
        self.start_at + Span(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// The producer's first record that is intended at or after `from`.
    pub fn first_from(&self, from: Time) -> u64 {
        let wait = u128::from(from.since(self.start_at).0);
        let global = (wait * u128::from(self.rate.records)).div_ceil(u128::from(self.rate.per.0));
        let sequence = global.saturating_sub(u128::from(self.index)).div_ceil(u128::from(self.of));
        u64::try_from(sequence).unwrap_or(u64::MAX)
    }
}

/// When a client's transactions are intended, and whether it makes any more.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    schedule: Schedule,
    next: u64,
    stop_at: Option<Time>,
    pub stopped: bool,
}

impl Turns {
    /// The first is the first that is intended at or after `from`.
    pub fn new(schedule: Schedule, stop_at: Option<Time>, from: Time) -> Turns {
        Turns { schedule, next: schedule.first_from(from), stop_at, stopped: false }
    }

    /// Stops when it is time to.
    pub fn look(&mut self, now: Time) {
        self.stopped |= self.stop_at.is_some_and(|stop_at| stop_at <= now);
    }

    /// The number of the transaction whose turn it is, and when it was intended.
    pub fn take(&mut self, now: Time) -> Option<(u64, Time)> {
        let intended = self.schedule.intended(self.next);
        if self.stopped || intended > now {
            return None;
        }
        self.next += 1;
        Some((self.next - 1, intended))
    }

    /// When [`Turns::take`] has something to tell, or the end has come.
    pub fn next(&self) -> Option<Time> {
        let next = self.schedule.intended(self.next);
        (!self.stopped).then(|| self.stop_at.map_or(next, |stop_at| stop_at.min(next)))
    }

    /// When the end comes.
    pub fn end(&self) -> Option<Time> {
        self.stop_at.filter(|_| !self.stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn thirds_of_a_second_do_not_drift() {
        let schedule =
            Schedule { start_at: Time(5), rate: Rate { records: 3, per: Span(10) }, index: 0, of: 1 };
        let times: Vec<u64> = (0..7).map(|n| schedule.intended(n).0).collect();
        assert_eq!(times, [5, 8, 11, 15, 18, 21, 25]);
    }

    #[test]
    fn producers_take_turns() {
        let rate = Rate::per_second(1_000);
        let of_two = |index| Schedule { start_at: Time::ZERO, rate, index, of: 2 };
        assert_eq!(of_two(0).intended(1), Time::ZERO + Span::from_millis(2));
        assert_eq!(of_two(1).intended(1), Time::ZERO + Span::from_millis(3));
    }

    proptest! {
        #[test]
        fn first_from_is_the_first(
            start in 0u64..1_000, from in 0u64..10_000, records in 1u64..50, per in 1u64..50, of in 1u32..5, index in 0u32..5,
        ) {
            let index = index % of;
            let schedule =
                Schedule { start_at: Time(start), rate: Rate { records, per: Span(per) }, index, of };
            let first = schedule.first_from(Time(from));
            prop_assert!(schedule.intended(first) >= Time(from));
            prop_assert!(first == 0 || schedule.intended(first - 1) < Time(from));
        }
    }
}
