//! What replication needs to know of the cluster's metadata.

use trial_node::{Endpoint, LeaderEpoch, NodeId, TopicIdPartition};
use trial_wire::{StrBytes, TopicName, Uuid};

/// A partition as the metadata has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState<'a> {
    /// Its replicas, the preferred leader first.
    pub replicas: &'a [NodeId],
    /// The log directory of each replica, in the order of `replicas`; the nil id is "not assigned" (KIP-858).
    pub directories: &'a [Uuid],
    /// Its in-sync replicas.
    pub isr: &'a [NodeId],
    /// Its leader; [`NodeId::NONE`] if there is none.
    pub leader: NodeId,
    /// Grows with each new leader.
    pub leader_epoch: LeaderEpoch,
    /// Grows with each change.
    pub partition_epoch: i32,
    /// Whether the leader was elected uncleanly and has not recovered yet (KIP-704).
    pub recovering: bool,
}

/// A registered broker as the metadata has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerState<'a> {
    /// The epoch of its registration.
    pub epoch: i64,
    /// Whether the controller has fenced it.
    pub fenced: bool,
    /// Whether it is in controlled shutdown.
    pub in_controlled_shutdown: bool,
    /// Where clients reach it.
    pub endpoint: &'a Endpoint,
}

/// Answers from the cluster's metadata. The broker's image implements it.
pub trait ClusterMetadata {
    /// The id of the topic called `name`.
    fn topic_id(&self, name: &TopicName) -> Option<Uuid>;

    /// The name of a topic.
    fn topic_name(&self, id: Uuid) -> Option<&TopicName>;

    /// A partition.
    fn partition(&self, tp: TopicIdPartition) -> Option<PartitionState<'_>>;

    /// A broker.
    fn broker(&self, id: NodeId) -> Option<BrokerState<'_>>;

    /// Whether the log directory that a replica is in is in use, as far as it is known (KIP-858).
    fn has_log(&self, _: TopicIdPartition, _: NodeId) -> bool {
        true
    }

    /// `broker.rack` of a broker that clients can reach.
    fn rack(&self, _: NodeId) -> Option<&StrBytes> {
        None
    }

    /// The value of a topic's configuration (such as `min.insync.replicas`) after all defaults were consulted: the
    /// topic's, the broker's, the cluster's and Kafka's own. `None` if there is no such configuration. Not asked per request.
    fn topic_config(&self, id: Uuid, key: &str) -> Option<&str>;
}
