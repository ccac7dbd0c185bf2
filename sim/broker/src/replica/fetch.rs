//! Fetch requests of consumers and followers.

use trial_node::{LeaderEpoch, NodeId, Offset, Span, TopicIdPartition, TopicPartition, TraceEvent};
use trial_security::acl::AclOperation;
use trial_wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use trial_wire::messages::{BrokerId, FetchRequest, FetchResponse, ProducerId};
use trial_wire::{Compression, ErrorCode, ResponseKind};

use bytes::Bytes;

use super::directories::not_hosted;
use super::fetch_session::{
    Ended, FetchKey, FetchParams, FetchSession, FetchedPartition, NO_TOPIC_ID, Waiting,
};
use super::partition::{FollowerFetch, LogRead, ReadBound, Watcher};
use super::read_replica::preferred_read_replica;
use super::{Aftermath, Context, Happened, Output, ReplicaManager};
use crate::Token;
use crate::security::Access;

/// So many bytes of a partition are an answer, if putting more together would take a copy: another request costs less.
const ENOUGH: usize = 256 << 10;
/// The first version that consumers may send to followers too (KIP-392).
const FETCH_FROM_FOLLOWER_VERSION: i16 = 11;
/// The first version that names topics by id (KIP-516).
const TOPIC_ID_VERSION: i16 = 13;
/// The first version with `replica_state` in the place of `replica_id` (KIP-903).
const REPLICA_STATE_VERSION: i16 = 15;
/// The first version with zstd (KIP-110).
const ZSTD_VERSION: i16 = 10;
/// The first version whose answers name the current leader (KIP-951).
const CURRENT_LEADER_VERSION: i16 = 16;

/// What was read of one partition.
#[derive(Clone, Debug)]
pub(super) struct PartitionRead {
    tp: TopicIdPartition,
    outcome: Result<Read, ErrorCode>,
    /// The client's offset.
    offset: Offset,
    log_start_offset: Offset,
    /// Whether the partition must be looked at again by the next request whatever happens.
    again: bool,
    /// Whether there is something that the client was not told.
    news: bool,
}

#[derive(Clone, Debug)]
struct Read {
    high_watermark: Offset,
    last_stable_offset: Offset,
    log_start_offset: Offset,
    diverging: Option<(LeaderEpoch, Offset)>,
    records: Bytes,
    /// For a consumer of committed data: the aborted transactions in the records.
    aborted: Vec<AbortedTransaction>,
    /// The replica that the consumer should read from instead (KIP-392): then nothing was read.
    preferred: Option<NodeId>,
}

impl Read {
    /// What every answer tells of a partition.
    fn told(partition: &super::partition::Partition, preferred: Option<NodeId>) -> Read {
        Read {
            high_watermark: partition.log.high_watermark(),
            last_stable_offset: partition.log.last_stable_offset(),
            log_start_offset: partition.log.log_start_offset(),
            diverging: None,
            records: Bytes::new(),
            aborted: Vec::new(),
            preferred,
        }
    }
}

impl PartitionRead {
    fn len(&self) -> usize {
        self.outcome.as_ref().map_or(0, |read| read.records.len())
    }

    /// Whether the client must hear of it at once.
    fn is_urgent(&self) -> bool {
        self.outcome.as_ref().map_or(true, |read| read.diverging.is_some() || read.preferred.is_some())
    }
}

impl ReplicaManager {
    /// A Fetch request of a consumer or a follower; `access` says what it may read, `None` that it may everything.
    pub(crate) fn handle_fetch(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: FetchRequest,
        access: Option<Access>,
    ) {
        let params = self.fetch_params(version, &request);
        match self.sessions.begin(ctx.metadata, ctx.rng, ctx.now.mono, params, &request) {
            Err(code) => {
                let response = FetchResponse::default().with_error_code(code.code());
                self.after.respond(token, ResponseKind::Fetch(response));
            }
            Ok(began) => {
                for ended in began.ended {
                    self.fetch_session_ended(ended);
                }
                for tp in began.forgotten {
                    self.unwatch(tp, began.key, params.replica);
                }
                if self.config.rack_aware_selector
                    && params.replica.is_none()
                    && version >= FETCH_FROM_FOLLOWER_VERSION
                    && let Some(session) = self.sessions.get_mut(began.key)
                {
                    session.rack = request.rack_id;
                }
                if let (Some(access), None) = (access, params.replica)
                    && let Some(session) = self.sessions.get_mut(began.key)
                {
                    session.set_access(access);
                }
                self.begin_fetch(ctx, token, version, began.key, request.max_wait_ms);
            }
        }
        self.settle(ctx);
    }

    fn fetch_params(&self, version: i16, request: &FetchRequest) -> FetchParams {
        let (replica, broker_epoch) = if version >= REPLICA_STATE_VERSION {
            (request.replica_state.replica_id.0, request.replica_state.replica_epoch)
        } else {
            (request.replica_id.0, -1)
        };
        let replica = (replica >= 0).then_some(NodeId(replica));
        let wanted = usize::try_from(request.max_bytes).unwrap_or(0);
        let most = usize::try_from(self.config.fetch_max_bytes).unwrap_or(0);
        FetchParams {
            replica,
            broker_epoch,
            read_committed: request.isolation_level == 1,
            leader_only: replica.is_some() || version < FETCH_FROM_FOLLOWER_VERSION,
            by_name: version < TOPIC_ID_VERSION,
            min_bytes: i64::from(request.min_bytes),
            max_bytes: if replica.is_some() { wanted } else { wanted.min(most) },
            full: false,
        }
    }

    fn begin_fetch(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        key: FetchKey,
        max_wait_ms: i32,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let superseded = session.waiting.take();
        let params = session.params;
        self.fail_waiting(key, superseded);
        let mut reads = std::mem::take(&mut self.reads);
        self.read_queued(ctx, key, &mut reads);
        if let Some(replica) = params.replica {
            self.update_follower(ctx, key, replica, params.broker_epoch, &mut reads);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        let nothing_wanted = session.partitions.is_empty() && session.unknown.is_empty();
        if max_wait_ms <= 0 || nothing_wanted || is_satisfied(session, &reads) {
            self.answer_fetch(ctx, token, version, key, &mut reads);
        } else {
            let deadline = ctx.now.mono + Span::from_millis(u64::from(max_wait_ms.unsigned_abs()));
            session.waiting = Some(Waiting { token, version, deadline });
            go_on_waiting(session, &reads);
            self.fetch_waits.set(deadline, key);
        }
        reads.clear();
        self.reads = reads;
    }

    /// Looks at a waiting fetch; `expired`: its time is up, and it gets what there is.
    pub(super) fn complete_fetch(&mut self, ctx: &mut Context<'_>, key: FetchKey, expired: bool) {
        if self.sessions.get_mut(key).is_none_or(|session| session.waiting.is_none()) {
            return;
        }
        let mut reads = std::mem::take(&mut self.reads);
        self.read_queued(ctx, key, &mut reads);
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(waiting) = session.waiting
        {
            if expired || is_satisfied(session, &reads) {
                session.waiting = None;
                self.fetch_waits.clear(waiting.deadline, key);
                self.answer_fetch(ctx, waiting.token, waiting.version, key, &mut reads);
            } else {
                go_on_waiting(session, &reads);
            }
        }
        reads.clear();
        self.reads = reads;
    }

    /// Reads from every partition in a session's queue, and empties the queue.
    fn read_queued(&mut self, ctx: &mut Context<'_>, key: FetchKey, reads: &mut Vec<PartitionRead>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let params = session.params;
        let mut budget = params.max_bytes;
        let mut min_one = true;
        while let Some(tp) = session.queue.pop_front() {
            let Some(fetched) = session.partitions.get_mut(&tp) else { continue };
            fetched.queued = false;
            let readable = session.access.as_deref().is_none_or(|access| {
                // Whether a topic exists that is told by its id is no secret.
                let name = ctx.metadata.topic_name(tp.topic_id);
                name.is_none_or(|name| access.topic(AclOperation::Read, name))
            });
            let (outcome, behind) = match self.partitions.get_mut(&tp) {
                _ if !readable => (Err(ErrorCode::TopicAuthorizationFailed), true),
                None => {
                    // The watch went with the replica.
                    fetched.watching = false;
                    let unknown_id = !params.by_name && ctx.metadata.topic_name(tp.topic_id).is_none();
                    let code = match unknown_id {
                        true => ErrorCode::UnknownTopicId,
                        false => not_hosted(&self.offline, ctx, tp),
                    };
                    (Err(code), true)
                }
                Some(partition) => {
                    if !fetched.watching {
                        fetched.watching = true;
                        let bound = match (params.replica, params.read_committed) {
                            (Some(_), _) => ReadBound::LogEnd,
                            (None, false) => ReadBound::HighWatermark,
                            (None, true) => ReadBound::LastStableOffset,
                        };
                        partition.watchers.push(Watcher { key, bound });
                    }
                    let throttled = self.leader_throttle.is_on()
                        && partition.throttled.leader
                        && params.replica.is_some_and(|replica| !partition.is_in_sync(replica))
                        && self.leader_throttle.is_exceeded(ctx.now.mono);
                    let (limit, min_one) = match throttled {
                        true => (0, false),
                        false => (budget.min(usize::try_from(fetched.max_bytes).unwrap_or(0)), min_one),
                    };
                    let elsewhere = (!session.rack.is_empty())
                        .then(|| {
                            let (me, offset) = (self.config.node_id, fetched.fetch_offset);
                            preferred_read_replica(ctx.metadata, partition, me, &session.rack, offset)
                        })
                        .flatten();
                    let reading = Reading { params, limit, min_one, elsewhere };
                    read_partition(ctx, partition, fetched, reading, &mut self.after)
                }
            };
            let read = PartitionRead {
                tp,
                again: behind || outcome.is_err(),
                news: outcome.as_ref().map_or(true, |read| {
                    !read.records.is_empty()
                        || read.diverging.is_some()
                        || read.preferred.is_some()
                        || read.high_watermark != fetched.sent_high_watermark
                        || read.log_start_offset != fetched.sent_log_start_offset
                }),
                offset: fetched.fetch_offset,
                log_start_offset: fetched.log_start_offset,
                outcome,
            };
            budget = budget.saturating_sub(read.len());
            min_one = min_one && read.len() == 0;
            reads.push(read);
        }
    }

    /// A follower's fetch says how far it has come.
    fn update_follower(
        &mut self,
        ctx: &Context<'_>,
        key: FetchKey,
        replica: NodeId,
        broker_epoch: i64,
        reads: &mut [PartitionRead],
    ) {
        let around = self.surroundings(ctx);
        let lasting = self.sessions.get_mut(key).is_some_and(|session| !session.is_passing());
        for read in reads.iter_mut() {
            let Ok(Read { diverging: None, .. }) = read.outcome else { continue };
            let Some(partition) = self.partitions.get_mut(&read.tp) else { continue };
            let fetch = FollowerFetch {
                replica,
                broker_epoch,
                offset: read.offset,
                log_start_offset: read.log_start_offset,
                session: lasting.then_some(key),
            };
            match partition.update_follower(fetch, around) {
                Err(code) => {
                    read.outcome = Err(code);
                    read.news = true;
                    read.again = true;
                }
                Ok(update) => {
                    if let Some(proposal) = update.proposal {
                        self.alter_partition.submit(read.tp, proposal, partition);
                    }
                    if update.log_start_moved {
                        self.after.acknowledged.push(read.tp);
                    }
                    if update.high_watermark_moved {
                        let happened = Happened { high_watermark: true, ..Happened::default() };
                        self.after.note(partition, &mut self.sessions, happened);
                        self.high_watermark_moved(ctx.now.mono);
                    }
                }
            }
        }
    }

    fn answer_fetch(
        &mut self,
        ctx: &Context<'_>,
        token: Token,
        version: i16,
        key: FetchKey,
        reads: &mut Vec<PartitionRead>,
    ) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        let full = session.params.full;
        session.params.full = false;
        let mut response = FetchResponse::default().with_session_id(session.id());
        for (name, partition) in session.unknown.drain(..) {
            let readable = session.access.as_deref().is_none_or(|it| it.topic(AclOperation::Read, &name));
            let data = error_data(
                partition,
                match readable {
                    true => ErrorCode::UnknownTopicOrPartition,
                    false => ErrorCode::TopicAuthorizationFailed,
                },
            );
            response
                .responses
                .push(FetchableTopicResponse::default().with_topic(name).with_partitions(vec![data]));
        }
        // Who got nothing for lack of room comes before who got something.
        for served in [false, true] {
            for read in reads.iter().filter(|read| read.again && (read.len() > 0) == served) {
                session.enqueue(read.tp);
            }
        }
        for read in reads.drain(..) {
            if !full && !read.news {
                continue;
            }
            if let Some(fetched) = session.partitions.get_mut(&read.tp) {
                let sent = read.outcome.as_ref().ok();
                fetched.sent_high_watermark = sent.map_or(Offset::UNKNOWN, |read| read.high_watermark);
                fetched.sent_log_start_offset = sent.map_or(Offset::UNKNOWN, |read| read.log_start_offset);
            }
            let tp = read.tp;
            if let Ok(Read { preferred: Some(replica), .. }) = read.outcome
                && let Some(partition) = self.partitions.get(&tp)
            {
                self.after.outputs.push_back(Output::Trace(TraceEvent::ReadReplicaChosen {
                    tp: TopicPartition { topic: partition.topic.clone(), partition: tp.partition },
                    replica,
                }));
            }
            if self.leader_throttle.is_on()
                && session.params.replica.is_some()
                && self.partitions.get(&tp).is_some_and(|partition| partition.throttled.leader)
            {
                self.leader_throttle.record(ctx.now.mono, read.len());
            }
            // Whatever the records are compressed with, as in Kafka: who cannot read some is to hear of it at once.
            let in_zstd = version < ZSTD_VERSION
                && self.partitions.get(&tp).is_some_and(|partition| {
                    matches!(partition.log.config().compression, Some((Compression::Zstd, _)))
                });
            let mut data = match in_zstd {
                true => error_data(tp.partition, ErrorCode::UnsupportedCompressionType),
                false => partition_data(read, session.params),
            };
            if version >= CURRENT_LEADER_VERSION {
                name_current_leader(ctx, tp, &mut data, &mut response.node_endpoints);
            }
            let by_name = session.params.by_name;
            match response.responses.last_mut().filter(|topic| topic_is(ctx, topic, tp, by_name)) {
                Some(topic) => topic.partitions.push(data),
                None => {
                    let topic = FetchableTopicResponse::default().with_partitions(vec![data]);
                    if response.responses.is_empty() {
                        // Most responses have no other.
                        response.responses.reserve_exact(1);
                    }
                    response.responses.push(if by_name {
                        let name = ctx.metadata.topic_name(tp.topic_id).cloned().unwrap_or_default();
                        topic.with_topic(name).with_topic_id(NO_TOPIC_ID)
                    } else {
                        topic.with_topic_id(tp.topic_id)
                    });
                }
            }
        }
        if session.is_passing()
            && let Some(ended) = self.sessions.end(key)
        {
            self.fetch_session_ended(ended);
        }
        self.after.respond(token, ResponseKind::Fetch(response));
    }

    /// The client gets nothing of this answer, for it is over its quota: its session is as if there had been no answer. One that
    /// would have begun with it does not.
    pub(crate) fn withhold_fetch(&mut self, ctx: &Context<'_>, answer: &FetchResponse, begins: bool) {
        let Some(session) = self.sessions.of_id(answer.session_id) else { return };
        let key = session.key;
        if !begins {
            session.untell(ctx.metadata, answer);
        } else if let Some(ended) = self.sessions.end(key) {
            self.fetch_session_ended(ended);
        }
    }

    fn fetch_session_ended(&mut self, ended: Ended) {
        for tp in ended.watched {
            self.unwatch(tp, ended.key, ended.replica);
        }
        self.fail_waiting(ended.key, ended.waiting);
    }

    /// Answers a fetch that waits on a session which has gone on without it.
    fn fail_waiting(&mut self, key: FetchKey, waiting: Option<Waiting>) {
        if let Some(waiting) = waiting {
            self.fetch_waits.clear(waiting.deadline, key);
            let code = ErrorCode::InvalidFetchSessionEpoch.code();
            let response = FetchResponse::default().with_error_code(code);
            self.after.respond(waiting.token, ResponseKind::Fetch(response));
        }
    }

    fn unwatch(&mut self, tp: TopicIdPartition, key: FetchKey, replica: Option<NodeId>) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        partition.watchers.retain(|watcher| watcher.key != key);
        if let Some(remote) = replica.and_then(|id| partition.leadership()?.remote(id))
            && remote.session == Some(key)
        {
            remote.session = None;
        }
    }
}

/// How a partition is read.
#[derive(Clone, Copy)]
struct Reading {
    params: FetchParams,
    /// The most bytes, unless one batch has more and `min_one` asks for one.
    limit: usize,
    min_one: bool,
    /// The replica that the consumer should read from instead (KIP-392).
    elsewhere: Option<NodeId>,
}

/// What one partition has for a fetch, and whether it has more than the client has asked past.
fn read_partition(
    ctx: &mut Context<'_>,
    partition: &super::partition::Partition,
    fetched: &FetchedPartition,
    reading: Reading,
    after: &mut Aftermath,
) -> (Result<Read, ErrorCode>, bool) {
    let Reading { params, limit, min_one, elsewhere } = reading;
    if let Err(code) = partition.check(fetched.current_leader_epoch, params.leader_only) {
        return (Err(code), true);
    }
    if let Some(elsewhere) = elsewhere {
        return (Ok(Read::told(partition, Some(elsewhere))), true);
    }
    let bound = match params.replica {
        Some(replica) if !partition.is_assigned(replica) => {
            // It is assigned by a change that has not come here yet, or was, and has not heard.
            let knows_epoch = fetched.current_leader_epoch >= 0;
            let code =
                if knows_epoch { ErrorCode::UnknownLeaderEpoch } else { ErrorCode::NotLeaderOrFollower };
            return (Err(code), true);
        }
        Some(_) => partition.log.log_end_offset(),
        None if params.read_committed => partition.log.last_stable_offset(),
        None => partition.log.high_watermark(),
    };
    let enough = usize::try_from(params.min_bytes).unwrap_or(0).max(ENOUGH);
    let limits = (enough, limit);
    let read =
        partition.read(ctx.disk, fetched.fetch_offset, fetched.last_fetched_epoch, limits, bound, min_one);
    let mut aborted = Vec::new();
    let (diverging, records) = match read {
        Err(error) => return (Err(after.read_failed(partition.directory, error)), true),
        Ok(LogRead::Diverging(epoch, end_offset)) => (Some((epoch, end_offset)), Bytes::new()),
        Ok(LogRead::Data(data)) => {
            if params.read_committed && params.replica.is_none() && !data.records.is_empty() {
                partition.log.aborted_transactions(fetched.fetch_offset, data.next_offset, &mut |txn| {
                    aborted.push(
                        AbortedTransaction::default()
                            .with_producer_id(ProducerId(txn.producer_id.0))
                            .with_first_offset(txn.first_offset.0),
                    );
                });
            }
            (None, data.records)
        }
    };
    let read = Read { diverging, records, aborted, ..Read::told(partition, None) };
    let behind = fetched.fetch_offset < bound || read.diverging.is_some();
    // Who is not in sync must be looked at by each fetch, for it may become eligible.
    let joins = params.replica.is_some_and(|replica| !partition.is_in_sync(replica));
    (Ok(read), behind || joins)
}

fn is_satisfied(session: &FetchSession, reads: &[PartitionRead]) -> bool {
    let bytes: usize = reads.iter().map(PartitionRead::len).sum();
    !session.unknown.is_empty()
        || i64::try_from(bytes).unwrap_or(i64::MAX) >= session.params.min_bytes
        || reads.iter().any(PartitionRead::is_urgent)
}

/// Puts back into the queue what the answer will have to tell.
fn go_on_waiting(session: &mut FetchSession, reads: &[PartitionRead]) {
    for read in reads {
        if read.again || read.news || session.params.full {
            session.enqueue(read.tp);
        }
    }
}

fn topic_is(ctx: &Context<'_>, topic: &FetchableTopicResponse, tp: TopicIdPartition, by_name: bool) -> bool {
    if by_name {
        ctx.metadata.topic_name(tp.topic_id).is_some_and(|name| *name == topic.topic)
    } else {
        topic.topic_id == tp.topic_id
    }
}

fn error_data(partition: i32, code: ErrorCode) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_error_code(code.code())
        .with_high_watermark(-1)
        .with_aborted_transactions(None)
}

fn partition_data(read: PartitionRead, params: FetchParams) -> PartitionData {
    let partition = read.tp.partition;
    match read.outcome {
        Err(code) => error_data(partition, code),
        Ok(read) => {
            let data = PartitionData::default()
                .with_partition_index(partition)
                .with_high_watermark(read.high_watermark.0)
                .with_last_stable_offset(read.last_stable_offset.0)
                .with_log_start_offset(read.log_start_offset.0)
                .with_aborted_transactions(params.read_committed.then_some(read.aborted))
                .with_records(Some(read.records));
            let data = match read.preferred {
                Some(node) => data.with_preferred_read_replica(BrokerId(node.0)),
                None => data,
            };
            match read.diverging {
                Some((epoch, end_offset)) => data.with_diverging_epoch(
                    EpochEndOffset::default().with_epoch(epoch.0).with_end_offset(end_offset.0),
                ),
                None => data,
            }
        }
    }
}

/// Tells a client that came to the wrong broker, or with an old epoch, where the leader is.
fn name_current_leader(
    ctx: &Context<'_>,
    tp: TopicIdPartition,
    data: &mut PartitionData,
    endpoints: &mut Vec<NodeEndpoint>,
) {
    let wrong = [ErrorCode::NotLeaderOrFollower, ErrorCode::FencedLeaderEpoch];
    if !wrong.iter().any(|code| code.code() == data.error_code) {
        return;
    }
    let Some(state) = ctx.metadata.partition(tp) else { return };
    data.current_leader = LeaderIdAndEpoch::default()
        .with_leader_id(BrokerId(state.leader.0))
        .with_leader_epoch(state.leader_epoch.0);
    let named = endpoints.iter().any(|node| node.node_id.0 == state.leader.0);
    if let Some(broker) = ctx.metadata.broker(state.leader).filter(|_| !named) {
        endpoints.push(
            NodeEndpoint::default()
                .with_node_id(BrokerId(state.leader.0))
                .with_host(broker.endpoint.host.clone())
                .with_port(i32::from(broker.endpoint.port)),
        );
    }
}
