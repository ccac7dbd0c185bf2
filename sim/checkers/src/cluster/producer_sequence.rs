//! A producer's batches follow one another in a log without gap or repetition.

use std::collections::BTreeMap;

use trial_node::view::BatchView;
use trial_node::{NodeId, ProducerEpoch, ProducerId, Time};

use crate::model::{Change, ClusterModel, PerSlot, show};
use crate::violation::Findings;
use crate::{ClusterProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "producer-sequence",
    about: "In every replica's log, the sequence numbers of one producer id and epoch are contiguous, and an older \
            epoch never follows a newer one.",
    source: "KIP-98, idempotent producer",
};

type Last = BTreeMap<ProducerId, (ProducerEpoch, i32)>;

#[derive(Default)]
pub(crate) struct ProducerSequence {
    last: PerSlot<BTreeMap<NodeId, Last>>,
}

impl ClusterProperty for ProducerSequence {
    fn changed(&mut self, at: Time, _: &ClusterModel, change: &Change<'_>, out: &mut Findings) {
        // A follower may be sent what is left of a compacted log.
        if change.compacted || (change.appended.is_empty() && change.truncated_to.is_none()) {
            return;
        }
        let last = self.last.of(change.slot).entry(change.broker).or_default();
        // A replica that was not served, for its directory was offline, may have been cut since.
        let anew = || (!change.before.up).then(|| change.appended.first().map(|batch| batch.base_offset));
        if let Some(cut) = change.truncated_to.or_else(|| anew().flatten()) {
            // What was cut was judged when it came; what is left sets where each producer stands.
            last.clear();
            let left = change.now.batches.range(change.now.head.log_start_offset, cut);
            for batch in left.filter(|batch| is_sequenced(change, batch)) {
                last.insert(batch.producer_id, (batch.producer_epoch, batch.last_sequence));
            }
        }
        for batch in change.appended.iter().filter(|batch| is_sequenced(change, batch)) {
            let before = last.insert(batch.producer_id, (batch.producer_epoch, batch.last_sequence));
            if before.is_some_and(|before| !follows(before, batch)) {
                let (epoch, sequence) = before.expect("checked in the condition");
                out.report(
                    at,
                    vec![
                        format!("{} on broker {}: {}", change.name, change.broker, show(Some(*batch))),
                        format!(
                            "producer {}'s batch before it had epoch {epoch} and last sequence {sequence}",
                            batch.producer_id
                        ),
                    ],
                );
            }
        }
    }
}

/// Offsets that a group's coordinator writes in a transaction have a producer, but no sequence: it writes them itself.
fn is_sequenced(change: &Change<'_>, batch: &BatchView) -> bool {
    let own = batch.base_sequence == -1 && change.name.topic.as_str() == trial_coordinator::CONSUMER_OFFSETS;
    batch.producer_id != ProducerId::NONE && !batch.control && !own
}

/// A new epoch starts at any sequence number that the broker accepts: 0, by KIP-98.
fn follows((epoch, last): (ProducerEpoch, i32), batch: &BatchView) -> bool {
    if batch.producer_epoch == epoch {
        batch.base_sequence == if last == i32::MAX { 0 } else { last + 1 }
    } else {
        batch.producer_epoch > epoch && batch.base_sequence == 0
    }
}
