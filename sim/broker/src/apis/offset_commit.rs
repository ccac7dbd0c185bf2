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

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    mut request: OffsetCommitRequest,
) {
    let kind = CoordinatorKind::Group;
    let mut parts = Vec::with_capacity(3);
    if caller.0.token.api_version >= TOPIC_ID_VERSION {
        let (named, unknown) = name_topics(broker, &mut request);
        parts.extend([Part::Done(named.into()), Part::Done(errors(&unknown, ErrorCode::UnknownTopicId))]);
    }
    let mut unknown = Vec::new();
    request.topics.retain_mut(|topic| {
        let gone = take_unknown(broker, &topic.name, &mut topic.partitions, |p| p.partition_index);
        if !gone.is_empty() {
            unknown.push(topic.clone().with_partitions(gone));
        }
        !topic.partitions.is_empty()
    });
    if !unknown.is_empty() {
        parts.push(Part::Done(errors(&unknown, ErrorCode::UnknownTopicOrPartition)));
    }
    if !request.topics.is_empty() || parts.is_empty() {
        let partition = broker.coordinator_partition(kind, &request.group_id);
        parts.push(Part::Ask(partition, request.into(), refuse));
    }
    serve_parts(broker, now, io, caller, kind, parts, merge);
}

/// Gives the topics their names. Gives a part of the response that has each of them with its id and without partitions yet, and
/// takes those out that do not exist.
fn name_topics(
    broker: &Broker,
    request: &mut OffsetCommitRequest,
) -> (OffsetCommitResponse, Vec<OffsetCommitRequestTopic>) {
    let unknown = request.topics.extract_if(.., |topic| match broker.published.image.topic(topic.topic_id) {
        Some(known) => {
            topic.name = known.name.clone();
            false
        }
        None => true,
    });
    let unknown: Vec<_> = unknown.collect();
    let named = request.topics.iter().map(|topic| {
        OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_topic_id(topic.topic_id)
    });
    (OffsetCommitResponse::default().with_topics(named.collect()), unknown)
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
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect()).into()
}

pub(super) fn refuse(request: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::OffsetCommit(request) = request else { unreachable!("it is what was asked") };
    errors(&request.topics, error)
}

/// Puts what the parts say of a topic together. The coordinator knows it by its name alone.
fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut merged = OffsetCommitResponse::default();
    for topic in answers!(parts, OffsetCommit).flat_map(|part| part.topics) {
        let same = |other: &&mut OffsetCommitResponseTopic| match topic.name.is_empty() {
            true => other.topic_id == topic.topic_id,
            false => other.name == topic.name,
        };
        match merged.topics.iter_mut().find(same) {
            Some(merged) => merged.partitions.extend(topic.partitions),
            None => merged.topics.push(topic),
        }
    }
    merged.into()
}
