//! Members that are heard of no more, or do not give up what they must: they are fenced.

use trial_node::Span;
use trial_wire::StrBytes;

use super::ConsumerGroup;
use super::member::MemberState;
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
}

impl ConsumerGroup {
    /// The log has been replayed: every member gets its time anew.
    pub(in crate::group) fn activate(&mut self, ctx: &mut Context<'_, '_>) {
        self.topics_version = ctx.env.metadata.version();
        for (id, member) in &self.members {
            self.expect_heartbeat(ctx, id);
            if member.assignment.state == MemberState::UnrevokedPartitions {
                self.expect_revocation(ctx, id, member.metadata.rebalance_timeout_ms);
            }
        }
    }

    /// Something is due. Timers are never cancelled, only set again: what makes one moot may itself fail to be written.
    pub(in crate::group) fn handle_timeout(&mut self, ctx: &mut Context<'_, '_>, timer: Timer) {
        let (Timer::Session(id) | Timer::Rebalance(id)) = &timer;
        let Some(member) = self.members.get(id) else { return };
        let due = match timer {
            Timer::Session(_) => true,
            Timer::Rebalance(_) => member.assignment.state == MemberState::UnrevokedPartitions,
        };
        if due {
            let records = self.removal(ctx, std::slice::from_ref(id));
            ctx.out.append(records, Then::Nothing);
            ctx.schedule(timers::Timer::Consumer(self.group_id.clone(), timer), RETRY);
        }
    }

    /// A member has been heard of: its session begins anew.
    pub(super) fn expect_heartbeat(&self, ctx: &mut Context<'_, '_>, member: &StrBytes) {
        let timer = timers::Timer::Consumer(self.group_id.clone(), Timer::Session(member.clone()));
        let timeout = ctx.env.metadata.group_config(&self.group_id, "consumer.session.timeout.ms");
        ctx.schedule(timer, timeout.unwrap_or(ctx.config.consumer_session_timeout));
    }

    /// A member has been told to give up partitions.
    pub(super) fn expect_revocation(&self, ctx: &mut Context<'_, '_>, member: &StrBytes, timeout_ms: i32) {
        let timer = timers::Timer::Consumer(self.group_id.clone(), Timer::Rebalance(member.clone()));
        ctx.schedule(timer, Span::from_millis(u64::try_from(timeout_ms).unwrap_or(0)));
    }

    /// The records that take members out of the group. The next heartbeat of another makes the target assignment without them.
    pub(super) fn removal(&self, ctx: &Context<'_, '_>, members: &[StrBytes]) -> Vec<Record> {
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
