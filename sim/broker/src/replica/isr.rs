//! A leader's knowledge of its followers: how far each has come, and which of them are in sync.

use trial_node::{LeaderEpoch, NodeId, Offset, Span, Time, TopicIdPartition};

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

    /// How far it has come, to compare it with others: by its log's end, then by when it was last caught up.
    pub fn progress(&self) -> (Offset, Option<Time>, NodeId) {
        (self.log_end_offset, self.last_caught_up, self.id)
    }

    /// Whether it is at the leader's end, or was within `max_lag`.
    pub fn is_caught_up(&self, leader_end: Offset, now: Time, max_lag: Span) -> bool {
        self.log_end_offset == leader_end || self.last_caught_up.is_some_and(|at| now.since(at) <= max_lag)
    }

    /// Whether the controller would accept it into the ISR: alive, staying, still the same process as fetched (KIP-841,
    /// KIP-903), and its log directory in use. A replica that has lost that would be waited for until it lags too far behind.
    fn is_eligible(&self, tp: TopicIdPartition, metadata: &dyn ClusterMetadata) -> bool {
        metadata.broker(self.id).is_some_and(|broker| {
            !broker.fenced
                && !broker.in_controlled_shutdown
                && self.broker_epoch.is_some_and(|epoch| epoch == -1 || epoch == broker.epoch)
        }) && metadata.has_log(tp, self.id)
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
    tp: TopicIdPartition,
    /// Where the log ended when the leader epoch began. Who has not come so far may have diverged.
    pub epoch_start_offset: Offset,
    pub remotes: Vec<RemoteReplica>,
    pub isr: Isr,
    /// Whether the partition is on the list of those whose ISR may have to shrink.
    pub listed_as_lagging: bool,
}

impl Leadership {
    /// A new leader's state.
    pub fn new(tp: TopicIdPartition) -> Leadership {
        Leadership {
            tp,
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
                    || (remote.is_caught_up(leader_end, now, max_lag)
                        && remote.is_eligible(self.tp, metadata)))
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
        let Leadership { tp, epoch_start_offset, .. } = *self;
        let remote = self.remote(id)?;
        if remote.log_end_offset < high_watermark
            || remote.log_end_offset < epoch_start_offset
            || !remote.is_eligible(tp, metadata)
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

#[cfg(test)]
mod tests {
    use trial_node::Endpoint;
    use trial_wire::{TopicName, Uuid};

    use super::*;
    use crate::replica::metadata::{BrokerState, PartitionState};

    const TP: TopicIdPartition = TopicIdPartition { topic_id: Uuid::from_u128(7), partition: 0 };
    const ME: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);
    const C: NodeId = NodeId(2);
    const MAX_LAG: Span = Span::from_secs(30);

    /// Brokers 0 to 2 with epoch 10; the one that is fenced, the one that shuts down, and the one whose log directory failed.
    struct Brokers(Endpoint, NodeId, NodeId, NodeId);

    impl ClusterMetadata for Brokers {
        fn topic_id(&self, _: &TopicName) -> Option<Uuid> {
            None
        }
        fn topic_name(&self, _: Uuid) -> Option<&TopicName> {
            None
        }
        fn partition(&self, _: TopicIdPartition) -> Option<PartitionState<'_>> {
            None
        }
        fn broker(&self, id: NodeId) -> Option<BrokerState<'_>> {
            Some(BrokerState {
                epoch: 10,
                fenced: id == self.1,
                in_controlled_shutdown: id == self.2,
                endpoint: &self.0,
            })
        }
        fn has_log(&self, _: TopicIdPartition, replica: NodeId) -> bool {
            replica != self.3
        }
        fn topic_config(&self, _: Uuid, _: &str) -> Option<&str> {
            None
        }
    }

    fn brokers() -> Brokers {
        Brokers(Endpoint::new("", 0), NodeId::NONE, NodeId::NONE, NodeId::NONE)
    }

    fn secs(n: u64) -> Time {
        Time::ZERO + Span::from_secs(n)
    }

    /// A leader whose epoch began at offset 10 and instant 100 s, with this ISR; nobody has fetched.
    fn leadership(isr: &[NodeId]) -> Leadership {
        let mut leadership = Leadership::new(TP);
        leadership.assign(ME, &[ME, B, C]);
        leadership.isr.commit(isr);
        leadership.begin_epoch(Offset(10), isr, true, secs(100));
        leadership
    }

    fn fetched(leadership: &mut Leadership, id: NodeId, offset: i64, end: i64, epoch: i64, at: Time) {
        leadership.remote(id).unwrap().fetched(Offset(offset), Offset(0), Offset(end), epoch, at);
    }

    fn high_watermark(leadership: &Leadership, end: i64, min: usize, at: Time) -> Option<i64> {
        leadership.high_watermark(Offset(end), min, at, MAX_LAG, &brokers()).map(|offset| offset.0)
    }

    #[test]
    fn the_high_watermark_is_the_least_of_the_isr() {
        let mut l = leadership(&[ME, B, C]);
        fetched(&mut l, B, 14, 20, 10, secs(101));
        assert_eq!(high_watermark(&l, 20, 1, secs(101)), Some(-1), "C has not fetched");
        fetched(&mut l, C, 12, 20, 10, secs(101));
        assert_eq!(high_watermark(&l, 20, 1, secs(101)), Some(12));
        l.isr.commit(&[ME, B]);
        assert_eq!(high_watermark(&l, 20, 1, secs(131)), Some(14), "C is out and far behind");
        l.isr.commit(&[ME]);
        assert_eq!(high_watermark(&l, 20, 2, secs(131)), None, "fewer than min.insync.replicas");
        assert_eq!(high_watermark(&l, 20, 1, secs(131)), Some(20));
        let mut alone = leadership(&[ME]);
        alone.assign(ME, &[ME]);
        assert_eq!(
            high_watermark(&alone, 20, 2, secs(131)),
            Some(20),
            "min.insync.replicas above the replicas"
        );
    }

    #[test]
    fn who_is_outside_the_isr_but_caught_up_and_eligible_is_waited_for() {
        let mut l = leadership(&[ME, B]);
        fetched(&mut l, B, 20, 20, 10, secs(101));
        fetched(&mut l, C, 15, 15, 10, secs(101));
        assert_eq!(high_watermark(&l, 20, 1, secs(131)), Some(15));
        let failed = Brokers(Endpoint::new("", 0), NodeId::NONE, NodeId::NONE, C);
        let at = l.high_watermark(Offset(20), 1, secs(131), MAX_LAG, &failed);
        assert_eq!(at, Some(Offset(20)), "its log directory has failed");
        assert_eq!(high_watermark(&l, 20, 1, secs(132)), Some(20), "no longer caught up");
        fetched(&mut l, C, 15, 15, 9, secs(140));
        assert_eq!(high_watermark(&l, 20, 1, secs(140)), Some(20), "of an earlier life");
    }

    #[test]
    fn a_follower_is_caught_up_as_of_the_last_time_it_asked_for_the_end() {
        let mut r = RemoteReplica::new(B);
        assert!(!r.is_caught_up(Offset(10), secs(0), MAX_LAG), "even at the start of time");
        r.fetched(Offset(5), Offset(0), Offset(10), 10, secs(1));
        assert!(!r.is_caught_up(Offset(10), secs(1), MAX_LAG));
        // It asks for what was the end one second before: it was caught up then, not now.
        r.fetched(Offset(10), Offset(0), Offset(20), 10, secs(2));
        assert!(r.is_caught_up(Offset(20), secs(31), MAX_LAG));
        assert!(!r.is_caught_up(Offset(20), secs(32), MAX_LAG));
        r.fetched(Offset(20), Offset(0), Offset(20), 10, secs(3));
        assert!(r.is_caught_up(Offset(21), secs(33), MAX_LAG));
        assert!(!r.is_caught_up(Offset(21), secs(34), MAX_LAG));
        assert!(r.is_caught_up(Offset(20), secs(1_000), MAX_LAG), "who has everything is");
    }

    #[test]
    fn a_follower_that_idled_at_the_end_was_caught_up_until_its_sessions_last_fetch() {
        let mut r = RemoteReplica::new(B);
        r.fetched(Offset(10), Offset(0), Offset(10), 10, secs(1));
        r.leader_moves_on(Offset(10), Some(secs(500)));
        assert!(r.is_caught_up(Offset(11), secs(530), MAX_LAG));
        assert!(!r.is_caught_up(Offset(11), secs(531), MAX_LAG));
        // Once the leader has moved on, the session's fetches say nothing of this partition.
        r.leader_moves_on(Offset(11), Some(secs(600)));
        assert!(!r.is_caught_up(Offset(12), secs(601), MAX_LAG));
    }

    #[test]
    fn only_who_has_everything_committed_and_the_epochs_start_may_join() {
        let mut l = leadership(&[ME, B]);
        fetched(&mut l, C, 9, 20, 10, secs(101));
        let expand = |l: &mut Leadership, hw: i64, brokers: &Brokers| {
            l.maybe_expand(C, Offset(hw), LeaderEpoch(3), 7, brokers)
        };
        assert_eq!(expand(&mut l, 5, &brokers()), None, "below the epoch's start");
        fetched(&mut l, C, 12, 20, 10, secs(101));
        assert_eq!(expand(&mut l, 13, &brokers()), None, "below the high watermark");
        assert_eq!(
            expand(&mut l, 12, &Brokers(Endpoint::new("", 0), C, NodeId::NONE, NodeId::NONE)),
            None,
            "fenced"
        );
        assert_eq!(
            expand(&mut l, 12, &Brokers(Endpoint::new("", 0), NodeId::NONE, C, NodeId::NONE)),
            None,
            "leaving"
        );
        let isr = vec![(ME, -1), (B, -1), (C, 10)];
        let proposal = Proposal { leader_epoch: LeaderEpoch(3), partition_epoch: 7, isr };
        assert_eq!(expand(&mut l, 12, &brokers()), Some(proposal.clone()));
        assert!(l.isr.is_pending(&proposal));
        assert_eq!((l.isr.committed.len(), l.isr.maximal_len()), (2, 3));
        assert!(l.isr.is_maximal_member(C));
        assert_eq!(expand(&mut l, 12, &brokers()), None, "one at a time");
        l.isr.withdraw();
        assert!(!l.isr.is_maximal_member(C));
    }

    #[test]
    fn who_is_behind_for_too_long_is_proposed_to_leave_and_counts_until_confirmed() {
        let mut l = leadership(&[ME, B, C]);
        fetched(&mut l, B, 20, 20, 10, secs(110));
        let shrink = |l: &mut Leadership, at| l.maybe_shrink(ME, Offset(20), LeaderEpoch(3), 7, at, MAX_LAG);
        assert_eq!(shrink(&mut l, secs(130)), None, "C was in sync when the epoch began");
        let proposal = shrink(&mut l, secs(131)).unwrap();
        assert_eq!(proposal.isr, [(ME, -1), (B, 10)]);
        assert_eq!(high_watermark(&l, 20, 1, secs(131)), Some(-1));
        assert_eq!(l.isr.commit(&[ME, B]), Some(IsrChange::Shrunk));
        assert_eq!(high_watermark(&l, 20, 1, secs(131)), Some(20));
        assert_eq!(l.isr.commit(&[B, ME]), None);
        assert_eq!(l.isr.commit(&[ME, B, C]), Some(IsrChange::Expanded));
    }

    #[test]
    fn a_new_epoch_of_the_same_leader_keeps_the_followers_positions() {
        let mut l = leadership(&[ME, B, C]);
        fetched(&mut l, B, 15, 20, 10, secs(101));
        l.begin_epoch(Offset(20), &[ME, B], false, secs(200));
        assert_eq!(l.remote(B).unwrap().log_end_offset, Offset(15));
        assert!(l.remote(B).unwrap().is_caught_up(Offset(20), secs(230), MAX_LAG));
        assert!(!l.remote(C).unwrap().is_caught_up(Offset(20), secs(200), MAX_LAG));
        l.begin_epoch(Offset(20), &[ME, B], true, secs(300));
        assert_eq!(l.remote(B).unwrap().log_end_offset, Offset::UNKNOWN);
        assert_eq!(l.remote(B).unwrap().broker_epoch, None);
    }
}
