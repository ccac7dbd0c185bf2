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
        let Change { before, now, .. } = change;
        let claimed = now.head.high_watermark;
        if !now.head.leader || claimed <= before.high_watermark {
            return;
        }
        for member in model.decided_elr(change.slot, now.head.leader_epoch) {
            let held = model.replicas(change.slot).get(*member).map(|r| r.head);
            // Who lost power may have lost what it had; the controller finds out when it registers anew.
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
                        "broker {member} is eligible to lead and its log ends at {}",
                        held.map_or("nothing".to_owned(), |h| h.log_end_offset.to_string())
                    ),
                ],
            );
        }
    }
}
