//! TxnOffsetCommit (KIP-98, KIP-447): a producer commits offsets of a group as part of its transaction.

use trial_coordinator::CallId;
use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now, ProducerEpoch, ProducerId};
use trial_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestTopic;
use trial_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use trial_wire::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::answers;
use super::known_partitions::take_unknown;
use crate::Broker;
use crate::coordinator::{Gathering, Unverified};
use crate::replica::{TransactionSupport, Waiter};

/// KAFKA-7296: older clients cannot bear to be told that a group is being loaded.
const LOADING_VERSION: i16 = 2;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    mut request: TxnOffsetCommitRequest,
) {
    let token = caller.token;
    let merge = if token.api_version < LOADING_VERSION { merge_for_old_clients } else { merge };
    let mut gathering = Gathering::new(token, merge);
    let mut unknown = Vec::new();
    request.topics.retain_mut(|topic| {
        let gone = take_unknown(broker, &topic.name, &mut topic.partitions, |p| p.partition_index);
        if !gone.is_empty() {
            unknown.push(topic.clone().with_partitions(gone));
        }
        !topic.partitions.is_empty()
    });
    if !unknown.is_empty() {
        gathering.done(errors(&unknown, ErrorCode::UnknownTopicOrPartition));
    }
    let id = broker.next_id();
    if request.topics.is_empty() && !unknown.is_empty() {
        return broker.gather(io, id, gathering);
    }
    let kind = CoordinatorKind::Group;
    let partition = broker.coordinator_partition(kind, &request.group_id);
    let fit = match request.group_id.is_empty() {
        true => Err(ErrorCode::InvalidGroupId),
        false => broker.coordinators.check(kind, partition),
    };
    let log = match fit {
        Ok(()) => broker.coordinators.groups.log(partition).expect("it was found fit"),
        Err(error) => {
            gathering.done(errors(&request.topics, error));
            return broker.gather(io, id, gathering);
        }
    };
    let call = CallId(broker.next_id());
    broker.coordinators.calls.part(call, id, gathering.pending());
    broker.gather(io, id, gathering);

    let transactional_id = request.transactional_id.0.clone();
    let producer = (ProducerId(*request.producer_id), ProducerEpoch(request.producer_epoch));
    let support = match token.api_version {
        ..=3 => TransactionSupport::DefaultError,
        4 => TransactionSupport::GenericError,
        _ => TransactionSupport::AddPartition,
    };
    let waiter = Waiter(broker.next_id());
    broker.coordinators.unverified.insert(
        waiter,
        Unverified {
            partition,
            call,
            version: token.api_version,
            client_id: client_id.clone(),
            body: request.into(),
            refuse,
        },
    );
    broker.replicate(now, io, |replicas, ctx| {
        replicas.verify_own(ctx, log, &transactional_id, producer, support, waiter);
    });
}

pub(super) fn errors(topics: &[TxnOffsetCommitRequestTopic], error: ErrorCode) -> ResponseKind {
    let topics = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect()).into()
}

/// The answer if the transaction could not be verified, in words that clients of a group coordinator know.
fn refuse(request: &RequestKind, error: ErrorCode) -> ResponseKind {
    let RequestKind::TxnOffsetCommit(request) = request else { unreachable!("it is what was asked") };
    let error = match error {
        // Retriable without looking the coordinator up again, as it is ours that could not be reached.
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        error => error,
    };
    errors(&request.topics, error)
}

fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    merged(parts).into()
}

fn merge_for_old_clients(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut response = merged(parts);
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for partition in partitions {
        if partition.error_code == ErrorCode::CoordinatorLoadInProgress.code() {
            partition.error_code = ErrorCode::CoordinatorNotAvailable.code();
        }
    }
    response.into()
}

fn merged(parts: Vec<ResponseKind>) -> TxnOffsetCommitResponse {
    let mut merged = TxnOffsetCommitResponse::default();
    for topic in answers!(parts, TxnOffsetCommit).flat_map(|part| part.topics) {
        match merged.topics.iter_mut().find(|merged| merged.name == topic.name) {
            Some(merged) => merged.partitions.extend(topic.partitions),
            None => merged.topics.push(topic),
        }
    }
    merged
}
