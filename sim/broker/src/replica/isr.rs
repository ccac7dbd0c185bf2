//! A leader's knowledge of its followers: how far each has come, and which of them are in sync.

use trial_node::{LeaderEpoch, NodeId, Offset, Span, Time};

use super::fetch_session::FetchKey;
use super::metadata::ClusterMetadata;

/// What a leader knows of one follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RemoteReplica {
    pub id: NodeId,
    /// The offset of its last fetch: it has everything below. Unknown until it fetches in this leadership.
    pub log_end_offset: Offset,
    pub log_start_offset: Offset,
    /// The leader's log end at its last fetch: who reaches that was caught up at the instant of the last fetch.
    last_fetch_leader_log_end_offset: Offset,
    last_fetch: Option<Time>,
    last_caught_up: Option<Time>,
    /// The broker epoch that it fetched with (KIP-903); −1 if it does not tell, `None` before the first fetch.
    pub broker_epoch: Option<i64>,
    /// The incremental session that fetches the partition. While the follower is at the log's end its fetches do not mention
    /// the partition, and the session's last use is the replica's last fetch.
    pub session: Option<FetchKey>,
}

impl RemoteReplica {
    fn new(id: NodeId) -> RemoteReplica {
        RemoteReplica {
            id,
            log_end_offset: Offset::UNKNOWN,
            log_start_offset: Offset::UNKNOWN,
            last_fetch_leader_log_end_offset: Offset::UNKNOWN,
            last_fetch: None,
            last_caught_up: None,
            broker_epoch: None,
            session: None,
        }
    }

    /// A fetch from `offset` arrived at `now`, when the leader's log ended at `leader_end`. A follower is caught up as of
    /// the last instant at which it asked for what was then the log's end, so that one that is always a little behind
    /// a busy leader counts as in sync.
    pub fn fetched(
        &mut self,
        offset: Offset,
        log_start_offset: Offset,
        leader_end: Offset,
        broker_epoch: i64,
        now: Time,
    ) {
        if offset >= leader_end {
            self.last_caught_up = self.last_caught_up.max(Some(now));
        } else if offset >= self.last_fetch_leader_log_end_offset {
            self.last_caught_up = self.last_caught_up.max(self.last_fetch);
        }
        self.log_end_offset = offset;
        self.log_start_offset = log_start_offset;
        self.last_fetch_leader_log_end_offset = self.last_fetch_leader_log_end_offset.max(leader_end);
        self.last_fetch = Some(now);
        self.broker_epoch = Some(broker_epoch);
    }

    /// The leader's log is about to grow beyond `leader_end`. A follower that is there has been caught up until its
    /// session's last fetch.
    pub fn leader_moves_on(&mut self, leader_end: Offset, session_last_used: Option<Time>) {
        if self.log_end_offset == leader_end && session_last_used.is_some() {
            self.last_fetch = self.last_fetch.max(session_last_used);
            self.last_caught_up = self.last_caught_up.max(session_last_used);
        }
    }

    fn reset(&mut self, now: Time, leader_end: Offset, new_leader: bool, in_sync: bool) {
        // A follower outside the ISR must fetch before it counts as caught up, or it would hold the high watermark back.
        let caught_up = in_sync.then_some(now);
        if new_leader {
            *self = RemoteReplica { last_caught_up: caught_up, ..RemoteReplica::new(self.id) };
        } else {
            self.last_fetch_leader_log_end_offset = leader_end;
            self.last_fetch = caught_up;
            self.last_caught_up = caught_up;
        }
    }

    /// Whether it is at the leader's end, or was within `max_lag`.
    pub fn is_caught_up(&self, leader_end: Offset, now: Time, max_lag: Span) -> bool {
        self.log_end_offset == leader_end || self.last_caught_up.is_some_and(|at| now.since(at) <= max_lag)
    }

    /// Whether the controller would accept it into the ISR: alive, staying, and still the same process as fetched (KIP-841,
    /// KIP-903).
    pub fn is_eligible(&self, metadata: &dyn ClusterMetadata) -> bool {
        metadata.broker(self.id).is_some_and(|broker| {
            !broker.fenced
                && !broker.in_controlled_shutdown
                && self.broker_epoch.is_some_and(|epoch| epoch == -1 || epoch == broker.epoch)
        })
    }
}

/// What a leader asks the controller for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    /// The members and the broker epochs that they fetched with; the leader's own is filled in when the request is sent.
    pub isr: Vec<(NodeId, i64)>,
}

/// The in-sync replicas (KIP-497): as the controller last confirmed them, and what was proposed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Isr {
    pub committed: Vec<NodeId>,
    pending: Option<(Proposal, Option<NodeId>)>,
}

impl Isr {
    /// Whether a proposal is under way: no other may be made.
    pub fn is_in_flight(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether `proposal` is the one under way.
    pub fn is_pending(&self, proposal: &Proposal) -> bool {
        self.pending.as_ref().is_some_and(|(pending, _)| pending == proposal)
    }

    /// The maximal ISR: the confirmed one, and who is proposed to join. The controller may count a proposed member as in
    /// sync before the leader hears of it, so the high watermark must wait for it. Who is proposed to leave still counts:
    /// the proposal may fail.
    pub fn is_maximal_member(&self, id: NodeId) -> bool {
        self.committed.contains(&id) || self.joining() == Some(id)
    }

    /// The size of the maximal ISR.
    pub fn maximal_len(&self) -> usize {
        self.committed.len() + usize::from(self.joining().is_some())
    }

    fn joining(&self) -> Option<NodeId> {
        self.pending.as_ref().and_then(|(_, joining)| *joining)
    }

    /// The controller confirmed this ISR, whatever was proposed. Whether it differs from the last confirmed one.
    pub fn commit(&mut self, isr: &[NodeId]) -> Option<IsrChange> {
        self.pending = None;
        let lost = self.committed.iter().any(|id| !isr.contains(id));
        let gained = isr.iter().any(|id| !self.committed.contains(id));
        if !lost && !gained {
            return None;
        }
        self.committed.clear();
        self.committed.extend_from_slice(isr);
        Some(if lost { IsrChange::Shrunk } else { IsrChange::Expanded })
    }

    /// The controller has certainly not applied the proposal.
    pub fn withdraw(&mut self) {
        self.pending = None;
    }
}

/// How a confirmed ISR differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IsrChange {
    Shrunk,
    Expanded,
}

/// What a leader keeps beside its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leadership {
    /// Where the log ended when the leader epoch began. Who has not come so far may have diverged.
    pub epoch_start_offset: Offset,
    pub remotes: Vec<RemoteReplica>,
    pub isr: Isr,
    /// Whether the partition is on the list of those whose ISR may have to shrink.
    pub listed_as_lagging: bool,
}

impl Leadership {
    /// A new leader's state.
    pub fn new() -> Leadership {
        Leadership {
            epoch_start_offset: Offset::UNKNOWN,
            remotes: Vec::new(),
            isr: Isr { committed: Vec::new(), pending: None },
            listed_as_lagging: false,
        }
    }

    /// Takes over the replicas that are assigned, other than the leader itself.
    pub fn assign(&mut self, me: NodeId, replicas: &[NodeId]) {
        self.remotes.retain(|remote| replicas.contains(&remote.id));
        for id in replicas {
            if *id != me && self.remote(*id).is_none() {
                self.remotes.push(RemoteReplica::new(*id));
            }
        }
    }

    /// A leader epoch begins at `leader_end`. `new_leader`: this broker did not lead the last one.
    pub fn begin_epoch(&mut self, leader_end: Offset, isr: &[NodeId], new_leader: bool, now: Time) {
        self.epoch_start_offset = leader_end;
        for remote in &mut self.remotes {
            remote.reset(now, leader_end, new_leader, isr.contains(&remote.id));
        }
    }

    pub fn remote(&mut self, id: NodeId) -> Option<&mut RemoteReplica> {
        self.remotes.iter_mut().find(|remote| remote.id == id)
    }

    /// `min.insync.replicas`, but never more than there are replicas.
    pub fn effective_min_isr(&self, min_insync_replicas: usize) -> usize {
        min_insync_replicas.min(self.remotes.len() + 1)
    }

    /// Whether the confirmed ISR is too small to commit anything.
    pub fn is_under_min_isr(&self, min_insync_replicas: usize) -> bool {
        self.isr.committed.len() < self.effective_min_isr(min_insync_replicas)
    }

    /// Where the high watermark may be by the followers' positions: at the least of the maximal ISR, and of those who are
    /// caught up and so about to join it. `None` while the ISR is too small to commit anything.
    pub fn high_watermark(
        &self,
        leader_end: Offset,
        min_insync_replicas: usize,
        now: Time,
        max_lag: Span,
        metadata: &dyn ClusterMetadata,
    ) -> Option<Offset> {
        if self.is_under_min_isr(min_insync_replicas) {
            return None;
        }
        let mut high_watermark = leader_end;
        for remote in &self.remotes {
            if remote.log_end_offset < high_watermark
                && (self.isr.is_maximal_member(remote.id)
                    || (remote.is_caught_up(leader_end, now, max_lag) && remote.is_eligible(metadata)))
            {
                high_watermark = remote.log_end_offset;
            }
        }
        Some(high_watermark)
    }

    /// Whether some member of the ISR is behind the log's end, so that time alone may put it out of sync.
    pub fn is_lagging(&self, leader_end: Offset) -> bool {
        self.remotes
            .iter()
            .any(|remote| remote.log_end_offset != leader_end && self.isr.committed.contains(&remote.id))
    }

    /// Proposes that `id` join, if it is in sync: it has everything committed and everything from before this leader epoch.
    pub fn maybe_expand(
        &mut self,
        id: NodeId,
        high_watermark: Offset,
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
        metadata: &dyn ClusterMetadata,
    ) -> Option<Proposal> {
        if self.isr.is_in_flight() || self.isr.committed.contains(&id) {
            return None;
        }
        let epoch_start_offset = self.epoch_start_offset;
        let remote = self.remote(id)?;
        if remote.log_end_offset < high_watermark
            || remote.log_end_offset < epoch_start_offset
            || !remote.is_eligible(metadata)
        {
            return None;
        }
        let members = self.isr.committed.iter().copied().chain([id]);
        let proposal = Proposal { leader_epoch, partition_epoch, isr: self.with_epochs(members) };
        self.isr.pending = Some((proposal.clone(), Some(id)));
        Some(proposal)
    }

    /// Proposes that those leave who have not been caught up for `max_lag`.
    pub fn maybe_shrink(
        &mut self,
        me: NodeId,
        leader_end: Offset,
        leader_epoch: LeaderEpoch,
        partition_epoch: i32,
        now: Time,
        max_lag: Span,
    ) -> Option<Proposal> {
        if self.isr.is_in_flight() {
            return None;
        }
        let stays = |id: &NodeId| {
            *id == me
                || self
                    .remotes
                    .iter()
                    .any(|remote| remote.id == *id && remote.is_caught_up(leader_end, now, max_lag))
        };
        if self.isr.committed.iter().all(stays) {
            return None;
        }
        let isr = self.with_epochs(self.isr.committed.iter().copied().filter(stays));
        let proposal = Proposal { leader_epoch, partition_epoch, isr };
        self.isr.pending = Some((proposal.clone(), None));
        Some(proposal)
    }

    fn with_epochs(&self, members: impl Iterator<Item = NodeId>) -> Vec<(NodeId, i64)> {
        members
            .map(|id| {
                // A member that has not fetched yet has no epoch; should it be gone, the controller has taken it out and
                // refuses the proposal for its partition epoch.
                let epoch = self.remotes.iter().find(|r| r.id == id).and_then(|r| r.broker_epoch);
                (id, epoch.unwrap_or(-1))
            })
            .collect()
    }
}
