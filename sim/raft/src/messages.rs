//! The quorum's messages for the one partition that there is.

use bytes::Bytes;
use trial_node::{LeaderEpoch, NodeId, Offset};
use trial_wire::messages::{
    BeginQuorumEpochRequest, BeginQuorumEpochResponse, BrokerId, DescribeQuorumRequest,
    DescribeQuorumResponse, EndQuorumEpochRequest, EndQuorumEpochResponse, FetchRequest, FetchResponse,
    FetchSnapshotRequest, FetchSnapshotResponse, VoteRequest, VoteResponse, begin_quorum_epoch_request,
    begin_quorum_epoch_response, describe_quorum_response, end_quorum_epoch_request,
    end_quorum_epoch_response, fetch_request, fetch_response, fetch_snapshot_request,
    fetch_snapshot_response, vote_request, vote_response,
};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use crate::config::RaftConfig;
use crate::log::OffsetAndEpoch;

/// The name of the topic that the quorum replicates.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// The id of that topic.
pub const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// The outcome of a request, with what the answering node knows of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// `None` is success.
    pub error: Option<ErrorCode>,
    pub leader: Option<NodeId>,
    pub epoch: LeaderEpoch,
}

pub(crate) fn code(error: Option<ErrorCode>) -> i16 {
    error.map_or(0, |error| error.code())
}

/// Unknown codes count as an unknown error.
fn error(code: i16) -> Option<ErrorCode> {
    (code != 0).then(|| ErrorCode::try_from_code(code).unwrap_or(ErrorCode::UnknownServerError))
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str(METADATA_TOPIC))
}

fn broker(node: Option<NodeId>) -> BrokerId {
    BrokerId(node.unwrap_or(NodeId::NONE).0)
}

fn node(broker: BrokerId) -> Option<NodeId> {
    (broker.0 >= 0).then_some(NodeId(broker.0))
}

fn status(code: i16, leader: BrokerId, epoch: i32) -> Status {
    Status { error: error(code), leader: node(leader), epoch: LeaderEpoch(epoch) }
}

/// The one element, if there is exactly one.
fn single<T>(items: &[T]) -> Option<&T> {
    match items {
        [item] => Some(item),
        _ => None,
    }
}

/// Finds the one partition in `topics` of a message whose topics carry names.
macro_rules! partition {
    ($topics:expr, $name:ident, $index:ident) => {
        single($topics)
            .filter(|named| named.$name.as_str() == METADATA_TOPIC)
            .and_then(|named| single(&named.partitions))
            .filter(|partition| partition.$index == 0)
    };
}

macro_rules! node_endpoints {
    ($module:ident, $config:expr, $leader:expr) => {
        $config
            .voters
            .iter()
            .filter(|(id, _)| Some(*id) == $leader)
            .map(|(id, endpoint)| {
                $module::NodeEndpoint::default()
                    .with_node_id(BrokerId(id.0))
                    .with_host(endpoint.host.clone())
                    .with_port(endpoint.port.into())
            })
            .collect()
    };
}

// ---- Vote

pub(crate) fn vote_request(
    config: &RaftConfig,
    to: NodeId,
    epoch: LeaderEpoch,
    log_end: OffsetAndEpoch,
    pre_vote: bool,
) -> VoteRequest {
    let partition = vote_request::PartitionData::default()
        .with_replica_epoch(epoch.0)
        .with_replica_id(BrokerId(config.node_id.0))
        .with_last_offset(log_end.offset.0)
        .with_last_offset_epoch(log_end.epoch.0)
        .with_pre_vote(pre_vote);
    VoteRequest::default()
        .with_cluster_id(Some(config.cluster_id.clone()))
        .with_voter_id(BrokerId(to.0))
        .with_topics(vec![
            vote_request::TopicData::default().with_topic_name(topic()).with_partitions(vec![partition]),
        ])
}

pub(crate) fn vote_partition(request: &VoteRequest) -> Option<&vote_request::PartitionData> {
    partition!(&request.topics, topic_name, partition_index)
}

pub(crate) fn vote_response(
    config: &RaftConfig,
    version: i16,
    status: Status,
    vote_granted: bool,
) -> VoteResponse {
    let partition = vote_response::PartitionData::default()
        .with_error_code(code(status.error))
        .with_leader_id(broker(status.leader))
        .with_leader_epoch(status.epoch.0)
        .with_vote_granted(vote_granted);
    let response = VoteResponse::default().with_topics(vec![
        vote_response::TopicData::default().with_topic_name(topic()).with_partitions(vec![partition]),
    ]);
    if version < 1 {
        return response;
    }
    response.with_node_endpoints(node_endpoints!(vote_response, config, status.leader))
}

/// The status and whether the vote was granted.
pub(crate) fn vote_result(response: &VoteResponse) -> Option<(Status, bool)> {
    let partition = partition!(&response.topics, topic_name, partition_index)?;
    let status = status(partition.error_code, partition.leader_id, partition.leader_epoch);
    Some((status, partition.vote_granted))
}

// ---- BeginQuorumEpoch

pub(crate) fn begin_request(config: &RaftConfig, to: NodeId, epoch: LeaderEpoch) -> BeginQuorumEpochRequest {
    let partition = begin_quorum_epoch_request::PartitionData::default()
        .with_leader_id(BrokerId(config.node_id.0))
        .with_leader_epoch(epoch.0);
    let endpoints = config.voters.iter().filter(|(id, _)| *id == config.node_id).map(|(_, endpoint)| {
        begin_quorum_epoch_request::LeaderEndpoint::default()
            .with_name(StrBytes::from_static_str("CONTROLLER"))
            .with_host(endpoint.host.clone())
            .with_port(endpoint.port)
    });
    BeginQuorumEpochRequest::default()
        .with_cluster_id(Some(config.cluster_id.clone()))
        .with_voter_id(BrokerId(to.0))
        .with_leader_endpoints(endpoints.collect())
        .with_topics(vec![
            begin_quorum_epoch_request::TopicData::default()
                .with_topic_name(topic())
                .with_partitions(vec![partition]),
        ])
}

pub(crate) fn begin_partition(
    request: &BeginQuorumEpochRequest,
) -> Option<&begin_quorum_epoch_request::PartitionData> {
    partition!(&request.topics, topic_name, partition_index)
}

pub(crate) fn begin_response(config: &RaftConfig, version: i16, status: Status) -> BeginQuorumEpochResponse {
    let partition = begin_quorum_epoch_response::PartitionData::default()
        .with_error_code(code(status.error))
        .with_leader_id(broker(status.leader))
        .with_leader_epoch(status.epoch.0);
    let response = BeginQuorumEpochResponse::default().with_topics(vec![
        begin_quorum_epoch_response::TopicData::default()
            .with_topic_name(topic())
            .with_partitions(vec![partition]),
    ]);
    if version < 1 {
        return response;
    }
    response.with_node_endpoints(node_endpoints!(begin_quorum_epoch_response, config, status.leader))
}

pub(crate) fn begin_result(response: &BeginQuorumEpochResponse) -> Option<Status> {
    let partition = partition!(&response.topics, topic_name, partition_index)?;
    Some(status(partition.error_code, partition.leader_id, partition.leader_epoch))
}

// ---- EndQuorumEpoch

pub(crate) fn end_request(
    config: &RaftConfig,
    version: i16,
    epoch: LeaderEpoch,
    preferred: &[NodeId],
) -> EndQuorumEpochRequest {
    let partition = end_quorum_epoch_request::PartitionData::default()
        .with_leader_id(BrokerId(config.node_id.0))
        .with_leader_epoch(epoch.0);
    let partition = if version < 1 {
        partition.with_preferred_successors(preferred.iter().map(|id| id.0).collect())
    } else {
        let candidates = preferred
            .iter()
            .map(|id| end_quorum_epoch_request::ReplicaInfo::default().with_candidate_id(BrokerId(id.0)));
        partition.with_preferred_candidates(candidates.collect())
    };
    EndQuorumEpochRequest::default().with_cluster_id(Some(config.cluster_id.clone())).with_topics(vec![
        end_quorum_epoch_request::TopicData::default()
            .with_topic_name(topic())
            .with_partitions(vec![partition]),
    ])
}

pub(crate) fn end_partition(
    request: &EndQuorumEpochRequest,
) -> Option<&end_quorum_epoch_request::PartitionData> {
    partition!(&request.topics, topic_name, partition_index)
}

/// Where `node` stands in the line of successors, and how many there are.
pub(crate) fn successor_position(
    version: i16,
    partition: &end_quorum_epoch_request::PartitionData,
    node: NodeId,
) -> (usize, usize) {
    let ids: Vec<i32> = if version < 1 {
        partition.preferred_successors.clone()
    } else {
        partition.preferred_candidates.iter().map(|candidate| candidate.candidate_id.0).collect()
    };
    (ids.iter().position(|id| *id == node.0).unwrap_or(ids.len()), ids.len())
}

pub(crate) fn end_response(config: &RaftConfig, version: i16, status: Status) -> EndQuorumEpochResponse {
    let partition = end_quorum_epoch_response::PartitionData::default()
        .with_error_code(code(status.error))
        .with_leader_id(broker(status.leader))
        .with_leader_epoch(status.epoch.0);
    let response = EndQuorumEpochResponse::default().with_topics(vec![
        end_quorum_epoch_response::TopicData::default()
            .with_topic_name(topic())
            .with_partitions(vec![partition]),
    ]);
    if version < 1 {
        return response;
    }
    response.with_node_endpoints(node_endpoints!(end_quorum_epoch_response, config, status.leader))
}

pub(crate) fn end_result(response: &EndQuorumEpochResponse) -> Option<Status> {
    let partition = partition!(&response.topics, topic_name, partition_index)?;
    Some(status(partition.error_code, partition.leader_id, partition.leader_epoch))
}

// ---- Fetch

pub(crate) fn fetch_request(
    config: &RaftConfig,
    version: i16,
    epoch: LeaderEpoch,
    log_end: OffsetAndEpoch,
    high_watermark: Option<Offset>,
) -> FetchRequest {
    let max_bytes = i32::try_from(config.fetch_max_bytes).unwrap_or(i32::MAX);
    let mut partition = fetch_request::FetchPartition::default()
        .with_current_leader_epoch(epoch.0)
        .with_fetch_offset(log_end.offset.0)
        .with_last_fetched_epoch(log_end.epoch.0)
        .with_partition_max_bytes(max_bytes);
    if version >= 18 {
        partition.high_watermark = high_watermark.unwrap_or(Offset::UNKNOWN).0;
    }
    let mut topic = fetch_request::FetchTopic::default().with_partitions(vec![partition]);
    if version >= 13 {
        topic.topic_id = METADATA_TOPIC_ID;
    } else {
        topic.topic = self::topic();
    }
    let mut request = FetchRequest::default()
        .with_cluster_id(Some(config.cluster_id.clone()))
        .with_max_wait_ms(i32::try_from(config.fetch_max_wait.as_millis()).unwrap_or(i32::MAX))
        .with_max_bytes(max_bytes)
        .with_topics(vec![topic]);
    if version >= 15 {
        request.replica_state.replica_id = BrokerId(config.node_id.0);
    } else {
        request.replica_id = BrokerId(config.node_id.0);
    }
    request
}

pub(crate) fn fetch_replica(version: i16, request: &FetchRequest) -> Option<NodeId> {
    node(if version >= 15 { request.replica_state.replica_id } else { request.replica_id })
}

pub(crate) fn fetch_partition(
    version: i16,
    request: &FetchRequest,
) -> Option<&fetch_request::FetchPartition> {
    single(&request.topics)
        .filter(|topic| {
            if version >= 13 {
                topic.topic_id == METADATA_TOPIC_ID
            } else {
                topic.topic.as_str() == METADATA_TOPIC
            }
        })
        .and_then(|topic| single(&topic.partitions))
        .filter(|partition| partition.partition == 0)
}

/// A response with this partition, to which the status is added.
pub(crate) fn fetch_response(
    config: &RaftConfig,
    version: i16,
    status: Status,
    mut partition: fetch_response::PartitionData,
) -> FetchResponse {
    partition.error_code = code(status.error);
    partition.current_leader.leader_id = broker(status.leader);
    partition.current_leader.leader_epoch = status.epoch.0;
    let mut topic = fetch_response::FetchableTopicResponse::default().with_partitions(vec![partition]);
    if version >= 13 {
        topic.topic_id = METADATA_TOPIC_ID;
    } else {
        topic.topic = self::topic();
    }
    let mut response = FetchResponse::default().with_responses(vec![topic]);
    if version >= 16 && status.error.is_some() {
        response.node_endpoints = node_endpoints!(fetch_response, config, status.leader);
    }
    response
}

/// A response without data.
pub(crate) fn fetch_error(config: &RaftConfig, version: i16, status: Status) -> FetchResponse {
    let partition =
        fetch_response::PartitionData::default().with_high_watermark(-1).with_records(Some(Bytes::new()));
    fetch_response(config, version, status, partition)
}

pub(crate) fn fetch_result(response: &FetchResponse) -> Option<(Status, &fetch_response::PartitionData)> {
    let topic = single(&response.responses)?;
    if topic.topic_id != METADATA_TOPIC_ID && topic.topic.as_str() != METADATA_TOPIC {
        return None;
    }
    let partition = single(&topic.partitions).filter(|partition| partition.partition_index == 0)?;
    let leader = &partition.current_leader;
    Some((status(partition.error_code, leader.leader_id, leader.leader_epoch), partition))
}

// ---- FetchSnapshot

pub(crate) fn fetch_snapshot_request(
    config: &RaftConfig,
    epoch: LeaderEpoch,
    id: OffsetAndEpoch,
    position: i64,
) -> FetchSnapshotRequest {
    let partition = fetch_snapshot_request::PartitionSnapshot::default()
        .with_current_leader_epoch(epoch.0)
        .with_snapshot_id(
            fetch_snapshot_request::SnapshotId::default().with_end_offset(id.offset.0).with_epoch(id.epoch.0),
        )
        .with_position(position);
    FetchSnapshotRequest::default()
        .with_cluster_id(Some(config.cluster_id.clone()))
        .with_replica_id(BrokerId(config.node_id.0))
        .with_max_bytes(i32::try_from(config.fetch_max_bytes).unwrap_or(i32::MAX))
        .with_topics(vec![
            fetch_snapshot_request::TopicSnapshot::default()
                .with_name(topic())
                .with_partitions(vec![partition]),
        ])
}

pub(crate) fn fetch_snapshot_partition(
    request: &FetchSnapshotRequest,
) -> Option<&fetch_snapshot_request::PartitionSnapshot> {
    partition!(&request.topics, name, partition)
}

/// A response with this partition, to which the status is added.
pub(crate) fn fetch_snapshot_response(
    config: &RaftConfig,
    version: i16,
    status: Status,
    mut partition: fetch_snapshot_response::PartitionSnapshot,
) -> FetchSnapshotResponse {
    partition.error_code = code(status.error);
    partition.current_leader.leader_id = broker(status.leader);
    partition.current_leader.leader_epoch = status.epoch.0;
    let response = FetchSnapshotResponse::default().with_topics(vec![
        fetch_snapshot_response::TopicSnapshot::default().with_name(topic()).with_partitions(vec![partition]),
    ]);
    if version < 1 {
        return response;
    }
    response.with_node_endpoints(node_endpoints!(fetch_snapshot_response, config, status.leader))
}

pub(crate) fn fetch_snapshot_result(
    response: &FetchSnapshotResponse,
) -> Option<(Status, &fetch_snapshot_response::PartitionSnapshot)> {
    let partition = partition!(&response.topics, name, index)?;
    let leader = &partition.current_leader;
    Some((status(partition.error_code, leader.leader_id, leader.leader_epoch), partition))
}

// ---- DescribeQuorum

pub(crate) fn describes_metadata(request: &DescribeQuorumRequest) -> bool {
    partition!(&request.topics, topic_name, partition_index).is_some()
}

pub(crate) fn describe_response(
    config: &RaftConfig,
    version: i16,
    partition: describe_quorum_response::PartitionData,
) -> DescribeQuorumResponse {
    let response = DescribeQuorumResponse::default().with_topics(vec![
        describe_quorum_response::TopicData::default()
            .with_topic_name(topic())
            .with_partitions(vec![partition]),
    ]);
    if version < 2 {
        return response;
    }
    let nodes = config.voters.iter().map(|(id, endpoint)| {
        describe_quorum_response::Node::default().with_node_id(BrokerId(id.0)).with_listeners(vec![
            describe_quorum_response::Listener::default()
                .with_name(StrBytes::from_static_str("CONTROLLER"))
                .with_host(endpoint.host.clone())
                .with_port(endpoint.port),
        ])
    });
    response.with_nodes(nodes.collect())
}
