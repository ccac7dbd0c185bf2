//! Vote, BeginQuorumEpoch and EndQuorumEpoch: requests and answers.

use trial_node::{LeaderEpoch, NodeId, Offset, Span};
use trial_wire::ErrorCode;
use trial_wire::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, EndQuorumEpochRequest, EndQuorumEpochResponse,
    VoteRequest, VoteResponse,
};

use crate::log::{OffsetAndEpoch, RaftError, ReplicatedLog};
use crate::messages::{self, Status};
use crate::output::Env;
use crate::quorum_state::ElectionState;
use crate::raft::{Handled, Raft};
use crate::role::Role;

/// The epoch that no election can follow: whoever names it is wrong, or wants no election any more.
const LAST_EPOCH: LeaderEpoch = LeaderEpoch(i32::MAX);

impl<L: ReplicatedLog> Raft<L> {
    /// Heeds what every answer says of epoch and leader, whatever was asked. `None` if the rest of the answer holds too.
    pub(crate) fn heed(&mut self, env: &mut Env<'_>, status: Status) -> Result<Option<Handled>, RaftError> {
        let asked = self.election.epoch;
        if status.epoch < asked
            || status.epoch == LAST_EPOCH
            || status.error == Some(ErrorCode::UnknownLeaderEpoch)
        {
            return Ok(Some(Handled::Badly));
        }
        let transitioned = self.maybe_transition(env, status.leader, status.epoch)?;
        Ok(match status.error {
            None if !transitioned || status.epoch == asked => None,
            _ if transitioned => Some(Handled::Well),
            _ => Some(Handled::Badly),
        })
    }

    // ---- Vote

    pub(crate) fn handle_vote_request(
        &mut self,
        env: &mut Env<'_>,
        version: i16,
        request: &VoteRequest,
    ) -> Result<VoteResponse, RaftError> {
        if !self.is_own_cluster(request.cluster_id.as_ref()) {
            return Ok(VoteResponse::default().with_error_code(ErrorCode::InconsistentClusterId.code()));
        }
        let Some(partition) = messages::vote_partition(request) else {
            return Ok(VoteResponse::default().with_error_code(ErrorCode::InvalidRequest.code()));
        };
        let candidate = NodeId(partition.replica_id.0);
        let epoch = LeaderEpoch(partition.replica_epoch);
        let pre_vote = partition.pre_vote;
        let end =
            OffsetAndEpoch::new(Offset(partition.last_offset), LeaderEpoch(partition.last_offset_epoch));
        // A candidate has just opened its epoch, so nothing of that epoch can be in its log yet.
        let possible_epoch = if pre_vote { end.epoch <= epoch } else { end.epoch < epoch };
        let possible_epoch = possible_epoch && epoch != LAST_EPOCH;
        let error = if end.offset < Offset::ZERO || end.epoch < LeaderEpoch(0) || !possible_epoch {
            Some(ErrorCode::InvalidRequest)
        } else if !self.is_voter() || !self.config.is_voter(candidate) || candidate == self.config.node_id {
            Some(ErrorCode::InconsistentVoterSet)
        } else if epoch < self.election.epoch {
            Some(ErrorCode::FencedLeaderEpoch)
        } else if !self.is_meant(request.voter_id.0) {
            Some(ErrorCode::InvalidVoterKey)
        } else {
            None
        };
        if error.is_some() {
            return Ok(messages::vote_response(&self.config, version, self.status(error), false));
        }
        if epoch > self.election.epoch {
            self.become_unattached(env, epoch)?;
        }
        let granted = self.can_grant_vote(candidate, end, pre_vote);
        if granted && !pre_vote && self.election.voted.is_none() {
            // The candidate has as good a chance as this voter would have: it gets the time to win.
            let election_deadline = Some(self.random_election_deadline(env));
            let election = ElectionState { voted: Some(candidate), ..self.election };
            self.set_role(env, election, Role::Unattached { election_deadline })?;
        }
        Ok(messages::vote_response(&self.config, version, self.status(None), granted))
    }

    fn can_grant_vote(&self, candidate: NodeId, end: OffsetAndEpoch, pre_vote: bool) -> bool {
        let up_to_date = end >= self.log_end();
        match &self.role {
            Role::Unattached { .. } | Role::Prospective(_) if !pre_vote => match self.election.voted {
                Some(voted) => voted == candidate,
                None => self.election.leader.is_none() && up_to_date,
            },
            Role::Unattached { .. } | Role::Prospective(_) | Role::Candidate(_) | Role::Resigned { .. } => {
                pre_vote && up_to_date
            }
            Role::Follower(follower) => pre_vote && up_to_date && !follower.has_fetched,
            Role::Leader(leader) => pre_vote && up_to_date && leader.high_watermark.is_none(),
        }
    }

    pub(crate) fn handle_vote_response(
        &mut self,
        env: &mut Env<'_>,
        from: NodeId,
        response: &VoteResponse,
    ) -> Result<Handled, RaftError> {
        let Some((status, granted)) = messages::vote_result(response).filter(|_| response.error_code == 0)
        else {
            return Ok(Handled::Badly);
        };
        if let Some(handled) = self.heed(env, status)? {
            return Ok(handled);
        }
        // A change of role forgets what was asked in the one before, so this answer is to this count's question.
        if let Role::Prospective(election) | Role::Candidate(election) = &mut self.role {
            election.record(from, granted);
        }
        Ok(Handled::Well)
    }

    // ---- BeginQuorumEpoch

    pub(crate) fn handle_begin_request(
        &mut self,
        env: &mut Env<'_>,
        version: i16,
        request: &BeginQuorumEpochRequest,
    ) -> Result<BeginQuorumEpochResponse, RaftError> {
        if !self.is_own_cluster(request.cluster_id.as_ref()) {
            return Ok(
                BeginQuorumEpochResponse::default().with_error_code(ErrorCode::InconsistentClusterId.code())
            );
        }
        let Some(partition) = messages::begin_partition(request) else {
            return Ok(BeginQuorumEpochResponse::default().with_error_code(ErrorCode::InvalidRequest.code()));
        };
        let leader = NodeId(partition.leader_id.0);
        let epoch = LeaderEpoch(partition.leader_epoch);
        let error = self
            .check_leader_request(leader, epoch)
            .or_else(|| (!self.is_meant(request.voter_id.0)).then_some(ErrorCode::InvalidVoterKey));
        if error.is_none() {
            self.maybe_transition(env, Some(leader), epoch)?;
        }
        Ok(messages::begin_response(&self.config, version, self.status(error)))
    }

    /// What is wrong with a request of a node that says that it leads (or led) an epoch.
    fn check_leader_request(&self, leader: NodeId, epoch: LeaderEpoch) -> Option<ErrorCode> {
        if epoch < self.election.epoch {
            return Some(ErrorCode::FencedLeaderEpoch);
        }
        let other_leader =
            epoch == self.election.epoch && self.election.leader.is_some_and(|known| known != leader);
        let impossible =
            epoch == LAST_EPOCH || leader == self.config.node_id || !self.config.is_voter(leader);
        (other_leader || impossible).then_some(ErrorCode::InvalidRequest)
    }

    pub(crate) fn handle_begin_response(
        &mut self,
        env: &mut Env<'_>,
        from: NodeId,
        response: &BeginQuorumEpochResponse,
    ) -> Result<Handled, RaftError> {
        let Some(status) = messages::begin_result(response).filter(|_| response.error_code == 0) else {
            return Ok(Handled::Badly);
        };
        if let Some(handled) = self.heed(env, status)? {
            return Ok(handled);
        }
        if let Role::Leader(leader) = &mut self.role
            && let Some(voter) = leader.voter_mut(from)
        {
            voter.heard = Some(env.now.mono);
        }
        Ok(Handled::Well)
    }

    // ---- EndQuorumEpoch

    pub(crate) fn handle_end_request(
        &mut self,
        env: &mut Env<'_>,
        version: i16,
        request: &EndQuorumEpochRequest,
    ) -> Result<EndQuorumEpochResponse, RaftError> {
        if !self.is_own_cluster(request.cluster_id.as_ref()) {
            return Ok(
                EndQuorumEpochResponse::default().with_error_code(ErrorCode::InconsistentClusterId.code())
            );
        }
        let Some(partition) = messages::end_partition(request) else {
            return Ok(EndQuorumEpochResponse::default().with_error_code(ErrorCode::InvalidRequest.code()));
        };
        let leader = NodeId(partition.leader_id.0);
        let epoch = LeaderEpoch(partition.leader_epoch);
        let error = self.check_leader_request(leader, epoch);
        if error.is_none() {
            self.maybe_transition(env, Some(leader), epoch)?;
            let (position, successors) =
                messages::successor_position(version, partition, self.config.node_id);
            let backoff = successor_backoff(self.config.election_backoff_max, position, successors);
            if let Role::Follower(follower) = &mut self.role {
                follower.fetch_deadline = env.now.mono + backoff;
                // Its leader is gone and says so: there is nothing left to protect from an election.
                follower.has_fetched = false;
            }
        }
        Ok(messages::end_response(&self.config, version, self.status(error)))
    }

    pub(crate) fn handle_end_response(
        &mut self,
        env: &mut Env<'_>,
        from: NodeId,
        response: &EndQuorumEpochResponse,
    ) -> Result<Handled, RaftError> {
        let Some(status) = messages::end_result(response).filter(|_| response.error_code == 0) else {
            return Ok(Handled::Badly);
        };
        if let Some(handled) = self.heed(env, status)? {
            return Ok(handled);
        }
        if let Role::Resigned { unacknowledged, .. } = &mut self.role {
            unacknowledged.retain(|voter| *voter != from);
        }
        Ok(Handled::Well)
    }
}

/// How long the successor at `position` waits before it asks for an election: the first not at all, each next one twice as
/// long as the one before, the last the longest.
fn successor_backoff(max: Span, position: usize, successors: usize) -> Span {
    let Some(doublings) = position.checked_sub(1) else {
        return Span::ZERO;
    };
    let shift = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let base = max.0.checked_shr(shift(successors.saturating_sub(1))).unwrap_or(0);
    let factor = 1_u64.checked_shl(shift(doublings)).unwrap_or(u64::MAX);
    Span(base).times(factor).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successors_wait_in_line() {
        let backoff = |position| successor_backoff(Span::from_millis(1_000), position, 4).as_millis();
        assert_eq!([0, 1, 2, 3, 4].map(backoff), [0, 125, 250, 500, 1_000]);
        assert_eq!(successor_backoff(Span::from_millis(1_000), 0, 0), Span::ZERO);
        assert_eq!(successor_backoff(Span::from_millis(1_000), 70, 100), Span::ZERO);
    }
}
