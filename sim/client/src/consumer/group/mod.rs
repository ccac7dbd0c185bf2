//! A consumer as a member of a consumer group: where its partitions and positions come from, and how it commits.
//!
//! - [`coordinator`]: finding the coordinator;
//! - [`classic`] and [`assignor`]: the protocol of JoinGroup and SyncGroup, in which a member assigns the partitions;
//! - [`reconcile`]: the protocol of KIP-848, in which the coordinator does;
//! - [`handover`]: giving partitions up, with all that the application has to do before;
//! - [`offsets`] and [`commit`]: positions from the coordinator and to it.

mod assignor;
mod classic;
mod commit;
mod config;
mod coordinator;
mod embedded;
mod handover;
mod offsets;
mod reconcile;

use std::collections::BTreeSet;

use trial_node::{Io, NodeId, Now, Offset, Span, Time};
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

use crate::network::{Failure, Outgoing, TopicSlot};

use super::partition::{Assigned, FetchState};
use super::{Consumer, ConsumerEvent, Context};

use classic::Classic;
use commit::Commits;
use coordinator::Coordinator;
use handover::{GivingUp, Then};
use offsets::CommittedOffsets;
use reconcile::Reconciler;

pub use assignor::Assignor;
pub use commit::CommitId;
pub use config::{GroupConfig, GroupProtocol};

/// How long [`Consumer::close`] takes at most: the default of `KafkaConsumer.close`.
const CLOSE_TIMEOUT: Span = Span::from_secs(30);

/// Who a consumer is in its group: what a transactional producer sends with the offsets of the records that it has read
/// (TxnOffsetCommit, KIP-447).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// `group.id`.
    pub group_id: StrBytes,
    /// The generation (classic protocol) in which it was last assigned something, or its last member epoch (KIP-848). It stays
    /// when the membership is lost, so that the coordinator can refuse it; −1 before the first, which is no member's.
    pub generation: i32,
    /// Its member id then; empty before.
    pub member_id: StrBytes,
    /// `group.instance.id`.
    pub instance_id: Option<StrBytes>,
}

/// What the consumer is in its group, and what it is waiting for.
#[derive(Clone, Debug)]
pub(super) struct Group {
    config: GroupConfig,
    /// The topics subscribed to, in order; empty before [`Consumer::subscribe`].
    topics: Vec<TopicName>,
    coordinator: Coordinator,
    membership: Membership,
    /// As whom it was last assigned something.
    last_joined: Option<Joined>,
    /// Partitions are being given up.
    giving_up: Option<GivingUp>,
    committed: CommittedOffsets,
    commits: Commits,
    /// When the application must have called [`Consumer::take`] again; `None` until it has for the first time.
    poll_by: Option<Time>,
    /// The application must be called again, for something happened that only it can go on with.
    nudge: bool,
    failed: bool,
    closing: Option<Closing>,
}

#[derive(Clone, Debug)]
enum Membership {
    Classic(Classic),
    Consumer(Reconciler),
}

/// How far [`Consumer::close`] has come.
#[derive(Clone, Copy, Debug)]
struct Closing {
    deadline: Time,
    stage: CloseStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CloseStage {
    /// Partitions are given up and commits are waited for.
    GivingUp,
    /// The group has been told.
    Leaving,
    Closed,
}

/// What a request to a coordinator is about.
#[derive(Clone, Debug)]
pub(super) enum Question {
    Coordinator,
    Join,
    Sync(Joined),
    Heartbeat(Joined),
    Leave,
    /// ConsumerGroupHeartbeat, with the membership's number.
    Reconcile(u64),
    Committed(Vec<Stint>),
    Commit(CommitId, Joined),
}

/// As whom a request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Joined {
    /// The generation, or the member epoch of KIP-848.
    epoch: i32,
    member_id: StrBytes,
}

/// A partition while it is the consumer's: when it is taken away and given back, it is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stint {
    index: usize,
    number: u32,
}

impl Group {
    pub fn new(config: GroupConfig) -> Group {
        let membership = match config.protocol {
            GroupProtocol::Classic => Membership::Classic(Classic::new()),
            GroupProtocol::Consumer => Membership::Consumer(Reconciler::new()),
        };
        Group {
            config,
            topics: Vec::new(),
            coordinator: Coordinator::default(),
            membership,
            last_joined: None,
            giving_up: None,
            committed: CommittedOffsets::default(),
            commits: Commits::default(),
            poll_by: None,
            nudge: false,
            failed: false,
            closing: None,
        }
    }

    fn is_subscribed(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Whether the application has not called for too long.
    fn poll_is_late(&self, now: Now) -> bool {
        self.closing.is_none() && self.poll_by.is_some_and(|by| by <= now.mono)
    }

    /// The generation or member epoch, and the member id, with which the group is asked for things. `None` if it is no member.
    fn joined(&self) -> Option<Joined> {
        match &self.membership {
            Membership::Classic(classic) => classic.joined(),
            Membership::Consumer(reconciler) => reconciler.joined(),
        }
    }
}

impl Consumer {
    /// Becomes a member of the group that the config names, to read these topics; instead of [`Consumer::assign`]. A second
    /// call replaces the topics.
    ///
    /// # Panics
    /// If the config names no group, or there are no topics.
    pub fn subscribe(&mut self, topics: &[TopicName]) {
        assert!(!topics.is_empty(), "who subscribes, subscribes to something");
        for topic in topics {
            self.topic(topic);
        }
        let group = self.group.as_mut().expect("only a consumer with a group.id subscribes");
        group.topics = topics.to_vec();
        group.topics.sort();
        group.topics.dedup();
        match &mut group.membership {
            Membership::Classic(classic) => classic.request_rejoin(),
            Membership::Consumer(reconciler) => reconciler.tell_everything(),
        }
    }

    /// The partitions that are the consumer's at present, in ascending order of their indexes.
    pub fn owned(&self) -> impl Iterator<Item = usize> + '_ {
        self.partitions.iter().enumerate().filter(|(_, assigned)| assigned.owned).map(|(index, _)| index)
    }

    /// Whether a partition is the consumer's at present. With [`Consumer::assign`], all are.
    pub fn is_owned(&self, index: usize) -> bool {
        self.partitions[index].owned
    }

    /// The offset that was last committed for a partition of the consumer's, as far as it knows; `None` if none was.
    pub fn committed(&self, index: usize) -> Option<Offset> {
        self.partitions[index].committed
    }

    /// Who the consumer is in its group, or was when it last was a member; `None` without a group. During a rebalance it is who
    /// it was before, as in Java: an answer to JoinGroup brings a generation, but nothing that was assigned in it.
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        let group = self.group.as_ref()?;
        let Joined { epoch, member_id } =
            group.last_joined.clone().unwrap_or(Joined { epoch: -1, member_id: StrBytes::default() });
        Some(GroupMetadata {
            group_id: group.config.group_id.clone(),
            generation: epoch,
            member_id,
            instance_id: group.config.instance_id.clone(),
        })
    }

    /// Begins to close: commits (with `enable.auto.commit`), has the owner give up what it has
    /// ([`ConsumerEvent::Revoking`](super::ConsumerEvent::Revoking)), leaves the group unless it is a static member, and closes
    /// its connections, all within 30 s. Nothing is handed out any more. [`Consumer::poll`] goes on with it.
    pub fn close(&mut self, now: Now) {
        let Some(group) = self.group.as_mut().filter(|group| group.is_subscribed()) else {
            self.closed = true;
            self.wake_at = Some(now.mono);
            return;
        };
        if group.closing.is_some() {
            return;
        }
        group.closing = Some(Closing { deadline: now.mono + CLOSE_TIMEOUT, stage: CloseStage::GivingUp });
        if group.giving_up.is_none() {
            let owned = self.owned().collect();
            self.give_up(now, owned, true, Then::Leave);
        }
        self.wake_at = Some(now.mono);
    }

    /// Whether [`Consumer::close`] has come to its end. The consumer is of no use then.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The consumer is somebody else in its group than before.
    fn note_joined(&mut self) {
        let group = self.group_mut();
        if let Some(joined) = group.joined() {
            group.last_joined = Some(joined);
        }
    }

    fn group_mut(&mut self) -> &mut Group {
        self.group.as_mut().expect("only asked with a group")
    }

    /// The application calls [`Consumer::take`]: does what Java's consumer does only within `poll`. Returns whether records may
    /// be handed out.
    pub(super) fn group_polled(&mut self, now: Now) -> bool {
        let Some(group) = &mut self.group else { return true };
        if !group.is_subscribed() {
            return true;
        }
        let asking = group.giving_up.as_ref().is_some_and(GivingUp::is_with_owner);
        if group.failed || group.closing.is_some() || asking {
            return false;
        }
        // A member that is late has been thrown out by then, unless it was frozen: then it learns of it here.
        if group.poll_is_late(now) {
            self.leave_late(now);
        }
        let group = self.group_mut();
        group.poll_by = Some(now.mono + group.config.max_poll_interval);
        group.nudge = false;
        self.auto_commit_if_due(now);
        self.rebalance(now);
        !self.group_mut().giving_up.as_ref().is_some_and(GivingUp::is_with_owner)
    }

    /// Goes as far in a rebalance as can be gone without an answer from somebody.
    fn rebalance(&mut self, now: Now) {
        loop {
            self.advance_giving_up(now);
            let group = self.group_mut();
            if group.giving_up.is_some() {
                return;
            }
            let goes_on = match &group.membership {
                Membership::Classic(_) => self.rebalance_classic(now),
                Membership::Consumer(_) => self.reconcile(now),
            };
            if !goes_on {
                return;
            }
        }
    }

    /// The application has not called for `max.poll.interval.ms`: whatever it does, it does it without the group.
    fn leave_late(&mut self, now: Now) {
        let group = self.group_mut();
        match &mut group.membership {
            Membership::Classic(classic) => classic.leave_late(group.config.instance_id.is_some()),
            Membership::Consumer(reconciler) => reconciler.leave_late(now),
        }
    }

    /// Sends what is due to the coordinator.
    pub(super) fn drive_group(&mut self, now: Now, io: &mut Io<'_>) {
        let Some(group) = &self.group else { return };
        if !group.is_subscribed() || group.failed {
            return self.drive_close(now, io);
        }
        if group.poll_is_late(now) {
            self.leave_late(now);
        }
        self.keep_coordinator(now, io);
        match &self.group_mut().membership {
            Membership::Classic(_) => self.drive_classic(now, io),
            Membership::Consumer(_) => self.drive_reconciler(now, io),
        }
        self.ask_for_committed(now, io);
        self.send_commit(now, io);
        self.drive_close(now, io);
    }

    fn drive_close(&mut self, now: Now, io: &mut Io<'_>) {
        let Some(Closing { deadline, stage }) = self.group_mut().closing else { return };
        self.advance_giving_up(now);
        let group = self.group_mut();
        let pending = group.giving_up.is_some() || !group.commits.is_empty();
        let done = stage == CloseStage::GivingUp && !pending && {
            let leaving = self.leave(now, io);
            if leaving.is_some()
                && let Some(closing) = &mut self.group_mut().closing
            {
                closing.stage = CloseStage::Leaving;
            }
            leaving == Some(false)
        };
        if done || deadline <= now.mono {
            self.end_close(io);
        }
    }

    /// Tells the group that the member goes. Returns whether there is an answer to wait for; `None` if it could not be told
    /// yet.
    fn leave(&mut self, now: Now, io: &mut Io<'_>) -> Option<bool> {
        if self.group_mut().failed || !self.group_mut().is_subscribed() {
            return Some(false);
        }
        match &self.group_mut().membership {
            Membership::Classic(_) => self.leave_classic(now, io),
            Membership::Consumer(_) => self.leave_reconciler(now, io),
        }
    }

    fn end_close(&mut self, io: &mut Io<'_>) {
        if let Some(closing) = &mut self.group_mut().closing {
            closing.stage = CloseStage::Closed;
        }
        self.closed = true;
        self.network.close(io);
    }

    /// Whether records are fetched at all.
    pub(super) fn is_closing(&self) -> bool {
        self.closed || self.group.as_ref().is_some_and(|group| group.closing.is_some())
    }

    /// The next instant at which the group wants something done. What is due already was tried just now: what it waits for
    /// instead has its own instant, or will be an input.
    pub(super) fn group_deadline(&mut self, now: Now) -> Option<Time> {
        let group = self.group.as_mut()?;
        if std::mem::take(&mut group.nudge) {
            return Some(now.mono);
        }
        let closing = group.closing.map(|closing| closing.deadline);
        if !group.is_subscribed() || group.failed {
            return closing;
        }
        let member = match &group.membership {
            Membership::Classic(classic) => classic.deadline(),
            Membership::Consumer(reconciler) => reconciler.deadline(),
        };
        let polls = group.closing.is_none().then_some([group.poll_by, group.commits.auto_at]);
        [member, group.coordinator.deadline(), group.committed.deadline(), closing]
            .into_iter()
            .chain(group.commits.deadlines())
            .chain(polls.into_iter().flatten())
            .flatten()
            .filter(|at| *at > now.mono)
            .min()
    }

    /// Takes in what became of a request.
    pub(super) fn group_answered(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        question: Question,
        outcome: Result<ResponseKind, Failure>,
    ) {
        if outcome.is_err() && !matches!(question, Question::Coordinator) {
            self.group_mut().coordinator.forget();
        }
        match (question, outcome) {
            (Question::Coordinator, Ok(ResponseKind::FindCoordinator(response))) => {
                self.coordinator_told(now, io, Some(response));
            }
            (Question::Coordinator, _) => self.coordinator_told(now, io, None),
            (Question::Join, Ok(ResponseKind::JoinGroup(response))) => self.join_answered(now, io, response),
            (Question::Join, _) => self.join_failed(now, io, None),
            (Question::Sync(joined), Ok(ResponseKind::SyncGroup(response))) => {
                self.sync_answered(now, io, joined, response);
            }
            (Question::Sync(_), _) => self.join_failed(now, io, None),
            (Question::Heartbeat(joined), Ok(ResponseKind::Heartbeat(response))) => {
                let error = ErrorCode::try_from_code(response.error_code);
                self.heartbeat_answered(now, io, joined, Ok(error));
            }
            (Question::Heartbeat(joined), outcome) => {
                self.heartbeat_answered(now, io, joined, Err(outcome.err()));
            }
            (Question::Leave, _) => {
                if self.group_mut().closing.is_some_and(|closing| closing.stage == CloseStage::Leaving) {
                    self.end_close(io);
                }
            }
            (Question::Reconcile(number), Ok(ResponseKind::ConsumerGroupHeartbeat(response))) => {
                self.reconciler_answered(now, io, number, Some(response));
            }
            (Question::Reconcile(number), _) => self.reconciler_answered(now, io, number, None),
            (Question::Committed(asked), Ok(ResponseKind::OffsetFetch(response))) => {
                self.committed_told(now, io, asked, Some(response));
            }
            (Question::Committed(asked), _) => self.committed_told(now, io, asked, None),
            (Question::Commit(id, joined), Ok(ResponseKind::OffsetCommit(response))) => {
                self.commit_answered(now, io, id, joined, response);
            }
            (Question::Commit(id, _), outcome) => {
                let timed_out = matches!(outcome, Err(Failure::TimedOut));
                let error = if timed_out { ErrorCode::RequestTimedOut } else { ErrorCode::NetworkException };
                self.commit_refused(now, io, id, error, true, true);
            }
        }
    }

    /// The group wants nothing to do with the consumer.
    fn fail_group(&mut self, error: ErrorCode) {
        self.group_mut().giving_up = None;
        self.lose_all();
        self.fail_commits(error);
        self.group_mut().failed = true;
        self.events.push(ConsumerEvent::GroupFailed { error });
    }

    /// Makes a partition the consumer's own. Its position comes from the coordinator.
    fn own(&mut self, topic: TopicSlot, partition: i32) -> usize {
        let next = self.partitions.len();
        let index = *self.indexes.entry((topic, partition)).or_insert(next);
        let metadata = self.network.metadata();
        let mut assigned = Assigned::new(topic, partition, self.config.reset_policy);
        assigned.state = FetchState::AwaitCommitted;
        assigned.topic_id = metadata.topic(topic).id;
        assigned.leader = metadata.leader(topic, partition);
        match self.partitions.get_mut(index) {
            None => self.partitions.push(assigned),
            Some(old) => {
                assigned.stint = old.stint + 1;
                assigned.asking = old.asking;
                assigned.source = old.source;
                let leader = assigned.leader.map(|(leader, _)| leader);
                if let Some(source) = assigned.source.take_if(|source| Some(*source) != leader) {
                    self.sessions.entry(source).or_default().update(index, None);
                }
                *old = assigned;
            }
        }
        self.dirty.insert(index);
        self.group_mut().committed.ask(index);
        index
    }

    /// Takes a partition away from the consumer.
    fn disown(&mut self, index: usize) {
        let assigned = &mut self.partitions[index];
        assigned.owned = false;
        assigned.revoking = false;
        assigned.state = FetchState::Unassigned;
        assigned.position = None;
        assigned.committed = None;
        self.fetched.retain(|fetched| fetched.index != index);
        self.to_ask.remove(&index);
        self.dirty.insert(index);
        self.group_mut().committed.forget(index);
    }

    /// The consumer has learned that it is no member any more.
    fn lose_all(&mut self) {
        let partitions: Vec<usize> = self.owned().collect();
        if partitions.is_empty() {
            return;
        }
        partitions.iter().for_each(|index| self.disown(*index));
        self.events.push(ConsumerEvent::Lost { partitions });
    }

    /// Takes the partitions that are newly the consumer's, and tells of it.
    fn adopt(&mut self, now: Now, epoch: i32, partitions: &BTreeSet<(TopicSlot, i32)>) {
        let mut indexes: Vec<usize> =
            partitions.iter().map(|(topic, partition)| self.own(*topic, *partition)).collect();
        indexes.sort_unstable();
        self.events.push(ConsumerEvent::Assigned { epoch, partitions: indexes });
        self.begin_auto_commit(now);
    }

    fn owned_partitions(&self) -> BTreeSet<(TopicSlot, i32)> {
        self.owned().map(|index| self.partition(index)).collect()
    }

    /// Sends a request on the coordinator's connection; [`Consumer::coordinator`] must just have told it.
    fn ask_coordinator(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        (node, api_version): (NodeId, i16),
        (api, body): (ApiKey, RequestKind),
        question: Question,
    ) {
        let timeout = self.config.network.request_timeout;
        self.ask_coordinator_for(now, io, (node, api_version), (api, body), question, timeout);
    }

    /// As [`Consumer::ask_coordinator`], for an answer that may take its time.
    fn ask_coordinator_for(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        (node, api_version): (NodeId, i16),
        (api, body): (ApiKey, RequestKind),
        question: Question,
        timeout: Span,
    ) {
        let context = Context::Group(question);
        let request = Outgoing { api, api_version, body, context, timeout };
        self.network.send(now, io, node, request);
    }
}

#[cfg(test)]
mod tests;
