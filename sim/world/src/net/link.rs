//! One direction of the link between two hosts.

use trial_node::{Rng, Span, Time};

use crate::config::LinkProfile;
use crate::machine::transfer_time;

/// One direction of a link: its profile and what faults have made of it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    profile: LinkProfile,
    /// How many faults cut it.
    pub(crate) cuts: u32,
    /// What all delaying faults add.
    add: Span,
    /// What they add at most at random.
    jitter: Span,
    /// Bandwidths that faults limit it to.
    limits: Vec<u64>,
    /// Bytes per second that are left; 0 means without limit.
    bytes_per_s: u64,
    /// When it has carried what it was given.
    free_at: Time,
}

impl Link {
    pub(crate) fn new(profile: LinkProfile) -> Link {
        Link {
            profile,
            cuts: 0,
            add: Span::ZERO,
            jitter: Span::ZERO,
            limits: Vec::new(),
            bytes_per_s: profile.bytes_per_s,
            free_at: Time::ZERO,
        }
    }

    /// Changes the profile; faults stay.
    pub(crate) fn set_profile(&mut self, profile: LinkProfile) {
        self.profile = profile;
        self.narrow();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cuts > 0
    }

    pub(crate) fn add_delay(&mut self, add: Span, jitter: Span) {
        self.add += add;
        self.jitter += jitter;
    }

    pub(crate) fn remove_delay(&mut self, add: Span, jitter: Span) {
        self.add = self.add - add;
        self.jitter = self.jitter - jitter;
    }

    pub(crate) fn add_limit(&mut self, limit: u64) {
        self.limits.push(limit);
        self.narrow();
    }

    pub(crate) fn remove_limit(&mut self, limit: u64) {
        if let Some(i) = self.limits.iter().position(|l| *l == limit) {
            self.limits.swap_remove(i);
        }
        self.narrow();
    }

    fn narrow(&mut self) {
        let limits = self.limits.iter().copied();
        let own = Some(self.profile.bytes_per_s).filter(|own| *own > 0);
        self.bytes_per_s = limits.chain(own).min().unwrap_or(0);
    }

    /// How long a message travels, drawn anew.
    pub(crate) fn latency(&self, rng: &mut Rng) -> Span {
        let latency = self.profile.latency.draw(rng) + self.add;
        if self.jitter > Span::ZERO { latency + Span(rng.between(0, self.jitter.0)) } else { latency }
    }

    /// The longest that a message usually travels.
    pub(crate) fn typical_max(&self) -> Span {
        self.profile.latency.typical_max() + self.add + self.jitter
    }

    /// Gives the link so many bytes, the first at `first`, the last at `now`; returns when the last has left it.
    pub(crate) fn carry(&mut self, first: Time, now: Time, bytes: u32) -> Time {
        if self.bytes_per_s == 0 {
            return now;
        }
        let begin = self.free_at.max(first);
        self.free_at = now.max(begin + transfer_time(u64::from(bytes), self.bytes_per_s));
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Latency;

    #[test]
    fn narrowest_limit_holds_until_it_is_removed() {
        let latency = Latency::Constant(Span::ZERO);
        let mut link = Link::new(LinkProfile { latency, bytes_per_s: 1_000 });
        let took = |link: &mut Link| {
            link.free_at = Time::ZERO;
            link.carry(Time::ZERO, Time::ZERO, 1_000).0 / 1_000_000
        };
        assert_eq!(took(&mut link), 1_000);
        link.add_limit(500);
        link.add_limit(250);
        assert_eq!(took(&mut link), 4_000);
        link.remove_limit(250);
        assert_eq!(took(&mut link), 2_000);
        link.remove_limit(500);
        assert_eq!(took(&mut link), 1_000);
    }

    #[test]
    fn messages_on_a_narrow_link_follow_each_other() {
        let latency = Latency::Constant(Span::ZERO);
        let mut link = Link::new(LinkProfile { latency, bytes_per_s: 1_000_000 });
        assert_eq!(link.carry(Time(0), Time(0), 1_000), Time(1_000_000));
        assert_eq!(link.carry(Time(0), Time(0), 1_000), Time(2_000_000));
        assert_eq!(link.carry(Time(5_000_000), Time(5_000_000), 1_000), Time(6_000_000));
    }
}
