//! What becomes of old records: their segments go, or they are compacted.

use trial_node::{TopicPartition, TraceEvent};
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
        let mut cleaned = false;
        for partition in self.partitions.values_mut() {
            if !partition.log.is_cleaning_due(ctx.now.wall_ms) {
                continue;
            }
            match partition.log.clean(ctx.disk, ctx.now.wall_ms, CLEANER_KEYS_MAX) {
                Ok(sizes) => {
                    cleaned = true;
                    self.after.trace(TraceEvent::LogCompacted {
                        tp: name(partition),
                        before: sizes.before,
                        after: sizes.after,
                    });
                }
                Err(CleanError::Uncleanable { what }) => {
                    self.after.trace(TraceEvent::LogUncleanable { tp: name(partition), what });
                }
                Err(CleanError::Disk(error)) => self.after.fatal(error),
            }
        }
        if cleaned && let Err(error) = self.write_cleaner_offsets(ctx.disk) {
            self.after.fatal(error);
        }
        self.timers.set(ctx.now.mono + self.config.log_cleaner_backoff, Timer::CleanLogs);
    }

    /// Deletes of every log what `retention.ms` and `retention.bytes` leave no room for, and what ends before the log's start.
    /// Each replica does that for itself.
    pub(super) fn delete_old_segments(&mut self, ctx: &mut Context<'_>) {
        let mut deleted = Ok(());
        let mut any = false;
        for partition in self.partitions.values_mut() {
            let from = partition.log.log_start_offset();
            match partition.log.enforce_retention(ctx.disk, ctx.now.wall_ms) {
                Ok(false) => {}
                Ok(true) => {
                    any = true;
                    if partition.is_leader() {
                        let (tp, to) = (name(partition), partition.log.log_start_offset());
                        self.after.trace(TraceEvent::LogStartAdvanced { tp, from, to });
                    }
                    let happened = Happened { high_watermark: true, ..Happened::default() };
                    self.after.note(partition, &mut self.sessions, happened);
                }
                Err(error) => deleted = Err(error),
            }
        }
        if any {
            self.log_start_moved();
        }
        deleted = deleted.and_then(|()| self.checkpoint_log_starts(ctx));
        for partition in self.partitions.values_mut() {
            deleted = deleted.and_then(|()| partition.log.delete_old_segments(ctx.disk, ctx.now.wall_ms));
        }
        if let Err(error) = deleted {
            self.after.fatal(error);
        }
        self.timers.set(ctx.now.mono + self.config.log_retention_check_interval, Timer::DeleteOldSegments);
    }
}
