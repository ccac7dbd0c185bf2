//! Verification of transactions before they are written to (KIP-890): the coordinator says whether a partition belongs to the
//! producer's open transaction, and the log keeps in mind that it was asked, so that the transaction cannot end in between.

use std::collections::BTreeMap;

use trial_node::{ProducerEpoch, ProducerId, Span, Time, TopicIdPartition, TopicPartition};
use trial_storage::VerificationGuard;
use trial_wire::messages::ProduceRequest;
use trial_wire::{Batch, ErrorCode, StrBytes};

use super::committed::Waiter;
use super::produce::{Rejection, TOPIC_ID_VERSION};
use super::timers::Timer;
use super::{Context, Output, ReplicaManager};
use crate::Token;

/// How long a Produce request that adds partitions waits for the producer's last transaction to be over before its client
/// has to ask again (`add.partitions.to.txn.retry.backoff.max.ms`).
const CONCURRENT_TRANSACTIONS_WAIT_MAX: Span = Span::from_millis(100);
/// How long until the coordinator is asked again (`add.partitions.to.txn.retry.backoff.ms`).
const CONCURRENT_TRANSACTIONS_BACKOFF: Span = Span::from_millis(20);

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

impl TransactionSupport {
    fn of_produce(version: i16) -> TransactionSupport {
        match version {
            ..=10 => TransactionSupport::DefaultError,
            11 => TransactionSupport::GenericError,
            12.. => TransactionSupport::AddPartition,
        }
    }

    /// The coordinator's error as the client knows it.
    fn error(self, code: ErrorCode) -> ErrorCode {
        match code {
            ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
            ErrorCode::TransactionAbortable if self == TransactionSupport::DefaultError => {
                ErrorCode::InvalidTxnState
            }
            code => code,
        }
    }
}

/// Questions that are not answered yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Verifications {
    waiting: BTreeMap<VerificationId, Question>,
    last_id: u64,
}

#[derive(Clone, Debug)]
struct Question {
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    support: TransactionSupport,
    asked: Vec<Asked>,
    asker: Asker,
}

/// A partition whose transaction is being verified.
#[derive(Clone, Copy, Debug)]
struct Asked {
    tp: TopicIdPartition,
    guard: VerificationGuard,
}

/// Who goes on once the question is answered.
#[derive(Clone, Debug)]
enum Asker {
    Produce(Box<UnverifiedProduce>),
    Own(Waiter),
}

/// A Produce request whose transaction is being verified.
#[derive(Clone, Debug)]
struct UnverifiedProduce {
    token: Token,
    version: i16,
    request: ProduceRequest,
    /// Until when the coordinator is asked again if it is still busy with the producer's last transaction.
    retry_until: Time,
}

impl ReplicaManager {
    /// Verifies that a partition of this broker's own belongs to a producer's open transaction, before
    /// [`ReplicaManager::append_own`] writes to it on the producer's behalf (TxnOffsetCommit). The answer is an
    /// [`Output::Verified`], at once or later; `Ok` at once if the transaction is open in the partition already, or if
    /// nothing is verified here (`transaction.partition.verification.enable`) nor to be added. It is valid until a marker of
    /// the producer is appended.
    pub fn verify_own(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        transactional_id: &StrBytes,
        (producer_id, producer_epoch): (ProducerId, ProducerEpoch),
        support: TransactionSupport,
        waiter: Waiter,
    ) {
        if !self.asks_coordinator(support) {
            return self.after.outputs.push_back(Output::Verified { waiter, result: Ok(()) });
        }
        let Some(partition) = self.partitions.get_mut(&tp).filter(|partition| partition.is_leader()) else {
            let result = Err(ErrorCode::NotCoordinator);
            return self.after.outputs.push_back(Output::Verified { waiter, result });
        };
        // Offset commits have no sequence numbers.
        let guard = partition.log.begin_verification(producer_id, producer_epoch, -1, ctx.now.wall_ms);
        let Some(guard) = guard else {
            return self.after.outputs.push_back(Output::Verified { waiter, result: Ok(()) });
        };
        let asked = vec![Asked { tp, guard }];
        let question = Question { producer_id, producer_epoch, support, asked, asker: Asker::Own(waiter) };
        self.ask(transactional_id.clone(), question);
    }

    /// The coordinator's answer to an [`Output::VerifyTransaction`], per partition: `Ok`, or the error code of the response;
    /// NETWORK_EXCEPTION for each if there was no response, COORDINATOR_NOT_AVAILABLE if nobody knows whom to ask.
    /// Partitions that are not named count as `Ok`.
    pub fn handle_verification(
        &mut self,
        ctx: &mut Context<'_>,
        id: VerificationId,
        results: Vec<(TopicPartition, Result<(), ErrorCode>)>,
    ) {
        let Some(question) = self.verifications.waiting.get(&id) else { return };
        let busy =
            |(_, result): &(_, Result<(), ErrorCode>)| *result == Err(ErrorCode::ConcurrentTransactions);
        if let Asker::Produce(unverified) = &question.asker
            && question.support == TransactionSupport::AddPartition
            && ctx.now.mono < unverified.retry_until
            && results.iter().any(busy)
        {
            let at = ctx.now.mono + CONCURRENT_TRANSACTIONS_BACKOFF;
            return self.timers.set(at, Timer::Verify(id));
        }
        let question = self.verifications.waiting.remove(&id).expect("it was just there");
        let mut refused = Vec::new();
        for &Asked { tp, guard } in &question.asked {
            let Some(partition) = self.partitions.get_mut(&tp) else { continue };
            let named = |(name, _): &&(TopicPartition, _)| {
                name.partition == tp.partition && name.topic == partition.topic
            };
            match results.iter().find(named) {
                Some((_, Err(code))) => refused.push((tp, question.support.error(*code))),
                _ => partition.log.confirm_verification(question.producer_id, question.producer_epoch, guard),
            }
        }
        match question.asker {
            Asker::Own(waiter) => {
                let result = refused.first().map_or(Ok(()), |(_, code)| Err(own_error(*code)));
                self.after.outputs.push_back(Output::Verified { waiter, result });
            }
            Asker::Produce(unverified) => {
                let UnverifiedProduce { token, version, request, .. } = *unverified;
                let refused = refused.into_iter().map(|(tp, code)| (tp, produce_rejection(code))).collect();
                self.append_produce(ctx, token, version, request, refused);
            }
        }
        self.settle(ctx);
    }

    /// Begins to verify what a Produce request begins in this broker's partitions. Gives the request back if there is nothing
    /// to verify.
    ///
    /// # Errors
    /// INVALID_PRODUCER_ID_MAPPING if it speaks for more than one producer; with the request.
    pub(super) fn verify_produce(
        &mut self,
        ctx: &Context<'_>,
        token: Token,
        version: i16,
        request: ProduceRequest,
    ) -> Result<Option<ProduceRequest>, (ErrorCode, ProduceRequest)> {
        let retry_until = ctx.now.mono + CONCURRENT_TRANSACTIONS_WAIT_MAX;
        let unverified = UnverifiedProduce { token, version, request, retry_until };
        self.verify_unverified(ctx, unverified)
    }

    fn verify_unverified(
        &mut self,
        ctx: &Context<'_>,
        unverified: UnverifiedProduce,
    ) -> Result<Option<ProduceRequest>, (ErrorCode, ProduceRequest)> {
        let support = TransactionSupport::of_produce(unverified.version);
        let transactional_id = unverified.request.transactional_id.as_ref();
        let wanted = transactional_id.filter(|_| self.asks_coordinator(support));
        let Some(transactional_id) = wanted.map(|id| id.0.clone()) else {
            return Ok(Some(unverified.request));
        };
        let mut producer = None;
        let mut asked = Vec::new();
        for topic in &unverified.request.topic_data {
            let by_id = unverified.version >= TOPIC_ID_VERSION;
            let id = if by_id { Some(topic.topic_id) } else { ctx.metadata.topic_id(&topic.name) };
            let Some(topic_id) = id else { continue };
            for data in &topic.partition_data {
                // Whatever is wrong with the rest is found when it is appended.
                let Some(Ok(header)) = data.records.as_ref().map(|records| Batch::peek(records)) else {
                    continue;
                };
                if !header.is_transactional() || header.producer_id < 0 {
                    continue;
                }
                let own = (ProducerId(header.producer_id), ProducerEpoch(header.producer_epoch));
                if *producer.get_or_insert(own) != own {
                    return Err((ErrorCode::InvalidProducerIdMapping, unverified.request));
                }
                let tp = TopicIdPartition { topic_id, partition: data.index };
                let partition = self.partitions.get_mut(&tp).filter(|partition| partition.is_leader());
                let Some(partition) = partition else { continue };
                let (sequence, now_ms) = (header.base_sequence, ctx.now.wall_ms);
                if let Some(guard) = partition.log.begin_verification(own.0, own.1, sequence, now_ms) {
                    asked.push(Asked { tp, guard });
                }
            }
        }
        let Some((producer_id, producer_epoch)) = producer.filter(|_| !asked.is_empty()) else {
            return Ok(Some(unverified.request));
        };
        let asker = Asker::Produce(Box::new(unverified));
        self.ask(transactional_id, Question { producer_id, producer_epoch, support, asked, asker });
        Ok(None)
    }

    /// Even where nothing is verified, nobody else adds the partitions of clients that leave that to the broker: without that
    /// they would get no markers.
    fn asks_coordinator(&self, support: TransactionSupport) -> bool {
        self.config.transaction_partition_verification || support == TransactionSupport::AddPartition
    }

    fn ask(&mut self, transactional_id: StrBytes, question: Question) {
        self.verifications.last_id += 1;
        let id = VerificationId(self.verifications.last_id);
        let partitions = question.asked.iter().filter_map(|asked| {
            let partition = self.partitions.get(&asked.tp)?;
            Some(TopicPartition { topic: partition.topic.clone(), partition: asked.tp.partition })
        });
        self.after.outputs.push_back(Output::VerifyTransaction {
            id,
            transactional_id,
            producer_id: question.producer_id,
            producer_epoch: question.producer_epoch,
            partitions: partitions.collect(),
            add: question.support == TransactionSupport::AddPartition,
        });
        self.verifications.waiting.insert(id, question);
    }

    /// The coordinator was busy with the producer's last transaction; it is asked again.
    pub(super) fn verify_again(&mut self, ctx: &mut Context<'_>, id: VerificationId) {
        let Some(Question { asker: Asker::Produce(unverified), .. }) = self.verifications.waiting.remove(&id)
        else {
            return;
        };
        let (token, version) = (unverified.token, unverified.version);
        let verified = self.verify_unverified(ctx, *unverified);
        self.go_on_with_produce(ctx, token, version, verified);
    }
}

/// What a producer is told whose transaction could not be verified. What passes is told as NOT_ENOUGH_REPLICAS, which every
/// client takes for a reason to send the batch again.
fn produce_rejection(code: ErrorCode) -> Rejection {
    match code {
        ErrorCode::InvalidTxnState => {
            Rejection::new(code, "the partition is not in the transaction".to_owned())
        }
        ErrorCode::ConcurrentTransactions
        | ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => {
            let message = format!("the transaction could not be verified: {code:?}");
            Rejection::new(ErrorCode::NotEnoughReplicas, message)
        }
        code => code.into(),
    }
}

/// What a client of a coordinator is told whose transaction could not be verified.
fn own_error(code: ErrorCode) -> ErrorCode {
    match code {
        // Clients look for another coordinator otherwise, which does not help.
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownTopicOrPartition => ErrorCode::CoordinatorNotAvailable,
        code => code,
    }
}
