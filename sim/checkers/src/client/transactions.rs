//! What the clients' transactions came to.

use std::collections::BTreeMap;
use std::ops::Range;

use trial_node::{RecordId, TransactionEvent, TransactionId, TransactionOutcome};

/// How far a transaction has come, as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has begun.
    Open,
    /// Its client has asked to commit.
    Committing,
    /// Its client has been told that it is committed.
    Committed,
    /// It is certain that it must not take effect: it was aborted, or its client died before it asked to commit.
    Aborted,
    /// Its client asked to commit and does not know what became of it.
    Unknown,
}

/// A transaction.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    /// The consumer that reads within it.
    pub(crate) consumer: Option<u32>,
    pub(crate) state: State,
    /// The records that were sent within it.
    pub(crate) sent: Vec<RecordId>,
}

impl Transaction {
    pub(crate) fn is_committed(&self) -> bool {
        self.state == State::Committed
    }
}

/// All transactions, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transactions {
    list: Vec<Transaction>,
    /// The transaction that each producer has open.
    open: BTreeMap<u32, u32>,
    /// The transaction within which each consumer reads.
    reading: BTreeMap<u32, u32>,
}

impl Transactions {
    pub(crate) fn get(&self, index: u32) -> &Transaction {
        &self.list[index as usize]
    }

    pub(crate) fn all(&self) -> &[Transaction] {
        &self.list
    }

    /// The transaction within which a consumer reads now.
    pub(crate) fn reading(&self, consumer: u32) -> Option<u32> {
        self.reading.get(&consumer).copied()
    }

    /// A record was handed to its producer: gives the transaction that it belongs to.
    pub(crate) fn sent(&mut self, id: RecordId) -> Option<u32> {
        let index = *self.open.get(&id.producer)?;
        self.list[index as usize].sent.push(id);
        Some(index)
    }

    pub(crate) fn apply(&mut self, event: &TransactionEvent) {
        match event {
            TransactionEvent::Begun { id, consumer } => {
                let index = self.list.len() as u32;
                self.open.insert(id.producer, index);
                if let Some(consumer) = consumer {
                    self.reading.insert(*consumer, index);
                }
                let consumer = *consumer;
                self.list.push(Transaction { id: *id, consumer, state: State::Open, sent: Vec::new() });
            }
            TransactionEvent::Ending { id, commit } => {
                let Some(&index) = self.open.get(&id.producer) else { return };
                let transaction = &mut self.list[index as usize];
                if *commit {
                    transaction.state = State::Committing;
                }
                if let Some(consumer) = transaction.consumer {
                    self.reading.remove(&consumer);
                }
            }
            TransactionEvent::Ended { id, outcome } => {
                let state = match outcome {
                    TransactionOutcome::Committed => State::Committed,
                    TransactionOutcome::Aborted => State::Aborted,
                    TransactionOutcome::Unknown { .. } => State::Unknown,
                };
                self.end(id.producer, state);
            }
        }
    }

    /// The processes of these producers began anew.
    pub(crate) fn restarted(&mut self, producers: Range<u32>) {
        for producer in producers {
            let Some(&index) = self.open.get(&producer) else { continue };
            let asked = self.list[index as usize].state == State::Committing;
            self.end(producer, if asked { State::Unknown } else { State::Aborted });
        }
    }

    fn end(&mut self, producer: u32, state: State) {
        let Some(index) = self.open.remove(&producer) else { return };
        let transaction = &mut self.list[index as usize];
        transaction.state = state;
        if let Some(consumer) = transaction.consumer {
            self.reading.remove(&consumer);
        }
    }
}
