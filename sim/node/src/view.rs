//! What an observer may read of a broker between two events. Checkers judge by these views, never by what the broker says
//! of itself in messages or traces.

use crate::disk::{Disk, DiskError};
use crate::id::{LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, TopicIdPartition};
use trial_wire::TopicName;

/// A broker (with its controller, if it has one) seen from outside.
pub trait BrokerView {
    /// The node's id.
    fn node_id(&self) -> NodeId;

    /// The partitions whose replica on this broker was created, changed (log, high watermark, role, epoch, ISR) or removed
    /// by the last call of `Node::open` or `Node::handle`. Each at most once, in any order that repeats.
    fn changed_replicas(&self) -> &[TopicIdPartition];

    /// This broker's replica of a partition, if it has one.
    fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>>;

    /// Calls `each` with every record batch of the replica's log that ends at or after `from`, in order, as the log's files
    /// hold them.
    ///
    /// # Errors
    /// What the disk says.
    fn batches(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError>;

    /// Whether the last call of `Node::open` or `Node::handle` changed anything that [`BrokerView::quorum`] shows.
    fn quorum_changed(&self) -> bool;

    /// This node's part in the KRaft quorum.
    fn quorum(&self) -> QuorumView;

    /// As [`BrokerView::batches`], for the log of the metadata quorum.
    ///
    /// # Errors
    /// What the disk says.
    fn quorum_batches(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError>;

    /// The cluster metadata that this broker has applied: the offset after the last applied record, and a digest of the
    /// image at that offset. Two brokers at one offset must agree on the digest.
    fn metadata(&self) -> MetadataView;

    /// Calls `each` with every partition that the metadata of this broker knows: the partition, its topic's name, its leader,
    /// leader epoch and ISR.
    fn partitions(&self, each: &mut dyn FnMut(PartitionView<'_>));
}

/// A replica seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaView<'a> {
    /// The topic's name.
    pub topic: &'a TopicName,
    /// Whether this broker believes that it leads the partition.
    pub leader: bool,
    /// The leader epoch that it knows.
    pub leader_epoch: LeaderEpoch,
    /// As a leader: the ISR that the controller last confirmed. As a follower: empty.
    pub isr: &'a [NodeId],
    /// The first offset of its log.
    pub log_start_offset: Offset,
    /// The offset that the next record will get.
    pub log_end_offset: Offset,
    /// Everything below is committed, as far as it knows.
    pub high_watermark: Offset,
    /// Grows with each truncation (and with each loss at recovery), so that an observer knows to look again at what it has
    /// seen.
    pub truncations: u64,
}

/// A record batch as a log's file holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// The batch's CRC-32C, which covers everything but offset, length and leader epoch.
    pub crc: u32,
    /// The producer, if it is idempotent.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// The first record's sequence number; −1 if the producer is not idempotent or the batch is a control batch.
    pub base_sequence: i32,
    /// The last record's sequence number, likewise. Sequence numbers wrap from 2³¹ − 1 to 0.
    pub last_sequence: i32,
    /// Whether it holds control records.
    pub control: bool,
    /// The batch's size in bytes.
    pub size: u32,
}

/// A node's part in the KRaft quorum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuorumView {
    /// The epoch that it is in.
    pub epoch: LeaderEpoch,
    /// The leader that it knows in this epoch.
    pub leader: Option<NodeId>,
    /// Whom it voted for in this epoch.
    pub voted_for: Option<NodeId>,
    /// Whether it leads.
    pub is_leader: bool,
    /// The first offset of its log.
    pub log_start_offset: Offset,
    /// Its log's end.
    pub log_end_offset: Offset,
    /// Its high watermark; `None` while it does not know one in this run.
    pub high_watermark: Option<Offset>,
    /// Grows with each truncation of its log.
    pub truncations: u64,
}

/// How far a broker has applied the cluster's metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetadataView {
    /// The offset after the last applied record.
    pub offset: Offset,
    /// A digest of the image at that offset.
    pub digest: u128,
}

/// A partition as a broker's metadata knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionView<'a> {
    /// The partition.
    pub id: TopicIdPartition,
    /// The topic's name.
    pub topic: &'a TopicName,
    /// Its leader; [`NodeId::NONE`] if there is none.
    pub leader: NodeId,
    /// Its leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// Its in-sync replicas.
    pub isr: &'a [NodeId],
    /// All its replicas, the preferred leader first.
    pub replicas: &'a [NodeId],
}
