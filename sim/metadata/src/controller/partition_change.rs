//! How a partition's state changes: who leads, who is in sync (`PartitionChangeBuilder` in Kafka's source).

use trial_node::{NodeId, TopicIdPartition};

use crate::record::{LeaderRecoveryState, PartitionChange, PartitionRegistration};

/// What an election may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Election {
    /// The preferred replica if it is in the ISR, else as [`Election::Online`].
    Preferred,
    /// The leader that there is, else the first replica in the ISR.
    Online,
    /// As [`Election::Online`], else the first replica that is alive: committed records may be lost.
    Unclean,
}

/// What a partition should become. [`PartitionChangeBuilder::build`] finds the change that leads there.
pub(super) struct PartitionChangeBuilder<'a> {
    /// The partition.
    pub(super) id: TopicIdPartition,
    /// Its state.
    pub(super) partition: &'a PartitionRegistration,
    /// What an election may choose from, if the leader cannot stay.
    pub(super) election: Election,
    /// The ISR that it should have. If it is empty the ISR stays, so that its last member can lead again some day; but no
    /// member of it may lead now.
    pub(super) target_isr: Vec<NodeId>,
    /// The recovery state that it should have if it is not elected uncleanly.
    pub(super) target_recovery_state: LeaderRecoveryState,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// Aims at the state that the partition has.
    pub(super) fn new(
        id: TopicIdPartition,
        partition: &'a PartitionRegistration,
        election: Election,
    ) -> PartitionChangeBuilder<'a> {
        PartitionChangeBuilder {
            id,
            partition,
            election,
            target_isr: partition.isr.clone(),
            target_recovery_state: partition.leader_recovery_state,
        }
    }

    /// The change, if there is one. `can_lead` tells which replicas are alive and may lead.
    ///
    /// The leader is named only if it is another one: since KAFKA-15021 a smaller ISR alone takes no new leader epoch.
    pub(super) fn build(self, can_lead: impl Fn(NodeId) -> bool) -> Option<PartitionChange> {
        let (leader, unclean) = self.elect(can_lead);
        let partition = self.partition;
        let mut change = PartitionChange { id: self.id, ..PartitionChange::default() };
        let mut recovery_state = self.target_recovery_state;
        if leader != partition.leader {
            change.leader = Some(leader);
        }
        if unclean {
            change.isr = Some(vec![leader]);
            recovery_state = LeaderRecoveryState::Recovering;
        } else if !self.target_isr.is_empty() && self.target_isr != partition.isr {
            change.isr = Some(self.target_isr);
        }
        if recovery_state != partition.leader_recovery_state {
            change.leader_recovery_state = Some(recovery_state);
        }
        let changes =
            change.leader.is_some() || change.isr.is_some() || change.leader_recovery_state.is_some();
        changes.then_some(change)
    }

    /// The leader to be, and whether it is taken from outside the ISR.
    fn elect(&self, can_lead: impl Fn(NodeId) -> bool) -> (NodeId, bool) {
        let replicas = &self.partition.replicas;
        let in_sync = |id: &NodeId| self.target_isr.contains(id) && can_lead(*id);
        let preferred = (self.election == Election::Preferred)
            .then(|| self.partition.preferred_replica())
            .filter(in_sync);
        let clean = preferred
            .or_else(|| Some(self.partition.leader).filter(in_sync))
            .or_else(|| replicas.iter().copied().find(in_sync));
        if let Some(leader) = clean {
            return (leader, false);
        }
        let unclean = (self.election == Election::Unclean)
            .then(|| replicas.iter().copied().find(|id| can_lead(*id)))
            .flatten();
        match unclean {
            Some(leader) => (leader, true),
            None => (NodeId::NONE, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use trial_node::LeaderEpoch;
    use trial_wire::Uuid;

    use super::*;

    const ID: TopicIdPartition = TopicIdPartition { topic_id: Uuid::from_u128(1), partition: 0 };

    fn nodes(ids: &[i32]) -> Vec<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    fn partition(isr: &[i32], leader: i32) -> PartitionRegistration {
        PartitionRegistration {
            replicas: nodes(&[1, 2, 3]),
            isr: nodes(isr),
            leader: NodeId(leader),
            leader_epoch: LeaderEpoch(5),
            partition_epoch: 9,
            ..PartitionRegistration::default()
        }
    }

    fn change() -> PartitionChange {
        PartitionChange { id: ID, ..PartitionChange::default() }
    }

    #[test]
    fn nothing_to_do_is_no_change() {
        let partition = partition(&[1, 2, 3], 1);
        assert_eq!(PartitionChangeBuilder::new(ID, &partition, Election::Online).build(|_| true), None);
    }

    #[test]
    fn a_follower_that_leaves_the_isr_takes_no_leader_epoch() {
        let partition = partition(&[1, 2, 3], 1);
        let builder = PartitionChangeBuilder {
            target_isr: nodes(&[1, 2]),
            ..PartitionChangeBuilder::new(ID, &partition, Election::Online)
        };
        let built = builder.build(|id| id != NodeId(3)).unwrap();
        assert_eq!(built, PartitionChange { isr: Some(nodes(&[1, 2])), ..change() });
        let merged = partition.merge(&built);
        assert_eq!((merged.leader_epoch, merged.partition_epoch), (LeaderEpoch(5), 10));
    }

    #[test]
    fn the_first_replica_in_sync_takes_over() {
        let partition = partition(&[3, 2, 1], 1);
        let builder = PartitionChangeBuilder {
            target_isr: nodes(&[3, 2]),
            ..PartitionChangeBuilder::new(ID, &partition, Election::Online)
        };
        let built = builder.build(|id| id != NodeId(1)).unwrap();
        assert_eq!(built, PartitionChange { isr: Some(nodes(&[3, 2])), leader: Some(NodeId(2)), ..change() });
        let merged = partition.merge(&built);
        assert_eq!((merged.leader_epoch, merged.partition_epoch), (LeaderEpoch(6), 10));
    }

    #[test]
    fn the_last_member_stays_in_the_isr_without_leading() {
        let partition = partition(&[1], 1);
        let builder = PartitionChangeBuilder {
            target_isr: Vec::new(),
            ..PartitionChangeBuilder::new(ID, &partition, Election::Online)
        };
        let built = builder.build(|id| id != NodeId(1)).unwrap();
        assert_eq!(built, PartitionChange { leader: Some(NodeId::NONE), ..change() });
    }

    #[test]
    fn an_unclean_election_makes_the_leader_the_isr_and_marks_it() {
        let partition = partition(&[1], NodeId::NONE.0);
        let build =
            |election| PartitionChangeBuilder::new(ID, &partition, election).build(|id| id != NodeId(1));
        assert_eq!(build(Election::Online), None);
        let expected = PartitionChange {
            isr: Some(nodes(&[2])),
            leader: Some(NodeId(2)),
            leader_recovery_state: Some(LeaderRecoveryState::Recovering),
            ..change()
        };
        assert_eq!(build(Election::Unclean), Some(expected));
    }

    #[test]
    fn only_a_preferred_election_moves_a_leader_that_can_stay() {
        let partition = partition(&[1, 2, 3], 2);
        let build = |election| PartitionChangeBuilder::new(ID, &partition, election).build(|_| true);
        assert_eq!(build(Election::Online), None);
        assert_eq!(build(Election::Unclean), None);
        assert_eq!(build(Election::Preferred), Some(PartitionChange { leader: Some(NodeId(1)), ..change() }));
    }
}
