//! A producer's records keep their order.

use trial_node::{ClientEvent, RecordId};

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "producer-order",
    about: "A consumer reads the records of one idempotent producer in one partition in the order in which they were sent.",
    source: "KIP-98; Kafka documentation, Guarantees",
};

#[derive(Default)]
pub(crate) struct ProducerOrder {
    /// By consumer, partition's slot and producer, all numbered from 0: the last record that was read.
    last: Vec<Vec<Vec<Option<u64>>>>,
}

impl ClientProperty for ProducerOrder {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED.and(Concerns::OTHER)
    }

    fn event(&mut self, Seen { at, event, slot, sent }: Seen<'_>, _: &History, out: &mut Findings) {
        match event {
            Event::Polled { consumer, tp, offset, id: Some(id) } => {
                let RecordId { producer, sequence } = id;
                if !sent.is_some_and(|s| s.idempotent) {
                    return;
                }
                let of_consumer = grown(&mut self.last, consumer);
                let last = grown(grown(of_consumer, slot), producer);
                let before = last.replace(sequence);
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
                grown(grown(&mut self.last, *consumer), slot).clear();
            }
            Event::Single(ClientEvent::ClientStarted { consumers: true, first, count }) => {
                self.last.iter_mut().skip(*first as usize).take(*count as usize).for_each(Vec::clear);
            }
            _ => {}
        }
    }
}

/// The element at `index`, made with all before it if it is not there.
fn grown<T: Default>(list: &mut Vec<T>, index: u32) -> &mut T {
    let index = index as usize;
    if list.len() <= index {
        list.resize_with(index + 1, T::default);
    }
    &mut list[index]
}
