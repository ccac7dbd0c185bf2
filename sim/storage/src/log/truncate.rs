//! Cutting a log at its end and at its start.
//!
//! The order of the steps matters, since a crash may come between any two: snapshots of producers and segments go, last
//! first, before the segment that holds the cut is cut, and everything is durable before anything is appended again.

use trial_node::{Disk, DiskError, Offset};

use super::{ReadError, UnifiedLog};
use crate::segment::LogSegment;

impl UnifiedLog {
    /// Cuts the log so that it ends at `offset`, or before the batch or the gap that holds `offset`; durable when it returns. Returns
    /// whether anything was cut. The high watermark is pulled back to the log's end if need be, and so is the recovery point:
    /// its checkpoint must be written before anything is appended, or else recovery will trust what it should check.
    ///
    /// # Errors
    /// What the disk says.
    pub fn truncate_to(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<bool, DiskError> {
        if offset < self.segments[0].base_offset() {
            self.truncate_fully_and_start_at(disk, offset)?;
            return Ok(true);
        }
        // Even if no record goes: a leader that never appended may have left the start of its epoch at the log's end.
        let epochs_changed = self.epochs.truncate_from_end(offset);
        if offset >= self.log_end_offset {
            if epochs_changed {
                self.epochs.save(disk, &self.folder)?;
            }
            return Ok(false);
        }
        let start = self.log_start_offset;
        self.truncate_records(disk, offset).map_err(|error| self.unreadable(error))?;
        if self.log_end_offset < start && start <= offset {
            // The batch or the gap that held the cut holds the log's start as well: what was deleted must not come back.
            self.truncate_fully_and_start_at(disk, start)?;
            return Ok(true);
        }
        if self.epochs.truncate_from_end(self.log_end_offset) || epochs_changed {
            self.epochs.save(disk, &self.folder)?;
        }
        Ok(true)
    }

    fn truncate_records(&mut self, disk: &mut dyn Disk, offset: Offset) -> Result<(), ReadError> {
        self.producers.retain_snapshots(disk, &self.folder, |snapshot| snapshot <= offset)?;
        let keep = self.segment_of(offset) + 1;
        for segment in self.segments.drain(keep..).rev() {
            segment.delete(disk, &self.folder)?;
        }
        disk.sync_folder(&self.folder)?;
        self.names_dirty = false;
        self.tail.clear();
        let interval = self.config.index_interval_bytes;
        self.active_mut().truncate_to(disk, offset, interval)?;
        // Not where it was cut, should compaction have left a gap there: the next segment would begin behind a hole.
        self.log_end_offset = self.active().next_offset();
        self.log_start_offset = self.log_start_offset.min(self.log_end_offset);
        self.recovery_point = self.recovery_point.min(self.log_end_offset);
        self.cleaned_to = self.cleaned_to.min(self.log_end_offset);
        self.update_high_watermark(self.high_watermark);
        self.truncations += 1;
        if self.producers.producers().is_empty() {
            // Nobody was there to be forgotten, so the log need not be read.
            self.producers.set_map_end_offset(self.log_end_offset);
        } else {
            self.reload_producers(disk)?;
        }
        Ok(())
    }

    /// Drops everything; the log starts and ends at `offset`, and the high watermark and the recovery point are there. For the
    /// checkpoint of the latter the same holds as with [`UnifiedLog::truncate_to`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn truncate_fully_and_start_at(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<(), DiskError> {
        self.producers.truncate_fully_and_start_at(disk, &self.folder, offset)?;
        let now_ms = self.active().created_ms();
        for segment in self.segments.drain(..).rev() {
            segment.delete(disk, &self.folder)?;
        }
        self.segments.push(LogSegment::create(disk, &self.folder, offset, now_ms)?);
        self.names_dirty = true;
        self.sync_names(disk)?;
        self.epochs.clear();
        self.epochs.save(disk, &self.folder)?;
        self.tail.clear();
        self.log_start_offset = offset;
        self.log_end_offset = offset;
        self.high_watermark = offset;
        self.recovery_point = offset;
        self.cleaned_to = self.cleaned_to.min(offset);
        self.truncations += 1;
        Ok(())
    }

    /// Moves the log's start forwards to `offset`, at most to the high watermark (DeleteRecords, retention, snapshots);
    /// returns whether it moved. Segments stay until [`UnifiedLog::delete_segments_before`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn advance_log_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        offset: Offset,
    ) -> Result<bool, DiskError> {
        let offset = offset.min(self.high_watermark);
        if offset <= self.log_start_offset {
            return Ok(false);
        }
        self.log_start_offset = offset;
        if self.epochs.truncate_from_start(offset) {
            self.epochs.save(disk, &self.folder)?;
        }
        Ok(true)
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
        let bound = offset.min(self.log_start_offset);
        let count = self.segment_of(bound);
        if count == 0 {
            return Ok(0);
        }
        for segment in self.segments.drain(..count) {
            segment.delete(disk, &self.folder)?;
        }
        let first = self.segments[0].base_offset();
        self.producers.delete_snapshots_before(disk, &self.folder, first)?;
        disk.sync_folder(&self.folder)?;
        self.names_dirty = false;
        Ok(count)
    }

    /// A batch that was good when the log was opened is bad now: the device is to blame.
    pub(super) fn unreadable(&self, error: ReadError) -> DiskError {
        match error {
            ReadError::Disk(error @ (DiskError::NotFound { .. } | DiskError::Failed { .. })) => error,
            error => DiskError::Corrupt { path: self.folder.clone(), what: error.to_string() },
        }
    }
}
