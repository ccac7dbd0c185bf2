//! A record is where its acknowledgement said.

use trial_node::{Offset, RecordId, Time, TopicPartition};

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "acked-offset",
    about: "The partition and offset at which a record is read are those that its acknowledgement named.",
    source: "Kafka protocol, Produce response; Jepsen's Kafka workload",
};

#[derive(Default)]
pub(crate) struct AckedOffset;

impl ClientProperty for AckedOffset {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED.and(Concerns::ACKED)
    }

    fn event(&mut self, Seen { at, event, slot, sent }: Seen<'_>, history: &History, out: &mut Findings) {
        // Whichever comes second is judged. A producer that may duplicate has its record at other offsets too.
        match event {
            Event::Polled { tp, offset, id: Some(id), .. } => {
                let Some(sent) = sent.filter(|s| s.idempotent) else { return };
                if let Some(acked) = sent.acked().filter(|acked| *acked != (slot, offset)) {
                    judge(at, id, (history.partition(acked.0).0, acked.1), (tp, offset), out);
                }
            }
            Event::Acked { id, tp, offset } => {
                let Some(sent) = sent.filter(|s| s.idempotent) else { return };
                if let Some(read) = sent.read().filter(|read| *read != (slot, offset)) {
                    judge(at, id, (tp, offset), (history.partition(read.0).0, read.1), out);
                }
            }
            _ => {}
        }
    }
}

fn judge(
    at: Time,
    id: RecordId,
    acked: (&TopicPartition, Offset),
    read: (&TopicPartition, Offset),
    out: &mut Findings,
) {
    if acked.1 != Offset::UNKNOWN {
        out.report(
            at,
            vec![format!(
                "record {} of producer {} was acknowledged at {} offset {} and read at {} offset {}",
                id.sequence, id.producer, acked.0, acked.1, read.0, read.1
            )],
        );
    }
}
