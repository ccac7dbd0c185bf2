//! The image's digest: the sum of one hash per thing in it, so that history does not matter and a change costs the hash of
//! what changed.

use trial_node::{NodeId, ProducerId, TopicIdPartition};
use trial_security::acl::Acl;
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::{StrBytes, Uuid};
use xxhash_rust::xxh3::xxh3_128;

use super::TopicImage;
use crate::record::{
    BrokerRegistration, ConfigResource, MetadataRecord, PartitionRegistration, QuotaEntity, QuotaValue,
    put_partition, put_register_broker,
};

/// One thing in the image.
#[derive(Clone, Copy)]
pub(super) enum Entity<'a> {
    Broker(&'a BrokerRegistration),
    /// The topic itself; its partitions count on their own.
    Topic(&'a TopicImage),
    Partition(TopicIdPartition, &'a PartitionRegistration),
    Config(&'a ConfigResource, &'a StrBytes, &'a StrBytes),
    Feature(&'a StrBytes, i16),
    Quota(&'a QuotaEntity, &'a StrBytes, QuotaValue),
    ScramCredential(&'a StrBytes, ScramMechanism, &'a ScramCredential),
    Acl(Uuid, &'a Acl),
    NextProducerId(ProducerId),
}

/// The hash of the record that would bring the thing about: it starts with the record's key, so that no two things of
/// different kinds share their bytes.
pub(super) fn of(entity: Entity<'_>) -> u128 {
    let mut bytes = Vec::with_capacity(128);
    match entity {
        Entity::Broker(registration) => put_register_broker(&mut bytes, registration),
        Entity::Partition(id, registration) => put_partition(&mut bytes, id, registration),
        entity => record(entity).encode(&mut bytes),
    }
    xxh3_128(&bytes)
}

/// The record that brings the thing about in an image that does not have it.
pub(super) fn record(entity: Entity<'_>) -> MetadataRecord {
    match entity {
        Entity::Broker(registration) => MetadataRecord::RegisterBroker(registration.clone()),
        Entity::Topic(topic) => MetadataRecord::Topic { name: topic.name.clone(), topic_id: topic.id },
        Entity::Partition(id, registration) => {
            MetadataRecord::Partition { id, registration: registration.clone() }
        }
        Entity::Config(resource, name, value) => MetadataRecord::Config {
            resource: resource.clone(),
            name: name.clone(),
            value: Some(value.clone()),
        },
        Entity::Feature(name, level) => MetadataRecord::FeatureLevel { name: name.clone(), level },
        Entity::Quota(entity, key, value) => {
            MetadataRecord::ClientQuota { entity: entity.clone(), key: key.clone(), value: Some(value) }
        }
        Entity::ScramCredential(name, mechanism, credential) => MetadataRecord::UserScramCredential {
            name: name.clone(),
            mechanism,
            credential: credential.clone(),
        },
        Entity::Acl(id, acl) => MetadataRecord::AccessControlEntry { id, acl: acl.clone() },
        Entity::NextProducerId(next_producer_id) => {
            MetadataRecord::ProducerIds { broker_id: NodeId::NONE, broker_epoch: -1, next_producer_id }
        }
    }
}
