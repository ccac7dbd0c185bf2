//! Offsets go: by OffsetDelete, with their topic, or because nobody has used them for long (KIP-211).

use trial_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use trial_wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use super::super::classic::Expiry;
use super::super::context::{Context, Then};
use super::super::coordinator::{Group, Groups};
use super::super::record::OffsetCommitKey;
use super::{CommittedOffset, GroupOffsets, Offsets, iter, tombstone};
use crate::{CallId, ClusterMetadata, Record};

/// OffsetDelete.
pub(in crate::group) fn delete(
    groups: &Groups,
    offsets: &Offsets,
    ctx: &mut Context<'_, '_>,
    call: CallId,
    body: OffsetDeleteRequest,
) {
    let group = match validate(groups, &body) {
        Ok(group) => group,
        Err(error) => {
            return ctx.out.respond(call, OffsetDeleteResponse::default().with_error_code(error.code()));
        }
    };
    let offsets = offsets.group(&body.group_id.0);
    let has = |topic: &str, partition| {
        offsets.is_some_and(|offsets| {
            offsets.committed(topic, partition).is_some() || offsets.is_pending(topic, partition)
        })
    };
    let mut records = Vec::new();
    let topics = body.topics.iter().map(|topic| {
        let refused = if ctx.env.metadata.partition_count(&topic.name).is_none() {
            Some(ErrorCode::UnknownTopicOrPartition)
        } else if group.is_subscribed_to(&topic.name) {
            Some(ErrorCode::GroupSubscribedToTopic)
        } else {
            None
        };
        let partitions = topic.partitions.iter().map(|partition| {
            let partition = partition.partition_index;
            if refused.is_none() && has(&topic.name, partition) {
                let key = OffsetCommitKey { group: &body.group_id, topic: &topic.name, partition };
                records.push(tombstone(key));
            }
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(refused.map_or(0, |error| error.code()))
        });
        OffsetDeleteResponseTopic::default()
            .with_partitions(partitions.collect())
            .with_name(topic.name.clone())
    });
    let topics = topics.collect();
    let response = OffsetDeleteResponse::default().with_topics(topics);
    if records.is_empty() {
        ctx.out.respond_once_committed(call, response);
    } else {
        ctx.out.append(records, Then::Respond { call, body: response.into() });
    }
}

fn validate<'a>(groups: &'a Groups, body: &OffsetDeleteRequest) -> Result<&'a Group, ErrorCode> {
    if body.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let group = groups.get(&body.group_id.0).ok_or(ErrorCode::GroupIdNotFound)?;
    match group {
        // It is not known what members that are no consumers make of their offsets.
        Group::Classic(group) if !group.is_empty() && !group.uses_consumer_protocol() => {
            Err(ErrorCode::NonEmptyGroup)
        }
        Group::Classic(_) | Group::Consumer(_) => Ok(group),
    }
}

/// Deletes what has expired, and groups that have neither members nor offsets.
pub(in crate::group) fn expire(groups: &Groups, offsets: &Offsets, ctx: &mut Context<'_, '_>) {
    let mut records = Vec::new();
    for (id, group) in groups {
        let nothing_left = match offsets.group(id) {
            Some(offsets) => expire_group(id, group, offsets, ctx, &mut records),
            None => true,
        };
        if nothing_left && group.is_empty() {
            group.tombstones(&mut records);
        }
    }
    if !records.is_empty() {
        ctx.out.append(records, Then::Nothing);
    }
}

/// Whether all the group's offsets have expired.
fn expire_group(
    id: &StrBytes,
    group: &Group,
    offsets: &GroupOffsets,
    ctx: &Context<'_, '_>,
    records: &mut Vec<Record>,
) -> bool {
    let expiry = match group {
        Group::Classic(group) => group.offsets_expire(),
        Group::Consumer(_) => Expiry::FromCommit,
    };
    let mut all = offsets.pending.is_empty();
    for (topic, partition, committed) in iter(&offsets.committed) {
        if has_expired(expiry, committed, ctx)
            && !group.is_subscribed_to(topic)
            && !offsets.is_pending(topic, partition)
        {
            records.push(tombstone(OffsetCommitKey { group: id, topic, partition }));
        } else {
            all = false;
        }
    }
    all
}

fn has_expired(expiry: Expiry, committed: &CommittedOffset, ctx: &Context<'_, '_>) -> bool {
    let now_ms = ctx.env.now.wall_ms;
    let since_ms = match expiry {
        Expiry::Never => return false,
        Expiry::FromCommit => committed.commit_timestamp_ms,
        Expiry::From(since_ms) => since_ms,
    };
    match committed.expire_timestamp_ms {
        Some(at_ms) => now_ms >= at_ms,
        None => now_ms.saturating_sub(since_ms) >= ctx.config.offsets_retention.as_millis().cast_signed(),
    }
}

impl Offsets {
    /// The log has been replayed: takes note of the topics that exist.
    pub(in crate::group) fn activate(&mut self, metadata: &dyn ClusterMetadata) {
        let all = self.groups.values().flat_map(|group| group.pending.values().chain([&group.committed]));
        for topic in all.flat_map(|offsets| offsets.keys()) {
            if !self.topics.contains_key(topic)
                && let Some(id) = metadata.topic_id(&TopicName(topic.clone()))
            {
                self.topics.insert(topic.clone(), id);
            }
        }
    }

    /// Takes note of a topic, if it exists.
    pub(super) fn see(&mut self, topic: &TopicName, metadata: &dyn ClusterMetadata) {
        if !self.topics.contains_key(&topic.0)
            && let Some(id) = metadata.topic_id(topic)
        {
            self.topics.insert(topic.0.clone(), id);
        }
    }

    /// Topics were created, changed or deleted: offsets of those that were there and no longer are go. A topic that this broker
    /// has never heard of may be newer than what it has heard.
    pub(in crate::group) fn metadata_changed(&mut self, ctx: &mut Context<'_, '_>) {
        let metadata = ctx.env.metadata;
        // Also those of which there are no offsets now: the next of their name is another topic, whose offsets must stay.
        let is_gone =
            |(topic, id): &(&StrBytes, &Uuid)| metadata.topic_id(&TopicName((*topic).clone())) != Some(**id);
        let gone: Vec<StrBytes> =
            self.topics.iter().filter(is_gone).map(|(topic, _)| topic.clone()).collect();
        let mut records = Vec::new();
        for topic in gone {
            self.topics.remove(&topic);
            self.topic_tombstones(&topic, &mut records);
        }
        self.activate(metadata);
        if !records.is_empty() {
            ctx.out.append(records, Then::Nothing);
        }
    }

    fn topic_tombstones(&self, topic: &StrBytes, records: &mut Vec<Record>) {
        for (group, offsets) in &self.groups {
            let partitions: std::collections::BTreeSet<i32> = offsets
                .pending
                .values()
                .chain([&offsets.committed])
                .filter_map(|offsets| offsets.get(topic))
                .flat_map(|partitions| partitions.keys().copied())
                .collect();
            let keys = partitions.into_iter().map(|partition| OffsetCommitKey { group, topic, partition });
            records.extend(keys.map(tombstone));
        }
    }
}
