//! DescribeTopicPartitions (KIP-966): where the partitions of topics are, a page at a time.

use std::collections::BTreeSet;

use trial_metadata::{PartitionRegistration, TopicImage};
use trial_node::{Io, NodeId};
use trial_security::acl::AclOperation;
use trial_wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use trial_wire::messages::{BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use trial_wire::{ErrorCode, ResponseKind, TopicName};

use super::Caller;
use super::metadata::{is_offline, topic_name_is_valid};
use crate::Broker;
use crate::published::Published;
use crate::security::Access;

pub(super) fn serve(
    broker: &mut Broker,
    io: &mut Io<'_>,
    caller: Caller,
    request: &DescribeTopicPartitionsRequest,
) {
    let limit = broker.effective.max_request_partition_size_limit.min(request.response_partition_limit);
    let limit = usize::try_from(limit).unwrap_or(0).max(1);
    let access = broker.access(caller.token.conn);
    let response = describe(&broker.published, request, limit, access.as_ref());
    broker.connections.respond(io, caller.token, ResponseKind::DescribeTopicPartitions(response));
}

/// A page of at most `limit` partitions, and where the next one begins. Of all topics, only those that `access` allows to see.
fn describe(
    published: &Published,
    request: &DescribeTopicPartitionsRequest,
    limit: usize,
    access: Option<&Access>,
) -> DescribeTopicPartitionsResponse {
    let image = &published.image;
    let all = request.topics.is_empty();
    let mut names: BTreeSet<&TopicName> = match all {
        true => {
            let may_see = |name: &&TopicName| access.is_none_or(|it| it.topic(AclOperation::Describe, name));
            image.topic_ids().keys().filter(may_see).collect()
        }
        false => request.topics.iter().map(|topic| &topic.name).collect(),
    };
    let mut response = DescribeTopicPartitionsResponse::default();
    if let Some(cursor) = &request.cursor {
        // The cursor's topic may have been deleted since, but it must be one that is asked for.
        if cursor.partition_index < 0 || !all && !names.contains(&cursor.topic_name) {
            let refused = request.topics.iter().map(|topic| failed(&topic.name, ErrorCode::InvalidRequest));
            response.topics = refused.collect();
            return response;
        }
        names = names.split_off(&cursor.topic_name);
    }
    let mut left = limit;
    for name in names {
        let start = match &request.cursor {
            Some(cursor) if cursor.topic_name == *name => cursor.partition_index,
            _ => 0,
        };
        let next =
            |partition| Some(Cursor::default().with_topic_name(name.clone()).with_partition_index(partition));
        if left == 0 {
            response.next_cursor = next(0);
            break;
        }
        let Some(topic) = image.topic_named(name) else {
            let error = match topic_name_is_valid(name) {
                true => ErrorCode::UnknownTopicOrPartition,
                false => ErrorCode::InvalidTopicException,
            };
            if !all {
                response.topics.push(failed(name, error));
            }
            continue;
        };
        let partitions: Vec<_> = topic.partitions.range(start..).take(left).collect();
        left -= partitions.len();
        let beyond = partitions.last().map_or(start, |(index, _)| **index + 1);
        response.topics.push(of_topic(published, topic, &partitions));
        if topic.partitions.range(beyond..).next().is_some() {
            response.next_cursor = next(beyond);
            break;
        }
    }
    response
}

fn failed(name: &TopicName, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(name.clone()))
        .with_error_code(error.code())
        .with_is_internal(trial_coordinator::is_internal(name.as_str()))
}

fn of_topic(
    published: &Published,
    topic: &TopicImage,
    partitions: &[(&i32, &PartitionRegistration)],
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = partitions.iter().map(|(index, state)| of_partition(published, **index, state));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(topic.name.clone()))
        .with_topic_id(topic.id)
        .with_is_internal(trial_coordinator::is_internal(topic.name.as_str()))
        .with_partitions(partitions.collect())
}

fn of_partition(
    published: &Published,
    index: i32,
    state: &PartitionRegistration,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| BrokerId(node.0)).collect::<Vec<_>>();
    let offline = state.replicas.iter().copied().filter(|node| is_offline(published, state, *node));
    let offline: Vec<NodeId> = offline.collect();
    let leader = published.endpoint(state.leader).map_or(NodeId::NONE, |_| state.leader);
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader.0))
        .with_leader_epoch(state.leader_epoch.0)
        .with_replica_nodes(ids(&state.replicas))
        .with_isr_nodes(ids(&state.isr))
        .with_eligible_leader_replicas(Some(ids(&state.elr)))
        .with_last_known_elr(Some(ids(&state.last_known_elr)))
        .with_offline_replicas(ids(&offline))
}
