//! Every in-sync replica holds what its leader calls committed.

use trial_node::{NodeId, Time};

use crate::model::{Change, ClusterModel};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "isr-completeness",
    about: "When a leader advances its high watermark, every member of its ISR holds all records below it, those \
            included that the controller has just let in.",
    source: "KIP-497, KIP-841; Kafka documentation, Replication",
};

#[derive(Default)]
pub(crate) struct IsrCompleteness;

impl ClusterProperty for IsrCompleteness {
    fn changed(&mut self, at: Time, model: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        let Some(claimed) = change.claimed() else { return };
        let now = change.now;
        let decided = model.decided_isr(change.slot, now.head.leader_epoch);
        let not_confirmed = decided.iter().filter(|member| !now.isr.contains(member));
        for member in now.isr.iter().chain(not_confirmed).filter(|member| **member != change.broker) {
            if let Some(end) = model.falls_short(change.slot, *member, claimed) {
                let ids = |members: &[NodeId]| members.iter().map(|id| id.0).collect::<Vec<_>>();
                let held = format!(
                    "broker {member} is in the ISR (confirmed {:?}, decided {:?}) and its log ends at {end}",
                    ids(&now.isr),
                    ids(decided)
                );
                out.report(at, vec![change.claim(), held]);
            }
        }
    }
}
