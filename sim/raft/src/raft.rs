//! The member: what it is asked and what it tells.

use std::collections::VecDeque;

use bytes::Bytes;
use trial_node::view::QuorumView;
use trial_node::{Disk, LeaderEpoch, NodeId, Offset, OpenError, Time, TraceEvent};
use trial_wire::{ApiKey, Batch, ErrorCode, RequestKind, ResponseKind, StrBytes, api};

use crate::config::RaftConfig;
use crate::log::{OffsetAndEpoch, RaftError, ReplicatedLog};
use crate::messages::Status;
use crate::output::{AppendError, Committed, Env, Output, RequestId, RequestToken, SnapshotError};
use crate::peers::{Ask, Peers};
use crate::quorum_state::{self, ElectionState};
use crate::role::{Election, Role};
use crate::snapshots::Snapshots;

/// One member of the quorum. See the crate's docs for how to drive it.
#[derive(Clone, Debug)]
pub struct Raft<L> {
    pub(crate) config: RaftConfig,
    pub(crate) log: L,
    pub(crate) snapshots: Snapshots,
    /// As `quorum-state` on disk has it.
    pub(crate) election: ElectionState,
    pub(crate) role: Role,
    pub(crate) peers: Peers,
    pub(crate) high_watermark: Option<Offset>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) deadline: Option<Time>,
    pub(crate) truncations: u64,
    pub(crate) changed: bool,
    /// Whether the node is about to stop: it begins no election any more.
    pub(crate) shutting_down: bool,
}

/// How an answer was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handled {
    /// There was something to learn from it; the next request may follow at once.
    Well,
    /// It was of no use; the voter that sent it is left alone for a while.
    Badly,
}

/// How a log compares with what a fetch says of the follower's (KIP-595, KIP-630).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValidOffset {
    Valid,
    /// The follower's log parts from this one at or before this end.
    Diverging(OffsetAndEpoch),
    /// The follower must fetch this snapshot first.
    Snapshot(OffsetAndEpoch),
}

impl<L: ReplicatedLog> Raft<L> {
    /// Rebuilds the member from its `quorum-state`, its snapshots and its log.
    ///
    /// # Errors
    /// [`OpenError`] when the configuration makes no sense, the disk fails, or a file holds what no crash can explain.
    pub fn open(config: RaftConfig, log: L, env: &mut Env<'_>) -> Result<Raft<L>, OpenError> {
        config.check()?;
        let election = quorum_state::read(&config, env.disk)?;
        let snapshots = Snapshots::open(&config.folder, env.disk)?;
        let folder = config.folder.clone();
        let mut raft = Raft {
            peers: Peers::new(&config),
            config,
            log,
            snapshots,
            election,
            role: Role::Unattached { election_deadline: None },
            high_watermark: None,
            outputs: VecDeque::new(),
            deadline: None,
            truncations: 0,
            changed: true,
            shutting_down: false,
        };
        raft.start(env).map_err(|error| match error {
            RaftError::Disk(error) => OpenError::Disk(error),
            RaftError::Log { what } => OpenError::Corrupt { path: folder, what },
        })?;
        Ok(raft)
    }

    fn start(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        self.join_log_and_snapshots(env.disk)?;
        let found = self.election;
        let own = self.config.node_id;
        let log_epoch = self.log_end().epoch;
        let role = if !self.is_voter() {
            Role::Unattached { election_deadline: None }
        } else if found.epoch >= log_epoch && found.leader == Some(own) {
            // It must not lead this epoch again: records that it had not flushed would get other content at the same offset
            // and epoch. Nor may it vote for another in this epoch.
            Role::Resigned {
                election_deadline: self.random_election_deadline(env),
                unacknowledged: Vec::new(),
                preferred: Vec::new(),
            }
        } else if found.epoch >= log_epoch && found.leader.is_none() && found.voted == Some(own) {
            Role::Candidate(Election::new(own, self.random_election_deadline(env)))
        } else {
            Role::Unattached { election_deadline: Some(self.random_election_deadline(env)) }
        };
        self.role = role;
        if found.epoch < log_epoch {
            self.set_role(env, ElectionState::unknown_leader(log_epoch), self.role.clone())?;
        }
        if let Some(leader) = self.election.leader.filter(|leader| *leader != own)
            && self.config.is_voter(leader)
        {
            self.become_follower(env, leader, self.election.epoch)?;
        }
        // The caller hears where this node stands even if that is news to nobody else.
        let (leader, epoch) = self.leader_and_epoch();
        self.outputs.retain(|output| !matches!(output, Output::LeaderChanged { .. }));
        self.outputs.push_front(Output::LeaderChanged { leader, epoch });
        if self.is_only_voter() {
            self.become_prospective(env)?;
        }
        self.poll(env)
    }

    /// Makes the log begin where the newest snapshot ends, or at 0. That finishes what a crash may have interrupted: the
    /// replacement of the log by a snapshot, or the removal of what is before one. Neither the log's start nor what it knows
    /// of the epochs before a snapshot need have survived.
    fn join_log_and_snapshots(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError> {
        self.truncate_to_latest_snapshot(disk)?;
        if let Some(latest) = self.snapshots.latest().filter(|id| id.offset <= self.log.end_offset()) {
            self.log.update_high_watermark(latest.offset);
            self.clean_up_to_latest_snapshot(disk)?;
        }
        let start = self.log.start_offset();
        if start == Offset::ZERO || self.snapshots.at(start).is_some() {
            return Ok(());
        }
        Err(RaftError::Log { what: format!("the log begins at offset {start} but no snapshot ends there") })
    }

    /// Takes a request of the quorum's APIs: Vote, BeginQuorumEpoch, EndQuorumEpoch, Fetch, FetchSnapshot,
    /// DescribeQuorum. The answer may come from a later call (a fetch is held until there is something to tell).
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    ///
    /// # Panics
    /// On a request of another API.
    pub fn handle_request(
        &mut self,
        env: &mut Env<'_>,
        token: RequestToken,
        api_version: i16,
        body: &RequestKind,
    ) -> Result<(), RaftError> {
        let response: ResponseKind = match body {
            RequestKind::Vote(request) => self.handle_vote_request(env, api_version, request)?.into(),
            RequestKind::BeginQuorumEpoch(request) => {
                self.handle_begin_request(env, api_version, request)?.into()
            }
            RequestKind::EndQuorumEpoch(request) => {
                self.handle_end_request(env, api_version, request)?.into()
            }
            RequestKind::Fetch(request) => {
                match self.handle_fetch_request(env, token, api_version, request)? {
                    Some(response) => response.into(),
                    None => return self.poll(env),
                }
            }
            RequestKind::FetchSnapshot(request) => {
                self.handle_fetch_snapshot_request(env, api_version, request)?.into()
            }
            RequestKind::DescribeQuorum(request) => {
                self.handle_describe_request(env.now, api_version, request).into()
            }
            _ => panic!("not a request of the quorum's"),
        };
        self.outputs.push_back(Output::Response { token, body: response });
        self.poll(env)
    }

    /// Forgets a request whose answer nobody waits for any more: its connection is gone.
    pub fn cancel_request(&mut self, token: RequestToken) {
        if let Role::Leader(leader) = &mut self.role {
            leader.held.retain(|held| held.token != token);
        }
    }

    /// Takes the answer to a request of this member's. Answers that came too late are ignored.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_response(
        &mut self,
        env: &mut Env<'_>,
        id: RequestId,
        body: ResponseKind,
    ) -> Result<(), RaftError> {
        let Some((from, ask)) = self.peers.answered(id) else {
            return Ok(());
        };
        let handled = match (ask, body) {
            (Ask::Vote, ResponseKind::Vote(response)) => self.handle_vote_response(env, from, &response)?,
            (Ask::BeginQuorumEpoch, ResponseKind::BeginQuorumEpoch(response)) => {
                self.handle_begin_response(env, from, &response)?
            }
            (Ask::EndQuorumEpoch, ResponseKind::EndQuorumEpoch(response)) => {
                self.handle_end_response(env, from, &response)?
            }
            (Ask::Fetch, ResponseKind::Fetch(response)) => {
                self.handle_fetch_response(env, from, &response)?
            }
            (Ask::FetchSnapshot, ResponseKind::FetchSnapshot(response)) => {
                self.handle_fetch_snapshot_response(env, &response)?
            }
            _ => Handled::Badly,
        };
        if handled == Handled::Badly {
            self.peers.pause(from, env.now.mono + self.config.retry_backoff);
        }
        self.poll(env)
    }

    /// Learns that a request of this member's will not be answered: the connection was refused, reset or closed, or could
    /// not be made in time.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_failure(&mut self, env: &mut Env<'_>, id: RequestId) -> Result<(), RaftError> {
        let Some((from, _)) = self.peers.answered(id) else {
            return Ok(());
        };
        self.peers.pause(from, env.now.mono + self.config.retry_backoff);
        self.poll(env)
    }

    /// Does what is due at [`Raft::poll_timeout`]. Harmless when it comes early.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn handle_timeout(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        self.poll(env)
    }

    /// The next instant at which [`Raft::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadline
    }

    /// The next thing to do for the caller.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`Raft::poll_output`] has something.
    pub fn has_outputs(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Appends records with these values (no keys, no headers) in one batch, if this node leads `epoch`. Gives the offset
    /// of the last one at once; the batch is written now or within `controller.quorum.append.linger.ms`, and committed when
    /// the high watermark is above that offset. `values` must not be empty.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended.
    pub fn append(
        &mut self,
        env: &mut Env<'_>,
        epoch: LeaderEpoch,
        values: &[Bytes],
    ) -> Result<Offset, AppendError> {
        let last = self.enqueue(env, epoch, values)?;
        self.poll(env)?;
        Ok(last)
    }

    /// Gives up the leadership of `epoch`, if this node has it, and tells the others, the most caught up first in line. A
    /// quorum's only voter stays.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn resign(&mut self, env: &mut Env<'_>, epoch: LeaderEpoch) -> Result<(), RaftError> {
        if !self.is_leader() || self.election.epoch != epoch || self.is_only_voter() {
            return Ok(());
        }
        self.become_resigned(env)?;
        self.poll(env)
    }

    /// Gives up the leadership, if this node has it, as [`Raft::resign`] does, and begins no election from now on: the
    /// node is about to stop. It may halt once another leads, or after as long as it likes to wait for that.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn shut_down(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        self.shutting_down = true;
        self.resign(env, self.election.epoch)
    }

    /// The leader that it knows, which may be this node, and the epoch.
    pub fn leader_and_epoch(&self) -> (Option<NodeId>, LeaderEpoch) {
        let leader = self.election.leader.filter(|leader| *leader != self.config.node_id || self.is_leader());
        (leader, self.election.epoch)
    }

    /// Whether this node leads.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// As a leader: the offset of the epoch's first record, the LeaderChange control record.
    pub fn epoch_start_offset(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) => Some(leader.epoch_start),
            _ => None,
        }
    }

    /// Everything below is committed; `None` while this run of the node has not learned it. Never falls.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// What is committed from `from` on, at most about `max_bytes` of it but at least one batch if there is one. From 0 on
    /// that is the newest snapshot first, if there is one.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn read_committed(
        &self,
        disk: &mut dyn Disk,
        from: Offset,
        max_bytes: u32,
    ) -> Result<Committed, RaftError> {
        let Some(high_watermark) = self.high_watermark.filter(|high_watermark| from < *high_watermark) else {
            return Ok(Committed::Nothing);
        };
        if from == Offset::ZERO || from < self.log.start_offset() {
            let committed = |id: &OffsetAndEpoch| id.offset > from && id.offset <= high_watermark;
            if let Some(id) = self.snapshots.latest().filter(committed) {
                return Ok(Committed::Snapshot(id));
            }
        }
        let mut batches = self.log.read(disk, from, max_bytes)?;
        let mut whole = 0;
        while whole < batches.len() {
            let header = Batch::peek(&batches[whole..])
                .map_err(|error| RaftError::Log { what: format!("read from offset {from}: {error}") })?;
            if header.next_offset() > high_watermark.0 {
                break;
            }
            whole += header.size;
        }
        batches.truncate(whole);
        Ok(if batches.is_empty() { Committed::Nothing } else { Committed::Batches(batches) })
    }

    /// A snapshot's content.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn read_snapshot(&self, disk: &mut dyn Disk, id: OffsetAndEpoch) -> Result<Bytes, RaftError> {
        Ok(self.snapshots.read(disk, id)?)
    }

    /// Stores the listener's snapshot of everything below `id.offset`, durably. `id.epoch` is that of the last batch in it.
    /// `content` must not be empty; Kafka's begins and ends with a control batch (KIP-630).
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn create_snapshot(
        &mut self,
        disk: &mut dyn Disk,
        id: OffsetAndEpoch,
        content: Bytes,
    ) -> Result<(), SnapshotError> {
        assert!(!content.is_empty(), "a snapshot has at least its header");
        let latest = self.snapshots.latest().unwrap_or_default();
        if id <= latest || id.offset < self.log.start_offset() {
            return Err(SnapshotError::Stale { id, latest });
        }
        let committed = self.high_watermark.is_some_and(|high_watermark| id.offset <= high_watermark);
        if !committed || !self.is_end_of_batch(disk, id)? {
            return Err(SnapshotError::NotInLog { id });
        }
        self.snapshots.create(disk, id, content).map_err(RaftError::from)?;
        Ok(())
    }

    fn is_end_of_batch(&self, disk: &mut dyn Disk, id: OffsetAndEpoch) -> Result<bool, RaftError> {
        if self.validate(id.offset, id.epoch) != ValidOffset::Valid {
            return Ok(false);
        }
        if id.offset == self.log.end_offset() {
            return Ok(true);
        }
        let next = self.log.read(disk, id.offset, 1)?;
        Ok(Batch::peek(&next).is_ok_and(|header| header.base_offset == id.offset.0))
    }

    /// Removes what the newest snapshot makes superfluous: older snapshots, and the log before it. Followers that are
    /// further behind will fetch the snapshot.
    ///
    /// # Errors
    /// [`RaftError`]: the node must halt.
    pub fn clean_up_to_latest_snapshot(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError> {
        let Some(latest) = self.snapshots.latest().filter(|id| id.offset > self.log.start_offset()) else {
            return Ok(());
        };
        self.log.raise_start_offset(disk, latest.offset)?;
        self.snapshots.remove_old(disk)?;
        self.changed = true;
        Ok(())
    }

    /// This node's part in the quorum, for checkers.
    pub fn quorum_view(&self) -> QuorumView {
        let (leader, epoch) = self.leader_and_epoch();
        QuorumView {
            epoch,
            leader,
            voted_for: self.election.voted,
            is_leader: self.is_leader(),
            log_start_offset: self.log.start_offset(),
            log_end_offset: self.log.end_offset(),
            high_watermark: self.high_watermark,
            truncations: self.truncations,
        }
    }

    /// Whether [`Raft::quorum_view`] may have changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The log.
    pub fn log(&self) -> &L {
        &self.log
    }

    /// The configuration.
    pub fn config(&self) -> &RaftConfig {
        &self.config
    }

    // ---- What the other files share

    pub(crate) fn is_voter(&self) -> bool {
        self.config.is_voter(self.config.node_id)
    }

    fn is_only_voter(&self) -> bool {
        self.is_voter() && self.config.voters.len() == 1
    }

    pub(crate) fn trace(&mut self, event: TraceEvent) {
        self.outputs.push_back(Output::Trace(event));
    }

    /// The outcome of a request, with what this member knows of the leader.
    pub(crate) fn status(&self, error: Option<ErrorCode>) -> Status {
        let (leader, epoch) = self.leader_and_epoch();
        Status { error, leader, epoch }
    }

    pub(crate) fn is_own_cluster(&self, id: Option<&StrBytes>) -> bool {
        id.is_none_or(|id| *id == self.config.cluster_id)
    }

    /// Whether a request that names its receiver means this member; old versions do not say.
    pub(crate) fn is_meant(&self, voter_id: i32) -> bool {
        voter_id == NodeId::NONE.0 || voter_id == self.config.node_id.0
    }

    pub(crate) fn send(&mut self, env: &Env<'_>, to: NodeId, ask: Ask, api: ApiKey, body: RequestKind) {
        let id = self.peers.sent(to, ask, env.now.mono + self.config.request_timeout);
        self.outputs.push_back(Output::Request { to, id, api_version: api::latest(api), body });
    }

    /// Where the log ends; the snapshot before it counts if it holds no record.
    pub(crate) fn log_end(&self) -> OffsetAndEpoch {
        let epoch = self
            .log
            .last_epoch()
            .or_else(|| self.snapshots.at(self.log.start_offset()).map(|id| id.epoch))
            .unwrap_or_default();
        OffsetAndEpoch::new(self.log.end_offset(), epoch)
    }

    /// The largest epoch not above `epoch` in log and snapshot, and where it ends.
    pub(crate) fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> OffsetAndEpoch {
        let end = self.log_end();
        if epoch >= end.epoch {
            return end;
        }
        let start = self.log.start_offset();
        self.log
            .end_offset_for_epoch(epoch)
            .or_else(|| self.snapshots.at(start))
            .unwrap_or(OffsetAndEpoch::new(start, LeaderEpoch(0)))
    }

    /// Whether a log that ends at `offset`, with a last record of `epoch`, is a prefix of this one.
    pub(crate) fn validate(&self, offset: Offset, epoch: LeaderEpoch) -> ValidOffset {
        let start = self.log.start_offset();
        if start == Offset::ZERO && offset == Offset::ZERO {
            return ValidOffset::Valid;
        }
        if let Some(earliest) = self.snapshots.at(start) {
            let before = offset < start || epoch < earliest.epoch;
            if before || (offset == start && epoch != earliest.epoch) {
                return ValidOffset::Snapshot(self.snapshots.latest().unwrap_or(earliest));
            }
        }
        let end = self.end_offset_for_epoch(epoch);
        if end.epoch != epoch || end.offset < offset {
            return ValidOffset::Diverging(end);
        }
        ValidOffset::Valid
    }

    /// Whether a snapshot holds what the log lacks. One that reaches as far does, even if the log ends with a later epoch:
    /// what a snapshot holds is committed, so such an end is not.
    pub(crate) fn is_ahead_of_log(&self, id: OffsetAndEpoch) -> bool {
        let end = self.log_end();
        id > end || (id != end && id.offset >= end.offset)
    }

    /// Lets a snapshot that is ahead of the log take its place.
    pub(crate) fn truncate_to_latest_snapshot(&mut self, disk: &mut dyn Disk) -> Result<(), RaftError> {
        let Some(latest) = self.snapshots.latest().filter(|id| self.is_ahead_of_log(*id)) else {
            return Ok(());
        };
        self.log.truncate_fully_and_start_at(disk, latest.offset)?;
        self.snapshots.remove_old(disk)?;
        self.truncations += 1;
        self.changed = true;
        Ok(())
    }

    /// Raises the high watermark, if `offset` is above it.
    pub(crate) fn advance_high_watermark(&mut self, offset: Offset) {
        if self.high_watermark.is_some_and(|known| known >= offset) {
            return;
        }
        self.high_watermark = Some(offset);
        self.log.update_high_watermark(offset);
        self.changed = true;
        self.outputs.push_back(Output::HighWatermarkAdvanced(offset));
    }
}
