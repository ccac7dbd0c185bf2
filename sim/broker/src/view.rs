//! What observers may read of the node between two events.

use trial_node::view::{
    AbortedTransactionView, BatchView, BrokerView, CoordinatorEntry, CoordinatorView, LogRecordView,
    MetadataView, OpenTransactionView, PartitionView, QuorumView, ReplicaView,
};
use trial_node::{Disk, DiskError, NodeId, Offset, TopicIdPartition};
use trial_storage::UnifiedLog;

use crate::Broker;

impl Broker {
    /// The logs of all replicas, for an observer who opens them once more from a copy of the disk.
    pub fn logs(&self) -> impl Iterator<Item = &UnifiedLog> {
        self.replicas.logs()
    }
}

impl BrokerView for Broker {
    fn node_id(&self) -> NodeId {
        self.config.node_id
    }

    fn offline_log_dirs(&self) -> Vec<String> {
        let offline = self.replicas.directories().filter(|directory| !directory.online);
        offline.map(|directory| format!("/{}", directory.path)).collect()
    }

    fn changed_replicas(&self) -> &[TopicIdPartition] {
        self.replicas.changed()
    }

    fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        self.replicas.replica(tp)
    }

    fn lost_replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        self.replicas.lost_replica(tp)
    }

    fn batches(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        self.replicas.batches(disk, tp, from, each)
    }

    fn records(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(LogRecordView<'_>),
    ) -> Result<(), DiskError> {
        self.replicas.records(disk, tp, from, each)
    }

    fn open_transactions(&self, tp: TopicIdPartition, each: &mut dyn FnMut(OpenTransactionView)) {
        self.replicas.open_transactions(tp, each);
    }

    fn aborted_transactions(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        to: Offset,
        each: &mut dyn FnMut(AbortedTransactionView),
    ) -> Result<(), DiskError> {
        self.replicas.aborted_transactions(disk, tp, from, to, each)
    }

    fn changed_coordinators(&self) -> &[TopicIdPartition] {
        &self.coordinators.changed
    }

    fn coordinator(&self, tp: TopicIdPartition) -> Option<CoordinatorView> {
        self.coordinators.view(tp)
    }

    fn coordinator_entries(&self, tp: TopicIdPartition, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        self.coordinators.entries(tp, each);
    }

    fn quorum_changed(&self) -> bool {
        self.quorum_changed
    }

    fn quorum(&self) -> QuorumView {
        self.quorum.raft.quorum_view()
    }

    fn quorum_batches(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        self.quorum.raft.log().unified().batches(disk, from, each)
    }

    fn metadata(&self) -> MetadataView {
        MetadataView { offset: self.published.next_offset, digest: self.published.image.digest() }
    }

    fn partitions(&self, each: &mut dyn FnMut(PartitionView<'_>)) {
        for topic in self.published.image.topics().values() {
            for (&partition, state) in &topic.partitions {
                each(PartitionView {
                    id: TopicIdPartition { topic_id: topic.id, partition },
                    topic: &topic.name,
                    leader: state.leader,
                    leader_epoch: state.leader_epoch,
                    isr: &state.isr,
                    elr: &state.elr,
                    replicas: &state.replicas,
                });
            }
        }
    }
}
