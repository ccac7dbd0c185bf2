//! What an observer may read of a client process between two events.

use trial_node::{Offset, Time, TopicPartition, TransactionId};
use trial_wire::StrBytes;

/// A client process seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientView {
    /// Its producers, by number.
    pub producers: Vec<ProducerView>,
    /// Its consumers, by number.
    pub consumers: Vec<ConsumerView>,
}

/// A producer seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerView {
    /// Its number over the whole run.
    pub number: u32,
    /// Records that were handed to it (`SendInvoked`) and are neither acknowledged nor given up.
    pub outstanding: u64,
    /// Whether it has made its last record (`stop_at`, or SIGTERM). One that writes what it reads goes on for as long as there
    /// is something to read.
    pub stopped: bool,
    /// The transaction that has begun and not ended.
    pub transaction: Option<TransactionView>,
}

/// A transaction as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its name in the history.
    pub id: TransactionId,
    /// When it began, on the client's clock.
    pub since: Time,
    /// Whether the client waits for its end, and is that a commit.
    pub ending: Option<bool>,
}

/// A consumer seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerView {
    /// Its number over the whole run.
    pub number: u32,
    /// What it reads; empty while it does not know the topic's partitions, or its group has given it none.
    pub partitions: Vec<AssignedPartition>,
    /// `group.id`.
    pub group: Option<StrBytes>,
    /// The generation or member epoch in which its group last assigned it partitions (maybe none); `None` if it has no group,
    /// or is not (or no longer) a member as far as it knows.
    pub epoch: Option<i32>,
    /// Whether it has been asked to give up partitions and has not done so.
    pub revoking: bool,
    /// Whether its application has read records whose offsets it is still to commit. False where the consumer commits by
    /// itself.
    pub uncommitted: bool,
}

/// A partition that a consumer reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignedPartition {
    /// The partition.
    pub tp: TopicPartition,
    /// The offset that its application gets next; `None` while no position is known.
    pub position: Option<Offset>,
    /// The partition's end (high watermark, or last stable offset under `read_committed`) as the last Fetch response told;
    /// `None` before the first.
    pub end_offset: Option<Offset>,
}
