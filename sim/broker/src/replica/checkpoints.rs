//! The checkpoint files: high watermarks, recovery points, where logs start, and how far they have been compacted.

use std::collections::BTreeMap;

use trial_node::{Disk, DiskError, Offset, OpenError, Time};
use trial_storage::log_dir::{self, CheckpointFile, OffsetCheckpoint};
use trial_wire::Uuid;

use super::directories::Directory;
use super::partition::Partition;
use super::timers::Timer;
use super::{Context, ReplicaManager};

/// What the last run left in a directory, and what of this run is not written there yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    pub clean_shutdown: bool,
    pub high_watermarks: OffsetCheckpoint,
    pub recovery_points: OffsetCheckpoint,
    pub log_starts: OffsetCheckpoint,
    pub cleaned_to: OffsetCheckpoint,
    /// The folders that no replica has claimed, and the topics that they belong to.
    pub folders: BTreeMap<String, Option<Uuid>>,
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

/// Which checkpoints are written at the next instant for that, in all directories.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CheckpointsDue {
    high_watermarks: bool,
    recovery_points: bool,
}

impl Checkpoints {
    /// # Errors
    /// [`OpenError`] when the disk fails.
    pub fn read(disk: &mut dyn Disk, dir: &str, clean_shutdown: bool) -> Result<Checkpoints, OpenError> {
        let folders = log_dir::list_partitions(disk, dir)?
            .into_iter()
            .filter(|folder| folder.topic != METADATA_TOPIC)
            .map(|folder| (folder.folder, folder.topic_id))
            .collect();
        let log_starts = log_dir::read_checkpoint(disk, dir, CheckpointFile::LogStartOffset)?;
        let cleaned_to = log_dir::read_checkpoint(disk, dir, CheckpointFile::Cleaner)?;
        Ok(Checkpoints {
            clean_shutdown,
            high_watermarks: log_dir::read_checkpoint(disk, dir, CheckpointFile::HighWatermark)?,
            recovery_points: log_dir::read_checkpoint(disk, dir, CheckpointFile::RecoveryPoint)?,
            log_starts_named: !log_starts.is_empty(),
            cleaned_to_named: !cleaned_to.is_empty(),
            log_starts,
            cleaned_to,
            folders,
            ..Checkpoints::default()
        })
    }

    /// Whether any file of the last run names the log.
    pub fn has(&self, key: &(String, i32)) -> bool {
        [&self.high_watermarks, &self.recovery_points, &self.log_starts, &self.cleaned_to]
            .iter()
            .any(|file| file.contains_key(key))
    }

    /// A log was opened or cut, and its recovery point may have gone back from `before` to `now`: then its checkpoint is written
    /// at the end of this step, and so before anything is appended to that log. Otherwise a crash could make recovery trust
    /// what nobody has flushed. So it is with how far the log has been compacted: if more than that counted as compacted, a
    /// tombstone could go before what it deletes.
    pub fn recovery_point_moved(&mut self, before: Offset, now: Offset) {
        self.recovery_points_went_back |= now < before;
        self.cleaned_to_went_back |= self.cleaned_to_named;
    }

    /// A log's start moved: where it is now is written at the end of this step, and so before anybody is told of it, or any
    /// segment goes: what was deleted must not come back, least of all a part of it.
    pub fn log_start_moved(&mut self) {
        self.log_starts_moved = true;
    }

    /// A partition is deleted: all files are written at the end of this step, and so before anything is appended to a newer
    /// topic of the same name. Otherwise a crash could make that one's recovery trust what nobody has flushed, or its log be
    /// thrown away for ending before the start of the old one.
    pub fn partition_deleted(&mut self, topic: &str, partition: i32) {
        self.forget(&(topic.to_owned(), partition));
        self.obsolete = true;
    }

    /// What the files say of this name is of a log that is no more.
    pub fn forget(&mut self, key: &(String, i32)) {
        let Checkpoints { high_watermarks, recovery_points, log_starts, cleaned_to, .. } = self;
        for file in [high_watermarks, recovery_points, log_starts, cleaned_to] {
            file.remove(key);
        }
        // The files may name it even if those of the last run did not.
        self.log_starts_moved |= self.log_starts_named;
        self.cleaned_to_went_back |= self.cleaned_to_named;
    }
}

/// The topic of the quorum's log, which is not replicated here.
const METADATA_TOPIC: &str = "__cluster_metadata";

impl ReplicaManager {
    /// A high watermark moved: it is written at the next instant for that.
    pub(super) fn high_watermark_moved(&mut self, now: Time) {
        if !self.checkpoints_due.high_watermarks {
            self.checkpoints_due.high_watermarks = true;
            let at = self.next_tick(now, self.config.high_watermark_checkpoint_interval);
            self.timers.set(at, Timer::CheckpointHighWatermarks);
        }
    }

    /// A log grew: its recovery point is looked at at the next instant for that.
    pub(super) fn appended(&mut self, now: Time) {
        if !self.checkpoints_due.recovery_points {
            self.checkpoints_due.recovery_points = true;
            let at = self.next_tick(now, self.config.recovery_point_checkpoint_interval);
            self.timers.set(at, Timer::CheckpointRecoveryPoints);
        }
    }

    /// Writes what must not wait for the next instant for that.
    pub(super) fn checkpoint_at_once(&mut self, ctx: &mut Context<'_>) {
        for directory in 0..self.directories.len() {
            let written = self.checkpoint_directory_at_once(ctx, directory);
            self.fail_on_error(directory, written);
        }
    }

    fn checkpoint_directory_at_once(
        &mut self,
        ctx: &mut Context<'_>,
        directory: usize,
    ) -> Result<(), DiskError> {
        let checkpoints = &mut self.directories[directory].checkpoints;
        let obsolete = std::mem::take(&mut checkpoints.obsolete);
        let went_back = std::mem::take(&mut checkpoints.recovery_points_went_back);
        let cleaned_to_went_back = checkpoints.cleaned_to_went_back;
        self.checkpoint_log_starts(ctx, directory)?;
        if obsolete || went_back {
            self.write_recovery_points(ctx.disk, directory)?;
        }
        if obsolete {
            self.write_high_watermarks(ctx.disk, directory)?;
        }
        if cleaned_to_went_back {
            self.write_cleaner_offsets(ctx.disk, directory)?;
        }
        Ok(())
    }

    /// Takes the directory offline if there is an error.
    pub(super) fn fail_on_error(&mut self, directory: usize, done: Result<(), DiskError>) {
        if let Err(error) = done {
            self.after.directory_failed(directory, error);
        }
    }

    /// Writes down where the logs of a directory start, if one has moved.
    pub(super) fn checkpoint_log_starts(
        &mut self,
        ctx: &mut Context<'_>,
        directory: usize,
    ) -> Result<(), DiskError> {
        let checkpoints = &mut self.directories[directory].checkpoints;
        if !std::mem::take(&mut checkpoints.log_starts_moved) {
            return Ok(());
        }
        checkpoints.log_starts_named = true;
        let offset = |p: &Partition| p.log.starts_within_a_segment().then(|| p.log.log_start_offset());
        self.write_checkpoint(ctx.disk, directory, CheckpointFile::LogStartOffset, offset)
    }

    pub(super) fn checkpoint_high_watermarks(&mut self, ctx: &mut Context<'_>) {
        self.checkpoints_due.high_watermarks = false;
        for directory in self.online() {
            let written = self.write_high_watermarks(ctx.disk, directory);
            self.fail_on_error(directory, written);
        }
    }

    pub(super) fn checkpoint_recovery_points(&mut self, ctx: &mut Context<'_>) {
        self.checkpoints_due.recovery_points = false;
        for directory in self.online() {
            let written = self.flush_rolled(ctx, directory);
            self.fail_on_error(directory, written);
        }
    }

    fn flush_rolled(&mut self, ctx: &mut Context<'_>, directory: usize) -> Result<(), DiskError> {
        let mut any = false;
        for partition in self.partitions.values_mut().filter(|p| p.directory == directory) {
            any |= partition.log.flush_rolled(ctx.disk)?;
        }
        if any { self.write_recovery_points(ctx.disk, directory) } else { Ok(()) }
    }

    /// Flushes and closes all logs, writes all checkpoints and marks the clean shutdown of each directory. Nothing happens here
    /// afterwards.
    ///
    /// # Errors
    /// What the disk says, for the first directory that fails; the others are closed in order nevertheless.
    pub fn shutdown(&mut self, ctx: &mut Context<'_>) -> Result<(), DiskError> {
        let mut closed = Ok(());
        for directory in self.online() {
            closed = closed.and(self.close_directory(ctx, directory));
        }
        self.stop();
        closed
    }

    fn close_directory(&mut self, ctx: &mut Context<'_>, directory: usize) -> Result<(), DiskError> {
        for partition in self.partitions.values_mut().filter(|p| p.directory == directory) {
            partition.log.flush(ctx.disk)?;
        }
        self.write_recovery_points(ctx.disk, directory)?;
        self.write_high_watermarks(ctx.disk, directory)?;
        let there = self.partitions.extract_if(.., |_, partition| partition.directory == directory);
        for (_, partition) in there {
            partition.log.close(ctx.disk)?;
        }
        log_dir::write_clean_shutdown(ctx.disk, &self.directories[directory].path, self.broker_epoch)
    }

    fn write_high_watermarks(&self, disk: &mut dyn Disk, directory: usize) -> Result<(), DiskError> {
        let offset = |p: &Partition| Some(p.log.high_watermark());
        self.write_checkpoint(disk, directory, CheckpointFile::HighWatermark, offset)
    }

    /// Writes down how far logs have been compacted. That may be less than they are, which costs time, but never more.
    pub(super) fn write_cleaner_offsets(
        &mut self,
        disk: &mut dyn Disk,
        directory: usize,
    ) -> Result<(), DiskError> {
        let checkpoints = &mut self.directories[directory].checkpoints;
        checkpoints.cleaned_to_named = true;
        checkpoints.cleaned_to_went_back = false;
        let offset = |p: &Partition| Some(p.log.cleaned_to()).filter(|to| *to > Offset::ZERO);
        self.write_checkpoint(disk, directory, CheckpointFile::Cleaner, offset)
    }

    fn write_recovery_points(&self, disk: &mut dyn Disk, directory: usize) -> Result<(), DiskError> {
        let offset = |p: &Partition| Some(p.log.recovery_point());
        self.write_checkpoint(disk, directory, CheckpointFile::RecoveryPoint, offset)
    }

    fn write_checkpoint(
        &self,
        disk: &mut dyn Disk,
        directory: usize,
        file: CheckpointFile,
        offset: impl Fn(&Partition) -> Option<Offset>,
    ) -> Result<(), DiskError> {
        let Directory { path, checkpoints, .. } = &self.directories[directory];
        let of_last_run = match file {
            CheckpointFile::HighWatermark => &checkpoints.high_watermarks,
            CheckpointFile::RecoveryPoint => &checkpoints.recovery_points,
            CheckpointFile::LogStartOffset => &checkpoints.log_starts,
            CheckpointFile::Cleaner => &checkpoints.cleaned_to,
        };
        let there = self.partitions.values().filter(|p| p.directory == directory);
        let hosted = there.filter_map(|p| Some((p.topic.as_str(), p.id.partition, offset(p)?)));
        // What the metadata has not claimed yet must not be forgotten.
        let unclaimed = of_last_run
            .iter()
            .filter(|((topic, partition), _)| {
                let folders = &checkpoints.folders;
                !folders.is_empty()
                    && folders.contains_key(&log_dir::partition_folder(path, topic, *partition))
            })
            .map(|((topic, partition), offset)| (topic.as_str(), *partition, *offset));
        log_dir::write_checkpoint(disk, path, file, hosted.chain(unclaimed))
    }
}
