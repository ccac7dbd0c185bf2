//! The coordinators of one kind, each on a partition that this broker leads (`CoordinatorRuntime` in Kafka's source).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_coordinator::{CallId, Coordinator, Env, LogRecord, Marker, Record, Request, SendId, Ticket};
use trial_node::view::{CoordinatorEntry, CoordinatorKind, CoordinatorView};
use trial_node::{
    Io, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId, Span, Time, TopicIdPartition,
    TopicPartition, TraceEvent,
};
use trial_wire::{Batch, BatchBuilder, Compression, ErrorCode, RequestKind, ResponseKind, TopicName};

use super::load::{Progress, load_chunk};
use crate::published::Published;
use crate::replica::{Context, ReplicaManager, TransactionMarker, Waiter};

/// How long the loader takes from one chunk of a log to the next, beside what the disk takes. It is a thread of its own in
/// Kafka: requests that come meanwhile are told that the coordinator is being loaded.
const LOADER_TURN: Span = Span::from_millis(1);

/// What sets one kind of coordinator apart, for the runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Which kind.
    pub kind: CoordinatorKind,
    /// The topic of their logs.
    pub topic: &'static str,
    /// How many bytes of a log are read at once when it is loaded.
    pub load_buffer_size: usize,
    /// How long an append may take to be committed.
    pub append_timeout: Span,
}

/// The surroundings of one call.
pub(crate) struct Around<'a, 'io> {
    /// Both clocks.
    pub now: Now,
    /// The node's disk and random stream.
    pub io: &'a mut Io<'io>,
    /// The logs.
    pub replicas: &'a mut ReplicaManager,
    /// The cluster's metadata.
    pub published: &'a Published,
    /// The last number that was used to name a request or a wait inside the broker.
    pub last_id: &'a mut u64,
}

impl Around<'_, '_> {
    /// A number that has named nothing yet.
    pub fn next_id(&mut self) -> u64 {
        *self.last_id += 1;
        *self.last_id
    }

    /// Calls the replica manager.
    pub fn replicate<T>(&mut self, call: impl FnOnce(&mut ReplicaManager, &mut Context<'_>) -> T) -> T {
        let mut ctx = Context {
            now: self.now,
            disk: &mut *self.io.disk,
            rng: &mut *self.io.rng,
            metadata: self.published,
        };
        call(self.replicas, &mut ctx)
    }

    /// Lets somebody wait for everything below `offset` to be committed; gives the name to wait by.
    pub fn await_committed(&mut self, tp: TopicIdPartition, offset: Offset, timeout: Span) -> Waiter {
        let waiter = Waiter(self.next_id());
        self.replicate(|replicas, ctx| replicas.await_committed(ctx, tp, offset, waiter, timeout));
        waiter
    }

    /// Calls a coordinator.
    fn env<T>(&mut self, call: impl FnOnce(&mut Env<'_>) -> T) -> T {
        call(&mut Env { now: self.now, rng: &mut *self.io.rng, metadata: self.published })
    }
}

/// What a runtime wants done.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "boxing would cost an allocation per message")]
pub(crate) enum Output {
    /// Answer a call.
    Respond { call: CallId, body: ResponseKind },
    /// Send a request; [`Runtime::handle_response`] tells what became of it.
    Send { tag: u64, to: NodeId, version: i16, body: RequestKind },
    /// A log holds what no coordinator has written, or cannot be read.
    Fatal(String),
}

/// What waits for a commit.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "boxing would cost an allocation per message")]
enum Wait {
    Append { ticket: Ticket, end: Offset },
    Respond { call: CallId, body: ResponseKind, instead: ResponseKind },
}

/// One coordinator.
#[derive(Clone, Debug)]
struct Shard<C> {
    coordinator: C,
    tp: TopicIdPartition,
    leader_epoch: LeaderEpoch,
    /// Whether it is still being loaded.
    loading: bool,
    /// It knows all records before this offset.
    applied: Offset,
    /// The deadline that is noted for it.
    due: Option<Time>,
}

/// All coordinators of one kind on this broker.
#[derive(Clone, Debug)]
pub(crate) struct Runtime<C: Coordinator> {
    settings: Settings,
    config: C::Config,
    shards: BTreeMap<i32, Shard<C>>,
    /// Partitions to be loaded, one after the other, and when the next chunk is read.
    loading: VecDeque<i32>,
    load_at: Time,
    deadlines: BTreeSet<(Time, i32)>,
    waits: BTreeMap<Waiter, (i32, Wait)>,
    sends: BTreeMap<u64, (i32, SendId)>,
    outputs: VecDeque<Output>,
    changed: BTreeSet<TopicIdPartition>,
}

impl<C: Coordinator> Runtime<C> {
    /// No coordinator yet.
    pub fn new(settings: Settings, config: C::Config) -> Runtime<C> {
        Runtime {
            settings,
            config,
            shards: BTreeMap::new(),
            loading: VecDeque::new(),
            load_at: Time::MAX,
            deadlines: BTreeSet::new(),
            waits: BTreeMap::new(),
            sends: BTreeMap::new(),
            outputs: VecDeque::new(),
            changed: BTreeSet::new(),
        }
    }

    /// The broker begins to lead a partition, in another epoch than before if it led it already, or with `None` leads it no
    /// longer. Partitions of other topics are none of its business.
    pub fn leadership(
        &mut self,
        around: &mut Around<'_, '_>,
        tp: TopicIdPartition,
        leader_epoch: Option<LeaderEpoch>,
    ) {
        if self.shards.get(&tp.partition).is_some_and(|shard| shard.tp == tp) {
            self.resign(tp.partition);
        }
        let own = || around.published.image.topic(tp.topic_id).is_some_and(|topic| self.is_own(&topic.name));
        let Some(leader_epoch) = leader_epoch.filter(|_| own()) else { return };
        let start = around.replicas.log_bounds(tp).map_or(Offset::ZERO, |bounds| bounds.log_start_offset);
        self.shards.insert(
            tp.partition,
            Shard {
                coordinator: C::new(self.config.clone()),
                tp,
                leader_epoch,
                loading: true,
                applied: start,
                due: None,
            },
        );
        if self.loading.is_empty() {
            self.load_at = around.now.mono + LOADER_TURN;
        }
        self.loading.push_back(tp.partition);
    }

    /// Whether a request for `partition` can be served here.
    ///
    /// # Errors
    /// NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS.
    pub fn check(&self, partition: i32) -> Result<(), ErrorCode> {
        match self.shards.get(&partition) {
            None => Err(ErrorCode::NotCoordinator),
            Some(shard) if shard.loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(_) => Ok(()),
        }
    }

    /// The partition of an active or loading coordinator.
    pub fn log(&self, partition: i32) -> Option<TopicIdPartition> {
        self.shards.get(&partition).map(|shard| shard.tp)
    }

    /// The partitions whose coordinators run here, loaded or not.
    pub fn partitions(&self) -> impl Iterator<Item = i32> {
        self.shards.keys().copied()
    }

    /// A request for the coordinator of `partition`, which [`Runtime::check`] has found fit.
    pub fn handle(&mut self, around: &mut Around<'_, '_>, partition: i32, request: Request<'_>) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        around.env(|env| shard.coordinator.handle(env, request));
        self.settle(around, partition);
    }

    /// Writes a transaction marker into the log of `partition` and gives the offset at whose commit it counts.
    ///
    /// # Errors
    /// As [`Runtime::check`], and as [`ReplicaManager::append_marker`].
    pub fn append_marker(
        &mut self,
        around: &mut Around<'_, '_>,
        partition: i32,
        marker: TransactionMarker,
    ) -> Result<Offset, ErrorCode> {
        self.check(partition)?;
        let shard = self.shards.get_mut(&partition).expect("it was found fit");
        let info = around.replicate(|replicas, ctx| replicas.append_marker(ctx, shard.tp, marker))?;
        let TransactionMarker { producer_id, producer_epoch, commit, .. } = marker;
        shard.coordinator.replay_marker(Marker { producer_id, producer_epoch, commit });
        shard.applied = info.last_offset + 1;
        self.changed.insert(shard.tp);
        let end = shard.applied;
        self.settle(around, partition);
        Ok(end)
    }

    /// A wait is over; false if it was none of ours.
    pub fn committed(
        &mut self,
        around: &mut Around<'_, '_>,
        waiter: Waiter,
        result: Result<(), ErrorCode>,
    ) -> bool {
        let Some((partition, wait)) = self.waits.remove(&waiter) else { return false };
        match wait {
            Wait::Append { ticket, end } => {
                let shard = self.shards.get_mut(&partition).expect("waits go with their coordinator");
                around.env(|env| shard.coordinator.completed(env, ticket, result.map(|()| end)));
                self.settle(around, partition);
            }
            Wait::Respond { call, body, instead } => {
                let body = if result.is_ok() { body } else { instead };
                self.outputs.push_back(Output::Respond { call, body });
            }
        }
        true
    }

    /// Whether the answer to an [`Output::Send`] is still awaited.
    pub fn is_awaited(&self, tag: u64) -> bool {
        self.sends.contains_key(&tag)
    }

    /// What became of an [`Output::Send`]. Answers that are not awaited any more are ignored.
    pub fn handle_response(&mut self, around: &mut Around<'_, '_>, tag: u64, response: Option<ResponseKind>) {
        let Some((partition, id)) = self.sends.remove(&tag) else { return };
        let shard = self.shards.get_mut(&partition).expect("requests go with their coordinator");
        around.env(|env| shard.coordinator.handle_response(env, id, response));
        self.settle(around, partition);
    }

    /// Topics or leaders have changed.
    pub fn metadata_changed(&mut self, around: &mut Around<'_, '_>) {
        let active: Vec<i32> =
            self.shards.iter().filter(|(_, shard)| !shard.loading).map(|(partition, _)| *partition).collect();
        for partition in active {
            let Some(shard) = self.shards.get_mut(&partition) else { continue };
            around.env(|env| shard.coordinator.metadata_changed(env));
            self.settle(around, partition);
        }
    }

    /// The next instant at which something is due; [`Time::MAX`] for never.
    pub fn deadline(&self) -> Time {
        self.deadlines.first().map_or(self.load_at, |(at, _)| self.load_at.min(*at))
    }

    /// Does what is due: lets coordinators act, reads the next chunk of a log.
    pub fn timeout(&mut self, around: &mut Around<'_, '_>) {
        let due = self.deadlines.iter().take_while(|(at, _)| *at <= around.now.mono);
        let due: Vec<i32> = due.map(|(_, partition)| *partition).collect();
        for partition in due {
            let shard = self.shards.get_mut(&partition).expect("deadlines go with their coordinator");
            around.env(|env| shard.coordinator.handle_timeout(env));
            self.settle(around, partition);
        }
        if self.load_at <= around.now.mono {
            self.load(around);
        }
    }

    /// The next thing that it wants done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Runtime::poll_output`] has something.
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// The broker stops: there is nobody left to answer.
    pub fn stop(&mut self) {
        self.changed.extend(self.shards.values().map(|shard| shard.tp));
        let changed = std::mem::take(&mut self.changed);
        *self = Runtime { changed, ..Runtime::new(self.settings, self.config.clone()) };
    }

    /// The partitions whose coordinators were loaded, changed or removed since [`Runtime::clear_changed`].
    pub fn changed(&self) -> impl Iterator<Item = TopicIdPartition> {
        self.changed.iter().copied()
    }

    /// Begins to note changes anew.
    pub fn clear_changed(&mut self) {
        self.changed.clear();
    }

    /// A loaded coordinator as an observer sees it.
    pub fn view(&self, tp: TopicIdPartition) -> Option<CoordinatorView> {
        let shard = self.active(tp)?;
        Some(CoordinatorView {
            kind: self.settings.kind,
            leader_epoch: shard.leader_epoch,
            applied: shard.applied,
        })
    }

    /// Calls `each` with everything durable that a loaded coordinator knows.
    pub fn entries(&self, tp: TopicIdPartition, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        if let Some(shard) = self.active(tp) {
            shard.coordinator.entries(each);
        }
    }

    fn active(&self, tp: TopicIdPartition) -> Option<&Shard<C>> {
        self.shards.get(&tp.partition).filter(|shard| shard.tp == tp && !shard.loading)
    }

    fn is_own(&self, topic: &TopicName) -> bool {
        topic.as_str() == self.settings.topic
    }

    /// Reads the next chunk of the first log in line; the coordinator acts once it knows all of it.
    fn load(&mut self, around: &mut Around<'_, '_>) {
        self.load_at = Time::MAX;
        let Some(&partition) = self.loading.front() else { return };
        let shard = self.shards.get_mut(&partition).expect("who resigns leaves the line");
        let max_bytes = self.settings.load_buffer_size;
        match load_chunk(around, &mut shard.coordinator, shard.tp, &mut shard.applied, max_bytes) {
            Ok(Progress::More) => {}
            Ok(Progress::Done) => {
                self.loading.pop_front();
                shard.loading = false;
                self.changed.insert(shard.tp);
                let topic = self.settings.topic;
                // Of an empty log there is nothing to tell: there are a hundred of them in a new cluster.
                if shard.applied > Offset::ZERO {
                    around.io.trace(TraceEvent::CoordinatorLoaded {
                        tp: TopicPartition::new(topic.to_owned(), partition),
                        leader_epoch: shard.leader_epoch,
                        applied: shard.applied,
                    });
                }
                around.env(|env| shard.coordinator.activate(env, shard.leader_epoch));
                self.settle(around, partition);
            }
            // The leadership is lost, maybe with the log's directory; who says so is on the way.
            Err(super::load::LoadError::Read(
                ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError,
            )) => {
                self.loading.pop_front();
            }
            Err(error) => {
                self.loading.pop_front();
                let log = TopicPartition::new(self.settings.topic.to_owned(), partition);
                self.outputs.push_back(Output::Fatal(format!("{log}: {error}")));
            }
        }
        if !self.loading.is_empty() {
            self.load_at = around.now.mono + LOADER_TURN;
        }
    }

    /// Forgets a coordinator. Who waits for it is answered.
    fn resign(&mut self, partition: i32) {
        let Some(mut shard) = self.shards.remove(&partition) else { return };
        if let Some(at) = shard.due {
            self.deadlines.remove(&(at, partition));
        }
        self.loading.retain(|loading| *loading != partition);
        self.sends.retain(|_, (of, _)| *of != partition);
        if shard.loading {
            return;
        }
        self.changed.insert(shard.tp);
        let of_shard = |(_, (of, _)): &(&Waiter, &(i32, Wait))| *of == partition;
        let waiting: Vec<Waiter> = self.waits.iter().filter(of_shard).map(|(waiter, _)| *waiter).collect();
        for waiter in waiting {
            if let Some((_, Wait::Respond { call, instead, .. })) = self.waits.remove(&waiter) {
                self.outputs.push_back(Output::Respond { call, body: instead });
            }
        }
        shard.coordinator.resign();
        while let Some(output) = shard.coordinator.poll_output() {
            match output {
                trial_coordinator::Output::Respond { call, body } => {
                    self.outputs.push_back(Output::Respond { call, body });
                }
                other => panic!("who resigns only answers, and does not want {other:?}"),
            }
        }
    }

    /// Carries out what a coordinator wants, and notes when it wants to act next.
    fn settle(&mut self, around: &mut Around<'_, '_>, partition: i32) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        while let Some(output) = shard.coordinator.poll_output() {
            match output {
                trial_coordinator::Output::Append { ticket, records, transaction } => {
                    match shard.append(around, &records, transaction) {
                        Ok(end) => {
                            self.changed.insert(shard.tp);
                            let waiter = around.await_committed(shard.tp, end, self.settings.append_timeout);
                            self.waits.insert(waiter, (partition, Wait::Append { ticket, end }));
                        }
                        Err(error) => {
                            around.env(|env| shard.coordinator.completed(env, ticket, Err(error)));
                        }
                    }
                }
                trial_coordinator::Output::Respond { call, body } => {
                    self.outputs.push_back(Output::Respond { call, body });
                }
                trial_coordinator::Output::RespondOnceCommitted { call, body, instead } => {
                    let bounds = around.replicas.log_bounds(shard.tp);
                    if bounds.is_some_and(|bounds| bounds.high_watermark >= shard.applied) {
                        self.outputs.push_back(Output::Respond { call, body });
                    } else {
                        let timeout = self.settings.append_timeout;
                        let waiter = around.await_committed(shard.tp, shard.applied, timeout);
                        self.waits.insert(waiter, (partition, Wait::Respond { call, body, instead }));
                    }
                }
                trial_coordinator::Output::Send { id, to, version, body } => {
                    let tag = around.next_id();
                    self.sends.insert(tag, (partition, id));
                    self.outputs.push_back(Output::Send { tag, to, version, body });
                }
                trial_coordinator::Output::ProducerId { id } => {
                    let result = around.replicas.take_producer_id();
                    let result = result.ok_or(ErrorCode::CoordinatorLoadInProgress);
                    around.env(|env| shard.coordinator.producer_id(env, id, result));
                }
                trial_coordinator::Output::Trace(event) => around.io.trace(event),
            }
        }
        let due = shard.coordinator.poll_timeout();
        if due != shard.due {
            if let Some(at) = shard.due {
                self.deadlines.remove(&(at, partition));
            }
            if let Some(at) = due {
                self.deadlines.insert((at, partition));
            }
            shard.due = due;
        }
    }
}

impl<C: Coordinator> Shard<C> {
    /// Appends records as one batch and lets the coordinator take them in. Gives the log's end after them.
    fn append(
        &mut self,
        around: &mut Around<'_, '_>,
        records: &[Record],
        transaction: Option<(ProducerId, ProducerEpoch)>,
    ) -> Result<Offset, ErrorCode> {
        let batch = batch(around.now.wall_ms, records, transaction);
        let info =
            around.replicate(|replicas, ctx| replicas.append_own(ctx, self.tp, &batch, self.leader_epoch))?;
        let mut offset = info.first_offset;
        for Record { key, value } in records {
            let record = LogRecord { offset, transaction, key, value: value.as_deref() };
            self.coordinator.replay(record).expect("a coordinator knows what it has just written");
            offset += 1;
        }
        self.applied = offset;
        Ok(offset)
    }
}

/// One batch of records. Transactional ones have no sequence number, as Kafka's coordinator has none for offsets.
fn batch(timestamp: i64, records: &[Record], transaction: Option<(ProducerId, ProducerEpoch)>) -> Batch {
    let mut batch = BatchBuilder::new(Compression::None);
    if let Some((producer_id, producer_epoch)) = transaction {
        batch.producer(producer_id.0, producer_epoch.0, -1).transactional();
    }
    for Record { key, value } in records {
        batch.push(timestamp, Some(key), value.as_deref(), &[]);
    }
    batch.build()
}
