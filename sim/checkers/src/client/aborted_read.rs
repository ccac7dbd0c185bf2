//! What was aborted is not read.

use trial_node::{Offset, RecordId, Time, TopicPartition};

use crate::client::transactions::State;
use crate::client::{Concerns, Event, History, Seen};
use crate::violation::Findings;
use crate::{ClientProperty, PropertyInfo};

pub(crate) const INFO: PropertyInfo = PropertyInfo {
    name: "aborted-read",
    about: "A consumer with isolation.level=read_committed never reads a record of a transaction that was aborted.",
    source: "KIP-98; Jepsen's Kafka workload: aborted read",
};

/// The read of a record whose transaction was not known to be committed then; judged at the end.
struct Read {
    at: Time,
    id: RecordId,
    consumer: u32,
    tp: TopicPartition,
    offset: Offset,
}

#[derive(Default)]
pub(crate) struct AbortedRead {
    doubtful: Vec<Read>,
}

impl ClientProperty for AbortedRead {
    fn concerns(&self) -> Concerns {
        Concerns::POLLED_TRANSACTED
    }

    fn event(&mut self, Seen { at, event, sent, .. }: Seen<'_>, history: &History, _: &mut Findings) {
        let Event::Polled { consumer, tp, offset, id: Some(id) } = event else { return };
        let Some(transaction) = sent.and_then(|sent| history.transaction_of(sent)) else {
            return;
        };
        if !transaction.is_committed() && history.reads_committed(consumer) {
            self.doubtful.push(Read { at, id, consumer, tp: tp.clone(), offset });
        }
    }

    fn finish(&mut self, _: Time, history: &History, out: &mut Findings) {
        for Read { at, id, consumer, tp, offset } in &self.doubtful {
            let transaction = history.sent(*id).and_then(|sent| history.transaction_of(sent));
            let Some(transaction) = transaction.filter(|t| t.state == State::Aborted) else { continue };
            out.report(
                *at,
                vec![format!(
                    "consumer {consumer} read {tp} offset {offset}: record {} of producer {}, whose transaction {} was aborted",
                    id.sequence, id.producer, transaction.id.number
                )],
            );
        }
    }
}
