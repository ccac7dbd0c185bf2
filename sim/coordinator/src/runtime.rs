//! What coordinators ask of the broker that runs them, and the broker of them.

use std::fmt;

use bytes::Bytes;
use trial_node::view::CoordinatorEntry;
use trial_node::{
    LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId, Rng, Span, Time, TopicPartition, TraceEvent,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid};

/// Names a request that a coordinator has to answer, once. The caller chooses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Names an [`Output::Append`]. The coordinator chooses it; it is not used twice while the coordinator lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names an [`Output::Send`]. The coordinator chooses it; it is not used twice while the coordinator lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub u64);

/// A record for a coordinator's log. Without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Says what the record is about; the log is compacted by it.
    pub key: Bytes,
    /// What is known from now on.
    pub value: Option<Bytes>,
}

/// A data record as the log gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecord<'a> {
    /// Its offset.
    pub offset: Offset,
    /// The transaction that it belongs to: it counts only once a [`Marker`] commits that (KIP-98).
    pub transaction: Option<(ProducerId, ProducerEpoch)>,
    /// The key.
    pub key: &'a [u8],
    /// The value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// A transaction marker in a coordinator's log (only `__consumer_offsets` has any).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    /// The transaction's producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// Whether the transaction is committed, else aborted.
    pub commit: bool,
}

/// A log holds a record that no coordinator has written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record at offset {offset}: {what}")]
pub struct CorruptRecord {
    /// The record's offset.
    pub offset: Offset,
    /// What is wrong with it.
    pub what: String,
}

/// Answers from the cluster's metadata.
pub trait ClusterMetadata {
    /// The id of a topic.
    fn topic_id(&self, name: &TopicName) -> Option<Uuid>;

    /// The name of a topic.
    fn topic_name(&self, id: Uuid) -> Option<&TopicName>;

    /// How many partitions a topic has; `None` if there is no such topic.
    fn partition_count(&self, name: &TopicName) -> Option<i32>;

    /// The leader of a partition with its epoch; `None` if the partition does not exist, or has no leader.
    fn leader(&self, tp: &TopicPartition) -> Option<(NodeId, LeaderEpoch)>;

    /// Calls `each` with the name of every topic, in order.
    fn topic_names(&self, each: &mut dyn FnMut(&TopicName));

    /// The offset in the metadata log up to which, inclusive, this is what it says.
    fn version(&self) -> Offset;

    /// A config of a group, in milliseconds (`consumer.session.timeout.ms`, ...); `None` unless it was set for this group.
    fn group_config(&self, _group: &StrBytes, _name: &str) -> Option<Span> {
        None
    }

    /// The finalized level of a feature (`transaction.version`, `group.version`); 0 if it has none.
    fn feature_level(&self, feature: &str) -> i16;
}

/// The surroundings of one call.
pub struct Env<'a> {
    /// Both clocks.
    pub now: Now,
    /// The broker's random stream.
    pub rng: &'a mut Rng,
    /// The cluster's metadata as the broker knows it.
    pub metadata: &'a dyn ClusterMetadata,
}

/// What a coordinator wants done, at once and in this order.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "boxing would cost an allocation per message")]
pub enum Output {
    /// Append records to the coordinator's partition, as one batch, with `acks=all`.
    ///
    /// If the broker cannot (it no longer leads, too few replicas are in sync, the batch is too large), it calls
    /// [`Coordinator::completed`] with the error at once, and nothing has changed. Else it calls [`Coordinator::replay`] for
    /// each record at once, and [`Coordinator::completed`] when the records are committed, or with REQUEST_TIMED_OUT when
    /// they are not in time: they may be, later.
    Append {
        /// Names the append.
        ticket: Ticket,
        /// What to append; at least one.
        records: Vec<Record>,
        /// The transaction that the records belong to: then the batch is transactional (KIP-98).
        transaction: Option<(ProducerId, ProducerEpoch)>,
    },
    /// Answer a request now.
    Respond {
        /// The request.
        call: CallId,
        /// The answer, in the request's version.
        body: ResponseKind,
    },
    /// Answer a request once everything that has been appended so far is committed: the answer tells of state that must not
    /// be lost again. If that is not so in time, or the broker no longer leads, `instead` is the answer.
    RespondOnceCommitted {
        /// The request.
        call: CallId,
        /// The answer.
        body: ResponseKind,
        /// The answer if it must not be given: the same request's with COORDINATOR_NOT_AVAILABLE or NOT_COORDINATOR.
        instead: ResponseKind,
    },
    /// Send a request to a broker's listener for brokers; [`Coordinator::handle_response`] tells what became of it.
    Send {
        /// Names the request.
        id: SendId,
        /// The broker.
        to: NodeId,
        /// The API version.
        version: i16,
        /// The request.
        body: RequestKind,
    },
    /// Ask the broker for a producer id that has never been given out (KIP-730); [`Coordinator::producer_id`] is told it, at once
    /// or later. If the broker has none left and is waiting for the controller, it need not wait: COORDINATOR_LOAD_IN_PROGRESS is
    /// an answer, too.
    ProducerId {
        /// Names the question. [`Output::Send`] uses the same numbers.
        id: SendId,
    },
    /// Tell the people who read the run.
    Trace(TraceEvent),
}

/// The coordinator of one partition. See the crate's documentation for how to drive it.
pub trait Coordinator: Clone + fmt::Debug {
    /// Its configuration.
    type Config: Clone + fmt::Debug;

    /// The coordinator of an empty log.
    fn new(config: Self::Config) -> Self;

    /// Takes in a record that is in the log: at load, and at once after it was appended.
    ///
    /// # Errors
    /// [`CorruptRecord`]. Records of versions or kinds that are not known are skipped, as Kafka does.
    fn replay(&mut self, record: LogRecord<'_>) -> Result<(), CorruptRecord>;

    /// Takes in a transaction marker that is in the log: at load, and at once after it was appended.
    fn replay_marker(&mut self, marker: Marker);

    /// The whole log has been replayed, and the broker leads the partition in `leader_epoch`: begins to act.
    fn activate(&mut self, env: &mut Env<'_>, leader_epoch: LeaderEpoch);

    /// A request whose groups or transactional ids all belong to this coordinator. `client_id` and `client_host` are the
    /// caller's, for descriptions.
    fn handle(&mut self, env: &mut Env<'_>, request: Request<'_>);

    /// What became of an [`Output::Append`]: the offset after its last record, or why it failed.
    fn completed(&mut self, env: &mut Env<'_>, ticket: Ticket, result: Result<Offset, ErrorCode>);

    /// What became of an [`Output::Send`]; `None` if there was no response.
    fn handle_response(&mut self, env: &mut Env<'_>, id: SendId, response: Option<ResponseKind>);

    /// The answer to an [`Output::ProducerId`]: a producer id, or the error for the client that needs it. A coordinator that
    /// never asks has nothing to do here.
    fn producer_id(&mut self, _env: &mut Env<'_>, _id: SendId, _result: Result<ProducerId, ErrorCode>) {}

    /// Topics were created, changed or deleted, or leaders are others.
    fn metadata_changed(&mut self, env: &mut Env<'_>);

    /// Does what is due.
    fn handle_timeout(&mut self, env: &mut Env<'_>);

    /// The next instant at which it wants [`Coordinator::handle_timeout`]. Cheap.
    fn poll_timeout(&self) -> Option<Time>;

    /// The next thing that it wants done.
    fn poll_output(&mut self) -> Option<Output>;

    /// The broker no longer leads: every request that waits is answered (NOT_COORDINATOR), by the last outputs, all of them
    /// [`Output::Respond`].
    fn resign(&mut self);

    /// Calls `each` with everything durable that it knows, for observers.
    fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>));
}

/// A request to a coordinator.
#[derive(Clone)]
pub struct Request<'a> {
    /// Names it.
    pub call: CallId,
    /// Its API version.
    pub version: i16,
    /// The caller's `client.id`.
    pub client_id: &'a str,
    /// Where the caller is, as Kafka describes members.
    pub client_host: &'a str,
    /// Whether the caller may DESCRIBE a topic; `None` if it may describe all, as without an authorizer.
    pub describes: Option<&'a dyn Fn(&TopicName) -> bool>,
    /// The request.
    pub body: RequestKind,
}
