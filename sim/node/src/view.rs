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

    /// The replica that was in a log directory which failed in the last call of `Node::open` or `Node::handle`, as it was then,
    /// if it led and had changed in that call: what it did before, others may have been told. It is among the changed ones, and
    /// its log can be read until the next call.
    fn lost_replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>>;

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

    /// Calls `each` with every record of the replica's log from `from` on, in order, control records included.
    ///
    /// # Errors
    /// What the disk says; [`DiskError::Failed`] if a batch cannot be decoded.
    fn records(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(LogRecordView<'_>),
    ) -> Result<(), DiskError>;

    /// Calls `each` with every transaction that the replica believes to be open, by producer id.
    fn open_transactions(&self, tp: TopicIdPartition, each: &mut dyn FnMut(OpenTransactionView));

    /// Calls `each` with every aborted transaction that the replica's index (KIP-98, `.txnindex`) names for a reader of
    /// offsets from `from` up to, not including, `to`.
    ///
    /// # Errors
    /// What the disk says.
    fn aborted_transactions(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        to: Offset,
        each: &mut dyn FnMut(AbortedTransactionView),
    ) -> Result<(), DiskError>;

    /// The partitions of `__consumer_offsets` and `__transaction_state` whose coordinator on this broker was loaded, changed
    /// or removed by the last call of `Node::open` or `Node::handle`. Each at most once, in an order that repeats.
    fn changed_coordinators(&self) -> &[TopicIdPartition];

    /// The coordinator that this broker runs for a partition; `None` while it does not lead it or has not loaded it.
    fn coordinator(&self, tp: TopicIdPartition) -> Option<CoordinatorView>;

    /// Calls `each` with everything durable that the coordinator of a partition knows, in an order that repeats.
    fn coordinator_entries(&self, tp: TopicIdPartition, each: &mut dyn FnMut(CoordinatorEntry<'_>));

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

    /// The log directories that it does not use until it is restarted, as the disk has failed there (KIP-112); `/` for the whole
    /// disk.
    fn offline_log_dirs(&self) -> Vec<String>;

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
    /// Everything below is committed and in no open transaction, as far as it knows (KIP-98).
    pub last_stable_offset: Offset,
    /// Grows with each truncation (and with each loss at recovery), so that an observer knows to look again at what it has
    /// seen.
    pub truncations: u64,
    /// Whether it may have been compacted, and so have fewer records than other replicas: the topic's configuration wants
    /// that, and the log has more than the segment that it grows by, which is never touched.
    pub compacted: bool,
}

/// A record batch as a log's file holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchView {
    /// The first record's offset.
    pub base_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// The largest timestamp of its records, ms since the epoch.
    pub max_timestamp: i64,
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
    /// Whether it belongs to a transaction; markers do, too.
    pub transactional: bool,
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
    /// The replicas that may lead without being in sync (KIP-966).
    pub elr: &'a [NodeId],
    /// All its replicas, the preferred leader first.
    pub replicas: &'a [NodeId],
}

/// A record as a log's file holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRecordView<'a> {
    /// Its offset.
    pub offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
    /// Its batch's producer; [`ProducerId::NONE`] if there is none.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
    /// Whether its batch belongs to a transaction.
    pub transactional: bool,
    /// Whether it is a control record.
    pub control: bool,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A transaction that is open in a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenTransactionView {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The transaction's first record in this partition.
    pub first_offset: Offset,
}

/// An entry of the index of aborted transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AbortedTransactionView {
    /// The producer.
    pub producer_id: ProducerId,
    /// The transaction's first record in this partition.
    pub first_offset: Offset,
    /// The offset of its marker.
    pub last_offset: Offset,
}

/// A coordinator seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoordinatorView {
    /// Which kind it is.
    pub kind: CoordinatorKind,
    /// The leader epoch of the partition in which it was loaded.
    pub leader_epoch: LeaderEpoch,
    /// It knows all records of its partition before this offset.
    pub applied: Offset,
}

/// The two kinds of coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoordinatorKind {
    /// Of consumer groups; its log is a partition of `__consumer_offsets`.
    Group,
    /// Of transactions; its log is a partition of `__transaction_state`.
    Transaction,
}

/// One thing that a coordinator knows and that its log must be able to give back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorEntry<'a> {
    /// A group's committed offset.
    Offset {
        /// The group.
        group: &'a str,
        /// The partition.
        topic: &'a str,
        /// Its index.
        partition: i32,
        /// The offset to be read next.
        offset: Offset,
        /// The leader epoch of the last record that was read; [`LeaderEpoch::NONE`] if the commit did not tell.
        leader_epoch: LeaderEpoch,
    },
    /// An offset that a transaction which is not over has committed.
    PendingOffset {
        /// The group.
        group: &'a str,
        /// The transaction's producer.
        producer_id: ProducerId,
        /// The partition.
        topic: &'a str,
        /// Its index.
        partition: i32,
        /// The offset to be read next.
        offset: Offset,
    },
    /// A group with members or with none.
    Group {
        /// The group.
        group: &'a str,
        /// Whether it uses the classic protocol; else KIP-848's.
        classic: bool,
        /// The generation as last written to the log, or the group epoch.
        epoch: i32,
        /// How many members it has, as last written to the log.
        members: usize,
        /// Whether members are on their way to another assignment: a rebalance, or a reconciliation (KIP-848).
        rebalancing: bool,
    },
    /// A partition that belongs to a member of a KIP-848 group (its current assignment, what it must still give up included).
    Owned {
        /// The group.
        group: &'a str,
        /// The member.
        member: &'a str,
        /// The member's epoch.
        member_epoch: i32,
        /// The topic.
        topic_id: trial_wire::Uuid,
        /// The partition's index.
        partition: i32,
    },
    /// A transactional id.
    Transaction {
        /// The id.
        transactional_id: &'a str,
        /// Its producer.
        producer_id: ProducerId,
        /// The producer's epoch.
        producer_epoch: ProducerEpoch,
        /// Its state.
        state: TransactionState,
        /// How many partitions belong to the transaction, as last written to the log.
        partitions: usize,
        /// When the state was last changed, ms since the epoch.
        last_update_ms: i64,
        /// `transaction.timeout.ms`.
        timeout_ms: i32,
    },
    /// A partition of a transaction that is not over, in order of (transactional id, topic, partition).
    TransactionPartition {
        /// The transactional id.
        transactional_id: &'a str,
        /// The topic.
        topic: &'a str,
        /// Its index.
        partition: i32,
    },
}

/// The states of a transactional id; the numbers are those in the log (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum TransactionState {
    /// No transaction yet.
    Empty = 0,
    /// A transaction is open.
    Ongoing = 1,
    /// It will be committed; markers are on their way.
    PrepareCommit = 2,
    /// It will be aborted; markers are on their way.
    PrepareAbort = 3,
    /// All markers of a commit are written.
    CompleteCommit = 4,
    /// All markers of an abort are written.
    CompleteAbort = 5,
    /// The id has expired and is being forgotten.
    Dead = 6,
    /// The producer is being fenced by another epoch (KIP-360).
    PrepareEpochFence = 7,
}
