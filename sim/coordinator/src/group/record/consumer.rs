//! The records of groups of KIP-848. Their values are all of version 0, which is flexible.

use trial_wire::Uuid;
use trial_wire::primitive::{
    ReadError, Reader, put_compact_array_len, put_compact_bytes, put_compact_string, put_tagged_fields,
    put_uuid, put_uvarint,
};

use super::text::{put_string, string};
use super::{RecordError, read_value, record};
use crate::Record;

/// One part of a group of KIP-848. Without a value it is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerGroupRecord<'a> {
    /// ConsumerGroupMetadata (key 3): the group exists; its tombstone is the group's.
    Metadata {
        /// The group.
        group: &'a str,
        /// The group epoch.
        epoch: Option<i32>,
    },
    /// ConsumerGroupPartitionMetadata (4): the topics that were there when the group epoch was last bumped.
    PartitionMetadata {
        /// The group.
        group: &'a str,
        /// The topics.
        topics: Option<Vec<TopicMetadata<'a>>>,
    },
    /// ConsumerGroupMemberMetadata (5): what a member said about itself.
    MemberMetadata {
        /// The group.
        group: &'a str,
        /// The member's id.
        member: &'a str,
        /// What it said.
        value: Option<ConsumerMemberMetadata<'a>>,
    },
    /// ConsumerGroupTargetAssignmentMetadata (6).
    TargetAssignmentMetadata {
        /// The group.
        group: &'a str,
        /// The group epoch that the target assignment was made for.
        epoch: Option<i32>,
    },
    /// ConsumerGroupTargetAssignmentMember (7): what a member shall have in the end.
    TargetAssignmentMember {
        /// The group.
        group: &'a str,
        /// The member's id.
        member: &'a str,
        /// Its partitions.
        partitions: Option<Vec<TopicPartitions>>,
    },
    /// ConsumerGroupCurrentMemberAssignment (8): what a member has.
    CurrentMemberAssignment {
        /// The group.
        group: &'a str,
        /// The member's id.
        member: &'a str,
        /// What it has.
        value: Option<CurrentMemberAssignment>,
    },
    /// ConsumerGroupRegularExpression (16): the topics that a regular expression was resolved to.
    RegularExpression {
        /// The group.
        group: &'a str,
        /// The expression.
        regex: &'a str,
        /// The topics.
        value: Option<RegularExpression<'a>>,
    },
}

/// A topic as a group knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicMetadata<'a> {
    /// Its id.
    pub topic_id: Uuid,
    /// Its name.
    pub name: &'a str,
    /// How many partitions it has.
    pub partitions: i32,
}

/// What a member said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerMemberMetadata<'a> {
    /// `group.instance.id`.
    pub instance_id: Option<&'a str>,
    /// `client.rack`.
    pub rack_id: Option<&'a str>,
    /// `client.id`.
    pub client_id: &'a str,
    /// Where it was seen.
    pub client_host: &'a str,
    /// The topics that it subscribes to by name.
    pub subscribed_topic_names: Vec<&'a str>,
    /// The expression that it subscribes with.
    pub subscribed_topic_regex: Option<&'a str>,
    /// How long it may take to give up partitions, in ms.
    pub rebalance_timeout_ms: i32,
    /// The assignor that it asks for.
    pub server_assignor: Option<&'a str>,
    /// Set if it uses the classic protocol.
    pub classic: Option<ClassicMemberMetadata<'a>>,
}

/// What a member of a KIP-848 group that uses the classic protocol said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMemberMetadata<'a> {
    /// How long it may be silent, in ms.
    pub session_timeout_ms: i32,
    /// Its assignors, each with what it said to it.
    pub protocols: Vec<(&'a str, &'a [u8])>,
}

/// Partitions of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// The topic.
    pub topic_id: Uuid,
    /// The partitions' indexes.
    pub partitions: Vec<i32>,
}

/// What a member has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CurrentMemberAssignment {
    /// The epoch that the member is in.
    pub member_epoch: i32,
    /// The epoch before: a member that did not hear of the new one may still say this.
    pub previous_member_epoch: i32,
    /// 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
    pub state: i8,
    /// Its partitions.
    pub assigned: Vec<TopicPartitions>,
    /// The partitions that it has to give up and still has.
    pub pending_revocation: Vec<TopicPartitions>,
}

/// A regular expression's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegularExpression<'a> {
    /// Their names.
    pub topics: Vec<&'a str>,
    /// The metadata's offset at which it was resolved.
    pub version: i64,
    /// When it was resolved, ms since the epoch.
    pub timestamp_ms: i64,
}

impl<'a> ConsumerGroupRecord<'a> {
    /// The group that it is about.
    pub fn group(&self) -> &'a str {
        match self {
            ConsumerGroupRecord::Metadata { group, .. }
            | ConsumerGroupRecord::PartitionMetadata { group, .. }
            | ConsumerGroupRecord::MemberMetadata { group, .. }
            | ConsumerGroupRecord::TargetAssignmentMetadata { group, .. }
            | ConsumerGroupRecord::TargetAssignmentMember { group, .. }
            | ConsumerGroupRecord::CurrentMemberAssignment { group, .. }
            | ConsumerGroupRecord::RegularExpression { group, .. } => group,
        }
    }

    /// Whether it is about a member that uses the classic protocol.
    pub fn is_of_classic_member(&self) -> bool {
        matches!(self, ConsumerGroupRecord::MemberMetadata { value: Some(value), .. } if value.classic.is_some())
    }

    /// Whether it says that something is no more.
    pub fn is_tombstone(&self) -> bool {
        match self {
            ConsumerGroupRecord::Metadata { epoch, .. }
            | ConsumerGroupRecord::TargetAssignmentMetadata { epoch, .. } => epoch.is_none(),
            ConsumerGroupRecord::PartitionMetadata { topics, .. } => topics.is_none(),
            ConsumerGroupRecord::MemberMetadata { value, .. } => value.is_none(),
            ConsumerGroupRecord::TargetAssignmentMember { partitions, .. } => partitions.is_none(),
            ConsumerGroupRecord::CurrentMemberAssignment { value, .. } => value.is_none(),
            ConsumerGroupRecord::RegularExpression { value, .. } => value.is_none(),
        }
    }

    /// The record's bytes.
    pub fn encode(&self) -> Record {
        match self {
            ConsumerGroupRecord::Metadata { group, epoch } => encode(3, &[group], epoch.as_ref(), put_i32),
            ConsumerGroupRecord::PartitionMetadata { group, topics } => {
                encode(4, &[group], topics.as_deref(), |out, topics| {
                    put_array(out, topics, put_topic_metadata)
                })
            }
            ConsumerGroupRecord::MemberMetadata { group, member, value } => {
                encode(5, &[group, member], value.as_ref(), put_member)
            }
            ConsumerGroupRecord::TargetAssignmentMetadata { group, epoch } => {
                encode(6, &[group], epoch.as_ref(), put_i32)
            }
            ConsumerGroupRecord::TargetAssignmentMember { group, member, partitions } => {
                encode(7, &[group, member], partitions.as_deref(), |out, partitions| {
                    put_array(out, partitions, put_partitions);
                })
            }
            ConsumerGroupRecord::CurrentMemberAssignment { group, member, value } => {
                encode(8, &[group, member], value.as_ref(), |out, value| {
                    put_i32(out, &value.member_epoch);
                    put_i32(out, &value.previous_member_epoch);
                    out.extend_from_slice(&value.state.to_be_bytes());
                    put_array(out, &value.assigned, put_partitions);
                    put_array(out, &value.pending_revocation, put_partitions);
                })
            }
            ConsumerGroupRecord::RegularExpression { group, regex, value } => {
                encode(16, &[group, regex], value.as_ref(), |out, value| {
                    put_array(out, &value.topics, put_str);
                    out.extend_from_slice(&value.version.to_be_bytes());
                    out.extend_from_slice(&value.timestamp_ms.to_be_bytes());
                })
            }
        }
    }

    pub(super) fn read(
        kind: i16,
        key: &mut Reader<'a>,
        value: Option<&'a [u8]>,
    ) -> Result<Self, RecordError> {
        let group = string(key)?;
        Ok(match kind {
            3 => ConsumerGroupRecord::Metadata { group, epoch: decode(kind, value, Reader::i32)? },
            4 => ConsumerGroupRecord::PartitionMetadata {
                group,
                topics: decode(kind, value, |reader| array(reader, topic_metadata))?,
            },
            5 => ConsumerGroupRecord::MemberMetadata {
                group,
                member: string(key)?,
                value: read_value(kind, value, 0..=0, |_, reader| member(reader))?,
            },
            6 => ConsumerGroupRecord::TargetAssignmentMetadata {
                group,
                epoch: decode(kind, value, Reader::i32)?,
            },
            7 => ConsumerGroupRecord::TargetAssignmentMember {
                group,
                member: string(key)?,
                partitions: decode(kind, value, |reader| array(reader, partitions))?,
            },
            8 => ConsumerGroupRecord::CurrentMemberAssignment {
                group,
                member: string(key)?,
                value: decode(kind, value, |reader| {
                    Ok(CurrentMemberAssignment {
                        member_epoch: reader.i32()?,
                        previous_member_epoch: reader.i32()?,
                        state: reader.i8()?,
                        assigned: array(reader, partitions)?,
                        pending_revocation: array(reader, partitions)?,
                    })
                })?,
            },
            16 => ConsumerGroupRecord::RegularExpression {
                group,
                regex: string(key)?,
                value: decode(kind, value, |reader| {
                    Ok(RegularExpression {
                        topics: array(reader, Reader::compact_string)?,
                        version: reader.i64()?,
                        timestamp_ms: reader.i64()?,
                    })
                })?,
            },
            _ => unreachable!("the caller asks for these kinds only"),
        })
    }
}

/// A record whose value has no tagged fields of its own.
fn encode<T: ?Sized>(
    kind: i16,
    key: &[&str],
    value: Option<&T>,
    put: impl FnOnce(&mut Vec<u8>, &T),
) -> Record {
    let put_key = |out: &mut Vec<u8>| key.iter().for_each(|part| put_string(out, part));
    let put_value = value.map(|value| {
        |out: &mut Vec<u8>| {
            out.extend_from_slice(&0i16.to_be_bytes());
            put(out, value);
            if kind != 5 {
                put_uvarint(out, 0);
            }
        }
    });
    record(kind, put_key, put_value)
}

/// A value whose tagged fields, if it has any, are not known.
fn decode<'a, T>(
    kind: i16,
    value: Option<&'a [u8]>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<Option<T>, RecordError> {
    read_value(kind, value, 0..=0, |_, reader| {
        let value = read(reader)?;
        reader.skip_tagged_fields()?;
        Ok(value)
    })
}

fn array<'a, T>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let count = reader.compact_array_len()?;
    (0..count).map(|_| read(reader)).collect()
}

fn put_array<T>(out: &mut Vec<u8>, elements: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    put_compact_array_len(out, elements.len());
    elements.iter().for_each(|element| put(out, element));
}

fn put_i32(out: &mut Vec<u8>, value: &i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_str(out: &mut Vec<u8>, value: &&str) {
    put_compact_string(out, Some(value));
}

fn topic_metadata<'a>(reader: &mut Reader<'a>) -> Result<TopicMetadata<'a>, ReadError> {
    let topic =
        TopicMetadata { topic_id: reader.uuid()?, name: reader.compact_string()?, partitions: reader.i32()? };
    // The racks of each partition, which Kafka 4 no longer writes.
    for _ in 0..reader.compact_array_len()? {
        reader.i32()?;
        array(reader, Reader::compact_string)?;
        reader.skip_tagged_fields()?;
    }
    reader.skip_tagged_fields()?;
    Ok(topic)
}

fn put_topic_metadata(out: &mut Vec<u8>, topic: &TopicMetadata<'_>) {
    put_uuid(out, topic.topic_id);
    put_compact_string(out, Some(topic.name));
    put_i32(out, &topic.partitions);
    put_compact_array_len(out, 0);
    put_uvarint(out, 0);
}

fn partitions(reader: &mut Reader<'_>) -> Result<TopicPartitions, ReadError> {
    let partitions = TopicPartitions { topic_id: reader.uuid()?, partitions: array(reader, Reader::i32)? };
    reader.skip_tagged_fields()?;
    Ok(partitions)
}

fn put_partitions(out: &mut Vec<u8>, topic: &TopicPartitions) {
    put_uuid(out, topic.topic_id);
    put_array(out, &topic.partitions, put_i32);
    put_uvarint(out, 0);
}

fn member<'a>(reader: &mut Reader<'a>) -> Result<ConsumerMemberMetadata<'a>, ReadError> {
    let mut member = ConsumerMemberMetadata {
        instance_id: reader.compact_nullable_string()?,
        rack_id: reader.compact_nullable_string()?,
        client_id: reader.compact_string()?,
        client_host: reader.compact_string()?,
        subscribed_topic_names: array(reader, Reader::compact_string)?,
        subscribed_topic_regex: reader.compact_nullable_string()?,
        rebalance_timeout_ms: reader.i32()?,
        server_assignor: reader.compact_nullable_string()?,
        classic: None,
    };
    reader.tagged_fields(|tag, mut field| {
        if tag == 0 {
            member.classic = classic_member(&mut field)?;
            field.finish()?;
        }
        Ok(())
    })?;
    Ok(member)
}

/// A nullable structure: one byte tells whether it is there.
fn classic_member<'a>(reader: &mut Reader<'a>) -> Result<Option<ClassicMemberMetadata<'a>>, ReadError> {
    if reader.i8()? < 0 {
        return Ok(None);
    }
    let session_timeout_ms = reader.i32()?;
    let protocols = array(reader, |reader| {
        let protocol = (reader.compact_string()?, reader.compact_bytes()?);
        reader.skip_tagged_fields()?;
        Ok(protocol)
    })?;
    reader.skip_tagged_fields()?;
    Ok(Some(ClassicMemberMetadata { session_timeout_ms, protocols }))
}

fn put_member(out: &mut Vec<u8>, member: &ConsumerMemberMetadata<'_>) {
    put_compact_string(out, member.instance_id);
    put_compact_string(out, member.rack_id);
    put_compact_string(out, Some(member.client_id));
    put_compact_string(out, Some(member.client_host));
    put_array(out, &member.subscribed_topic_names, put_str);
    put_compact_string(out, member.subscribed_topic_regex);
    put_i32(out, &member.rebalance_timeout_ms);
    put_compact_string(out, member.server_assignor);
    let Some(classic) = &member.classic else {
        return put_uvarint(out, 0);
    };
    let mut field = vec![1];
    put_i32(&mut field, &classic.session_timeout_ms);
    put_array(&mut field, &classic.protocols, |out, (name, metadata)| {
        put_compact_string(out, Some(name));
        put_compact_bytes(out, Some(metadata));
        put_uvarint(out, 0);
    });
    put_uvarint(&mut field, 0);
    put_tagged_fields(out, &[(0, &field)]);
}
