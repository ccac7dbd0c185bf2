//! How a classic group gets from one generation to the next. What returns a record wants it appended.

use trial_node::TraceEvent;
use trial_wire::messages::JoinGroupResponse;
use trial_wire::messages::join_group_response::JoinGroupResponseMember;
use trial_wire::{ErrorCode, StrBytes};

use super::Timer;
use super::group::{ClassicGroup, InitialDelay, State};
use super::join::refusal;
use crate::Record;
use crate::group::context::{Context, Then};

impl ClassicGroup {
    /// Something is due.
    pub(in crate::group) fn handle_timeout(&mut self, ctx: &mut Context<'_, '_>, timer: Timer) {
        let record = match timer {
            Timer::Join => self.join_timed_out(ctx),
            Timer::Sync => self.sync_timed_out(ctx),
            Timer::Heartbeat(member_id) => self.heartbeat_timed_out(ctx, &member_id),
            Timer::Adopted => self.adopted(ctx),
        };
        if let Some(record) = record {
            ctx.out.append(vec![record], Then::Nothing);
        }
    }

    /// Has everybody join anew, unless that is already so; then sees whether all have.
    pub(super) fn rebalance_or_complete_join(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        if self.state.is_preparing() { self.maybe_complete_join(ctx) } else { self.prepare_rebalance(ctx) }
    }

    /// Has everybody join anew.
    pub(super) fn prepare_rebalance(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        if self.state == State::CompletingRebalance {
            self.refuse_assignments(ctx, ErrorCode::RebalanceInProgress);
        }
        self.pending_sync.clear();
        ctx.out.timers.cancel(&self.timer(Timer::Sync));
        if self.is_empty() {
            let delay = ctx.config.initial_rebalance_delay;
            let remaining = self.rebalance_timeout() - delay;
            ctx.schedule(self.timer(Timer::Join), delay);
            let initial = Some(InitialDelay { delay, remaining, new_member_added: false });
            self.enter(ctx, State::PreparingRebalance { initial });
            return None;
        }
        self.enter(ctx, State::PreparingRebalance { initial: None });
        if self.all_joined() {
            return self.complete_join(ctx);
        }
        ctx.schedule(self.timer(Timer::Join), self.rebalance_timeout());
        None
    }

    /// Goes on to the next generation if all have joined; a first rebalance always waits its time.
    pub(super) fn maybe_complete_join(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        if self.state == (State::PreparingRebalance { initial: None }) && self.all_joined() {
            return self.complete_join(ctx);
        }
        None
    }

    /// Takes a member out: one that leaves or is not heard of. Its JoinGroup, if it waits with one, is refused.
    pub(super) fn remove(&mut self, ctx: &mut Context<'_, '_>, member_id: &StrBytes) {
        self.pending_join.remove(member_id);
        self.pending_sync.remove(member_id);
        ctx.out.timers.cancel(&self.timer(Timer::Heartbeat(member_id.clone())));
        let Some(member) = self.members.remove(member_id) else { return };
        if let Some(waiting) = member.join {
            ctx.out.respond(waiting.call, refusal("", ErrorCode::UnknownMemberId));
        }
        if let Some(call) = member.sync {
            ctx.out.respond(call, super::sync::refusal(ErrorCode::UnknownMemberId));
        }
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
    }

    /// The next generation begins with those that have joined, and static members (KIP-345: they are missed only when their
    /// session is over). The record, if nobody is left.
    fn complete_join(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        ctx.out.timers.cancel(&self.timer(Timer::Join));
        let missing = |member: &super::member::Member| member.join.is_none() && member.instance_id.is_none();
        let gone: Vec<_> =
            self.members.iter().filter(|(_, member)| missing(member)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(ctx, &id);
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none has joined: until their sessions are over.
            ctx.schedule(self.timer(Timer::Join), self.rebalance_timeout());
            return None;
        }
        // A generation is an INT32 that began at 0: no group lives to see its end.
        self.generation = self.generation.wrapping_add(1).max(0);
        self.pending_sync.clear();
        self.protocol = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        if self.members.is_empty() {
            self.enter(ctx, State::Empty);
            return Some(self.record(|_, member| member.assignment.clone()));
        }
        self.enter(ctx, State::CompletingRebalance);
        ctx.out.trace(TraceEvent::GroupRebalanced {
            group: self.id.clone(),
            generation: self.generation,
            members: self.members.len(),
        });
        self.tell_generation(ctx);
        ctx.schedule(self.timer(Timer::Sync), self.rebalance_timeout());
        None
    }

    /// Answers everybody's JoinGroup.
    fn tell_generation(&mut self, ctx: &mut Context<'_, '_>) {
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let members = if self.is_leader(&id) { self.subscriptions() } else { Vec::new() };
            let response = self.joined(&id).with_members(members);
            let member = self.members.get_mut(&id).expect("its id was just taken from there");
            member.is_new = false;
            if let Some(waiting) = member.join.take() {
                ctx.out.respond(waiting.call, response);
            }
            self.expect_heartbeat(ctx, &id);
            self.pending_sync.insert(id);
        }
    }

    /// The answer to a JoinGroup of a member of this generation, but for what only the leader is told.
    pub(super) fn joined(&self, member_id: &StrBytes) -> JoinGroupResponse {
        JoinGroupResponse::default()
            .with_member_id(member_id.clone())
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_leader(self.leader.clone().unwrap_or_default())
    }

    /// What everybody says to the elected assignor.
    pub(super) fn subscriptions(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone())
                .with_group_instance_id(member.instance_id.clone())
                .with_metadata(member.metadata(protocol))
        });
        members.collect()
    }

    /// Whether the leader has joined, or another that has now leads.
    fn elect_joined_leader(&mut self) -> bool {
        let has_joined = |id: &StrBytes| self.members.get(id).is_some_and(|member| member.join.is_some());
        if self.leader.as_ref().is_some_and(has_joined) {
            return true;
        }
        match self.members.iter().find(|(_, member)| member.join.is_some()) {
            Some((id, _)) => {
                self.leader = Some(id.clone());
                true
            }
            None => false,
        }
    }

    fn join_timed_out(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        let State::PreparingRebalance { initial } = &mut self.state else { return None };
        match initial {
            Some(delay) if delay.new_member_added && delay.remaining.0 > 0 => {
                let next = ctx.config.initial_rebalance_delay.min(delay.remaining);
                delay.remaining = delay.remaining - delay.delay;
                delay.delay = next;
                delay.new_member_added = false;
                ctx.schedule(self.timer(Timer::Join), next);
                None
            }
            _ => self.complete_join(ctx),
        }
    }

    /// Members that joined and never asked for their assignment are gone.
    fn sync_timed_out(&mut self, ctx: &mut Context<'_, '_>) -> Option<Record> {
        let in_generation = matches!(self.state, State::CompletingRebalance | State::Stable);
        if !in_generation || self.pending_sync.is_empty() {
            return None;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove(ctx, &id);
        }
        self.prepare_rebalance(ctx)
    }

    fn heartbeat_timed_out(&mut self, ctx: &mut Context<'_, '_>, member_id: &StrBytes) -> Option<Record> {
        if self.pending_join.contains(member_id) {
            self.remove(ctx, member_id);
        } else if self.members.get(member_id).is_some_and(|member| !member.is_excused()) {
            self.remove(ctx, member_id);
            if !self.state.is_preparing() {
                return self.prepare_rebalance(ctx);
            }
        } else {
            return None;
        }
        if self.state.is_preparing() && self.all_joined() { self.complete_join(ctx) } else { None }
    }
}
