//! JoinGroup.

use trial_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::group::{ClassicGroup, State};
use super::member::{Member, Replaced, Terms, Waiting};
use super::{Caller, Joining, Timer};
use crate::Record;
use crate::group::context::{Context, Then, owned};
use crate::group::coordinator::{Group, Groups};
use crate::group::record::text::STRING_LENGTH_MAX;
use crate::group::refusal::append_error;
use trial_node::Span;

/// From this version on, a member is told its id before it joins with it (KIP-394): one that gave up waiting does not stay
/// behind as a member that nobody is.
pub(in crate::group) const MEMBER_ID_REQUIRED: i16 = 4;
/// From this version on, a leader can be told not to assign (KIP-814).
const SKIP_ASSIGNMENT: i16 = 9;
/// How long a new member that waits for its first generation is believed to be there: it does not send heartbeats yet.
const NEW_MEMBER_JOIN_TIMEOUT: Span = Span::from_secs(300);

/// How much longer a new member's id is than what it begins with: a hyphen and a UUID.
const MEMBER_ID_SUFFIX: usize = 37;

/// A JoinGroup as it is carried out.
struct Join<'a> {
    waiting: Waiting,
    client_id: &'a str,
    client_host: &'a str,
    member_id: StrBytes,
    instance_id: Option<StrBytes>,
    protocol_type: StrBytes,
    terms: Terms,
}

/// JoinGroup.
pub(in crate::group) fn join(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    caller: Caller<'_>,
    body: JoinGroupRequest,
) {
    if let Err((member_id, error)) = join_or_create(groups, ctx, caller, body) {
        ctx.out.respond(caller.call, refusal(&member_id, error));
    }
}

/// The group that a member wanted to join exists, or cannot be made.
pub(super) fn group_created(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    joining: Joining,
    error: Option<ErrorCode>,
) {
    let Joining { call, version, client_id, client_host, body } = joining;
    match error {
        None => join(
            groups,
            ctx,
            Caller { call, version, client_id: &client_id, client_host: &client_host, describes: None },
            body,
        ),
        Some(error) => {
            let refusal = refusal(&body.member_id, error);
            let error = append_error(&refusal.clone().into(), error);
            ctx.out.respond(call, refusal.with_error_code(error.code()));
        }
    }
}

/// The answer to a JoinGroup that failed.
pub(super) fn refusal(member_id: &str, error: ErrorCode) -> JoinGroupResponse {
    JoinGroupResponse::default().with_member_id(owned(member_id)).with_error_code(error.code())
}

/// If it fails, with which error, and which member id the answer says.
fn join_or_create(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    caller: Caller<'_>,
    body: JoinGroupRequest,
) -> Result<(), (StrBytes, ErrorCode)> {
    let fail = |error| Err((body.member_id.clone(), error));
    if body.group_id.is_empty() {
        return fail(ErrorCode::InvalidGroupId);
    }
    if !fits_record(caller, &body) {
        return Err((StrBytes::new(), ErrorCode::InvalidRequest));
    }
    let session = super::member::span_ms(body.session_timeout_ms);
    if session < ctx.config.min_session_timeout || session > ctx.config.max_session_timeout {
        return fail(ErrorCode::InvalidSessionTimeout);
    }
    let mut records = Vec::new();
    match groups.get_mut(&body.group_id.0) {
        Some(Group::Classic(group)) => {
            let record = group.join(ctx, Join::new(caller, body))?;
            if let Some(record) = record {
                ctx.out.append(vec![record], Then::Nothing);
            }
            return Ok(());
        }
        Some(Group::Consumer(group)) if !group.is_empty() => return group.join(ctx, caller, body),
        _ if !body.member_id.is_empty() => return fail(ErrorCode::UnknownMemberId),
        Some(Group::Consumer(group)) => group.tombstones(&mut records),
        None => {}
    }
    let mut group = ClassicGroup::new(body.group_id.0.clone());
    let joining = Joining::new(caller, body);
    if joining.body.protocol_type.is_empty() || joining.body.protocols.is_empty() {
        return Err((StrBytes::new(), ErrorCode::InconsistentGroupProtocol));
    }
    group.enter(ctx, State::Empty);
    records.push(group.record(|_, member| member.assignment.clone()));
    ctx.out.append(records, Then::Classic(group.id, super::Then::Join(Box::new(joining))));
    Ok(())
}

/// Whether a record can hold what the member says of itself, and the id that it is given.
fn fits_record(caller: Caller<'_>, body: &JoinGroupRequest) -> bool {
    let instance_id = body.group_instance_id.as_deref().unwrap_or_default();
    let mut protocols = body.protocols.iter().map(|protocol| protocol.name.len());
    [caller.client_id, instance_id].iter().all(|name| name.len() + MEMBER_ID_SUFFIX <= STRING_LENGTH_MAX)
        && [&body.group_id, &body.member_id, &body.protocol_type].iter().all(|s| s.len() <= STRING_LENGTH_MAX)
        && protocols.all(|len| len <= STRING_LENGTH_MAX)
}

impl<'a> Join<'a> {
    fn new(caller: Caller<'a>, body: JoinGroupRequest) -> Join<'a> {
        let Caller { call, version, client_id, client_host, .. } = caller;
        Join {
            waiting: Waiting { call, version },
            client_id,
            client_host,
            member_id: body.member_id,
            instance_id: body.group_instance_id,
            protocol_type: body.protocol_type,
            terms: Terms::new(body.protocols, body.rebalance_timeout_ms, body.session_timeout_ms),
        }
    }
}

impl ClassicGroup {
    fn join(
        &mut self,
        ctx: &mut Context<'_, '_>,
        join: Join<'_>,
    ) -> Result<Option<Record>, (StrBytes, ErrorCode)> {
        if !self.has_room_for(ctx, &join.member_id) {
            self.remove(ctx, &join.member_id);
            return Err((StrBytes::new(), ErrorCode::GroupMaxSizeReached));
        }
        if !self.supports(&join.protocol_type, &join.terms) {
            return Err((join.member_id, ErrorCode::InconsistentGroupProtocol));
        }
        if join.member_id.is_empty() {
            return self.join_unknown(ctx, join);
        }
        if join.instance_id.is_none() && self.pending_join.contains(&join.member_id) {
            let member_id = join.member_id.clone();
            return Ok(self.add(ctx, member_id, join));
        }
        if let Err(error) = self.validate_member(&join.member_id, join.instance_id.as_deref()) {
            return Err((join.member_id, error));
        }
        Ok(self.rejoin(ctx, join))
    }

    /// Members that wait have their place; once a rebalance is over, all members have.
    fn has_room_for(&self, ctx: &Context<'_, '_>, member_id: &StrBytes) -> bool {
        let member = self.members.get(member_id);
        let max = ctx.config.max_size;
        match self.state {
            State::Empty => true,
            State::PreparingRebalance { .. } => {
                member.is_some_and(|member| member.join.is_some()) || self.awaiting_join() < max
            }
            State::CompletingRebalance | State::Stable => member.is_some() || self.members.len() < max,
        }
    }

    /// Someone who has no member id.
    fn join_unknown(
        &mut self,
        ctx: &mut Context<'_, '_>,
        join: Join<'_>,
    ) -> Result<Option<Record>, (StrBytes, ErrorCode)> {
        let name = join.instance_id.as_deref().unwrap_or(join.client_id);
        let new_id = StrBytes::from_string(format!("{name}-{}", ctx.random_uuid()));
        if let Some(instance_id) = join.instance_id.clone() {
            return Ok(match self.static_members.get(&instance_id).cloned() {
                Some(old_id) => self.replace(ctx, instance_id, old_id, new_id, join),
                None => self.add(ctx, new_id, join),
            });
        }
        if join.waiting.version >= MEMBER_ID_REQUIRED {
            let session = super::member::span_ms(join.terms.session_timeout_ms);
            self.pending_join.insert(new_id.clone());
            ctx.schedule(self.timer(Timer::Heartbeat(new_id.clone())), session);
            return Err((new_id, ErrorCode::MemberIdRequired));
        }
        Ok(self.add(ctx, new_id, join))
    }

    fn add(&mut self, ctx: &mut Context<'_, '_>, id: StrBytes, join: Join<'_>) -> Option<Record> {
        if let State::PreparingRebalance { initial: Some(delay) } = &mut self.state {
            delay.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(join.protocol_type);
        }
        if let Some(instance) = &join.instance_id {
            self.static_members.insert(instance.clone(), id.clone());
        }
        self.leader.get_or_insert_with(|| id.clone());
        self.pending_join.remove(&id);
        let member = Member {
            instance_id: join.instance_id,
            client_id: owned(join.client_id),
            client_host: owned(join.client_host),
            terms: join.terms,
            assignment: bytes::Bytes::new(),
            join: Some(join.waiting),
            sync: None,
            is_new: true,
        };
        ctx.schedule(self.timer(Timer::Heartbeat(id.clone())), NEW_MEMBER_JOIN_TIMEOUT);
        self.members.insert(id, member);
        self.rebalance_or_complete_join(ctx)
    }

    /// A member of the group joins again.
    fn rejoin(&mut self, ctx: &mut Context<'_, '_>, join: Join<'_>) -> Option<Record> {
        let member = self.members.get(&join.member_id).expect("it was validated");
        let same = member.terms.protocols == join.terms.protocols;
        let leads = self.is_leader(&join.member_id);
        match self.state {
            // It has lost the answer: here it is again.
            State::CompletingRebalance if same => {
                let members = if leads { self.subscriptions() } else { Vec::new() };
                let response = self.joined(&join.member_id).with_members(members);
                ctx.out.respond(join.waiting.call, response);
                None
            }
            // A leader that joins again wants to assign anew: topics may have changed.
            State::Stable if same && !leads => {
                let response = self.joined(&join.member_id);
                ctx.out.respond(join.waiting.call, response);
                None
            }
            State::PreparingRebalance { .. } | State::CompletingRebalance | State::Stable => {
                self.update(ctx, &join.member_id, join.terms, join.waiting);
                self.rebalance_or_complete_join(ctx)
            }
            State::Empty => unreachable!("an empty group has no members"),
        }
    }

    fn update(&mut self, ctx: &mut Context<'_, '_>, id: &StrBytes, terms: Terms, waiting: Waiting) {
        let member = self.members.get_mut(id).expect("the caller looked it up");
        member.terms = terms;
        if let Some(before) = member.join.replace(waiting) {
            ctx.out.respond(before.call, refusal(id, ErrorCode::RebalanceInProgress));
        }
    }

    /// A static member's process has started again: it takes the place of the one before, whose requests are refused (KIP-345).
    fn replace(
        &mut self,
        ctx: &mut Context<'_, '_>,
        instance_id: StrBytes,
        old_id: StrBytes,
        new_id: StrBytes,
        join: Join<'_>,
    ) -> Option<Record> {
        let old_leader = self.leader.clone();
        self.rename(ctx, &instance_id, &old_id, &new_id);
        let old_terms = self.members[&new_id].terms.clone();
        self.update(ctx, &new_id, join.terms, join.waiting);
        self.expect_heartbeat(ctx, &new_id);
        match self.state {
            State::Stable if self.select_protocol() == self.protocol => {
                let record = self.record(|_, member| member.assignment.clone());
                let replaced = Replaced { instance_id, old_id, new_id, old_terms, old_leader };
                let then = super::Then::Replaced(Box::new(replaced));
                ctx.out.append(vec![record], Then::Classic(self.id.clone(), then));
                None
            }
            // The leader may be assigning to the old id just now: in this generation the new one would get nothing.
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(ctx),
            State::PreparingRebalance { .. } => self.maybe_complete_join(ctx),
            State::Empty => unreachable!("an empty group has no members"),
        }
    }

    /// Gives a static member another id. Requests that wait under the old one are refused.
    fn rename(
        &mut self,
        ctx: &mut Context<'_, '_>,
        instance_id: &StrBytes,
        old_id: &StrBytes,
        new_id: &StrBytes,
    ) {
        let mut member = self.members.remove(old_id).expect("a static member is a member");
        if let Some(waiting) = member.join.take() {
            ctx.out.respond(waiting.call, refusal(old_id, ErrorCode::FencedInstanceId));
        }
        if let Some(call) = member.sync.take() {
            ctx.out.respond(call, super::sync::refusal(ErrorCode::FencedInstanceId));
        }
        ctx.out.timers.cancel(&self.timer(Timer::Heartbeat(old_id.clone())));
        if self.pending_sync.remove(old_id) {
            self.pending_sync.insert(new_id.clone());
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        self.members.insert(new_id.clone(), member);
        self.static_members.insert(instance_id.clone(), new_id.clone());
    }

    /// What became of the record that a static member has another id.
    pub(super) fn static_member_replaced(
        &mut self,
        ctx: &mut Context<'_, '_>,
        replaced: Replaced,
        error: Option<ErrorCode>,
    ) {
        let Replaced { instance_id, old_id, new_id, old_terms, old_leader } = replaced;
        let leader = if self.is_leader(&new_id) { old_leader.clone() } else { self.leader.clone() };
        let Some(waiting) = self.members.get_mut(&new_id).and_then(|member| member.join.take()) else {
            return;
        };
        if let Some(error) = error {
            let refusal = refusal("", error);
            let error = append_error(&refusal.clone().into(), error);
            ctx.out.respond(waiting.call, refusal.with_error_code(error.code()));
            self.rename(ctx, &instance_id, &new_id, &old_id);
            self.members.get_mut(&old_id).expect("it was just put there").terms = old_terms;
            self.expect_heartbeat(ctx, &old_id);
            return;
        }
        self.expect_heartbeat(ctx, &new_id);
        let leads = self.is_leader(&new_id);
        let response = if waiting.version >= SKIP_ASSIGNMENT {
            let members = if leads { self.subscriptions() } else { Vec::new() };
            self.joined(&new_id).with_skip_assignment(leads).with_members(members)
        } else {
            // A leader that does not know that it leads does not assign.
            self.joined(&new_id).with_leader(leader.unwrap_or_default())
        };
        ctx.out.respond(waiting.call, response);
    }
}
