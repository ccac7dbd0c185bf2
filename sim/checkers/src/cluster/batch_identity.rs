//! A leader writes an offset once in its epoch.

use std::collections::BTreeMap;

use trial_node::view::BatchView;
use trial_node::{LeaderEpoch, Offset, Time};

use crate::chunked::Chunked;
use crate::model::{Change, ClusterModel, PerSlot, first_from, same_batch, show};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "batch-identity",
    about: "For one partition, offset and leader epoch there is one batch, on whichever replica it is seen.",
    source: "KIP-101; Raft (Ongaro 2014) §3.5, log matching",
};

#[derive(Default)]
pub(crate) struct BatchIdentity {
    seen: PerSlot<BTreeMap<LeaderEpoch, Chunked<BatchView>>>,
}

impl ClusterProperty for BatchIdentity {
    fn changed(&mut self, at: Time, _: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        if change.compacted {
            return;
        }
        for batch in change.appended {
            let seen = self.seen.of(change.slot).entry(batch.leader_epoch).or_default();
            let at_index = first_from(seen, batch.base_offset);
            match seen.get(at_index) {
                Some(known) if overlaps(known, batch) => {
                    if !same_batch(known, batch) {
                        out.report(
                            at,
                            vec![
                                format!(
                                    "{} on broker {}: {}",
                                    change.name,
                                    change.broker,
                                    show(Some(*batch))
                                ),
                                format!("seen before: {}", show(Some(*known))),
                            ],
                        );
                    }
                }
                _ => seen.insert(at_index, *batch),
            }
        }
    }
}

fn overlaps(a: &BatchView, b: &BatchView) -> bool {
    let holds = |b: &BatchView, offset: Offset| b.base_offset <= offset && offset <= b.last_offset;
    holds(a, b.base_offset) || holds(b, a.base_offset)
}
