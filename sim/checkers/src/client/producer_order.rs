//! A producer's records keep their order.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, RecordId};

use crate::client::{Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "producer-order",
    about: "A consumer reads the records of one idempotent producer in one partition in the order in which they were sent.",
    source: "KIP-98; Kafka documentation, Guarantees",
};

#[derive(Default)]
pub(crate) struct ProducerOrder {
    /// By consumer and partition's slot: the last record of each producer that was read.
    last: BTreeMap<(u32, u32), BTreeMap<u32, u64>>,
}

impl ClientProperty for ProducerOrder {
    fn event(&mut self, Seen { at, event, slot }: Seen<'_>, history: &History, out: &mut Findings) {
        match event {
            Event::Polled { consumer, tp, offset, id: Some(id) } => {
                let RecordId { producer, sequence } = id;
                if !history.sent(id).is_some_and(|s| s.idempotent) {
                    return;
                }
                let before = self.last.entry((consumer, slot)).or_default().insert(producer, sequence);
                // The same record again is a duplicate, which has a property of its own.
                if let Some(before) = before.filter(|before| *before > sequence) {
                    out.report(
                        at,
                        vec![format!(
                            "consumer {consumer} read record {sequence} of producer {producer} at {tp} offset {offset}, after \
                             its record {before}"
                        )],
                    );
                }
            }
            Event::Single(ClientEvent::PositionReset { consumer, .. }) => {
                self.last.remove(&(*consumer, slot));
            }
            Event::Single(ClientEvent::ClientStarted { consumers: true, first, count }) => {
                self.last.retain(|(consumer, _), _| !(*first..first + count).contains(consumer));
            }
            _ => {}
        }
    }
}
