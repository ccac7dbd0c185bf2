//! One partition's replica on this broker.

use trial_node::view::ReplicaView;
use trial_node::{Disk, DiskError, LeaderEpoch, NodeId, Offset, Span, Time, TopicIdPartition};
use trial_storage::{AppendError, AppendInfo, AppendOrigin, FetchData, ReadError, UnifiedLog};
use trial_wire::{Batch, ErrorCode, TopicName};

use super::fetch_session::{FetchKey, FetchSessions};
use super::isr::{IsrChange, Leadership, Proposal};
use super::metadata::{ClusterMetadata, PartitionState};

/// What this broker is to a partition.
#[derive(Clone, Debug)]
pub(super) enum Role {
    Leader(Leadership),
    Follower,
}

/// A fetch that wants to know of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Watcher {
    pub key: FetchKey,
    pub bound: ReadBound,
}

/// How far somebody may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadBound {
    /// A follower.
    LogEnd,
    /// A consumer with `isolation.level=read_uncommitted`.
    HighWatermark,
    /// A consumer with `isolation.level=read_committed`.
    LastStableOffset,
}

/// What a partition's state depends on beside itself.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub me: NodeId,
    pub now: Time,
    pub replica_lag_time_max: Span,
    pub metadata: &'a dyn ClusterMetadata,
}

/// How a replica changed by a change of the metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RoleChange {
    /// The leader epoch is a new one.
    pub new_epoch: bool,
    /// This broker led the partition and does no longer.
    pub lost_leadership: bool,
    /// As a leader, now or as before: the confirmed ISR changed.
    pub isr: Option<IsrChange>,
    pub high_watermark_moved: bool,
}

/// What a leader is to append.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaderAppend<'a> {
    pub batch: &'a Batch,
    pub acks: i16,
    pub origin: AppendOrigin,
    /// The wall clock.
    pub now_ms: i64,
}

/// Why a leader did not append.
#[derive(Debug)]
pub(super) enum LeaderAppendError {
    NotLeader,
    NotEnoughReplicas,
    Log(AppendError),
}

/// Which lists of throttled replicas (KIP-73) name a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Throttled {
    pub leader: bool,
    pub follower: bool,
}

/// One partition's replica.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub id: TopicIdPartition,
    pub topic: TopicName,
    /// The log directory that it is in.
    pub directory: usize,
    pub log: UnifiedLog,
    /// [`NodeId::NONE`] if there is none.
    pub leader: NodeId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub role: Role,
    pub min_insync_replicas: usize,
    /// Whether what this broker sends of it as a leader is throttled, and what it fetches of it as a follower.
    pub throttled: Throttled,
    pub watchers: Vec<Watcher>,
    /// The change list that has it or had it last.
    pub noted_in: u64,
    /// The last stable offset of which consumers have been told that there is something to read.
    pub noted_last_stable_offset: Offset,
}

impl Partition {
    /// A replica that does not know its part yet.
    pub fn new(
        id: TopicIdPartition,
        topic: TopicName,
        directory: usize,
        log: UnifiedLog,
        min_insync_replicas: usize,
    ) -> Partition {
        Partition {
            id,
            topic,
            directory,
            log,
            leader: NodeId::NONE,
            leader_epoch: LeaderEpoch::NONE,
            partition_epoch: -1,
            role: Role::Follower,
            min_insync_replicas,
            throttled: Throttled::default(),
            watchers: Vec::new(),
            noted_in: u64::MAX,
            noted_last_stable_offset: Offset::UNKNOWN,
        }
    }

    /// This broker leads, or goes on leading, the partition. `None` if the state is not newer than what the replica knows.
    ///
    /// # Errors
    /// What the disk says.
    pub fn become_leader(
        &mut self,
        disk: &mut dyn Disk,
        state: &PartitionState<'_>,
        around: Surroundings<'_>,
    ) -> Result<Option<RoleChange>, DiskError> {
        // The answer to a proposal may bring an epoch before the metadata does. The same epoch says nothing new then, and
        // must not withdraw what was proposed since: the controller may be about to count on it.
        if state.partition_epoch <= self.partition_epoch {
            return Ok(None);
        }
        let mut change =
            RoleChange { new_epoch: state.leader_epoch > self.leader_epoch, ..RoleChange::default() };
        let (mut leadership, new_leader) = match std::mem::replace(&mut self.role, Role::Follower) {
            Role::Leader(leadership) => (leadership, false),
            Role::Follower => (Leadership::new(self.id), true),
        };
        // Another broker may have led for the epochs that were skipped, and followers may have truncated to its log: what they
        // had fetched from here before says nothing any more.
        let new_leader = new_leader || state.leader_epoch.0 > self.leader_epoch.0 + 1;
        leadership.assign(around.me, state.replicas);
        let isr = leadership.isr.commit(state.isr);
        change.isr = isr.filter(|_| !new_leader);
        if change.new_epoch {
            let end = self.log.log_end_offset();
            self.log.assign_epoch_start(disk, state.leader_epoch)?;
            leadership.begin_epoch(end, state.isr, new_leader, around.now);
            self.leader_epoch = state.leader_epoch;
        }
        self.partition_epoch = state.partition_epoch;
        self.leader = around.me;
        self.role = Role::Leader(leadership);
        change.high_watermark_moved = self.maybe_increment_high_watermark(around);
        Ok(Some(change))
    }

    /// Another broker, or none, leads the partition. `None` if the state is not newer than what the replica knows.
    pub fn become_follower(&mut self, state: &PartitionState<'_>) -> Option<RoleChange> {
        if state.partition_epoch <= self.partition_epoch {
            return None;
        }
        let change = RoleChange {
            new_epoch: state.leader_epoch > self.leader_epoch,
            lost_leadership: self.is_leader(),
            ..RoleChange::default()
        };
        self.role = Role::Follower;
        self.leader = state.leader;
        self.leader_epoch = state.leader_epoch;
        self.partition_epoch = state.partition_epoch;
        Some(change)
    }

    /// The replica as an observer sees it.
    pub fn view(&self) -> ReplicaView<'_> {
        ReplicaView {
            topic: &self.topic,
            leader: self.is_leader(),
            leader_epoch: self.leader_epoch,
            isr: match &self.role {
                Role::Leader(leadership) => &leadership.isr.committed,
                Role::Follower => &[],
            },
            log_start_offset: self.log.log_start_offset(),
            log_end_offset: self.log.log_end_offset(),
            high_watermark: self.log.high_watermark(),
            last_stable_offset: self.log.last_stable_offset(),
            truncations: self.log.truncations(),
            compacted: self.log.config().compact && self.log.segment_count() > 1,
        }
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Whether this broker, as the leader, counts `replica` among the followers.
    pub fn is_assigned(&self, replica: NodeId) -> bool {
        match &self.role {
            Role::Leader(leadership) => leadership.remotes.iter().any(|remote| remote.id == replica),
            Role::Follower => false,
        }
    }

    /// Whether this broker, as the leader, knows `replica` to be in sync.
    pub fn is_in_sync(&self, replica: NodeId) -> bool {
        match &self.role {
            Role::Leader(leadership) => leadership.isr.committed.contains(&replica),
            Role::Follower => false,
        }
    }

    pub fn leadership(&mut self) -> Option<&mut Leadership> {
        match &mut self.role {
            Role::Leader(leadership) => Some(leadership),
            Role::Follower => None,
        }
    }

    /// Whether a request that knows the leader epoch `current` (−1: none) may be served (KIP-320), and by this role.
    ///
    /// # Errors
    /// FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH or NOT_LEADER_OR_FOLLOWER.
    pub fn check(&self, current: i32, leader_only: bool) -> Result<(), ErrorCode> {
        if current >= 0 && current < self.leader_epoch.0 {
            Err(ErrorCode::FencedLeaderEpoch)
        } else if current >= 0 && current > self.leader_epoch.0 {
            Err(ErrorCode::UnknownLeaderEpoch)
        } else if leader_only && !self.is_leader() {
            Err(ErrorCode::NotLeaderOrFollower)
        } else {
            Ok(())
        }
    }

    /// Appends a batch; says also whether the high watermark moved.
    ///
    /// # Errors
    /// [`LeaderAppendError`].
    pub fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        append: LeaderAppend<'_>,
        sessions: &FetchSessions,
        around: Surroundings<'_>,
    ) -> Result<(AppendInfo, bool), LeaderAppendError> {
        let Role::Leader(leadership) = &mut self.role else { return Err(LeaderAppendError::NotLeader) };
        let LeaderAppend { batch, acks, origin, now_ms } = append;
        if acks == -1 && leadership.is_under_min_isr(self.min_insync_replicas) {
            return Err(LeaderAppendError::NotEnoughReplicas);
        }
        let end = self.log.log_end_offset();
        let info = self
            .log
            .append_as_leader(disk, batch, self.leader_epoch, origin, now_ms)
            .map_err(LeaderAppendError::Log)?;
        for remote in &mut leadership.remotes {
            if !info.duplicate && remote.log_end_offset == end {
                let last_used = remote.session.and_then(|key| sessions.last_used(key));
                remote.leader_moves_on(end, last_used);
            }
        }
        Ok((info, self.maybe_increment_high_watermark(around)))
    }

    /// Moves a leader's high watermark as far as its followers allow; whether it moved.
    pub fn maybe_increment_high_watermark(&mut self, around: Surroundings<'_>) -> bool {
        let Role::Leader(leadership) = &self.role else { return false };
        let end = self.log.log_end_offset();
        leadership
            .high_watermark(
                end,
                self.min_insync_replicas,
                around.now,
                around.replica_lag_time_max,
                around.metadata,
            )
            .and_then(|high_watermark| self.log.maybe_increment_high_watermark(high_watermark))
            .is_some()
    }

    /// Whether everything below `required` is committed, and if so with which error the producer is answered. A leader that
    /// has become a follower cannot tell any more.
    pub fn acknowledgement(&self, required: Offset) -> Option<Result<(), ErrorCode>> {
        let Role::Leader(leadership) = &self.role else { return Some(Err(ErrorCode::NotLeaderOrFollower)) };
        if self.log.high_watermark() < required {
            return None;
        }
        let enough = leadership.isr.maximal_len() >= leadership.effective_min_isr(self.min_insync_replicas);
        Some(if enough { Ok(()) } else { Err(ErrorCode::NotEnoughReplicasAfterAppend) })
    }

    /// Reads for a fetch. `last_fetched_epoch` (−1: unknown) lets the leader see where the fetcher's log diverges from its
    /// own (KIP-595).
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        disk: &mut dyn Disk,
        offset: Offset,
        last_fetched_epoch: i32,
        (enough, max_bytes): (usize, usize),
        bound: Offset,
        min_one: bool,
    ) -> Result<LogRead, ReadError> {
        let out_of_range = || ReadError::OffsetOutOfRange {
            offset,
            log_start_offset: self.log.log_start_offset(),
            log_end_offset: self.log.log_end_offset(),
        };
        if last_fetched_epoch >= 0 {
            let (epoch, end_offset) =
                self.log.end_offset_for_epoch(LeaderEpoch(last_fetched_epoch)).ok_or_else(out_of_range)?;
            if offset < self.log.log_start_offset() {
                return Err(out_of_range());
            }
            if epoch.0 < last_fetched_epoch || end_offset < offset {
                return Ok(LogRead::Diverging(epoch, end_offset));
            }
        }
        if offset == self.log.log_end_offset() {
            return Ok(LogRead::Data(FetchData { next_offset: offset, ..FetchData::default() }));
        }
        self.log.read_enough(disk, offset, enough, max_bytes, bound, min_one).map(LogRead::Data)
    }

    /// A follower fetched from `offset`.
    ///
    /// # Errors
    /// NOT_LEADER_OR_FOLLOWER if the fetch comes from an earlier life of the broker (KIP-903).
    pub fn update_follower(
        &mut self,
        fetch: FollowerFetch,
        around: Surroundings<'_>,
    ) -> Result<FollowerUpdate, ErrorCode> {
        let Role::Leader(leadership) = &mut self.role else { return Err(ErrorCode::NotLeaderOrFollower) };
        if fetch.broker_epoch != -1
            && around.metadata.broker(fetch.replica).is_some_and(|broker| broker.epoch > fetch.broker_epoch)
        {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        let end = self.log.log_end_offset();
        let remote = leadership.remote(fetch.replica).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let moved = remote.log_end_offset != fetch.offset;
        let log_start_moved = remote.log_start_offset != fetch.log_start_offset;
        remote.fetched(fetch.offset, fetch.log_start_offset, end, fetch.broker_epoch, around.now);
        remote.session = fetch.session;
        let proposal = leadership.maybe_expand(
            fetch.replica,
            self.log.high_watermark(),
            self.leader_epoch,
            self.partition_epoch,
            around.metadata,
        );
        let high_watermark_moved = moved && self.maybe_increment_high_watermark(around);
        Ok(FollowerUpdate { proposal, high_watermark_moved, log_start_moved })
    }

    /// Proposes a smaller ISR if some member has been behind for too long.
    pub fn maybe_shrink_isr(&mut self, around: Surroundings<'_>) -> Option<Proposal> {
        let end = self.log.log_end_offset();
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        self.leadership()?.maybe_shrink(
            around.me,
            end,
            leader_epoch,
            partition_epoch,
            around.now,
            around.replica_lag_time_max,
        )
    }

    /// The controller's answer to `proposal`.
    pub fn handle_alter_partition(
        &mut self,
        proposal: &Proposal,
        answer: Result<AlteredPartition<'_>, ErrorCode>,
        around: Surroundings<'_>,
    ) -> AlterOutcome {
        let (leader_epoch, partition_epoch) = (self.leader_epoch, self.partition_epoch);
        let Some(leadership) = self.leadership().filter(|l| l.isr.is_pending(proposal)) else {
            return AlterOutcome::Ignored;
        };
        match answer {
            Ok(altered)
                if altered.leader_epoch == leader_epoch && altered.partition_epoch >= partition_epoch =>
            {
                let change = leadership.isr.commit(altered.isr);
                self.partition_epoch = altered.partition_epoch;
                // The ISR may have shrunk to those who have everything.
                let high_watermark_moved = self.maybe_increment_high_watermark(around);
                AlterOutcome::Committed { change, high_watermark_moved }
            }
            Ok(_) => AlterOutcome::Ignored,
            // The controller says that our partition epoch is right and that nothing was applied.
            Err(ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica) => {
                leadership.isr.withdraw();
                AlterOutcome::Ignored
            }
            // Our state is out of date, and the metadata will bring a newer one. Until then nobody knows whether the
            // proposal was applied, so it stays pending.
            Err(
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::InvalidRequest
                | ErrorCode::NewLeaderElected,
            ) => AlterOutcome::Ignored,
            Err(_) => AlterOutcome::Retry,
        }
    }
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LogRead {
    Data(FetchData),
    /// The fetcher's log differs from ours from this end of this epoch on.
    Diverging(LeaderEpoch, Offset),
}

/// What a follower's fetch says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FollowerFetch {
    pub replica: NodeId,
    pub broker_epoch: i64,
    pub offset: Offset,
    pub log_start_offset: Offset,
    pub session: Option<FetchKey>,
}

/// What a follower's fetch led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FollowerUpdate {
    pub proposal: Option<Proposal>,
    pub high_watermark_moved: bool,
    pub log_start_moved: bool,
}

/// A partition as the controller's answer to an AlterPartition request has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct AlteredPartition<'a> {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: &'a [NodeId],
}

/// What the answer to an AlterPartition request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AlterOutcome {
    Ignored,
    Retry,
    Committed { change: Option<IsrChange>, high_watermark_moved: bool },
}
