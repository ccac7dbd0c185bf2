//! What is written is read, hostile bytes are errors, and the bytes are Kafka's.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use trial_node::{LeaderEpoch, Offset};
use trial_wire::Uuid;

use super::*;

fn text() -> impl Strategy<Value = String> {
    "[a-zä-]{0,9}"
}

fn written_is_read(record: &GroupRecord<'_>) {
    let bytes = record.encode();
    let read = GroupRecord::decode(&bytes.key, bytes.value.as_deref());
    assert_eq!(read.as_ref(), Ok(&Some(record.clone())));
    let Some(value) = &bytes.value else { return };
    for end in 0..value.len() {
        let cut = GroupRecord::decode(&bytes.key, Some(&value[..end]));
        assert!(cut.is_err(), "{record:?} cut at {end} is {cut:?}");
    }
}

fn partitions() -> impl Strategy<Value = Vec<TopicPartitions>> {
    let topic = (any::<u128>(), vec(any::<i32>(), 0..5));
    vec(
        topic.prop_map(|(id, partitions)| TopicPartitions { topic_id: Uuid::from_u128(id), partitions }),
        0..3,
    )
}

proptest! {
    #[test]
    fn offsets(
        (group, topic, partition) in (text(), text(), any::<i32>()),
        value in option::of((any::<i64>(), any::<i32>(), text(), any::<i64>(), option::of(0..i64::MAX))),
    ) {
        let value = value.as_ref().map(|(offset, epoch, metadata, at, expiry)| OffsetCommit {
            offset: Offset(*offset),
            // Version 1, which alone has an expiry, has no epoch.
            leader_epoch: if expiry.is_some() { LeaderEpoch::NONE } else { LeaderEpoch(*epoch) },
            metadata,
            commit_timestamp_ms: *at,
            expire_timestamp_ms: *expiry,
        });
        let key = OffsetCommitKey { group: &group, topic: &topic, partition };
        written_is_read(&GroupRecord::Offset { key, value });
    }

    #[test]
    fn generations(
        group in text(),
        (protocol_type, generation, at) in (text(), any::<i32>(), any::<i64>()),
        (protocol, leader) in (option::of(text()), option::of(text())),
        members in vec((text(), option::of(text()), text(), any::<i32>(), vec(any::<u8>(), 0..9)), 0..4),
    ) {
        let members = members.iter().map(|(id, instance, client, timeout, bytes)| MemberMetadata {
            member_id: id,
            group_instance_id: instance.as_deref(),
            client_id: client,
            client_host: "/10.0.0.1",
            rebalance_timeout_ms: *timeout,
            session_timeout_ms: 10_000,
            subscription: bytes,
            assignment: &bytes[bytes.len() / 2..],
        });
        let value = GroupMetadata {
            protocol_type: &protocol_type,
            generation,
            protocol: protocol.as_deref(),
            leader: leader.as_deref(),
            current_state_timestamp_ms: at,
            members: members.collect(),
        };
        written_is_read(&GroupRecord::Group { group: &group, value: Some(value) });
        written_is_read(&GroupRecord::Group { group: &group, value: None });
    }

    #[test]
    fn consumer_groups(
        (group, member, epoch, state) in (text(), text(), any::<i32>(), any::<i8>()),
        (assigned, pending_revocation) in (partitions(), partitions()),
        topics in vec((any::<u128>(), text(), any::<i32>()), 0..4),
        (instance, rack, regex, assignor) in
            (option::of(text()), option::of(text()), option::of(text()), option::of(text())),
        names in vec(text(), 0..4),
        classic in option::of((any::<i32>(), vec((text(), vec(any::<u8>(), 0..9)), 0..3))),
    ) {
        let topics = topics.iter().map(|(id, name, partitions)| TopicMetadata {
            topic_id: Uuid::from_u128(*id),
            name,
            partitions: *partitions,
        });
        let said = ConsumerMemberMetadata {
            instance_id: instance.as_deref(),
            rack_id: rack.as_deref(),
            client_id: "client",
            client_host: "/10.0.0.1",
            subscribed_topic_names: names.iter().map(String::as_str).collect(),
            subscribed_topic_regex: regex.as_deref(),
            rebalance_timeout_ms: epoch,
            server_assignor: assignor.as_deref(),
            classic: classic.as_ref().map(|(session_timeout_ms, protocols)| ClassicMemberMetadata {
                session_timeout_ms: *session_timeout_ms,
                protocols: protocols.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect(),
            }),
        };
        let current = CurrentMemberAssignment {
            member_epoch: epoch,
            previous_member_epoch: epoch / 2,
            state,
            assigned: assigned.clone(),
            pending_revocation,
        };
        let resolved = RegularExpression { topics: said.subscribed_topic_names.clone(), version: 7, timestamp_ms: 8 };
        let (group, member) = (&*group, &*member);
        for part in [
            ConsumerGroupRecord::Metadata { group, epoch: Some(epoch) },
            ConsumerGroupRecord::PartitionMetadata { group, topics: Some(topics.collect()) },
            ConsumerGroupRecord::MemberMetadata { group, member, value: Some(said) },
            ConsumerGroupRecord::TargetAssignmentMetadata { group, epoch: Some(epoch) },
            ConsumerGroupRecord::TargetAssignmentMember { group, member, partitions: Some(assigned) },
            ConsumerGroupRecord::CurrentMemberAssignment { group, member, value: Some(current) },
            ConsumerGroupRecord::RegularExpression { group, regex: member, value: Some(resolved) },
            ConsumerGroupRecord::Metadata { group, epoch: None },
            ConsumerGroupRecord::MemberMetadata { group, member, value: None },
        ] {
            written_is_read(&GroupRecord::Consumer(part));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        kind in 0i16..20,
        key in vec(any::<u8>(), 0..20),
        value in vec(any::<u8>(), 0..40),
    ) {
        let key = [&kind.to_be_bytes()[..], &key].concat();
        let read = GroupRecord::decode(&key, Some(&value));
        prop_assert!(!matches!(read, Ok(None)) || !matches!(kind, 0..=8 | 16));
    }
}

#[test]
fn the_bytes_are_those_of_the_schemas() {
    let key = OffsetCommitKey { group: "g", topic: "t", partition: 2 };
    let value = OffsetCommit {
        offset: Offset(5),
        leader_epoch: LeaderEpoch(3),
        metadata: "m",
        commit_timestamp_ms: 7,
        expire_timestamp_ms: None,
    };
    let bytes = GroupRecord::Offset { key, value: Some(value) }.encode();
    assert_eq!(&bytes.key[..], b"\0\x01\0\x01g\0\x01t\0\0\0\x02");
    let written = b"\0\x03\0\0\0\0\0\0\0\x05\0\0\0\x03\0\x01m\0\0\0\0\0\0\0\x07";
    assert_eq!(bytes.value.as_deref(), Some(&written[..]));
    // Version 4 is flexible.
    let newer = b"\0\x04\0\0\0\0\0\0\0\x05\0\0\0\x03\x02m\0\0\0\0\0\0\0\x07\0";
    assert_eq!(
        GroupRecord::decode(&bytes.key, Some(newer)),
        Ok(Some(GroupRecord::Offset { key, value: Some(value) }))
    );
    let epoch = GroupRecord::Consumer(ConsumerGroupRecord::Metadata { group: "g", epoch: Some(9) }).encode();
    assert_eq!(&epoch.key[..], b"\0\x03\0\x01g");
    assert_eq!(epoch.value.as_deref(), Some(&b"\0\0\0\0\0\x09\0"[..]));
    assert_eq!(GroupRecord::decode(b"\0\x0b\0\x01g", None), Ok(None));
    let version = Err(RecordError::Version { key: 3, version: 1 });
    assert_eq!(GroupRecord::decode(&epoch.key, Some(b"\0\x01\0\0\0\x09\0")), version);
}
