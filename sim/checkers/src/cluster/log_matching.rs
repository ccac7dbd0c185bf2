//! Below their high watermarks all replicas hold the same.

use std::collections::BTreeMap;

use trial_node::{NodeId, Offset, Time};

use crate::model::{Change, ClusterModel, Head, PerSlot, first_difference, show};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "log-matching",
    about: "A replica holds everything below its high watermark, and there it is what every other replica holds, or held.",
    source: "KIP-101; KAFKA-1211",
};

#[derive(Default)]
pub(crate) struct LogMatching {
    /// Up to where a replica was found to match.
    matched: PerSlot<BTreeMap<NodeId, Offset>>,
}

impl ClusterProperty for LogMatching {
    fn changed(&mut self, at: Time, _: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        let Change { before, now, committed, .. } = change;
        let ends = |head: &Head| (head.high_watermark, head.log_end_offset);
        if now.head.high_watermark > now.head.log_end_offset && ends(&now.head) != ends(before) {
            out.report(
                at,
                vec![format!(
                    "broker {}'s replica of {} has high watermark {}, but its log ends at {}",
                    change.broker, change.name, now.head.high_watermark, now.head.log_end_offset
                )],
            );
        }
        let matched = self.matched.of(change.slot).entry(change.broker).or_insert(Offset::ZERO);
        if let Some(cut) = change.truncated_to {
            *matched = (*matched).min(cut);
        }
        let to = now.head.high_watermark.min(now.head.log_end_offset).min(committed.end);
        if to <= *matched || change.compacted {
            return;
        }
        let from = (*matched).max(now.head.log_start_offset);
        if let Some((here, there)) = first_difference(&now.batches, &committed.batches, from, to) {
            out.report(
                at,
                vec![
                    format!(
                        "broker {}'s replica of {} differs below its high watermark {}",
                        change.broker, change.name, now.head.high_watermark
                    ),
                    format!("its log has {}", show(here)),
                    format!("committed was {}", show(there)),
                ],
            );
        }
        *matched = to;
    }
}
