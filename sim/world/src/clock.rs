//! Wall clocks, the only clocks that can be wrong.

use trial_node::{Now, Time};

/// A wall clock that may be wrong.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// What a right one shows at instant zero, in nanoseconds since the Unix epoch.
    start_ns: i64,
    /// How far off it was at `since`, in nanoseconds.
    offset_ns: i64,
    ppm: i64,
    since: Time,
    /// How many faults make it wrong.
    skews: u32,
}

impl WallClock {
    /// A right one. It shows `start_ms`, in milliseconds since the Unix epoch, at instant zero.
    pub fn new(start_ms: i64) -> WallClock {
        WallClock { start_ns: start_ms * 1_000_000, offset_ns: 0, ppm: 0, since: Time::ZERO, skews: 0 }
    }

    fn offset_at(&self, now: Time) -> i64 {
        if self.ppm == 0 {
            return self.offset_ns;
        }
        let drift = i128::from(now.since(self.since).0) * i128::from(self.ppm) / 1_000_000;
        self.offset_ns + drift as i64
    }

    /// Both clocks at that instant.
    pub fn now(&self, now: Time) -> Now {
        let wall_ns = self.start_ns + now.0 as i64 + self.offset_at(now);
        Now { mono: now, wall_ms: wall_ns.div_euclid(1_000_000) }
    }

    /// From `now` on it is so many nanoseconds further off, and runs so much faster; on top of other skews.
    pub fn skew(&mut self, now: Time, offset_ns: i64, ppm: i32) {
        self.offset_ns = self.offset_at(now) + offset_ns;
        self.since = now;
        self.ppm += i64::from(ppm);
        self.skews += 1;
    }

    /// Ends one skew; with the last one, the clock is right.
    pub fn unskew(&mut self, now: Time, offset_ns: i64, ppm: i32) {
        self.skews = self.skews.saturating_sub(1);
        if self.skews == 0 {
            (self.offset_ns, self.ppm) = (0, 0);
        } else {
            self.offset_ns = self.offset_at(now) - offset_ns;
            self.ppm -= i64::from(ppm);
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_clock_jumps_drifts_and_is_set_right() {
        let mut clock = WallClock::new(1_000);
        let second = Time(1_000_000_000);
        assert_eq!(clock.now(second).wall_ms, 2_000);
        clock.skew(second, -500_000_000, 1_000);
        assert_eq!(clock.now(second).wall_ms, 1_500);
        let later = Time(11_000_000_000);
        assert_eq!(clock.now(later).wall_ms, 11_510);
        clock.skew(later, 1_000_000_000, 0);
        clock.unskew(later, -500_000_000, 1_000);
        assert_eq!(clock.now(later).wall_ms, 13_010);
        clock.unskew(later, 1_000_000_000, 0);
        assert_eq!(clock.now(later), Now { mono: later, wall_ms: 12_000 });
    }
}
