//! A consumer group with one member at most, under KIP-848: what its coordinator answers.

use std::collections::BTreeMap;

use trial_node::Request;
use trial_wire::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use trial_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use trial_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use trial_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use trial_wire::messages::{
    AddOffsetsToTxnResponse, ConsumerGroupHeartbeatResponse, OffsetCommitResponse, OffsetFetchResponse,
    TxnOffsetCommitResponse,
};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, TopicName, Uuid};

#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The group's epoch; the member learns of what it is assigned whenever its own is another.
    pub epoch: i32,
    /// What the member is assigned.
    pub assignment: Vec<(Uuid, Vec<i32>)>,
    /// Forgets the member at its next heartbeat.
    pub throw_out: bool,
    /// What is committed.
    pub offsets: BTreeMap<(TopicName, i32), i64>,
    /// What will be with the transaction.
    pending: Vec<((TopicName, i32), i64)>,
    pub left: u32,
}

impl Group {
    pub fn end_transaction(&mut self, commit: bool) {
        let pending = std::mem::take(&mut self.pending);
        if commit {
            self.offsets.extend(pending);
        }
    }

    pub fn answer(&mut self, request: &Request) -> Option<ResponseKind> {
        Some(match &*request.body {
            RequestKind::ConsumerGroupHeartbeat(heartbeat) => {
                let told = ConsumerGroupHeartbeatResponse::default()
                    .with_member_id(Some(heartbeat.member_id.clone()))
                    .with_heartbeat_interval_ms(50);
                ResponseKind::ConsumerGroupHeartbeat(if heartbeat.member_epoch < 0 {
                    self.left += 1;
                    told.with_member_epoch(heartbeat.member_epoch)
                } else if std::mem::take(&mut self.throw_out) {
                    told.with_error_code(ErrorCode::UnknownMemberId.code())
                } else if heartbeat.member_epoch != self.epoch {
                    let topics = self.assignment.iter().map(|(id, partitions)| {
                        TopicPartitions::default().with_topic_id(*id).with_partitions(partitions.clone())
                    });
                    told.with_member_epoch(self.epoch)
                        .with_assignment(Some(Assignment::default().with_topic_partitions(topics.collect())))
                } else {
                    told.with_member_epoch(self.epoch)
                })
            }
            RequestKind::OffsetFetch(fetch) => {
                let groups = fetch.groups.iter().map(|group| {
                    let topics = group.topics.iter().flatten().map(|topic| {
                        let partitions = topic.partition_indexes.iter().map(|partition| {
                            let offset = self.offsets.get(&(topic.name.clone(), *partition));
                            OffsetFetchResponsePartitions::default()
                                .with_partition_index(*partition)
                                .with_committed_offset(offset.copied().unwrap_or(-1))
                        });
                        OffsetFetchResponseTopics::default()
                            .with_name(topic.name.clone())
                            .with_partitions(partitions.collect())
                    });
                    OffsetFetchResponseGroup::default()
                        .with_group_id(group.group_id.clone())
                        .with_topics(topics.collect())
                });
                ResponseKind::OffsetFetch(OffsetFetchResponse::default().with_groups(groups.collect()))
            }
            RequestKind::OffsetCommit(commit) => {
                let stale = commit.generation_id_or_member_epoch != self.epoch;
                let code = if stale { ErrorCode::StaleMemberEpoch.code() } else { 0 };
                let topics = commit.topics.iter().map(|topic| {
                    let partitions = topic.partitions.iter().map(|partition| {
                        if !stale {
                            let key = (topic.name.clone(), partition.partition_index);
                            self.offsets.insert(key, partition.committed_offset);
                        }
                        OffsetCommitResponsePartition::default()
                            .with_partition_index(partition.partition_index)
                            .with_error_code(code)
                    });
                    OffsetCommitResponseTopic::default()
                        .with_name(topic.name.clone())
                        .with_partitions(partitions.collect())
                });
                ResponseKind::OffsetCommit(OffsetCommitResponse::default().with_topics(topics.collect()))
            }
            RequestKind::AddOffsetsToTxn(_) => {
                ResponseKind::AddOffsetsToTxn(AddOffsetsToTxnResponse::default())
            }
            RequestKind::TxnOffsetCommit(commit) => {
                let stale = commit.generation_id != self.epoch;
                let code = if stale { ErrorCode::IllegalGeneration.code() } else { 0 };
                let topics = commit.topics.iter().map(|topic| {
                    let partitions = topic.partitions.iter().map(|partition| {
                        let key = (topic.name.clone(), partition.partition_index);
                        if !stale {
                            self.pending.push((key, partition.committed_offset));
                        }
                        TxnOffsetCommitResponsePartition::default()
                            .with_partition_index(partition.partition_index)
                            .with_error_code(code)
                    });
                    TxnOffsetCommitResponseTopic::default()
                        .with_name(topic.name.clone())
                        .with_partitions(partitions.collect())
                });
                ResponseKind::TxnOffsetCommit(
                    TxnOffsetCommitResponse::default().with_topics(topics.collect()),
                )
            }
            _ => return None,
        })
    }
}
