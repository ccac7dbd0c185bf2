//! From role to role. What a role promises is on disk before the role is taken.

use trial_node::{LeaderEpoch, NodeId, Span, Time, TraceEvent};
use trial_wire::messages::LeaderChangeMessage;
use trial_wire::messages::leader_change_message::Voter;
use trial_wire::{ControlRecord, ErrorCode};

use crate::log::{RaftError, ReplicatedLog};
use crate::messages;
use crate::output::{Env, Output};
use crate::quorum_state::{self, ElectionState};
use crate::raft::Raft;
use crate::role::{Election, Follower, Leader, Role};

impl<L: ReplicatedLog> Raft<L> {
    /// From the election timeout to twice that.
    pub(crate) fn random_election_deadline(&self, env: &mut Env<'_>) -> Time {
        let timeout = self.config.election_timeout;
        env.now.mono + timeout + Span(env.rng.below(timeout.0))
    }

    /// Takes a role, after writing down what must not be forgotten in it.
    pub(crate) fn set_role(
        &mut self,
        env: &mut Env<'_>,
        election: ElectionState,
        role: Role,
    ) -> Result<(), RaftError> {
        assert!(election.epoch >= self.election.epoch, "epochs never fall");
        let before = self.leader_and_epoch();
        if election != self.election {
            quorum_state::write(&self.config, env.disk, &election)?;
            self.election = election;
        }
        let left = std::mem::replace(&mut self.role, role);
        self.peers.reset();
        self.changed = true;
        match left {
            Role::Follower(Follower { snapshot: Some(partial), .. }) => {
                self.snapshots.abandon(env.disk, partial)?;
            }
            Role::Leader(leader) => {
                let status = self.status(Some(ErrorCode::NotLeaderOrFollower));
                for held in leader.held {
                    let body = messages::fetch_error(&self.config, held.api_version, status).into();
                    self.outputs.push_back(Output::Response { token: held.token, body });
                }
            }
            _ => {}
        }
        let (leader, epoch) = self.leader_and_epoch();
        if before != (leader, epoch) {
            self.outputs.push_back(Output::LeaderChanged { leader, epoch });
        }
        Ok(())
    }

    /// Learns of an epoch without a known leader. Keeps waiting for as long as it would have.
    pub(crate) fn become_unattached(
        &mut self,
        env: &mut Env<'_>,
        epoch: LeaderEpoch,
    ) -> Result<(), RaftError> {
        let election_deadline = match &self.role {
            _ if !self.is_voter() => None,
            Role::Unattached { election_deadline } => *election_deadline,
            Role::Prospective(election) | Role::Candidate(election) => Some(election.deadline),
            Role::Follower(follower) => Some(follower.fetch_deadline),
            Role::Resigned { election_deadline, .. } => Some(*election_deadline),
            Role::Leader(_) => Some(self.random_election_deadline(env)),
        };
        self.set_role(env, ElectionState::unknown_leader(epoch), Role::Unattached { election_deadline })
    }

    /// Asks whether it would win an election.
    pub(crate) fn become_prospective(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let deadline = self.random_election_deadline(env);
        let role = Role::Prospective(Election::new(self.config.node_id, deadline));
        self.set_role(env, self.election, role)?;
        self.trace(TraceEvent::QuorumElectionStarted { epoch: self.election.epoch, pre_vote: true });
        Ok(())
    }

    /// Gives up asking: back to the leader, if it knows one in this epoch, else waits for another turn.
    pub(crate) fn give_up_pre_vote(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        if let Some(leader) = self.election.leader.filter(|leader| *leader != self.config.node_id) {
            return self.become_follower(env, leader, self.election.epoch);
        }
        let election_deadline = Some(self.random_election_deadline(env));
        self.set_role(env, self.election, Role::Unattached { election_deadline })
    }

    /// The epoch that an election opens.
    pub(crate) fn next_epoch(&self) -> Result<LeaderEpoch, RaftError> {
        let next = self.election.epoch.0.checked_add(1).map(LeaderEpoch);
        next.ok_or_else(|| RaftError::Log { what: format!("no epoch follows {}", self.election.epoch) })
    }

    /// Opens a new epoch, with its own vote for itself.
    pub(crate) fn become_candidate(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let epoch = self.next_epoch()?;
        let deadline = self.random_election_deadline(env);
        let election = ElectionState { epoch, leader: None, voted: Some(self.config.node_id) };
        self.set_role(env, election, Role::Candidate(Election::new(self.config.node_id, deadline)))?;
        self.trace(TraceEvent::QuorumElectionStarted { epoch, pre_vote: false });
        Ok(())
    }

    /// Leads the epoch in which it was elected, and writes the epoch's first record at once: nothing is committed before
    /// that one is.
    pub(crate) fn become_leader(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let Role::Candidate(count) = &self.role else {
            panic!("only a candidate is elected");
        };
        let granted = count.granted.clone();
        let epoch = self.election.epoch;
        let election = ElectionState { leader: Some(self.config.node_id), ..self.election };
        let epoch_start = self.log.end_offset();
        let leader = Leader::new(&self.config, epoch_start, env.now.mono);
        self.set_role(env, election, Role::Leader(leader))?;
        self.trace(TraceEvent::QuorumLeaderElected { epoch });

        let voter = |id: NodeId| Voter::default().with_voter_id(id.0);
        let change = LeaderChangeMessage::default()
            .with_leader_id(self.config.node_id.0.into())
            .with_voters(self.config.voters.iter().map(|(id, _)| voter(*id)).collect())
            .with_granting_voters(granted.into_iter().map(voter).collect());
        let batch = ControlRecord::LeaderChange(change).batch(epoch_start.0, epoch.0, env.now.wall_ms);
        self.write_as_leader(env, batch.bytes().clone())
    }

    /// Follows a leader.
    pub(crate) fn become_follower(
        &mut self,
        env: &mut Env<'_>,
        leader: NodeId,
        epoch: LeaderEpoch,
    ) -> Result<(), RaftError> {
        assert!(leader != self.config.node_id, "a member does not follow itself");
        let voted = self.election.voted.filter(|_| epoch == self.election.epoch);
        let election = ElectionState { epoch, leader: Some(leader), voted };
        let role = Role::Follower(Follower {
            fetch_deadline: env.now.mono + self.config.fetch_timeout,
            has_fetched: false,
            snapshot: None,
        });
        self.set_role(env, election, role)?;
        self.trace(TraceEvent::QuorumLeaderFollowed { epoch, leader });
        Ok(())
    }

    /// Stops leading; the successors are told, the most caught up first in line.
    pub(crate) fn become_resigned(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let Role::Leader(leader) = &self.role else {
            panic!("only a leader resigns");
        };
        let preferred = leader.preferred_successors();
        let election_deadline = self.random_election_deadline(env);
        let role = Role::Resigned { election_deadline, unacknowledged: preferred.clone(), preferred };
        self.set_role(env, self.election, role)?;
        self.trace(TraceEvent::QuorumLeaderResigned { epoch: self.election.epoch });
        Ok(())
    }

    /// Follows what another node says of epoch and leader, if that is news. Whether it was.
    pub(crate) fn maybe_transition(
        &mut self,
        env: &mut Env<'_>,
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
    ) -> Result<bool, RaftError> {
        let leader = leader.filter(|leader| *leader != self.config.node_id && self.config.is_voter(*leader));
        let newer = epoch > self.election.epoch;
        match leader {
            Some(leader) if newer || (epoch == self.election.epoch && self.election.leader.is_none()) => {
                self.become_follower(env, leader, epoch)?;
                Ok(true)
            }
            None if newer => {
                self.become_unattached(env, epoch)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}
