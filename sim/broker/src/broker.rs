//! The node: what comes in is handed to the part that it concerns, and what the parts want done is carried out.

use trial_node::view::{BatchView, BrokerView, MetadataView, PartitionView, QuorumView, ReplicaView};
use trial_node::{
    Disk, DiskError, Input, Io, Node, NodeId, Now, Offset, OpenError, Time, TopicIdPartition,
};

use crate::BrokerConfig;

/// A combined node, broker and controller in one process.
#[derive(Clone, Debug)]
pub struct Broker {
    config: BrokerConfig,
}

#[allow(unused_variables)]
impl Node for Broker {
    type Config = BrokerConfig;

    fn open(config: BrokerConfig, io: &mut Io<'_>, now: Now) -> Result<Broker, OpenError> {
        unimplemented!()
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        unimplemented!()
    }

    fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }
}

#[allow(unused_variables)]
impl BrokerView for Broker {
    fn node_id(&self) -> NodeId {
        self.config.node_id
    }

    fn changed_replicas(&self) -> &[TopicIdPartition] {
        unimplemented!()
    }

    fn replica(&self, tp: TopicIdPartition) -> Option<ReplicaView<'_>> {
        unimplemented!()
    }

    fn batches(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        unimplemented!()
    }

    fn quorum_changed(&self) -> bool {
        unimplemented!()
    }

    fn quorum(&self) -> QuorumView {
        unimplemented!()
    }

    fn quorum_batches(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        unimplemented!()
    }

    fn metadata(&self) -> MetadataView {
        unimplemented!()
    }

    fn partitions(&self, each: &mut dyn FnMut(PartitionView<'_>)) {
        unimplemented!()
    }
}
