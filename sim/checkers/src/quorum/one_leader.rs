//! A quorum epoch has one leader, and a node one vote in it.

use std::collections::BTreeMap;

use trial_node::{LeaderEpoch, NodeId, Time};

use crate::model::{QuorumChange, QuorumModel};
use crate::violation::Findings;
use crate::{PropertyInfo, QuorumProperty};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "quorum-one-leader",
    about: "No two nodes lead the metadata quorum in one epoch, none knows another leader of it, and no node votes for two \
            candidates in one epoch, restarts included.",
    source: "KIP-595; Raft (Ongaro 2014) §3.4",
};

#[derive(Default)]
pub(crate) struct OneQuorumLeader {
    leaders: BTreeMap<LeaderEpoch, NodeId>,
    votes: BTreeMap<(NodeId, LeaderEpoch), NodeId>,
}

impl QuorumProperty for OneQuorumLeader {
    fn changed(&mut self, at: Time, _: &QuorumModel, change: &QuorumChange<'_>, out: &mut Findings) {
        let now = change.now.view;
        let leader = if now.is_leader { Some(change.node) } else { now.leader };
        if let Some(leader) = leader {
            let known = *self.leaders.entry(now.epoch).or_insert(leader);
            if known != leader {
                out.report(
                    at,
                    vec![format!(
                        "epoch {}: node {} says that {leader} leads, but {known} was its leader",
                        now.epoch, change.node
                    )],
                );
            }
        }
        if let Some(vote) = now.voted_for {
            let known = *self.votes.entry((change.node, now.epoch)).or_insert(vote);
            if known != vote {
                out.report(
                    at,
                    vec![format!(
                        "node {} voted for {known} and for {vote} in epoch {}",
                        change.node, now.epoch
                    )],
                );
            }
        }
    }
}
