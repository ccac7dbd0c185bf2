//! How a partition's state changes: who leads, who is in sync, who is eligible to lead without being in sync, which replicas
//! there are (`PartitionChangeBuilder` in Kafka's source).

use trial_node::{NodeId, TopicIdPartition};
use trial_wire::Uuid;

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

/// What a topic says about elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ElectionRules {
    /// What an election may choose from.
    pub(super) election: Election,
    /// If eligible leader replicas are tracked (KIP-966): `min.insync.replicas`. While the ISR is smaller than that, or than
    /// all replicas, nothing is committed: who leaves it then has everything that is, as long as its disk keeps it.
    pub(super) elr_min_isr: Option<usize>,
}

/// What a partition should become. [`PartitionChangeBuilder::build`] finds the change that leads there.
pub(super) struct PartitionChangeBuilder<'a> {
    /// The partition.
    pub(super) id: TopicIdPartition,
    /// Its state.
    pub(super) partition: &'a PartitionRegistration,
    /// What an election may choose from, if the leader cannot stay.
    pub(super) rules: ElectionRules,
    /// The ISR that it should have. If it is empty and eligible leader replicas are not tracked, the ISR stays, so that its
    /// last member can lead again some day; but no member of it may lead now.
    pub(super) target_isr: Vec<NodeId>,
    /// The replicas that it should have, the preferred leader first.
    pub(super) target_replicas: Vec<NodeId>,
    /// Those of them that a reassignment takes away once it is complete.
    pub(super) target_removing: Vec<NodeId>,
    /// Those of them that a reassignment adds.
    pub(super) target_adding: Vec<NodeId>,
    /// The recovery state that it should have if it is not elected uncleanly.
    pub(super) target_recovery_state: LeaderRecoveryState,
    /// A broker that may have lost the end of its log, and so is not eligible.
    pub(super) unclean_shutdown: Option<NodeId>,
}

/// Who leads from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Elected {
    /// From the ISR.
    Clean(NodeId),
    /// From the eligible leader replicas, since the ISR is empty: it has everything that is committed.
    Eligible(NodeId),
    /// Committed records may be lost.
    Unclean(NodeId),
    Nobody,
}

impl<'a> PartitionChangeBuilder<'a> {
    /// Aims at the state that the partition has.
    pub(super) fn new(
        id: TopicIdPartition,
        partition: &'a PartitionRegistration,
        rules: ElectionRules,
    ) -> PartitionChangeBuilder<'a> {
        PartitionChangeBuilder {
            id,
            partition,
            rules,
            target_isr: partition.isr.clone(),
            target_replicas: partition.replicas.clone(),
            target_removing: partition.removing_replicas.clone(),
            target_adding: partition.adding_replicas.clone(),
            target_recovery_state: partition.leader_recovery_state,
            unclean_shutdown: None,
        }
    }

    /// The change, if there is one. `can_lead` tells which replicas are alive and may lead, `directory_of` where a new replica
    /// goes (KIP-858).
    ///
    /// The leader is named if it is another one, or if a replica goes: the new leader epoch fences that one. Since KAFKA-15021
    /// a smaller ISR alone takes no new leader epoch.
    pub(super) fn build(
        mut self,
        can_lead: impl Fn(NodeId) -> bool,
        directory_of: impl Fn(NodeId) -> Uuid,
    ) -> Option<PartitionChange> {
        let partition = self.partition;
        self.maybe_complete_reassignment();
        let mut elr = self.eligible();
        let elected = self.elect(&elr, can_lead);
        let mut recovery_state = self.target_recovery_state;
        let leader = match elected {
            Elected::Clean(leader) => leader,
            Elected::Eligible(leader) => {
                self.target_isr = vec![leader];
                elr.retain(|id| *id != leader);
                leader
            }
            Elected::Unclean(leader) => {
                self.target_isr = vec![leader];
                elr.clear();
                recovery_state = LeaderRecoveryState::Recovering;
                leader
            }
            Elected::Nobody => NodeId::NONE,
        };
        let mut change = PartitionChange { id: self.id, ..PartitionChange::default() };
        let replica_goes = partition.replicas.iter().any(|id| !self.target_replicas.contains(id));
        if leader != partition.leader || replica_goes {
            change.leader = Some(leader);
        }
        let may_be_empty = self.rules.elr_min_isr.is_some();
        if (may_be_empty || !self.target_isr.is_empty()) && self.target_isr != partition.isr {
            change.isr = Some(self.target_isr);
        }
        change.last_known_elr = self.rules.elr_min_isr.and_then(|_| last_known_leader(partition, &change));
        change.elr = (elr != partition.elr).then_some(elr);
        if recovery_state != partition.leader_recovery_state {
            change.leader_recovery_state = Some(recovery_state);
        }
        if self.target_replicas != partition.replicas {
            let directory = |id: &NodeId| match partition.replicas.iter().position(|other| other == id) {
                Some(index) => partition.directories.get(index).copied().unwrap_or_default(),
                None => directory_of(*id),
            };
            change.directories = Some(self.target_replicas.iter().map(directory).collect());
            change.replicas = Some(self.target_replicas);
        }
        if self.target_removing != partition.removing_replicas {
            change.removing_replicas = Some(self.target_removing);
        }
        if self.target_adding != partition.adding_replicas {
            change.adding_replicas = Some(self.target_adding);
        }
        (change != PartitionChange { id: self.id, ..PartitionChange::default() }).then_some(change)
    }

    /// A reassignment is complete when every replica that stays is in sync.
    fn maybe_complete_reassignment(&mut self) {
        if self.target_removing.is_empty() && self.target_adding.is_empty() {
            return;
        }
        let stays = |id: &&NodeId| !self.target_removing.contains(id);
        let replicas: Vec<NodeId> = self.target_replicas.iter().filter(stays).copied().collect();
        let isr: Vec<NodeId> = self.target_isr.iter().filter(stays).copied().collect();
        if isr.is_empty() || !replicas.iter().all(|id| isr.contains(id)) {
            return;
        }
        self.target_isr = isr;
        self.target_replicas = replicas;
        self.target_removing.clear();
        self.target_adding.clear();
    }

    /// Who is eligible to lead beside the ISR. While the ISR is as large as `min.insync.replicas` asks for, nobody: what is
    /// committed from now on others need not have. Below that nothing is committed, and whoever was in sync or eligible
    /// stays eligible.
    fn eligible(&self) -> Vec<NodeId> {
        let effective = |min_isr: usize| min_isr.min(self.target_replicas.len());
        if self.rules.elr_min_isr.is_none_or(|min_isr| self.target_isr.len() >= effective(min_isr)) {
            return Vec::new();
        }
        let PartitionRegistration { isr, elr, .. } = self.partition;
        let had = self.partition.replicas.iter().filter(|id| isr.contains(id) || elr.contains(id));
        let keeps = |id: &&NodeId| {
            !self.target_isr.contains(id)
                && self.target_replicas.contains(id)
                && self.unclean_shutdown != Some(**id)
        };
        had.filter(keeps).copied().collect()
    }

    fn elect(&self, elr: &[NodeId], can_lead: impl Fn(NodeId) -> bool) -> Elected {
        let replicas = &self.target_replicas;
        let valid = |id: &NodeId| {
            let candidates = if self.target_isr.is_empty() { elr } else { &self.target_isr };
            candidates.contains(id) && can_lead(*id)
        };
        let preferred = (self.rules.election == Election::Preferred)
            .then(|| replicas.first().copied())
            .flatten()
            .filter(valid);
        let clean = preferred
            .or_else(|| Some(self.partition.leader).filter(valid))
            .or_else(|| replicas.iter().copied().find(valid));
        match clean {
            Some(leader) if self.target_isr.is_empty() => return Elected::Eligible(leader),
            Some(leader) => return Elected::Clean(leader),
            None => {}
        }
        // Nobody is left who certainly has everything. The one that led last has at least what survived on its disk; to wait
        // for another would be to wait for nobody (KIP-966, "balanced" recovery).
        if let (true, [last]) =
            (self.target_isr.is_empty() && elr.is_empty(), &self.partition.last_known_elr[..])
            && self.rules.elr_min_isr.is_some()
            && replicas.contains(last)
            && can_lead(*last)
        {
            return Elected::Unclean(*last);
        }
        let unclean = (self.rules.election == Election::Unclean)
            .then(|| replicas.iter().copied().find(|id| can_lead(*id)))
            .flatten();
        unclean.map_or(Elected::Nobody, Elected::Unclean)
    }
}

/// What becomes of the field that, while a partition has no leader, names the one that led last.
fn last_known_leader(partition: &PartitionRegistration, change: &PartitionChange) -> Option<Vec<NodeId>> {
    let known = &partition.last_known_elr;
    let leader = change.leader.unwrap_or(partition.leader);
    if leader != NodeId::NONE {
        return (!known.is_empty()).then(Vec::new);
    }
    let becomes_empty = change.isr.as_ref().is_some_and(Vec::is_empty);
    let last = partition.leader;
    (becomes_empty && last != NodeId::NONE && known[..] != [last]).then(|| vec![last])
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

    fn rules(election: Election) -> ElectionRules {
        ElectionRules { election, elr_min_isr: None }
    }

    fn no_directory(_: NodeId) -> Uuid {
        unreachable!("there is no new replica")
    }

    fn change() -> PartitionChange {
        PartitionChange { id: ID, ..PartitionChange::default() }
    }

    #[test]
    fn nothing_to_do_is_no_change() {
        let partition = partition(&[1, 2, 3], 1);
        assert_eq!(
            PartitionChangeBuilder::new(ID, &partition, rules(Election::Online))
                .build(|_| true, no_directory),
            None
        );
    }

    #[test]
    fn a_follower_that_leaves_the_isr_takes_no_leader_epoch() {
        let partition = partition(&[1, 2, 3], 1);
        let builder = PartitionChangeBuilder {
            target_isr: nodes(&[1, 2]),
            ..PartitionChangeBuilder::new(ID, &partition, rules(Election::Online))
        };
        let built = builder.build(|id| id != NodeId(3), no_directory).unwrap();
        assert_eq!(built, PartitionChange { isr: Some(nodes(&[1, 2])), ..change() });
        let merged = partition.merge(&built);
        assert_eq!((merged.leader_epoch, merged.partition_epoch), (LeaderEpoch(5), 10));
    }

    #[test]
    fn the_first_replica_in_sync_takes_over() {
        let partition = partition(&[3, 2, 1], 1);
        let builder = PartitionChangeBuilder {
            target_isr: nodes(&[3, 2]),
            ..PartitionChangeBuilder::new(ID, &partition, rules(Election::Online))
        };
        let built = builder.build(|id| id != NodeId(1), no_directory).unwrap();
        assert_eq!(built, PartitionChange { isr: Some(nodes(&[3, 2])), leader: Some(NodeId(2)), ..change() });
        let merged = partition.merge(&built);
        assert_eq!((merged.leader_epoch, merged.partition_epoch), (LeaderEpoch(6), 10));
    }

    #[test]
    fn the_last_member_stays_in_the_isr_without_leading() {
        let partition = partition(&[1], 1);
        let builder = PartitionChangeBuilder {
            target_isr: Vec::new(),
            ..PartitionChangeBuilder::new(ID, &partition, rules(Election::Online))
        };
        let built = builder.build(|id| id != NodeId(1), no_directory).unwrap();
        assert_eq!(built, PartitionChange { leader: Some(NodeId::NONE), ..change() });
    }

    #[test]
    fn an_unclean_election_makes_the_leader_the_isr_and_marks_it() {
        let partition = partition(&[1], NodeId::NONE.0);
        let build = |election| {
            PartitionChangeBuilder::new(ID, &partition, rules(election))
                .build(|id| id != NodeId(1), no_directory)
        };
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
        let build = |election| {
            PartitionChangeBuilder::new(ID, &partition, rules(election)).build(|_| true, no_directory)
        };
        assert_eq!(build(Election::Online), None);
        assert_eq!(build(Election::Unclean), None);
        assert_eq!(build(Election::Preferred), Some(PartitionChange { leader: Some(NodeId(1)), ..change() }));
    }
}
