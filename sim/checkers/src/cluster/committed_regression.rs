//! What is committed stays committed.

use trial_node::{LeaderEpoch, Time};

use crate::model::{Change, ClusterModel, PerSlot};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "committed-regression",
    about: "The leader of the highest epoch never ends below the true high watermark, the highest that any replica \
            claimed; and no leader's own high watermark goes back within its epoch.",
    source: "KIP-101; KAFKA-3428",
};

#[derive(Default)]
pub(crate) struct CommittedRegression {
    newest: PerSlot<LeaderEpoch>,
}

impl ClusterProperty for CommittedRegression {
    fn changed(&mut self, at: Time, _: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        let Change { before, now, committed, .. } = change;
        let epoch = now.head.leader_epoch;
        let newest = self.newest.of(change.slot);
        *newest = (*newest).max(epoch);
        if !now.head.leader || epoch < *newest {
            return;
        }
        let same_term = before.leader && before.leader_epoch == epoch;
        if now.head.log_end_offset < committed.end && (before.log_end_offset >= committed.end || !same_term) {
            out.report(
                at,
                vec![format!(
                    "broker {} leads {} in epoch {epoch} with log end offset {}, below the true high watermark {}",
                    change.broker, change.name, now.head.log_end_offset, committed.end
                )],
            );
        }
        if same_term && now.head.high_watermark < before.high_watermark {
            out.report(
                at,
                vec![format!(
                    "broker {} leads {} in epoch {epoch} and its high watermark went from {} back to {}",
                    change.broker, change.name, before.high_watermark, now.head.high_watermark
                )],
            );
        }
    }
}
