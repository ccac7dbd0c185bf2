//! OffsetDelete (KIP-496): a group forgets offsets of topics that it does not consume any more.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use trial_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
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
    mut request: OffsetDeleteRequest,
) {
    let kind = CoordinatorKind::Group;
    let mut unknown = Vec::new();
    request.topics.retain_mut(|topic| {
        let gone = take_unknown(broker, &topic.name, &mut topic.partitions, |p| p.partition_index);
        if !gone.is_empty() {
            let partitions = gone.iter().map(|partition| {
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
            });
            unknown.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect()),
            );
        }
        !topic.partitions.is_empty()
    });
    let mut parts = Vec::with_capacity(2);
    if !unknown.is_empty() {
        parts.push(Part::Done(OffsetDeleteResponse::default().with_topics(unknown).into()));
    }
    let partition = broker.coordinator_partition(kind, &request.group_id);
    parts.push(Part::Ask(partition, request.into(), refuse));
    serve_parts(broker, now, io, caller, kind, parts, merge);
}

pub(super) fn refuse(_: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    OffsetDeleteResponse::default().with_error_code(error.code()).into()
}

/// An error of the group is all that there is to say.
fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut merged = OffsetDeleteResponse::default();
    for part in answers!(parts, OffsetDelete) {
        if part.error_code != 0 {
            return OffsetDeleteResponse::default().with_error_code(part.error_code).into();
        }
        for topic in part.topics {
            match merged.topics.iter_mut().find(|merged| merged.name == topic.name) {
                Some(merged) => merged.partitions.extend(topic.partitions),
                None => merged.topics.push(topic),
            }
        }
    }
    merged.into()
}
