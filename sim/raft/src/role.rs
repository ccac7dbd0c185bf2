//! What a member knows in each of its roles, beyond epoch, leader and vote.

use std::collections::BTreeMap;

use trial_node::{NodeId, Now, Offset, Span, Time};
use trial_wire::BatchBuilder;

use crate::config::RaftConfig;
use crate::output::RequestToken;
use crate::snapshots::PartialSnapshot;

/// An observer knows only `Unattached` and `Follower`.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one per node")]
pub(crate) enum Role {
    /// Knows no leader. A voter asks for an election at the deadline; an observer has none.
    Unattached { election_deadline: Option<Time> },
    /// Asks, in its own epoch, whether it would win an election (KIP-996).
    Prospective(Election),
    /// Asks for votes in an epoch that it opened.
    Candidate(Election),
    /// Leads.
    Leader(Leader),
    /// Fetches from a leader.
    Follower(Follower),
    /// Led this epoch and does not any more, in this run of the node or in an earlier one.
    Resigned {
        election_deadline: Time,
        /// Voters that have not yet heard of it.
        unacknowledged: Vec<NodeId>,
        /// All other voters, the most caught up first; nobody after a restart.
        preferred: Vec<NodeId>,
    },
}

/// The count of an election.
#[derive(Clone, Debug)]
pub(crate) struct Election {
    pub deadline: Time,
    pub granted: Vec<NodeId>,
    pub rejected: Vec<NodeId>,
}

impl Election {
    pub fn new(own: NodeId, deadline: Time) -> Election {
        Election { deadline, granted: vec![own], rejected: Vec::new() }
    }

    /// Counts an answer; a voter's first counts.
    pub fn record(&mut self, voter: NodeId, granted: bool) {
        if self.has_answered(voter) {
            return;
        }
        if granted { self.granted.push(voter) } else { self.rejected.push(voter) }
    }

    pub fn has_answered(&self, voter: NodeId) -> bool {
        self.granted.contains(&voter) || self.rejected.contains(&voter)
    }

    pub fn is_won(&self, config: &RaftConfig) -> bool {
        self.granted.len() >= config.majority()
    }

    /// Whether the voters that are left cannot make a majority any more.
    pub fn is_lost(&self, config: &RaftConfig) -> bool {
        config.voters.len() - self.rejected.len() < config.majority()
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// When it gives the leader up.
    pub fetch_deadline: Time,
    /// Whether the leader has answered a fetch: as long as this follower trusts it, nobody gets its pre-vote.
    pub has_fetched: bool,
    /// The snapshot that it fetches in place of the log.
    pub snapshot: Option<PartialSnapshot>,
}

#[derive(Clone, Debug)]
pub(crate) struct Leader {
    pub epoch_start: Offset,
    /// This epoch's high watermark; unknown until a record of this epoch is committed.
    pub high_watermark: Option<Offset>,
    /// Its own log's end, as far as it is flushed.
    pub flushed: Offset,
    /// The other voters, in the configuration's order.
    pub voters: Vec<Replica>,
    /// Who else fetches.
    pub observers: BTreeMap<NodeId, Replica>,
    /// The voters that fetched since the deadline was last set.
    pub fetched: Vec<NodeId>,
    /// When it resigns, unless a majority fetches before; a single voter never does.
    pub check_quorum_deadline: Option<Time>,
    /// Fetches that wait for news.
    pub held: Vec<HeldFetch>,
    /// Records that linger.
    pub pending: Option<PendingBatch>,
}

/// A replica as the leader knows it.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub id: NodeId,
    /// Its log's end as its last valid fetch said.
    pub end_offset: Option<Offset>,
    pub last_fetch: Option<Now>,
    pub last_caught_up_ms: Option<i64>,
    /// The leader's end when it last fetched.
    leader_end_at_last_fetch: Offset,
    /// When it last fetched or acknowledged the leader: one that does neither is told again who leads.
    pub heard: Option<Time>,
}

impl Replica {
    pub fn new(id: NodeId) -> Replica {
        Replica {
            id,
            end_offset: None,
            last_fetch: None,
            last_caught_up_ms: None,
            leader_end_at_last_fetch: Offset::UNKNOWN,
            heard: None,
        }
    }

    /// Notes a fetch at `offset`. It has caught up now if it has all, or at the fetch before if it has all that there was then.
    pub fn fetched(&mut self, now: Now, offset: Offset, leader_end: Offset) {
        if offset >= leader_end {
            self.last_caught_up_ms = Some(now.wall_ms);
        } else if self.leader_end_at_last_fetch > Offset::ZERO && offset >= self.leader_end_at_last_fetch {
            self.last_caught_up_ms = self.last_caught_up_ms.max(self.last_fetch.map(|fetch| fetch.wall_ms));
        }
        self.leader_end_at_last_fetch = leader_end;
        self.last_fetch = Some(now);
        self.heard = Some(now.mono);
        self.end_offset = Some(offset);
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldFetch {
    pub token: RequestToken,
    pub api_version: i16,
    pub offset: Offset,
    pub last_fetched_epoch: i32,
    pub max_bytes: i32,
    /// The high watermark that the follower knows (KIP-1166); the largest number if it does not say.
    pub high_watermark: i64,
    pub deadline: Time,
}

#[derive(Clone, Debug)]
pub(crate) struct PendingBatch {
    pub builder: BatchBuilder,
    /// The offset after its last record.
    pub next_offset: Offset,
    pub write_at: Time,
}

impl Leader {
    pub fn new(config: &RaftConfig, epoch_start: Offset, now: Time) -> Leader {
        let others = config.voters.iter().filter(|(id, _)| *id != config.node_id);
        Leader {
            epoch_start,
            high_watermark: None,
            flushed: epoch_start,
            voters: others.map(|(id, _)| Replica::new(*id)).collect(),
            observers: BTreeMap::new(),
            fetched: Vec::new(),
            check_quorum_deadline: Leader::check_quorum_deadline(config, now),
            held: Vec::new(),
            pending: None,
        }
    }

    fn check_quorum_deadline(config: &RaftConfig, now: Time) -> Option<Time> {
        let timeout = Span(config.fetch_timeout.0 + config.fetch_timeout.0 / 2);
        (config.voters.len() > 1).then(|| now + timeout)
    }

    /// Notes that a voter is alive; with itself a majority of them puts the resignation off.
    pub fn check_quorum(&mut self, config: &RaftConfig, voter: NodeId, now: Time) {
        if !config.is_voter(voter) || self.fetched.contains(&voter) {
            return;
        }
        self.fetched.push(voter);
        if self.fetched.len() + 1 >= config.majority() {
            self.fetched.clear();
            self.check_quorum_deadline = Leader::check_quorum_deadline(config, now);
        }
    }

    pub fn voter_mut(&mut self, id: NodeId) -> Option<&mut Replica> {
        self.voters.iter_mut().find(|voter| voter.id == id)
    }

    /// The other voters, the most caught up first.
    pub fn preferred_successors(&self) -> Vec<NodeId> {
        let mut voters: Vec<_> = self.voters.iter().map(|voter| (voter.end_offset, voter.id)).collect();
        voters.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        voters.into_iter().map(|(_, id)| id).collect()
    }

    /// How long a voter may be silent before it is told again who leads.
    pub fn begin_epoch_period(config: &RaftConfig) -> Span {
        Span(config.fetch_timeout.0 / 2)
    }

    /// Raises the high watermark to what a majority has flushed, if that covers a record of this epoch: a majority that has
    /// only older records could still lose them (Raft §5.4.2).
    pub fn maybe_advance_high_watermark(&mut self, majority: usize) -> Option<Offset> {
        let mut ends: Vec<Offset> =
            self.voters.iter().map(|voter| voter.end_offset.unwrap_or(Offset::UNKNOWN)).collect();
        ends.push(self.flushed);
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let replicated = ends[majority - 1];
        if replicated <= self.epoch_start || Some(replicated) <= self.high_watermark {
            return None;
        }
        self.high_watermark = Some(replicated);
        self.high_watermark
    }
}
