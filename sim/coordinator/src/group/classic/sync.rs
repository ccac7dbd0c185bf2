//! SyncGroup.

use bytes::Bytes;
use trial_wire::messages::{SyncGroupRequest, SyncGroupResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::group::{ClassicGroup, State};
use super::{Caller, Timer};
use crate::group::context::{Context, Then};
use crate::group::coordinator::{Group, Groups};
use crate::group::refusal::append_error;

/// From this version on, the request must tell protocol type and name (KIP-559).
const PROTOCOL_REQUIRED: i16 = 5;

/// SyncGroup.
pub(in crate::group) fn sync(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    caller: Caller<'_>,
    body: SyncGroupRequest,
) {
    let result = if body.group_id.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else if caller.version >= PROTOCOL_REQUIRED
        && (body.protocol_type.is_none() || body.protocol_name.is_none())
    {
        Err(ErrorCode::InconsistentGroupProtocol)
    } else {
        match groups.get_mut(&body.group_id.0) {
            Some(Group::Classic(group)) => group.sync(ctx, caller, body),
            Some(Group::Consumer(group)) => group.sync(ctx, caller, body),
            None => Err(ErrorCode::UnknownMemberId),
        }
    };
    if let Err(error) = result {
        ctx.out.respond(caller.call, refusal(error));
    }
}

/// The answer to a SyncGroup that failed.
pub(super) fn refusal(error: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse::default().with_error_code(error.code())
}

impl ClassicGroup {
    fn sync(
        &mut self,
        ctx: &mut Context<'_, '_>,
        caller: Caller<'_>,
        body: SyncGroupRequest,
    ) -> Result<(), ErrorCode> {
        self.validate_member(&body.member_id, body.group_instance_id.as_deref())?;
        if body.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |said: &Option<StrBytes>, ours: &Option<StrBytes>| {
            said.is_some() && ours.is_some() && said != ours
        };
        if differs(&body.protocol_type, &self.protocol_type) || differs(&body.protocol_name, &self.protocol) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance { .. } => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance => {
                let member = self.members.get_mut(&body.member_id).expect("it was validated");
                if let Some(before) = member.sync.replace(caller.call) {
                    ctx.out.respond(before, refusal(ErrorCode::RebalanceInProgress));
                }
                self.heard_sync(ctx, &body.member_id);
                if self.is_leader(&body.member_id) {
                    self.log_assignments(ctx, body);
                }
                Ok(())
            }
            State::Stable => {
                self.heard_sync(ctx, &body.member_id);
                let response = self.synced_response(&body.member_id);
                ctx.out.respond(caller.call, response);
                Ok(())
            }
        }
    }

    fn heard_sync(&mut self, ctx: &mut Context<'_, '_>, member_id: &StrBytes) {
        self.pending_sync.remove(member_id);
        if self.pending_sync.is_empty() {
            ctx.out.timers.cancel(&self.timer(Timer::Sync));
        }
    }

    /// The leader has assigned: members that it has forgotten get nothing.
    fn log_assignments(&mut self, ctx: &mut Context<'_, '_>, body: SyncGroupRequest) {
        let given: Vec<_> =
            body.assignments.into_iter().map(|given| (given.member_id, given.assignment)).collect();
        let record = self.record(|id, _| assignment_of(&given, id));
        let then = super::Then::Synced { generation: self.generation, assignments: given };
        ctx.out.append(vec![record], Then::Classic(self.id.clone(), then));
    }

    /// What became of the record of a generation.
    pub(super) fn synced(
        &mut self,
        ctx: &mut Context<'_, '_>,
        generation: i32,
        assignments: Vec<(StrBytes, Bytes)>,
        error: Option<ErrorCode>,
    ) {
        // While it was on its way, others may have joined.
        if self.state != State::CompletingRebalance || self.generation != generation {
            return;
        }
        if let Some(error) = error {
            let error = append_error(&SyncGroupResponse::default().into(), error);
            self.refuse_assignments(ctx, error);
            if let Some(record) = self.prepare_rebalance(ctx) {
                ctx.out.append(vec![record], Then::Nothing);
            }
            return;
        }
        for (id, member) in &mut self.members {
            member.assignment = assignment_of(&assignments, id);
        }
        self.enter(ctx, State::Stable);
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let waiting = self.members.get_mut(&id).and_then(|member| member.sync.take());
            if let Some(call) = waiting {
                let response = self.synced_response(&id);
                ctx.out.respond(call, response);
                self.expect_heartbeat(ctx, &id);
            }
        }
    }

    /// Takes the assignments back, and answers those that wait for theirs with `error`.
    pub(super) fn refuse_assignments(&mut self, ctx: &mut Context<'_, '_>, error: ErrorCode) {
        let mut refused = Vec::new();
        for (id, member) in &mut self.members {
            member.assignment = Bytes::new();
            if let Some(call) = member.sync.take() {
                ctx.out.respond(call, refusal(error));
                refused.push(id.clone());
            }
        }
        for id in refused {
            self.expect_heartbeat(ctx, &id);
        }
    }

    fn synced_response(&self, member_id: &StrBytes) -> SyncGroupResponse {
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_assignment(self.members[member_id].assignment.clone())
    }
}

fn assignment_of(given: &[(StrBytes, Bytes)], member_id: &StrBytes) -> Bytes {
    let found = given.iter().rev().find(|(id, _)| id == member_id);
    found.map(|(_, assignment)| assignment.clone()).unwrap_or_default()
}
