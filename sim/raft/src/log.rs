//! The log that the quorum replicates, as it needs it.

use std::fmt;

use bytes::Bytes;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset};

/// The end of a log or of a snapshot: the offset after the last record, and that record's epoch.
///
/// Ordered as Raft compares logs: the epoch decides, then the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OffsetAndEpoch {
    /// The offset after the last record.
    pub offset: Offset,
    /// The last record's epoch; 0 if there is no record (no leader ever has epoch 0).
    pub epoch: LeaderEpoch,
}

impl OffsetAndEpoch {
    /// The end of `epoch` at `offset`.
    pub fn new(offset: Offset, epoch: LeaderEpoch) -> OffsetAndEpoch {
        OffsetAndEpoch { offset, epoch }
    }
}

impl Ord for OffsetAndEpoch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.epoch, self.offset).cmp(&(other.epoch, other.offset))
    }
}

impl PartialOrd for OffsetAndEpoch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for OffsetAndEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.offset, self.epoch)
    }
}

/// The member cannot go on: its disk failed or its log does not fit together. The node must halt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RaftError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log refused something that a sound log accepts.
    #[error("metadata log: {what}")]
    Log {
        /// What it said.
        what: String,
    },
}

/// The metadata partition's log on this node's disk. Everything is in whole RecordBatch v2.
///
/// Snapshots and `quorum-state` are not its business, though they are files in the same folder: an implementation leaves
/// files that are not its own alone.
pub trait ReplicatedLog: Clone {
    /// The first offset that it holds; equal to [`ReplicatedLog::end_offset`] if it holds none.
    fn start_offset(&self) -> Offset;

    /// The offset that the next record will get.
    fn end_offset(&self) -> Offset;

    /// The epoch of the last record; `None` if there is no record.
    fn last_epoch(&self) -> Option<LeaderEpoch>;

    /// The largest epoch with records that is not above `epoch`, and where it ends: the start of the next larger epoch, or
    /// the log's end. `None` if the log holds no record of such an epoch. What the leader epoch cache says (KIP-101).
    fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<OffsetAndEpoch>;

    /// Appends whole batches. They have been checked: their CRC is right, the first begins at the log's end, each next one
    /// where the one before ended, and epochs do not fall. Not durable before [`ReplicatedLog::flush`].
    ///
    /// # Errors
    /// [`RaftError`].
    fn append(&mut self, disk: &mut dyn Disk, batches: Bytes) -> Result<(), RaftError>;

    /// Reads whole batches from the one that holds `from` on, as many as fit `max_bytes` but at least one; empty at the
    /// log's end. `from` lies from the start to the end of the log.
    ///
    /// # Errors
    /// [`RaftError`].
    fn read(&self, disk: &mut dyn Disk, from: Offset, max_bytes: u32) -> Result<Bytes, RaftError>;

    /// Makes everything up to the log's end durable (and a truncation before it).
    ///
    /// # Errors
    /// [`RaftError`].
    fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError>;

    /// Removes the records from `offset` on. `offset` is a batch's first offset or the log's end.
    ///
    /// # Errors
    /// [`RaftError`].
    fn truncate_to(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError>;

    /// Removes everything and goes on at `offset`, durably: a snapshot up to there has just been made durable.
    ///
    /// # Errors
    /// [`RaftError`].
    fn truncate_fully_and_start_at(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError>;

    /// Raises the first offset to `offset` (at most the high watermark) because a snapshot covers what is before it; whole
    /// segments below may go.
    ///
    /// # Errors
    /// [`RaftError`].
    fn raise_start_offset(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError>;

    /// Tells that everything below `offset` is committed. Never falls.
    fn update_high_watermark(&mut self, offset: Offset);
}
