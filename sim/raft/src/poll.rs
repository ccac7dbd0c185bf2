//! What each role does by itself, and when it next has to.

use trial_node::{NodeId, Time};
use trial_wire::{ApiKey, api};

use crate::log::{RaftError, ReplicatedLog};
use crate::messages;
use crate::output::{Env, Output};
use crate::peers::Ask;
use crate::raft::Raft;
use crate::role::{Leader, Role};

/// Whether a role has changed into another, which may have something to do at once.
#[derive(PartialEq, Eq)]
enum Next {
    Again,
    Wait,
}

impl<L: ReplicatedLog> Raft<L> {
    /// Does everything that is due. Each call from outside ends with this.
    pub(crate) fn poll(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        while let Some((to, id)) = self.peers.expire(env.now.mono) {
            self.peers.pause(to, env.now.mono + self.config.retry_backoff);
            self.outputs.push_back(Output::RequestTimedOut { to, id });
        }
        while self.poll_role(env)? == Next::Again {}
        self.deadline = self.next_deadline();
        Ok(())
    }

    fn poll_role(&mut self, env: &mut Env<'_>) -> Result<Next, RaftError> {
        let now = env.now.mono;
        match &self.role {
            Role::Unattached { election_deadline } => {
                if !self.shutting_down && election_deadline.is_some_and(|deadline| deadline <= now) {
                    self.become_prospective(env)?;
                    return Ok(Next::Again);
                }
                if !self.peers.any_in_flight()
                    && let Some(to) = self.peers.any_ready(now, env.rng)
                {
                    self.send_fetch(env, to);
                }
            }
            Role::Prospective(election) => {
                if election.is_won(&self.config) {
                    self.become_candidate(env)?;
                    return Ok(Next::Again);
                }
                if election.is_lost(&self.config) || election.deadline <= now {
                    self.give_up_pre_vote(env)?;
                    return Ok(Next::Again);
                }
                self.send_votes(env, true);
            }
            Role::Candidate(election) => {
                if election.is_won(&self.config) {
                    self.become_leader(env)?;
                    return Ok(Next::Again);
                }
                if election.deadline <= now {
                    self.become_prospective(env)?;
                    return Ok(Next::Again);
                }
                // One that has lost waits for the deadline: another may be winning.
                if !election.is_lost(&self.config) {
                    self.send_votes(env, false);
                }
            }
            Role::Leader(leader) => {
                if leader.check_quorum_deadline.is_some_and(|deadline| deadline <= now) {
                    self.become_resigned(env)?;
                    return Ok(Next::Again);
                }
                self.poll_leader(env)?;
            }
            Role::Follower(follower) => {
                if self.is_voter() && !self.shutting_down && follower.fetch_deadline <= now {
                    self.become_prospective(env)?;
                    return Ok(Next::Again);
                }
                self.poll_follower(env)?;
            }
            Role::Resigned { election_deadline, .. } => {
                if !self.shutting_down && *election_deadline <= now {
                    // In its own epoch it can follow nobody; the next one is open to all.
                    let next = self.next_epoch()?;
                    self.become_unattached(env, next)?;
                    return Ok(Next::Again);
                }
                self.send_end_epochs(env);
            }
        }
        Ok(Next::Wait)
    }

    fn poll_leader(&mut self, env: &mut Env<'_>) -> Result<(), RaftError> {
        let now = env.now.mono;
        let Role::Leader(leader) = &self.role else {
            return Ok(());
        };
        let lingered = leader.pending.as_ref().is_some_and(|pending| pending.write_at <= now);
        let expired = leader.held.iter().any(|held| held.deadline <= now);
        if lingered {
            self.write_pending(env)?;
        }
        if expired {
            self.answer_held(env, |held| held.deadline <= now)?;
        }
        self.send_begin_epochs(env);
        Ok(())
    }

    fn send_votes(&mut self, env: &mut Env<'_>, pre_vote: bool) {
        let (Role::Prospective(election) | Role::Candidate(election)) = &self.role else {
            return;
        };
        let unasked = |id: &NodeId| !election.has_answered(*id) && self.peers.is_ready(*id, env.now.mono);
        let to: Vec<NodeId> = self.peers.ids().filter(unasked).collect();
        let end = self.log_end();
        for to in to {
            let body = messages::vote_request(&self.config, to, self.election.epoch, end, pre_vote);
            self.send(env, to, Ask::Vote, ApiKey::Vote, body.into());
        }
    }

    /// Tells voters that have neither fetched nor acknowledged for a while who leads.
    fn send_begin_epochs(&mut self, env: &mut Env<'_>) {
        let Role::Leader(leader) = &self.role else {
            return;
        };
        let now = env.now.mono;
        let period = Leader::begin_epoch_period(&self.config);
        let silent = |id: &NodeId| {
            leader
                .voters
                .iter()
                .any(|voter| voter.id == *id && voter.heard.is_none_or(|heard| heard + period <= now))
                && self.peers.is_ready(*id, now)
        };
        let to: Vec<NodeId> = self.peers.ids().filter(silent).collect();
        for to in to {
            let body = messages::begin_request(&self.config, to, self.election.epoch);
            self.send(env, to, Ask::BeginQuorumEpoch, ApiKey::BeginQuorumEpoch, body.into());
        }
    }

    fn send_end_epochs(&mut self, env: &mut Env<'_>) {
        let Role::Resigned { unacknowledged, preferred, .. } = &self.role else {
            return;
        };
        let ready = |id: &NodeId| self.peers.is_ready(*id, env.now.mono);
        let to: Vec<NodeId> = unacknowledged.iter().copied().filter(ready).collect();
        let version = api::latest(ApiKey::EndQuorumEpoch);
        let body = messages::end_request(&self.config, version, self.election.epoch, preferred);
        for to in to {
            self.send(env, to, Ask::EndQuorumEpoch, ApiKey::EndQuorumEpoch, body.clone().into());
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let mut next = self.peers.next_expiry();
        let mut consider = |time: Option<Time>| {
            if let Some(time) = time {
                next = Some(next.map_or(time, |next| next.min(time)));
            }
        };
        match &self.role {
            Role::Unattached { election_deadline } => {
                consider(election_deadline.filter(|_| !self.shutting_down));
                if !self.peers.any_in_flight() {
                    consider(self.peers.next_ready());
                }
            }
            Role::Prospective(election) | Role::Candidate(election) => {
                consider(Some(election.deadline));
                if !election.is_lost(&self.config) {
                    for id in self.peers.ids().filter(|id| !election.has_answered(*id)) {
                        consider(self.peers.ready_at(id));
                    }
                }
            }
            Role::Leader(leader) => {
                consider(leader.check_quorum_deadline);
                consider(leader.pending.as_ref().map(|pending| pending.write_at));
                for held in &leader.held {
                    consider(Some(held.deadline));
                }
                let period = Leader::begin_epoch_period(&self.config);
                for voter in &leader.voters {
                    let silent = voter.heard.map_or(Time::ZERO, |heard| heard + period);
                    consider(self.peers.ready_at(voter.id).map(|ready| ready.max(silent)));
                }
            }
            Role::Follower(follower) => {
                if self.is_voter() && !self.shutting_down {
                    consider(Some(follower.fetch_deadline));
                }
                if !self.peers.any_in_flight() {
                    match (&follower.snapshot, self.election.leader) {
                        (Some(_), Some(leader)) => consider(self.peers.ready_at(leader)),
                        _ => consider(self.peers.next_ready()),
                    }
                }
            }
            Role::Resigned { election_deadline, unacknowledged, .. } => {
                if !self.shutting_down {
                    consider(Some(*election_deadline));
                }
                for id in unacknowledged {
                    consider(self.peers.ready_at(*id));
                }
            }
        }
        next
    }
}
