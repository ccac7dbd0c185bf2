//! What was refused is not there.

use crate::client::{Concerns, Event, History, Seen, Sent};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "refused-read",
    about: "A record whose send failed for certain is never read, and nothing is read that was never sent.",
    source: "Jepsen's Kafka workload: aborted read",
};

#[derive(Default)]
pub(crate) struct RefusedRead;

impl ClientProperty for RefusedRead {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED.and(Concerns::FAILED)
    }

    fn event(&mut self, Seen { at, event, sent, .. }: Seen<'_>, history: &History, out: &mut Findings) {
        // Whichever comes second is judged.
        match event {
            Event::Polled { consumer, tp, offset, id: Some(id) } => {
                let what = match sent {
                    None => "was never sent",
                    Some(sent) if sent.refused => "failed for certain",
                    Some(_) => return,
                };
                out.report(
                    at,
                    vec![format!(
                        "record {} of producer {} {what}; consumer {consumer} read it at {tp} offset {offset}",
                        id.sequence, id.producer
                    )],
                );
            }
            Event::Failed { id, error, ambiguous: false } => {
                let Some((slot, offset)) = sent.and_then(Sent::read) else { return };
                let (tp, _) = history.partition(slot);
                out.report(
                    at,
                    vec![format!(
                        "record {} of producer {} failed for certain ({error}), but was read at {tp} offset {offset} before",
                        id.sequence, id.producer
                    )],
                );
            }
            _ => {}
        }
    }
}
