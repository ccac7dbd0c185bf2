//! What observers may read of the node between two events.

use trial_node::view::{
    AbortedTransactionView, BatchView, BrokerView, CoordinatorEntry, CoordinatorView, LogRecordView,
    MetadataView, OpenTransactionView, PartitionView, QuorumView, ReplicaView,
};
use trial_node::{Disk, DiskError, NodeId, Offset, TopicIdPartition};

use crate::Broker;

impl BrokerView for Broker {
    fn node_id(&self) -> NodeId {
        self.config.node_id
    }

    fn changed_replicas(&self) -> &[TopicIdPartition] {
        self.replicas.changed()
    }

    fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        self.replicas.replica(tp)
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
        _: &mut dyn Disk,
        _: TopicIdPartition,
        _: Offset,
        _: &mut dyn FnMut(LogRecordView<'_>),
    ) -> Result<(), DiskError> {
        Ok(())
    }
    fn open_transactions(&self, _: TopicIdPartition, _: &mut dyn FnMut(OpenTransactionView)) {}
    fn aborted_transactions(
        &self,
        _: &mut dyn Disk,
        _: TopicIdPartition,
        _: Offset,
        _: Offset,
        _: &mut dyn FnMut(AbortedTransactionView),
    ) -> Result<(), DiskError> {
        Ok(())
    }
    fn changed_coordinators(&self) -> &[TopicIdPartition] {
        &[]
    }
    fn coordinator(&self, _: TopicIdPartition) -> Option<CoordinatorView> {
        None
    }
    fn coordinator_entries(&self, _: TopicIdPartition, _: &mut dyn FnMut(CoordinatorEntry<'_>)) {}
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
                    replicas: &state.replicas,
                });
            }
        }
    }
}
