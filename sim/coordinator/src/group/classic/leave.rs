//! Heartbeat and LeaveGroup.

use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::leave_group_response::MemberResponse;
use trial_wire::messages::{HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::Caller;
use super::group::{ClassicGroup, State};
use crate::group::context::{Context, Then};
use crate::group::coordinator::{Group, Groups};

/// From this version on, several members may leave at once, by their instance ids, too (KIP-345).
const BATCH_LEAVE: i16 = 3;

/// A member that wanted to leave, and why it may not.
pub(in crate::group) type Left = (MemberIdentity, Option<ErrorCode>);

/// Heartbeat.
pub(in crate::group) fn heartbeat(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    caller: Caller<'_>,
    body: HeartbeatRequest,
) {
    let result = match groups.get_mut(&body.group_id.0) {
        _ if body.group_id.is_empty() => Err(ErrorCode::InvalidGroupId),
        Some(Group::Classic(group)) => group.heartbeat(ctx, &body),
        Some(Group::Consumer(group)) => group.classic_heartbeat(ctx, &body),
        None => Err(ErrorCode::UnknownMemberId),
    };
    let code = result.err().map_or(0, |error| error.code());
    ctx.out.respond(caller.call, HeartbeatResponse::default().with_error_code(code));
}

/// LeaveGroup.
pub(in crate::group) fn leave(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    caller: Caller<'_>,
    body: LeaveGroupRequest,
) {
    if body.group_id.is_empty() {
        let code = ErrorCode::InvalidGroupId.code();
        ctx.out.respond(caller.call, LeaveGroupResponse::default().with_error_code(code));
        return;
    }
    let members = if caller.version >= BATCH_LEAVE {
        body.members
    } else {
        vec![MemberIdentity::default().with_member_id(body.member_id)]
    };
    let (left, records) = match groups.get_mut(&body.group_id.0) {
        Some(Group::Classic(group)) => {
            let (left, record) = group.leave(ctx, members);
            (left, Vec::from_iter(record))
        }
        Some(Group::Consumer(group)) => group.evict(ctx, members),
        None => {
            let unknown = |member| (member, Some(ErrorCode::UnknownMemberId));
            (members.into_iter().map(unknown).collect(), Vec::new())
        }
    };
    let response = response(caller.version, left);
    match records.is_empty() {
        false => ctx.out.append(records, Then::Respond { call: caller.call, body: response.into() }),
        true => ctx.out.respond(caller.call, response),
    }
}

fn response(version: i16, left: Vec<Left>) -> LeaveGroupResponse {
    let code = |error: Option<ErrorCode>| error.map_or(0, |error| error.code());
    if version < BATCH_LEAVE {
        let error = left.first().and_then(|(_, error)| *error);
        return LeaveGroupResponse::default().with_error_code(code(error));
    }
    let members = left.into_iter().map(|(member, error)| {
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(code(error))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

impl ClassicGroup {
    fn heartbeat(&mut self, ctx: &mut Context<'_, '_>, body: &HeartbeatRequest) -> Result<(), ErrorCode> {
        self.validate_member(&body.member_id, body.group_instance_id.as_deref())?;
        if body.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        self.expect_heartbeat(ctx, &body.member_id);
        if self.state.is_preparing() { Err(ErrorCode::RebalanceInProgress) } else { Ok(()) }
    }

    /// Each member with what became of its wish to leave, and the record of a group that is empty now.
    fn leave(
        &mut self,
        ctx: &mut Context<'_, '_>,
        members: Vec<MemberIdentity>,
    ) -> (Vec<Left>, Option<crate::Record>) {
        let left: Vec<_> = members
            .into_iter()
            .map(|member| {
                let error = match self.leaving(&member) {
                    Ok(id) => {
                        self.remove(ctx, &id);
                        None
                    }
                    Err(error) => Some(error),
                };
                (member, error)
            })
            .collect();
        if left.iter().all(|(_, error)| error.is_some()) {
            return (left, None);
        }
        let record = match self.state {
            State::Empty => None,
            State::PreparingRebalance { .. } => self.maybe_complete_join(ctx),
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(ctx),
        };
        (left, record)
    }

    /// Which member it is that leaves. An administrator names static members by their instance ids alone.
    fn leaving(&self, member: &MemberIdentity) -> Result<StrBytes, ErrorCode> {
        if member.member_id.is_empty() {
            let named = member.group_instance_id.as_ref().and_then(|id| self.static_members.get(id));
            return named.cloned().ok_or(ErrorCode::UnknownMemberId);
        }
        if !self.pending_join.contains(&member.member_id) {
            self.validate_member(&member.member_id, member.group_instance_id.as_deref())?;
        }
        Ok(member.member_id.clone())
    }
}
