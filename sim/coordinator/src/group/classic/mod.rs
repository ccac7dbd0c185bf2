//! Groups of the classic protocol (KIP-62, KIP-134, KIP-345, KIP-394, KIP-559).
//!
//! A rebalance: members join ([`join`]) until all that are known have, or time is up; the leader gets everybody's
//! subscriptions, assigns, and hands the assignment in ([`sync`]); it goes into the log, and once it is committed every member
//! gets its part. Between the two, membership lives in memory only: what the log knows is the last generation that was handed in.

mod group;
mod join;
mod leave;
mod load;
mod member;
mod migrate;
mod rebalance;
mod sync;

use trial_wire::messages::JoinGroupRequest;
use trial_wire::{ErrorCode, StrBytes, TopicName};

pub(super) use group::{CONSUMER_PROTOCOL, ClassicGroup, Expiry};
pub(super) use join::{MEMBER_ID_REQUIRED, join};
pub(super) use leave::{Left, heartbeat, leave};
use member::Replaced;
pub(super) use sync::sync;

use super::context::{Context, owned};
use super::coordinator::{Group, Groups};
use crate::CallId;

/// What is due in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The time to join is up.
    Join,
    /// The time to ask for the assignment is up.
    Sync,
    /// A member has not been heard of for too long; also one that was given an id and did not come back.
    Heartbeat(StrBytes),
    /// The group was one of KIP-848 until now: its members have to come together.
    Adopted,
}

impl Timer {
    /// The first in order.
    pub(super) const FIRST: Timer = Timer::Join;
}

/// What follows on an append for a classic group.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// The group exists: the member that it was made for may join.
    Join(Box<Joining>),
    /// The generation is in the log: the members get their assignments.
    Synced {
        /// The generation.
        generation: i32,
        /// Each member's assignment.
        assignments: Vec<(StrBytes, bytes::Bytes)>,
    },
    /// A static member has another member id, with which it gets on in the present generation.
    Replaced(Box<Replaced>),
}

/// A JoinGroup that waits for its group.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    call: CallId,
    version: i16,
    client_id: StrBytes,
    client_host: StrBytes,
    body: JoinGroupRequest,
}

impl Joining {
    /// A JoinGroup, for later.
    pub(super) fn new(caller: Caller<'_>, body: JoinGroupRequest) -> Joining {
        let Caller { call, version, client_id, client_host, .. } = caller;
        Joining { call, version, client_id: owned(client_id), client_host: owned(client_host), body }
    }
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    /// Names the request.
    pub(super) call: CallId,
    /// Its version.
    pub(super) version: i16,
    /// The caller's `client.id`.
    pub(super) client_id: &'a str,
    /// Where the caller is.
    pub(super) client_host: &'a str,
    /// As in [`Request`](crate::Request).
    pub(super) describes: Option<&'a dyn Fn(&TopicName) -> bool>,
}

/// An append for the group `id` is committed, or has failed with `error`.
pub(super) fn appended(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    id: &StrBytes,
    then: Then,
    error: Option<ErrorCode>,
) {
    let then = match then {
        Then::Join(joining) => return join::group_created(groups, ctx, *joining, error),
        then => then,
    };
    let Some(Group::Classic(group)) = groups.get_mut(id) else { return };
    match then {
        Then::Join(_) => unreachable!("dealt with above"),
        Then::Synced { generation, assignments } => group.synced(ctx, generation, assignments, error),
        Then::Replaced(replaced) => group.static_member_replaced(ctx, *replaced, error),
    }
}

/// The broker no longer leads: what waits for an append is refused.
pub(super) fn refuse_waiting(out: &mut super::context::Outbox, then: Then) {
    match then {
        Then::Join(joining) => {
            out.respond(joining.call, join::refusal(&joining.body.member_id, ErrorCode::NotCoordinator));
        }
        // The members' own requests are refused with the group.
        Then::Synced { .. } | Then::Replaced(_) => {}
    }
}
