//! OffsetCommit: a group's members, or somebody else, say up to where partitions are consumed.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::offset_commit_request::OffsetCommitRequestTopic;
use trial_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use trial_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{Part, answers, serve_parts};
use super::known_partitions::take_unknown;
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    mut request: OffsetCommitRequest,
) {
    let kind = CoordinatorKind::Group;
    let mut unknown = Vec::new();
    request.topics.retain_mut(|topic| {
        let gone = take_unknown(broker, &topic.name, &mut topic.partitions, |p| p.partition_index);
        if !gone.is_empty() {
            unknown.push(topic.clone().with_partitions(gone));
        }
        !topic.partitions.is_empty()
    });
    let mut parts = Vec::with_capacity(2);
    if !unknown.is_empty() {
        parts.push(Part::Done(errors(&unknown, ErrorCode::UnknownTopicOrPartition)));
    }
    if !request.topics.is_empty() || parts.is_empty() {
        let partition = broker.coordinator_partition(kind, &request.group_id);
        parts.push(Part::Ask(partition, request.into(), refuse));
    }
    serve_parts(broker, now, io, caller, kind, parts, merge);
}

fn errors(topics: &[OffsetCommitRequestTopic], error: ErrorCode) -> ResponseKind {
    let topics = topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect()).into()
}

fn refuse(request: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::OffsetCommit(request) = request else { unreachable!("it is what was asked") };
    errors(&request.topics, error)
}

fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut merged = OffsetCommitResponse::default();
    for topic in answers!(parts, OffsetCommit).flat_map(|part| part.topics) {
        match merged.topics.iter_mut().find(|merged| merged.name == topic.name) {
            Some(merged) => merged.partitions.extend(topic.partitions),
            None => merged.topics.push(topic),
        }
    }
    merged.into()
}
