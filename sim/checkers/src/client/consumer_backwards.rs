//! A consumer does not go back.

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "consumer-backwards",
    about: "A consumer's offsets in a partition only grow, unless its position was reset.",
    source: "Jepsen's Kafka workload: nonmonotonic poll",
};

#[derive(Default)]
pub(crate) struct ConsumerBackwards;

impl ClientProperty for ConsumerBackwards {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED
    }

    fn event(&mut self, Seen { at, event, slot, .. }: Seen<'_>, history: &History, out: &mut Findings) {
        let Event::Polled { consumer, tp, offset, .. } = event else { return };
        if let Some(expected) = history.position(consumer, slot).filter(|expected| offset < *expected) {
            out.report(
                at,
                vec![format!(
                    "consumer {consumer} read {tp} offset {offset}, but had already read up to {expected}"
                )],
            );
        }
    }
}
