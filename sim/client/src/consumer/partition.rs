//! One assigned partition: where the consumer reads next, and what it must find out first.

use trial_node::{LeaderEpoch, NodeId, Offset, Time};
use trial_wire::Uuid;

use crate::network::TopicSlot;

use super::config::ResetPolicy;

/// Where a consumer reads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The next record's offset.
    pub offset: Offset,
    /// The leader epoch of the record before; [`LeaderEpoch::NONE`] if none was read, then nothing can be validated.
    pub offset_epoch: LeaderEpoch,
}

/// Whether a partition can be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchState {
    /// It is not the consumer's.
    Unassigned,
    /// There is no position; the group may have committed one (OffsetFetch).
    AwaitCommitted,
    /// There is no position; find one by this policy (ListOffsets).
    AwaitReset(ResetPolicy),
    /// The leader changed since the position was read: ask whether its log still agrees (KIP-320).
    AwaitValidation,
    /// It can.
    Fetching,
    /// It cannot, and the application must [`super::Consumer::seek`].
    Failed,
}

#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub topic: TopicSlot,
    /// The topic's id as the partition's session knows it.
    pub topic_id: Uuid,
    pub partition: i32,
    /// The group has not taken it away.
    pub owned: bool,
    /// It is being given up: nothing of it is fetched or handed out.
    pub revoking: bool,
    /// How often it has been given back.
    pub stint: u32,
    /// The offset that was last committed, as far as is known.
    pub committed: Option<Offset>,
    pub state: FetchState,
    pub position: Option<Position>,
    /// The leader, and its epoch.
    pub leader: Option<(NodeId, LeaderEpoch)>,
    /// The replica that the leader has sent the consumer to, and until when it reads there (KIP-392).
    pub read_replica: Option<(NodeId, Time)>,
    /// The broker whose session has the partition.
    pub source: Option<NodeId>,
    pub paused: bool,
    /// Neither fetched nor asked about before this instant.
    pub retry_at: Time,
    /// The leader that we know says that it is not: nothing happens before there is other metadata.
    pub awaits_metadata: bool,
    /// ListOffsets or OffsetForLeaderEpoch is in flight.
    pub asking: bool,
    /// High watermark, or last stable offset under `read_committed`.
    pub end_offset: Option<Offset>,
}

impl Assigned {
    pub fn new(topic: TopicSlot, partition: i32, policy: ResetPolicy) -> Assigned {
        Assigned {
            topic,
            topic_id: Uuid::nil(),
            partition,
            owned: true,
            revoking: false,
            stint: 0,
            committed: None,
            state: FetchState::AwaitReset(policy),
            position: None,
            leader: None,
            read_replica: None,
            source: None,
            paused: false,
            retry_at: Time::ZERO,
            awaits_metadata: false,
            asking: false,
            end_offset: None,
        }
    }

    /// Whom to fetch from.
    pub fn wanted_source(&self, now: Time) -> Option<NodeId> {
        let near = self.read_replica.filter(|(_, until)| now < *until).map(|(node, _)| node);
        near.or(self.leader.map(|(leader, _)| leader))
    }

    /// Where to fetch from, in which leader's epoch; `None` if the partition cannot be fetched now.
    pub fn fetchable(&self, now: Time) -> Option<(LeaderEpoch, Position)> {
        if self.state != FetchState::Fetching || self.paused || self.revoking || !self.may_try(now) {
            return None;
        }
        let (_, epoch) = self.leader?;
        Some((epoch, self.position?))
    }

    /// Whether there is nothing to wait for before the leader is asked for anything.
    pub fn may_try(&self, now: Time) -> bool {
        self.retry_at <= now && !self.awaits_metadata
    }

    /// Whether something must be asked before the partition can be fetched.
    pub fn must_ask(&self) -> bool {
        !self.asking && matches!(self.state, FetchState::AwaitReset(_) | FetchState::AwaitValidation)
    }

    /// A newer leader is known. Returns whether anything changed.
    pub fn lead_by(&mut self, leader: NodeId, epoch: LeaderEpoch) -> bool {
        if self.leader == Some((leader, epoch)) {
            return false;
        }
        self.leader = Some((leader, epoch));
        self.read_replica = None;
        self.retry_at = Time::ZERO;
        let position_epoch = self.position.map_or(LeaderEpoch::NONE, |position| position.offset_epoch);
        if self.state == FetchState::Fetching
            && position_epoch != LeaderEpoch::NONE
            && epoch != LeaderEpoch::NONE
        {
            self.state = FetchState::AwaitValidation;
        }
        true
    }
}
