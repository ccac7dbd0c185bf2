//! A broker that holds what a test says, true or not.

use std::cell::Cell;
use std::collections::BTreeMap;

use bytes::Bytes;
use trial_coordinator::Coordinator;
use trial_coordinator::transaction::TransactionCoordinator;
use trial_node::view::{
    AbortedTransactionView, BatchView, BrokerView, CoordinatorEntry, CoordinatorKind, CoordinatorView,
    LogRecordView, MetadataView, OpenTransactionView, PartitionView, QuorumView, ReplicaView,
};
use trial_node::{
    Disk, DiskError, FileId, LeaderEpoch, NodeId, Offset, ProducerEpoch, ProducerId, Time, TopicIdPartition,
};
use trial_wire::{ControlType, TopicName, Uuid};

use crate::{Checkers, Violation};

pub(crate) const TP: TopicIdPartition = TopicIdPartition { topic_id: Uuid::from_u128(7), partition: 0 };

/// One replica of a [`Fake`] broker.
#[derive(Clone, Default)]
pub(crate) struct FakeReplica {
    pub(crate) leader: bool,
    pub(crate) epoch: i32,
    pub(crate) isr: Vec<NodeId>,
    pub(crate) elr: Vec<NodeId>,
    pub(crate) high_watermark: i64,
    pub(crate) batches: Vec<BatchView>,
    pub(crate) truncations: u64,
    pub(crate) log_start_offset: i64,
    pub(crate) compacted: bool,
    /// By how much it overstates its log's end.
    pub(crate) boasts: i64,
    /// What it says is its last stable offset; its high watermark if it says nothing.
    pub(crate) last_stable_offset: Option<i64>,
    /// The offsets of control batches that commit a transaction; others abort one.
    pub(crate) commits: Vec<i64>,
    /// Key and value of the records at some offsets.
    pub(crate) contents: BTreeMap<i64, (Bytes, Bytes)>,
    pub(crate) open: Vec<OpenTransactionView>,
    pub(crate) aborted: Vec<AbortedTransactionView>,
}

pub(crate) struct Fake {
    pub(crate) id: i32,
    /// The partition that steps change.
    pub(crate) tp: TopicIdPartition,
    pub(crate) topic: TopicName,
    pub(crate) replicas: BTreeMap<TopicIdPartition, FakeReplica>,
    /// Whether the directory of the replicas has failed in this step.
    lost: bool,
    changed: Vec<TopicIdPartition>,
    pub(crate) quorum: QuorumView,
    pub(crate) quorum_batches: Vec<BatchView>,
    quorum_changed: bool,
    pub(crate) metadata: MetadataView,
    changed_coordinators: Vec<TopicIdPartition>,
    /// The coordinator of transactions that it runs.
    pub(crate) transactions: Option<TransactionCoordinator>,
    /// How often all of a log was read.
    pub(crate) whole_reads: Cell<u32>,
    pub(crate) offline_log_dirs: Vec<String>,
}

/// One record at `offset`, written in `epoch`; `crc` stands for its content.
pub(crate) fn batch(offset: i64, epoch: i32, crc: u32) -> BatchView {
    BatchView {
        base_offset: Offset(offset),
        last_offset: Offset(offset),
        max_timestamp: 1000,
        leader_epoch: LeaderEpoch(epoch),
        crc,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch(-1),
        base_sequence: -1,
        last_sequence: -1,
        control: false,
        transactional: false,
        size: 100,
    }
}

impl Fake {
    pub(crate) fn new(id: i32) -> Fake {
        Fake {
            id,
            tp: TP,
            topic: TopicName("orders".into()),
            replicas: BTreeMap::new(),
            lost: false,
            changed: Vec::new(),
            quorum: QuorumView::default(),
            quorum_batches: Vec::new(),
            quorum_changed: false,
            metadata: MetadataView::default(),
            changed_coordinators: Vec::new(),
            transactions: None,
            whole_reads: Cell::new(0),
            offline_log_dirs: Vec::new(),
        }
    }

    fn shown(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        let replica = self.replicas.get(&tp)?;
        Some(ReplicaView {
            topic: &self.topic,
            leader: replica.leader,
            leader_epoch: LeaderEpoch(replica.epoch),
            isr: &replica.isr,
            log_start_offset: Offset(replica.log_start_offset),
            log_end_offset: replica.batches.last().map_or(Offset(0), |b| b.last_offset + 1) + replica.boasts,
            high_watermark: Offset(replica.high_watermark),
            last_stable_offset: Offset(replica.last_stable_offset.unwrap_or(replica.high_watermark)),
            truncations: replica.truncations,
            compacted: replica.compacted,
        })
    }

    /// Changes the replica of the partition and shows it to the checkers.
    pub(crate) fn step(&mut self, checkers: &mut Checkers, change: impl FnOnce(&mut FakeReplica)) {
        change(self.replicas.entry(self.tp).or_default());
        self.changed = vec![self.tp];
        self.changed_coordinators = self.changed.clone();
        checkers.broker_stepped(Time(1), self, &mut NoDisk).expect("a fake has no disk to fail");
        self.changed.clear();
        self.changed_coordinators.clear();
    }

    /// Removes the replica of [`TP`], as when the topic is deleted.
    pub(crate) fn remove(&mut self, checkers: &mut Checkers) {
        self.replicas.remove(&TP);
        self.changed = vec![TP];
        checkers.broker_stepped(Time(1), self, &mut NoDisk).expect("a fake has no disk to fail");
        self.changed.clear();
    }

    /// Changes the replica of the partition, and then its directory fails in the same step.
    pub(crate) fn lose(&mut self, checkers: &mut Checkers, change: impl FnOnce(&mut FakeReplica)) {
        self.lost = true;
        self.step(checkers, change);
        self.replicas.clear();
        self.lost = false;
    }

    /// Changes the part in the quorum and shows it to the checkers.
    pub(crate) fn quorum_step(&mut self, checkers: &mut Checkers, change: impl FnOnce(&mut Fake)) {
        change(self);
        self.quorum.log_end_offset = self.quorum_batches.last().map_or(Offset(0), |b| b.last_offset + 1);
        self.quorum_changed = true;
        checkers.broker_stepped(Time(1), self, &mut NoDisk).expect("a fake has no disk to fail");
        self.quorum_changed = false;
    }
}

/// Only the named property.
pub(crate) fn only(name: &str) -> Checkers {
    Checkers::new(Some(&[name.to_owned()])).expect("the property exists")
}

/// The first line of evidence of every violation.
pub(crate) fn evidence(checkers: &Checkers) -> Vec<&str> {
    checkers.violations().iter().map(|v: &Violation| v.evidence[0].as_str()).collect()
}

impl BrokerView for Fake {
    fn node_id(&self) -> NodeId {
        NodeId(self.id)
    }
    fn offline_log_dirs(&self) -> Vec<String> {
        self.offline_log_dirs.clone()
    }
    fn changed_replicas(&self) -> &[TopicIdPartition] {
        &self.changed
    }
    fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        (!self.lost).then(|| self.shown(tp)).flatten()
    }
    fn lost_replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        self.lost.then(|| self.shown(tp)).flatten()
    }
    fn batches(
        &self,
        _: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        self.whole_reads.update(|reads| reads + u32::from(from == Offset::ZERO));
        self.replicas[&tp].batches.iter().filter(|b| b.last_offset >= from).copied().for_each(each);
        Ok(())
    }
    fn records(
        &self,
        _: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(LogRecordView<'_>),
    ) -> Result<(), DiskError> {
        let replica = &self.replicas[&tp];
        for batch in replica.batches.iter().filter(|b| b.base_offset >= from) {
            let offset = batch.base_offset;
            let kind =
                if replica.commits.contains(&offset.0) { ControlType::Commit } else { ControlType::Abort };
            let (marker, content) = (kind.key(), replica.contents.get(&offset.0));
            each(LogRecordView {
                offset,
                leader_epoch: batch.leader_epoch,
                producer_id: batch.producer_id,
                producer_epoch: batch.producer_epoch,
                transactional: batch.transactional,
                control: batch.control,
                key: if batch.control { Some(&marker) } else { content.map(|(key, _)| &key[..]) },
                value: content.map(|(_, value)| &value[..]),
            });
        }
        Ok(())
    }
    fn open_transactions(&self, tp: TopicIdPartition, each: &mut dyn FnMut(OpenTransactionView)) {
        self.replicas[&tp].open.iter().copied().for_each(each);
    }
    fn aborted_transactions(
        &self,
        _: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        _: Offset,
        each: &mut dyn FnMut(AbortedTransactionView),
    ) -> Result<(), DiskError> {
        self.replicas[&tp].aborted.iter().filter(|a| a.last_offset >= from).copied().for_each(each);
        Ok(())
    }
    fn changed_coordinators(&self) -> &[TopicIdPartition] {
        &self.changed_coordinators
    }
    fn coordinator(&self, tp: TopicIdPartition) -> Option<CoordinatorView> {
        let applied = self.replica(tp)?.log_end_offset;
        let view =
            CoordinatorView { kind: CoordinatorKind::Transaction, leader_epoch: LeaderEpoch(0), applied };
        self.transactions.is_some().then_some(view)
    }
    fn coordinator_entries(&self, _: TopicIdPartition, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        if let Some(coordinator) = &self.transactions {
            coordinator.entries(each);
        }
    }
    fn quorum_changed(&self) -> bool {
        self.quorum_changed
    }
    fn quorum(&self) -> QuorumView {
        self.quorum
    }
    fn quorum_batches(
        &self,
        _: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        self.quorum_batches.iter().filter(|b| b.last_offset >= from).copied().for_each(each);
        Ok(())
    }
    fn metadata(&self) -> MetadataView {
        self.metadata
    }
    fn partitions(&self, each: &mut dyn FnMut(PartitionView<'_>)) {
        let replicas = [NodeId(1), NodeId(2)];
        for (tp, replica) in self.replicas.iter().filter(|(_, r)| r.leader) {
            each(PartitionView {
                id: *tp,
                topic: &self.topic,
                leader: NodeId(self.id),
                leader_epoch: LeaderEpoch(replica.epoch),
                isr: &replica.isr,
                elr: &replica.elr,
                replicas: &replicas,
            });
        }
    }
}

/// Fakes keep everything in memory.
struct NoDisk;

fn refused<T>() -> Result<T, DiskError> {
    Err(DiskError::Failed { path: String::new(), what: "a fake broker has no disk".to_owned() })
}

impl Disk for NoDisk {
    fn open(&mut self, _: &str, _: bool) -> Result<FileId, DiskError> {
        refused()
    }
    fn close(&mut self, _: FileId) {}
    fn len(&self, _: FileId) -> u64 {
        0
    }
    fn append(&mut self, _: FileId, _: &[Bytes]) -> Result<(), DiskError> {
        refused()
    }
    fn read(&mut self, _: FileId, _: u64, _: u64) -> Result<Bytes, DiskError> {
        refused()
    }
    fn truncate(&mut self, _: FileId, _: u64) -> Result<(), DiskError> {
        refused()
    }
    fn sync(&mut self, _: FileId) -> Result<(), DiskError> {
        refused()
    }
    fn rename(&mut self, _: &str, _: &str) -> Result<(), DiskError> {
        refused()
    }
    fn remove(&mut self, _: &str) -> Result<(), DiskError> {
        refused()
    }
    fn list(&mut self, _: &str) -> Result<Vec<String>, DiskError> {
        refused()
    }
    fn sync_folder(&mut self, _: &str) -> Result<(), DiskError> {
        refused()
    }
}
