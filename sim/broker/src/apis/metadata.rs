//! Metadata: the brokers, and where the partitions of topics are.

use std::collections::BTreeSet;

use trial_metadata::{PartitionRegistration, TopicImage};
use trial_node::{Io, NodeId, Now};
use trial_wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use trial_wire::messages::{BrokerId, MetadataRequest, MetadataResponse};
use trial_wire::{ErrorCode, ResponseKind, TopicName, Uuid};

use super::Caller;
use crate::Broker;
use crate::published::Published;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: Caller,
    request: MetadataRequest,
) {
    let version = caller.token.api_version;
    let (mut topics, missing) = topics(&broker.published, version, &request);
    let may_create = broker.effective.auto_create_topics_enable && request.allow_auto_topic_creation;
    for name in missing {
        let error = match (topic_name_is_valid(&name), may_create) {
            (false, _) => ErrorCode::InvalidTopicException,
            (true, _) => ErrorCode::UnknownTopicOrPartition,
        };
        topics.push(
            MetadataResponseTopic::default()
                .with_name(Some(name.clone()))
                .with_error_code(error.code())
                .with_is_internal(trial_coordinator::is_internal(name.as_str())),
        );
        if may_create && error == ErrorCode::UnknownTopicOrPartition {
            broker.auto_create_topic(now, name);
        }
    }
    let brokers = broker.published.alive_brokers().map(|(registered, endpoint)| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(registered.broker_id.0))
            .with_host(endpoint.host.clone())
            .with_port(i32::from(endpoint.port))
            .with_rack(registered.rack.clone())
    });
    let response = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_topics(topics)
        .with_cluster_id(Some(broker.config.cluster_id.clone()))
        .with_controller_id(BrokerId(broker.some_live_broker(io).0));
    broker.connections.respond(io, caller.token, ResponseKind::Metadata(response));
}

/// The topics that were asked for and exist (or have an id that does not), and the names of those that do not exist; each
/// once, however often it was asked for.
fn topics(
    published: &Published,
    version: i16,
    request: &MetadataRequest,
) -> (Vec<MetadataResponseTopic>, Vec<TopicName>) {
    let image = &published.image;
    let asked = match &request.topics {
        // Version 0 cannot say "none".
        Some(asked) if !(version == 0 && asked.is_empty()) => asked,
        _ => {
            let named = image.topic_ids().values().filter_map(|id| image.topic(*id));
            return (named.map(|topic| of_topic(published, version, topic)).collect(), Vec::new());
        }
    };
    let mut found = Vec::with_capacity(asked.len());
    let mut missing = Vec::new();
    let by_id = asked.iter().any(|topic| !topic.topic_id.is_nil());
    let mut seen = BTreeSet::new();
    for topic in asked {
        let name = topic.name.as_ref().filter(|_| !by_id);
        if !seen.insert((topic.topic_id, name)) {
            continue;
        }
        match name {
            Some(name) => match image.topic_named(name) {
                Some(known) => found.push(of_topic(published, version, known)),
                None => missing.push(name.clone()),
            },
            None if topic.topic_id.is_nil() => {}
            None => found.push(match image.topic(topic.topic_id) {
                Some(known) => of_topic(published, version, known),
                None => unknown_id(topic.topic_id),
            }),
        }
    }
    (found, missing)
}

fn unknown_id(topic_id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_name(None)
        .with_topic_id(topic_id)
        .with_error_code(ErrorCode::UnknownTopicId.code())
}

fn of_topic(published: &Published, version: i16, topic: &TopicImage) -> MetadataResponseTopic {
    let partitions = topic.partitions.iter();
    MetadataResponseTopic::default()
        .with_name(Some(topic.name.clone()))
        .with_topic_id(topic.id)
        .with_is_internal(trial_coordinator::is_internal(topic.name.as_str()))
        .with_partitions(
            partitions.map(|(index, state)| of_partition(published, version, *index, state)).collect(),
        )
}

fn of_partition(
    published: &Published,
    version: i16,
    index: i32,
    state: &PartitionRegistration,
) -> MetadataResponsePartition {
    let alive = |node: &NodeId| published.image.broker(*node).is_some_and(|broker| !broker.fenced);
    // Version 0 hides replicas that are not there, and says so by an error.
    let shown = |nodes: &[NodeId]| -> Vec<BrokerId> {
        let nodes = nodes.iter().filter(|node| version > 0 || alive(node));
        nodes.map(|node| BrokerId(node.0)).collect()
    };
    let (replicas, isr) = (shown(&state.replicas), shown(&state.isr));
    let leader = published.endpoint(state.leader).map(|_| state.leader);
    let error = match leader {
        None if version < 6 || published.image.broker(state.leader).is_none() => {
            Some(ErrorCode::LeaderNotAvailable)
        }
        None => Some(ErrorCode::ListenerNotFound),
        Some(_) if replicas.len() < state.replicas.len() || isr.len() < state.isr.len() => {
            Some(ErrorCode::ReplicaNotAvailable)
        }
        Some(_) => None,
    };
    let offline = state.replicas.iter().filter(|node| is_offline(published, state, **node));
    let offline = offline.map(|node| BrokerId(node.0));
    MetadataResponsePartition::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_partition_index(index)
        .with_leader_id(BrokerId(leader.unwrap_or(NodeId::NONE).0))
        .with_leader_epoch(state.leader_epoch.0)
        .with_replica_nodes(replicas)
        .with_isr_nodes(isr)
        .with_offline_replicas(offline.collect())
}

/// Whether a replica is not there: its broker is fenced, or its log directory offline (KIP-858).
pub(super) fn is_offline(published: &Published, state: &PartitionRegistration, node: NodeId) -> bool {
    published
        .image
        .broker(node)
        .is_none_or(|broker| broker.fenced || !broker.has_online_dir(state.directory(node)))
}

/// `Topic.validate`: 1 to 249 letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
pub(super) fn topic_name_is_valid(name: &TopicName) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    (1..=249).contains(&name.len())
        && name.as_str() != "."
        && name.as_str() != ".."
        && name.chars().all(legal)
}
