//! What the coordinators of this broker do to the logs of their partitions, which it leads.

use bytes::Bytes;
use trial_node::{LeaderEpoch, Offset, TopicIdPartition};
use trial_storage::{AppendInfo, AppendOrigin};
use trial_wire::{Batch, ErrorCode};

use super::directories::not_served;
use super::{Context, ReplicaManager};

/// Where a replica's log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBounds {
    /// The first offset.
    pub log_start_offset: Offset,
    /// The offset that the next record will get.
    pub log_end_offset: Offset,
    /// Everything below is committed.
    pub high_watermark: Offset,
    /// Everything below is committed and in no open transaction.
    pub last_stable_offset: Offset,
    /// The epoch in which this broker leads the partition; `None` if it does not.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl ReplicaManager {
    /// Appends records of this broker's own with the rules of `acks=all`, if it leads the partition in exactly that epoch.
    /// The batch may be transactional without sequence numbers; who begins a transaction that way must have been verified
    /// ([`ReplicaManager::verify_own`]).
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER (also for an unknown partition), NOT_ENOUGH_REPLICAS, MESSAGE_TOO_LARGE,
    /// RECORD_LIST_TOO_LARGE, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, KAFKA_STORAGE_ERROR. Nothing was appended.
    pub fn append_own(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        batch: &Batch,
        leader_epoch: LeaderEpoch,
    ) -> Result<AppendInfo, ErrorCode> {
        let leads = self.log_bounds(tp).is_some_and(|bounds| bounds.leader_epoch == Some(leader_epoch));
        if !leads {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let appended = self.append_batch(ctx, tp, -1, batch, AppendOrigin::Coordinator);
        self.settle(ctx);
        appended.map_err(|rejection| rejection.code)
    }

    /// Reads whole batches of a partition that this broker leads, from the one that holds `from` on, up to the log's end:
    /// about `max_bytes` of them, at least one if there is any. Empty if `from` is the log's end.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER, OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
    pub fn read_local(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Bytes, ErrorCode> {
        let partition = self.partitions.get(&tp).filter(|partition| partition.is_leader());
        let Some(partition) = partition else { return Err(not_served(&self.offline, tp)) };
        let log = &partition.log;
        match log.read(ctx.disk, from, max_bytes, log.log_end_offset(), true) {
            Ok(data) => Ok(data.records),
            Err(error) => {
                let code = self.after.read_failed(partition.directory, error);
                self.settle(ctx);
                Err(code)
            }
        }
    }

    /// Where a replica's log begins and ends; `None` if this broker has none.
    pub fn log_bounds(&self, tp: TopicIdPartition) -> Option<LogBounds> {
        let partition = self.partitions.get(&tp)?;
        Some(LogBounds {
            log_start_offset: partition.log.log_start_offset(),
            log_end_offset: partition.log.log_end_offset(),
            high_watermark: partition.log.high_watermark(),
            last_stable_offset: partition.log.last_stable_offset(),
            leader_epoch: partition.is_leader().then_some(partition.leader_epoch),
        })
    }
}
