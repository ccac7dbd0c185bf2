//! What an observer may read of a client process between two events.

use trial_node::{Offset, TopicPartition};

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
    /// Whether it has made its last record (`stop_at`, or SIGTERM).
    pub stopped: bool,
}

/// A consumer seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerView {
    /// Its number over the whole run.
    pub number: u32,
    /// What it reads; empty while it does not know the topic's partitions.
    pub partitions: Vec<AssignedPartition>,
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
