//! One partition's log.

mod append;
mod cleaner;
#[cfg(test)]
mod cleaner_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod model_tests;
mod read;
mod recovery;
mod retention;
#[cfg(test)]
mod tests;
mod transactions;
mod truncate;
mod validate;

use std::collections::VecDeque;

use bytes::Bytes;
use trial_node::{Disk, DiskError, LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::{BatchError, Uuid};

use crate::config::LogConfig;
use crate::leader_epoch::LeaderEpochCache;
use crate::log_dir;
use crate::producer_state::ProducerStateManager;
use crate::segment::LogSegment;

pub use cleaner::{CleanError, Cleaned};
pub use recovery::{LogOpen, RecoveryReport, Repair};
pub use validate::{RecordError, RecordFault};

/// Who asks a leader to append; decides what is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client's Produce request: everything is checked.
    Client,
    /// A coordinator on this broker: its batches have no sequence numbers, and are not limited in size by what clients may
    /// send.
    Coordinator,
    /// A transaction coordinator that ends a transaction: the batch is a marker.
    Marker {
        /// The version of the protocol that the transaction was ended with (KIP-890, KIP-1228); 0 if it is not known.
        transaction_version: i8,
    },
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
    /// Some of its records are refused, and so is the whole (INVALID_TIMESTAMP if all are for that, else INVALID_RECORD;
    /// KIP-467).
    #[error("{} of the batch's records are refused", errors.len())]
    Records {
        /// Which, and why; in the order of the records.
        errors: Vec<RecordError>,
    },
    /// Larger than `max.message.bytes` (MESSAGE_TOO_LARGE).
    #[error("batch has {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// The batch's size in bytes.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// Larger than `segment.bytes` (RECORD_LIST_TOO_LARGE).
    #[error("batch has {size} bytes, a segment has at most {max}")]
    LargerThanSegment {
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
    /// The producer wrote outside the transaction that it has open, or in one that has not begun (INVALID_TXN_STATE).
    #[error("producer {producer_id}: the batch does not belong to the transaction that is open, or none is")]
    InvalidTxnState {
        /// The producer.
        producer_id: ProducerId,
    },
    /// Another coordinator has ended the producer's transactions since (TRANSACTION_COORDINATOR_FENCED).
    #[error("producer {producer_id}: coordinator epoch {coordinator_epoch} is older than {current}")]
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: ProducerId,
        /// The marker's.
        coordinator_epoch: i32,
        /// The newest seen.
        current: i32,
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

/// What a log knows of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its newest epoch.
    pub producer_epoch: ProducerEpoch,
    /// The last sequence number in this epoch; −1 if there is none.
    pub last_sequence: i32,
    /// The last offset of its last batch that is remembered; -1 if there is none.
    pub last_offset: Offset,
    /// The timestamp of its last batch or marker, ms since the epoch.
    pub last_timestamp: i64,
    /// The epoch of the coordinator that wrote its last marker; −1 if none did.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub current_txn_first_offset: Option<Offset>,
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
    config: LogConfig,
    topic_id: Option<Uuid>,
    /// By base offset; never empty. The last one is the active one.
    segments: Vec<LogSegment>,
    log_start_offset: Offset,
    log_end_offset: Offset,
    high_watermark: Offset,
    recovery_point: Offset,
    epochs: LeaderEpochCache,
    producers: ProducerStateManager,
    /// The last batches of the active segment, one after the other up to its end: where replicas and consumers that keep
    /// up read. Only their places are kept; what is read always comes from the file.
    tail: VecDeque<TailBatch>,
    truncations: u64,
    /// Everything below has been compacted.
    cleaned_to: Offset,
    /// Whether compaction met something that it cannot read.
    uncleanable: bool,
    /// The files of deleted segments, and when they may go, ms since the epoch. Whoever opens the log again removes them.
    retired: VecDeque<(i64, String)>,
    /// Whether files were created in the folder since it was last synced.
    names_dirty: bool,
    /// Whether the folder itself may not be durable yet.
    folder_dirty: bool,
}

/// Where a recent batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TailBatch {
    base_offset: Offset,
    next_offset: Offset,
    position: u32,
    size: u32,
}

/// How many batches [`UnifiedLog`] keeps the places of.
const TAIL_BATCHES: usize = 64;

impl UnifiedLog {
    /// Flushes everything, writes a producer snapshot and closes the files: after this the log opens again without
    /// recovery.
    ///
    /// # Errors
    /// What the disk says.
    pub fn close(mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let folder = &self.folder;
        let active = self.segments.last_mut().expect("a log has a segment");
        self.producers.take_snapshot(disk, folder)?;
        self.producers.sync_snapshot(disk, folder)?;
        active.seal(disk, folder)?;
        active.sync_indexes(disk, folder)?;
        self.names_dirty = true;
        self.flush(disk)?;
        self.abandon(disk);
        Ok(())
    }

    /// Forgets the open files without writing anything: the log is about to be deleted.
    pub fn abandon(self, disk: &mut dyn Disk) {
        for segment in self.segments {
            segment.close(disk);
        }
    }

    /// The folder's name, `<topic>-<partition>`.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The configuration.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Replaces the configuration; takes effect with the next append.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The topic's id, if `partition.metadata` gave one.
    pub fn topic_id(&self) -> Option<Uuid> {
        self.topic_id
    }

    /// Writes the topic's id to `partition.metadata`, durably. Does nothing if it is there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn assign_topic_id(&mut self, disk: &mut dyn Disk, topic_id: Uuid) -> Result<(), DiskError> {
        if self.topic_id != Some(topic_id) {
            log_dir::write_partition_metadata(disk, &self.folder, topic_id)?;
            self.topic_id = Some(topic_id);
            self.names_dirty = false;
            self.sync_names(disk)?;
        }
        Ok(())
    }

    /// The first offset.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// The offset that the next record will get.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Everything below is committed, as far as this replica knows.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Everything below is committed, and its transactions are over with markers that are committed, too (KIP-98).
    pub fn last_stable_offset(&self) -> Offset {
        self.producers.first_unstable_offset().map_or(self.high_watermark, |unstable| {
            self.high_watermark.min(unstable.max(self.log_start_offset))
        })
    }

    /// Everything below is on the device. Goes back only in [`UnifiedLog::open`] and when the log is truncated.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// How many times the log was cut at its end since it was created in memory (1 if recovery lost anything).
    pub fn truncations(&self) -> u64 {
        self.truncations
    }

    /// The log's size in bytes.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.size())).sum()
    }

    /// How many segments it has.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// Sets the high watermark, forwards or backwards, to the nearest offset that the log has (a follower learns it from its
    /// leader); returns it.
    pub fn update_high_watermark(&mut self, high_watermark: Offset) -> Offset {
        self.high_watermark = high_watermark.clamp(self.log_start_offset, self.log_end_offset);
        self.producers.on_high_watermark_updated(self.high_watermark);
        self.high_watermark
    }

    /// Moves the high watermark forwards (a leader's computation); returns the old one if it moved. The new one must not be
    /// beyond the log's end.
    pub fn maybe_increment_high_watermark(&mut self, high_watermark: Offset) -> Option<Offset> {
        assert!(
            high_watermark <= self.log_end_offset,
            "high watermark {high_watermark} beyond the log's end {}",
            self.log_end_offset
        );
        let old = self.high_watermark;
        if high_watermark <= old {
            return None;
        }
        self.update_high_watermark(high_watermark);
        Some(old)
    }

    /// The newest leader epoch that has records (or was assigned a start).
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest()
    }

    /// The epoch of the leader that appended the record at `offset`, or would have; `None` before the first known epoch.
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.epoch_for_offset(offset)
    }

    /// Notes, durably, that records from the log's end on are of `epoch` (a new leader does this before it appends).
    ///
    /// # Errors
    /// What the disk says.
    pub fn assign_epoch_start(&mut self, disk: &mut dyn Disk, epoch: LeaderEpoch) -> Result<(), DiskError> {
        self.assign_epoch(disk, epoch, self.log_end_offset)
    }

    /// The checkpoint is written before the records are, so that it is never behind the log.
    fn assign_epoch(
        &mut self,
        disk: &mut dyn Disk,
        epoch: LeaderEpoch,
        start_offset: Offset,
    ) -> Result<(), DiskError> {
        if self.epochs.assign(epoch, start_offset) {
            self.epochs.save(disk, &self.folder)?;
        }
        Ok(())
    }

    /// The largest epoch not above `epoch` that the log knows, and where it ends (KIP-101, KIP-279): the log's end for the
    /// latest epoch; `epoch` itself and the first known epoch's start if the log knows only later ones; `None` if it knows
    /// none that is as new.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        self.epochs.end_offset_for(epoch, self.log_end_offset)
    }

    /// Makes the whole log durable and moves the recovery point to its end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.flush_rolled(disk)?;
        if self.recovery_point < self.log_end_offset {
            self.active_mut().sync(disk)?;
        }
        self.sync_names(disk)?;
        self.recovery_point = self.log_end_offset;
        Ok(())
    }

    /// Makes all segments but the active one durable; whether there was anything to do. Kafka does this in the background
    /// after a roll.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush_rolled(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        let active_base = self.active().base_offset();
        if self.recovery_point >= active_base {
            return Ok(false);
        }
        let (_, rolled) = self.segments.split_last_mut().expect("a log has a segment");
        for segment in rolled {
            if segment.next_offset() > self.recovery_point {
                segment.sync(disk)?;
                segment.sync_indexes(disk, &self.folder)?;
            }
        }
        self.sync_names(disk)?;
        self.recovery_point = active_base;
        Ok(true)
    }

    /// Starts a new segment at the log's end, unless the active one is empty.
    ///
    /// # Errors
    /// What the disk says.
    pub fn roll(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), DiskError> {
        let end = self.log_end_offset;
        let folder = &self.folder;
        let active = self.segments.last_mut().expect("a log has a segment");
        if active.size() == 0 {
            return Ok(());
        }
        active.seal(disk, folder)?;
        if self.recovery_point == end {
            // Below the recovery point indexes are trusted, and the next flush will not look at this segment.
            active.sync_indexes(disk, folder)?;
        }
        self.producers.take_snapshot(disk, folder)?;
        self.segments.push(LogSegment::create(disk, folder, end, now_ms)?);
        self.names_dirty = true;
        self.tail.clear();
        Ok(())
    }

    fn active(&self) -> &LogSegment {
        self.segments.last().expect("a log has a segment")
    }

    fn active_mut(&mut self) -> &mut LogSegment {
        self.segments.last_mut().expect("a log has a segment")
    }

    /// Makes the names of the log's files durable.
    fn sync_names(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        if self.names_dirty {
            disk.sync_folder(&self.folder)?;
            self.names_dirty = false;
        }
        if self.folder_dirty {
            disk.sync_folder(crate::whole_file::split(&self.folder).0)?;
            self.folder_dirty = false;
        }
        Ok(())
    }
}
