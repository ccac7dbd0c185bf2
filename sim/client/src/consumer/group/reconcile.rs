//! The protocol of KIP-848: the coordinator tells each member what it is to have, and the member says when it has given up
//! what it is not to have any more (ConsumerGroupHeartbeat).

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{Io, Now, Span, Time};
use trial_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, GroupId};
use trial_wire::{ApiKey, ErrorCode, RequestKind, StrBytes, Uuid};

use crate::consumer::Consumer;
use crate::network::TopicSlot;

use super::coordinator::is_coordinator_gone;
use super::handover::Then;
use super::{Group, Joined, Membership, Question};

/// The epochs with which a member joins and leaves.
const JOIN: i32 = 0;
const LEAVE: i32 = -1;
/// A static member that leaves for a while.
const LEAVE_STATIC: i32 = -2;

/// A member's part in the protocol.
#[derive(Clone, Debug)]
pub(super) struct Reconciler {
    state: State,
    /// The member's own, for life; empty until the first heartbeat (version 1 of the API).
    member_id: StrBytes,
    epoch: i32,
    /// Counts memberships: answers to an earlier one say nothing about this one.
    number: u64,
    /// `group.consumer.heartbeat.interval.ms`, as the coordinator told.
    interval: Span,
    next_at: Time,
    in_flight: bool,
    failures: u32,
    /// The next heartbeat says everything, not only what is new.
    everything: bool,
    /// The next heartbeat says what the member has.
    acknowledge: bool,
    /// What the member is to have, until it has it.
    target: Option<BTreeSet<(Uuid, i32)>>,
    /// The group is to be told that the application is gone.
    farewell: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The application has not called yet, or has not learned that the member was thrown out or has left.
    Out,
    Joining,
    Member,
}

impl Reconciler {
    pub fn new() -> Reconciler {
        Reconciler {
            state: State::Out,
            member_id: StrBytes::default(),
            epoch: JOIN,
            number: 0,
            interval: Span::ZERO,
            next_at: Time::ZERO,
            in_flight: false,
            failures: 0,
            everything: true,
            acknowledge: false,
            target: None,
            farewell: false,
        }
    }

    /// As whom requests are sent; `None` if it is no member.
    pub fn joined(&self) -> Option<Joined> {
        (self.state == State::Member).then(|| Joined { epoch: self.epoch, member_id: self.member_id.clone() })
    }

    /// The subscription is another.
    pub fn tell_everything(&mut self) {
        self.everything = true;
        self.next_at = Time::ZERO;
    }

    /// The application does not call: others shall have the partitions.
    pub fn leave_late(&mut self, now: Now) {
        if self.state != State::Out {
            self.out(now);
            self.farewell = true;
        }
    }

    fn out(&mut self, now: Now) {
        self.state = State::Out;
        self.epoch = JOIN;
        self.number += 1;
        self.in_flight = false;
        self.failures = 0;
        self.next_at = now.mono;
        self.everything = true;
        self.acknowledge = false;
        self.target = None;
    }

    /// The next instant at which something is to be sent.
    pub fn deadline(&self) -> Option<Time> {
        (self.state != State::Out && !self.in_flight).then_some(self.next_at)
    }
}

impl Consumer {
    fn reconciler(&mut self) -> &mut Reconciler {
        match &mut self.group_mut().membership {
            Membership::Consumer(reconciler) => reconciler,
            Membership::Classic(_) => unreachable!("a member does not change its protocol"),
        }
    }

    fn reconciler_and_group(&mut self) -> (&Group, &Reconciler) {
        let group = self.group_mut();
        match &group.membership {
            Membership::Consumer(reconciler) => (group, reconciler),
            Membership::Classic(_) => unreachable!("a member does not change its protocol"),
        }
    }

    /// What a rebalance needs of the application. Returns whether anything happened.
    pub(super) fn reconcile(&mut self, now: Now) -> bool {
        if self.reconciler().state == State::Out {
            self.lose_all();
            let reconciler = self.reconciler();
            reconciler.state = State::Joining;
            reconciler.next_at = now.mono;
            return true;
        }
        let Some(target) = self.reconciler().target.clone() else { return false };
        let metadata = self.network.metadata();
        let known: BTreeSet<(TopicSlot, i32)> = target
            .iter()
            .filter_map(|(id, partition)| Some((metadata.slot_by_id(*id)?, *partition)))
            .collect();
        let complete = known.len() == target.len();
        let owned = self.owned_partitions();
        if complete {
            self.reconciler().target = None;
        } else {
            // A topic that was created just now. What is known already need not wait for it.
            self.network.metadata_mut().request_update();
            if known == owned {
                return false;
            }
        }
        let revoked = owned.difference(&known).map(|tp| self.indexes[tp]).collect();
        let added = known.difference(&owned).copied().collect();
        self.give_up(now, revoked, true, Then::Adopt(added));
        true
    }

    /// What the coordinator has given is the consumer's.
    pub(super) fn adopt_reconciled(&mut self, now: Now, added: &BTreeSet<(TopicSlot, i32)>) {
        let reconciler = self.reconciler();
        // It may have been thrown out while it gave something up.
        if reconciler.state != State::Member {
            return;
        }
        reconciler.acknowledge = true;
        reconciler.next_at = now.mono;
        let epoch = reconciler.epoch;
        self.adopt(now, epoch, added);
    }

    /// Sends what is due.
    pub(super) fn drive_reconciler(&mut self, now: Now, io: &mut Io<'_>) {
        if self.reconciler().farewell && self.send_reconciler_leave(now, io) {
            self.reconciler().farewell = false;
        }
        if self.reconciler().deadline().is_none_or(|at| at > now.mono) {
            return;
        }
        let Some(coordinator) = self.coordinator(now, io, ApiKey::ConsumerGroupHeartbeat) else { return };
        if self.reconciler().member_id.is_empty() {
            let id = (u128::from(io.rng.next_u64()) << 64) | u128::from(io.rng.next_u64());
            self.reconciler().member_id = StrBytes::from_string(Uuid::from_u128(id).to_string());
        }
        let has = self.owned_by_topic();
        let (group, reconciler) = self.reconciler_and_group();
        let config = &group.config;
        let mut body = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(config.group_id.clone()))
            .with_member_id(reconciler.member_id.clone())
            .with_member_epoch(reconciler.epoch)
            .with_instance_id(config.instance_id.clone())
            .with_rebalance_timeout_ms(-1);
        if reconciler.everything {
            body = body
                .with_rebalance_timeout_ms(config.max_poll_interval.as_millis() as i32)
                .with_subscribed_topic_names(Some(group.topics.clone()))
                .with_server_assignor(config.remote_assignor.clone());
        }
        if reconciler.everything || reconciler.acknowledge {
            body = body.with_topic_partitions(Some(has));
        }
        let number = reconciler.number;
        let reconciler = self.reconciler();
        reconciler.in_flight = true;
        reconciler.everything = false;
        reconciler.acknowledge = false;
        reconciler.next_at = now.mono + reconciler.interval;
        let message = (ApiKey::ConsumerGroupHeartbeat, RequestKind::ConsumerGroupHeartbeat(body));
        self.ask_coordinator(now, io, coordinator, message, Question::Reconcile(number));
    }

    fn owned_by_topic(&self) -> Vec<TopicPartitions> {
        let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
        for index in self.owned() {
            let (topic, partition) = self.partition(index);
            topics.entry(self.network.metadata().topic(topic).id).or_default().push(partition);
        }
        let topics = topics.into_iter().map(|(id, mut partitions)| {
            partitions.sort_unstable();
            TopicPartitions::default().with_topic_id(id).with_partitions(partitions)
        });
        topics.collect()
    }

    /// The answer to a heartbeat; `None` if there was none.
    pub(super) fn reconciler_answered(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        number: u64,
        response: Option<ConsumerGroupHeartbeatResponse>,
    ) {
        let retry = self.config.network.retry;
        let reconciler = self.reconciler();
        if reconciler.number != number {
            return;
        }
        reconciler.in_flight = false;
        let error = match &response {
            Some(response) => ErrorCode::try_from_code(response.error_code),
            None => Some(ErrorCode::NetworkException),
        };
        match (error, response) {
            (None, Some(response)) => self.heartbeat_succeeded(now, response),
            (Some(ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId), _) => reconciler.out(now),
            (Some(error), _) => {
                // Whether the coordinator has heard it is not known: it is all said again.
                reconciler.everything = true;
                reconciler.next_at = now.mono + retry.wait(reconciler.failures, io.rng);
                reconciler.failures += 1;
                if is_coordinator_gone(error) {
                    self.group_mut().coordinator.forget();
                } else if !error.is_retriable() {
                    self.fail_group(error);
                }
            }
            (None, None) => unreachable!("without a response there is an error"),
        }
    }

    fn heartbeat_succeeded(&mut self, now: Now, response: ConsumerGroupHeartbeatResponse) {
        let reconciler = self.reconciler();
        reconciler.state = State::Member;
        reconciler.epoch = response.member_epoch;
        reconciler.failures = 0;
        reconciler.interval = Span::from_millis(response.heartbeat_interval_ms.max(0) as u64);
        // What happened while this one was in flight is said at once.
        let more = reconciler.everything || reconciler.acknowledge;
        reconciler.next_at = if more { now.mono } else { now.mono + reconciler.interval };
        if let Some(assignment) = response.assignment {
            let partitions = assignment
                .topic_partitions
                .iter()
                .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.topic_id, *partition)));
            reconciler.target = Some(partitions.collect());
        }
        self.note_joined();
    }

    /// Leaves on purpose. Returns whether there is an answer to wait for; `None` if it could not be sent yet.
    pub(super) fn leave_reconciler(&mut self, now: Now, io: &mut Io<'_>) -> Option<bool> {
        if self.reconciler().member_id.is_empty() || self.reconciler().state == State::Out {
            return Some(false);
        }
        if !self.send_reconciler_leave(now, io) {
            return None;
        }
        self.reconciler().out(now);
        Some(true)
    }

    fn send_reconciler_leave(&mut self, now: Now, io: &mut Io<'_>) -> bool {
        let Some(coordinator) = self.coordinator(now, io, ApiKey::ConsumerGroupHeartbeat) else {
            return false;
        };
        let (group, reconciler) = self.reconciler_and_group();
        let instance_id = group.config.instance_id.clone();
        let body = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(group.config.group_id.clone()))
            .with_member_id(reconciler.member_id.clone())
            .with_member_epoch(if instance_id.is_some() { LEAVE_STATIC } else { LEAVE })
            .with_instance_id(instance_id)
            .with_rebalance_timeout_ms(-1);
        let message = (ApiKey::ConsumerGroupHeartbeat, RequestKind::ConsumerGroupHeartbeat(body));
        self.ask_coordinator(now, io, coordinator, message, Question::Leave);
        true
    }
}
