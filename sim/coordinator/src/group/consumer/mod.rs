//! Groups of the protocol of KIP-848.
//!
//! The seam to the shell ([`super::GroupCoordinator`]):
//! - [`ConsumerGroup::replay`] alone changes durable state; the shell makes the group when it replays the first record of one
//!   that is not there, and drops it when it replays the tombstone of ConsumerGroupMetadata;
//! - requests and timers decide on the state as it is, put their records into one [`Outbox::append`](super::context::Outbox)
//!   with the answer as [`Then::Respond`](super::context::Then), and set timers by [`Context::schedule`]; records are replayed
//!   right after the call, before anything else is asked of the group;
//! - a timer of a group or member that is gone does nothing.

use trial_node::view::CoordinatorEntry;
use trial_wire::messages::consumer_group_describe_response::DescribedGroup;
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::context::Context;
use super::record::ConsumerGroupRecord;
use crate::{CallId, ClusterMetadata, Record};

/// What is due in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A member has been silent for its session time-out.
    Session(StrBytes),
    /// A member has not given up its partitions within its rebalance time-out.
    Rebalance(StrBytes),
}

/// A group of KIP-848.
#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    group_id: StrBytes,
}

/// A heartbeat and who sent it.
pub(super) struct Heartbeat<'a> {
    /// Names the request.
    pub(super) call: CallId,
    /// Its version.
    pub(super) version: i16,
    /// The caller's `client.id`.
    pub(super) client_id: &'a str,
    /// Where the caller is.
    pub(super) client_host: &'a str,
    /// The request.
    pub(super) body: ConsumerGroupHeartbeatRequest,
    /// To be appended before whatever the heartbeat appends (the tombstone of an empty classic group that this one takes the
    /// place of); to be left out if the heartbeat is refused.
    pub(super) before: Vec<Record>,
}

/// ConsumerGroupHeartbeat. `group` is `None` if there is no such group, or an empty one of the classic protocol.
pub(super) fn heartbeat(
    group: Option<&mut ConsumerGroup>,
    ctx: &mut Context<'_, '_>,
    request: Heartbeat<'_>,
) {
    let error = if group.is_none() { ErrorCode::GroupIdNotFound } else { ErrorCode::UnsupportedVersion };
    ctx.out.respond(request.call, ConsumerGroupHeartbeatResponse::default().with_error_code(error.code()));
}

impl ConsumerGroup {
    /// A group that nothing is known of.
    pub(super) fn new(group_id: StrBytes) -> ConsumerGroup {
        ConsumerGroup { group_id }
    }

    /// Takes in a record of this group that is in the log; never ConsumerGroupMetadata's tombstone.
    pub(super) fn replay(&mut self, record: ConsumerGroupRecord<'_>) {
        assert_eq!(record.group(), self.group_id.as_str());
    }

    /// The log has been replayed: every member gets its time anew.
    pub(super) fn activate(&mut self, _ctx: &mut Context<'_, '_>) {}

    /// Something is due.
    pub(super) fn handle_timeout(&mut self, _ctx: &mut Context<'_, '_>, _timer: Timer) {}

    /// Topics were created, changed or deleted.
    pub(super) fn metadata_changed(&mut self, _ctx: &mut Context<'_, '_>) {}

    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    /// The state's name as Kafka shows it (`Empty`, `Assigning`, `Reconciling`, `Stable`).
    pub(super) fn state_name(&self) -> &'static str {
        "Empty"
    }

    /// Whether any member subscribes to the topic: its offsets neither expire nor may they be deleted.
    pub(super) fn is_subscribed_to(&self, _topic: &str) -> bool {
        false
    }

    /// Whether a commit of this member in this epoch counts. An epoch below 0 with an empty group is a commit from outside.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION in its place if `transactional`.
    pub(super) fn validate_offset_commit(
        &self,
        _member_id: &str,
        _group_instance_id: Option<&str>,
        _member_epoch: i32,
        _transactional: bool,
    ) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// Whether this member in this epoch may fetch offsets. Without a member id and with an epoch below 0 anybody may.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH.
    pub(super) fn validate_offset_fetch(
        &self,
        _member_id: Option<&str>,
        _member_epoch: i32,
    ) -> Result<(), ErrorCode> {
        Ok(())
    }

    /// The group for ConsumerGroupDescribe.
    pub(super) fn describe(&self, _metadata: &dyn ClusterMetadata) -> DescribedGroup {
        DescribedGroup::default().with_group_id(self.group_id.clone().into())
    }

    /// Appends the tombstones of everything of the group to `records`.
    pub(super) fn tombstones(&self, records: &mut Vec<Record>) {
        records.push(ConsumerGroupRecord::Metadata { group: &self.group_id, epoch: None }.encode());
    }

    /// Calls `each` with [`CoordinatorEntry::Group`], then with every [`CoordinatorEntry::Owned`] in order.
    pub(super) fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        each(CoordinatorEntry::Group {
            group: &self.group_id,
            classic: false,
            epoch: 0,
            members: 0,
            rebalancing: false,
        });
    }
}
