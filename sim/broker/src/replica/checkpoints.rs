//! The checkpoint files: high watermarks, recovery points, where logs start, and how far they have been compacted.

use std::collections::BTreeMap;

use trial_node::{Disk, DiskError, Offset, OpenError, Time};
use trial_storage::log_dir::{self, CheckpointFile, OffsetCheckpoint};
use trial_wire::Uuid;

use super::partition::Partition;
use super::timers::Timer;
use super::{Context, ReplicaManager};

/// What the last run left on disk, and what of this run is not written yet.
#[derive(Clone, Debug)]
pub(super) struct Checkpoints {
    pub clean_shutdown: bool,
    pub high_watermarks: OffsetCheckpoint,
    pub recovery_points: OffsetCheckpoint,
    pub log_starts: OffsetCheckpoint,
    pub cleaned_to: OffsetCheckpoint,
    /// The folders that no replica has claimed, and the topics that they belong to.
    pub folders: BTreeMap<String, Option<Uuid>>,
    high_watermarks_due: bool,
    recovery_points_due: bool,
    recovery_points_went_back: bool,
    log_starts_moved: bool,
    /// Whether `log-start-offset-checkpoint` and `cleaner-offset-checkpoint` may name a log.
    log_starts_named: bool,
    cleaned_to_named: bool,
    /// How far some log has been compacted may be less than what the file says.
    cleaned_to_went_back: bool,
    /// Of a partition that is gone, which a newer topic of the same name must not inherit.
    obsolete: bool,
}

impl Checkpoints {
    /// # Errors
    /// [`OpenError`] when the disk fails.
    pub fn read(disk: &mut dyn Disk, clean_shutdown: bool) -> Result<Checkpoints, OpenError> {
        let folders = log_dir::list_partitions(disk)?
            .into_iter()
            .filter(|folder| folder.topic != METADATA_TOPIC)
            .map(|folder| (folder.folder, folder.topic_id))
            .collect();
        let log_starts = log_dir::read_checkpoint(disk, CheckpointFile::LogStartOffset)?;
        let cleaned_to = log_dir::read_checkpoint(disk, CheckpointFile::Cleaner)?;
        Ok(Checkpoints {
            clean_shutdown,
            high_watermarks: log_dir::read_checkpoint(disk, CheckpointFile::HighWatermark)?,
            recovery_points: log_dir::read_checkpoint(disk, CheckpointFile::RecoveryPoint)?,
            log_starts_named: !log_starts.is_empty(),
            cleaned_to_named: !cleaned_to.is_empty(),
            log_starts,
            cleaned_to,
            folders,
            high_watermarks_due: false,
            recovery_points_due: false,
            recovery_points_went_back: false,
            log_starts_moved: false,
            cleaned_to_went_back: false,
            obsolete: false,
        })
    }

    /// Whether any file of the last run names the log.
    pub fn has(&self, key: &(String, i32)) -> bool {
        [&self.high_watermarks, &self.recovery_points, &self.log_starts, &self.cleaned_to]
            .iter()
            .any(|file| file.contains_key(key))
    }
}

/// The topic of the quorum's log, which is not replicated here.
const METADATA_TOPIC: &str = "__cluster_metadata";

impl ReplicaManager {
    /// A high watermark moved: it is written at the next instant for that.
    pub(super) fn high_watermark_moved(&mut self, now: Time) {
        if !self.checkpoints.high_watermarks_due {
            self.checkpoints.high_watermarks_due = true;
            let at = self.next_tick(now, self.config.high_watermark_checkpoint_interval);
            self.timers.set(at, Timer::CheckpointHighWatermarks);
        }
    }

    /// A log grew: its recovery point is looked at at the next instant for that.
    pub(super) fn appended(&mut self, now: Time) {
        if !self.checkpoints.recovery_points_due {
            self.checkpoints.recovery_points_due = true;
            let at = self.next_tick(now, self.config.recovery_point_checkpoint_interval);
            self.timers.set(at, Timer::CheckpointRecoveryPoints);
        }
    }

    /// A log was opened or cut, and its recovery point may have gone back from `before` to `now`: then its checkpoint is written
    /// at the end of this step, and so before anything is appended to that log. Otherwise a crash could make recovery trust
    /// what nobody has flushed. So it is with how far the log has been compacted: if more than that counted as compacted, a
    /// tombstone could go before what it deletes.
    pub(super) fn recovery_point_moved(&mut self, before: Offset, now: Offset) {
        self.checkpoints.recovery_points_went_back |= now < before;
        self.checkpoints.cleaned_to_went_back |= self.checkpoints.cleaned_to_named;
    }

    /// A log's start moved: where it is now is written at the end of this step, and so before anybody is told of it, or any
    /// segment goes: what was deleted must not come back, least of all a part of it.
    pub(super) fn log_start_moved(&mut self) {
        self.checkpoints.log_starts_moved = true;
    }

    /// A partition is deleted: all files are written at the end of this step, and so before anything is appended to a newer
    /// topic of the same name. Otherwise a crash could make that one's recovery trust what nobody has flushed, or its log be
    /// thrown away for ending before the start of the old one.
    pub(super) fn partition_deleted(&mut self, topic: &str, partition: i32) {
        self.forget_checkpoints(&(topic.to_owned(), partition));
        self.checkpoints.obsolete = true;
    }

    /// What the files say of this name is of a log that is no more.
    pub(super) fn forget_checkpoints(&mut self, key: &(String, i32)) {
        let Checkpoints { high_watermarks, recovery_points, log_starts, cleaned_to, .. } =
            &mut self.checkpoints;
        for file in [high_watermarks, recovery_points, log_starts, cleaned_to] {
            file.remove(key);
        }
        // The files may name it even if those of the last run did not.
        self.checkpoints.log_starts_moved |= self.checkpoints.log_starts_named;
        self.checkpoints.cleaned_to_went_back |= self.checkpoints.cleaned_to_named;
    }

    /// Writes what must not wait for the next instant for that.
    pub(super) fn checkpoint_at_once(&mut self, ctx: &mut Context<'_>) {
        let obsolete = std::mem::take(&mut self.checkpoints.obsolete);
        let went_back = std::mem::take(&mut self.checkpoints.recovery_points_went_back);
        let mut written = self.checkpoint_log_starts(ctx);
        if obsolete || went_back {
            written = written.and_then(|()| self.write_recovery_points(ctx.disk));
        }
        if obsolete {
            written = written.and_then(|()| self.write_high_watermarks(ctx.disk));
        }
        if self.checkpoints.cleaned_to_went_back {
            written = written.and_then(|()| self.write_cleaner_offsets(ctx.disk));
        }
        if let Err(error) = written {
            self.after.fatal(error);
        }
    }

    /// Writes down where logs start, if one has moved.
    pub(super) fn checkpoint_log_starts(&mut self, ctx: &mut Context<'_>) -> Result<(), DiskError> {
        if !std::mem::take(&mut self.checkpoints.log_starts_moved) {
            return Ok(());
        }
        let offset = |p: &Partition| p.log.starts_within_a_segment().then(|| p.log.log_start_offset());
        let file = CheckpointFile::LogStartOffset;
        self.checkpoints.log_starts_named = true;
        self.write_checkpoint(ctx.disk, file, &self.checkpoints.log_starts, offset)
    }

    pub(super) fn checkpoint_high_watermarks(&mut self, ctx: &mut Context<'_>) {
        self.checkpoints.high_watermarks_due = false;
        if let Err(error) = self.write_high_watermarks(ctx.disk) {
            self.after.fatal(error);
        }
    }

    pub(super) fn checkpoint_recovery_points(&mut self, ctx: &mut Context<'_>) {
        self.checkpoints.recovery_points_due = false;
        let mut flushed = Ok(false);
        for partition in self.partitions.values_mut() {
            flushed = flushed.and_then(|any| Ok(partition.log.flush_rolled(ctx.disk)? || any));
        }
        let written = flushed.and_then(|any| if any { self.write_recovery_points(ctx.disk) } else { Ok(()) });
        if let Err(error) = written {
            self.after.fatal(error);
        }
    }

    /// Flushes and closes all logs, writes all checkpoints and marks the clean shutdown. Nothing happens here afterwards.
    ///
    /// # Errors
    /// What the disk says.
    pub fn shutdown(&mut self, ctx: &mut Context<'_>) -> Result<(), DiskError> {
        for partition in self.partitions.values_mut() {
            partition.log.flush(ctx.disk)?;
        }
        self.write_recovery_points(ctx.disk)?;
        self.write_high_watermarks(ctx.disk)?;
        for (_, partition) in std::mem::take(&mut self.partitions) {
            partition.log.close(ctx.disk)?;
        }
        self.stop();
        log_dir::write_clean_shutdown(ctx.disk, self.broker_epoch)
    }

    fn write_high_watermarks(&self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let offset = |p: &Partition| Some(p.log.high_watermark());
        self.write_checkpoint(disk, CheckpointFile::HighWatermark, &self.checkpoints.high_watermarks, offset)
    }

    /// Writes down how far logs have been compacted. That may be less than they are, which costs time, but never more.
    pub(super) fn write_cleaner_offsets(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.checkpoints.cleaned_to_named = true;
        self.checkpoints.cleaned_to_went_back = false;
        let offset = |p: &Partition| Some(p.log.cleaned_to()).filter(|to| *to > Offset::ZERO);
        self.write_checkpoint(disk, CheckpointFile::Cleaner, &self.checkpoints.cleaned_to, offset)
    }

    fn write_recovery_points(&self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let offset = |p: &Partition| Some(p.log.recovery_point());
        self.write_checkpoint(disk, CheckpointFile::RecoveryPoint, &self.checkpoints.recovery_points, offset)
    }

    fn write_checkpoint(
        &self,
        disk: &mut dyn Disk,
        file: CheckpointFile,
        of_last_run: &OffsetCheckpoint,
        offset: impl Fn(&Partition) -> Option<Offset>,
    ) -> Result<(), DiskError> {
        let hosted =
            self.partitions.values().filter_map(|p| Some((p.topic.as_str(), p.id.partition, offset(p)?)));
        // What the metadata has not claimed yet must not be forgotten.
        let unclaimed = of_last_run
            .iter()
            .filter(|((topic, partition), _)| {
                let folders = &self.checkpoints.folders;
                !folders.is_empty() && folders.contains_key(&log_dir::partition_folder(topic, *partition))
            })
            .map(|((topic, partition), offset)| (topic.as_str(), *partition, *offset));
        log_dir::write_checkpoint(disk, file, hosted.chain(unclaimed))
    }
}
