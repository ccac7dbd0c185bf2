//! What a leader does: append, commit, serve fetches.

use bytes::Bytes;
use trial_node::{LeaderEpoch, NodeId, Now, Offset, Span};
use trial_wire::messages::{
    BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, FetchRequest, FetchResponse,
    FetchSnapshotRequest, FetchSnapshotResponse, describe_quorum_response, fetch_response,
    fetch_snapshot_response,
};
use trial_wire::{BatchBuilder, Compression, ErrorCode};

use crate::log::{OffsetAndEpoch, RaftError, ReplicatedLog};
use crate::messages;
use crate::output::{AppendError, Env, Output, RequestToken};
use crate::raft::{Raft, ValidOffset};
use crate::role::{HeldFetch, PendingBatch, Replica, Role};

/// The most bytes of records in one batch, as in Kafka.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// How long an observer that does not fetch is still described.
const OBSERVER_SESSION_TIMEOUT: Span = Span::from_secs(300);

impl<L: ReplicatedLog> Raft<L> {
    // ---- Append

    /// Adds records to the batch that lingers, and writes it if it need not linger.
    pub(crate) fn enqueue(
        &mut self,
        env: &mut Env<'_>,
        epoch: LeaderEpoch,
        values: &[Bytes],
    ) -> Result<Offset, AppendError> {
        assert!(!values.is_empty(), "an append has at least one record");
        let (known, current) = self.leader_and_epoch();
        let Role::Leader(leader) = &self.role else {
            return Err(AppendError::NotLeader { epoch, current, leader: known });
        };
        if epoch != current {
            return Err(AppendError::NotLeader { epoch, current, leader: known });
        }
        let size = values.iter().map(|value| BatchBuilder::record_size_bound(None, Some(value), &[])).sum();
        if size > BATCH_BYTES_MAX {
            return Err(AppendError::TooLarge { size, max: BATCH_BYTES_MAX });
        }
        let full = |pending: &PendingBatch| pending.builder.uncompressed_size() + size > BATCH_BYTES_MAX;
        if leader.pending.as_ref().is_some_and(full) {
            self.write_pending(env)?;
        }
        let end = self.log.end_offset();
        let write_at = env.now.mono + self.config.append_linger;
        let Role::Leader(leader) = &mut self.role else {
            panic!("writing a batch does not end a leadership");
        };
        let pending = leader.pending.get_or_insert_with(|| {
            let mut builder = BatchBuilder::new(Compression::None);
            builder.base_offset(end.0).leader_epoch(epoch.0);
            PendingBatch { builder, next_offset: end, write_at }
        });
        for value in values {
            pending.builder.push(env.now.wall_ms, None, Some(value), &[]);
            pending.next_offset += 1;
        }
        Ok(pending.next_offset + -1)
    }

    pub(crate) fn write_pending(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let Role::Leader(leader) = &mut self.role else {
            return Ok(());
        };
        match leader.pending.take() {
            Some(pending) => self.write_as_leader(env, pending.builder.build().bytes().clone()),
            None => Ok(()),
        }
    }

    /// Appends and flushes; only then does the leader count itself.
    pub(crate) fn write_as_leader(&mut self, env: &mut Env<'_>, batch: Bytes) -> Result<(), RaftError> {
        self.log.append(env.disk, batch)?;
        self.log.flush(env.disk)?;
        self.changed = true;
        let end = self.log.end_offset();
        if let Role::Leader(leader) = &mut self.role {
            leader.flushed = end;
        }
        self.answer_held(env, |held| held.offset < end)?;
        self.maybe_commit(env)
    }

    fn maybe_commit(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let majority = self.config.majority();
        let Role::Leader(leader) = &mut self.role else {
            return Ok(());
        };
        let Some(high_watermark) = leader.maybe_advance_high_watermark(majority) else {
            return Ok(());
        };
        self.advance_high_watermark(high_watermark);
        self.answer_held(env, |held| held.high_watermark < high_watermark.0)
    }

    /// Answers those held fetches that `due` picks.
    pub(crate) fn answer_held(
        &mut self,
        env: &mut Env<'_>,
        due: impl Fn(&HeldFetch) -> bool,
    ) -> Result<(), RaftError> {
        let Role::Leader(leader) = &mut self.role else {
            return Ok(());
        };
        if !leader.held.iter().any(&due) {
            return Ok(());
        }
        let (due, still_held) = std::mem::take(&mut leader.held).into_iter().partition::<Vec<_>, _>(due);
        leader.held = still_held;
        for held in due {
            let partition = self.read_for_fetch(env, &held)?;
            let body = messages::fetch_response(&self.config, held.api_version, self.status(None), partition);
            self.outputs.push_back(Output::Response { token: held.token, body: body.into() });
        }
        Ok(())
    }

    // ---- Fetch

    /// What is wrong with a request that only the leader of `epoch` can serve.
    fn check_led_epoch(&self, epoch: LeaderEpoch) -> Option<ErrorCode> {
        match epoch.cmp(&self.election.epoch) {
            std::cmp::Ordering::Less => Some(ErrorCode::FencedLeaderEpoch),
            std::cmp::Ordering::Greater => Some(ErrorCode::UnknownLeaderEpoch),
            std::cmp::Ordering::Equal => (!self.is_leader()).then_some(ErrorCode::NotLeaderOrFollower),
        }
    }

    /// The answer to a fetch; `None` if it is held.
    pub(crate) fn handle_fetch_request(
        &mut self,
        env: &mut Env<'_>,
        token: RequestToken,
        version: i16,
        request: &FetchRequest,
    ) -> Result<Option<FetchResponse>, RaftError> {
        let top_level = |error: ErrorCode| Ok(Some(FetchResponse::default().with_error_code(error.code())));
        if !self.is_own_cluster(request.cluster_id.as_ref()) {
            return top_level(ErrorCode::InconsistentClusterId);
        }
        let Some(partition) = messages::fetch_partition(version, request) else {
            return top_level(ErrorCode::InvalidRequest);
        };
        let replica = messages::fetch_replica(version, request);
        let epoch = LeaderEpoch(partition.current_leader_epoch);
        let malformed = request.max_wait_ms < 0
            || partition.fetch_offset < 0
            || partition.last_fetched_epoch < 0
            || partition.last_fetched_epoch > epoch.0
            || replica == Some(self.config.node_id);
        let error = malformed.then_some(ErrorCode::InvalidRequest).or_else(|| self.check_led_epoch(epoch));
        if error.is_some() {
            return Ok(Some(messages::fetch_error(&self.config, version, self.status(error))));
        }
        let wait = Span::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
        let fetch = HeldFetch {
            token,
            api_version: version,
            offset: Offset(partition.fetch_offset),
            last_fetched_epoch: partition.last_fetched_epoch,
            max_bytes: request.max_bytes.min(partition.partition_max_bytes),
            high_watermark: if version >= 18 { partition.high_watermark } else { i64::MAX },
            deadline: env.now.mono + wait,
        };
        if let Some(replica) = replica {
            self.note_fetch(env, replica, &fetch)?;
        }
        let has_news = |partition: &fetch_response::PartitionData| {
            partition.records.as_ref().is_some_and(|records| !records.is_empty())
                || partition.diverging_epoch.epoch >= 0
                || partition.snapshot_id.epoch >= 0
                || partition.high_watermark > fetch.high_watermark
        };
        let partition = self.read_for_fetch(env, &fetch)?;
        if wait == Span::ZERO || has_news(&partition) {
            return Ok(Some(messages::fetch_response(&self.config, version, self.status(None), partition)));
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.held.push(fetch);
        }
        Ok(None)
    }

    /// Learns from a fetch how far the replica is: it has flushed everything before the offset that it asks for.
    fn note_fetch(&mut self, env: &mut Env<'_>, id: NodeId, fetch: &HeldFetch) -> Result<(), RaftError> {
        let valid = self.validate(fetch.offset, LeaderEpoch(fetch.last_fetched_epoch)) == ValidOffset::Valid;
        let end = self.log.end_offset();
        let Role::Leader(leader) = &mut self.role else {
            return Ok(());
        };
        leader.check_quorum(&self.config, id, env.now.mono);
        if !valid {
            if let Some(voter) = leader.voter_mut(id) {
                voter.heard = Some(env.now.mono);
            }
            return Ok(());
        }
        match leader.voter_mut(id) {
            Some(voter) => {
                voter.fetched(env.now, fetch.offset, end);
                self.maybe_commit(env)
            }
            None => {
                let observer = leader.observers.entry(id).or_insert_with(|| Replica::new(id));
                observer.fetched(env.now, fetch.offset, end);
                Ok(())
            }
        }
    }

    fn read_for_fetch(
        &self,
        env: &mut Env<'_>,
        fetch: &HeldFetch,
    ) -> Result<fetch_response::PartitionData, RaftError> {
        let known = match &self.role {
            Role::Leader(leader) => leader.high_watermark,
            _ => None,
        };
        let mut partition = fetch_response::PartitionData::default()
            .with_high_watermark(known.unwrap_or(Offset::UNKNOWN).0)
            .with_log_start_offset(self.log.start_offset().0)
            .with_records(Some(Bytes::new()));
        // A follower that has nothing is served faster with the snapshot than with the log.
        let valid = match self.snapshots.latest().filter(|_| fetch.offset == Offset::ZERO) {
            Some(latest) => ValidOffset::Snapshot(latest),
            None => self.validate(fetch.offset, LeaderEpoch(fetch.last_fetched_epoch)),
        };
        match valid {
            ValidOffset::Valid => {
                let max_bytes = u32::try_from(fetch.max_bytes).unwrap_or(0);
                if fetch.offset < self.log.end_offset() {
                    partition.records = Some(self.log.read(env.disk, fetch.offset, max_bytes)?);
                }
            }
            ValidOffset::Diverging(end) => {
                partition.diverging_epoch.epoch = end.epoch.0;
                partition.diverging_epoch.end_offset = end.offset.0;
            }
            ValidOffset::Snapshot(id) => {
                partition.snapshot_id.epoch = id.epoch.0;
                partition.snapshot_id.end_offset = id.offset.0;
            }
        }
        Ok(partition)
    }

    // ---- FetchSnapshot

    pub(crate) fn handle_fetch_snapshot_request(
        &mut self,
        env: &mut Env<'_>,
        version: i16,
        request: &FetchSnapshotRequest,
    ) -> Result<FetchSnapshotResponse, RaftError> {
        if !self.is_own_cluster(request.cluster_id.as_ref()) {
            return Ok(
                FetchSnapshotResponse::default().with_error_code(ErrorCode::InconsistentClusterId.code())
            );
        }
        let Some(asked) = messages::fetch_snapshot_partition(request) else {
            return Ok(FetchSnapshotResponse::default().with_error_code(ErrorCode::InvalidRequest.code()));
        };
        let id =
            OffsetAndEpoch::new(Offset(asked.snapshot_id.end_offset), LeaderEpoch(asked.snapshot_id.epoch));
        let mut partition = fetch_snapshot_response::PartitionSnapshot::default().with_snapshot_id(
            fetch_snapshot_response::SnapshotId::default()
                .with_end_offset(id.offset.0)
                .with_epoch(id.epoch.0),
        );
        let mut error = self.check_led_epoch(LeaderEpoch(asked.current_leader_epoch));
        if error.is_none() && !self.snapshots.contains(id) {
            error = Some(ErrorCode::SnapshotNotFound);
        }
        if error.is_none() {
            match self.snapshots.read_chunk(env.disk, id, asked.position, request.max_bytes)? {
                Some((size, chunk)) => {
                    partition.size = size;
                    partition.position = asked.position;
                    partition.unaligned_records = chunk;
                }
                None => error = Some(ErrorCode::PositionOutOfRange),
            }
        }
        if error.is_none()
            && let Role::Leader(leader) = &mut self.role
        {
            let replica = NodeId(request.replica_id.0);
            leader.check_quorum(&self.config, replica, env.now.mono);
            if let Some(voter) = leader.voter_mut(replica) {
                voter.heard = Some(env.now.mono);
            }
        }
        Ok(messages::fetch_snapshot_response(&self.config, version, self.status(error), partition))
    }

    // ---- DescribeQuorum

    pub(crate) fn handle_describe_request(
        &mut self,
        now: Now,
        version: i16,
        request: &DescribeQuorumRequest,
    ) -> DescribeQuorumResponse {
        let mut partition = describe_quorum_response::PartitionData::default();
        if !messages::describes_metadata(request) {
            partition.error_code = ErrorCode::UnknownTopicOrPartition.code();
            return messages::describe_response(&self.config, version, partition);
        }
        let own = self.config.node_id;
        let epoch = self.election.epoch;
        let Role::Leader(leader) = &mut self.role else {
            partition.error_code = ErrorCode::NotLeaderOrFollower.code();
            return messages::describe_response(&self.config, version, partition);
        };
        leader.observers.retain(|_, observer| {
            observer.last_fetch.is_some_and(|fetch| now.mono.since(fetch.mono) < OBSERVER_SESSION_TIMEOUT)
        });
        let itself = describe_quorum_response::ReplicaState::default()
            .with_replica_id(BrokerId(own.0))
            .with_log_end_offset(leader.flushed.0)
            .with_last_fetch_timestamp(now.wall_ms)
            .with_last_caught_up_timestamp(now.wall_ms);
        let mut voters: Vec<_> = leader.voters.iter().map(describe).collect();
        voters.push(itself);
        voters.sort_by_key(|voter| voter.replica_id);
        partition.leader_id = BrokerId(own.0);
        partition.leader_epoch = epoch.0;
        partition.high_watermark = leader.high_watermark.unwrap_or(Offset::UNKNOWN).0;
        partition.current_voters = voters;
        partition.observers = leader.observers.values().map(describe).collect();
        messages::describe_response(&self.config, version, partition)
    }
}

fn describe(replica: &Replica) -> describe_quorum_response::ReplicaState {
    describe_quorum_response::ReplicaState::default()
        .with_replica_id(BrokerId(replica.id.0))
        .with_log_end_offset(replica.end_offset.unwrap_or(Offset::UNKNOWN).0)
        .with_last_fetch_timestamp(replica.last_fetch.map_or(-1, |fetch| fetch.wall_ms))
        .with_last_caught_up_timestamp(replica.last_caught_up_ms.unwrap_or(-1))
}
