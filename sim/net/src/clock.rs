//! Real time, as the cluster is to have it.

use std::time::{Duration, Instant};

use trial_node::{Span, Time};

/// How many virtual seconds a real second has, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeScale(pub u32);

impl Default for TimeScale {
    fn default() -> Self {
        TimeScale(1000)
    }
}

/// How far virtual time goes in one go, so that clients are heard in between.
const STEP_MAX: Span = Span::from_millis(10);
/// How far virtual time may lag behind. What is more is given up: a cluster that cannot keep pace, or whose process was
/// stopped, goes on from where it was instead of seeing a jump in which everything times out.
const LAG_MAX: Span = Span::from_millis(100);

/// A virtual clock slaved to the real one.
#[derive(Debug)]
pub(crate) struct Clock {
    scale: TimeScale,
    /// These two were the same instant.
    real: Instant,
    time: Time,
}

impl Clock {
    /// It is `time` now.
    pub(crate) fn new(time: Time, scale: TimeScale) -> Clock {
        Clock { scale, real: Instant::now(), time }
    }

    /// How far a cluster should go now that is at `at` and has its next event at `next`.
    pub(crate) fn target(&mut self, at: Time, next: Option<Time>) -> Time {
        let elapsed = self.real.elapsed().as_nanos() * u128::from(self.scale.0) / 1000;
        let now = self.time + Span(u64::try_from(elapsed).unwrap_or(u64::MAX));
        let (target, slips) = pace(now, at, next);
        if slips {
            (self.real, self.time) = (Instant::now(), target);
        }
        target
    }

    /// How long until it is `time`.
    pub(crate) fn wait(&self, time: Time) -> Duration {
        let ahead = u128::from(time.since(self.time).0) * 1000 / u128::from(self.scale.0.max(1));
        let ahead = Duration::from_nanos(u64::try_from(ahead).unwrap_or(u64::MAX));
        ahead.saturating_sub(self.real.elapsed())
    }
}

/// How far to go if it should be `now`, and whether the clock is to be set back to that. Time in which nothing happens does
/// not count as lag, however long it was slept through.
fn pace(now: Time, at: Time, next: Option<Time>) -> (Time, bool) {
    let due = next.unwrap_or(now).max(at);
    let target = now.min(due + STEP_MAX).max(at);
    (target, now.since(target) > LAG_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Time {
        Time::ZERO + Span::from_millis(ms)
    }

    #[test]
    fn an_idle_cluster_goes_on_to_now() {
        assert_eq!(pace(ms(5_000), ms(1_000), None), (ms(5_000), false));
        assert_eq!(pace(ms(5_000), ms(1_000), Some(ms(4_999))), (ms(5_000), false));
        assert_eq!(pace(ms(5_000), ms(1_000), Some(ms(9_000))), (ms(5_000), false));
    }

    #[test]
    fn a_busy_cluster_goes_in_steps_and_a_lag_is_given_up() {
        assert_eq!(pace(ms(1_050), ms(1_000), Some(ms(1_000))), (ms(1_010), false));
        assert_eq!(pace(ms(1_111), ms(1_000), Some(ms(1_000))), (ms(1_010), true));
        assert_eq!(pace(ms(5_000), ms(1_000), Some(ms(2_000))), (ms(2_010), true));
    }

    #[test]
    fn time_does_not_go_back() {
        assert_eq!(pace(ms(999), ms(1_000), Some(ms(1_000))), (ms(1_000), false));
    }

    #[test]
    fn a_scaled_second_is_waited_for_so_much_longer() {
        let clock = Clock::new(ms(1_000), TimeScale(500));
        let wait = clock.wait(ms(2_000));
        assert!(wait <= Duration::from_secs(2) && wait > Duration::from_millis(1_500), "{wait:?}");
        assert_eq!(clock.wait(ms(500)), Duration::ZERO);
    }
}
