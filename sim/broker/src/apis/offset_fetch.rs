//! OffsetFetch: the offsets that a group has committed; from version 8 on of several groups at once (KIP-709).

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
use trial_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use trial_wire::messages::{OffsetFetchRequest, OffsetFetchResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

use super::Caller;
use super::coordinated::{Part, answers, by_partition, serve_parts};
use crate::Broker;

/// The first version that names several groups.
const BATCHED_VERSION: i16 = 8;
/// The first version whose errors are not each partition's.
const GROUP_ERROR_VERSION: i16 = 2;
/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 10;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    mut request: OffsetFetchRequest,
) {
    let kind = CoordinatorKind::Group;
    if caller.token.api_version >= TOPIC_ID_VERSION {
        return by_topic_id(broker, now, io, (caller, client_id), request);
    }
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

/// As [`serve`], with the ids of topics instead of their names.
fn by_topic_id(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    mut request: OffsetFetchRequest,
) {
    let kind = CoordinatorKind::Group;
    let image = &broker.published.image;
    let mut groups = std::mem::take(&mut request.groups);
    let mut unknown = OffsetFetchResponse::default();
    for group in &mut groups {
        let Some(topics) = &mut group.topics else { continue };
        let gone = topics.extract_if(.., |topic| match image.topic(topic.topic_id) {
            Some(known) => {
                topic.name = known.name.clone();
                false
            }
            None => true,
        });
        let gone: Vec<_> = gone.map(|topic| unknown_topic(&topic)).collect();
        if !gone.is_empty() {
            let gone =
                OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_topics(gone);
            unknown.groups.push(gone);
        }
    }
    // What the answers, which name topics, are to be translated with: a group that has all of them.
    let named = image
        .topic_ids()
        .iter()
        .map(|(name, id)| OffsetFetchResponseTopics::default().with_name(name.clone()).with_topic_id(*id));
    let names = OffsetFetchResponseGroup::default().with_topics(named.collect());
    let names = OffsetFetchResponse::default().with_groups(vec![names]);
    let mut parts = vec![Part::Done(names.into())];
    for (partition, groups) in by_partition(broker, kind, groups, |group| group.group_id.as_str()) {
        parts.push(Part::Ask(partition, request.clone().with_groups(groups).into(), refuse));
    }
    parts.push(Part::Done(unknown.into()));
    serve_parts(broker, now, io, caller, kind, parts, merge_by_topic_id);
}

fn unknown_topic(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.iter().map(|index| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(*index)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::new()))
            .with_error_code(ErrorCode::UnknownTopicId.code())
    });
    OffsetFetchResponseTopics::default().with_topic_id(topic.topic_id).with_partitions(partitions.collect())
}

/// The first part has the topics with their names and ids, the last those that do not exist. A topic that has been deleted since
/// it was committed has no id, and is left out.
fn merge_by_topic_id(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut parts = answers!(parts, OffsetFetch);
    let names = parts.next().and_then(|mut names| names.groups.pop()).expect("it is the first part");
    let id_of = |name: &TopicName| {
        let at = names.topics.binary_search_by(|topic| topic.name.cmp(name)).ok()?;
        Some(names.topics[at].topic_id)
    };
    let mut merged = OffsetFetchResponse::default();
    for mut group in parts.flat_map(|part| part.groups) {
        group.topics.retain_mut(|topic| match topic.name.is_empty() {
            true => true,
            false => id_of(&topic.name).map(|id| topic.topic_id = id).is_some(),
        });
        match merged.groups.iter_mut().find(|merged| merged.group_id == group.group_id) {
            Some(merged) if merged.error_code == 0 => merged.topics.extend(group.topics),
            Some(_) => {}
            None => merged.groups.push(group),
        }
    }
    merged.into()
}

pub(super) fn refuse(request: &RequestKind, version: i16, error: ErrorCode) -> ResponseKind {
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
