//! One partition's log.

use bytes::Bytes;
use trial_node::view::BatchView;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset, OpenError, ProducerEpoch, ProducerId};
use trial_wire::{Batch, BatchError, Uuid};

use crate::config::LogConfig;

/// Who asks a leader to append; decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's Produce request: everything is checked.
    Client,
    /// The leader of the metadata quorum: control batches are allowed.
    RaftLeader,
}

/// What an append did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendInfo {
    /// The first record's offset.
    pub first_offset: Offset,
    /// The last record's offset.
    pub last_offset: Offset,
    /// The timestamp that the leader gave the records, ms since the epoch; −1 with CreateTime.
    pub log_append_time_ms: i64,
    /// The log's first offset.
    pub log_start_offset: Offset,
    /// Whether the batch was one of the producer's last five and nothing was appended; the offsets are the original's.
    pub duplicate: bool,
}

/// A batch was not appended; the log is unchanged (after [`AppendError::Disk`] it must be reopened).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The bytes are not batches.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A batch that only brokers may write, or whose offsets are not 0, 1, 2, ....
    #[error("{what}")]
    InvalidRecord {
        /// What is wrong.
        what: &'static str,
    },
    /// Larger than `max.message.bytes` or than a segment.
    #[error("batch has {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// The batch's size in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// A newer instance of the producer has appended (INVALID_PRODUCER_EPOCH).
    #[error("producer {producer_id}: epoch {epoch} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// The batch's.
        epoch: ProducerEpoch,
        /// The newest seen.
        current: ProducerEpoch,
    },
    /// The batch does not continue the producer's sequence.
    #[error("producer {producer_id}: sequence {sequence} after {last_sequence}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: ProducerId,
        /// The batch's first.
        sequence: i32,
        /// The last appended; −1 if none in this producer epoch.
        last_sequence: i32,
    },
    /// The producer wrote outside the transaction that it has open.
    #[error("producer {producer_id}: not transactional, but a transaction is open")]
    InvalidTxnState {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A follower was given batches that do not go on where its log ends, or that are not in order.
    #[error("batch at offset {offset}, expected {expected} or later")]
    UnexpectedOffset {
        /// The batch's.
        offset: Offset,
        /// The lowest possible.
        expected: Offset,
    },
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// A read gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The log has no such offset (OFFSET_OUT_OF_RANGE).
    #[error("offset {offset} is not in {log_start_offset}..={log_end_offset}")]
    OffsetOutOfRange {
        /// The offset asked for.
        offset: Offset,
        /// The log's first.
        log_start_offset: Offset,
        /// The log's end.
        log_end_offset: Offset,
    },
    /// The log's files do not hold what they held when they were opened.
    #[error(transparent)]
    Corrupt(#[from] BatchError),
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What a read gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchData {
    /// Whole batches; the first may begin before the offset asked for.
    pub records: Bytes,
    /// The offset after the last record in them; the offset asked for if there are none.
    pub next_offset: Offset,
}

/// A record found by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampAndOffset {
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
    /// Its offset.
    pub offset: Offset,
    /// The epoch of the leader that appended it.
    pub leader_epoch: LeaderEpoch,
}

/// What is known about a log before its folder is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogOpen {
    /// Its configuration.
    pub config: LogConfig,
    /// Whether it was closed in order; if not, everything from the recovery point on is checked.
    pub clean_shutdown: bool,
    /// Its entry in `recovery-point-offset-checkpoint`, or 0.
    pub recovery_point: Offset,
    /// Its entry in `log-start-offset-checkpoint`, or 0.
    pub log_start_offset: Offset,
}

/// One thing that recovery had to repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// The file, relative to the data folder.
    pub path: String,
    /// What was wrong and what was done.
    pub what: String,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// In the order in which it was found; empty if all was well.
    pub repairs: Vec<Repair>,
}

/// One partition's log. How to drive it:
/// - [`UnifiedLog::open`] creates it or recovers it from its folder;
/// - a leader calls [`UnifiedLog::append_as_leader`], a follower [`UnifiedLog::append_as_follower`];
/// - whoever replicates it moves the high watermark;
/// - [`UnifiedLog::flush`] now and then, and [`UnifiedLog::close`] at the end of an orderly shutdown.
///
/// Files stay open; every call is given the disk they are open on. After any [`DiskError`] the log in memory may differ
/// from the files, and must be dropped and opened again.
#[derive(Clone, Debug)]
pub struct UnifiedLog {
    folder: String,
}

#[allow(unused_variables)]
impl UnifiedLog {
    /// Opens the log in `folder`, creating it if there is none, and repairs what a crash has left. `now_ms` is the wall
    /// clock.
    ///
    /// # Errors
    /// What the disk says. Nothing that a file holds is an error: it is repaired, and the report says how.
    pub fn open(
        disk: &mut dyn Disk,
        folder: &str,
        options: LogOpen,
        now_ms: i64,
    ) -> Result<(UnifiedLog, RecoveryReport), OpenError> {
        unimplemented!()
    }

    /// Flushes everything, writes a producer snapshot and closes the files: after this the log opens again without
    /// recovery.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close(self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// Forgets the open files without writing anything: the log is about to be deleted.
    pub fn abandon(self, disk: &mut dyn Disk) {
        unimplemented!()
    }

    /// The folder's name, `<topic>-<partition>`.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The configuration.
    pub fn config(&self) -> &LogConfig {
        unimplemented!()
    }

    /// Replaces the configuration; takes effect with the next append.
    pub fn set_config(&mut self, config: LogConfig) {
        unimplemented!()
    }

    /// The topic's id, if `partition.metadata` gave one.
    pub fn topic_id(&self) -> Option<Uuid> {
        unimplemented!()
    }

    /// Writes the topic's id to `partition.metadata`, durably. Does nothing if it is there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn assign_topic_id(&mut self, disk: &mut dyn Disk, topic_id: Uuid) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// The first offset.
    pub fn log_start_offset(&self) -> Offset {
        unimplemented!()
    }

    /// The offset that the next record will get.
    pub fn log_end_offset(&self) -> Offset {
        unimplemented!()
    }

    /// Everything below is committed, as far as this replica knows.
    pub fn high_watermark(&self) -> Offset {
        unimplemented!()
    }

    /// Everything below is committed and in no open transaction.
    pub fn last_stable_offset(&self) -> Offset {
        unimplemented!()
    }

    /// Everything below is on the device.
    pub fn recovery_point(&self) -> Offset {
        unimplemented!()
    }

    /// How many times the log was cut at its end since it was created in memory (1 if recovery lost anything).
    pub fn truncations(&self) -> u64 {
        unimplemented!()
    }

    /// The log's size in bytes.
    pub fn size(&self) -> u64 {
        unimplemented!()
    }

    /// How many segments it has.
    pub fn segment_count(&self) -> usize {
        unimplemented!()
    }

    /// Sets the high watermark, forwards or backwards, to the nearest offset that the log has (a follower learns it from its
    /// leader); returns it.
    pub fn update_high_watermark(&mut self, high_watermark: Offset) -> Offset {
        unimplemented!()
    }

    /// Moves the high watermark forwards (a leader's computation); returns the old one if it moved. The new one must not be
    /// beyond the log's end.
    pub fn maybe_increment_high_watermark(&mut self, high_watermark: Offset) -> Option<Offset> {
        unimplemented!()
    }

    /// Appends a client's or the quorum leader's batch, which must come from [`Batch::parse`] or a builder: gives it the
    /// next offsets and the leader epoch.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batch: &Batch,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        now_ms: i64,
    ) -> Result<AppendInfo, AppendError> {
        unimplemented!()
    }

    /// Appends batches as a leader sent them, checking CRC and order. A batch that is cut off at the end is left out.
    /// `None` if there was no whole batch.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        records: Bytes,
        now_ms: i64,
    ) -> Result<Option<AppendInfo>, AppendError> {
        unimplemented!()
    }

    /// Reads whole batches from the one that holds `from` on, at most `max_bytes` of them, none that ends beyond `bound` (the
    /// high watermark for consumers, the log's end for replicas). With `min_one` the first batch comes even if it alone is
    /// larger. Nothing if `from` is `bound` or beyond.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        max_bytes: usize,
        bound: Offset,
        min_one: bool,
    ) -> Result<FetchData, ReadError> {
        unimplemented!()
    }

    /// Calls `each` with every batch that ends at or after `from`, in order, reading the headers from the files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn batches(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        each: &mut dyn FnMut(BatchView),
    ) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// The newest leader epoch that has records (or was assigned a start).
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        unimplemented!()
    }

    /// The epoch of the leader that appended the record at `offset`, or would have; `None` before the first known epoch.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        unimplemented!()
    }

    /// Notes, durably, that records from the log's end on are of `epoch` (a new leader does this before it appends).
    ///
    /// # Errors
    /// What the disk says.
    pub fn assign_epoch_start(&mut self, disk: &mut dyn Disk, epoch: LeaderEpoch) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// The largest epoch not above `epoch` that the log knows, and where it ends (KIP-101, KIP-279): the log's end for the
    /// latest epoch; `epoch` itself and the first known epoch's start if the log knows only later ones; `None` if it knows
    /// none that is as new.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        unimplemented!()
    }

    /// The first record whose timestamp is at least `timestamp` (ms since the epoch).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_for_timestamp(
        &self,
        disk: &mut dyn Disk,
        timestamp: i64,
    ) -> Result<Option<TimestampAndOffset>, ReadError> {
        unimplemented!()
    }

    /// The record with the largest timestamp (KIP-734); the first of them.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn offset_of_max_timestamp(
        &self,
        disk: &mut dyn Disk,
    ) -> Result<Option<TimestampAndOffset>, ReadError> {
        unimplemented!()
    }

    /// Cuts the log so that it ends at `offset`, or before the batch that holds `offset`; durable when it returns. Returns
    /// whether anything was cut. The high watermark is pulled back to the log's end if need be.
    ///
    /// # Errors
    /// What the disk says.
    pub fn truncate_to(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<bool, DiskError> {
        unimplemented!()
    }

    /// Drops everything; the log starts and ends at `offset`, and the high watermark is there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn truncate_fully_and_start_at(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// Moves the log's start forwards to `offset` (at most the high watermark; DeleteRecords, retention, snapshots); returns
    /// whether it moved. Segments stay until [`UnifiedLog::delete_segments_before`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn advance_log_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<bool, DiskError> {
        unimplemented!()
    }

    /// Deletes the segments that end at or before `offset` and before the log's start, never the active one; returns how
    /// many.
    ///
    /// # Errors
    /// What the disk says.
    pub fn delete_segments_before(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<usize, DiskError> {
        unimplemented!()
    }

    /// Makes the whole log durable and moves the recovery point to its end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        unimplemented!()
    }

    /// Makes all segments but the active one durable; whether there was anything to do. Kafka does this in the background
    /// after a roll.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush_rolled(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        unimplemented!()
    }

    /// Starts a new segment at the log's end, unless the active one is empty.
    ///
    /// # Errors
    /// What the disk says.
    pub fn roll(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        unimplemented!()
    }
}
