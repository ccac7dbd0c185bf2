//! A node's quorum epoch and high watermark only grow.

use std::collections::BTreeMap;

use trial_node::{LeaderEpoch, NodeId, Time};

use crate::model::{QuorumChange, QuorumModel};
use crate::violation::Findings;
use crate::{PropertyInfo, QuorumProperty};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "quorum-monotonic",
    about: "A node's quorum epoch never goes back, not even over a restart; nor does its high watermark while it runs.",
    source: "KIP-595",
};

#[derive(Default)]
pub(crate) struct QuorumMonotonic {
    epochs: BTreeMap<NodeId, LeaderEpoch>,
}

impl QuorumProperty for QuorumMonotonic {
    fn changed(&mut self, at: Time, _: &QuorumModel, change: &QuorumChange<'_>, out: &mut Findings) {
        let now = change.now.view;
        let epoch = self.epochs.entry(change.node).or_insert(now.epoch);
        if now.epoch < *epoch {
            out.report(
                at,
                vec![format!("node {} went from epoch {epoch} back to {}", change.node, now.epoch)],
            );
        }
        *epoch = (*epoch).max(now.epoch);
        if change.was_up && now.high_watermark.is_some() && now.high_watermark < change.before.high_watermark
        {
            out.report(
                at,
                vec![format!(
                    "node {}'s high watermark went from {:?} back to {:?} in epoch {}",
                    change.node,
                    change.before.high_watermark.map(|o| o.0),
                    now.high_watermark.map(|o| o.0),
                    now.epoch
                )],
            );
        }
    }
}
