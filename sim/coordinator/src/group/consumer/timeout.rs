//! Members that are heard of no more, or do not give up what they must: they are fenced.

use trial_node::Span;
use trial_wire::StrBytes;

use super::ConsumerGroup;
use super::member::{MemberMetadata, MemberState};
use super::target::Members;
use crate::Record;
use crate::group::context::{Context, Then};
use crate::group::timers;

/// How long after a member was to be fenced it is looked at again: the append may have failed.
const RETRY: Span = Span::from_millis(500);

/// What is due in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::group) enum Timer {
    /// A member has been silent for its session time-out.
    Session(StrBytes),
    /// A member has not given up its partitions within its rebalance time-out.
    Rebalance(StrBytes),
    /// A classic member was told to join again, and has not within its rebalance time-out.
    Join(StrBytes),
    /// A classic member has joined, and has not asked for its assignment within its rebalance time-out.
    Sync(StrBytes),
}

impl Timer {
    /// The first in order.
    pub(in crate::group) fn first() -> Timer {
        Timer::Session(StrBytes::new())
    }
}

impl ConsumerGroup {
    /// The log has been replayed: every member gets its time anew.
    pub(in crate::group) fn activate(&mut self, ctx: &mut Context<'_, '_>) {
        self.topics_version = ctx.env.metadata.version();
        for (id, member) in &self.members {
            self.expect_heartbeat(ctx, id, &member.metadata);
            let is_classic = member.metadata.classic.is_some();
            if !is_classic && member.assignment.state == MemberState::UnrevokedPartitions {
                self.expect_revocation(ctx, id, member.metadata.rebalance_timeout_ms);
            }
        }
    }

    /// Something is due. The time to give up partitions is not cancelled when that has been done, nor is a session when a member
    /// leaves: what makes these moot may itself fail to be written.
    pub(in crate::group) fn handle_timeout(&mut self, ctx: &mut Context<'_, '_>, timer: Timer) {
        let (Timer::Session(id) | Timer::Rebalance(id) | Timer::Join(id) | Timer::Sync(id)) = &timer;
        let Some(member) = self.members.get(id) else { return };
        let is_classic = member.metadata.classic.is_some();
        let due = match timer {
            Timer::Session(_) => true,
            Timer::Rebalance(_) => !is_classic && member.assignment.state == MemberState::UnrevokedPartitions,
            Timer::Join(_) | Timer::Sync(_) => is_classic,
        };
        if due {
            let records = self.removal(ctx, std::slice::from_ref(id));
            ctx.out.append(records, Then::Nothing);
            ctx.schedule(timers::Timer::Consumer(self.group_id.clone(), timer), RETRY);
        }
    }

    /// A member has been heard of: its session begins anew.
    pub(super) fn expect_heartbeat(
        &self,
        ctx: &mut Context<'_, '_>,
        member: &StrBytes,
        metadata: &MemberMetadata,
    ) {
        let timer = Timer::Session(member.clone());
        if let Some(classic) = &metadata.classic {
            return self.expect(ctx, timer, classic.session_timeout_ms);
        }
        let timeout = ctx.env.metadata.group_config(&self.group_id, "consumer.session.timeout.ms");
        let timeout = timeout.unwrap_or(ctx.config.consumer_session_timeout);
        ctx.schedule(timers::Timer::Consumer(self.group_id.clone(), timer), timeout);
    }

    /// A member has been told to give up partitions.
    pub(super) fn expect_revocation(&self, ctx: &mut Context<'_, '_>, member: &StrBytes, timeout_ms: i32) {
        self.expect(ctx, Timer::Rebalance(member.clone()), timeout_ms);
    }

    /// Sets a timer; below 0 counts as 0.
    pub(super) fn expect(&self, ctx: &mut Context<'_, '_>, timer: Timer, timeout_ms: i32) {
        let timer = timers::Timer::Consumer(self.group_id.clone(), timer);
        ctx.schedule(timer, Span::from_millis(u64::try_from(timeout_ms).unwrap_or(0)));
    }

    pub(super) fn cancel(&self, ctx: &mut Context<'_, '_>, timer: Timer) {
        ctx.out.timers.cancel(&timers::Timer::Consumer(self.group_id.clone(), timer));
    }

    /// The records that take members out of the group. The next heartbeat of another makes the target assignment without them.
    /// If none is left that uses KIP-848's protocol, the group becomes a classic one.
    pub(super) fn removal(&self, ctx: &mut Context<'_, '_>, members: &[StrBytes]) -> Vec<Record> {
        if members.len() < self.members.len() && self.downgrades_without(ctx.config, members) {
            return self.downgrade(ctx, members);
        }
        let mut records = Vec::new();
        let mut others = Members::of(self);
        for member in members {
            self.member_tombstones(member, &mut records);
            others = others.without(member);
        }
        let mut regexes = self.regexes.clone();
        self.forget_regexes(&others, &mut regexes, &mut records);
        let topics = others.topics(ctx.env.metadata, &regexes);
        if topics != self.topics {
            records.push(self.topics_record(&topics));
        }
        records.push(self.epoch_record(self.epoch + 1));
        records
    }
}
