//! Old segments go.

use super::timers::Timer;
use super::{Context, Happened, ReplicaManager};

impl ReplicaManager {
    /// Deletes of every log what `retention.ms` and `retention.bytes` leave no room for, and what ends before the log's start.
    /// Each replica does that for itself.
    pub(super) fn delete_old_segments(&mut self, ctx: &mut Context<'_>) {
        let mut deleted = Ok(());
        let mut any = false;
        for partition in self.partitions.values_mut() {
            match partition.log.enforce_retention(ctx.disk, ctx.now.wall_ms) {
                Ok(false) => {}
                Ok(true) => {
                    any = true;
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
            deleted = deleted.and_then(|()| partition.log.delete_old_segments(ctx.disk).map(|_| ()));
        }
        if let Err(error) = deleted {
            self.after.fatal(error);
        }
        self.timers.set(ctx.now.mono + self.config.log_retention_check_interval, Timer::DeleteOldSegments);
    }
}
