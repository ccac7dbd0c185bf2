//! The assignors of the server side (KIP-848): who of a group's members is to read which partition.
//!
//! An assignor is a pure function of the subscriptions, the topics and the last target assignment. It gives every partition of
//! every topic that somebody is subscribed to, to exactly one of its subscribers.

use std::collections::{BTreeMap, BTreeSet};

use trial_node::TopicIdPartition;
use trial_wire::Uuid;

use crate::group::ServerAssignor;

mod range;
mod uniform;

/// Partitions, whosever they are.
pub(super) type Partitions = BTreeSet<TopicIdPartition>;

/// What an assignor knows of a member.
#[derive(Clone, Debug)]
pub(super) struct Subscriber<'a> {
    /// `group.instance.id`, if the member is static (KIP-345).
    pub(super) instance_id: Option<&'a str>,
    /// The topics that it is subscribed to; all of them are in the table of topics.
    pub(super) topics: BTreeSet<Uuid>,
    /// What the last target assignment gave to it.
    pub(super) target: &'a Partitions,
}

/// The members of a group by member id.
pub(super) type Subscribers<'a> = BTreeMap<&'a str, Subscriber<'a>>;

/// The subscribed topics and how many partitions each has.
pub(super) type PartitionCounts = BTreeMap<Uuid, i32>;

impl ServerAssignor {
    /// What each of the members is to have.
    pub(super) fn assign<'a>(
        self,
        members: &Subscribers<'a>,
        topics: &PartitionCounts,
    ) -> BTreeMap<&'a str, Partitions> {
        match self {
            ServerAssignor::Uniform => uniform::assign(members, topics),
            ServerAssignor::Range => range::assign(members, topics),
        }
    }
}

#[cfg(test)]
mod tests;
