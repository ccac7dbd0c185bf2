//! The replicas of partitions that this broker hosts: produce and fetch, the ISR, and the fetchers that follow other
//! brokers.
//!
//! How to drive a [`ReplicaManager`]:
//! - [`ReplicaManager::open`] at the broker's start, [`ReplicaManager::set_broker_epoch`] after each registration;
//! - [`ReplicaManager::apply`] after each change of the cluster's metadata, with what changed;
//! - `handle_*` for each request of a client or a follower. A request is named by its [`Token`]; its
//!   answer is an [`Output`] with that token, at once or later;
//! - [`ReplicaManager::handle_response`] for each answer to a request that came out as [`Output::ToBroker`] or
//!   [`Output::ToController`], or for its failure;
//! - [`ReplicaManager::append_own`], [`ReplicaManager::await_committed`], [`ReplicaManager::read_local`],
//!   [`ReplicaManager::verify_own`] for the coordinators that this broker runs; [`Output::Leadership`] tells when;
//! - [`ReplicaManager::append_marker`] for each marker of a WriteTxnMarkers request;
//! - [`ReplicaManager::handle_verification`] for the answer to each [`Output::VerifyTransaction`];
//! - [`ReplicaManager::handle_timeout`] at or after [`ReplicaManager::poll_timeout`];
//! - [`ReplicaManager::poll_output`] after each of these until it has no more;
//! - [`ReplicaManager::shutdown`] once the broker no longer leads anything and is about to stop.

mod alter_partition;
mod apply;
mod assignments;
mod checkpoints;
mod committed;
mod delete_records;
mod directories;
mod fetch;
mod fetch_session;
mod fetcher;
mod isr;
mod list_offsets;
mod local;
pub mod metadata;
mod partition;
mod produce;
mod producer_ids;
mod purgatory;
mod read_replica;
mod retention;
#[cfg(test)]
mod tests;
mod throttle;
mod timers;
mod transactions;
mod verification;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::view::{BatchView, ReplicaView};
use trial_node::{
    Disk, DiskError, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId, Rng, Span, Time,
    TopicIdPartition, TopicPartition, TraceEvent,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, Uuid};

use crate::Token;

use alter_partition::AlterPartitionQueue;
use assignments::Assignments;
use checkpoints::CheckpointsDue;
use committed::CommitWait;
use delete_records::DelayedDeleteRecords;
use directories::Directory;
use fetch::PartitionRead;
use fetch_session::{FetchKey, FetchSessions};
use fetcher::Fetcher;
use partition::{Partition, ReadBound, Surroundings};
use produce::DelayedProduce;
use producer_ids::ProducerIds;
use purgatory::{Deadlines, Purgatory};
use throttle::Throttle;
use timers::Timer;
use verification::Verifications;

pub use committed::Waiter;
pub(crate) use directories::as_disk_error;
pub use directories::{DirectoryView, FoundDirectory, LogDirectory};
pub use local::LogBounds;
pub use metadata::{BrokerState, ClusterMetadata, PartitionState};
pub(crate) use retention::cleaner_keys_max;
pub use transactions::TransactionMarker;
pub use verification::{TransactionSupport, VerificationId};

/// Names a request that the replica manager sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Why a request that the replica manager sent got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// The connection could not be made or was lost, or nobody knows whom to connect to.
    Disconnected,
    /// No answer came in time; the caller has given the connection up.
    TimedOut,
}

/// What the replica manager wants done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Answer a request.
    Respond {
        /// The request.
        token: Token,
        /// The answer, in the request's version.
        body: Box<ResponseKind>,
    },
    /// A Produce request with `acks=0` is done and gets no answer.
    NoResponse {
        /// The request.
        token: Token,
        /// Whether something failed: Kafka then closes the connection, the only way to tell the client.
        close: bool,
    },
    /// Send a request to another broker's inter-broker listener. There is at most one in flight per broker.
    ToBroker {
        /// The broker.
        node: NodeId,
        /// The request's name for [`ReplicaManager::handle_response`].
        id: RequestId,
        /// The API version.
        version: i16,
        /// The request.
        body: Box<RequestKind>,
    },
    /// Send a request to the active controller.
    ToController {
        /// The request's name for [`ReplicaManager::handle_response`].
        id: RequestId,
        /// The API version.
        version: i16,
        /// The request.
        body: Box<RequestKind>,
    },
    /// This broker begins to lead a partition in a new epoch, or, with `None`, leads it no longer. An epoch may follow
    /// another at once: then another broker may have led in between.
    Leadership {
        /// The partition.
        tp: TopicIdPartition,
        /// The epoch in which it leads from now on.
        leader_epoch: Option<LeaderEpoch>,
    },
    /// The end of [`ReplicaManager::await_committed`].
    Committed {
        /// Who waited.
        waiter: Waiter,
        /// NOT_LEADER_OR_FOLLOWER if the leadership was lost, REQUEST_TIMED_OUT if the time is up, or
        /// NOT_ENOUGH_REPLICAS_AFTER_APPEND if it is committed by fewer than `min.insync.replicas`.
        result: Result<(), ErrorCode>,
    },
    /// Ask the transaction's coordinator whether partitions belong to the producer's open transaction (KIP-890), with an
    /// AddPartitionsToTxn request; the answer goes to [`ReplicaManager::handle_verification`], always.
    VerifyTransaction {
        /// Names the question.
        id: VerificationId,
        /// The transactional id.
        transactional_id: StrBytes,
        /// Its producer.
        producer_id: ProducerId,
        /// The producer's epoch.
        producer_epoch: ProducerEpoch,
        /// The partitions, each once.
        partitions: Vec<TopicPartition>,
        /// Whether the coordinator is to add them to the transaction (transaction version 2); else it only verifies that they
        /// are in it.
        add: bool,
    },
    /// The end of [`ReplicaManager::verify_own`].
    Verified {
        /// Who asked.
        waiter: Waiter,
        /// Whether [`ReplicaManager::append_own`] may begin the transaction in the partition; else the error for the client.
        result: Result<(), ErrorCode>,
    },
    /// Tell the people who read the run.
    Trace(TraceEvent),
    /// A log directory has failed: its replicas are not here any more. To be told to the controller by the directory's id
    /// (KIP-858); if the metadata log is there, the broker must stop.
    DirectoryFailed {
        /// Its path within the node's disk.
        path: String,
        /// Its id.
        id: Uuid,
        /// What happened first.
        error: DiskError,
    },
}

/// The surroundings of one call.
pub struct Context<'a> {
    /// Both clocks.
    pub now: Now,
    /// The broker's disk.
    pub disk: &'a mut dyn Disk,
    /// The broker's random stream.
    pub rng: &'a mut Rng,
    /// The cluster's metadata as the broker knows it.
    pub metadata: &'a dyn ClusterMetadata,
}

/// The broker's configuration as far as replication is concerned. Names and defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaConfig {
    /// `node.id`.
    pub node_id: NodeId,
    /// `replica.lag.time.max.ms`: a follower that has not caught up for so long leaves the ISR.
    pub replica_lag_time_max: Span,
    /// `replica.fetch.wait.max.ms`.
    pub replica_fetch_wait_max: Span,
    /// `replica.fetch.min.bytes`.
    pub replica_fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`: per partition.
    pub replica_fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`.
    pub replica_fetch_response_max_bytes: i32,
    /// `replica.fetch.backoff.ms`.
    pub replica_fetch_backoff: Span,
    /// `replica.high.watermark.checkpoint.interval.ms`.
    pub high_watermark_checkpoint_interval: Span,
    /// `log.flush.offset.checkpoint.interval.ms`.
    pub recovery_point_checkpoint_interval: Span,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// Whether `replica.selector.class` is the rack-aware one (KIP-392): consumers are sent to a replica in their rack.
    pub rack_aware_selector: bool,
    /// `transaction.partition.verification.enable` (KIP-890).
    pub transaction_partition_verification: bool,
    /// `producer.id.expiration.ms` (KIP-854).
    pub producer_id_expiration: Span,
    /// `producer.id.expiration.check.interval.ms`.
    pub producer_id_expiration_check_interval: Span,
    /// `log.cleaner.backoff.ms`.
    pub log_cleaner_backoff: Span,
    /// How many keys `log.cleaner.dedupe.buffer.size` has room for.
    pub log_cleaner_keys_max: usize,
    /// `log.retention.check.interval.ms`.
    pub log_retention_check_interval: Span,
}

impl ReplicaConfig {
    /// Kafka's defaults for the broker `node_id`.
    pub fn new(node_id: NodeId) -> ReplicaConfig {
        ReplicaConfig {
            node_id,
            replica_lag_time_max: Span::from_secs(30),
            replica_fetch_wait_max: Span::from_millis(500),
            replica_fetch_min_bytes: 1,
            replica_fetch_max_bytes: 1 << 20,
            replica_fetch_response_max_bytes: 10 << 20,
            replica_fetch_backoff: Span::from_secs(1),
            high_watermark_checkpoint_interval: Span::from_secs(5),
            recovery_point_checkpoint_interval: Span::from_secs(60),
            fetch_session_slots: 1_000,
            fetch_max_bytes: 55 << 20,
            rack_aware_selector: false,
            transaction_partition_verification: true,
            producer_id_expiration: Span::from_secs(24 * 3600),
            producer_id_expiration_check_interval: Span::from_secs(600),
            log_cleaner_backoff: Span::from_secs(15),
            log_cleaner_keys_max: cleaner_keys_max(128 << 20, 900_000),
            log_retention_check_interval: Span::from_secs(300),
        }
    }
}

/// What changed in the cluster's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataChanges {
    /// Partitions that were created or changed, whether or not this broker hosts them.
    pub partitions: Vec<TopicIdPartition>,
    /// Topics that were deleted.
    pub deleted_topics: Vec<Uuid>,
    /// Topics whose configuration changed; every hosted topic if the cluster's or this broker's did.
    pub configured_topics: Vec<Uuid>,
}

/// The replicas of this broker. See the module's documentation for how to drive it.
#[derive(Clone, Debug)]
pub struct ReplicaManager {
    config: ReplicaConfig,
    broker_epoch: i64,
    partitions: BTreeMap<TopicIdPartition, Partition>,
    sessions: FetchSessions,
    fetch_waits: Deadlines<FetchKey>,
    produces: Purgatory<TopicIdPartition, DelayedProduce>,
    commits: Purgatory<TopicIdPartition, CommitWait>,
    deletions: Purgatory<TopicIdPartition, DelayedDeleteRecords>,
    verifications: Verifications,
    fetchers: BTreeMap<NodeId, Fetcher>,
    alter_partition: AlterPartitionQueue,
    producer_ids: ProducerIds,
    /// Requests of ours that are not answered yet.
    requests: Vec<(RequestId, Sent)>,
    last_request: u64,
    /// Partitions in whose ISR somebody is behind, for the next check whether to shrink it.
    lagging: Vec<TopicIdPartition>,
    directories: Vec<Directory>,
    /// The partitions whose replica is, or may be, in a directory that is offline.
    offline: BTreeSet<TopicIdPartition>,
    /// The replicas that led, and had changed in this step when their directory went offline: observers have not seen that.
    lost: Vec<Partition>,
    /// Whether everything is known that was here before this process: who comes now is new here.
    loaded: bool,
    assignments: Assignments,
    checkpoints_due: CheckpointsDue,
    timers: Deadlines<Timer>,
    started: Time,
    after: Aftermath,
    /// What this broker sends as a leader, and fetches as a follower, of throttled replicas.
    leader_throttle: Throttle,
    follower_throttle: Throttle,
    /// All logs are closed.
    stopped: bool,
    /// Kept for its memory.
    reads: Vec<PartitionRead>,
}

/// What a request of ours was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Fetcher(NodeId),
    AlterPartition,
    AllocateProducerIds,
    AssignReplicasToDirs,
}

/// What a step leaves to be done at its end, so that a request for many partitions is looked at once and not once per
/// partition.
#[derive(Clone, Debug, Default)]
struct Aftermath {
    outputs: VecDeque<Output>,
    /// Replicas that an observer has to look at again.
    changed: Vec<TopicIdPartition>,
    /// How often that list was begun anew; a replica on it has this number.
    noting: u64,
    /// Partitions of which those who wait for something to be committed, or deleted everywhere, may be answered.
    acknowledged: Vec<TopicIdPartition>,
    /// Waiting fetches that may be answered.
    woken: Vec<FetchKey>,
    /// Fetchers that may have something to send.
    fetchers: Vec<NodeId>,
    /// Directories in which something has failed.
    failed: Vec<(usize, DiskError)>,
}

/// What happened to a replica.
#[derive(Clone, Copy, Debug, Default)]
struct Happened {
    /// Its log's end moved.
    log_end: bool,
    /// Its high watermark, last stable offset or log start moved.
    high_watermark: bool,
    /// Its role or epoch is another.
    role: bool,
    /// Its ISR is another: a follower that is not in it any more must be looked at by its next fetch.
    isr: bool,
}

impl Aftermath {
    /// Notes for everyone who is concerned that something happened to a replica.
    fn note(&mut self, partition: &mut Partition, sessions: &mut FetchSessions, happened: Happened) {
        if partition.noted_in != self.noting {
            partition.noted_in = self.noting;
            self.changed.push(partition.id);
        }
        if happened.high_watermark || happened.role {
            self.acknowledged.push(partition.id);
        }
        let last_stable_offset = partition.log.last_stable_offset();
        let stable_moved = partition.noted_last_stable_offset != last_stable_offset;
        partition.noted_last_stable_offset = last_stable_offset;
        for watcher in &partition.watchers {
            let readable = match watcher.bound {
                ReadBound::LogEnd => happened.log_end,
                ReadBound::HighWatermark => happened.high_watermark,
                ReadBound::LastStableOffset => stable_moved,
            };
            let concerned = readable || happened.role || happened.high_watermark;
            if (concerned || (happened.isr && watcher.bound == ReadBound::LogEnd))
                && let Some(session) = sessions.get_mut(watcher.key)
            {
                session.enqueue(partition.id);
                if (readable || happened.role) && session.waiting.is_some() {
                    self.woken.push(watcher.key);
                }
            }
        }
    }

    fn respond(&mut self, token: Token, body: ResponseKind) {
        self.outputs.push_back(Output::Respond { token, body: Box::new(body) });
    }

    fn trace(&mut self, event: TraceEvent) {
        self.outputs.push_back(Output::Trace(event));
    }
}

impl ReplicaManager {
    /// Reads what the log directories hold of the last run: checkpoints, and which partitions' folders exist. Logs are
    /// recovered when the metadata says that this broker hosts them. A directory that cannot be read is offline, and comes out
    /// as [`Output::DirectoryFailed`].
    pub fn open(
        config: ReplicaConfig,
        disk: &mut dyn Disk,
        directories: Vec<LogDirectory>,
        now: Now,
    ) -> ReplicaManager {
        let mut timers = Deadlines::new();
        timers.set(now.mono + config.producer_id_expiration_check_interval, Timer::ExpireProducers);
        timers.set(now.mono + config.log_cleaner_backoff, Timer::CleanLogs);
        timers.set(now.mono + config.log_retention_check_interval, Timer::DeleteOldSegments);
        let mut replicas = ReplicaManager {
            sessions: FetchSessions::new(config.fetch_session_slots),
            config,
            broker_epoch: -1,
            partitions: BTreeMap::new(),
            fetch_waits: Deadlines::new(),
            produces: Purgatory::new(),
            commits: Purgatory::new(),
            deletions: Purgatory::new(),
            verifications: Verifications::default(),
            fetchers: BTreeMap::new(),
            alter_partition: AlterPartitionQueue::default(),
            producer_ids: ProducerIds::default(),
            requests: Vec::new(),
            last_request: 0,
            lagging: Vec::new(),
            directories: Vec::new(),
            offline: BTreeSet::new(),
            lost: Vec::new(),
            loaded: false,
            assignments: Assignments::default(),
            checkpoints_due: CheckpointsDue::default(),
            timers,
            started: now.mono,
            after: Aftermath::default(),
            leader_throttle: Throttle::new(),
            follower_throttle: Throttle::new(),
            stopped: false,
            reads: Vec::new(),
        };
        for directory in directories {
            let (directory, failed) = Directory::open(disk, directory);
            if let Some(error) = failed {
                replicas.after.directory_is_offline(&directory, error);
            }
            replicas.directories.push(directory);
        }
        replicas
    }

    /// The broker epoch of the last successful registration; −1 before the first.
    pub fn set_broker_epoch(&mut self, epoch: i64) {
        self.broker_epoch = epoch;
    }

    /// Sets `leader.replication.throttled.rate` and `follower.replication.throttled.rate`, in bytes per second; the largest
    /// number is no limit.
    pub fn set_throttles(&mut self, leader: i64, follower: i64) {
        let limit = |rate: i64| u64::try_from(rate).ok().filter(|_| rate < i64::MAX).unwrap_or(u64::MAX);
        self.leader_throttle.set_limit(limit(leader));
        self.follower_throttle.set_limit(limit(follower));
    }

    /// `log.cleaner.backoff.ms`, and how many keys `log.cleaner.dedupe.buffer.size` has room for, from the next cleaning on.
    pub fn set_cleaner(&mut self, backoff: Span, keys_max: usize) {
        self.config.log_cleaner_backoff = backoff;
        self.config.log_cleaner_keys_max = keys_max;
    }

    /// The answer to a request of ours, or its failure. Answers to requests that are not awaited any more are ignored.
    pub fn handle_response(
        &mut self,
        ctx: &mut Context<'_>,
        id: RequestId,
        result: Result<ResponseKind, RequestFailure>,
    ) {
        match self.take_request(id) {
            Some(Sent::Fetcher(leader)) => self.handle_leader_response(ctx, leader, result),
            Some(Sent::AlterPartition) => self.handle_alter_partition_response(ctx, result),
            Some(Sent::AllocateProducerIds) => self.handle_allocate_producer_ids_response(ctx, result),
            Some(Sent::AssignReplicasToDirs) => self.handle_assignments_response(ctx, result),
            None => {}
        }
        self.settle(ctx);
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.after.outputs.pop_front()
    }

    /// Whether [`ReplicaManager::poll_output`] has something.
    pub fn has_outputs(&self) -> bool {
        !self.after.outputs.is_empty()
    }

    /// The replicas that were created, changed or removed since [`ReplicaManager::clear_changed`], each once.
    pub fn changed(&self) -> &[TopicIdPartition] {
        &self.after.changed
    }

    /// Begins to note changes anew. What of lost replicas was still open is closed.
    pub fn clear_changed(&mut self, disk: &mut dyn Disk) {
        self.after.changed.clear();
        self.after.noting += 1;
        for partition in self.lost.drain(..) {
            partition.log.abandon(disk);
        }
    }

    /// A replica as an observer sees it; `None` if this broker does not host it.
    pub fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        self.partitions.get(&tp).map(Partition::view)
    }

    /// A replica that led and changed since [`ReplicaManager::clear_changed`], and whose directory has failed since: as it was
    /// then.
    pub fn lost_replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        self.lost.iter().find(|partition| partition.id == tp).map(Partition::view)
    }

    /// The replica whose log an observer may read.
    fn readable(&self, tp: TopicIdPartition) -> Option<&Partition> {
        self.partitions.get(&tp).or_else(|| self.lost.iter().find(|partition| partition.id == tp))
    }

    /// Calls `each` with every batch of the replica's log that ends at or after `from`, in order.
    ///
    /// # Errors
    /// What the disk says.
    pub fn batches(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        match self.readable(tp) {
            Some(partition) => partition.log.batches(disk, from, each),
            None => Ok(()),
        }
    }

    fn surroundings<'a>(&self, ctx: &Context<'a>) -> Surroundings<'a> {
        Surroundings {
            me: self.config.node_id,
            now: ctx.now.mono,
            replica_lag_time_max: self.config.replica_lag_time_max,
            metadata: ctx.metadata,
        }
    }

    /// Names a request of ours.
    fn send(&mut self, sent: Sent) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.requests.push((id, sent));
        id
    }

    /// What a request of ours was for, if it is still awaited. From now on it is not.
    fn take_request(&mut self, id: RequestId) -> Option<Sent> {
        // One for each fetcher, and few others.
        let place = self.requests.iter().position(|(other, _)| *other == id)?;
        Some(self.requests.swap_remove(place).1)
    }

    /// Does what the step that ends has left to be done.
    fn settle(&mut self, ctx: &mut Context<'_>) {
        loop {
            // First: nothing of it must be taken for committed or readable any more. What a checkpoint must say before anybody
            // is told of it comes next, for that may fail, too.
            self.take_failed_offline(ctx);
            self.checkpoint_at_once(ctx);
            if !self.after.failed.is_empty() {
                continue;
            }
            let mut acknowledged = std::mem::take(&mut self.after.acknowledged);
            for tp in acknowledged.drain(..) {
                self.complete_produces(ctx, tp);
                self.complete_commits(tp);
                self.complete_deletions(ctx, tp);
            }
            self.after.acknowledged = acknowledged;
            let mut woken = std::mem::take(&mut self.after.woken);
            for key in woken.drain(..) {
                self.complete_fetch(ctx, key, false);
            }
            self.after.woken = woken;
            let mut fetchers = std::mem::take(&mut self.after.fetchers);
            for leader in fetchers.drain(..) {
                self.drive_fetcher(ctx, leader);
            }
            self.after.fetchers = fetchers;
            self.send_alter_partition();
            self.send_assignments(ctx);
            if self.after.failed.is_empty() {
                return;
            }
        }
    }
}
