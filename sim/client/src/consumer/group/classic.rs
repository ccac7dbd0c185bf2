//! The classic protocol: all members join, one of them assigns the partitions, and all are told (JoinGroup, SyncGroup,
//! Heartbeat, LeaveGroup; KIP-62, KIP-345, KIP-394, KIP-429).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use trial_node::{Io, Now, Span, Time, TopicPartition};
use trial_wire::messages::join_group_request::JoinGroupRequestProtocol;
use trial_wire::messages::join_group_response::JoinGroupResponseMember;
use trial_wire::messages::leave_group_request::MemberIdentity;
use trial_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use trial_wire::messages::{
    GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
    SyncGroupResponse,
};
use trial_wire::{ApiKey, ErrorCode, RequestKind, StrBytes, TopicName};

use crate::consumer::Consumer;
use crate::network::{Failure, TopicSlot};

use super::assignor::{self, Assignor};
use super::coordinator::is_coordinator_gone;
use super::embedded::{self, Subscription};
use super::handover::Then;
use super::{Group, GroupConfig, Joined, Membership, Question};

/// The protocol type of consumers among the groups of the classic protocol.
const PROTOCOL_TYPE: &str = "consumer";
/// What a JoinGroup request may take longer than the rebalance timeout.
const JOIN_LAPSE: Span = Span::from_secs(5);

/// A member's part in the classic protocol.
#[derive(Clone, Debug)]
pub(super) struct Classic {
    state: State,
    /// Empty until the coordinator has given one.
    member_id: StrBytes,
    /// −1 if the member is in none.
    generation: i32,
    /// The assignor that the members agreed on.
    assignor: Option<Assignor>,
    /// The group must come together again.
    rejoin: bool,
    /// What must be given up before is given up: JoinGroup may be sent.
    prepared: bool,
    retry_at: Time,
    failures: u32,
    heartbeat: Heartbeat,
    /// The topics that JoinGroup told.
    told: Vec<TopicName>,
    /// As the leader: the members and their subscriptions, until SyncGroup is sent.
    elected: Option<Election>,
    /// As the leader: how many partitions the topics had in the assignment. If that changes, there is another rebalance.
    counts: Option<BTreeMap<TopicName, usize>>,
    /// SyncGroup's answer, until the application calls.
    synced: Option<Bytes>,
    /// What the sticky assignor is told of the last assignment, and its generation.
    last: Option<(Vec<TopicPartition>, i32)>,
    /// The member id under which the group is to be left.
    farewell: Option<StrBytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unjoined,
    /// JoinGroup is in flight.
    Joining,
    /// All have joined; SyncGroup has yet to be sent.
    Joined,
    /// SyncGroup is in flight.
    Syncing,
    Stable,
}

#[derive(Clone, Debug, Default)]
struct Heartbeat {
    next_at: Time,
    in_flight: bool,
    /// The coordinator has said nothing for so long that it must have given the member up.
    session_ends: Time,
}

/// What JoinGroup tells the leader.
#[derive(Clone, Debug)]
struct Election {
    members: Vec<JoinGroupResponseMember>,
    /// The coordinator keeps the assignment that there is (KIP-814).
    skip: bool,
}

impl Classic {
    pub fn new() -> Classic {
        Classic {
            state: State::Unjoined,
            member_id: StrBytes::default(),
            generation: -1,
            assignor: None,
            rejoin: true,
            prepared: false,
            retry_at: Time::ZERO,
            failures: 0,
            heartbeat: Heartbeat::default(),
            told: Vec::new(),
            elected: None,
            counts: None,
            synced: None,
            last: None,
            farewell: None,
        }
    }

    /// As whom requests are sent; `None` if it is in no generation.
    pub fn joined(&self) -> Option<Joined> {
        (self.generation >= 0).then(|| self.identity())
    }

    fn identity(&self) -> Joined {
        Joined { epoch: self.generation, member_id: self.member_id.clone() }
    }

    /// Whether the member has got its assignment and has not joined anew.
    pub fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// The group must come together again, as soon as the application calls.
    pub fn request_rejoin(&mut self) {
        self.rejoin = true;
    }

    /// The member has given up what it must: it joins.
    pub fn prepared(&mut self) {
        self.prepared = true;
    }

    /// The member is none any more. It begins anew, under its old id unless the coordinator does not know that either.
    pub fn reset(&mut self, member_id_too: bool) {
        if member_id_too {
            self.member_id = StrBytes::default();
        }
        self.generation = -1;
        self.state = State::Unjoined;
        self.rejoin = true;
        self.prepared = false;
        self.elected = None;
        self.synced = None;
        self.heartbeat.in_flight = false;
    }

    /// The application does not call: others shall have the partitions. A static member is silent about it (KIP-345).
    pub fn leave_late(&mut self, is_static: bool) {
        if self.beats() {
            self.farewell = (!is_static).then(|| self.member_id.clone());
            self.reset(true);
        }
    }

    /// Whether heartbeats are sent.
    fn beats(&self) -> bool {
        matches!(self.state, State::Joined | State::Syncing | State::Stable)
    }

    /// Whether JoinGroup is to be sent.
    fn joins(&self) -> bool {
        self.rejoin && self.prepared && matches!(self.state, State::Unjoined | State::Stable)
    }

    /// The next instant at which something is to be sent.
    pub fn deadline(&self) -> Option<Time> {
        let Heartbeat { next_at, in_flight, session_ends } = self.heartbeat;
        let beat = self.beats().then_some(if in_flight { session_ends } else { next_at });
        self.joins().then_some(self.retry_at).into_iter().chain(beat).min()
    }
}

impl GroupConfig {
    /// Whether members keep what does not move during a rebalance (KIP-429): the protocol that all their assignors know.
    fn is_cooperative(&self) -> bool {
        self.assignors.iter().all(|assignor| *assignor == Assignor::CooperativeSticky)
    }
}

impl Consumer {
    fn classic(&mut self) -> &mut Classic {
        match &mut self.group_mut().membership {
            Membership::Classic(classic) => classic,
            Membership::Consumer(_) => unreachable!("a member does not change its protocol"),
        }
    }

    fn classic_and_group(&mut self) -> (&Group, &Classic) {
        let group = self.group_mut();
        match &group.membership {
            Membership::Classic(classic) => (group, classic),
            Membership::Consumer(_) => unreachable!("a member does not change its protocol"),
        }
    }

    /// What a rebalance needs of the application. Returns whether anything happened.
    pub(super) fn rebalance_classic(&mut self, now: Now) -> bool {
        if let Some(assignment) = self.classic().synced.take() {
            match embedded::decode_assignment(&assignment) {
                Ok(assigned) => self.assigned_classic(now, assigned),
                Err(_) => self.fail_group(ErrorCode::InconsistentGroupProtocol),
            }
            return true;
        }
        self.watch_topics();
        let (group, classic) = self.classic_and_group();
        let begins =
            classic.rejoin && !classic.prepared && matches!(classic.state, State::Unjoined | State::Stable);
        if !begins {
            return false;
        }
        let topics = group.config.is_cooperative().then(|| group.topics.clone());
        let stays =
            |index: &usize| topics.as_ref().is_some_and(|topics| topics.contains(&self.topic_name(*index)));
        let given_up = self.owned().filter(|index| !stays(index)).collect();
        self.give_up(now, given_up, true, Then::Join);
        true
    }

    fn assigned_classic(&mut self, now: Now, mut assigned: Vec<TopicPartition>) {
        assigned.sort();
        let target: BTreeSet<(TopicSlot, i32)> =
            assigned.iter().map(|tp| (self.topic(&tp.topic), tp.partition)).collect();
        let classic = self.classic();
        classic.last = Some((assigned, classic.generation));
        self.note_joined();
        let owned = self.owned_partitions();
        let revoked = owned.difference(&target).map(|tp| self.indexes[tp]).collect();
        let added = target.difference(&owned).copied().collect();
        self.give_up(now, revoked, false, Then::Adopt(added));
    }

    /// What the rebalance brings is the consumer's. If it has given something up for it, others can have that only after
    /// another rebalance.
    pub(super) fn adopt_classic(&mut self, now: Now, given_up: bool, added: &BTreeSet<(TopicSlot, i32)>) {
        let classic = self.classic();
        // It may have been thrown out while it gave up.
        if !classic.is_stable() {
            return;
        }
        classic.rejoin |= given_up;
        let epoch = classic.generation;
        self.adopt(now, epoch, added);
    }

    /// As the leader: notices that there are more partitions to assign.
    fn watch_topics(&mut self) {
        let metadata = self.network.metadata();
        let group = self.group.as_ref().expect("only members have a rebalance");
        let Membership::Classic(Classic { state: State::Stable, counts: Some(counts), .. }) =
            &group.membership
        else {
            return;
        };
        let changed = counts.iter().any(|(topic, count)| {
            let slot = metadata.slot_by_name(topic);
            slot.is_some_and(|slot| metadata.partition_count(slot).unwrap_or(0) != *count)
        });
        if changed {
            self.classic().rejoin = true;
        }
    }

    /// Sends what is due.
    pub(super) fn drive_classic(&mut self, now: Now, io: &mut Io<'_>) {
        if let Some(member_id) = self.classic().farewell.clone()
            && self.send_leave(now, io, member_id)
        {
            self.classic().farewell = None;
        }
        if self.group_mut().closing.is_none() {
            if self.classic().joins() && self.classic().retry_at <= now.mono {
                self.join(now, io);
            }
            if self.classic().state == State::Joined {
                self.sync(now, io);
            }
        }
        if self.classic().beats() {
            self.beat(now, io);
        }
    }

    fn join(&mut self, now: Now, io: &mut Io<'_>) {
        let Some(coordinator) = self.coordinator(now, io, ApiKey::JoinGroup) else { return };
        let owned: Vec<TopicPartition> = {
            let mut owned: Vec<TopicPartition> = self
                .owned()
                .map(|index| TopicPartition {
                    topic: self.topic_name(index),
                    partition: self.partitions[index].partition,
                })
                .collect();
            owned.sort();
            owned
        };
        let request_timeout = self.config.network.request_timeout;
        let (group, classic) = self.classic_and_group();
        let config = &group.config;
        let protocols = config.assignors.iter().map(|assignor| {
            let last = classic.last.as_ref().filter(|_| *assignor == Assignor::Sticky);
            let subscription = Subscription {
                topics: group.topics.clone(),
                user_data: last
                    .map(|(partitions, generation)| embedded::encode_memory(partitions, *generation)),
                owned: owned.clone(),
                generation: classic.generation,
            };
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_static_str(assignor.name()))
                .with_metadata(subscription.encode())
        });
        let body = JoinGroupRequest::default()
            .with_group_id(GroupId(config.group_id.clone()))
            .with_session_timeout_ms(config.session_timeout.as_millis() as i32)
            .with_rebalance_timeout_ms(config.max_poll_interval.as_millis() as i32)
            .with_member_id(classic.member_id.clone())
            .with_group_instance_id(config.instance_id.clone())
            .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
            .with_protocols(protocols.collect());
        let timeout = request_timeout.max(config.max_poll_interval + JOIN_LAPSE);
        let topics = group.topics.clone();
        let classic = self.classic();
        classic.state = State::Joining;
        classic.counts = None;
        classic.told = topics;
        let message = (ApiKey::JoinGroup, RequestKind::JoinGroup(body));
        self.ask_coordinator_for(now, io, coordinator, message, Question::Join, timeout);
    }

    pub(super) fn join_answered(&mut self, now: Now, io: &mut Io<'_>, response: JoinGroupResponse) {
        if self.classic().state != State::Joining {
            return;
        }
        match ErrorCode::try_from_code(response.error_code) {
            None => self.join_succeeded(now, response),
            Some(ErrorCode::MemberIdRequired) => {
                // KIP-394: the id is known before anybody has to wait for it.
                let classic = self.classic();
                classic.member_id = response.member_id;
                classic.generation = -1;
                classic.state = State::Unjoined;
                classic.retry_at = now.mono;
            }
            Some(ErrorCode::UnknownMemberId) => self.classic().reset(true),
            Some(ErrorCode::IllegalGeneration) => self.classic().reset(false),
            Some(error) if is_coordinator_gone(error) || error.is_retriable() => {
                self.join_failed(now, io, Some(error));
            }
            Some(ErrorCode::RebalanceInProgress) => self.join_failed(now, io, None),
            Some(error) => self.fail_group(error),
        }
    }

    fn join_succeeded(&mut self, now: Now, response: JoinGroupResponse) {
        let (heartbeat_interval, session_timeout) = {
            let config = &self.group_mut().config;
            (config.heartbeat_interval, config.session_timeout)
        };
        let name = response.protocol_name.unwrap_or_default();
        let known =
            Assignor::by_name(&name).filter(|assignor| self.group_mut().config.assignors.contains(assignor));
        let Some(assignor) = known else { return self.fail_group(ErrorCode::InconsistentGroupProtocol) };
        let classic = self.classic();
        classic.state = State::Joined;
        classic.member_id = response.member_id;
        classic.generation = response.generation_id;
        classic.assignor = Some(assignor);
        classic.failures = 0;
        classic.heartbeat = Heartbeat {
            next_at: now.mono + heartbeat_interval,
            in_flight: false,
            session_ends: now.mono + session_timeout,
        };
        let leads = response.leader == classic.member_id;
        classic.elected =
            leads.then_some(Election { members: response.members, skip: response.skip_assignment });
    }

    /// There is no assignment yet: the member tries to join again.
    pub(super) fn join_failed(&mut self, now: Now, io: &mut Io<'_>, error: Option<ErrorCode>) {
        if error.is_some_and(is_coordinator_gone) {
            self.group_mut().coordinator.forget();
        }
        let retry = self.config.network.retry;
        let classic = self.classic();
        if !matches!(classic.state, State::Joining | State::Syncing) {
            return;
        }
        classic.state = State::Unjoined;
        classic.rejoin = true;
        classic.retry_at = now.mono + retry.wait(classic.failures, io.rng);
        classic.failures += 1;
    }

    fn sync(&mut self, now: Now, io: &mut Io<'_>) {
        let Some(coordinator) = self.coordinator(now, io, ApiKey::SyncGroup) else { return };
        let mut assignments = Vec::new();
        if let Some(Election { members, skip }) = self.classic().elected.clone() {
            let Some(elected) = self.assign_all(&members) else { return };
            if !skip {
                assignments = elected;
            }
        }
        let (group, classic) = self.classic_and_group();
        let joined = classic.identity();
        let assignor = classic.assignor.map(|assignor| StrBytes::from_static_str(assignor.name()));
        let body = SyncGroupRequest::default()
            .with_group_id(GroupId(group.config.group_id.clone()))
            .with_generation_id(joined.epoch)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(group.config.instance_id.clone())
            .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
            .with_protocol_name(assignor)
            .with_assignments(assignments);
        let classic = self.classic();
        classic.state = State::Syncing;
        classic.elected = None;
        let message = (ApiKey::SyncGroup, RequestKind::SyncGroup(body));
        self.ask_coordinator(now, io, coordinator, message, Question::Sync(joined));
    }

    /// As the leader: assigns the partitions of all topics that somebody is subscribed to. `None` while it is not known how
    /// many there are.
    fn assign_all(&mut self, members: &[JoinGroupResponseMember]) -> Option<Vec<SyncGroupRequestAssignment>> {
        let assignor = self.classic().assignor.expect("all have joined");
        let subscribers: Vec<assignor::Member> = members
            .iter()
            .map(|member| {
                // Who writes nonsense is subscribed to nothing.
                let subscription = Subscription::decode(&member.metadata).unwrap_or_default();
                assignor::Member::new(
                    assignor,
                    member.member_id.clone(),
                    member.group_instance_id.clone(),
                    subscription,
                )
            })
            .collect();
        let mut counts = BTreeMap::new();
        let topics: BTreeSet<TopicName> =
            subscribers.iter().flat_map(|member| member.topics.iter().cloned()).collect();
        for name in topics {
            let slot = self.topic(&name);
            let topic = self.network.metadata().topic(slot);
            if !topic.known && topic.error.is_none() {
                return None;
            }
            counts.insert(name, self.network.metadata().partition_count(slot).unwrap_or(0));
        }
        let assigned = assignor::assign(assignor, &subscribers, &counts);
        self.classic().counts = Some(counts);
        let assignments = members.iter().zip(assigned).map(|(member, partitions)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.member_id.clone())
                .with_assignment(embedded::encode_assignment(&partitions))
        });
        Some(assignments.collect())
    }

    pub(super) fn sync_answered(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        joined: Joined,
        response: SyncGroupResponse,
    ) {
        let (group, classic) = self.classic_and_group();
        if classic.state != State::Syncing || classic.identity() != joined {
            return;
        }
        let resubscribed = classic.told != group.topics;
        let classic = self.classic();
        match ErrorCode::try_from_code(response.error_code) {
            None => {
                classic.state = State::Stable;
                classic.rejoin = resubscribed;
                classic.prepared = false;
                classic.synced = Some(response.assignment);
            }
            Some(ErrorCode::RebalanceInProgress) => {
                classic.state = State::Unjoined;
                classic.retry_at = now.mono;
            }
            Some(ErrorCode::UnknownMemberId) => classic.reset(true),
            Some(ErrorCode::IllegalGeneration) => classic.reset(false),
            Some(error) if is_coordinator_gone(error) || error.is_retriable() => {
                self.join_failed(now, io, Some(error));
            }
            Some(error) => self.fail_group(error),
        }
    }

    fn beat(&mut self, now: Now, io: &mut Io<'_>) {
        let session_timeout = self.group_mut().config.session_timeout;
        if self.classic().heartbeat.session_ends <= now.mono {
            let heartbeat = &mut self.classic().heartbeat;
            heartbeat.session_ends = now.mono + session_timeout;
            heartbeat.in_flight = false;
            self.lose_coordinator(now, io);
        }
        let heartbeat = &self.classic().heartbeat;
        if heartbeat.in_flight || heartbeat.next_at > now.mono {
            return;
        }
        let Some(coordinator) = self.coordinator(now, io, ApiKey::Heartbeat) else { return };
        let (group, classic) = self.classic_and_group();
        let joined = classic.identity();
        let body = HeartbeatRequest::default()
            .with_group_id(GroupId(group.config.group_id.clone()))
            .with_generation_id(joined.epoch)
            .with_member_id(joined.member_id.clone())
            .with_group_instance_id(group.config.instance_id.clone());
        let next_at = now.mono + group.config.heartbeat_interval;
        let heartbeat = &mut self.classic().heartbeat;
        heartbeat.in_flight = true;
        heartbeat.next_at = next_at;
        let message = (ApiKey::Heartbeat, RequestKind::Heartbeat(body));
        self.ask_coordinator(now, io, coordinator, message, Question::Heartbeat(joined));
    }

    /// What became of a Heartbeat request.
    pub(super) fn heartbeat_answered(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        joined: Joined,
        outcome: Result<Option<ErrorCode>, Option<Failure>>,
    ) {
        let session_ends = now.mono + self.group_mut().config.session_timeout;
        let retry_at = now.mono + self.config.network.retry.wait(0, io.rng);
        let classic = self.classic();
        // The answer to what a former self asked says nothing about this one.
        if classic.identity() != joined {
            return;
        }
        classic.heartbeat.in_flight = false;
        match outcome {
            Ok(None) => classic.heartbeat.session_ends = session_ends,
            Ok(Some(ErrorCode::RebalanceInProgress)) => {
                classic.heartbeat.session_ends = session_ends;
                classic.rejoin |= classic.is_stable();
            }
            Ok(Some(ErrorCode::UnknownMemberId)) => classic.reset(true),
            Ok(Some(ErrorCode::IllegalGeneration)) => classic.reset(false),
            Ok(Some(error @ (ErrorCode::FencedInstanceId | ErrorCode::GroupAuthorizationFailed))) => {
                self.fail_group(error);
            }
            Ok(Some(error)) => {
                classic.heartbeat.next_at = retry_at;
                if is_coordinator_gone(error) {
                    self.group_mut().coordinator.forget();
                }
            }
            Err(_) => classic.heartbeat.next_at = retry_at,
        }
    }

    /// Leaves on purpose. Returns whether there is an answer to wait for; `None` if it could not be sent yet.
    pub(super) fn leave_classic(&mut self, now: Now, io: &mut Io<'_>) -> Option<bool> {
        let (group, classic) = self.classic_and_group();
        if group.config.instance_id.is_some() || classic.member_id.is_empty() {
            return Some(false);
        }
        let member_id = classic.member_id.clone();
        if !self.send_leave(now, io, member_id) {
            return None;
        }
        self.classic().reset(true);
        Some(true)
    }

    fn send_leave(&mut self, now: Now, io: &mut Io<'_>, member_id: StrBytes) -> bool {
        let Some(coordinator) = self.coordinator(now, io, ApiKey::LeaveGroup) else { return false };
        let body =
            LeaveGroupRequest::default().with_group_id(GroupId(self.group_mut().config.group_id.clone()));
        // From version 3 on several leave at once (KIP-345).
        let body = if coordinator.1 < 3 {
            body.with_member_id(member_id)
        } else {
            body.with_members(vec![MemberIdentity::default().with_member_id(member_id)])
        };
        let message = (ApiKey::LeaveGroup, RequestKind::LeaveGroup(body));
        self.ask_coordinator(now, io, coordinator, message, Question::Leave);
        true
    }
}
