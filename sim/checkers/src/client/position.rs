//! Where each consumer is, as its own events tell.

use std::collections::BTreeMap;

use trial_node::{ClientEvent, Offset, TopicPartition};

/// What a consumer should read next in each of its partitions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions(BTreeMap<u32, BTreeMap<TopicPartition, Offset>>);

impl Positions {
    /// Takes an event; for a read, gives the offset that was expected, if one was.
    pub(crate) fn advance(&mut self, event: &ClientEvent) -> Option<Offset> {
        match event {
            ClientEvent::Polled { consumer, tp, offset, .. } => {
                let partitions = self.0.entry(*consumer).or_default();
                match partitions.get_mut(tp) {
                    Some(next) => Some(std::mem::replace(next, *offset + 1)),
                    None => {
                        partitions.insert(tp.clone(), *offset + 1);
                        None
                    }
                }
            }
            ClientEvent::PositionReset { consumer, tp, to, .. } => {
                self.0.entry(*consumer).or_default().insert(tp.clone(), *to);
                None
            }
            ClientEvent::ClientStarted { consumers: true, first, count } => {
                self.0.retain(|consumer, _| !(*first..first + count).contains(consumer));
                None
            }
            _ => None,
        }
    }
}
