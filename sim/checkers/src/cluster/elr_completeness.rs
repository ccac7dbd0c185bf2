//! Every eligible leader replica holds what the leader calls committed.

use trial_node::Time;

use crate::model::{Change, ClusterModel};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "elr-completeness",
    about: "When a leader advances its high watermark, every replica that the controller calls eligible to lead without being \
            in sync holds all records below it.",
    source: "KIP-966",
};

#[derive(Default)]
pub(crate) struct ElrCompleteness;

impl ClusterProperty for ElrCompleteness {
    fn changed(&mut self, at: Time, model: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        let Some(claimed) = change.claimed() else { return };
        for member in model.decided_elr(change.slot, change.now.head.leader_epoch) {
            if let Some(end) = model.falls_short(change.slot, *member, claimed) {
                let held = format!("broker {member} is eligible to lead and its log ends at {end}");
                out.report(at, vec![change.claim(), held]);
            }
        }
    }
}
