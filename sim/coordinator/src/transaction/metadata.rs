//! What is known of a transactional id, and what each step makes of it. Nothing here changes anything: each step gives what the
//! log is to say next.

use std::collections::BTreeSet;

use trial_node::view::TransactionState;
use trial_node::{ProducerEpoch, ProducerId, TopicPartition};

use super::record::TransactionLogValue;

/// No epoch.
pub(super) const NO_EPOCH: ProducerEpoch = ProducerEpoch(-1);

/// The last epoch that a producer is given. The one after it is kept for fencing the producer.
pub(super) const LAST_EPOCH: ProducerEpoch = ProducerEpoch(i16::MAX - 1);

/// A transactional id's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TransactionMetadata {
    /// What the log says.
    pub log: TransactionLogValue,
    /// The epoch before the current one, if its producer may ask again for what it was answered (KIP-360). Not in the log: after
    /// a fail-over such a retry is fenced, as in Kafka.
    pub last_producer_epoch: ProducerEpoch,
}

/// The producer id and epoch that a producer says it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProducerIdAndEpoch {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
}

/// Why an InitProducerId cannot go on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextEpoch {
    /// The epoch is free: this is what follows.
    Of(ProducerEpoch, ProducerEpoch),
    /// The epochs of the producer id are used up.
    Exhausted,
    /// The producer has been replaced.
    Fenced,
}

impl TransactionMetadata {
    /// What a record of the log says.
    pub fn logged(log: TransactionLogValue) -> TransactionMetadata {
        TransactionMetadata { log, last_producer_epoch: NO_EPOCH }
    }

    /// A transactional id that has not been used before.
    pub fn new(producer_id: ProducerId, timeout_ms: i32, now_ms: i64) -> TransactionMetadata {
        TransactionMetadata::logged(TransactionLogValue {
            producer_id,
            previous_producer_id: ProducerId::NONE,
            next_producer_id: ProducerId::NONE,
            producer_epoch: ProducerEpoch(0),
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            last_update_ms: now_ms,
            start_ms: -1,
            client_transaction_version: 0,
        })
    }

    /// Whether the client, when it ended or began this transaction, followed version 2 of the protocol (KIP-890).
    pub fn bumps_epoch(&self) -> bool {
        self.log.client_transaction_version >= 2
    }

    /// Whether no further epoch can be given to a producer with this producer id.
    pub fn is_exhausted(&self) -> bool {
        self.log.producer_epoch >= LAST_EPOCH
    }

    /// Whether a producer that says it is `expected` may go on under this transactional id (KIP-360). Its epoch is looked at
    /// by [`TransactionMetadata::next_epoch`].
    pub fn knows(&self, expected: ProducerIdAndEpoch) -> bool {
        // The previous one: the answer with the new producer id was lost.
        expected.producer_id == self.log.producer_id
            || expected.producer_id == self.log.previous_producer_id && expected.producer_epoch >= LAST_EPOCH
    }

    /// The epoch, with the one before it, that an InitProducerId gives while no transaction is open.
    pub fn next_epoch(&self, expected: Option<ProducerIdAndEpoch>) -> NextEpoch {
        let current = self.log.producer_epoch;
        let next = ProducerEpoch(current.0.saturating_add(1));
        match expected.map(|expected| expected.producer_epoch) {
            None if self.is_exhausted() => NextEpoch::Exhausted,
            None => NextEpoch::Of(next, NO_EPOCH),
            Some(expected) if expected == current && self.is_exhausted() => NextEpoch::Exhausted,
            Some(expected) if expected == current => NextEpoch::Of(next, current),
            // A retry: nobody else has asked since, or there would be no last epoch.
            Some(expected) if expected == self.last_producer_epoch => {
                NextEpoch::Of(current, self.last_producer_epoch)
            }
            Some(_) => NextEpoch::Fenced,
        }
    }

    /// InitProducerId: another epoch.
    pub fn with_epoch(
        &self,
        (epoch, last): (ProducerEpoch, ProducerEpoch),
        timeout_ms: i32,
        now_ms: i64,
    ) -> TransactionMetadata {
        let log = TransactionLogValue {
            producer_epoch: epoch,
            previous_producer_id: self.log.producer_id,
            ..self.emptied(timeout_ms, now_ms)
        };
        TransactionMetadata { log, last_producer_epoch: last }
    }

    /// InitProducerId: another producer id. `is_known` if the producer has told its epoch, so that it can retry.
    pub fn with_producer_id(
        &self,
        producer_id: ProducerId,
        is_known: bool,
        timeout_ms: i32,
        now_ms: i64,
    ) -> TransactionMetadata {
        let log = TransactionLogValue {
            producer_id,
            previous_producer_id: self.log.producer_id,
            producer_epoch: ProducerEpoch(0),
            ..self.emptied(timeout_ms, now_ms)
        };
        let last_producer_epoch = if is_known { self.log.producer_epoch } else { NO_EPOCH };
        TransactionMetadata { log, last_producer_epoch }
    }

    fn emptied(&self, timeout_ms: i32, now_ms: i64) -> TransactionLogValue {
        TransactionLogValue {
            producer_id: self.log.producer_id,
            previous_producer_id: self.log.previous_producer_id,
            next_producer_id: ProducerId::NONE,
            producer_epoch: self.log.producer_epoch,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            last_update_ms: now_ms,
            start_ms: -1,
            client_transaction_version: self.log.client_transaction_version,
        }
    }

    /// AddPartitionsToTxn, AddOffsetsToTxn: the transaction, begun if there is none, has these partitions, too.
    pub fn with_partitions(
        &self,
        added: impl IntoIterator<Item = TopicPartition>,
        client_transaction_version: i16,
        now_ms: i64,
    ) -> TransactionMetadata {
        let mut next = self.clone();
        if self.log.state != TransactionState::Ongoing {
            next.log.start_ms = now_ms;
        }
        next.log.state = TransactionState::Ongoing;
        next.log.partitions.extend(added);
        next.log.last_update_ms = now_ms;
        next.log.client_transaction_version = client_transaction_version;
        next
    }

    /// EndTxn: the transaction is decided. In version 2 of the protocol the epoch grows, so that nothing that the producer sent
    /// before can join a later transaction (KIP-890); `next_producer_id` takes over afterwards if the epochs are used up.
    pub fn decided(
        &self,
        commit: bool,
        client_transaction_version: i16,
        next_producer_id: ProducerId,
        now_ms: i64,
    ) -> TransactionMetadata {
        let mut next = self.clone();
        next.log.state =
            if commit { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort };
        if client_transaction_version >= 2 {
            next.log.producer_epoch = ProducerEpoch(self.log.producer_epoch.0.saturating_add(1));
            next.last_producer_epoch = self.log.producer_epoch;
        }
        next.log.next_producer_id = next_producer_id;
        if self.log.state != TransactionState::Ongoing {
            // An abort of a transaction that no partition had joined yet: it begins and ends here.
            next.log.start_ms = now_ms;
        }
        next.log.last_update_ms = now_ms;
        next.log.client_transaction_version = client_transaction_version;
        next
    }

    /// Aborts the open transaction of a producer that is gone or too slow, under an epoch that it does not have. The epoch grows
    /// once, also in version 2 of the protocol (KAFKA-19367).
    pub fn fenced(
        &self,
        transaction_version: i16,
        next_producer_id: ProducerId,
        now_ms: i64,
    ) -> TransactionMetadata {
        let mut next = self.decided(false, transaction_version, next_producer_id, now_ms);
        if transaction_version < 2 {
            next.log.producer_epoch = ProducerEpoch(self.log.producer_epoch.0.saturating_add(1));
            next.last_producer_epoch = NO_EPOCH;
        }
        next
    }

    /// All markers are written.
    pub fn completed(&self, now_ms: i64) -> TransactionMetadata {
        let mut next = self.clone();
        next.log.state = match self.log.state {
            TransactionState::PrepareCommit => TransactionState::CompleteCommit,
            TransactionState::PrepareAbort => TransactionState::CompleteAbort,
            other => panic!("a transaction in state {other:?} has no markers"),
        };
        next.log.partitions = BTreeSet::new();
        next.log.last_update_ms = now_ms;
        let after = self.after_completion();
        next.log.producer_id = after.producer_id;
        next.log.producer_epoch = after.producer_epoch;
        next.log.previous_producer_id = self.log.producer_id;
        next.log.next_producer_id = ProducerId::NONE;
        // The last epoch stays that before the decision: the producer may not have heard the answer, and begin anew with it.
        next
    }

    /// What the producer is to use for its next transaction.
    pub fn after_completion(&self) -> ProducerIdAndEpoch {
        if self.log.next_producer_id == ProducerId::NONE {
            let TransactionLogValue { producer_id, producer_epoch, .. } = self.log;
            return ProducerIdAndEpoch { producer_id, producer_epoch };
        }
        ProducerIdAndEpoch { producer_id: self.log.next_producer_id, producer_epoch: ProducerEpoch(0) }
    }
}
