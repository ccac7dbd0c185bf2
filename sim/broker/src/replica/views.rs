//! What observers may read of the replicas' transactions and records.

use trial_node::view::{AbortedTransactionView, LogRecordView, OpenTransactionView};
use trial_node::{Disk, DiskError, Offset, TopicIdPartition};
use trial_storage::UnifiedLog;

use super::ReplicaManager;

impl ReplicaManager {
    /// The logs of all replicas.
    pub fn logs(&self) -> impl Iterator<Item = &UnifiedLog> {
        self.partitions.values().map(|partition| &partition.log)
    }

    /// Calls `each` with every record of the replica's log from `from` on, in order, control records included.
    ///
    /// # Errors
    /// What the disk says; [`DiskError::Failed`] if a batch cannot be decoded.
    pub fn records(
        &self,
        disk: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        each: &mut dyn FnMut(LogRecordView<'_>),
    ) -> Result<(), DiskError> {
        match self.readable(tp) {
            Some(partition) => partition.log.records(disk, from, each),
            None => Ok(()),
        }
    }

    /// Calls `each` with every transaction that is open in the replica's log, by producer id.
    pub fn open_transactions(&self, tp: TopicIdPartition, each: &mut dyn FnMut(OpenTransactionView)) {
        if let Some(partition) = self.readable(tp) {
            partition.log.open_transactions(each);
        }
    }

    /// Calls `each` with every aborted transaction that a reader of offsets from `from` up to, not including, `to` must
    /// know, in the order of their markers.
    ///
    /// # Errors
    /// What the disk says.
    pub fn aborted_transactions(
        &self,
        _: &mut dyn Disk,
        tp: TopicIdPartition,
        from: Offset,
        to: Offset,
        each: &mut dyn FnMut(AbortedTransactionView),
    ) -> Result<(), DiskError> {
        if let Some(partition) = self.readable(tp) {
            partition.log.aborted_transactions(from, to, each);
        }
        Ok(())
    }
}
