//! OffsetFetch: the offsets that a group has committed; from version 8 on of several groups at once (KIP-709).

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponseTopic,
};
use trial_wire::messages::{OffsetFetchRequest, OffsetFetchResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

/// The first version that names several groups.
const BATCHED_VERSION: i16 = 8;
/// The first version whose errors are not each partition's.
const GROUP_ERROR_VERSION: i16 = 2;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    mut request: OffsetFetchRequest,
) {
    let kind = CoordinatorKind::Group;
    let parts = if caller.token.api_version < BATCHED_VERSION {
        let partition = broker.coordinator_partition(kind, &request.group_id);
        vec![Part::Ask(partition, request.into(), refuse)]
    } else {
        let groups = std::mem::take(&mut request.groups);
        let parts = by_partition(broker, kind, groups, |group| group.group_id.as_str()).into_iter();
        let parts = parts.map(|(partition, groups)| {
            Part::Ask(partition, request.clone().with_groups(groups).into(), refuse)
        });
        parts.collect()
    };
    serve_parts(broker, now, io, (caller, client_id), kind, parts, merge);
}

fn refuse(request: &RequestKind, version: i16, error: ErrorCode) -> ResponseKind {
    let RequestKind::OffsetFetch(request) = request else { unreachable!("it is what was asked") };
    let response = OffsetFetchResponse::default();
    let response = if version >= BATCHED_VERSION {
        let groups = request.groups.iter().map(|group| {
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id.clone())
                .with_error_code(error.code())
        });
        response.with_groups(groups.collect())
    } else if version >= GROUP_ERROR_VERSION {
        response.with_error_code(error.code())
    } else {
        let topics = request.topics.iter().flatten().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(*index)
                    .with_committed_offset(-1)
                    .with_metadata(Some(StrBytes::new()))
                    .with_error_code(error.code())
            });
            OffsetFetchResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        response.with_topics(topics.collect())
    };
    response.into()
}

/// Of one part, or of groups of each part.
fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut parts = answers!(parts, OffsetFetch);
    let mut merged = parts.next().unwrap_or_default();
    merged.groups.extend(parts.flat_map(|part| part.groups));
    merged.into()
}
