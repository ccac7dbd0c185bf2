//! What a follower does: fetch the log, or a snapshot in its place.

use bytes::Bytes;
use trial_node::{LeaderEpoch, NodeId, Offset, TopicPartition, TraceEvent};
use trial_wire::messages::{FetchResponse, FetchSnapshotResponse};
use trial_wire::{ApiKey, Batches, ErrorCode, StrBytes, api};

use crate::log::{OffsetAndEpoch, RaftError, ReplicatedLog};
use crate::messages::{self, METADATA_TOPIC};
use crate::output::Env;
use crate::peers::Ask;
use crate::raft::{Handled, Raft};
use crate::role::{Follower, Role};

impl<L: ReplicatedLog> Raft<L> {
    /// Sends the next fetch, if none is in flight: to the leader, or while that one does not answer to any other voter, which
    /// may know a new one.
    pub(crate) fn poll_follower(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let now = env.now.mono;
        let Role::Follower(follower) = &mut self.role else {
            return Ok(());
        };
        if self.peers.any_in_flight() {
            return Ok(());
        }
        let leader = self.election.leader.expect("a follower knows its leader");
        let given_up = follower.fetch_deadline <= now;
        if given_up && let Some(partial) = follower.snapshot.take() {
            self.snapshots.abandon(env.disk, partial)?;
        }
        let Role::Follower(Follower { snapshot, .. }) = &self.role else {
            return Ok(());
        };
        if let Some(partial) = snapshot {
            let (id, position) = (partial.id, partial.position(env.disk));
            if self.peers.is_ready(leader, now) {
                let body = messages::fetch_snapshot_request(&self.config, self.election.epoch, id, position);
                self.send(env, leader, Ask::FetchSnapshot, ApiKey::FetchSnapshot, body.into());
            }
            return Ok(());
        }
        let to = if !given_up && self.peers.is_ready(leader, now) {
            Some(leader)
        } else {
            self.peers.any_ready(now, env.rng)
        };
        if let Some(to) = to {
            self.send_fetch(env, to);
        }
        Ok(())
    }

    pub(crate) fn send_fetch(&mut self, env: &Env<'_>, to: NodeId) {
        let version = api::latest(ApiKey::Fetch);
        let (epoch, end) = (self.election.epoch, self.log_end());
        let body = messages::fetch_request(&self.config, version, epoch, end, self.high_watermark);
        self.send(env, to, Ask::Fetch, ApiKey::Fetch, body.into());
    }

    pub(crate) fn handle_fetch_response(
        &mut self,
        env: &mut Env<'_>,
        from: NodeId,
        response: &FetchResponse,
    ) -> Result<Handled, RaftError> {
        let Some((status, partition)) = messages::fetch_result(response).filter(|_| response.error_code == 0)
        else {
            return Ok(Handled::Badly);
        };
        if let Some(handled) = self.heed(env, status)? {
            return Ok(handled);
        }
        let Role::Follower(_) = &self.role else {
            return Ok(Handled::Badly);
        };
        if self.election.leader != Some(from) {
            return Ok(Handled::Badly);
        }
        let diverging = &partition.diverging_epoch;
        let snapshot = &partition.snapshot_id;
        if diverging.epoch >= 0 {
            let end = OffsetAndEpoch::new(Offset(diverging.end_offset), LeaderEpoch(diverging.epoch));
            self.truncate_to_end_offset(env, end)?;
        } else if snapshot.epoch >= 0 && snapshot.end_offset >= 0 {
            let id = OffsetAndEpoch::new(Offset(snapshot.end_offset), LeaderEpoch(snapshot.epoch));
            let possible = id.epoch <= self.election.epoch && self.is_ahead_of_log(id);
            if !possible || self.snapshots.contains(id) {
                return Ok(Handled::Badly);
            }
            let partial = self.snapshots.begin(env.disk, id)?;
            if let Role::Follower(follower) = &mut self.role {
                follower.snapshot = Some(partial);
            }
        } else {
            let records = partition.records.clone().unwrap_or_default();
            if !records.is_empty() && !self.append_as_follower(env, records)? {
                return Ok(Handled::Badly);
            }
            if partition.high_watermark >= 0 {
                self.advance_high_watermark(Offset(partition.high_watermark).min(self.log.end_offset()));
            }
        }
        self.fetched_from_leader(env);
        Ok(Handled::Well)
    }

    fn fetched_from_leader(&mut self, env: &Env<'_>) {
        let deadline = env.now.mono + self.config.fetch_timeout;
        if let Role::Follower(follower) = &mut self.role {
            follower.fetch_deadline = deadline;
            follower.has_fetched = true;
        }
    }

    /// Appends the batches that continue the log, up to the first one that is broken or does not (KAFKA-18723). A voter
    /// flushes: its next fetch tells the leader that it has them for good. Whether there was one.
    fn append_as_follower(&mut self, env: &mut Env<'_>, records: Bytes) -> Result<bool, RaftError> {
        let end = self.log_end();
        let (mut next, mut epoch) = (end.offset.0, end.epoch.0);
        let mut sound = 0;
        for batch in Batches::new(records.clone()) {
            let Ok(batch) = batch else {
                break;
            };
            let header = batch.header();
            let continues = header.base_offset == next
                && (epoch..=self.election.epoch.0).contains(&header.partition_leader_epoch);
            if !continues {
                break;
            }
            (next, epoch) = (header.next_offset(), header.partition_leader_epoch);
            sound += header.size;
        }
        if sound == 0 {
            return Ok(false);
        }
        self.log.append(env.disk, records.slice(..sound))?;
        if self.is_voter() {
            self.log.flush(env.disk)?;
        }
        self.changed = true;
        Ok(true)
    }

    /// Cuts off what the leader does not have. If it does not know the epoch that this log ends with, the next fetch, with
    /// an older one, goes on from there.
    fn truncate_to_end_offset(&mut self, env: &mut Env<'_>, end: OffsetAndEpoch) -> Result<(), RaftError> {
        let local = self.end_offset_for_epoch(end.epoch);
        let offset = if end.epoch == LeaderEpoch(0) || local.epoch == end.epoch {
            local.offset.min(end.offset)
        } else {
            local.offset
        };
        let from = self.log.end_offset();
        let low = self.high_watermark.unwrap_or(Offset::ZERO).max(self.log.start_offset());
        if offset < low {
            return Err(RaftError::Log {
                what: format!(
                    "the leader of epoch {} wants it cut to offset {offset}, below {low}, which is committed",
                    self.election.epoch
                ),
            });
        }
        if offset >= from {
            return Ok(());
        }
        self.log.truncate_to(env.disk, offset)?;
        self.truncations += 1;
        self.changed = true;
        let tp = TopicPartition::new(StrBytes::from_static_str(METADATA_TOPIC), 0);
        self.trace(TraceEvent::LogTruncated { tp, from, to: offset });
        Ok(())
    }

    pub(crate) fn handle_fetch_snapshot_response(
        &mut self,
        env: &mut Env<'_>,
        response: &FetchSnapshotResponse,
    ) -> Result<Handled, RaftError> {
        let Some((status, partition)) =
            messages::fetch_snapshot_result(response).filter(|_| response.error_code == 0)
        else {
            return Ok(Handled::Badly);
        };
        let gone = matches!(status.error, Some(ErrorCode::SnapshotNotFound | ErrorCode::PositionOutOfRange));
        let epoch = self.election.epoch;
        if let Some(handled) = self.heed(env, status)? {
            if gone
                && status.epoch == epoch
                && let Role::Follower(follower) = &mut self.role
                && let Some(partial) = follower.snapshot.take()
            {
                // The leader has a newer one by now; the next fetch will say which.
                self.snapshots.abandon(env.disk, partial)?;
                return Ok(Handled::Well);
            }
            return Ok(handled);
        }
        let Role::Follower(Follower { snapshot: Some(partial), .. }) = &mut self.role else {
            return Ok(Handled::Badly);
        };
        let id = OffsetAndEpoch::new(
            Offset(partition.snapshot_id.end_offset),
            LeaderEpoch(partition.snapshot_id.epoch),
        );
        let fits = id == partial.id && partition.position == partial.position(env.disk);
        if !fits || partition.unaligned_records.is_empty() {
            return Ok(Handled::Badly);
        }
        partial.append(env.disk, partition.unaligned_records.clone())?;
        if partial.position(env.disk) >= partition.size {
            self.complete_snapshot(env)?;
        }
        self.fetched_from_leader(env);
        Ok(Handled::Well)
    }

    fn complete_snapshot(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let Role::Follower(Follower { snapshot, .. }) = &mut self.role else {
            return Ok(());
        };
        let Some(partial) = snapshot.take() else {
            return Ok(());
        };
        let id = partial.id;
        self.snapshots.freeze(env.disk, partial)?;
        self.truncate_to_latest_snapshot(env.disk)?;
        self.advance_high_watermark(id.offset);
        Ok(())
    }
}
