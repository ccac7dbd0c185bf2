//! The same answer with an error instead.

use trial_wire::messages::{
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, DeleteGroupsResponse,
    DescribeGroupsResponse, HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, ListGroupsResponse,
    OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse, SyncGroupResponse,
    TxnOffsetCommitResponse,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

/// What a failed append means to the client.
pub(super) fn append_error(body: &ResponseKind, error: ErrorCode) -> ErrorCode {
    use ErrorCode::*;
    match error {
        // Consumers before 3.9 do not know what to do about the others when they fetch offsets.
        UnknownTopicOrPartition | NotEnoughReplicas | NotEnoughReplicasAfterAppend | RequestTimedOut => {
            match body {
                ResponseKind::OffsetFetch(_) => NotCoordinator,
                _ => CoordinatorNotAvailable,
            }
        }
        NotLeaderOrFollower | KafkaStorageError => NotCoordinator,
        MessageTooLarge | RecordListTooLarge | InvalidFetchSize => UnknownServerError,
        error => error,
    }
}

/// The answer to the request that `body` answers, which says `error` and nothing of what `body` says.
pub(super) fn refuse(body: &ResponseKind, error: ErrorCode) -> ResponseKind {
    let code = error.code();
    match body {
        ResponseKind::JoinGroup(_) => JoinGroupResponse::default()
            .with_error_code(code)
            .with_generation_id(-1)
            .with_protocol_name(Some(StrBytes::new()))
            .into(),
        ResponseKind::SyncGroup(_) => SyncGroupResponse::default().with_error_code(code).into(),
        ResponseKind::Heartbeat(_) => HeartbeatResponse::default().with_error_code(code).into(),
        ResponseKind::LeaveGroup(_) => LeaveGroupResponse::default().with_error_code(code).into(),
        ResponseKind::OffsetCommit(body) => {
            let topics = body.topics.iter().cloned().map(|mut topic| {
                for partition in &mut topic.partitions {
                    if partition.error_code == 0 {
                        partition.error_code = code;
                    }
                }
                topic
            });
            OffsetCommitResponse::default().with_topics(topics.collect()).into()
        }
        ResponseKind::TxnOffsetCommit(body) => {
            let topics = body.topics.iter().cloned().map(|mut topic| {
                for partition in &mut topic.partitions {
                    if partition.error_code == 0 {
                        partition.error_code = code;
                    }
                }
                topic
            });
            TxnOffsetCommitResponse::default().with_topics(topics.collect()).into()
        }
        ResponseKind::OffsetFetch(body) => refuse_fetch(body, code).into(),
        ResponseKind::OffsetDelete(_) => OffsetDeleteResponse::default().with_error_code(code).into(),
        ResponseKind::DescribeGroups(body) => {
            let groups = body.groups.iter().map(|group| {
                trial_wire::messages::describe_groups_response::DescribedGroup::default()
                    .with_group_id(group.group_id.clone())
                    .with_error_code(code)
            });
            DescribeGroupsResponse::default().with_groups(groups.collect()).into()
        }
        ResponseKind::ListGroups(_) => ListGroupsResponse::default().with_error_code(code).into(),
        ResponseKind::DeleteGroups(body) => {
            let results = body.results.iter().cloned().map(|result| {
                let code = if result.error_code == 0 { code } else { result.error_code };
                result.with_error_code(code)
            });
            DeleteGroupsResponse::default().with_results(results.collect()).into()
        }
        ResponseKind::ConsumerGroupHeartbeat(_) => {
            ConsumerGroupHeartbeatResponse::default().with_error_code(code).into()
        }
        ResponseKind::ConsumerGroupDescribe(body) => {
            let groups = body.groups.iter().map(|group| {
                trial_wire::messages::consumer_group_describe_response::DescribedGroup::default()
                    .with_group_id(group.group_id.clone())
                    .with_error_code(code)
            });
            ConsumerGroupDescribeResponse::default().with_groups(groups.collect()).into()
        }
        other => unreachable!("a group coordinator does not answer {other:?}"),
    }
}

/// Version 1 has errors at the partitions only, 2 to 7 one for all, later ones one per group.
fn refuse_fetch(body: &OffsetFetchResponse, code: i16) -> OffsetFetchResponse {
    let topics = body.topics.iter().cloned().map(|mut topic| {
        for partition in &mut topic.partitions {
            partition.committed_offset = -1;
            partition.committed_leader_epoch = -1;
            partition.metadata = Some(StrBytes::new());
            partition.error_code = code;
        }
        topic
    });
    let groups = body.groups.iter().map(|group| {
        trial_wire::messages::offset_fetch_response::OffsetFetchResponseGroup::default()
            .with_group_id(group.group_id.clone())
            .with_error_code(code)
    });
    let error = if body.groups.is_empty() { code } else { 0 };
    OffsetFetchResponse::default()
        .with_topics(topics.collect())
        .with_groups(groups.collect())
        .with_error_code(error)
}
