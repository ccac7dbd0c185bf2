//! Producers whose transaction is being verified (KIP-890).

use std::collections::BTreeMap;

use trial_node::{ProducerEpoch, ProducerId};

/// Names one verification of a producer in one log. Not used twice while the log is open: what the coordinator said before a
/// transaction ended must not let the next one begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationGuard(u64);

/// A producer that wants to begin a transaction in the log.
#[derive(Clone, Debug)]
struct Verification {
    guard: VerificationGuard,
    /// Whether the coordinator has confirmed the transaction.
    verified: bool,
    /// The lowest sequence number that the producer wanted to begin with, in `epoch`: a higher one must not be written before
    /// it, or the lower one would be out of order for good.
    lowest_sequence: i32,
    epoch: ProducerEpoch,
    /// When it was asked for, ms since the epoch.
    since_ms: i64,
}

/// All verifications of one log. Not kept on disk: who is in the middle of one when the broker stops has to ask again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verifications {
    by_producer: BTreeMap<ProducerId, Verification>,
    last_guard: u64,
}

impl Verifications {
    /// A producer wants to begin a transaction with a batch of this sequence number. Who is being verified goes on with the
    /// same guard.
    pub(crate) fn begin(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        sequence: i32,
        now_ms: i64,
    ) -> VerificationGuard {
        let last_guard = &mut self.last_guard;
        let entry = self.by_producer.entry(producer_id).or_insert_with(|| {
            *last_guard += 1;
            Verification {
                guard: VerificationGuard(*last_guard),
                verified: false,
                lowest_sequence: sequence,
                epoch,
                since_ms: now_ms,
            }
        });
        if epoch > entry.epoch {
            entry.epoch = epoch;
            entry.lowest_sequence = sequence;
            // What was confirmed was confirmed for the epoch before.
            entry.verified = false;
        } else if epoch == entry.epoch {
            entry.lowest_sequence = entry.lowest_sequence.min(sequence);
        }
        entry.guard
    }

    /// The coordinator has confirmed the transaction of this epoch, unless it has ended since.
    pub(crate) fn confirm(
        &mut self,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
        guard: VerificationGuard,
    ) {
        if let Some(entry) = self.by_producer.get_mut(&producer_id)
            && entry.guard == guard
            && entry.epoch == epoch
        {
            entry.verified = true;
        }
    }

    pub(crate) fn is_verified(&self, producer_id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.by_producer.get(&producer_id).is_some_and(|entry| entry.verified && entry.epoch == epoch)
    }

    /// The lowest sequence number that the producer wanted to begin with; `None` if it is not being verified.
    pub(crate) fn lowest_sequence(&self, producer_id: ProducerId) -> Option<i32> {
        self.by_producer.get(&producer_id).map(|entry| entry.lowest_sequence)
    }

    /// A transaction has begun or ended.
    pub(crate) fn end(&mut self, producer_id: ProducerId) {
        self.by_producer.remove(&producer_id);
    }

    /// Forgets those that were asked for before `since_ms`.
    pub(crate) fn expire(&mut self, since_ms: i64) {
        self.by_producer.retain(|_, entry| entry.since_ms > since_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: ProducerId = ProducerId(7);
    const OLD: ProducerEpoch = ProducerEpoch(1);
    const NEW: ProducerEpoch = ProducerEpoch(2);

    #[test]
    fn an_answer_for_a_transaction_that_has_ended_confirms_nothing() {
        let mut verifications = Verifications::default();
        let first = verifications.begin(P, OLD, 0, 0);
        assert_eq!(verifications.begin(P, OLD, 0, 0), first, "a retry");
        verifications.end(P);
        let second = verifications.begin(P, OLD, 0, 0);
        verifications.confirm(P, OLD, first);
        assert!(!verifications.is_verified(P, OLD));
        verifications.confirm(P, OLD, second);
        assert!(verifications.is_verified(P, OLD));
        assert!(!verifications.is_verified(P, NEW));
        verifications.begin(P, NEW, 0, 0);
        assert!(!verifications.is_verified(P, NEW), "confirmed for the epoch before");
    }

    #[test]
    fn the_lowest_sequence_counts_within_an_epoch() {
        let mut verifications = Verifications::default();
        verifications.begin(P, OLD, 5, 0);
        verifications.begin(P, OLD, 3, 0);
        verifications.begin(P, OLD, 8, 0);
        assert_eq!(verifications.lowest_sequence(P), Some(3));
        verifications.begin(P, NEW, 4, 0);
        verifications.begin(P, OLD, 0, 0);
        assert_eq!(verifications.lowest_sequence(P), Some(4));
        verifications.expire(0);
        assert_eq!(verifications.lowest_sequence(P), None);
    }
}
