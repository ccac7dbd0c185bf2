//! A transactional producer's requests to coordinators, and what their answers say.

use std::collections::BTreeMap;

use trial_node::{Io, NodeId, Now, ProducerEpoch, ProducerId, Span, Time, TopicPartition};
use trial_wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use trial_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use trial_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnRequest,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, InitProducerIdRequest, TransactionalId,
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

use crate::network::{Failure, Outgoing};

use super::accumulator::Slot;
use super::sender::Context;
use super::transaction::{Ask, CoordinatorType, PendingOffsets, TransactionState, is_retriable};
use super::{Producer, idempotence};

/// How soon the first request of a transaction that found the one before unfinished is made again.
const LAST_END_BACKOFF: Span = Span::from_millis(20);

impl Producer {
    /// Asks coordinators for what the transaction needs next, one thing at a time.
    pub(super) fn drive_transaction(&mut self, now: Now, io: &mut Io<'_>) {
        let idle = self.accumulator.is_empty();
        let Some(transactions) = &mut self.transactions else { return };
        let Some(ask) = transactions.next(idle) else { return };
        if transactions.retry_at > now.mono {
            return;
        }
        let Some(node) = self.ready_node(now, io, &ask) else { return };
        let (api, newest) = self.api(&ask);
        let Some(version) = self.network.version(node, api) else {
            self.transaction_refused(now, &ask, ErrorCode::UnsupportedVersion);
            return;
        };
        let api_version = version.min(newest);
        let body = self.request(&ask, api_version);
        self.transactions.as_mut().expect("it was there a moment ago").asked(&ask);
        let timeout = self.config.network.request_timeout;
        let request = Outgoing { api, api_version, body, context: Context::Coordinator(ask), timeout };
        self.network.send(now, io, node, request);
    }

    /// The next instant at which [`Producer::drive_transaction`] has something to do.
    pub(super) fn next_transaction_wake(&mut self, now: Time) -> Option<Time> {
        let idle = self.accumulator.is_empty();
        let transactions = self.transactions.as_mut()?;
        if transactions.retry_at <= now {
            return None;
        }
        transactions.next(idle).map(|_| transactions.retry_at)
    }

    /// The broker to ask, if it can be asked now.
    fn ready_node(&mut self, now: Now, io: &mut Io<'_>, ask: &Ask) -> Option<NodeId> {
        let transactions = self.transactions.as_ref()?;
        let node = match ask.coordinator() {
            Some(kind) => transactions.coordinator(kind),
            None => self.network.least_loaded(now, io),
        };
        if let Some(node) = node {
            if self.network.ready(now, io, node) {
                return Some(node);
            }
            if self.network.is_preparing(node) || self.network.is_connected(node) {
                return None;
            }
        }
        // It is down, or metadata does not name it: it may not be the coordinator any more.
        self.network.metadata_mut().request_update();
        let retry_at = now.mono + self.config.network.retry.initial;
        if let Some(transactions) = &mut self.transactions {
            transactions.retry_at = retry_at;
            if let Some(kind) = ask.coordinator() {
                transactions.set_coordinator(kind, None);
            }
        }
        None
    }

    /// The API of a request, and the newest version that means what is meant: newer ones of some are for brokers, or say that
    /// transaction version 2 is in force.
    fn api(&self, ask: &Ask) -> (ApiKey, i16) {
        let implicit = self.transactions.as_ref().is_some_and(|transactions| transactions.implicit);
        match ask {
            Ask::FindCoordinator(_) => (ApiKey::FindCoordinator, i16::MAX),
            Ask::InitProducerId => (ApiKey::InitProducerId, i16::MAX),
            Ask::AddPartitions(_) => (ApiKey::AddPartitionsToTxn, 3),
            Ask::AddOffsets => (ApiKey::AddOffsetsToTxn, i16::MAX),
            Ask::CommitOffsets => (ApiKey::TxnOffsetCommit, if implicit { i16::MAX } else { 4 }),
            Ask::EndTxn { .. } => (ApiKey::EndTxn, if implicit { i16::MAX } else { 4 }),
        }
    }

    fn request(&self, ask: &Ask, version: i16) -> RequestKind {
        let transactions = self.transactions.as_ref().expect("only transactions ask");
        let id = TransactionalId(transactions.id.clone());
        let producer = self.idempotence.as_ref().and_then(idempotence::Idempotence::producer);
        let (producer_id, producer_epoch) = producer.unwrap_or((ProducerId::NONE, ProducerEpoch(-1)));
        let producer_id = producer_id.0.into();
        match ask {
            Ask::FindCoordinator(kind) => {
                let key = match kind {
                    CoordinatorType::Transaction => transactions.id.clone(),
                    CoordinatorType::Group => self.offsets_to_commit().group.group_id.clone(),
                };
                let body = FindCoordinatorRequest::default().with_key_type(*kind as i8);
                RequestKind::FindCoordinator(if version >= 4 {
                    body.with_coordinator_keys(vec![key])
                } else {
                    body.with_key(key)
                })
            }
            // The id and epoch are those of before, if any: then they are to be the next (KIP-360).
            Ask::InitProducerId => RequestKind::InitProducerId(
                InitProducerIdRequest::default()
                    .with_transactional_id(Some(id))
                    .with_transaction_timeout_ms(self.config.transaction_timeout.as_millis() as i32)
                    .with_producer_id(producer_id)
                    .with_producer_epoch(producer_epoch.0),
            ),
            Ask::AddPartitions(slots) => RequestKind::AddPartitionsToTxn(
                AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(id)
                    .with_v3_and_below_producer_id(producer_id)
                    .with_v3_and_below_producer_epoch(producer_epoch.0)
                    .with_v3_and_below_topics(self.topics_of(slots)),
            ),
            Ask::AddOffsets => RequestKind::AddOffsetsToTxn(
                AddOffsetsToTxnRequest::default()
                    .with_transactional_id(id)
                    .with_producer_id(producer_id)
                    .with_producer_epoch(producer_epoch.0)
                    .with_group_id(GroupId(self.offsets_to_commit().group.group_id.clone())),
            ),
            Ask::CommitOffsets => {
                let PendingOffsets { group, offsets, .. } = self.offsets_to_commit();
                let mut topics: BTreeMap<TopicName, Vec<TxnOffsetCommitRequestPartition>> = BTreeMap::new();
                for (tp, offset) in offsets {
                    let partition = TxnOffsetCommitRequestPartition::default()
                        .with_partition_index(tp.partition)
                        .with_committed_offset(offset.0)
                        .with_committed_metadata(Some(StrBytes::from_static_str("")));
                    topics.entry(tp.topic.clone()).or_default().push(partition);
                }
                let topics = topics.into_iter().map(|(name, partitions)| {
                    TxnOffsetCommitRequestTopic::default().with_name(name).with_partitions(partitions)
                });
                RequestKind::TxnOffsetCommit(
                    TxnOffsetCommitRequest::default()
                        .with_transactional_id(id)
                        .with_group_id(GroupId(group.group_id.clone()))
                        .with_producer_id(producer_id)
                        .with_producer_epoch(producer_epoch.0)
                        .with_generation_id(group.generation)
                        .with_member_id(group.member_id.clone())
                        .with_group_instance_id(group.instance_id.clone())
                        .with_topics(topics.collect()),
                )
            }
            Ask::EndTxn { commit } => RequestKind::EndTxn(
                EndTxnRequest::default()
                    .with_transactional_id(id)
                    .with_producer_id(producer_id)
                    .with_producer_epoch(producer_epoch.0)
                    .with_committed(*commit),
            ),
        }
    }

    fn offsets_to_commit(&self) -> &PendingOffsets {
        let transactions = self.transactions.as_ref();
        transactions.and_then(|t| t.offsets.as_ref()).expect("only asked for when there are offsets")
    }

    fn topics_of(&self, slots: &[Slot]) -> Vec<AddPartitionsToTxnTopic> {
        let mut topics: Vec<AddPartitionsToTxnTopic> = Vec::new();
        for slot in slots {
            let name = &self.network.metadata().topic(slot.topic).name;
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(AddPartitionsToTxnTopic::default().with_name(name.clone()));
            }
            topics.last_mut().expect("one was just made").partitions.push(slot.partition as i32);
        }
        topics
    }

    /// Takes in what became of a request to a coordinator.
    pub(super) fn coordinator_answered(
        &mut self,
        now: Now,
        ask: Ask,
        outcome: Result<ResponseKind, Failure>,
    ) {
        let retry_at = now.mono + self.config.network.retry.initial;
        let Some(transactions) = &mut self.transactions else { return };
        transactions.in_flight = false;
        let Ok(response) = outcome else {
            transactions.unanswered(&ask, retry_at);
            return;
        };
        let error = match (&ask, response) {
            (Ask::FindCoordinator(kind), ResponseKind::FindCoordinator(response)) => {
                match coordinator_told(response) {
                    Ok(node) => {
                        transactions.set_coordinator(*kind, Some(node));
                        None
                    }
                    Err(error) => Some(error),
                }
            }
            (Ask::InitProducerId, ResponseKind::InitProducerId(response)) => {
                let error = ErrorCode::try_from_code(response.error_code);
                if error.is_none() {
                    self.producer_is(response.producer_id.0, response.producer_epoch);
                }
                error
            }
            (Ask::AddPartitions(_), ResponseKind::AddPartitionsToTxn(response)) => add_error(response),
            (Ask::AddOffsets, ResponseKind::AddOffsetsToTxn(response)) => {
                ErrorCode::try_from_code(response.error_code)
            }
            (Ask::CommitOffsets, ResponseKind::TxnOffsetCommit(response)) => {
                let (left, error) = offsets_error(response);
                transactions.offsets_left(&left);
                error
            }
            (Ask::EndTxn { .. }, ResponseKind::EndTxn(response)) => {
                let error = ErrorCode::try_from_code(response.error_code);
                if error.is_none() && response.producer_id.0 >= 0 {
                    self.producer_is(response.producer_id.0, response.producer_epoch);
                }
                error
            }
            _ => unreachable!("the network client compares the APIs"),
        };
        match error {
            None => self.transactions.as_mut().expect("it asked").done(&ask),
            Some(error) => self.transaction_refused(now, &ask, error),
        }
    }

    fn producer_is(&mut self, id: i64, epoch: i16) {
        let idempotence = self.idempotence.as_mut().expect("a transactional producer is idempotent");
        idempotence.producer_id_assigned(ProducerId(id), ProducerEpoch(epoch));
    }

    fn transaction_refused(&mut self, now: Now, ask: &Ask, error: ErrorCode) {
        let backoff = self.config.network.retry.initial;
        let Some(transactions) = &mut self.transactions else { return };
        let soon = transactions.waits_for_last_end(ask, error);
        let backoff = if soon { LAST_END_BACKOFF.min(backoff) } else { backoff };
        transactions.refused(ask, error, now.mono + backoff);
        self.fail_if_fenced();
    }

    /// A producer that cannot go on gives up on everything.
    pub(super) fn fail_if_fenced(&mut self) {
        if let Some(transactions) = &self.transactions
            && let TransactionState::FatalError(error) = transactions.state
            && self.fatal.is_none()
        {
            self.fail_for_good(error);
        }
    }

    /// Gives up on records that were never sent, in a transaction that is to be aborted.
    pub(super) fn drop_unsent(&mut self) {
        let Some(transactions) = &self.transactions else { return };
        if !transactions.drops_unsent() || self.accumulator.is_empty() {
            return;
        }
        let error = match transactions.state {
            TransactionState::AbortableError(error) => error,
            _ => ErrorCode::TransactionAbortable,
        };
        for id in self.accumulator.batch_ids() {
            if self.accumulator.batch(id).is_some_and(|batch| batch.sequence.is_none()) {
                self.fail(id, error, false);
            }
        }
    }
}

fn coordinator_told(response: FindCoordinatorResponse) -> Result<NodeId, ErrorCode> {
    // Before version 4, one coordinator is told in the response itself.
    let (code, node) = match response.coordinators.first() {
        Some(told) => (told.error_code, told.node_id),
        None => (response.error_code, response.node_id),
    };
    ErrorCode::try_from_code(code).map_or(Ok(NodeId(node.0)), Err)
}

/// What the coordinator says of partitions that were to be added, all or none: the error that explains the others'.
fn add_error(response: AddPartitionsToTxnResponse) -> Option<ErrorCode> {
    let topics = response.results_by_topic_v3_and_below.iter();
    let codes = topics.flat_map(|topic| &topic.results_by_partition).map(|p| p.partition_error_code);
    let mut worst = None;
    for error in codes.filter_map(ErrorCode::try_from_code) {
        if worst.is_none_or(|worst| worst == ErrorCode::OperationNotAttempted) {
            worst = Some(error);
        }
    }
    worst
}

/// The partitions whose offsets are not committed yet, and the error that decides what to do: one that asking again does not
/// help with, or that the coordinator has moved, before all others.
fn offsets_error(response: TxnOffsetCommitResponse) -> (Vec<TopicPartition>, Option<ErrorCode>) {
    let rank = |error: ErrorCode| match error {
        error if !is_retriable(error) => 2,
        ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator | ErrorCode::RequestTimedOut => 1,
        _ => 0,
    };
    let (mut left, mut worst) = (Vec::new(), None);
    for topic in response.topics {
        for partition in topic.partitions {
            let Some(error) = ErrorCode::try_from_code(partition.error_code) else { continue };
            left.push(TopicPartition { topic: topic.name.clone(), partition: partition.partition_index });
            if worst.is_none_or(|worst| rank(worst) < rank(error)) {
                worst = Some(error);
            }
        }
    }
    (left, worst)
}
