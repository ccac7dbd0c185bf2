//! The requests OffsetCommit and OffsetFetch in version 10, which names topics by id (KIP-848): `kafka-protocol` has the fields,
//! and the version of the responses, but takes that of the requests for unstable. Tagged fields that we do not know are not
//! kept.

use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{ApiKey, GroupId, OffsetCommitRequest, OffsetFetchRequest, RequestKind};
use kafka_protocol::protocol::StrBytes;

use crate::primitive::{ReadError, Reader};

/// The version.
const VERSION: i16 = 10;

/// Reads a request's body; `None` if it is not one of these.
pub(super) fn decode(api: ApiKey, version: i16, bytes: &[u8]) -> Option<Result<RequestKind, ReadError>> {
    let reader = &mut Reader::new(bytes);
    match (api, version) {
        (ApiKey::OffsetCommit, VERSION) => Some(read_commit(reader).map(RequestKind::OffsetCommit)),
        (ApiKey::OffsetFetch, VERSION) => Some(read_fetch(reader).map(RequestKind::OffsetFetch)),
        _ => None,
    }
}

/// Appends a request's body; false, and nothing is appended, if it is not one of these.
pub(super) fn encode(body: &RequestKind, version: i16, out: &mut BytesMut) -> bool {
    match (body, version) {
        (RequestKind::OffsetCommit(request), VERSION) => put_commit(request, out),
        (RequestKind::OffsetFetch(request), VERSION) => put_fetch(request, out),
        _ => return false,
    }
    true
}

/// Reads a structure and the tagged fields behind it.
fn structure<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let value = read(reader)?;
    reader.skip_tagged_fields()?;
    Ok(value)
}

fn array<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let len = reader.compact_array_len()?;
    (0..len).map(|_| structure(reader, &read)).collect()
}

fn string(reader: &mut Reader<'_>) -> Result<StrBytes, ReadError> {
    Ok(StrBytes::from(reader.compact_string()?.to_owned()))
}

fn nullable_string(reader: &mut Reader<'_>) -> Result<Option<StrBytes>, ReadError> {
    Ok(reader.compact_nullable_string()?.map(|text| StrBytes::from(text.to_owned())))
}

fn read_commit(reader: &mut Reader<'_>) -> Result<OffsetCommitRequest, ReadError> {
    let partition = |reader: &mut Reader<'_>| {
        Ok(OffsetCommitRequestPartition::default()
            .with_partition_index(reader.i32()?)
            .with_committed_offset(reader.i64()?)
            .with_committed_leader_epoch(reader.i32()?)
            .with_committed_metadata(nullable_string(reader)?))
    };
    let topic = |reader: &mut Reader<'_>| {
        let topic = OffsetCommitRequestTopic::default().with_topic_id(reader.uuid()?);
        Ok(topic.with_partitions(array(reader, partition)?))
    };
    structure(reader, |reader| {
        Ok(OffsetCommitRequest::default()
            .with_group_id(GroupId(string(reader)?))
            .with_generation_id_or_member_epoch(reader.i32()?)
            .with_member_id(string(reader)?)
            .with_group_instance_id(nullable_string(reader)?)
            .with_topics(array(reader, topic)?))
    })
}

fn read_fetch(reader: &mut Reader<'_>) -> Result<OffsetFetchRequest, ReadError> {
    let topic = |reader: &mut Reader<'_>| {
        let topic = OffsetFetchRequestTopics::default().with_topic_id(reader.uuid()?);
        let len = reader.compact_array_len()?;
        let partitions = (0..len).map(|_| reader.i32()).collect::<Result<_, _>>()?;
        Ok(topic.with_partition_indexes(partitions))
    };
    let group = |reader: &mut Reader<'_>| {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(string(reader)?))
            .with_member_id(nullable_string(reader)?)
            .with_member_epoch(reader.i32()?);
        let topics = match reader.compact_nullable_array_len()? {
            None => None,
            Some(len) => Some((0..len).map(|_| structure(reader, topic)).collect::<Result<_, _>>()?),
        };
        Ok(group.with_topics(topics))
    };
    structure(reader, |reader| {
        Ok(OffsetFetchRequest::default()
            .with_groups(array(reader, group)?)
            .with_require_stable(reader.bool()?))
    })
}

/// A count or a length; 0 is null.
fn put_count(out: &mut BytesMut, count: usize) {
    let mut value = count + 1;
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        None => out.put_u8(0),
        Some(text) => {
            put_count(out, text.len());
            out.put_slice(text.as_bytes());
        }
    }
}

/// Appends an array of structures, none with tagged fields.
fn put_array<T>(out: &mut BytesMut, elements: &[T], put: impl Fn(&mut BytesMut, &T)) {
    put_count(out, elements.len());
    for element in elements {
        put(out, element);
        out.put_u8(0);
    }
}

fn put_commit(request: &OffsetCommitRequest, out: &mut BytesMut) {
    put_string(out, Some(&request.group_id));
    out.put_i32(request.generation_id_or_member_epoch);
    put_string(out, Some(&request.member_id));
    put_string(out, request.group_instance_id.as_deref());
    put_array(out, &request.topics, |out, topic| {
        out.put_slice(topic.topic_id.as_bytes());
        put_array(out, &topic.partitions, |out, partition| {
            out.put_i32(partition.partition_index);
            out.put_i64(partition.committed_offset);
            out.put_i32(partition.committed_leader_epoch);
            put_string(out, partition.committed_metadata.as_deref());
        });
    });
    out.put_u8(0);
}

fn put_fetch(request: &OffsetFetchRequest, out: &mut BytesMut) {
    put_array(out, &request.groups, |out, group| {
        put_string(out, Some(&group.group_id));
        put_string(out, group.member_id.as_deref());
        out.put_i32(group.member_epoch);
        match &group.topics {
            None => out.put_u8(0),
            Some(topics) => put_array(out, topics, |out, topic| {
                out.put_slice(topic.topic_id.as_bytes());
                put_count(out, topic.partition_indexes.len());
                topic.partition_indexes.iter().for_each(|partition| out.put_i32(*partition));
            }),
        }
    });
    out.put_u8(request.require_stable.into());
    out.put_u8(0);
}
