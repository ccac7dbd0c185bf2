//! OffsetCommit and TxnOffsetCommit.

use trial_node::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use trial_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use trial_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use trial_wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName};

use super::super::context::{Context, Then};
use super::super::coordinator::{Group, Groups};
use super::super::record::text::STRING_LENGTH_MAX;
use super::super::record::{GroupRecord, OffsetCommit, OffsetCommitKey};
use super::Offsets;
use crate::{CallId, Record};

/// From this version on, a commit may be one of a KIP-848 member.
const MEMBER_EPOCH: i16 = 9;
/// `retention_time_ms` of a commit that leaves it to the broker.
const DEFAULT_RETENTION: i64 = -1;

/// OffsetCommit.
pub(in crate::group) fn commit(
    groups: &mut Groups,
    offsets: &mut Offsets,
    ctx: &mut Context<'_, '_>,
    (call, version): (CallId, i16),
    body: OffsetCommitRequest,
) {
    let valid = validate(groups, ctx, version, &body).err();
    let expire_timestamp_ms = Some(body.retention_time_ms)
        .filter(|&retention| retention != DEFAULT_RETENTION)
        .map(|retention| ctx.env.now.wall_ms.saturating_add(retention));
    let mut commits =
        Commits { group: &body.group_id, refused: valid, expire_timestamp_ms, records: Vec::new() };
    let mut topics = Vec::with_capacity(body.topics.len());
    for topic in &body.topics {
        let said = topic.partitions.iter().map(|said| Said {
            partition: said.partition_index,
            offset: said.committed_offset,
            leader_epoch: said.committed_leader_epoch,
            metadata: said.committed_metadata.as_ref(),
        });
        let partitions = commits.add_topic(offsets, ctx, &topic.name, said, |partition, code| {
            OffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
        });
        let name = topic.name.clone();
        topics.push(OffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions));
    }
    let response = OffsetCommitResponse::default().with_topics(topics);
    match commits.records {
        records if records.is_empty() => ctx.out.respond(call, response),
        records => ctx.out.append(records, Then::Respond { call, body: response.into() }),
    }
}

/// TxnOffsetCommit: the offsets count once the transaction is committed.
pub(in crate::group) fn commit_in_transaction(
    groups: &Groups,
    offsets: &mut Offsets,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    body: TxnOffsetCommitRequest,
) {
    let valid = validate_in_transaction(groups, &body).err();
    let mut commits =
        Commits { group: &body.group_id, refused: valid, expire_timestamp_ms: None, records: Vec::new() };
    let mut topics = Vec::with_capacity(body.topics.len());
    for topic in &body.topics {
        let said = topic.partitions.iter().map(|said| Said {
            partition: said.partition_index,
            offset: said.committed_offset,
            leader_epoch: said.committed_leader_epoch,
            metadata: said.committed_metadata.as_ref(),
        });
        let partitions = commits.add_topic(offsets, ctx, &topic.name, said, |partition, code| {
            TxnOffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
        });
        let name = topic.name.clone();
        topics.push(TxnOffsetCommitResponseTopic::default().with_name(name).with_partitions(partitions));
    }
    let response = TxnOffsetCommitResponse::default().with_topics(topics);
    let transaction = (ProducerId(body.producer_id.0), ProducerEpoch(body.producer_epoch));
    match commits.records {
        records if records.is_empty() => ctx.out.respond(call, response),
        records => {
            let then = Then::Respond { call, body: response.into() };
            ctx.out.append_in(Some(transaction), records, then);
        }
    }
}

/// Whether the commit counts; if so, a classic member is heard of.
fn validate(
    groups: &mut Groups,
    ctx: &mut Context<'_, '_>,
    version: i16,
    body: &OffsetCommitRequest,
) -> Result<(), ErrorCode> {
    if body.group_id.len() > STRING_LENGTH_MAX {
        return Err(ErrorCode::InvalidGroupId);
    }
    let epoch = body.generation_id_or_member_epoch;
    let instance_id = body.group_instance_id.as_deref();
    match groups.get_mut(&body.group_id.0) {
        // Whoever commits from outside makes a group without members.
        None if epoch < 0 => Ok(()),
        None if version >= MEMBER_EPOCH => Err(ErrorCode::GroupIdNotFound),
        None => Err(ErrorCode::IllegalGeneration),
        Some(Group::Classic(group)) => {
            group.validate_offset_commit(&body.member_id, instance_id, epoch, false)?;
            group.member_committed(ctx, &body.member_id);
            Ok(())
        }
        Some(Group::Consumer(group)) => {
            group.validate_offset_commit(&body.member_id, epoch, version >= MEMBER_EPOCH)
        }
    }
}

/// KIP-447: a member of a former generation must not commit, for the partitions may be another's now.
fn validate_in_transaction(groups: &Groups, body: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
    if body.group_id.is_empty() || body.group_id.len() > STRING_LENGTH_MAX {
        return Err(ErrorCode::InvalidGroupId);
    }
    let instance_id = body.group_instance_id.as_deref();
    match groups.get(&body.group_id.0) {
        None if body.generation_id < 0 => Ok(()),
        None => Err(ErrorCode::IllegalGeneration),
        Some(Group::Classic(group)) => {
            group.validate_offset_commit(&body.member_id, instance_id, body.generation_id, true)
        }
        Some(Group::Consumer(group)) => {
            let valid = group.validate_offset_commit(&body.member_id, body.generation_id, true);
            // Producers do not know of member epochs.
            valid.map_err(|error| match error {
                ErrorCode::StaleMemberEpoch => ErrorCode::IllegalGeneration,
                error => error,
            })
        }
    }
}

/// The records of one request.
struct Commits<'a> {
    group: &'a str,
    /// Nothing is committed, because of this.
    refused: Option<ErrorCode>,
    expire_timestamp_ms: Option<i64>,
    records: Vec<Record>,
}

/// What is committed for a partition.
struct Said<'a> {
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a StrBytes>,
}

impl Commits<'_> {
    /// What `answer` makes of each partition and its error code.
    fn add_topic<'s, R>(
        &mut self,
        offsets: &mut Offsets,
        ctx: &Context<'_, '_>,
        topic: &TopicName,
        said: impl Iterator<Item = Said<'s>>,
        answer: impl Fn(i32, i16) -> R,
    ) -> Vec<R> {
        offsets.see(topic, ctx.env.metadata);
        let count = ctx.env.metadata.partition_count(topic);
        said.map(|said| answer(said.partition, self.add(ctx, topic, count, said))).collect()
    }

    /// The partition's error code, which is 0 if there is a record of it now. `count` is how many partitions the topic has.
    fn add(&mut self, ctx: &Context<'_, '_>, topic: &TopicName, count: Option<i32>, said: Said<'_>) -> i16 {
        let metadata = said.metadata.map_or("", |metadata| metadata.as_str());
        // Topics are looked up before the group is.
        if !count.is_some_and(|count| (0..count).contains(&said.partition)) {
            return ErrorCode::UnknownTopicOrPartition.code();
        }
        if let Some(error) = self.refused {
            return error.code();
        }
        if metadata.len() > ctx.config.offset_metadata_max_bytes.min(STRING_LENGTH_MAX) {
            return ErrorCode::OffsetMetadataTooLarge.code();
        }
        let key = OffsetCommitKey { group: self.group, topic, partition: said.partition };
        let value = OffsetCommit {
            offset: Offset(said.offset),
            leader_epoch: LeaderEpoch(said.leader_epoch),
            metadata,
            commit_timestamp_ms: ctx.env.now.wall_ms,
            expire_timestamp_ms: self.expire_timestamp_ms,
        };
        self.records.push(GroupRecord::Offset { key, value: Some(value) }.encode());
        0
    }
}
