//! OffsetFetch.

use trial_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use trial_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use trial_wire::messages::{OffsetFetchRequest, OffsetFetchResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::super::coordinator::{Group, Groups};
use super::{GroupOffsets, Offsets};

/// From this version on, a request may ask for several groups.
const BATCH_FETCH: i16 = 8;

/// OffsetFetch.
pub(in crate::group) fn fetch(
    groups: &Groups,
    offsets: &Offsets,
    version: i16,
    body: OffsetFetchRequest,
) -> OffsetFetchResponse {
    let stable = body.require_stable;
    if version >= BATCH_FETCH {
        let fetched = body.groups.into_iter().map(|group| fetch_group(groups, offsets, stable, group));
        return OffsetFetchResponse::default().with_groups(fetched.collect());
    }
    let topics = body.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(body.group_id)
        .with_member_epoch(-1)
        .with_topics(topics);
    let fetched = fetch_group(groups, offsets, stable, group);
    let topics = fetched.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_committed_offset(partition.committed_offset)
                .with_committed_leader_epoch(partition.committed_leader_epoch)
                .with_metadata(partition.metadata)
                .with_error_code(partition.error_code)
        });
        OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect()).with_error_code(fetched.error_code)
}

fn fetch_group(
    groups: &Groups,
    offsets: &Offsets,
    stable: bool,
    request: OffsetFetchRequestGroup,
) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(request.group_id.clone());
    let valid = match groups.get(&request.group_id.0) {
        Some(Group::Consumer(group)) => {
            group.validate_offset_fetch(request.member_id.as_deref(), request.member_epoch)
        }
        Some(Group::Classic(_)) | None => Ok(()),
    };
    if let Err(error) = valid {
        return response.with_error_code(error.code());
    }
    let offsets = offsets.group(&request.group_id.0);
    let topics = match request.topics {
        Some(topics) => topics,
        None => all_topics(offsets),
    };
    let topics = topics.into_iter().map(|topic| {
        let partitions =
            topic.partition_indexes.iter().map(|&index| partition(offsets, stable, &topic.name, index));
        OffsetFetchResponseTopics::default().with_partitions(partitions.collect()).with_name(topic.name)
    });
    response.with_topics(topics.collect())
}

/// Every partition of which the group has an offset.
fn all_topics(offsets: Option<&GroupOffsets>) -> Vec<OffsetFetchRequestTopics> {
    let committed = offsets.into_iter().flat_map(|offsets| &offsets.committed);
    let topics = committed.map(|(topic, partitions)| {
        OffsetFetchRequestTopics::default()
            .with_name(topic.clone().into())
            .with_partition_indexes(partitions.keys().copied().collect())
    });
    topics.collect()
}

/// A partition without an offset has −1. If `stable`, one in an open transaction has an error: it may be another soon.
fn partition(
    offsets: Option<&GroupOffsets>,
    stable: bool,
    topic: &str,
    index: i32,
) -> OffsetFetchResponsePartitions {
    let partition = OffsetFetchResponsePartitions::default()
        .with_partition_index(index)
        .with_committed_offset(-1)
        .with_committed_leader_epoch(-1)
        .with_metadata(Some(StrBytes::new()));
    let Some(offsets) = offsets else { return partition };
    if stable && offsets.is_pending(topic, index) {
        return partition.with_error_code(ErrorCode::UnstableOffsetCommit.code());
    }
    let Some(committed) = offsets.committed(topic, index) else { return partition };
    partition
        .with_committed_offset(committed.offset.0)
        .with_committed_leader_epoch(committed.leader_epoch.0)
        .with_metadata(Some(committed.metadata.clone()))
}
