//! What becomes of old records: their segments go, or they are compacted.

use std::collections::BTreeSet;

use trial_node::{DiskError, TopicPartition, TraceEvent};
use trial_storage::CleanError;

use super::partition::Partition;
use super::timers::Timer;
use super::{Context, Happened, ReplicaManager};

/// What a key takes in `log.cleaner.dedupe.buffer.size`, in bytes: a hash and an offset.
const KEY_SIZE: u64 = 24;

/// How many keys of a log's dirty part may be known at once, with `log.cleaner.dedupe.buffer.size` in bytes, and
/// `log.cleaner.io.buffer.load.factor` in millionths.
pub(crate) fn cleaner_keys_max(buffer_size: i64, load_factor: u32) -> usize {
    // As in Kafka, 2 GiB are the most that is used.
    let buffer = u64::try_from(buffer_size).unwrap_or(0).min(i32::MAX as u64);
    usize::try_from(buffer / KEY_SIZE * u64::from(load_factor) / 1_000_000).expect("far below 2^32")
}

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
            match partition.log.clean(ctx.disk, ctx.now.wall_ms, self.config.log_cleaner_keys_max) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_find_room_as_in_kafka() {
        assert_eq!(cleaner_keys_max(128 << 20, 900_000), 5_033_164);
        assert_eq!(cleaner_keys_max((1 << 20) + 1, 500_000), 21_845);
        assert_eq!(cleaner_keys_max(i64::MAX, 1_000_000), 89_478_485);
        assert_eq!(cleaner_keys_max(128 << 20, 0), 0);
    }
}
