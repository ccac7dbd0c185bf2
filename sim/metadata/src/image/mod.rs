//! What a prefix of the metadata log amounts to.

mod delta;
mod digest;
mod replay;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_node::{NodeId, ProducerId, TopicIdPartition};
use trial_security::acl::Acl;
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::{StrBytes, TopicName, Uuid};

pub use delta::MetadataDelta;

use digest::Entity;

use crate::record::{
    BrokerRegistration, ConfigResource, MetadataRecord, PartitionRegistration, QuotaEntity, QuotaValue,
};

/// The overrides of one resource: config name to value.
pub type Overrides = BTreeMap<StrBytes, StrBytes>;

/// The quotas of one entity: what each limits, and how much it allows.
pub type Quotas = BTreeMap<StrBytes, QuotaValue>;

/// What one user can log in with by SCRAM.
pub type ScramCredentials = BTreeMap<ScramMechanism, ScramCredential>;

/// The cluster's metadata at one offset of the metadata log.
///
/// A clone costs a few reference counts; changing a clone copies the parts that it changes.
#[derive(Clone, Debug, Default)]
pub struct MetadataImage {
    brokers: Arc<BTreeMap<NodeId, BrokerRegistration>>,
    topics: Arc<BTreeMap<Uuid, Arc<TopicImage>>>,
    topic_ids: Arc<BTreeMap<TopicName, Uuid>>,
    configs: Arc<BTreeMap<ConfigResource, Overrides>>,
    features: Arc<BTreeMap<StrBytes, i16>>,
    quotas: Arc<BTreeMap<QuotaEntity, Quotas>>,
    scram_credentials: Arc<BTreeMap<StrBytes, ScramCredentials>>,
    acls: Arc<BTreeMap<Uuid, Acl>>,
    next_producer_id: ProducerId,
    digest: u128,
}

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicImage {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: TopicName,
    /// Its partitions by index.
    pub partitions: BTreeMap<i32, PartitionRegistration>,
}

/// A record does not fit the image that it should change: the log is not what a controller wrote, or we have a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The record names a broker, or an epoch of it, that is not registered.
    #[error("record names broker {broker_id} with epoch {broker_epoch}, which is not registered")]
    UnknownBroker {
        /// The broker.
        broker_id: NodeId,
        /// The epoch.
        broker_epoch: i64,
    },
    /// The record names a topic that does not exist.
    #[error("record names topic id {topic_id}, which does not exist")]
    UnknownTopic {
        /// The topic.
        topic_id: Uuid,
    },
    /// The record names a partition that does not exist.
    #[error("record names partition {} of topic id {}, which does not exist", id.partition, id.topic_id)]
    UnknownPartition {
        /// The partition.
        id: TopicIdPartition,
    },
    /// The record creates a topic whose name or id is taken.
    #[error("record creates topic {}, whose name or id is taken", name.as_str())]
    DuplicateTopic {
        /// The topic's name.
        name: TopicName,
    },
    /// The record takes an ACL away that there is not.
    #[error("record removes the ACL {id}, which does not exist")]
    UnknownAcl {
        /// The ACL.
        id: Uuid,
    },
    /// The record takes a credential away that there is not.
    #[error("record removes a credential of user {}, which does not exist", name.as_str())]
    UnknownCredential {
        /// The user.
        name: StrBytes,
    },
    /// The record gives out producer ids that were given out before.
    #[error("record sets the next producer id to {next_producer_id}, which is not above {before}")]
    ProducerIds {
        /// The record's.
        next_producer_id: ProducerId,
        /// The image's.
        before: ProducerId,
    },
}

impl MetadataImage {
    /// The records of a snapshot: replaying them on an empty image gives an equal one.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        let mut push = |entity| records.push(digest::record(entity));
        for (name, level) in self.features.iter() {
            push(Entity::Feature(name, *level));
        }
        for broker in self.brokers.values() {
            push(Entity::Broker(broker));
        }
        for topic in self.topics.values() {
            push(Entity::Topic(topic));
            for (partition, registration) in &topic.partitions {
                push(Entity::Partition(
                    TopicIdPartition { topic_id: topic.id, partition: *partition },
                    registration,
                ));
            }
        }
        for (resource, overrides) in self.configs.iter() {
            for (name, value) in overrides {
                push(Entity::Config(resource, name, value));
            }
        }
        for (entity, quotas) in self.quotas.iter() {
            for (key, value) in quotas {
                push(Entity::Quota(entity, key, *value));
            }
        }
        for (name, credentials) in self.scram_credentials.iter() {
            for (mechanism, credential) in credentials {
                push(Entity::ScramCredential(name, *mechanism, credential));
            }
        }
        for (id, acl) in self.acls.iter() {
            push(Entity::Acl(*id, acl));
        }
        if self.next_producer_id != ProducerId::default() {
            push(Entity::NextProducerId(self.next_producer_id));
        }
        records
    }

    /// A digest of everything in the image, whatever its history: equal images have equal digests. Kept up to date by
    /// [`MetadataImage::replay`]; reading it is free.
    pub fn digest(&self) -> u128 {
        self.digest
    }

    /// Every registered broker, fenced or not.
    pub fn brokers(&self) -> &BTreeMap<NodeId, BrokerRegistration> {
        &self.brokers
    }

    /// A registered broker.
    pub fn broker(&self, id: NodeId) -> Option<&BrokerRegistration> {
        self.brokers.get(&id)
    }

    /// Every topic by id.
    pub fn topics(&self) -> &BTreeMap<Uuid, Arc<TopicImage>> {
        &self.topics
    }

    /// Every topic's id by name.
    pub fn topic_ids(&self) -> &BTreeMap<TopicName, Uuid> {
        &self.topic_ids
    }

    /// A topic by its id.
    pub fn topic(&self, id: Uuid) -> Option<&TopicImage> {
        self.topics.get(&id).map(Arc::as_ref)
    }

    /// A topic by its name.
    pub fn topic_named(&self, name: &TopicName) -> Option<&TopicImage> {
        self.topic(*self.topic_ids.get(name)?)
    }

    /// A partition.
    pub fn partition(&self, id: TopicIdPartition) -> Option<&PartitionRegistration> {
        self.topic(id.topic_id)?.partitions.get(&id.partition)
    }

    /// The overrides of a resource, if it has any.
    pub fn config(&self, resource: &ConfigResource) -> Option<&Overrides> {
        self.configs.get(resource)
    }

    /// Every resource that has overrides.
    pub fn configs(&self) -> &BTreeMap<ConfigResource, Overrides> {
        &self.configs
    }

    /// The finalized features and their levels.
    pub fn features(&self) -> &BTreeMap<StrBytes, i16> {
        &self.features
    }

    /// Every quota, by who it is for.
    pub fn quotas(&self) -> &BTreeMap<QuotaEntity, Quotas> {
        &self.quotas
    }

    /// Every user that can log in with SCRAM.
    pub fn scram_credentials(&self) -> &BTreeMap<StrBytes, ScramCredentials> {
        &self.scram_credentials
    }

    /// Every ACL by its id.
    pub fn acls(&self) -> &BTreeMap<Uuid, Acl> {
        &self.acls
    }

    /// The first producer id that no broker was given.
    pub fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }
}

impl PartialEq for MetadataImage {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.brokers == other.brokers
            && self.topics == other.topics
            && self.configs == other.configs
            && self.features == other.features
            && self.quotas == other.quotas
            && self.scram_credentials == other.scram_credentials
            && self.acls == other.acls
            && self.next_producer_id == other.next_producer_id
    }
}

impl Eq for MetadataImage {}
