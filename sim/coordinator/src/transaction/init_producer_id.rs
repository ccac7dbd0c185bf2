//! InitProducerId (KIP-98, KIP-360): a producer begins, or goes on after an error.

use trial_node::view::TransactionState;
use trial_node::{ProducerEpoch, ProducerId};
use trial_wire::messages::InitProducerIdRequest;
use trial_wire::{ErrorCode, StrBytes};

use super::TransactionCoordinator;
use super::answer::Caller;
use super::coordinator::{Purpose, transaction_version};
use super::metadata::{NO_EPOCH, NextEpoch, ProducerIdAndEpoch};
use crate::{CallId, Env};

/// The longest transactional id, in bytes, that a record's key can hold.
const ID_LENGTH_MAX: usize = i16::MAX as usize;

impl TransactionCoordinator {
    pub(super) fn init_producer_id(
        &mut self,
        env: &mut Env<'_>,
        call: CallId,
        version: i16,
        body: InitProducerIdRequest,
    ) {
        let id = body.transactional_id.map(|id| id.0).unwrap_or_default();
        let producer = ProducerIdAndEpoch {
            producer_id: ProducerId(body.producer_id.0),
            producer_epoch: ProducerEpoch(body.producer_epoch),
        };
        let timeout_ms = body.transaction_timeout_ms;
        if let Err(error) = self.try_init_producer_id(env, (call, version), &id, producer, timeout_ms) {
            self.trace_refusal(&id, producer, error);
            self.answer(Caller::InitProducerId { call, version }, Err(error));
        }
    }

    fn try_init_producer_id(
        &mut self,
        env: &mut Env<'_>,
        (call, version): (CallId, i16),
        id: &StrBytes,
        producer: ProducerIdAndEpoch,
        timeout_ms: i32,
    ) -> Result<(), ErrorCode> {
        // A producer that goes on tells its id and its epoch (KIP-360).
        let has_id = producer.producer_id != ProducerId::NONE;
        if id.is_empty() || id.len() > ID_LENGTH_MAX || has_id != (producer.producer_epoch != NO_EPOCH) {
            return Err(ErrorCode::InvalidRequest);
        }
        let expected = has_id.then_some(producer);
        if timeout_ms <= 0 || timeout_ms > self.config.transaction_max_timeout_ms {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }

        let caller = Caller::InitProducerId { call, version };
        let is_known = expected.is_some();
        let Some(entry) = self.ids.get(id) else {
            self.ask_producer_id(id, Purpose::Give { caller, timeout_ms, is_known });
            return Ok(());
        };
        if entry.pending.is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let known = entry.logged.as_ref().expect("an id of which nothing is known has a step on its way");
        if expected.is_some_and(|expected| !known.knows(expected)) {
            return Err(ErrorCode::ProducerFenced);
        }
        match known.log.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            TransactionState::Ongoing => {
                self.fence(env, id, Caller::Fence { call, version });
                Ok(())
            }
            _ => match known.next_epoch(expected) {
                NextEpoch::Of(epoch, last) => {
                    let next = known.with_epoch((epoch, last), timeout_ms, env.now.wall_ms);
                    self.append(env, id, Some(next), caller);
                    Ok(())
                }
                NextEpoch::Exhausted => {
                    self.ask_producer_id(id, Purpose::Give { caller, timeout_ms, is_known });
                    Ok(())
                }
                NextEpoch::Fenced => Err(ErrorCode::ProducerFenced),
            },
        }
    }

    /// Aborts the open transaction of an id on behalf of another producer than the one that began it.
    pub(super) fn fence(&mut self, env: &mut Env<'_>, id: &StrBytes, caller: Caller) {
        let version = transaction_version(env);
        let known = self.entry(id).logged.as_ref().expect("it has an open transaction");
        // So that the epoch that fences is never one that a producer uses (KAFKA-20090).
        if version >= 2 && known.is_exhausted() {
            return self.ask_producer_id(id, Purpose::Fence { caller });
        }
        let next = known.fenced(version, ProducerId::NONE, env.now.wall_ms);
        self.append(env, id, Some(next), caller);
    }
}
