//! A new leader holds every committed record.

use trial_node::Time;

use crate::model::{Change, ClusterModel, first_difference, show};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "leader-completeness",
    about: "A replica that begins to lead holds every record that was ever committed.",
    source: "KIP-101, KIP-279; Raft (Ongaro 2014) §3.6",
};

#[derive(Default)]
pub(crate) struct LeaderCompleteness;

impl ClusterProperty for LeaderCompleteness {
    fn changed(&mut self, at: Time, _: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        let Change { before, now, committed, .. } = change;
        let began = now.head.leader && !(before.leader && before.leader_epoch == now.head.leader_epoch);
        if !began || change.compacted {
            return;
        }
        let from = now.head.log_start_offset;
        if let Some((here, there)) = first_difference(&now.batches, &committed.batches, from, committed.end) {
            out.report(
                at,
                vec![
                    format!(
                        "broker {} leads {} in epoch {} with log end offset {}; committed is everything below {}",
                        change.broker, change.name, now.head.leader_epoch, now.head.log_end_offset, committed.end
                    ),
                    format!("its log has {}", show(here)),
                    format!("committed was {}", show(there)),
                ],
            );
        }
    }
}
