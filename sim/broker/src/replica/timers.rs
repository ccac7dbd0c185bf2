//! What is due at an instant.

use trial_node::{NodeId, Span, Time, TopicIdPartition};

use super::verification::VerificationId;
use super::{Context, ReplicaManager};

/// Something that is done at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Look for followers that have been behind for too long. Runs only while somebody is behind.
    CheckIsr,
    /// Write the high watermarks. Runs only when one has moved.
    CheckpointHighWatermarks,
    /// Flush rolled segments and write the recovery points. Runs only when something was appended.
    CheckpointRecoveryPoints,
    /// Send what waits for the controller after it refused a request.
    AlterPartition,
    /// Ask again for producer ids.
    AllocateProducerIds,
    /// Tell the controller again in which directories replicas are.
    AssignReplicasToDirs,
    /// A fetcher whose leader could not be reached tries again.
    Fetcher(NodeId),
    /// A partition whose fetch failed is fetched again.
    FetchedPartition(NodeId, TopicIdPartition),
    /// A transaction coordinator that was busy is asked again.
    Verify(VerificationId),
    /// Forget producers that wrote nothing for long.
    ExpireProducers,
    /// Compact the logs that have grown enough.
    CleanLogs,
    /// Delete what is too old or too much.
    DeleteOldSegments,
}

impl ReplicaManager {
    /// The next instant at which something is due. O(1).
    pub fn poll_timeout(&self) -> Option<Time> {
        // Asked more often than anything else, so without the iterators that would say the same.
        let never = |at: Option<Time>| at.unwrap_or(Time::MAX);
        let at = never(self.timers.next())
            .min(never(self.fetch_waits.next()))
            .min(never(self.produces.next_deadline()))
            .min(never(self.commits.next_deadline()))
            .min(never(self.deletions.next_deadline()));
        (at != Time::MAX).then_some(at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, ctx: &mut Context<'_>) {
        let now = ctx.now.mono;
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::CheckIsr => self.check_isr(ctx),
                Timer::CheckpointHighWatermarks => self.checkpoint_high_watermarks(ctx),
                Timer::CheckpointRecoveryPoints => self.checkpoint_recovery_points(ctx),
                Timer::AlterPartition => self.alter_partition.backed_off(),
                Timer::AllocateProducerIds => self.request_producer_ids(),
                Timer::AssignReplicasToDirs => self.assignments.backed_off(),
                Timer::Fetcher(leader) => self.fetcher_backed_off(leader),
                Timer::Verify(id) => self.verify_again(ctx, id),
                Timer::ExpireProducers => self.expire_producers(ctx),
                Timer::CleanLogs => self.clean_logs(ctx),
                Timer::DeleteOldSegments => self.delete_old_segments(ctx),
                Timer::FetchedPartition(leader, tp) => self.fetched_partition_backed_off(leader, tp, now),
            }
        }
        while let Some(delayed) = self.produces.pop_expired(now) {
            self.expire_produce(ctx, delayed);
        }
        while let Some(wait) = self.commits.pop_expired(now) {
            self.expire_commit(wait);
        }
        while let Some(delayed) = self.deletions.pop_expired(now) {
            self.expire_deletion(delayed);
        }
        while let Some(key) = self.fetch_waits.pop(now) {
            self.complete_fetch(ctx, key, true);
        }
        self.settle(ctx);
    }

    /// The next instant after `now` that is a multiple of `interval` after the start.
    pub(super) fn next_tick(&self, now: Time, interval: Span) -> Time {
        let ticks = now.since(self.started).0 / interval.0.max(1) + 1;
        self.started + interval.times(ticks)
    }

    /// Puts a leader's partition on the list for the next check of the ISRs if somebody in its ISR is behind.
    pub(super) fn watch_lag(&mut self, now: Time, tp: TopicIdPartition) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        let end = partition.log.log_end_offset();
        let Some(leadership) = partition.leadership() else { return };
        if leadership.listed_as_lagging || !leadership.is_lagging(end) {
            return;
        }
        leadership.listed_as_lagging = true;
        if self.lagging.is_empty() {
            // Half of what is allowed, as Kafka: a follower leaves at most one and a half times the allowance later.
            let at = self.next_tick(now, Span(self.config.replica_lag_time_max.0 / 2));
            self.timers.set(at, Timer::CheckIsr);
        }
        self.lagging.push(tp);
    }

    fn check_isr(&mut self, ctx: &mut Context<'_>) {
        let around = self.surroundings(ctx);
        let mut lagging = std::mem::take(&mut self.lagging);
        // Who lost and regained a partition since the last check has listed it twice.
        lagging.sort_unstable();
        lagging.dedup();
        lagging.retain(|tp| {
            let Some(partition) = self.partitions.get_mut(tp) else { return false };
            if let Some(proposal) = partition.maybe_shrink_isr(around) {
                self.alter_partition.submit(*tp, proposal, partition);
            }
            let end = partition.log.log_end_offset();
            let Some(leadership) = partition.leadership() else { return false };
            leadership.listed_as_lagging = leadership.is_lagging(end);
            leadership.listed_as_lagging
        });
        self.lagging = lagging;
        if !self.lagging.is_empty() {
            let at = self.next_tick(ctx.now.mono, Span(self.config.replica_lag_time_max.0 / 2));
            self.timers.set(at, Timer::CheckIsr);
        }
    }
}
