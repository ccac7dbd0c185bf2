//! What is not committed yet is not read.

use crate::client::transactions::State;
use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "read-before-commit",
    about: "A consumer with isolation.level=read_committed reads no record before its producer has asked to commit the \
            transaction, nor does a transaction read what it has written itself.",
    source: "KIP-98; Jepsen's Kafka workload: precommitted read",
};

#[derive(Default)]
pub(crate) struct ReadBeforeCommit;

impl ClientProperty for ReadBeforeCommit {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED_TRANSACTED
    }

    fn event(&mut self, Seen { at, event, sent, .. }: Seen<'_>, history: &History, out: &mut Findings) {
        let Event::Polled { consumer, tp, offset, id: Some(id) } = event else { return };
        let Some(transaction) = sent.and_then(|sent| history.transaction_of(sent)) else {
            return;
        };
        if transaction.state == State::Open && history.reads_committed(consumer) {
            out.report(
                at,
                vec![format!(
                    "consumer {consumer} read {tp} offset {offset}: record {} of producer {}, whose transaction {} is open",
                    id.sequence, id.producer, transaction.id.number
                )],
            );
        }
    }
}
