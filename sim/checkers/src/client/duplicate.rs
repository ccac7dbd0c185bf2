//! An idempotent producer's record is there once.

use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "duplicate",
    about: "A record of an idempotent producer is read at one offset only.",
    source: "KIP-98, idempotent producer",
};

#[derive(Default)]
pub(crate) struct Duplicate;

impl ClientProperty for Duplicate {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED
    }

    fn event(&mut self, Seen { at, event, slot, sent }: Seen<'_>, history: &History, out: &mut Findings) {
        let Event::Polled { consumer, tp, offset, id: Some(id) } = event else { return };
        let Some(sent) = sent.filter(|s| s.idempotent) else { return };
        let Some((first_slot, first)) = sent.read().or(sent.audited()) else { return };
        if (first_slot, first) != (slot, offset) {
            let (first_tp, _) = history.partition(first_slot);
            out.report(
                at,
                vec![format!(
                    "record {} of producer {} was read at {first_tp} offset {first}, and again at {tp} offset {offset} by \
                     consumer {consumer}",
                    id.sequence, id.producer
                )],
            );
        }
    }
}
