//! What was acknowledged becomes readable.

use trial_node::Time;

use crate::client::{Concerns, History};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "unseen-after-heal",
    about: "Once the faults are over, every record acknowledged with acks=all is read by the consumers of its topic, as far \
            as they did not begin after it.",
    source: "Jepsen's Kafka workload: unseen",
};

#[derive(Default)]
pub(crate) struct Unseen;

impl ClientProperty for Unseen {
    fn concerns(&self) -> Concerns {
        Concerns::NONE
    }

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        for (id, sent) in history.all_sent().filter(|(_, s)| s.read().is_none() && history.is_promised(s)) {
            let Some((slot, offset)) = sent.acked() else { continue };
            let (name, partition) = history.partition(slot);
            let passed = partition.gone.has(offset)
                || partition.read_to > offset
                || history.is_passed_over(slot, offset);
            if passed || !history.is_consumed(&name.topic) {
                continue;
            }
            out.report(
                at,
                vec![format!(
                    "record {} of producer {} was acknowledged at {name} offset {offset}; consumers only got to offset {}",
                    id.sequence, id.producer, partition.read_to
                )],
            );
        }
    }
}
