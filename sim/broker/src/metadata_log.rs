//! The metadata partition's log on this node's disk, as the quorum wants it (`KafkaMetadataLog`).

use bytes::Bytes;
use trial_node::{Disk, LeaderEpoch, Offset, OpenError};
use trial_raft::{OffsetAndEpoch, RaftError, ReplicatedLog};
use trial_storage::{AppendError, LogConfig, LogOpen, ReadError, RecoveryReport, UnifiedLog};

/// The name of the metadata partition's folder.
pub(crate) const FOLDER: &str = "__cluster_metadata-0";

/// [`UnifiedLog`] as a [`ReplicatedLog`].
#[derive(Clone, Debug)]
pub(crate) struct MetadataLog {
    log: UnifiedLog,
}

impl MetadataLog {
    /// Opens or creates the log. Everything in it is checked, whether or not the last shutdown was in order.
    pub fn open(
        disk: &mut dyn Disk,
        folder: &str,
        segment_bytes: u32,
        now_ms: i64,
    ) -> Result<(MetadataLog, RecoveryReport), OpenError> {
        let config = LogConfig { segment_bytes, max_message_bytes: 8 << 20, ..LogConfig::default() };
        let options = LogOpen {
            config,
            clean_shutdown: false,
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            high_watermark: Offset::ZERO,
        };
        let (log, report) = UnifiedLog::open(disk, folder, options, now_ms)?;
        Ok((MetadataLog { log }, report))
    }

    /// The log itself, for observers.
    pub fn unified(&self) -> &UnifiedLog {
        &self.log
    }

    fn holds_records(&self) -> bool {
        self.log.log_start_offset() < self.log.log_end_offset()
    }
}

impl ReplicatedLog for MetadataLog {
    fn start_offset(&self) -> Offset {
        self.log.log_start_offset()
    }

    fn end_offset(&self) -> Offset {
        self.log.log_end_offset()
    }

    fn last_epoch(&self) -> Option<LeaderEpoch> {
        if self.holds_records() { self.log.latest_epoch() } else { None }
    }

    fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<OffsetAndEpoch> {
        let last = self.last_epoch()?;
        if epoch >= last {
            return Some(OffsetAndEpoch::new(self.log.log_end_offset(), last));
        }
        let (found, end) = self.log.end_offset_for_epoch(epoch)?;
        // An epoch that ends where the log begins has no record in it.
        (end > self.log.log_start_offset()).then(|| OffsetAndEpoch::new(end, found))
    }

    fn append(&mut self, disk: &mut dyn Disk, batches: Bytes) -> Result<(), RaftError> {
        match self.log.append_as_follower(disk, batches, 0) {
            Ok(_) => Ok(()),
            Err(AppendError::Disk(error)) => Err(error.into()),
            Err(error) => Err(RaftError::Log { what: error.to_string() }),
        }
    }

    fn read(&self, disk: &mut dyn Disk, from: Offset, max_bytes: u32) -> Result<Bytes, RaftError> {
        let end = self.log.log_end_offset();
        match self.log.read(disk, from, max_bytes as usize, end, true) {
            Ok(data) => Ok(data.records),
            Err(ReadError::Disk(error)) => Err(error.into()),
            Err(error) => Err(RaftError::Log { what: error.to_string() }),
        }
    }

    fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError> {
        Ok(self.log.flush(disk)?)
    }

    fn truncate_to(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError> {
        self.log.truncate_to(disk, offset)?;
        Ok(())
    }

    fn truncate_fully_and_start_at(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError> {
        Ok(self.log.truncate_fully_and_start_at(disk, offset)?)
    }

    fn raise_start_offset(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), RaftError> {
        if self.log.advance_log_start_offset(disk, offset)? {
            self.log.delete_segments_before(disk, offset)?;
        }
        Ok(())
    }

    fn update_high_watermark(&mut self, offset: Offset) {
        self.log.update_high_watermark(offset);
    }
}
