//! The replica fetchers: one per leader, each with one request under way for all partitions that it leads.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{LeaderEpoch, NodeId, Offset, Time, TopicIdPartition, TopicPartition, TraceEvent};
use trial_storage::AppendError;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use trial_wire::messages::fetch_response::PartitionData;
use trial_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use trial_wire::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, api};

use super::list_offsets::{EARLIEST, LATEST};
use super::timers::Timer;
use super::{Context, Happened, Output, ReplicaManager, RequestFailure, RequestId, Sent};

/// Where a partition is in its fetcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is part of the fetch requests.
    Fetching,
    /// Its last fetch failed; it is left out until then.
    Delayed(Time),
    /// The leader does not have the offset; it is asked for its log's end or start.
    OutOfRange(i64),
    /// The leader has a newer epoch: only the metadata can bring it on.
    Fenced,
}

/// A partition that is fetched.
#[derive(Clone, Debug)]
struct Fetching {
    /// The leader epoch that the metadata told.
    leader_epoch: LeaderEpoch,
    offset: Offset,
    /// The epoch of the last record below the offset.
    last_fetched_epoch: Option<LeaderEpoch>,
    log_start_offset: Offset,
    phase: Phase,
    /// Whether it had everything that was committed, when the leader last told.
    caught_up: bool,
    /// What the leader's session has of it: offset, leader epoch, last fetched epoch and log start.
    sent: Option<(Offset, LeaderEpoch, Option<LeaderEpoch>, Offset)>,
    /// Whether the next request has to name it.
    changed: bool,
}

impl Fetching {
    fn position(&self) -> (Offset, LeaderEpoch, Option<LeaderEpoch>, Offset) {
        (self.offset, self.leader_epoch, self.last_fetched_epoch, self.log_start_offset)
    }
}

/// Follows one leader.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetcher {
    partitions: BTreeMap<TopicIdPartition, Fetching>,
    /// How many of them are in the phase [`Phase::Fetching`].
    active: usize,
    /// Those whose position the leader's session does not have.
    changed: Vec<TopicIdPartition>,
    /// Those that the leader's session has and should not.
    forgotten: Vec<TopicIdPartition>,
    session_id: i32,
    /// The epoch of the next request; 0 makes a new session.
    session_epoch: i32,
    in_flight: Option<(RequestId, InFlight)>,
    /// Until when the leader is left alone because it could not be reached.
    backing_off: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InFlight {
    Fetch,
    /// ListOffsets for a partition that is out of range, with the leader epoch that it had.
    Lookup(TopicIdPartition, LeaderEpoch, i64),
}

impl Fetcher {
    fn set_phase(&mut self, tp: TopicIdPartition, phase: Phase) {
        let Some(fetching) = self.partitions.get_mut(&tp) else { return };
        let was_active = fetching.phase == Phase::Fetching;
        fetching.phase = phase;
        match (was_active, phase == Phase::Fetching) {
            (true, false) => {
                self.active -= 1;
                if fetching.sent.take().is_some() {
                    self.forgotten.push(tp);
                }
            }
            (false, true) => self.active += 1,
            _ => {}
        }
        if phase == Phase::Fetching && !fetching.changed {
            fetching.changed = true;
            self.changed.push(tp);
        }
    }

    fn remove(&mut self, tp: TopicIdPartition) {
        if let Some(fetching) = self.partitions.remove(&tp) {
            self.active -= usize::from(fetching.phase == Phase::Fetching);
            if fetching.sent.is_some() {
                self.forgotten.push(tp);
            }
        }
    }

    /// Moves a partition to where its log now ends.
    fn reposition(&mut self, tp: TopicIdPartition, partition: &super::Partition) {
        if let Some(fetching) = self.partitions.get_mut(&tp) {
            fetching.offset = partition.log.log_end_offset();
            fetching.last_fetched_epoch = partition.log.latest_epoch();
            fetching.log_start_offset = partition.log.log_start_offset();
            if !fetching.changed && fetching.phase == Phase::Fetching {
                fetching.changed = true;
                self.changed.push(tp);
            }
        }
    }

    fn reset_session(&mut self, keep_id: bool) {
        if !keep_id {
            self.session_id = 0;
        }
        self.session_epoch = 0;
    }

    /// The topics and the forgotten topics of the next request.
    fn next_request(&mut self, max_bytes: i32) -> (Vec<FetchTopic>, Vec<ForgottenTopic>) {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let mut add = |tp: TopicIdPartition, fetching: &mut Fetching| {
            fetching.sent = Some(fetching.position());
            let wanted = FetchPartition::default()
                .with_partition(tp.partition)
                .with_current_leader_epoch(fetching.leader_epoch.0)
                .with_fetch_offset(fetching.offset.0)
                .with_last_fetched_epoch(fetching.last_fetched_epoch.unwrap_or(LeaderEpoch::NONE).0)
                .with_log_start_offset(fetching.log_start_offset.0)
                .with_partition_max_bytes(max_bytes);
            match topics.last_mut().filter(|topic| topic.topic_id == tp.topic_id) {
                Some(topic) => topic.partitions.push(wanted),
                None => {
                    if topics.is_empty() {
                        // Most requests have no other.
                        topics.reserve_exact(1);
                    }
                    topics
                        .push(FetchTopic::default().with_topic_id(tp.topic_id).with_partitions(vec![wanted]));
                }
            }
        };
        let mut changed = std::mem::take(&mut self.changed);
        if self.session_epoch == 0 {
            self.forgotten.clear();
            for (tp, fetching) in &mut self.partitions {
                fetching.changed = false;
                fetching.sent = None;
                if fetching.phase == Phase::Fetching {
                    add(*tp, fetching);
                }
            }
        } else {
            for tp in &changed {
                let Some(fetching) = self.partitions.get_mut(tp) else { continue };
                fetching.changed = false;
                if fetching.phase == Phase::Fetching && fetching.sent != Some(fetching.position()) {
                    add(*tp, fetching);
                }
            }
        }
        changed.clear();
        self.changed = changed;
        let mut forgotten: Vec<ForgottenTopic> = Vec::new();
        for tp in self.forgotten.drain(..) {
            // It may have come back meanwhile.
            if self.partitions.get(&tp).is_some_and(|fetching| fetching.sent.is_some()) {
                continue;
            }
            match forgotten.last_mut().filter(|topic| topic.topic_id == tp.topic_id) {
                Some(topic) => topic.partitions.push(tp.partition),
                None => forgotten.push(
                    ForgottenTopic::default().with_topic_id(tp.topic_id).with_partitions(vec![tp.partition]),
                ),
            }
        }
        (topics, forgotten)
    }

    /// A partition whose offset the leader must be asked about.
    fn next_lookup(&self) -> Option<(TopicIdPartition, LeaderEpoch, i64)> {
        if self.active == self.partitions.len() {
            return None;
        }
        self.partitions.iter().find_map(|(tp, fetching)| match fetching.phase {
            Phase::OutOfRange(timestamp) => Some((*tp, fetching.leader_epoch, timestamp)),
            _ => None,
        })
    }
}

impl ReplicaManager {
    /// Begins to follow `leader` from the local log's end on. Where the log has diverged from the leader's, the leader tells
    /// by its answer to the first fetch (KIP-595).
    pub(super) fn start_fetching(&mut self, leader: NodeId, tp: TopicIdPartition) {
        let Some(partition) = self.partitions.get(&tp) else { return };
        let fetching = Fetching {
            leader_epoch: partition.leader_epoch,
            offset: partition.log.log_end_offset(),
            last_fetched_epoch: partition.log.latest_epoch(),
            log_start_offset: partition.log.log_start_offset(),
            phase: Phase::Fetching,
            caught_up: false,
            sent: None,
            changed: true,
        };
        let fetcher = self.fetchers.entry(leader).or_default();
        fetcher.remove(tp);
        fetcher.partitions.insert(tp, fetching);
        fetcher.active += 1;
        fetcher.changed.push(tp);
        // A leader that comes into office is worth a try at once.
        fetcher.backing_off = None;
        self.after.fetchers.push(leader);
    }

    pub(super) fn stop_fetching(&mut self, leader: NodeId, tp: TopicIdPartition) {
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.remove(tp);
            self.after.fetchers.push(leader);
        }
    }

    /// Sends a fetcher's next request, if it has one and none is under way.
    pub(super) fn drive_fetcher(&mut self, ctx: &mut Context<'_>, leader: NodeId) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        if fetcher.partitions.is_empty() {
            // Whatever is under way is not waited for: a leader that has died may leave it unanswered for long, and it may
            // be back before that.
            if let Some((id, _)) = fetcher.in_flight {
                self.take_request(id);
            }
            self.fetchers.remove(&leader);
            return;
        }
        if fetcher.in_flight.is_some() || fetcher.backing_off.is_some() {
            return;
        }
        if self.follower_throttle.is_exceeded(ctx.now.mono) {
            self.hold_back(ctx.now.mono, leader);
        }
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let (in_flight, version, body) = if let Some((tp, epoch, timestamp)) = fetcher.next_lookup() {
            let Some(name) = ctx.metadata.topic_name(tp.topic_id) else { return };
            let wanted = ListOffsetsPartition::default()
                .with_partition_index(tp.partition)
                .with_current_leader_epoch(epoch.0)
                .with_timestamp(timestamp);
            let topic = ListOffsetsTopic::default().with_name(name.clone()).with_partitions(vec![wanted]);
            let request = ListOffsetsRequest::default()
                .with_replica_id(BrokerId(self.config.node_id.0))
                .with_topics(vec![topic]);
            let in_flight = InFlight::Lookup(tp, epoch, timestamp);
            (in_flight, api::latest(ApiKey::ListOffsets), RequestKind::ListOffsets(request))
        } else if fetcher.active > 0 {
            let (topics, forgotten) = fetcher.next_request(self.config.replica_fetch_max_bytes);
            let replica = ReplicaState::default()
                .with_replica_id(BrokerId(self.config.node_id.0))
                .with_replica_epoch(self.broker_epoch);
            let max_wait = self.config.replica_fetch_wait_max.as_millis();
            let request = FetchRequest::default()
                .with_replica_state(replica)
                .with_max_wait_ms(i32::try_from(max_wait).unwrap_or(i32::MAX))
                .with_min_bytes(self.config.replica_fetch_min_bytes)
                .with_max_bytes(self.config.replica_fetch_response_max_bytes)
                .with_session_id(fetcher.session_id)
                .with_session_epoch(fetcher.session_epoch)
                .with_topics(topics)
                .with_forgotten_topics_data(forgotten);
            (InFlight::Fetch, api::latest(ApiKey::Fetch), RequestKind::Fetch(request))
        } else {
            return;
        };
        let id = self.send(Sent::Fetcher(leader));
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.in_flight = Some((id, in_flight));
        }
        self.after.outputs.push_back(Output::ToBroker { node: leader, id, version, body: Box::new(body) });
    }

    /// Leaves out throttled replicas that are not in sync (KIP-73) until the fetcher's next back-off is over.
    fn hold_back(&mut self, now: Time, leader: NodeId) {
        let Some(fetcher) = self.fetchers.get(&leader) else { return };
        let throttled = |tp: &TopicIdPartition| {
            self.partitions.get(tp).is_some_and(|partition| partition.throttled.follower)
        };
        let held: Vec<TopicIdPartition> = fetcher
            .partitions
            .iter()
            .filter(|(tp, fetching)| {
                fetching.phase == Phase::Fetching && !fetching.caught_up && throttled(tp)
            })
            .map(|(tp, _)| *tp)
            .collect();
        for tp in held {
            self.delay(now, leader, tp);
        }
    }

    pub(super) fn handle_leader_response(
        &mut self,
        ctx: &mut Context<'_>,
        leader: NodeId,
        result: Result<ResponseKind, RequestFailure>,
    ) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let in_flight = fetcher.in_flight.take().map(|(_, in_flight)| in_flight);
        match (result, in_flight) {
            (Ok(ResponseKind::Fetch(response)), Some(InFlight::Fetch)) => {
                self.handle_fetch_response(ctx, leader, response);
            }
            (Ok(ResponseKind::ListOffsets(response)), Some(InFlight::Lookup(tp, epoch, timestamp))) => {
                self.handle_lookup(ctx, leader, tp, epoch, timestamp, &response);
            }
            _ => {
                // The leader may be another process by now, or may have handled a request whose answer was lost.
                fetcher.reset_session(true);
                let until = ctx.now.mono + self.config.replica_fetch_backoff;
                fetcher.backing_off = Some(until);
                self.timers.set(until, Timer::Fetcher(leader));
            }
        }
        self.after.fetchers.push(leader);
    }

    fn handle_fetch_response(&mut self, ctx: &mut Context<'_>, leader: NodeId, response: FetchResponse) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        if response.error_code != 0 {
            let gone = response.error_code == ErrorCode::FetchSessionIdNotFound.code();
            fetcher.reset_session(!gone);
            return;
        }
        if response.session_id == 0 {
            fetcher.reset_session(false);
        } else {
            fetcher.session_id = response.session_id;
            fetcher.session_epoch = fetcher.session_epoch.checked_add(1).unwrap_or(1);
        }
        for topic in response.responses {
            for data in topic.partitions {
                let tp = TopicIdPartition { topic_id: topic.topic_id, partition: data.partition_index };
                self.handle_partition_data(ctx, leader, tp, data);
            }
        }
    }

    fn handle_partition_data(
        &mut self,
        ctx: &mut Context<'_>,
        leader: NodeId,
        tp: TopicIdPartition,
        data: PartitionData,
    ) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        // The partition may have changed its epoch, position or leader since the request.
        let current = fetcher.partitions.get(&tp).is_some_and(|fetching| {
            fetching.phase == Phase::Fetching && fetching.sent == Some(fetching.position())
        });
        if !current {
            return;
        }
        match ErrorCode::try_from_code(data.error_code) {
            // No log ends there. Cutting ours off would leave nothing of it.
            None if data.diverging_epoch.epoch >= 0 && data.diverging_epoch.end_offset < 0 => {
                self.delay(ctx.now.mono, leader, tp);
            }
            None if data.diverging_epoch.epoch >= 0 => {
                let epoch = LeaderEpoch(data.diverging_epoch.epoch);
                self.truncate_diverged(ctx, tp, epoch, Offset(data.diverging_epoch.end_offset));
                self.reposition(leader, tp);
                let fetching = self.fetchers.get(&leader).and_then(|fetcher| fetcher.partitions.get(&tp));
                if fetching.is_some_and(|fetching| fetching.sent == Some(fetching.position())) {
                    // The leader contradicts itself; asking the same again at once would only go round in circles.
                    self.delay(ctx.now.mono, leader, tp);
                }
            }
            None => {
                if self.append_from_leader(ctx, tp, &data).is_ok() {
                    self.reposition(leader, tp);
                    self.note_lag(leader, tp, Offset(data.high_watermark));
                } else {
                    self.delay(ctx.now.mono, leader, tp);
                }
            }
            Some(ErrorCode::OffsetOutOfRange) => fetcher.set_phase(tp, Phase::OutOfRange(LATEST)),
            Some(ErrorCode::FencedLeaderEpoch) => fetcher.set_phase(tp, Phase::Fenced),
            Some(_) => self.delay(ctx.now.mono, leader, tp),
        }
    }

    fn note_lag(&mut self, leader: NodeId, tp: TopicIdPartition, high_watermark: Offset) {
        let fetcher = self.fetchers.get_mut(&leader);
        if let Some(fetching) = fetcher.and_then(|fetcher| fetcher.partitions.get_mut(&tp)) {
            fetching.caught_up = high_watermark <= fetching.offset;
        }
    }

    fn reposition(&mut self, leader: NodeId, tp: TopicIdPartition) {
        if let (Some(fetcher), Some(partition)) = (self.fetchers.get_mut(&leader), self.partitions.get(&tp)) {
            fetcher.reposition(tp, partition);
        }
    }

    /// Appends what the leader sent, and takes over its high watermark and log start.
    fn append_from_leader(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        data: &PartitionData,
    ) -> Result<(), AppendError> {
        let Some(partition) = self.partitions.get_mut(&tp) else { return Ok(()) };
        let records = data.records.clone().unwrap_or_default();
        if partition.throttled.follower {
            self.follower_throttle.record(ctx.now.mono, records.len());
        }
        let grew = match append_as_follower(ctx, partition, records) {
            Ok(grew) => grew,
            Err(error) => {
                if let AppendError::Disk(error) = &error {
                    self.after.directory_failed(partition.directory, error.clone());
                }
                return Err(error);
            }
        };
        let (old_high_watermark, old_start) =
            (partition.log.high_watermark(), partition.log.log_start_offset());
        let high_watermark = partition.log.update_high_watermark(Offset(data.high_watermark));
        if data.log_start_offset > old_start.0 {
            // The segments go when this broker next looks for old ones.
            let start = Offset(data.log_start_offset);
            if let Err(error) = partition.log.advance_log_start_offset(ctx.disk, start) {
                self.after.directory_failed(partition.directory, error);
            }
        }
        let moved = high_watermark != old_high_watermark;
        let start_moved = partition.log.log_start_offset() != old_start;
        if grew || moved || start_moved {
            let happened =
                Happened { log_end: grew, high_watermark: moved || start_moved, ..Happened::default() };
            self.after.note(partition, &mut self.sessions, happened);
        }
        if start_moved {
            self.directories[partition.directory].checkpoints.log_start_moved();
        }
        if grew {
            self.appended(ctx.now.mono);
        }
        if moved {
            self.high_watermark_moved(ctx.now.mono);
        }
        Ok(())
    }

    /// The leader's log leaves ours at `end_offset` of `epoch`, the newest epoch that it has of those that we may have: cuts
    /// off what we have of later epochs, and of this one beyond that offset (KIP-279).
    fn truncate_diverged(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        epoch: LeaderEpoch,
        end_offset: Offset,
    ) {
        let Some(partition) = self.partitions.get(&tp) else { return };
        let to = match partition.log.end_offset_for_epoch(epoch) {
            // Ours may be of an older epoch: then the next fetch compares what is left.
            Some((_, our_end)) => our_end.min(end_offset),
            None => end_offset,
        };
        self.truncate(ctx, tp, to);
    }

    fn truncate(&mut self, ctx: &mut Context<'_>, tp: TopicIdPartition, to: Offset) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        let from = partition.log.log_end_offset();
        let high_watermark = partition.log.high_watermark();
        // Even if no record goes, an epoch that this broker led without appending may have to.
        let (directory, recovery_point) = (partition.directory, partition.log.recovery_point());
        match partition.log.truncate_to(ctx.disk, to) {
            Ok(true) => {
                let now = partition.log.recovery_point();
                self.directories[directory].checkpoints.recovery_point_moved(recovery_point, now);
                self.truncated(ctx.now.mono, tp, from, high_watermark);
            }
            Ok(false) => {}
            Err(error) => self.after.directory_failed(directory, error),
        }
    }

    fn truncated(&mut self, now: Time, tp: TopicIdPartition, from: Offset, high_watermark: Offset) {
        let Some(partition) = self.partitions.get_mut(&tp) else { return };
        self.after.trace(TraceEvent::LogTruncated {
            tp: TopicPartition { topic: partition.topic.clone(), partition: tp.partition },
            from,
            to: partition.log.log_end_offset(),
        });
        let moved = partition.log.high_watermark() != high_watermark;
        let happened = Happened { log_end: true, high_watermark: moved, ..Happened::default() };
        self.after.note(partition, &mut self.sessions, happened);
        if moved {
            self.high_watermark_moved(now);
        }
    }

    fn delay(&mut self, now: Time, leader: NodeId, tp: TopicIdPartition) {
        let until = now + self.config.replica_fetch_backoff;
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.set_phase(tp, Phase::Delayed(until));
            self.timers.set(until, Timer::FetchedPartition(leader, tp));
        }
    }

    /// The leader told its log's end or start for a partition whose offset it does not have.
    fn handle_lookup(
        &mut self,
        ctx: &mut Context<'_>,
        leader: NodeId,
        tp: TopicIdPartition,
        epoch: LeaderEpoch,
        timestamp: i64,
        response: &ListOffsetsResponse,
    ) {
        let Some(fetcher) = self.fetchers.get_mut(&leader) else { return };
        let current = fetcher.partitions.get(&tp).is_some_and(|fetching| {
            fetching.leader_epoch == epoch && fetching.phase == Phase::OutOfRange(timestamp)
        });
        let Some(partition) = self.partitions.get_mut(&tp).filter(|_| current) else { return };
        let answer = response.topics.first().and_then(|topic| topic.partitions.first());
        let Some(answer) = answer.filter(|answer| answer.error_code == 0 && answer.offset >= 0) else {
            return self.delay(ctx.now.mono, leader, tp);
        };
        let (offset, end) = (Offset(answer.offset), partition.log.log_end_offset());
        if timestamp == LATEST && offset >= end {
            // We are not ahead of the leader, so we must be behind its log's start.
            return fetcher.set_phase(tp, Phase::OutOfRange(EARLIEST));
        }
        if timestamp == LATEST {
            // The leader was elected uncleanly with less than we have.
            self.truncate(ctx, tp, offset);
        } else if offset > end {
            let high_watermark = partition.log.high_watermark();
            let (directory, recovery_point) = (partition.directory, partition.log.recovery_point());
            if let Err(error) = partition.log.truncate_fully_and_start_at(ctx.disk, offset) {
                return self.after.directory_failed(directory, error);
            }
            let now = partition.log.recovery_point();
            self.directories[directory].checkpoints.recovery_point_moved(recovery_point, now);
            self.truncated(ctx.now.mono, tp, end, high_watermark);
        }
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.set_phase(tp, Phase::Fetching);
        }
        self.reposition(leader, tp);
    }

    pub(super) fn fetcher_backed_off(&mut self, leader: NodeId) {
        if let Some(fetcher) = self.fetchers.get_mut(&leader) {
            fetcher.backing_off = None;
            self.after.fetchers.push(leader);
        }
    }

    pub(super) fn fetched_partition_backed_off(&mut self, leader: NodeId, tp: TopicIdPartition, now: Time) {
        if let Some(fetcher) = self.fetchers.get_mut(&leader)
            && let Some(fetching) = fetcher.partitions.get(&tp)
            && matches!(fetching.phase, Phase::Delayed(until) if until <= now)
        {
            fetcher.set_phase(tp, Phase::Fetching);
            self.after.fetchers.push(leader);
        }
    }
}

/// Whether the log grew.
fn append_as_follower(
    ctx: &mut Context<'_>,
    partition: &mut super::Partition,
    records: Bytes,
) -> Result<bool, AppendError> {
    if records.is_empty() {
        return Ok(false);
    }
    Ok(partition.log.append_as_follower(ctx.disk, records, ctx.now.wall_ms)?.is_some())
}
