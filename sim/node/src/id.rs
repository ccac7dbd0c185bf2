//! Kafka's identifiers and positions as distinct types.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

use serde::{Deserialize, Serialize};
use trial_wire::{StrBytes, TopicName, Uuid};

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

newtype! {
    /// `node.id`: a broker or controller, 0 and up. −1 means none, as on the wire.
    NodeId(i32)
}
newtype! {
    /// A record's position in a partition, 0 and up. −1 means unknown, as on the wire.
    Offset(i64)
}
newtype! {
    /// The epoch of a partition's (KIP-101) or the quorum's leader, 0 and up. −1 means none.
    LeaderEpoch(i32)
}
newtype! {
    /// A producer's id (KIP-98), 0 and up. −1 means not idempotent.
    ProducerId(i64)
}
newtype! {
    /// The epoch of a producer id, 0 to 32767. −1 means not idempotent.
    ProducerEpoch(i16)
}

impl NodeId {
    /// No node.
    pub const NONE: NodeId = NodeId(-1);
}

impl LeaderEpoch {
    /// No epoch.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl Offset {
    /// No offset is known.
    pub const UNKNOWN: Offset = Offset(-1);
    /// The first offset of a new log.
    pub const ZERO: Offset = Offset(0);
}

impl ProducerId {
    /// Not an idempotent producer.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl Add<i64> for Offset {
    type Output = Offset;
    fn add(self, n: i64) -> Offset {
        Offset(self.0 + n)
    }
}

impl AddAssign<i64> for Offset {
    fn add_assign(&mut self, n: i64) {
        self.0 += n;
    }
}

impl Sub for Offset {
    type Output = i64;
    fn sub(self, other: Offset) -> i64 {
        self.0 - other.0
    }
}

/// A partition by its topic's name, as clients say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's index, 0 and up.
    pub partition: i32,
}

impl TopicPartition {
    /// Partition `partition` of the topic named `topic`.
    pub fn new(topic: impl Into<StrBytes>, partition: i32) -> Self {
        TopicPartition { topic: TopicName(topic.into()), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic.as_str(), self.partition)
    }
}

/// A partition by its topic's id (KIP-516), as nodes say it: a topic that is deleted and created again is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TopicIdPartition {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The partition's index, 0 and up.
    pub partition: i32,
}

impl Ord for TopicIdPartition {
    /// By topic id, then partition. Half of what a broker does is to look partitions up, mostly among those of one topic; of
    /// different topics, numbers compare faster than the bytes of an id, in the same order.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        if self.topic_id == other.topic_id {
            return self.partition.cmp(&other.partition);
        }
        self.topic_id.as_u128().cmp(&other.topic_id.as_u128())
    }
}

impl PartialOrd for TopicIdPartition {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// A host's name in the simulated network, or a name or address on a real one.
    pub host: StrBytes,
    /// The TCP port.
    pub port: u16,
}

impl Endpoint {
    /// Port `port` of host `host`.
    pub fn new(host: impl Into<StrBytes>, port: u16) -> Self {
        Endpoint { host: host.into(), port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.as_str(), self.port)
    }
}
