//! How each record changes the image.

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_node::{LeaderEpoch, NodeId, ProducerId, TopicIdPartition};
use trial_security::{ScramCredential, ScramMechanism};
use trial_wire::{StrBytes, TopicName, Uuid};

use super::digest::{self, Entity};
use super::{MetadataDelta, MetadataImage, ReplayError, TopicImage};
use crate::record::{
    BrokerRegistration, BrokerRegistrationChange, ConfigResource, MetadataRecord, PartitionChange,
    PartitionRegistration, QuotaEntity, QuotaValue,
};

impl PartitionRegistration {
    /// The state after `change`: the partition epoch grows by 1, and the leader epoch too if the change names a leader.
    #[must_use]
    pub fn merge(&self, change: &PartitionChange) -> PartitionRegistration {
        let mut next = self.clone();
        next.apply(change);
        next
    }

    fn apply(&mut self, change: &PartitionChange) {
        if let Some(replicas) = &change.replicas {
            self.replicas.clone_from(replicas);
        }
        if let Some(directories) = &change.directories {
            self.directories.clone_from(directories);
        }
        if let Some(isr) = &change.isr {
            self.isr.clone_from(isr);
        }
        if let Some(removing) = &change.removing_replicas {
            self.removing_replicas.clone_from(removing);
        }
        if let Some(adding) = &change.adding_replicas {
            self.adding_replicas.clone_from(adding);
        }
        if let Some(elr) = &change.elr {
            self.elr.clone_from(elr);
        }
        if let Some(last_known_elr) = &change.last_known_elr {
            self.last_known_elr.clone_from(last_known_elr);
        }
        if let Some(leader) = change.leader {
            self.leader = leader;
            self.leader_epoch = LeaderEpoch(self.leader_epoch.0 + 1);
        }
        if let Some(state) = change.leader_recovery_state {
            self.leader_recovery_state = state;
        }
        self.partition_epoch += 1;
    }
}

impl MetadataImage {
    /// Applies one record, and adds what changed to `delta`. On an error the image is unchanged.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub fn replay(&mut self, record: &MetadataRecord, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::RegisterBroker(registration) => self.replay_register_broker(registration, delta),
            MetadataRecord::UnregisterBroker { broker_id, broker_epoch } => {
                self.registered(*broker_id, *broker_epoch)?;
                let gone = Arc::make_mut(&mut self.brokers).remove(broker_id);
                self.account(gone.as_ref().map(Entity::Broker), None);
                delta.brokers.insert(*broker_id);
            }
            MetadataRecord::Topic { name, topic_id } => self.replay_topic(name, *topic_id, delta)?,
            MetadataRecord::Partition { id, registration } => {
                self.replay_partition(*id, registration, delta)?
            }
            MetadataRecord::Config { resource, name, value } => {
                self.replay_config(resource, name, value.as_ref(), delta);
            }
            MetadataRecord::PartitionChange(change) => self.replay_partition_change(change, delta)?,
            MetadataRecord::FenceBroker { broker_id, broker_epoch } => {
                self.change_broker(*broker_id, *broker_epoch, delta, |broker| broker.fenced = true)?;
            }
            MetadataRecord::UnfenceBroker { broker_id, broker_epoch } => {
                self.change_broker(*broker_id, *broker_epoch, delta, |broker| broker.fenced = false)?;
            }
            MetadataRecord::RemoveTopic { topic_id } => self.replay_remove_topic(*topic_id, delta)?,
            MetadataRecord::FeatureLevel { name, level } => self.replay_feature_level(name, *level),
            MetadataRecord::ClientQuota { entity, key, value } => {
                self.replay_client_quota(entity, key, *value);
                delta.quotas = true;
            }
            MetadataRecord::ProducerIds { next_producer_id, .. } => {
                self.replay_producer_ids(*next_producer_id)?;
            }
            MetadataRecord::BrokerRegistrationChange(change) => {
                let BrokerRegistrationChange {
                    broker_id,
                    broker_epoch,
                    fenced,
                    in_controlled_shutdown,
                    log_dirs,
                } = change;
                self.change_broker(*broker_id, *broker_epoch, delta, |broker| {
                    if let Some(fenced) = fenced {
                        broker.fenced = *fenced;
                    }
                    broker.in_controlled_shutdown |= in_controlled_shutdown;
                    if let Some(log_dirs) = log_dirs {
                        broker.log_dirs.clone_from(log_dirs);
                    }
                })?;
            }
            MetadataRecord::UserScramCredential { name, mechanism, credential } => {
                self.replay_scram_credential(name, *mechanism, Some(credential))?;
            }
            MetadataRecord::RemoveUserScramCredential { name, mechanism } => {
                self.replay_scram_credential(name, *mechanism, None)?;
            }
            MetadataRecord::AccessControlEntry { id, acl } => {
                let before = Arc::make_mut(&mut self.acls).insert(*id, acl.clone());
                self.account(before.as_ref().map(|acl| Entity::Acl(*id, acl)), Some(Entity::Acl(*id, acl)));
                delta.acls.insert(*id);
            }
            MetadataRecord::RemoveAccessControlEntry { id } => {
                let gone = Arc::make_mut(&mut self.acls).remove(id);
                let gone = gone.ok_or(ReplayError::UnknownAcl { id: *id })?;
                self.account(Some(Entity::Acl(*id, &gone)), None);
                delta.acls.insert(*id);
            }
            MetadataRecord::ClearElr { topic } => self.replay_clear_elr(topic.as_ref(), delta),
            MetadataRecord::NoOp => {}
        }
        Ok(())
    }

    /// Keeps the digest: takes out what was and adds what is.
    fn account(&mut self, before: Option<Entity<'_>>, after: Option<Entity<'_>>) {
        if let Some(before) = before {
            self.digest = self.digest.wrapping_sub(digest::of(before));
        }
        if let Some(after) = after {
            self.digest = self.digest.wrapping_add(digest::of(after));
        }
    }

    fn registered(&self, broker_id: NodeId, broker_epoch: i64) -> Result<&BrokerRegistration, ReplayError> {
        self.brokers
            .get(&broker_id)
            .filter(|registration| registration.broker_epoch == broker_epoch)
            .ok_or(ReplayError::UnknownBroker { broker_id, broker_epoch })
    }

    fn replay_register_broker(&mut self, registration: &BrokerRegistration, delta: &mut MetadataDelta) {
        let before = Arc::make_mut(&mut self.brokers).insert(registration.broker_id, registration.clone());
        self.account(before.as_ref().map(Entity::Broker), Some(Entity::Broker(registration)));
        delta.brokers.insert(registration.broker_id);
    }

    fn change_broker(
        &mut self,
        broker_id: NodeId,
        broker_epoch: i64,
        delta: &mut MetadataDelta,
        change: impl FnOnce(&mut BrokerRegistration),
    ) -> Result<(), ReplayError> {
        let mut registration = self.registered(broker_id, broker_epoch)?.clone();
        change(&mut registration);
        self.replay_register_broker(&registration, delta);
        Ok(())
    }

    fn replay_topic(
        &mut self,
        name: &TopicName,
        topic_id: Uuid,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        if self.topic_ids.contains_key(name) || self.topics.contains_key(&topic_id) {
            return Err(ReplayError::DuplicateTopic { name: name.clone() });
        }
        let topic = TopicImage { id: topic_id, name: name.clone(), partitions: BTreeMap::new() };
        self.account(None, Some(Entity::Topic(&topic)));
        Arc::make_mut(&mut self.topic_ids).insert(name.clone(), topic_id);
        Arc::make_mut(&mut self.topics).insert(topic_id, Arc::new(topic));
        delta.created_topics.insert(topic_id);
        Ok(())
    }

    fn topic_mut(&mut self, topic_id: Uuid) -> Result<&mut TopicImage, ReplayError> {
        let topic = Arc::make_mut(&mut self.topics)
            .get_mut(&topic_id)
            .ok_or(ReplayError::UnknownTopic { topic_id })?;
        Ok(Arc::make_mut(topic))
    }

    fn replay_partition(
        &mut self,
        id: TopicIdPartition,
        registration: &PartitionRegistration,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let before = self.topic_mut(id.topic_id)?.partitions.insert(id.partition, registration.clone());
        let before = before.as_ref().map(|before| Entity::Partition(id, before));
        self.account(before, Some(Entity::Partition(id, registration)));
        delta.partitions.insert(id);
        Ok(())
    }

    fn replay_partition_change(
        &mut self,
        change: &PartitionChange,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let id = change.id;
        if !self.topics.contains_key(&id.topic_id) {
            return Err(ReplayError::UnknownTopic { topic_id: id.topic_id });
        }
        let registration = self
            .topic_mut(id.topic_id)?
            .partitions
            .get_mut(&id.partition)
            .ok_or(ReplayError::UnknownPartition { id })?;
        let before = digest::of(Entity::Partition(id, registration));
        registration.apply(change);
        let after = digest::of(Entity::Partition(id, registration));
        self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        delta.partitions.insert(id);
        Ok(())
    }

    fn replay_remove_topic(&mut self, topic_id: Uuid, delta: &mut MetadataDelta) -> Result<(), ReplayError> {
        if !self.topics.contains_key(&topic_id) {
            return Err(ReplayError::UnknownTopic { topic_id });
        }
        let topic = Arc::make_mut(&mut self.topics).remove(&topic_id).expect("it was found");
        Arc::make_mut(&mut self.topic_ids).remove(&topic.name);
        self.account(Some(Entity::Topic(&topic)), None);
        for (partition, registration) in &topic.partitions {
            let id = TopicIdPartition { topic_id, partition: *partition };
            self.account(Some(Entity::Partition(id, registration)), None);
            delta.partitions.remove(&id);
        }
        let resource = ConfigResource::Topic(topic.name.clone());
        if self.configs.contains_key(&resource) {
            let overrides = Arc::make_mut(&mut self.configs).remove(&resource).expect("it was found");
            for (name, value) in &overrides {
                self.account(Some(Entity::Config(&resource, name, value)), None);
            }
            delta.configs.insert(resource);
        }
        if !delta.created_topics.remove(&topic_id) {
            delta.deleted_topics.insert(topic_id, topic);
        }
        Ok(())
    }

    fn replay_clear_elr(&mut self, only: Option<&TopicName>, delta: &mut MetadataDelta) {
        let mut cleared = Vec::new();
        for topic in self.topics.values().filter(|topic| only.is_none_or(|name| topic.name == *name)) {
            let has = |partition: &PartitionRegistration| {
                !partition.elr.is_empty() || !partition.last_known_elr.is_empty()
            };
            let partitions = topic.partitions.iter().filter(|(_, partition)| has(partition));
            cleared.extend(partitions.map(|(partition, before)| {
                let id = TopicIdPartition { topic_id: topic.id, partition: *partition };
                // Not a change of the partition's epoch: leaders do not know of the list.
                let after =
                    PartitionRegistration { elr: Vec::new(), last_known_elr: Vec::new(), ..before.clone() };
                (id, after)
            }));
        }
        for (id, after) in cleared {
            self.replay_partition(id, &after, delta).expect("it was found in its topic");
        }
    }

    fn replay_config(
        &mut self,
        resource: &ConfigResource,
        name: &StrBytes,
        value: Option<&StrBytes>,
        delta: &mut MetadataDelta,
    ) {
        let configs = Arc::make_mut(&mut self.configs);
        let before = match value {
            Some(value) => configs.entry(resource.clone()).or_default().insert(name.clone(), value.clone()),
            None => configs.get_mut(resource).and_then(|overrides| overrides.remove(name)),
        };
        if configs.get(resource).is_some_and(BTreeMap::is_empty) {
            configs.remove(resource);
        }
        self.account(
            before.as_ref().map(|before| Entity::Config(resource, name, before)),
            value.map(|value| Entity::Config(resource, name, value)),
        );
        delta.configs.insert(resource.clone());
    }

    fn replay_feature_level(&mut self, name: &StrBytes, level: i16) {
        let features = Arc::make_mut(&mut self.features);
        let before = if level == 0 { features.remove(name) } else { features.insert(name.clone(), level) };
        self.account(
            before.map(|before| Entity::Feature(name, before)),
            (level != 0).then_some(Entity::Feature(name, level)),
        );
    }

    fn replay_client_quota(&mut self, entity: &QuotaEntity, key: &StrBytes, value: Option<QuotaValue>) {
        let quotas = Arc::make_mut(&mut self.quotas);
        let before = match value {
            Some(value) => quotas.entry(entity.clone()).or_default().insert(key.clone(), value),
            None => quotas.get_mut(entity).and_then(|quotas| quotas.remove(key)),
        };
        if quotas.get(entity).is_some_and(BTreeMap::is_empty) {
            quotas.remove(entity);
        }
        self.account(
            before.map(|before| Entity::Quota(entity, key, before)),
            value.map(|value| Entity::Quota(entity, key, value)),
        );
    }

    fn replay_scram_credential(
        &mut self,
        name: &StrBytes,
        mechanism: ScramMechanism,
        credential: Option<&ScramCredential>,
    ) -> Result<(), ReplayError> {
        let users = Arc::make_mut(&mut self.scram_credentials);
        let before = match credential {
            Some(credential) => users.entry(name.clone()).or_default().insert(mechanism, credential.clone()),
            None => {
                let gone = users.get_mut(name).and_then(|credentials| credentials.remove(&mechanism));
                Some(gone.ok_or_else(|| ReplayError::UnknownCredential { name: name.clone() })?)
            }
        };
        if users.get(name).is_some_and(BTreeMap::is_empty) {
            users.remove(name);
        }
        let entity = |credential| Entity::ScramCredential(name, mechanism, credential);
        self.account(before.as_ref().map(entity), credential.map(entity));
        Ok(())
    }

    fn replay_producer_ids(&mut self, next_producer_id: ProducerId) -> Result<(), ReplayError> {
        let before = self.next_producer_id;
        if next_producer_id <= before {
            return Err(ReplayError::ProducerIds { next_producer_id, before });
        }
        self.next_producer_id = next_producer_id;
        let known = |id| (id != ProducerId::default()).then_some(Entity::NextProducerId(id));
        self.account(known(before), known(next_producer_id));
        Ok(())
    }
}
