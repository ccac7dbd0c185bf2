//! AddPartitionsToTxn (KIP-98): partitions become part of a producer's transaction. From version 4 on brokers ask, for several
//! transactions at once, also whether partitions are part of one (KIP-890).

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use trial_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use trial_wire::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

/// The first version for several transactions.
const BATCHED_VERSION: i16 = 4;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    request: AddPartitionsToTxnRequest,
) {
    let kind = CoordinatorKind::Transaction;
    let mut parts = Vec::new();
    if caller.token.api_version < BATCHED_VERSION {
        let partition = broker.coordinator_partition(kind, &request.v3_and_below_transactional_id);
        parts.push(match refused(broker, &request.v3_and_below_topics, true) {
            Some(results) => Part::Done(
                AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results).into(),
            ),
            None => Part::Ask(partition, request.into(), refuse),
        });
    } else {
        let mut fit = Vec::new();
        for transaction in request.transactions {
            match refused(broker, &transaction.topics, false) {
                Some(results) => parts.push(Part::Done(batched(vec![result(&transaction, results)]))),
                None => fit.push(transaction),
            }
        }
        let fit = by_partition(broker, kind, fit, |transaction| transaction.transactional_id.as_str());
        parts.extend(fit.into_iter().map(|(partition, transactions)| {
            let part = AddPartitionsToTxnRequest::default().with_transactions(transactions);
            Part::Ask(partition, part.into(), refuse)
        }));
    }
    serve_parts(broker, now, io, (caller, client_id), kind, parts, merge);
}

/// If some partitions do not exist, or are of an internal topic, which is not for clients, whatever their rights: that, and of
/// the others that nothing was attempted.
fn refused(
    broker: &Broker,
    topics: &[AddPartitionsToTxnTopic],
    from_client: bool,
) -> Option<Vec<AddPartitionsToTxnTopicResult>> {
    let image = &broker.published.image;
    let error = |name: &TopicName, partition: i32| {
        let exists =
            || image.topic_named(name).is_some_and(|topic| topic.partitions.contains_key(&partition));
        if from_client && trial_coordinator::is_internal(name.as_str()) {
            Some(ErrorCode::TopicAuthorizationFailed)
        } else {
            (!exists()).then_some(ErrorCode::UnknownTopicOrPartition)
        }
    };
    let is_fine = |topic: &AddPartitionsToTxnTopic| {
        topic.partitions.iter().all(|partition| error(&topic.name, *partition).is_none())
    };
    (!topics.iter().all(is_fine)).then(|| {
        results(topics, |name, partition| error(name, partition).unwrap_or(ErrorCode::OperationNotAttempted))
    })
}

pub(super) fn results(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&TopicName, i32) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*partition)
                .with_partition_error_code(error(&topic.name, *partition).code())
        });
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(partitions.collect())
    });
    topics.collect()
}

fn result(
    transaction: &AddPartitionsToTxnTransaction,
    results: Vec<AddPartitionsToTxnTopicResult>,
) -> AddPartitionsToTxnResult {
    AddPartitionsToTxnResult::default()
        .with_transactional_id(transaction.transactional_id.clone())
        .with_topic_results(results)
}

fn batched(results: Vec<AddPartitionsToTxnResult>) -> ResponseKind {
    AddPartitionsToTxnResponse::default().with_results_by_transaction(results).into()
}

pub(super) fn refuse(request: &RequestKind, version: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::AddPartitionsToTxn(request) = request else { unreachable!("it is what was asked") };
    if version < BATCHED_VERSION {
        let results = results(&request.v3_and_below_topics, |_, _| error);
        return AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results).into();
    }
    let refused = request.transactions.iter();
    batched(refused.map(|refused| result(refused, results(&refused.topics, |_, _| error))).collect())
}

/// Of one part, or of transactions of each part.
fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut parts = answers!(parts, AddPartitionsToTxn);
    let mut merged = parts.next().unwrap_or_default();
    merged.results_by_transaction.extend(parts.flat_map(|part| part.results_by_transaction));
    merged.into()
}
