//! The assignors of the classic protocol: which of a group's members is to read which partition.
//!
//! An assignor is a pure function that the group's leader evaluates. It gives every partition of every topic that somebody is
//! subscribed to, to exactly one of its subscribers.

/// `partition.assignment.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Topic by topic, a stretch of its partitions to each member (KIP-54's RangeAssignor).
    Range,
    /// Partition by partition to one member after the other.
    RoundRobin,
    /// As even as can be, and of all such assignments the one that moves least (KIP-54). Everything is given up before each
    /// rebalance.
    Sticky,
    /// As [`Assignor::Sticky`], but what does not move is kept during rebalances (KIP-429).
    CooperativeSticky,
}

impl Assignor {
    /// All names, for people.
    pub(super) const NAMES: &str = "range, roundrobin, sticky, cooperative-sticky";

    /// Its name, in configs and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::RoundRobin => "roundrobin",
            Assignor::Sticky => "sticky",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }

    /// The assignor of a name, if it is one.
    pub fn by_name(name: &str) -> Option<Assignor> {
        let all = [Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky];
        all.into_iter().find(|assignor| assignor.name() == name)
    }
}
