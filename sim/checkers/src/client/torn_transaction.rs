//! A transaction takes effect as a whole.

use trial_node::Time;

use crate::client::transactions::State;
use crate::client::{Concerns, History};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "torn-transaction",
    about: "When everything is over, either all records of a transaction can be read with isolation.level=read_committed or \
            none, whatever its client knows of its end.",
    source: "KIP-98, atomic writes to several partitions",
};

#[derive(Default)]
pub(crate) struct TornTransaction;

impl ClientProperty for TornTransaction {
    fn concerns(&self) -> Concerns {
        Concerns::NONE
    }

    fn finish(&mut self, at: Time, history: &History, out: &mut Findings) {
        for transaction in history.transactions().all() {
            // Nothing of one that was aborted must be there: that is another property's.
            if !matches!(transaction.state, State::Committed | State::Unknown | State::Committing) {
                continue;
            }
            let mut there = Vec::new();
            let mut missing = Vec::new();
            for id in &transaction.sent {
                let Some(sent) = history.sent(*id).filter(|sent| !sent.refused) else { continue };
                let audited = |slot| history.is_audited(history.partition(slot).0);
                match (sent.audited(), sent.acked()) {
                    (Some(_), _) => there.push(id),
                    // Where the audit could not read to the end, nothing is known to be missing.
                    (None, Some((slot, offset))) if audited(slot) => {
                        // Of a compacted topic it may be gone by right.
                        if !history.partition(slot).1.gone.has(offset) {
                            missing.push(id);
                        }
                    }
                    (None, _) => {}
                }
            }
            if let (Some(first), Some(absent)) = (there.first(), missing.first()) {
                out.report(
                    at,
                    vec![
                        format!(
                            "transaction {} of producer {}: {} of its records can be read, {} cannot",
                            transaction.id.number,
                            transaction.id.producer,
                            there.len(),
                            missing.len()
                        ),
                        format!("record {} can be read, record {} cannot", first.sequence, absent.sequence),
                    ],
                );
            }
        }
    }
}
