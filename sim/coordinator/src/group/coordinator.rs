//! [`GroupCoordinator`]: who is asked what.

use std::collections::BTreeMap;

use trial_node::view::CoordinatorEntry;
use trial_node::{LeaderEpoch, Offset, Time, TraceEvent};
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::classic::ClassicGroup;
use super::consumer::{self, ConsumerGroup};
use super::context::{Context, Outbox, Then, owned};
use super::offsets::Offsets;
use super::record::{ConsumerGroupRecord, GroupMetadata, GroupRecord};
use super::refusal::{append_error, refuse};
use super::timers::Timer;
use super::{GroupConfig, admin, classic, offsets};
use crate::{Coordinator, CorruptRecord, Env, LogRecord, Marker, Output, Record, Request, SendId, Ticket};

/// The coordinator of the groups of one partition of `__consumer_offsets`.
#[derive(Clone, Debug)]
pub struct GroupCoordinator {
    config: GroupConfig,
    groups: BTreeMap<StrBytes, Group>,
    offsets: Offsets,
    out: Outbox,
    active: bool,
}

/// A group of either protocol.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a broker has few groups")]
pub(super) enum Group {
    /// Of the classic protocol, or one that only has offsets.
    Classic(ClassicGroup),
    /// Of KIP-848.
    Consumer(ConsumerGroup),
}

impl Group {
    /// Whether it has no members.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Group::Classic(group) => group.is_empty(),
            Group::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether a member subscribes to the topic: its offsets neither expire nor may they be deleted.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Group::Classic(group) => group.is_subscribed_to(topic),
            Group::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// Appends the tombstones of everything of the group but its offsets to `records`.
    pub(super) fn tombstones(&self, records: &mut Vec<Record>) {
        match self {
            Group::Classic(group) => group.tombstones(records),
            Group::Consumer(group) => group.tombstones(records),
        }
    }
}

/// The groups by id.
pub(super) type Groups = BTreeMap<StrBytes, Group>;

impl Coordinator for GroupCoordinator {
    type Config = GroupConfig;

    fn new(config: GroupConfig) -> GroupCoordinator {
        GroupCoordinator {
            config,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            out: Outbox::default(),
            active: false,
        }
    }

    fn replay(&mut self, record: LogRecord<'_>) -> Result<(), CorruptRecord> {
        let decoded = GroupRecord::decode(record.key, record.value)
            .map_err(|error| CorruptRecord { offset: record.offset, what: error.to_string() })?;
        match decoded {
            Some(GroupRecord::Offset { key, value }) => {
                self.offsets.replay(record.offset, record.transaction, key, value);
                if value.is_some() && !self.groups.contains_key(key.group.as_bytes()) {
                    self.groups.insert(owned(key.group), Group::Classic(ClassicGroup::new(owned(key.group))));
                }
            }
            Some(GroupRecord::Group { group, value }) => self.replay_classic(group, value),
            Some(GroupRecord::Consumer(part)) => self.replay_consumer(part),
            None => {}
        }
        Ok(())
    }

    fn replay_marker(&mut self, marker: Marker) {
        self.offsets.replay_marker(marker);
    }

    fn activate(&mut self, env: &mut Env<'_>, _leader_epoch: LeaderEpoch) {
        self.active = true;
        self.offsets.activate(env.metadata);
        let mut ctx = Context { env, config: &self.config, out: &mut self.out };
        for group in self.groups.values_mut() {
            match group {
                Group::Classic(group) => group.activate(&mut ctx),
                Group::Consumer(group) => group.activate(&mut ctx),
            }
        }
        ctx.schedule(Timer::OffsetExpiry, ctx.config.offsets_retention_check_interval);
    }

    fn handle(&mut self, env: &mut Env<'_>, request: Request<'_>) {
        let Request { call, version, client_id, client_host, describes, body } = request;
        let mut ctx = Context { env, config: &self.config, out: &mut self.out };
        let caller = classic::Caller { call, version, client_id, client_host, describes };
        match body {
            RequestKind::JoinGroup(body) => classic::join(&mut self.groups, &mut ctx, caller, body),
            RequestKind::SyncGroup(body) => classic::sync(&mut self.groups, &mut ctx, caller, body),
            RequestKind::Heartbeat(body) => classic::heartbeat(&mut self.groups, &mut ctx, caller, body),
            RequestKind::LeaveGroup(body) => classic::leave(&mut self.groups, &mut ctx, caller, body),
            RequestKind::OffsetCommit(body) => {
                offsets::commit(&mut self.groups, &mut self.offsets, &mut ctx, (call, version), body);
            }
            RequestKind::TxnOffsetCommit(body) => {
                offsets::commit_in_transaction(&self.groups, &mut self.offsets, &mut ctx, call, body);
            }
            RequestKind::OffsetFetch(body) => {
                let response = offsets::fetch(&self.groups, &self.offsets, version, body);
                ctx.out.respond_once_committed(call, response);
            }
            RequestKind::OffsetDelete(body) => {
                offsets::delete(&self.groups, &self.offsets, &mut ctx, call, body);
            }
            RequestKind::DescribeGroups(body) => {
                let response = admin::describe(&self.groups, version, body);
                ctx.out.respond_once_committed(call, response);
            }
            RequestKind::ListGroups(body) => {
                let response = admin::list(&self.groups, body);
                ctx.out.respond_once_committed(call, response);
            }
            RequestKind::DeleteGroups(body) => {
                admin::delete(&self.groups, &self.offsets, &mut ctx, call, body)
            }
            RequestKind::ConsumerGroupHeartbeat(body) => {
                heartbeat(&mut self.groups, &mut ctx, caller, body);
            }
            RequestKind::ConsumerGroupDescribe(body) => {
                let response = admin::describe_consumer(
                    &self.groups,
                    &ctx.config.consumer_assignors,
                    ctx.env.metadata,
                    body,
                );
                ctx.out.respond_once_committed(call, response);
            }
            other => unreachable!("the broker gives a group coordinator no {other:?}"),
        }
    }

    fn completed(&mut self, env: &mut Env<'_>, ticket: Ticket, result: Result<Offset, ErrorCode>) {
        // What waits for an append is refused when the broker stops to lead, and may complete afterwards.
        let Some(then) = self.out.take_waiting(ticket) else { return };
        let mut ctx = Context { env, config: &self.config, out: &mut self.out };
        match then {
            Then::Nothing => {}
            Then::Respond { call, body } => {
                let body = match result {
                    Ok(_) => body,
                    Err(error) => refuse(&body, append_error(&body, error)),
                };
                ctx.out.respond(call, body);
            }
            Then::Classic(id, then) => classic::appended(&mut self.groups, &mut ctx, &id, then, result.err()),
        }
    }

    fn handle_response(&mut self, _env: &mut Env<'_>, _id: SendId, _response: Option<ResponseKind>) {
        unreachable!("a group coordinator sends nothing");
    }

    fn metadata_changed(&mut self, env: &mut Env<'_>) {
        let mut ctx = Context { env, config: &self.config, out: &mut self.out };
        self.offsets.metadata_changed(&mut ctx);
        for group in self.groups.values_mut() {
            if let Group::Consumer(group) = group {
                group.metadata_changed(ctx.env.metadata.version());
            }
        }
    }

    fn handle_timeout(&mut self, env: &mut Env<'_>) {
        let mut ctx = Context { env, config: &self.config, out: &mut self.out };
        // What is due next decides on a state that knows the records before it: the rest waits until they are replayed.
        while !ctx.out.will_append() {
            let Some(timer) = ctx.out.timers.pop_due(ctx.now()) else { return };
            match timer {
                Timer::Classic(id, timer) => {
                    if let Some(Group::Classic(group)) = self.groups.get_mut(&id) {
                        group.handle_timeout(&mut ctx, timer);
                    }
                }
                Timer::Consumer(id, timer) => {
                    if let Some(Group::Consumer(group)) = self.groups.get_mut(&id) {
                        group.handle_timeout(&mut ctx, timer);
                    }
                }
                Timer::OffsetExpiry => {
                    offsets::expire(&self.groups, &self.offsets, &mut ctx);
                    ctx.schedule(Timer::OffsetExpiry, ctx.config.offsets_retention_check_interval);
                }
            }
        }
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.out.timers.next()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.out.poll()
    }

    fn resign(&mut self) {
        for group in self.groups.values_mut() {
            if let Group::Classic(group) = group {
                group.resign(&mut self.out);
            }
        }
        self.out.resign();
    }

    fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        for group in self.groups.values() {
            match group {
                Group::Classic(group) => group.entries(each),
                Group::Consumer(group) => group.entries(each),
            }
        }
        self.offsets.entries(each);
    }
}

impl GroupCoordinator {
    fn replay_classic(&mut self, id: &str, value: Option<GroupMetadata<'_>>) {
        let Some(value) = value else {
            if let Some(Group::Classic(_)) = self.groups.get(id.as_bytes()) {
                self.groups.remove(id.as_bytes());
                self.out.timers.cancel_classic(&owned(id));
            }
            return;
        };
        let known = matches!(self.groups.get(id.as_bytes()), Some(Group::Classic(_)));
        if !known {
            self.groups.insert(owned(id), Group::Classic(ClassicGroup::new(owned(id))));
        }
        if let Some(Group::Classic(group)) = self.groups.get_mut(id.as_bytes()) {
            group.replay(&value, self.active && known);
            if self.active && group.is_adopted() {
                self.out.trace(TraceEvent::GroupDowngraded { group: owned(id) });
            }
        }
    }

    fn replay_consumer(&mut self, part: ConsumerGroupRecord<'_>) {
        let id = part.group();
        if let ConsumerGroupRecord::Metadata { epoch: None, .. } = part {
            if let Some(Group::Consumer(_)) = self.groups.get(id.as_bytes()) {
                self.groups.remove(id.as_bytes());
                self.out.timers.cancel_consumer(&owned(id));
            }
            return;
        }
        if !matches!(self.groups.get(id.as_bytes()), Some(Group::Consumer(_))) {
            if part.is_tombstone() {
                return;
            }
            self.groups.insert(owned(id), Group::Consumer(ConsumerGroup::new(owned(id))));
            if self.active && part.is_of_classic_member() {
                self.out.trace(TraceEvent::GroupUpgraded { group: owned(id) });
            }
        }
        if let Some(Group::Consumer(group)) = self.groups.get_mut(id.as_bytes()) {
            group.replay(part);
        }
    }
}

/// ConsumerGroupHeartbeat: a classic group makes way for who joins, if it is empty or its members can come along.
fn heartbeat(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    caller: classic::Caller<'_>,
    body: ConsumerGroupHeartbeatRequest,
) {
    let mut before = Vec::new();
    match groups.get_mut(&body.group_id.0) {
        None => {
            consumer::heartbeat(None, ctx, consumer::Heartbeat { caller, body, before });
        }
        Some(Group::Consumer(group)) => {
            consumer::heartbeat(Some(group), ctx, consumer::Heartbeat { caller, body, before });
        }
        Some(Group::Classic(group)) if group.is_empty() => {
            group.tombstones(&mut before);
            consumer::heartbeat(None, ctx, consumer::Heartbeat { caller, body, before });
        }
        Some(Group::Classic(group)) => {
            let joins = body.member_epoch == consumer::JOIN_EPOCH;
            let Some(mut upgraded) = joins.then(|| ConsumerGroup::upgraded(group, ctx)).flatten() else {
                // A member that fell silent and did not see its group become a classic one: it may come back.
                let was_member = body.member_epoch > consumer::JOIN_EPOCH
                    && ctx.config.consumer_migration_policy.upgrades()
                    && group.uses_consumer_protocol();
                let error = if was_member { ErrorCode::UnknownMemberId } else { ErrorCode::GroupIdNotFound };
                let message = format!("Group {} is not a consumer group.", body.group_id.as_str());
                let response = ConsumerGroupHeartbeatResponse::default()
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message)));
                return ctx.out.respond(caller.call, response);
            };
            group.tombstones(&mut before);
            upgraded.records(&mut before);
            let heartbeat = consumer::Heartbeat { caller, body, before };
            if consumer::heartbeat(Some(&mut upgraded), ctx, heartbeat) {
                group.refuse_waiting(ctx, ErrorCode::RebalanceInProgress);
                upgraded.expect_all(ctx);
            }
        }
    }
}
