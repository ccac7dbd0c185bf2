//! Digests, errors and clones.

use trial_node::{LeaderEpoch, NodeId, ProducerId, TopicIdPartition};
use trial_wire::{StrBytes, TopicName, Uuid};

use super::*;
use crate::record::{BrokerRegistrationChange, PartitionChange};
use bytes::Bytes;
use trial_security::acl::{AclOperation, AclPermission, PatternType, ResourceType};

fn topic_id() -> Uuid {
    Uuid::from_u128(7)
}

fn id(partition: i32) -> TopicIdPartition {
    TopicIdPartition { topic_id: topic_id(), partition }
}

fn broker(id: i32) -> MetadataRecord {
    MetadataRecord::RegisterBroker(BrokerRegistration {
        broker_id: NodeId(id),
        broker_epoch: 5,
        incarnation_id: Uuid::from_u128(9),
        end_points: Vec::new(),
        features: Vec::new(),
        rack: None,
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: Vec::new(),
    })
}

fn topic() -> MetadataRecord {
    MetadataRecord::Topic { name: TopicName(StrBytes::from("orders")), topic_id: topic_id() }
}

fn partition(index: i32) -> MetadataRecord {
    let registration = PartitionRegistration {
        replicas: vec![NodeId(1), NodeId(2)],
        isr: vec![NodeId(1), NodeId(2)],
        leader: NodeId(1),
        ..PartitionRegistration::default()
    };
    MetadataRecord::Partition { id: id(index), registration }
}

fn credential(iterations: i32) -> MetadataRecord {
    let some = Bytes::from_static(b"x");
    let credential =
        ScramCredential { salt: some.clone(), stored_key: some.clone(), server_key: some, iterations };
    let name = StrBytes::from("alice");
    MetadataRecord::UserScramCredential { name, mechanism: ScramMechanism::Sha256, credential }
}

fn no_credential() -> MetadataRecord {
    let name = StrBytes::from("alice");
    MetadataRecord::RemoveUserScramCredential { name, mechanism: ScramMechanism::Sha256 }
}

fn acl(id: u128, operation: AclOperation) -> MetadataRecord {
    let acl = Acl {
        resource_type: ResourceType::Topic,
        resource_name: StrBytes::from("orders"),
        pattern_type: PatternType::Literal,
        principal: StrBytes::from("User:alice"),
        host: StrBytes::from("*"),
        operation,
        permission: AclPermission::Allow,
    };
    MetadataRecord::AccessControlEntry { id: Uuid::from_u128(id), acl }
}

fn no_acl(id: u128) -> MetadataRecord {
    MetadataRecord::RemoveAccessControlEntry { id: Uuid::from_u128(id) }
}

fn config(value: Option<&'static str>) -> MetadataRecord {
    MetadataRecord::Config {
        resource: ConfigResource::Topic(TopicName(StrBytes::from("orders"))),
        name: StrBytes::from("segment.bytes"),
        value: value.map(StrBytes::from),
    }
}

fn change(isr: &[i32], leader: Option<i32>) -> MetadataRecord {
    MetadataRecord::PartitionChange(PartitionChange {
        id: id(0),
        isr: Some(isr.iter().copied().map(NodeId).collect()),
        leader: leader.map(NodeId),
        ..PartitionChange::default()
    })
}

fn image(records: &[MetadataRecord]) -> MetadataImage {
    let mut image = MetadataImage::default();
    for record in records {
        image.replay(record, &mut MetadataDelta::default()).unwrap();
    }
    image
}

#[test]
fn history_does_not_show_in_the_digest() {
    let a = image(&[topic(), partition(0), partition(1), config(Some("1")), broker(1), broker(2)]);
    let b = image(&[
        broker(2),
        topic(),
        config(Some("2")),
        partition(1),
        config(Some("1")),
        MetadataRecord::NoOp,
        broker(1),
        MetadataRecord::UnfenceBroker { broker_id: NodeId(2), broker_epoch: 5 },
        partition(0),
        MetadataRecord::FenceBroker { broker_id: NodeId(2), broker_epoch: 5 },
    ]);
    assert_eq!((&a, a.digest()), (&b, b.digest()));
}

#[test]
fn everything_shows_in_the_digest() {
    let base = vec![topic(), partition(0), broker(1)];
    let registration_change = |fenced, in_controlled_shutdown| {
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
            broker_id: NodeId(1),
            broker_epoch: 5,
            fenced,
            in_controlled_shutdown,
            log_dirs: None,
        })
    };
    let next = [
        MetadataRecord::NoOp,
        partition(1),
        broker(2),
        config(Some("1")),
        config(Some("2")),
        credential(4096),
        credential(5000),
        acl(1, AclOperation::Read),
        acl(2, AclOperation::Read),
        acl(1, AclOperation::Write),
        change(&[1], None),
        change(&[1, 2], Some(1)),
        change(&[2, 1], None),
        registration_change(Some(false), false),
        registration_change(None, true),
        MetadataRecord::FeatureLevel { name: StrBytes::from("metadata.version"), level: 25 },
        MetadataRecord::ProducerIds {
            broker_id: NodeId(1),
            broker_epoch: 5,
            next_producer_id: ProducerId(1_000),
        },
        MetadataRecord::RemoveTopic { topic_id: topic_id() },
        MetadataRecord::UnregisterBroker { broker_id: NodeId(1), broker_epoch: 5 },
    ];
    let digests: Vec<u128> = next
        .iter()
        .map(|record| image(&[&base[..], std::slice::from_ref(record)].concat()).digest())
        .collect();
    assert_eq!(digests[0], image(&base).digest());
    for (i, digest) in digests.iter().enumerate() {
        assert!(!digests[..i].contains(digest), "{:?}", next[i]);
    }
    assert_eq!(image(&[]).digest(), 0);
}

#[test]
fn removing_everything_leads_back_to_the_empty_image() {
    let empty = image(&[
        topic(),
        partition(0),
        change(&[1], None),
        config(Some("1")),
        broker(1),
        MetadataRecord::FeatureLevel { name: StrBytes::from("metadata.version"), level: 25 },
        MetadataRecord::RemoveTopic { topic_id: topic_id() },
        MetadataRecord::UnregisterBroker { broker_id: NodeId(1), broker_epoch: 5 },
        MetadataRecord::FeatureLevel { name: StrBytes::from("metadata.version"), level: 0 },
        config(None),
        credential(4096),
        credential(5000),
        no_credential(),
        acl(1, AclOperation::Read),
        acl(1, AclOperation::Write),
        no_acl(1),
    ]);
    assert_eq!((&empty, empty.digest()), (&MetadataImage::default(), 0));
}

#[test]
fn a_change_moves_the_epochs() {
    let image =
        image(&[topic(), partition(0), change(&[1], None), change(&[1], Some(1)), change(&[1, 2], None)]);
    let partition = image.partition(id(0)).unwrap();
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (LeaderEpoch(1), 3));
}

#[test]
fn a_clone_stays_as_it_was() {
    let before = image(&[topic(), partition(0), broker(1)]);
    let mut after = before.clone();
    let digest = before.digest();
    for record in [change(&[1], Some(2)), broker(2), config(Some("1"))] {
        after.replay(&record, &mut MetadataDelta::default()).unwrap();
    }
    assert_eq!(before, image(&[topic(), partition(0), broker(1)]));
    assert_eq!(before.digest(), digest);
}

#[test]
fn records_that_do_not_fit_are_errors_and_change_nothing() {
    let base = [topic(), partition(0), broker(1)];
    let mut image = image(&base);
    let before = image.clone();
    let stale = MetadataRecord::FenceBroker { broker_id: NodeId(1), broker_epoch: 4 };
    let gone = MetadataRecord::UnregisterBroker { broker_id: NodeId(3), broker_epoch: 5 };
    let nowhere = Uuid::from_u128(99);
    let elsewhere = TopicIdPartition { topic_id: nowhere, partition: 0 };
    let change_of =
        |id| MetadataRecord::PartitionChange(PartitionChange { id, ..PartitionChange::default() });
    let cases = [
        (stale, ReplayError::UnknownBroker { broker_id: NodeId(1), broker_epoch: 4 }),
        (gone, ReplayError::UnknownBroker { broker_id: NodeId(3), broker_epoch: 5 }),
        (change_of(elsewhere), ReplayError::UnknownTopic { topic_id: nowhere }),
        (change_of(id(1)), ReplayError::UnknownPartition { id: id(1) }),
        (MetadataRecord::RemoveTopic { topic_id: nowhere }, ReplayError::UnknownTopic { topic_id: nowhere }),
        (
            MetadataRecord::Partition { id: elsewhere, registration: PartitionRegistration::default() },
            ReplayError::UnknownTopic { topic_id: nowhere },
        ),
        (no_acl(1), ReplayError::UnknownAcl { id: Uuid::from_u128(1) }),
        (no_credential(), ReplayError::UnknownCredential { name: StrBytes::from("alice") }),
        (topic(), ReplayError::DuplicateTopic { name: TopicName(StrBytes::from("orders")) }),
        (
            MetadataRecord::ProducerIds {
                broker_id: NodeId(1),
                broker_epoch: 5,
                next_producer_id: ProducerId(0),
            },
            ReplayError::ProducerIds { next_producer_id: ProducerId(0), before: ProducerId(0) },
        ),
    ];
    for (record, error) in cases {
        let mut delta = MetadataDelta::default();
        assert_eq!(image.replay(&record, &mut delta), Err(error));
        assert!(delta.is_empty());
        assert_eq!(image, before);
    }
}
