//! What becomes of old records: their segments go, or they are compacted.

use std::collections::BTreeSet;

use trial_node::{DiskError, TopicPartition, TraceEvent};
use trial_storage::CleanError;

use super::partition::Partition;
use super::timers::Timer;
use super::{Context, Happened, ReplicaManager};

/// How many keys of a log's dirty part are known at once: what `log.cleaner.dedupe.buffer.size` has room for by default, at 24
/// bytes each and nine tenths full.
const CLEANER_KEYS_MAX: usize = (128 << 20) / 24 * 9 / 10;

fn name(partition: &Partition) -> TopicPartition {
    TopicPartition { topic: partition.topic.clone(), partition: partition.id.partition }
}

impl ReplicaManager {
    /// Compacts the logs that have grown enough since the last time, as `cleanup.policy` says.
    pub(super) fn clean_logs(&mut self, ctx: &mut Context<'_>) {
        let mut cleaned = BTreeSet::new();
        for partition in self.partitions.values_mut() {
            if !partition.log.is_cleaning_due(ctx.now.wall_ms) {
                continue;
            }
            match partition.log.clean(ctx.disk, ctx.now.wall_ms, CLEANER_KEYS_MAX) {
                Ok(sizes) => {
                    cleaned.insert(partition.directory);
                    self.after.trace(TraceEvent::LogCompacted {
                        tp: name(partition),
                        before: sizes.before,
                        after: sizes.after,
                    });
                }
                Err(CleanError::Uncleanable { what }) => {
                    self.after.trace(TraceEvent::LogUncleanable { tp: name(partition), what });
                }
                Err(CleanError::Disk(error)) => self.after.directory_failed(partition.directory, error),
            }
        }
        for directory in cleaned {
            let written = self.write_cleaner_offsets(ctx.disk, directory);
            self.fail_on_error(directory, written);
        }
        self.timers.set(ctx.now.mono + self.config.log_cleaner_backoff, Timer::CleanLogs);
    }

    /// Deletes of every log what `retention.ms` and `retention.bytes` leave no room for, and what ends before the log's start.
    /// Each replica does that for itself.
    pub(super) fn delete_old_segments(&mut self, ctx: &mut Context<'_>) {
        for directory in self.online() {
            let deleted = self.delete_old_segments_in(ctx, directory);
            self.fail_on_error(directory, deleted);
        }
        self.timers.set(ctx.now.mono + self.config.log_retention_check_interval, Timer::DeleteOldSegments);
    }

    fn delete_old_segments_in(&mut self, ctx: &mut Context<'_>, directory: usize) -> Result<(), DiskError> {
        for partition in self.partitions.values_mut().filter(|p| p.directory == directory) {
            let from = partition.log.log_start_offset();
            if !partition.log.enforce_retention(ctx.disk, ctx.now.wall_ms)? {
                continue;
            }
            self.directories[directory].checkpoints.log_start_moved();
            if partition.is_leader() {
                let (tp, to) = (name(partition), partition.log.log_start_offset());
                self.after.trace(TraceEvent::LogStartAdvanced { tp, from, to });
            }
            let happened = Happened { high_watermark: true, ..Happened::default() };
            self.after.note(partition, &mut self.sessions, happened);
        }
        self.checkpoint_log_starts(ctx, directory)?;
        for partition in self.partitions.values_mut().filter(|p| p.directory == directory) {
            partition.log.delete_old_segments(ctx.disk, ctx.now.wall_ms)?;
        }
        Ok(())
    }
}
