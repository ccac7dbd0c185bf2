//! EndTxn (KIP-98, KIP-890): a transaction is decided.

use trial_node::view::TransactionState;
use trial_node::{ProducerEpoch, ProducerId};
use trial_wire::messages::EndTxnRequest;
use trial_wire::{ErrorCode, StrBytes};

use super::TransactionCoordinator;
use super::answer::Caller;
use super::coordinator::{Entry, Purpose, transaction_version};
use super::metadata::{LAST_EPOCH, ProducerIdAndEpoch, TransactionMetadata};
use crate::{CallId, Env};

/// What an EndTxn comes to, if it is not refused.
enum Decision {
    /// It was taken before; only the answer was lost.
    Retry,
    /// It is to be taken.
    Take,
}

impl TransactionCoordinator {
    pub(super) fn end_txn(&mut self, env: &mut Env<'_>, call: CallId, version: i16, body: EndTxnRequest) {
        let caller = Caller::EndTxn { call, version };
        let id: StrBytes = body.transactional_id.0;
        let commit = body.committed;
        let producer = ProducerIdAndEpoch {
            producer_id: ProducerId(body.producer_id.0),
            producer_epoch: ProducerEpoch(body.producer_epoch),
        };
        // A client that knows of version 2 is still held to version 1 while the cluster's feature is.
        let client_version = if version >= 5 && transaction_version(env) >= 2 { 2 } else { 0 };
        let entry = self.ids.get(&id);
        let decision = match entry {
            _ if id.is_empty() => Err(ErrorCode::InvalidRequest),
            None => Err(ErrorCode::InvalidProducerIdMapping),
            Some(entry) if client_version >= 2 => decide_v2(entry, producer, commit),
            Some(entry) => decide_v1(entry, producer, commit),
        };
        let known = entry.and_then(Entry::committed);
        match (decision, known) {
            (Err(error), _) => {
                self.trace_refusal(&id, producer, error);
                self.answer(caller, Err(error));
            }
            (Ok(Decision::Retry), known) => {
                let known = known.cloned();
                self.answer(caller, Ok(known.as_ref()));
            }
            (Ok(Decision::Take), known) => {
                let known = known.expect("there is a transaction to decide");
                if client_version >= 2 && known.is_exhausted() {
                    return self.ask_producer_id(&id, Purpose::Decide { caller, commit });
                }
                let next = known.decided(commit, client_version, ProducerId::NONE, env.now.wall_ms);
                self.append(env, &id, Some(next), caller);
            }
        }
    }
}

/// Without an epoch per transaction, a state alone tells whether an EndTxn is a retry.
fn decide_v1(entry: &Entry, producer: ProducerIdAndEpoch, commit: bool) -> Result<Decision, ErrorCode> {
    let Some(known) = entry.committed() else { return Err(ErrorCode::InvalidProducerIdMapping) };
    if known.log.producer_id != producer.producer_id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if known.log.producer_epoch != producer.producer_epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    if entry.is_busy() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    match known.log.state {
        TransactionState::Ongoing => Ok(Decision::Take),
        TransactionState::CompleteCommit if commit => Ok(Decision::Retry),
        TransactionState::CompleteAbort if !commit => Ok(Decision::Retry),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

/// With an epoch per transaction, the epoch before the current one is a retry, and the current one is the next transaction.
fn decide_v2(entry: &Entry, producer: ProducerIdAndEpoch, commit: bool) -> Result<Decision, ErrorCode> {
    // First of all: the producer may know a producer id and epoch already that are not here before the markers are written
    // (KAFKA-18660).
    if entry.is_busy() {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    let Some(known) = entry.committed() else { return Err(ErrorCode::InvalidProducerIdMapping) };
    let is_complete =
        matches!(known.log.state, TransactionState::CompleteCommit | TransactionState::CompleteAbort);
    let is_retry = is_complete && known.bumps_epoch() && is_before(known, producer);
    if !is_retry && known.log.producer_id != producer.producer_id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if !is_retry && known.log.producer_epoch != producer.producer_epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    match known.log.state {
        TransactionState::CompleteCommit if is_retry && commit => Ok(Decision::Retry),
        TransactionState::CompleteAbort if is_retry && !commit => Ok(Decision::Retry),
        _ if is_retry => Err(ErrorCode::InvalidTxnState),
        TransactionState::Ongoing => Ok(Decision::Take),
        // The producer cannot know whether what it sent has begun a transaction. It is aborted under this epoch, so that none
        // begins later.
        _ if !commit => Ok(Decision::Take),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

/// Whether the producer is as it was before the last transaction was decided.
fn is_before(known: &TransactionMetadata, producer: ProducerIdAndEpoch) -> bool {
    let is_same = producer.producer_id == known.log.producer_id
        && i32::from(producer.producer_epoch.0) + 1 == i32::from(known.log.producer_epoch.0);
    let is_previous = producer.producer_id == known.log.previous_producer_id
        && producer.producer_epoch == LAST_EPOCH
        && known.log.producer_epoch == ProducerEpoch(0);
    is_same || is_previous
}
