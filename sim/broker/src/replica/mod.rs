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
//! - [`ReplicaManager::handle_timeout`] at or after [`ReplicaManager::poll_timeout`];
//! - [`ReplicaManager::poll_output`] after each of these until it has no more;
//! - [`ReplicaManager::shutdown`] once the broker no longer leads anything and is about to stop.

pub mod metadata;

use std::collections::VecDeque;

use trial_node::view::{BatchView, ReplicaView};
use trial_node::{
    Disk, DiskError, NodeId, Now, Offset, OpenError, Rng, Span, Time, TopicIdPartition, TraceEvent,
};
use trial_wire::messages::{
    FetchRequest, InitProducerIdRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest, ProduceRequest,
};
use trial_wire::{RequestKind, ResponseKind, Uuid};

use crate::Token;

pub use metadata::{BrokerState, ClusterMetadata, PartitionState};

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
#[allow(clippy::large_enum_variant, reason = "boxing would cost an allocation per message")]
pub enum Output {
    /// Answer a request.
    Respond {
        /// The request.
        token: Token,
        /// The answer, in the request's version.
        body: ResponseKind,
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
        body: RequestKind,
    },
    /// Send a request to the active controller.
    ToController {
        /// The request's name for [`ReplicaManager::handle_response`].
        id: RequestId,
        /// The API version.
        version: i16,
        /// The request.
        body: RequestKind,
    },
    /// Tell the people who read the run.
    Trace(TraceEvent),
    /// A disk failed. A broker with one log folder must stop.
    Fatal(DiskError),
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
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Span,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
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
            retention_check_interval: Span::from_secs(300),
            fetch_session_slots: 1_000,
            fetch_max_bytes: 55 << 20,
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
    outputs: VecDeque<Output>,
    changed: Vec<TopicIdPartition>,
}

impl ReplicaManager {
    /// Reads what the disk holds of the last run: checkpoints, and which partitions' folders exist. Logs are recovered when
    /// the metadata says that this broker hosts them.
    ///
    /// # Errors
    /// [`OpenError`] when the disk fails.
    pub fn open(config: ReplicaConfig, disk: &mut dyn Disk, now: Now) -> Result<ReplicaManager, OpenError> {
        let _ = (disk, now);
        Ok(ReplicaManager { config, outputs: VecDeque::new(), changed: Vec::new() })
    }

    /// The broker epoch of the last successful registration; −1 before the first.
    pub fn set_broker_epoch(&mut self, epoch: i64) {
        let _ = epoch;
        unimplemented!()
    }

    /// Takes over what changed; `ctx.metadata` is the state after the change. At the start of the broker that is everything.
    pub fn apply(&mut self, ctx: &mut Context<'_>, changes: &MetadataChanges) {
        let _ = (ctx, changes, &self.config);
        unimplemented!()
    }

    /// Removes the folders of partitions that this broker no longer hosts ("stray" replicas). To be called once, after the
    /// broker has caught up with the metadata for the first time.
    pub fn remove_strays(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        unimplemented!()
    }

    /// A Produce request.
    pub fn handle_produce(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: ProduceRequest,
    ) {
        let _ = (ctx, token, version, request);
        unimplemented!()
    }

    /// A Fetch request of a consumer or a follower.
    pub fn handle_fetch(&mut self, ctx: &mut Context<'_>, token: Token, version: i16, request: FetchRequest) {
        let _ = (ctx, token, version, request);
        unimplemented!()
    }

    /// A ListOffsets request.
    pub fn handle_list_offsets(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: ListOffsetsRequest,
    ) {
        let _ = (ctx, token, version, request);
        unimplemented!()
    }

    /// An OffsetForLeaderEpoch request.
    pub fn handle_offset_for_leader_epoch(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: OffsetForLeaderEpochRequest,
    ) {
        let _ = (ctx, token, version, request);
        unimplemented!()
    }

    /// An InitProducerId request.
    pub fn handle_init_producer_id(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: InitProducerIdRequest,
    ) {
        let _ = (ctx, token, version, request);
        unimplemented!()
    }

    /// The answer to a request of ours, or its failure. Answers to requests that are not awaited any more are ignored.
    pub fn handle_response(
        &mut self,
        ctx: &mut Context<'_>,
        id: RequestId,
        result: Result<ResponseKind, RequestFailure>,
    ) {
        let _ = (ctx, id, result);
        unimplemented!()
    }

    /// The next instant at which something is due. O(1).
    pub fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        let _ = ctx;
        unimplemented!()
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Flushes all logs and writes all checkpoints and the mark of a clean shutdown.
    ///
    /// # Errors
    /// What the disk says.
    pub fn shutdown(&mut self, ctx: &mut Context<'_>) -> Result<(), DiskError> {
        let _ = ctx;
        unimplemented!()
    }

    /// The replicas that were created, changed or removed since [`ReplicaManager::clear_changed`], each once.
    pub fn changed(&self) -> &[TopicIdPartition] {
        &self.changed
    }

    /// Begins to note changes anew.
    pub fn clear_changed(&mut self) {
        self.changed.clear();
    }

    /// A replica as an observer sees it; `None` if this broker does not host it.
    pub fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        let _ = tp;
        unimplemented!()
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
        let _ = (disk, tp, from, each);
        unimplemented!()
    }
}
