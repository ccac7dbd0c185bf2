//! An offset holds one record.

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "two-values-at-one-offset",
    about: "Whoever reads an offset of a partition, and whenever, reads the same record.",
    source: "Jepsen's Kafka workload: inconsistent offsets",
};

#[derive(Default)]
pub(crate) struct TwoValues;

impl ClientProperty for TwoValues {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED
    }

    fn event(&mut self, Seen { at, event, slot, .. }: Seen<'_>, history: &History, out: &mut Findings) {
        let Event::Polled { consumer, tp, offset, id: Some(id) } = event else { return };
        let (_, partition) = history.partition(slot);
        if let Some(known) = partition.value(offset).filter(|known| *known != id) {
            out.report(
                at,
                vec![
                    format!(
                        "{tp} offset {offset} was read as record {} of producer {}",
                        known.sequence, known.producer
                    ),
                    format!(
                        "consumer {consumer} now reads record {} of producer {} there",
                        id.sequence, id.producer
                    ),
                ],
            );
        }
    }
}
