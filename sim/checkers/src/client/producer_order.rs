//! A producer's records keep their order.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, RecordId, Time, TopicPartition};

use crate::client::History;
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "producer-order",
    about: "A consumer reads the records of one idempotent producer in one partition in the order in which they were sent.",
    source: "KIP-98; Kafka documentation, Guarantees",
};

#[derive(Default)]
pub(crate) struct ProducerOrder {
    /// The last record of each producer that a consumer read in a partition.
    last: BTreeMap<u32, BTreeMap<TopicPartition, BTreeMap<u32, u64>>>,
}

impl ClientProperty for ProducerOrder {
    fn event(&mut self, at: Time, event: &ClientEvent, history: &History, out: &mut Findings) {
        match event {
            ClientEvent::Polled { consumer, tp, offset, id: Some(RecordId { producer, sequence }) } => {
                let id = RecordId { producer: *producer, sequence: *sequence };
                if !history.sent(id).is_some_and(|s| s.idempotent) {
                    return;
                }
                let partitions = self.last.entry(*consumer).or_default();
                let producers = match partitions.get_mut(tp) {
                    Some(producers) => producers,
                    None => partitions.entry(tp.clone()).or_default(),
                };
                let before = producers.insert(*producer, *sequence);
                // The same record again is a duplicate, which has a property of its own.
                if let Some(before) = before.filter(|before| before > sequence) {
                    out.report(
                        at,
                        vec![format!(
                            "consumer {consumer} read record {sequence} of producer {producer} at {tp} offset {offset}, after \
                             its record {before}"
                        )],
                    );
                }
            }
            ClientEvent::PositionReset { consumer, tp, .. } => {
                if let Some(partitions) = self.last.get_mut(consumer) {
                    partitions.remove(tp);
                }
            }
            ClientEvent::ClientStarted { consumers: true, first, count } => {
                self.last.retain(|consumer, _| !(*first..first + count).contains(consumer));
            }
            _ => {}
        }
    }
}
