//! Which segments are too old or too many (`cleanup.policy=delete`).

use trial_node::{Disk, DiskError, Offset};

use super::UnifiedLog;

impl UnifiedLog {
    /// Moves the log's start forwards past the segments that `retention.bytes` and `retention.ms` have no room for, as far as
    /// they are committed; returns whether it moved. Even the active segment may be among them: then another is begun.
    /// The files stay until [`UnifiedLog::delete_old_segments`], so that where the log now starts can be written down before:
    /// otherwise a power loss could bring some of them back and others not. `now_ms` is the wall clock.
    ///
    /// # Errors
    /// What the disk says.
    pub fn enforce_retention(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<bool, DiskError> {
        let Some(start) = self.retention_start(now_ms) else { return Ok(false) };
        if start > self.active().base_offset() {
            self.roll(disk, now_ms)?;
        }
        self.advance_log_start_offset(disk, start)
    }

    /// Takes the segments that end at or before the log's start out of it, except the active one; their files go when
    /// `file.delete.delay.ms` is over, with the first call after that. `now_ms` is the wall clock.
    ///
    /// # Errors
    /// What the disk says.
    pub fn delete_old_segments(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), DiskError> {
        let count = self.segment_of(self.log_start_offset);
        if count > 0 {
            let mut files = Vec::new();
            for segment in self.segments.drain(..count) {
                segment.retire(disk, &self.folder, &mut files)?;
            }
            let first = self.segments[0].base_offset();
            self.producers.delete_snapshots_before(disk, &self.folder, first)?;
            disk.sync_folder(&self.folder)?;
            self.names_dirty = false;
            let due = now_ms.saturating_add(self.config.file_delete_delay_ms);
            self.retired.extend(files.into_iter().map(|file| (due, file)));
        }
        while let Some((_, file)) = self.retired.pop_front_if(|(due, _)| *due <= now_ms) {
            match disk.remove(&file) {
                // Of two segments that began at the same offset, one after the other, the later one's file took the place of
                // the earlier one's.
                Ok(()) | Err(DiskError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the log starts behind its first segment's start: only then a checkpoint has to tell where.
    pub fn starts_within_a_segment(&self) -> bool {
        self.log_start_offset > self.segments[0].base_offset()
    }

    /// Where the log should start; `None` if nothing has to go.
    fn retention_start(&self, now_ms: i64) -> Option<Offset> {
        if !self.config.delete {
            return None;
        }
        // What ends before the start is as good as gone.
        let gone = self.segments[1..].partition_point(|next| next.base_offset() <= self.log_start_offset);
        let mut kept = gone;
        let may_go = |i: usize| self.segments[i].size() > 0 && self.segment_end(i) <= self.high_watermark;
        if let Ok(retention_bytes) = u64::try_from(self.config.retention_bytes) {
            let size: u64 = self.segments[kept..].iter().map(|segment| u64::from(segment.size())).sum();
            let mut excess = size.saturating_sub(retention_bytes);
            while kept < self.segments.len() && may_go(kept) {
                let Some(left) = excess.checked_sub(self.segments[kept].size().into()) else { break };
                excess = left;
                kept += 1;
            }
        }
        if self.config.retention_ms >= 0 {
            let is_old = |i: usize| {
                now_ms.saturating_sub(self.segments[i].largest_timestamp()) > self.config.retention_ms
            };
            while kept < self.segments.len() && may_go(kept) && is_old(kept) {
                kept += 1;
            }
        }
        (kept > gone).then(|| self.segment_end(kept - 1))
    }

    /// Where the next segment begins, or would.
    fn segment_end(&self, i: usize) -> Offset {
        self.segments.get(i + 1).map_or(self.log_end_offset, |next| next.base_offset())
    }
}
