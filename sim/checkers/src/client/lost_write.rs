//! What was acknowledged is there.

use trial_node::{ClientEvent, Time};

use crate::client::History;
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "lost-write",
    about: "A record acknowledged with acks=all is read; consumers never pass its offset without it.",
    source: "Kafka documentation, Replication; Jepsen, Redpanda 21.10.1",
};

#[derive(Default)]
pub(crate) struct LostWrite;

impl ClientProperty for LostWrite {
    fn event(&mut self, _: Time, _: &ClientEvent, _: &History, _: &mut Findings) {}

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        for (id, sent) in history.all_sent().filter(|(_, s)| s.promised && s.read.is_none()) {
            let Some((slot, offset)) = sent.acked else { continue };
            let (name, partition) = history.partition(slot);
            if partition.read_to <= offset {
                continue;
            }
            let found = partition.values.get(offset.0 as usize).copied().flatten();
            out.report(
                at,
                vec![
                    format!(
                        "record {} of producer {} was acknowledged at {name} offset {offset}, and never read",
                        id.sequence, id.producer
                    ),
                    match found {
                        Some(other) => format!(
                            "what was read at that offset is record {} of producer {}",
                            other.sequence, other.producer
                        ),
                        None => format!("consumers read on to offset {}", partition.read_to),
                    },
                ],
            );
        }
    }
}
