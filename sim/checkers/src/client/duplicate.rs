//! An idempotent producer's record is there once.

use trial_node::{ClientEvent, Time};

use crate::client::History;
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
    fn event(&mut self, at: Time, event: &ClientEvent, history: &History, out: &mut Findings) {
        let ClientEvent::Polled { consumer, tp, offset, id: Some(id) } = event else { return };
        let Some(sent) = history.sent(*id).filter(|s| s.idempotent) else { return };
        let Some((slot, first)) = sent.read.or(sent.audited) else { return };
        let (first_tp, _) = history.partition(slot);
        if first != *offset || first_tp != tp {
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
