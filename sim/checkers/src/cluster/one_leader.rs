//! A leader epoch has one leader.

use std::collections::BTreeMap;

use trial_node::{LeaderEpoch, NodeId, Time};

use crate::model::{Change, ClusterModel, Slot};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "one-leader",
    about: "No two brokers lead one partition in one leader epoch.",
    source: "KIP-101; KIP-631",
};

#[derive(Default)]
pub(crate) struct OneLeader {
    leaders: BTreeMap<(Slot, LeaderEpoch), NodeId>,
}

impl ClusterProperty for OneLeader {
    fn changed(&mut self, at: Time, _: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        let (before, now) = (change.before, change.now.head);
        if !now.leader || (before.leader && before.leader_epoch == now.leader_epoch) {
            return;
        }
        let first = *self.leaders.entry((change.slot, now.leader_epoch)).or_insert(change.broker);
        if first != change.broker {
            out.report(
                at,
                vec![format!(
                    "brokers {first} and {} both lead {} in epoch {}",
                    change.broker, change.name, now.leader_epoch
                )],
            );
        }
    }
}
