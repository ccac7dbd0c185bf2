//! A member of a group.

use std::collections::BTreeSet;

use bytes::Bytes;
use trial_node::TopicIdPartition;
use trial_wire::messages::ConsumerGroupHeartbeatRequest;
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use super::assignor::Partitions;
use crate::group::context::owned;
use crate::group::record::{
    ClassicMemberMetadata, ConsumerMemberMetadata, CurrentMemberAssignment, TopicPartitions,
};

/// The epoch by which a member joins, and in which it is before it has been given anything.
pub(in crate::group) const JOIN_EPOCH: i32 = 0;
/// The epoch by which a member leaves.
pub(super) const LEAVE_EPOCH: i32 = -1;
/// The epoch by which a static member leaves for a while; what it has is kept for who comes back in its name.
pub(super) const LEAVE_STATIC_EPOCH: i32 = -2;

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Member {
    /// What it said about itself.
    pub(super) metadata: MemberMetadata,
    /// What it has.
    pub(super) assignment: MemberAssignment,
}

impl Member {
    /// Whether it is in this epoch.
    ///
    /// # Errors
    /// STALE_MEMBER_EPOCH; ILLEGAL_GENERATION of a classic member.
    pub(super) fn validate_epoch(&self, epoch: i32) -> Result<(), ErrorCode> {
        match self.metadata.classic {
            _ if self.assignment.epoch == epoch => Ok(()),
            Some(_) => Err(ErrorCode::IllegalGeneration),
            None => Err(ErrorCode::StaleMemberEpoch),
        }
    }
}

/// What a member said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberMetadata {
    /// `group.instance.id` (KIP-345).
    pub(super) instance_id: Option<StrBytes>,
    /// `client.rack`.
    pub(super) rack_id: Option<StrBytes>,
    /// `client.id`.
    pub(super) client_id: StrBytes,
    /// Where it was seen.
    pub(super) client_host: StrBytes,
    /// The topics that it subscribes to, whether they exist or not.
    pub(super) subscribed_topic_names: BTreeSet<TopicName>,
    /// The regular expression, never an empty one, whose topics it subscribes to, too.
    pub(super) subscribed_topic_regex: Option<StrBytes>,
    /// How long it may take to give up partitions, in ms; −1 if it has not said so.
    pub(super) rebalance_timeout_ms: i32,
    /// The assignor that it would like.
    pub(super) server_assignor: Option<StrBytes>,
    /// Set if it uses the classic protocol.
    pub(super) classic: Option<ClassicMember>,
}

/// What a member that uses the classic protocol said when it joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClassicMember {
    /// How long it may be silent, in ms.
    pub(super) session_timeout_ms: i32,
    /// Its assignors, the preferred first, with what it says to each; at least one.
    pub(super) protocols: Vec<(StrBytes, Bytes)>,
}

impl ClassicMember {
    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name.as_str() == protocol)
    }

    /// The assignor that it prefers, and what it says to that; it is told that this one has been elected.
    pub(super) fn preferred(&self) -> Option<&(StrBytes, Bytes)> {
        self.protocols.first()
    }
}

impl Default for MemberMetadata {
    fn default() -> Self {
        MemberMetadata {
            instance_id: None,
            rack_id: None,
            client_id: StrBytes::new(),
            client_host: StrBytes::new(),
            subscribed_topic_names: BTreeSet::new(),
            subscribed_topic_regex: None,
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic: None,
        }
    }
}

impl MemberMetadata {
    /// What is known after a heartbeat: what it leaves out stays. Whoever sends one uses KIP-848's protocol from then on.
    pub(super) fn update(
        &self,
        heartbeat: &ConsumerGroupHeartbeatRequest,
        client_id: &str,
        client_host: &str,
    ) -> MemberMetadata {
        let mut metadata = self.clone();
        for (known, said) in [
            (&mut metadata.instance_id, &heartbeat.instance_id),
            (&mut metadata.rack_id, &heartbeat.rack_id),
            (&mut metadata.server_assignor, &heartbeat.server_assignor),
        ] {
            if said.is_some() {
                known.clone_from(said);
            }
        }
        metadata.classic = None;
        metadata.see(client_id, client_host);
        if heartbeat.rebalance_timeout_ms != -1 {
            metadata.rebalance_timeout_ms = heartbeat.rebalance_timeout_ms;
        }
        if let Some(names) = &heartbeat.subscribed_topic_names {
            metadata.subscribed_topic_names = names.iter().cloned().collect();
        }
        if let Some(regex) = &heartbeat.subscribed_topic_regex {
            metadata.subscribed_topic_regex = Some(regex.clone()).filter(|regex| !regex.is_empty());
        }
        metadata
    }

    /// Takes note of who calls.
    pub(super) fn see(&mut self, client_id: &str, client_host: &str) {
        if self.client_id.as_str() != client_id {
            self.client_id = owned(client_id);
        }
        if self.client_host.as_str() != client_host {
            self.client_host = owned(client_host);
        }
    }

    /// As a record says it.
    pub(super) fn record(&self) -> ConsumerMemberMetadata<'_> {
        ConsumerMemberMetadata {
            instance_id: self.instance_id.as_deref(),
            rack_id: self.rack_id.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            subscribed_topic_names: self.subscribed_topic_names.iter().map(|name| name.as_str()).collect(),
            subscribed_topic_regex: self.subscribed_topic_regex.as_deref(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.server_assignor.as_deref(),
            classic: self.classic.as_ref().map(|classic| ClassicMemberMetadata {
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic.protocols.iter().map(|(name, said)| (name.as_str(), &said[..])).collect(),
            }),
        }
    }

    /// What a record says.
    pub(super) fn replayed(record: &ConsumerMemberMetadata<'_>) -> MemberMetadata {
        MemberMetadata {
            instance_id: record.instance_id.map(owned),
            rack_id: record.rack_id.map(owned),
            client_id: owned(record.client_id),
            client_host: owned(record.client_host),
            subscribed_topic_names: record
                .subscribed_topic_names
                .iter()
                .map(|name| TopicName(owned(name)))
                .collect(),
            // Kafka writes an empty one for members that have none.
            subscribed_topic_regex: record
                .subscribed_topic_regex
                .filter(|regex| !regex.is_empty())
                .map(owned),
            rebalance_timeout_ms: record.rebalance_timeout_ms,
            server_assignor: record.server_assignor.map(owned),
            classic: record.classic.as_ref().map(|classic| ClassicMember {
                session_timeout_ms: classic.session_timeout_ms,
                protocols: classic
                    .protocols
                    .iter()
                    .map(|(name, said)| (owned(name), Bytes::copy_from_slice(said)))
                    .collect(),
            }),
        }
    }

    /// Whether it subscribes to the same as `other`.
    pub(super) fn subscribes_as(&self, other: &MemberMetadata) -> bool {
        self.subscribed_topic_names == other.subscribed_topic_names
            && self.subscribed_topic_regex == other.subscribed_topic_regex
    }
}

/// How far a member is on its way to its target; the numbers are those in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i8)]
pub(super) enum MemberState {
    /// It has what the target of its epoch gives it.
    #[default]
    Stable = 0,
    /// It has to give up partitions and has not said yet that it did.
    UnrevokedPartitions = 1,
    /// It waits for partitions that others have not given up yet.
    UnreleasedPartitions = 2,
}

impl MemberState {
    /// A state that only newer coordinators know is taken for the one in which a member gets nothing before it has shown what
    /// it holds.
    fn replayed(code: i8) -> MemberState {
        match code {
            0 => MemberState::Stable,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::UnrevokedPartitions,
        }
    }
}

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MemberAssignment {
    /// The epoch that it is in.
    pub(super) epoch: i32,
    /// The epoch before: a member that has not heard of the new one may still say this.
    pub(super) previous_epoch: i32,
    /// How far it is.
    pub(super) state: MemberState,
    /// Its partitions.
    pub(super) assigned: Partitions,
    /// Partitions that it shall give up and may still read.
    pub(super) pending_revocation: Partitions,
}

impl Default for MemberAssignment {
    fn default() -> Self {
        MemberAssignment {
            epoch: JOIN_EPOCH,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Partitions::new(),
            pending_revocation: Partitions::new(),
        }
    }
}

impl MemberAssignment {
    /// Whether it has all that the target of this epoch gives it.
    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Whether nobody else may have the partition.
    pub(super) fn holds(&self, partition: &TopicIdPartition) -> bool {
        self.assigned.contains(partition) || self.pending_revocation.contains(partition)
    }

    /// As a record says it.
    pub(super) fn record(&self) -> CurrentMemberAssignment {
        CurrentMemberAssignment {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state as i8,
            assigned: by_topic(&self.assigned),
            pending_revocation: by_topic(&self.pending_revocation),
        }
    }

    /// What a record says.
    pub(super) fn replayed(record: &CurrentMemberAssignment) -> MemberAssignment {
        MemberAssignment {
            epoch: record.member_epoch,
            previous_epoch: record.previous_member_epoch,
            state: MemberState::replayed(record.state),
            assigned: partitions(&record.assigned),
            pending_revocation: partitions(&record.pending_revocation),
        }
    }
}

/// Partitions as records list them.
pub(super) fn by_topic(partitions: &Partitions) -> Vec<TopicPartitions> {
    let mut topics: Vec<TopicPartitions> = Vec::new();
    for &TopicIdPartition { topic_id, partition } in partitions {
        match topics.last_mut() {
            Some(topic) if topic.topic_id == topic_id => topic.partitions.push(partition),
            _ => topics.push(TopicPartitions { topic_id, partitions: vec![partition] }),
        }
    }
    topics
}

/// Partitions out of a record.
pub(super) fn partitions(topics: &[TopicPartitions]) -> Partitions {
    topics.iter().flat_map(|topic| each_of(topic.topic_id, &topic.partitions)).collect()
}

/// The partitions of one topic.
pub(super) fn each_of(topic_id: Uuid, partitions: &[i32]) -> impl Iterator<Item = TopicIdPartition> {
    partitions.iter().map(move |&partition| TopicIdPartition { topic_id, partition })
}
