//! AddPartitionsToTxn and AddOffsetsToTxn (KIP-98, KIP-890): partitions join a transaction, or are asked about.

use trial_node::view::TransactionState;
use trial_node::{ProducerEpoch, ProducerId, TopicPartition};
use trial_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use trial_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use trial_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TransactionalId,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes, TopicName};

use super::TransactionCoordinator;
use super::answer::{Caller, fencing_code};
use super::coordinator::transaction_version;
use super::metadata::ProducerIdAndEpoch;
use super::state;
use crate::{CallId, Env, Output, partition_for};

/// From this version on the request comes from brokers, with many transactions.
const BATCHED: i16 = 4;

/// An AddPartitionsToTxn that is not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    version: i16,
    /// What was asked, and the answer once there is one.
    results: Vec<(TransactionalId, Vec<AddPartitionsToTxnTopic>, Option<Vec<AddPartitionsToTxnTopicResult>>)>,
    /// How many answers are missing.
    missing: usize,
}

impl TransactionCoordinator {
    pub(super) fn add_partitions_to_txn(
        &mut self,
        env: &mut Env<'_>,
        call: CallId,
        version: i16,
        body: AddPartitionsToTxnRequest,
    ) {
        let transactions = transactions(version, body);
        self.open_batch(call, version, &transactions);
        for (index, transaction) in transactions.into_iter().enumerate() {
            self.add_transaction(env, call, version, index, transaction);
        }
    }

    /// Answers a whole request with one error.
    pub(super) fn refuse_partitions(
        &mut self,
        call: CallId,
        version: i16,
        body: &AddPartitionsToTxnRequest,
        error: ErrorCode,
    ) {
        let transactions = transactions(version, body.clone());
        self.open_batch(call, version, &transactions);
        for index in 0..transactions.len() {
            self.answer_partitions(call, index, error.code());
        }
    }

    fn open_batch(&mut self, call: CallId, version: i16, transactions: &[AddPartitionsToTxnTransaction]) {
        let results = transactions.iter().map(|t| (t.transactional_id.clone(), t.topics.clone(), None));
        self.batches.insert(call, Batch { version, results: results.collect(), missing: transactions.len() });
        self.answer_batch_if_whole(call);
    }

    fn add_transaction(
        &mut self,
        env: &mut Env<'_>,
        call: CallId,
        version: i16,
        index: usize,
        transaction: AddPartitionsToTxnTransaction,
    ) {
        let id = transaction.transactional_id.0;
        let producer = ProducerIdAndEpoch {
            producer_id: ProducerId(transaction.producer_id.0),
            producer_epoch: ProducerEpoch(transaction.producer_epoch),
        };
        let is_there = |topic: &TopicName, partition: i32| {
            env.metadata.partition_count(topic).is_some_and(|count| (0..count).contains(&partition))
        };
        let is_known = |topic: &AddPartitionsToTxnTopic| {
            topic.partitions.iter().all(|partition| is_there(&topic.name, *partition))
        };
        if !transaction.topics.iter().all(is_known) {
            // As a whole or not at all.
            return self.set_result(call, index, |topic, partition| {
                if is_there(topic, partition) {
                    ErrorCode::OperationNotAttempted.code()
                } else {
                    ErrorCode::UnknownTopicOrPartition.code()
                }
            });
        }
        let partitions = transaction.topics.iter().flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|index| TopicPartition { topic: topic.name.clone(), partition: *index })
        });
        if transaction.verify_only {
            return match self.verify(&id, producer) {
                Err(error) => {
                    self.trace_refusal(&id, producer, error);
                    self.answer_partitions(call, index, error.code());
                }
                Ok(()) => {
                    let known = self.ids.get(&id).and_then(|entry| entry.committed());
                    let joined = known.map(|known| known.log.partitions.clone()).unwrap_or_default();
                    self.set_result(call, index, |topic, partition| {
                        match joined.contains(&TopicPartition { topic: topic.clone(), partition }) {
                            true => 0,
                            false => ErrorCode::TransactionAbortable.code(),
                        }
                    });
                }
            };
        }
        let partitions: Vec<TopicPartition> = partitions.collect();
        // Clients of version 2 leave it to the leaders of partitions to add them.
        let client_version = if version >= BATCHED { transaction_version(env) } else { 0 };
        let client_version = if client_version >= 2 { 2 } else { 0 };
        self.add(env, &id, producer, partitions, client_version, Caller::AddPartitions { call, index });
    }

    pub(super) fn add_offsets_to_txn(
        &mut self,
        env: &mut Env<'_>,
        call: CallId,
        version: i16,
        body: AddOffsetsToTxnRequest,
    ) {
        let producer = ProducerIdAndEpoch {
            producer_id: ProducerId(body.producer_id.0),
            producer_epoch: ProducerEpoch(body.producer_epoch),
        };
        let topic = TopicName(StrBytes::from_static_str(crate::CONSUMER_OFFSETS));
        let count = env.metadata.partition_count(&topic).unwrap_or(self.config.offsets_topic_num_partitions);
        let partition = partition_for(&body.group_id, count);
        let partitions = vec![TopicPartition { topic, partition }];
        let id = body.transactional_id.0;
        self.add(env, &id, producer, partitions, 0, Caller::AddOffsets { call, version });
    }

    fn add(
        &mut self,
        env: &mut Env<'_>,
        id: &StrBytes,
        producer: ProducerIdAndEpoch,
        partitions: Vec<TopicPartition>,
        client_version: i16,
        caller: Caller,
    ) {
        let result = match self.ids.get(id) {
            _ if id.is_empty() => Err(ErrorCode::InvalidRequest),
            None => Err(ErrorCode::InvalidProducerIdMapping),
            // First of all: the producer may know a producer id and epoch already that are not here before the markers are
            // written (KAFKA-18660).
            Some(entry) if entry.is_busy() => Err(ErrorCode::ConcurrentTransactions),
            Some(entry) => {
                let known = entry.committed().expect("an id of which nothing is known has a step on its way");
                if known.log.producer_id != producer.producer_id {
                    Err(ErrorCode::InvalidProducerIdMapping)
                } else if known.log.producer_epoch != producer.producer_epoch {
                    Err(ErrorCode::ProducerFenced)
                } else if known.log.state == TransactionState::Ongoing
                    && partitions.iter().all(|tp| known.log.partitions.contains(tp))
                {
                    Ok(None)
                } else {
                    Ok(Some(known.with_partitions(partitions, client_version, env.now.wall_ms)))
                }
            }
        };
        match result {
            Ok(Some(next)) => self.append(env, id, Some(next), caller),
            Ok(None) => self.answer(caller, Ok(None)),
            Err(error) => {
                self.trace_refusal(id, producer, error);
                self.answer(caller, Err(error));
            }
        }
    }

    /// Whether a producer's transaction can be asked about (KIP-890). What is on its way to the log does not count yet.
    fn verify(&self, id: &StrBytes, producer: ProducerIdAndEpoch) -> Result<(), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let known = self.ids.get(id).and_then(|entry| entry.committed());
        let known = known.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        if known.log.producer_id != producer.producer_id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if known.log.producer_epoch != producer.producer_epoch {
            Err(ErrorCode::ProducerFenced)
        } else if state::is_prepared(known.log.state) {
            Err(ErrorCode::ConcurrentTransactions)
        } else {
            Ok(())
        }
    }

    /// One transaction of an AddPartitionsToTxn has this outcome for all its partitions.
    pub(super) fn answer_partitions(&mut self, call: CallId, index: usize, code: i16) {
        self.set_result(call, index, |_, _| code);
    }

    fn set_result(&mut self, call: CallId, index: usize, mut code_of: impl FnMut(&TopicName, i32) -> i16) {
        let batch = self.batches.get_mut(&call).expect("a batch is answered once it is whole");
        let (_, topics, result) = &mut batch.results[index];
        let topics = std::mem::take(topics).into_iter().map(|topic| {
            let partitions = topic.partitions.into_iter().map(|partition| {
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(partition)
                    .with_partition_error_code(fencing_code(
                        code_of(&topic.name, partition),
                        batch.version,
                        2,
                    ))
            });
            let partitions = partitions.collect();
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name)
                .with_results_by_partition(partitions)
        });
        assert!(result.replace(topics.collect()).is_none(), "each transaction is answered once");
        batch.missing -= 1;
        self.answer_batch_if_whole(call);
    }

    fn answer_batch_if_whole(&mut self, call: CallId) {
        if self.batches.get(&call).is_none_or(|batch| batch.missing > 0) {
            return;
        }
        let Batch { version, results, .. } = self.batches.remove(&call).expect("it was there");
        let mut results = results.into_iter().map(|(id, _, topics)| {
            AddPartitionsToTxnResult::default()
                .with_transactional_id(id)
                .with_topic_results(topics.expect("none is missing"))
        });
        let response = AddPartitionsToTxnResponse::default();
        let response = if version >= BATCHED {
            response.with_results_by_transaction(results.collect())
        } else {
            let only = results.next().expect("these versions have one transaction");
            response.with_results_by_topic_v3_and_below(only.topic_results)
        };
        self.outputs.push_back(Output::Respond { call, body: ResponseKind::AddPartitionsToTxn(response) });
    }
}

fn transactions(version: i16, body: AddPartitionsToTxnRequest) -> Vec<AddPartitionsToTxnTransaction> {
    if version >= BATCHED {
        return body.transactions;
    }
    vec![
        AddPartitionsToTxnTransaction::default()
            .with_transactional_id(body.v3_and_below_transactional_id)
            .with_producer_id(body.v3_and_below_producer_id)
            .with_producer_epoch(body.v3_and_below_producer_epoch)
            .with_topics(body.v3_and_below_topics),
    ]
}
