//! Every in-sync replica holds what its leader calls committed.

use trial_node::Time;

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
        let Change { before, now, .. } = change;
        let claimed = now.head.high_watermark;
        if !now.head.leader || claimed <= before.high_watermark {
            return;
        }
        let replicas = model.replicas(change.slot);
        let decided = model.decided_isr(change.slot, now.head.leader_epoch);
        let not_confirmed = decided.iter().filter(|member| !now.isr.contains(member));
        for member in now.isr.iter().chain(not_confirmed).filter(|member| **member != change.broker) {
            let held = replicas.get(*member).map(|r| r.head);
            // A member that lost power may have lost what it had acknowledged; Kafka finds out when it registers anew.
            if held.is_some_and(|h| Some(h.log_end_offset).max(h.before_power_loss) >= Some(claimed)) {
                continue;
            }
            if held.is_none() && model.began_with_data {
                continue;
            }
            out.report(
                at,
                vec![
                    format!(
                        "broker {} leads {} in epoch {} and moved its high watermark from {} to {claimed}",
                        change.broker, change.name, now.head.leader_epoch, before.high_watermark
                    ),
                    format!(
                        "broker {member} is in the ISR (confirmed {:?}, decided {:?}) and its log ends at {}",
                        now.isr.iter().map(|id| id.0).collect::<Vec<_>>(),
                        decided.iter().map(|id| id.0).collect::<Vec<_>>(),
                        held.map_or("nothing".to_owned(), |h| h.log_end_offset.to_string())
                    ),
                ],
            );
        }
    }
}
