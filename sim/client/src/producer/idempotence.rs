//! The idempotent producer's order (KIP-98, KIP-360): producer id and epoch, sequence numbers, and what to do when the
//! broker's idea of them differs.
//!
//! In two points this differs from the Java client, on purpose:
//!
//! - Until the first batch of a partition under a producer id and epoch is acknowledged, no other is sent behind it. A broker
//!   that knows nothing of a producer takes whatever sequence comes first (KAFKA-7190). Were batches pipelined before it does,
//!   a later one could reach a new leader, or a leader that has enough replicas again, before the first one did; the first
//!   one would then be out of order for good, and come after it under the next epoch. The Java client has that hole.
//! - Every batch that is given up under a number leaves its partition in doubt, not only one that had been tried before, so
//!   that those after it are not refused as out of order until they are given up, too.

use std::collections::BTreeSet;

use trial_node::{Offset, ProducerEpoch, ProducerId, Time};
use trial_wire::ErrorCode;

use super::accumulator::{Accumulator, Slot};
use super::batch::{BatchId, ProducerBatch, Sequence, add_to_sequence};
use super::transaction::is_retriable;

/// A producer id with its epoch.
pub(super) type Producer = (ProducerId, ProducerEpoch);

/// The order of one partition's batches.
#[derive(Clone, Debug)]
pub(super) struct PartitionSequences {
    /// The producer that the numbers below belong to.
    producer: Producer,
    /// The next record's number.
    next: i32,
    /// The last acknowledged record's number.
    last_acked: Option<i32>,
    /// The batches that have a sequence and are not done: in flight, or waiting to be sent again. In order.
    tracked: Vec<(Sequence, BatchId)>,
    /// A batch was given up, and may have been appended: the number after its last record. No new batch gets a number before it is
    /// known whether there is a gap.
    unresolved: Option<i32>,
}

impl Default for PartitionSequences {
    fn default() -> PartitionSequences {
        PartitionSequences {
            producer: (ProducerId::NONE, ProducerEpoch(-1)),
            next: 0,
            last_acked: None,
            tracked: Vec::new(),
            unresolved: None,
        }
    }
}

impl PartitionSequences {
    /// Whether `sequence` is the one after the last acknowledged one.
    fn is_next(&self, sequence: i32) -> bool {
        sequence == self.last_acked.map_or(0, |last| add_to_sequence(last, 1))
    }

    fn track(&mut self, sequence: Sequence, id: BatchId) {
        let at = self.tracked.partition_point(|(other, _)| *other < sequence);
        self.tracked.insert(at, (sequence, id));
    }

    pub fn forget(&mut self, id: BatchId) {
        self.tracked.retain(|(_, other)| *other != id);
    }

    /// Records that the broker acknowledged records up to the number `last`.
    pub fn acked(&mut self, sequence: Sequence, last: i32) {
        if (sequence.id, sequence.epoch) == self.producer {
            self.last_acked = self.last_acked.max(Some(last));
        }
    }
}

/// Where the producer stands with its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InitProducerId {
    /// There is nothing to ask.
    Settled,
    /// A producer id is needed; ask at this instant or later.
    Needed { from: Time },
    /// The question is in flight.
    InFlight,
}

/// What the whole producer keeps for its partitions' order.
#[derive(Clone, Debug)]
pub(super) struct Idempotence {
    pub init: InitProducerId,
    producer: Option<Producer>,
    /// Partitions whose batches in flight are to be numbered from 0 under the next epoch.
    to_rewrite: BTreeSet<Slot>,
    unresolved: BTreeSet<Slot>,
}

impl Idempotence {
    /// `asks` says that the producer asks for an id by itself; else one is assigned to it, and no epoch is raised here.
    pub fn new(asks: bool) -> Idempotence {
        Idempotence {
            init: if asks { InitProducerId::Needed { from: Time::ZERO } } else { InitProducerId::Settled },
            producer: None,
            to_rewrite: BTreeSet::new(),
            unresolved: BTreeSet::new(),
        }
    }

    pub fn producer_id_assigned(&mut self, id: ProducerId, epoch: ProducerEpoch) {
        self.producer = Some((id, epoch));
        self.init = InitProducerId::Settled;
    }

    /// The producer's id and epoch.
    pub fn producer(&self) -> Option<Producer> {
        self.producer
    }

    /// Whether a queue's first batch may not be sent now.
    pub fn holds_back(&self, accumulator: &Accumulator, slot: Slot, first: &ProducerBatch) -> bool {
        let Some(producer) = self.producer else { return true };
        let sequences = &accumulator.queue(slot).sequences;
        match first.sequence {
            // Its predecessors are under another epoch: were it written before them, they would be out of order.
            None => {
                let another = sequences.producer != producer;
                // Before the first acknowledgement the broker has nothing to check a sequence against.
                let unchecked = sequences.last_acked.is_none();
                (!sequences.tracked.is_empty() && (another || unchecked)) || sequences.unresolved.is_some()
            }
            // It is sent again: one at a time, in order.
            Some(sequence) => sequences.tracked.first().is_some_and(|(head, _)| head.base != sequence.base),
        }
    }

    /// Gives a batch that is about to be sent its place in the order, unless it has one.
    pub fn assign(&mut self, accumulator: &mut Accumulator, id: BatchId) {
        let batch = accumulator.batch(id).expect("only batches that exist are sent");
        if batch.sequence.is_some() {
            return;
        }
        let (slot, count) = (batch.slot, batch.record_count());
        let producer = self.producer.expect("batches are held back while there is no producer id");
        let sequences = &mut accumulator.queue_mut(slot).sequences;
        if sequences.producer != producer {
            *sequences = PartitionSequences { producer, ..PartitionSequences::default() };
        }
        let sequence = Sequence { id: producer.0, epoch: producer.1, base: sequences.next };
        sequences.next = add_to_sequence(sequences.next, count);
        sequences.track(sequence, id);
        accumulator.batch_mut(id).expect("it was there a moment ago").set_sequence(sequence);
    }

    /// Follows the parts of a batch that was split instead of the whole.
    pub fn split(&mut self, accumulator: &mut Accumulator, whole: BatchId, slot: Slot, parts: &[BatchId]) {
        accumulator.queue_mut(slot).sequences.forget(whole);
        for part in parts {
            if let Some(sequence) = accumulator.batch(*part).and_then(|batch| batch.sequence) {
                accumulator.queue_mut(slot).sequences.track(sequence, *part);
            }
        }
    }

    /// A batch was acknowledged.
    pub fn completed(&mut self, accumulator: &mut Accumulator, id: BatchId, batch: &ProducerBatch) {
        let sequences = &mut accumulator.queue_mut(batch.slot).sequences;
        sequences.forget(id);
        if let (Some(sequence), Some(last)) = (batch.sequence, batch.last_sequence()) {
            sequences.acked(sequence, last);
        }
    }

    /// A batch failed for good. `adjust` says that its sequence numbers are certainly unused, which leaves a gap to close at
    /// once; else that is found out when nothing is in flight any more.
    pub fn failed(
        &mut self,
        accumulator: &mut Accumulator,
        id: BatchId,
        batch: &ProducerBatch,
        error: ErrorCode,
        adjust: bool,
    ) {
        let sequences = &mut accumulator.queue_mut(batch.slot).sequences;
        sequences.forget(id);
        let Some((sequence, last)) = batch.sequence.zip(batch.last_sequence()) else { return };
        if error == ErrorCode::UnknownProducerId {
            *sequences = PartitionSequences::default();
            self.unresolved.remove(&batch.slot);
        } else if error == ErrorCode::OutOfOrderSequenceNumber || adjust {
            self.to_rewrite.insert(batch.slot);
        } else if (sequence.id, sequence.epoch) == sequences.producer {
            sequences.unresolved = sequences.unresolved.max(Some(add_to_sequence(last, 1)));
            self.unresolved.insert(batch.slot);
        }
    }

    /// Whether a batch that was refused with `error` should be sent again, perhaps under a new epoch.
    pub fn can_retry(
        &mut self,
        accumulator: &Accumulator,
        batch: &ProducerBatch,
        error: ErrorCode,
        log_start_offset: Offset,
    ) -> bool {
        let sequences = &accumulator.queue(batch.slot).sequences;
        match error {
            // The broker has forgotten the producer. Unless it does not say where its log begins now, or a reset has been
            // made already, start over.
            ErrorCode::UnknownProducerId => {
                if log_start_offset != Offset::UNKNOWN && !batch.sequence_reset {
                    self.to_rewrite.insert(batch.slot);
                }
                true
            }
            ErrorCode::OutOfOrderSequenceNumber => {
                let base = batch.sequence.map(|sequence| sequence.base);
                let successor = base.is_some_and(|base| !sequences.is_next(base));
                let certain_gap = match sequences.unresolved {
                    // A batch before it is being sent again; its own turn comes.
                    None => !batch.sequence_reset && !successor,
                    Some(unresolved) => base == Some(unresolved),
                };
                if certain_gap {
                    self.to_rewrite.insert(batch.slot);
                }
                true
            }
            _ => error.is_retriable(),
        }
    }

    /// Whether a batch of a transaction that was refused with `error` should be sent again. `doomed` says that the transaction
    /// is to be aborted.
    pub fn can_retry_in_transaction(
        &self,
        accumulator: &Accumulator,
        batch: &ProducerBatch,
        error: ErrorCode,
        doomed: bool,
    ) -> bool {
        match error {
            // The one before it is being sent again; its own turn comes. In a transaction that is to be aborted, the one
            // before it may have been given up, and its turn would never come.
            ErrorCode::OutOfOrderSequenceNumber => {
                let sequences = &accumulator.queue(batch.slot).sequences;
                !doomed && batch.sequence.is_some_and(|sequence| !sequences.is_next(sequence.base))
            }
            error => is_retriable(error),
        }
    }

    /// Finds out what became of gaps, and bumps the epoch if that is needed: locally, for brokers accept sequence 0 under
    /// any newer epoch (KIP-360).
    pub fn settle(&mut self, accumulator: &mut Accumulator, now: Time) {
        let (to_rewrite, unresolved) = (&mut self.to_rewrite, &mut self.unresolved);
        unresolved.retain(|slot| {
            let sequences = &mut accumulator.queue_mut(*slot).sequences;
            if !sequences.tracked.is_empty() {
                return true;
            }
            if sequences.is_next(sequences.next) {
                sequences.unresolved = None;
            } else {
                to_rewrite.insert(*slot);
            }
            false
        });
        if !self.to_rewrite.is_empty() {
            self.bump_epoch(accumulator, now);
        }
    }

    fn bump_epoch(&mut self, accumulator: &mut Accumulator, now: Time) {
        let Some((id, epoch)) = self.producer else { return };
        if epoch.0 == i16::MAX {
            // Epochs are used up. The numbering starts over when there is another id.
            self.producer = None;
            self.init = InitProducerId::Needed { from: now };
            return;
        }
        let producer = (id, ProducerEpoch(epoch.0 + 1));
        self.producer = Some(producer);
        for slot in std::mem::take(&mut self.to_rewrite) {
            let old = std::mem::take(&mut accumulator.queue_mut(slot).sequences);
            let mut sequences = PartitionSequences { producer, ..PartitionSequences::default() };
            for (_, batch_id) in old.tracked {
                let sequence = Sequence { id: producer.0, epoch: producer.1, base: sequences.next };
                let batch = accumulator.batch_mut(batch_id).expect("tracked batches exist");
                batch.set_sequence(sequence);
                batch.sequence_reset = true;
                sequences.next = add_to_sequence(sequences.next, batch.record_count());
                sequences.tracked.push((sequence, batch_id));
            }
            accumulator.queue_mut(slot).sequences = sequences;
            self.unresolved.remove(&slot);
        }
    }
}
