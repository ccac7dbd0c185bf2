//! The assignors of the classic protocol: which of a group's members is to read which partition.
//!
//! An assignor is a pure function that the group's leader evaluates. It gives every partition of every topic that somebody is
//! subscribed to, to exactly one of its subscribers; except that with [`Assignor::CooperativeSticky`] a partition that moves is
//! nobody's for one generation (KIP-429).

mod range;
mod round_robin;
mod sticky;

use std::collections::{BTreeMap, BTreeSet};

use trial_node::TopicPartition;
use trial_wire::{StrBytes, TopicName};

use super::embedded::{self, Subscription};

/// `partition.assignment.strategy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Topic by topic, a stretch of its partitions to each member.
    Range,
    /// Partition by partition to one member after the other.
    RoundRobin,
    /// As even as can be, and what need not move stays (KIP-54). Everything is given up before each rebalance.
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

/// What an assignor knows of a member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    id: StrBytes,
    instance_id: Option<StrBytes>,
    /// What it is subscribed to.
    pub topics: BTreeSet<TopicName>,
    /// What it had, and in which generation.
    owned: Vec<TopicPartition>,
    generation: i32,
}

impl Member {
    /// A member by its subscription.
    pub fn new(
        assignor: Assignor,
        id: StrBytes,
        instance_id: Option<StrBytes>,
        subscription: Subscription,
    ) -> Member {
        let Subscription { topics, user_data, mut owned, mut generation } = subscription;
        if assignor == Assignor::Sticky {
            // A member that gives everything up before it joins tells in its user data what it had.
            let memory = user_data.and_then(|data| embedded::decode_memory(&data).ok());
            (owned, generation) = memory.unwrap_or((Vec::new(), -1));
        }
        Member { id, instance_id, topics: topics.into_iter().collect(), owned, generation }
    }

    /// Static members come first, by their own ids: a restart changes nothing about the order.
    fn rank(&self) -> (bool, &StrBytes) {
        (self.instance_id.is_none(), self.instance_id.as_ref().unwrap_or(&self.id))
    }
}

/// What each member is to have, in the order of the members; `counts` tells how many partitions each topic has.
pub(super) fn assign(
    assignor: Assignor,
    members: &[Member],
    counts: &BTreeMap<TopicName, usize>,
) -> Vec<Vec<TopicPartition>> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|member| members[*member].rank());
    let ranked: Vec<&Member> = order.iter().map(|member| &members[*member]).collect();
    let assigned = match assignor {
        Assignor::Range => range::assign(&ranked, counts),
        Assignor::RoundRobin => round_robin::assign(&ranked, counts),
        Assignor::Sticky => sticky::assign(&ranked, counts),
        Assignor::CooperativeSticky => {
            let mut assigned = sticky::assign(&ranked, counts);
            sticky::hold_back_what_moves(&ranked, &mut assigned);
            assigned
        }
    };
    let mut by_member = vec![Vec::new(); members.len()];
    for (member, mut partitions) in order.into_iter().zip(assigned) {
        partitions.sort();
        by_member[member] = partitions;
    }
    by_member
}

/// All partitions there are, in order.
fn partitions(counts: &BTreeMap<TopicName, usize>) -> impl Iterator<Item = TopicPartition> + '_ {
    counts.iter().flat_map(|(topic, count)| {
        (0..*count as i32).map(move |partition| TopicPartition { topic: topic.clone(), partition })
    })
}

#[cfg(test)]
mod tests;
