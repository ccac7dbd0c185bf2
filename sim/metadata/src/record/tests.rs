//! Bytes that Kafka would write, and records that come back as they went.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use trial_node::{LeaderEpoch, NodeId, ProducerId, TopicIdPartition};
use trial_security::acl::{AclOperation, AclPermission, PatternType, ResourceType};
use trial_wire::primitive::ReadError;
use trial_wire::{StrBytes, TopicName, Uuid};

use super::*;

fn encoded(record: &MetadataRecord) -> Vec<u8> {
    let mut out = Vec::new();
    record.encode(&mut out);
    out
}

/// By hand from the schemas: what Kafka's own tools read.
#[test]
fn encodings_are_kafkas() {
    assert_eq!(encoded(&MetadataRecord::NoOp), [1, 20, 0, 0]);
    assert_eq!(
        encoded(&MetadataRecord::FeatureLevel { name: StrBytes::from("metadata.version"), level: 25 }),
        [b"\x01\x0c\x00\x11metadata.version".as_slice(), &[0, 25, 0]].concat()
    );
    let id = TopicIdPartition { topic_id: Uuid::from_u128(7), partition: 3 };
    assert_eq!(
        encoded(&MetadataRecord::PartitionChange(PartitionChange {
            id,
            isr: Some(vec![NodeId(2)]),
            leader: Some(NodeId::NONE),
            ..PartitionChange::default()
        })),
        [
            &[1, 5, 2, 0, 0, 0, 3][..],
            &7_u128.to_be_bytes(),
            &[2, 0, 5, 2, 0, 0, 0, 2, 1, 4, 255, 255, 255, 255],
        ]
        .concat()
    );
    assert_eq!(
        encoded(&MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker_id: NodeId(1),
            broker_epoch: 9,
            fenced: Some(false),
            in_controlled_shutdown: false,
            log_dirs: None,
        })),
        [1, 17, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 1, 0, 1, 255]
    );
}

#[test]
fn quotas_are_kafkas_and_come_back() {
    let text = StrBytes::from_static_str;
    let entity = QuotaEntity {
        user: Some(QuotaName::Named(text("a"))),
        client_id: Some(QuotaName::Default),
        ip: None,
    };
    let record = |value| MetadataRecord::ClientQuota { entity: entity.clone(), key: text("k"), value };
    let bytes = |value: f64, remove: u8| {
        let start = b"\x01\x0e\0\x03\x0aclient-id\0\0\x05user\x02a\0\x02k";
        [&start[..], &value.to_bits().to_be_bytes(), &[remove, 0]].concat()
    };
    for (value, expected) in [(Some(1.5), bytes(1.5, 0)), (None, bytes(0.0, 1))] {
        let record = record(value.map(QuotaValue::from_wire));
        assert_eq!(encoded(&record), expected);
        assert_eq!(MetadataRecord::decode(&expected), Ok(record));
    }
    let other = b"\x01\x0e\0\x02\x05host\x02a\0\x02k\0\0\0\0\0\0\0\0\0\0";
    let unknown = RecordError::Field { key: 14, version: 0, field: "EntityType" };
    assert_eq!(MetadataRecord::decode(other), Err(unknown));
}

#[test]
fn errors_name_key_and_version() {
    assert_eq!(MetadataRecord::decode(&[1, 99, 4, 0]), Err(RecordError::Unsupported { key: 99, version: 4 }));
    assert_eq!(MetadataRecord::decode(&[1, 20, 1, 0]), Err(RecordError::Unsupported { key: 20, version: 1 }));
    assert_eq!(MetadataRecord::decode(&[2, 20, 0, 0]), Err(RecordError::Frame { version: 2 }));
    assert!(matches!(MetadataRecord::decode(&[1, 20]), Err(RecordError::Header { .. })));
    assert!(matches!(
        MetadataRecord::decode(&[1, 20, 0, 0, 0]),
        Err(RecordError::Corrupt { key: 20, version: 0, source: ReadError::Trailing { .. } })
    ));
    let mut bytes = encoded(&MetadataRecord::Config {
        resource: ConfigResource::BrokerDefault,
        name: StrBytes::from("min.insync.replicas"),
        value: None,
    });
    bytes[3] = 32;
    assert_eq!(
        MetadataRecord::decode(&bytes),
        Err(RecordError::Field { key: 4, version: 0, field: "ResourceType" })
    );
}

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-zé.]{0,12}".prop_map(StrBytes::from)
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<i32>().prop_map(NodeId)
}

fn nodes() -> impl Strategy<Value = Vec<NodeId>> {
    vec(node(), 0..5)
}

fn uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn id() -> impl Strategy<Value = TopicIdPartition> {
    (uuid(), any::<i32>()).prop_map(|(topic_id, partition)| TopicIdPartition { topic_id, partition })
}

fn recovery_state() -> impl Strategy<Value = LeaderRecoveryState> {
    prop_oneof![Just(LeaderRecoveryState::Recovered), Just(LeaderRecoveryState::Recovering)]
}

fn broker() -> impl Strategy<Value = BrokerRegistration> {
    let end_point =
        (text(), text(), any::<u16>(), any::<i16>()).prop_map(|(name, host, port, security_protocol)| {
            BrokerEndpoint { name, host, port, security_protocol }
        });
    let feature = (text(), any::<i16>(), any::<i16>()).prop_map(|(name, min, max)| BrokerFeature {
        name,
        min_supported_version: min,
        max_supported_version: max,
    });
    let who = (node(), any::<i64>(), uuid(), option::of(text()), any::<(bool, bool)>());
    (who, vec(end_point, 0..3), vec(feature, 0..3), vec(uuid(), 0..3)).prop_map(
        |((broker_id, broker_epoch, incarnation_id, rack, flags), end_points, features, log_dirs)| {
            BrokerRegistration {
                broker_id,
                broker_epoch,
                incarnation_id,
                end_points,
                features,
                rack,
                fenced: flags.0,
                in_controlled_shutdown: flags.1,
                log_dirs,
            }
        },
    )
}

fn partition() -> impl Strategy<Value = PartitionRegistration> {
    let lists = (nodes(), nodes(), nodes(), nodes(), vec(uuid(), 0..5), nodes(), nodes());
    (lists, node(), recovery_state(), any::<(i32, i32)>()).prop_map(|(lists, leader, state, epochs)| {
        PartitionRegistration {
            replicas: lists.0,
            isr: lists.1,
            removing_replicas: lists.2,
            adding_replicas: lists.3,
            directories: lists.4,
            elr: lists.5,
            last_known_elr: lists.6,
            leader,
            leader_recovery_state: state,
            leader_epoch: LeaderEpoch(epochs.0),
            partition_epoch: epochs.1,
        }
    })
}

fn partition_change() -> impl Strategy<Value = PartitionChange> {
    let lists = (option::of(nodes()), option::of(nodes()), option::of(nodes()), option::of(nodes()));
    let leader = option::of((-1..i32::MAX).prop_map(NodeId));
    let eligible = (option::of(nodes()), option::of(nodes()));
    (id(), lists, leader, option::of(recovery_state()), option::of(vec(uuid(), 0..4)), eligible).prop_map(
        |(
            id,
            (isr, replicas, removing_replicas, adding_replicas),
            leader,
            leader_recovery_state,
            directories,
            (elr, last_known_elr),
        )| {
            PartitionChange {
                id,
                isr,
                leader,
                replicas,
                removing_replicas,
                adding_replicas,
                leader_recovery_state,
                directories,
                elr,
                last_known_elr,
            }
        },
    )
}

fn resource() -> impl Strategy<Value = ConfigResource> {
    prop_oneof![
        text().prop_map(|name| ConfigResource::Topic(TopicName(name))),
        (0..i32::MAX).prop_map(|id| ConfigResource::Broker(NodeId(id))),
        Just(ConfigResource::BrokerDefault),
        "[a-z]{1,9}".prop_map(|name| ConfigResource::ClientMetrics(StrBytes::from(name))),
    ]
}

fn record() -> impl Strategy<Value = MetadataRecord> {
    let who = || (node(), any::<i64>());
    prop_oneof![
        broker().prop_map(MetadataRecord::RegisterBroker),
        who().prop_map(|(broker_id, broker_epoch)| MetadataRecord::UnregisterBroker {
            broker_id,
            broker_epoch
        }),
        who().prop_map(|(broker_id, broker_epoch)| MetadataRecord::FenceBroker { broker_id, broker_epoch }),
        who().prop_map(|(broker_id, broker_epoch)| MetadataRecord::UnfenceBroker { broker_id, broker_epoch }),
        (text(), uuid())
            .prop_map(|(name, topic_id)| MetadataRecord::Topic { name: TopicName(name), topic_id }),
        (id(), partition()).prop_map(|(id, registration)| MetadataRecord::Partition { id, registration }),
        (resource(), text(), option::of(text())).prop_map(|(resource, name, value)| MetadataRecord::Config {
            resource,
            name,
            value
        }),
        partition_change().prop_map(MetadataRecord::PartitionChange),
        uuid().prop_map(|topic_id| MetadataRecord::RemoveTopic { topic_id }),
        (text(), any::<i16>()).prop_map(|(name, level)| MetadataRecord::FeatureLevel { name, level }),
        (who(), any::<i64>()).prop_map(|((broker_id, broker_epoch), next)| MetadataRecord::ProducerIds {
            broker_id,
            broker_epoch,
            next_producer_id: ProducerId(next),
        }),
        (who(), option::of(any::<bool>()), any::<bool>(), option::of(vec(uuid(), 1..3))).prop_map(
            |((broker_id, broker_epoch), fenced, in_controlled_shutdown, log_dirs)| {
                MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
                    broker_id,
                    broker_epoch,
                    fenced,
                    in_controlled_shutdown,
                    log_dirs,
                })
            }
        ),
        option::of("[a-z]{1,9}").prop_map(|topic| MetadataRecord::ClearElr {
            topic: topic.map(|topic| TopicName(StrBytes::from(topic)))
        }),
        Just(MetadataRecord::NoOp),
        (text(), mechanism(), credential()).prop_map(|(name, mechanism, credential)| {
            MetadataRecord::UserScramCredential { name, mechanism, credential }
        }),
        (text(), mechanism())
            .prop_map(|(name, mechanism)| MetadataRecord::RemoveUserScramCredential { name, mechanism }),
        (uuid(), acl()).prop_map(|(id, acl)| MetadataRecord::AccessControlEntry { id, acl }),
        uuid().prop_map(|id| MetadataRecord::RemoveAccessControlEntry { id }),
    ]
}

fn mechanism() -> impl Strategy<Value = ScramMechanism> {
    select(vec![ScramMechanism::Sha256, ScramMechanism::Sha512])
}

fn credential() -> impl Strategy<Value = ScramCredential> {
    let bytes = || vec(any::<u8>(), 0..9).prop_map(Bytes::from);
    (bytes(), bytes(), bytes(), any::<i32>()).prop_map(|(salt, stored_key, server_key, iterations)| {
        ScramCredential { salt, stored_key, server_key, iterations }
    })
}

fn acl() -> impl Strategy<Value = Acl> {
    let resource = (select(ResourceType::ALL), text(), select(PatternType::ALL));
    (resource, text(), text(), select(AclOperation::ALL), select(AclPermission::ALL)).prop_map(
        |((resource_type, resource_name, pattern_type), principal, host, operation, permission)| Acl {
            resource_type,
            resource_name,
            pattern_type,
            principal,
            host,
            operation,
            permission,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_went(record in record()) {
        prop_assert_eq!(MetadataRecord::decode(&encoded(&record)), Ok(record));
    }

    #[test]
    fn a_torn_record_is_an_error(record in record(), cut in any::<prop::sample::Index>()) {
        let bytes = encoded(&record);
        prop_assert!(MetadataRecord::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    /// Whatever the bytes are, the answer is a record that stands for them or an error.
    #[test]
    fn decoding_never_panics(key in 0..30_u8, version in 0..4_u8, fields in vec(any::<u8>(), 0..60)) {
        if let Ok(record) = MetadataRecord::decode(&[&[1, key, version][..], &fields].concat()) {
            prop_assert_eq!(MetadataRecord::decode(&encoded(&record)), Ok(record));
        }
    }

    #[test]
    fn a_changed_byte_never_panics(record in record(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encoded(&record);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(record) = MetadataRecord::decode(&bytes) {
            prop_assert_eq!(MetadataRecord::decode(&encoded(&record)), Ok(record));
        }
    }
}
