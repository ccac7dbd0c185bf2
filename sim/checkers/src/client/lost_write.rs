//! What was acknowledged is there.

use trial_node::Time;

use crate::client::{Concerns, History};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "lost-write",
    about: "A record acknowledged with acks=all is still in the log when everything is over, unless its topic's configuration \
            lets it go.",
    source: "Kafka documentation, Replication; Jepsen, Redpanda 21.10.1",
};

#[derive(Default)]
pub(crate) struct LostWrite;

impl ClientProperty for LostWrite {
    fn concerns(&self) -> Concerns {
        Concerns::NONE
    }

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        for (id, sent) in history.all_sent().filter(|(_, s)| s.audited().is_none() && history.is_promised(s))
        {
            let Some((slot, offset)) = sent.acked() else { continue };
            let (name, partition) = history.partition(slot);
            if partition.gone.has(offset) {
                continue;
            }
            // Where the audit has not been, only what consumers have passed by is known to be lost.
            if !history.is_audited(name) && (sent.read().is_some() || partition.read_to <= offset) {
                continue;
            }
            let seen = match (sent.read(), partition.value(offset)) {
                (Some(_), _) => "it was read before it was lost".to_owned(),
                (None, Some(other)) => {
                    format!(
                        "what was read at that offset is record {} of producer {}",
                        other.sequence, other.producer
                    )
                }
                (None, None) => format!("consumers read up to offset {}", partition.read_to),
            };
            out.report(
                at,
                vec![
                    format!(
                        "record {} of producer {} was acknowledged at {name} offset {offset}, and is not in the log",
                        id.sequence, id.producer
                    ),
                    seen,
                ],
            );
        }
    }
}
