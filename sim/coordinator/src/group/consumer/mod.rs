//! Groups of the protocol of KIP-848: members say in heartbeats what they are subscribed to and what they hold, and are told
//! what is theirs.
//!
//! A group has an epoch, which grows with every change of its members, their subscriptions and the topics. For the newest epoch
//! the coordinator makes a target assignment, at the next heartbeat of anybody. Each member goes there on its own, step by step
//! ([`reconcile`]).
//!
//! The seam to the shell ([`super::GroupCoordinator`]):
//! - [`ConsumerGroup::replay`] alone changes durable state; the shell makes the group when it replays the first record of one
//!   that is not there, and drops it when it replays the tombstone of ConsumerGroupMetadata;
//! - requests and timers decide on the state as it is, put their records into one [`Outbox::append`](super::context::Outbox)
//!   with the answer as [`Then::Respond`](super::context::Then), and set timers by [`Context::schedule`]; records are replayed
//!   right after the call, before anything else is asked of the group;
//! - a timer of a group or member that is gone does nothing.

mod assignor;
mod change;
mod classic;
mod describe;
mod evict;
mod heartbeat;
mod member;
mod migrate;
mod reconcile;
mod records;
mod regex;
mod target;
#[cfg(test)]
mod tests;
mod timeout;

use std::collections::BTreeMap;

use trial_node::view::CoordinatorEntry;
use trial_node::{Offset, TopicIdPartition};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use self::assignor::Partitions;
use self::member::{LEAVE_EPOCH, Member, MemberAssignment, MemberMetadata};
use self::regex::{Regexes, Resolved};
use super::context::owned;
use super::record::ConsumerGroupRecord;

pub(super) use heartbeat::{Heartbeat, heartbeat};
pub(super) use member::JOIN_EPOCH;
pub(super) use timeout::Timer;

/// A group of KIP-848.
#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    group_id: StrBytes,
    /// The group epoch.
    epoch: i32,
    /// The subscribed topics as they were when the epoch was last looked at.
    topics: BTreeMap<TopicName, TopicMetadata>,
    members: BTreeMap<StrBytes, Member>,
    /// What the members' regular expressions were last resolved to.
    regexes: Regexes,
    /// The epoch for which the target assignment was made.
    target_epoch: i32,
    /// The target assignment by member.
    targets: BTreeMap<StrBytes, Partitions>,
    /// Whether topics may have changed since `topics` was found to be right. Not durable.
    topics_outdated: bool,
    /// The version of the metadata in which topics, or who may know of them, last changed. Not durable.
    topics_version: Offset,
}

/// A topic as a group knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TopicMetadata {
    id: Uuid,
    partitions: i32,
}

impl ConsumerGroup {
    /// A group that nothing is known of.
    pub(super) fn new(group_id: StrBytes) -> ConsumerGroup {
        ConsumerGroup {
            group_id,
            epoch: 0,
            topics: BTreeMap::new(),
            members: BTreeMap::new(),
            regexes: Regexes::new(),
            target_epoch: 0,
            targets: BTreeMap::new(),
            topics_outdated: true,
            topics_version: Offset(-1),
        }
    }

    /// Takes in a record of this group that is in the log; never ConsumerGroupMetadata's tombstone.
    pub(super) fn replay(&mut self, record: ConsumerGroupRecord<'_>) {
        match record {
            ConsumerGroupRecord::Metadata { epoch, .. } => self.epoch = epoch.unwrap_or(0),
            ConsumerGroupRecord::PartitionMetadata { topics, .. } => {
                let topics = topics.unwrap_or_default();
                self.topics = topics
                    .iter()
                    .map(|topic| {
                        let metadata = TopicMetadata { id: topic.topic_id, partitions: topic.partitions };
                        (TopicName(owned(topic.name)), metadata)
                    })
                    .collect();
            }
            ConsumerGroupRecord::MemberMetadata { member, value: Some(value), .. } => {
                self.member_mut(member).metadata = MemberMetadata::replayed(&value);
            }
            ConsumerGroupRecord::MemberMetadata { member, value: None, .. } => {
                self.members.remove(member.as_bytes());
            }
            ConsumerGroupRecord::TargetAssignmentMetadata { epoch, .. } => {
                self.target_epoch = epoch.unwrap_or(0);
            }
            ConsumerGroupRecord::TargetAssignmentMember { member, partitions: Some(partitions), .. } => {
                self.targets.insert(owned(member), member::partitions(&partitions));
            }
            ConsumerGroupRecord::TargetAssignmentMember { member, partitions: None, .. } => {
                self.targets.remove(member.as_bytes());
            }
            ConsumerGroupRecord::CurrentMemberAssignment { member, value: Some(value), .. } => {
                self.member_mut(member).assignment = MemberAssignment::replayed(&value);
            }
            ConsumerGroupRecord::CurrentMemberAssignment { member, value: None, .. } => {
                if let Some(member) = self.members.get_mut(member.as_bytes()) {
                    member.assignment =
                        MemberAssignment { epoch: LEAVE_EPOCH, ..MemberAssignment::default() };
                }
            }
            ConsumerGroupRecord::RegularExpression { regex, value: Some(value), .. } => {
                self.regexes.insert(owned(regex), Resolved::replayed(&value));
            }
            ConsumerGroupRecord::RegularExpression { regex, value: None, .. } => {
                self.regexes.remove(regex.as_bytes());
            }
        }
    }

    fn member_mut(&mut self, member_id: &str) -> &mut Member {
        self.members.entry(owned(member_id)).or_default()
    }

    fn member(&self, member_id: &str) -> Option<&Member> {
        self.members.get(member_id.as_bytes())
    }

    /// The member that has this `group.instance.id`.
    fn static_member(&self, instance_id: &StrBytes) -> Option<(&StrBytes, &Member)> {
        self.members.iter().find(|(_, member)| member.metadata.instance_id.as_ref() == Some(instance_id))
    }

    /// Whether any member holds the partition. There is no second book of owners that could fall behind: groups are small, and
    /// it is asked only about what a member does not have yet.
    fn is_held(&self, partition: &TopicIdPartition) -> bool {
        self.members.values().any(|member| member.assignment.holds(partition))
    }

    fn is_reconciled(&self) -> bool {
        self.members.values().all(|member| member.assignment.is_reconciled_to(self.target_epoch))
    }

    /// Topics were created, changed or deleted, or others may know of them. The next heartbeat looks whether any of them are
    /// subscribed to.
    pub(super) fn metadata_changed(&mut self, version: Offset) {
        self.topics_outdated = true;
        self.topics_version = version;
    }

    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The state's name as Kafka shows it (`Empty`, `Assigning`, `Reconciling`, `Stable`).
    pub(super) fn state_name(&self) -> &'static str {
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if !self.is_reconciled() {
            "Reconciling"
        } else {
            "Stable"
        }
    }

    /// Whether any member subscribes to the topic: its offsets neither expire nor may they be deleted.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        let names = |member: &Member| {
            member.metadata.subscribed_topic_names.iter().any(|name| name.as_str() == topic)
        };
        let matches = |resolved: &Resolved| resolved.topics.iter().any(|name| name.as_str() == topic);
        self.members.values().any(names) || self.regexes.values().any(matches)
    }

    /// Whether a commit of this member in this epoch counts. An epoch below 0 with an empty group is a commit from outside.
    /// `tells_epochs` is false if the request is older than member epochs.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, UNSUPPORTED_VERSION, STALE_MEMBER_EPOCH; ILLEGAL_GENERATION of a classic member.
    pub(super) fn validate_offset_commit(
        &self,
        member_id: &str,
        member_epoch: i32,
        tells_epochs: bool,
    ) -> Result<(), ErrorCode> {
        if member_epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.member(member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if !tells_epochs && member.metadata.classic.is_none() {
            return Err(ErrorCode::UnsupportedVersion);
        }
        member.validate_epoch(member_epoch)
    }

    /// Whether this member in this epoch may fetch offsets. Without a member id and with an epoch below 0 anybody may.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH; ILLEGAL_GENERATION of a classic member.
    pub(super) fn validate_offset_fetch(
        &self,
        member_id: Option<&str>,
        member_epoch: i32,
    ) -> Result<(), ErrorCode> {
        match member_id {
            None if member_epoch < 0 => Ok(()),
            None => Err(ErrorCode::UnknownMemberId),
            Some(member_id) => {
                self.member(member_id).ok_or(ErrorCode::UnknownMemberId)?.validate_epoch(member_epoch)
            }
        }
    }

    /// Calls `each` with [`CoordinatorEntry::Group`], then with every [`CoordinatorEntry::Owned`] in order.
    pub(super) fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        let group: &str = &self.group_id;
        each(CoordinatorEntry::Group {
            group,
            classic: false,
            epoch: self.epoch,
            members: self.members.len(),
            // Nobody makes a new target assignment for a group that has lost its last member.
            rebalancing: !self.is_empty() && (self.epoch > self.target_epoch || !self.is_reconciled()),
        });
        for (id, Member { assignment, .. }) in &self.members {
            for partition in assignment.assigned.union(&assignment.pending_revocation) {
                each(CoordinatorEntry::Owned {
                    group,
                    member: id,
                    member_epoch: assignment.epoch,
                    topic_id: partition.topic_id,
                    partition: partition.partition,
                });
            }
        }
    }
}
