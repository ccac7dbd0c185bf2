//! Kafka's encoding of metadata records: frame version, api key and version as unsigned varints, then the fields.
//!
//! We write the versions that `metadata.version` 4.0-IV3 asks for.

use trial_node::{NodeId, TopicIdPartition};
use trial_wire::Uuid;
use trial_wire::primitive::{put_compact_array_len, put_compact_string, put_uuid, put_uvarint};

use super::key::*;
use super::{
    BrokerRegistration, BrokerRegistrationChange, LeaderRecoveryState, MetadataRecord, PartitionChange,
    PartitionRegistration, QuotaValue, security,
};

impl MetadataRecord {
    /// Appends the record's encoding to `out`: a record's value in the metadata log.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            MetadataRecord::RegisterBroker(registration) => put_register_broker(out, registration),
            MetadataRecord::UnregisterBroker { broker_id, broker_epoch } => {
                put_broker_and_epoch(out, UNREGISTER_BROKER, *broker_id, *broker_epoch);
            }
            MetadataRecord::Topic { name, topic_id } => {
                put_header(out, TOPIC, 0);
                put_compact_string(out, Some(name));
                put_uuid(out, *topic_id);
                put_uvarint(out, 0);
            }
            MetadataRecord::Partition { id, registration } => put_partition(out, *id, registration),
            MetadataRecord::Config { resource, name, value } => {
                let (resource_type, resource_name) = resource.to_wire();
                put_header(out, CONFIG, 0);
                out.extend_from_slice(&resource_type.to_be_bytes());
                put_compact_string(out, Some(&resource_name));
                put_compact_string(out, Some(name));
                put_compact_string(out, value.as_deref());
                put_uvarint(out, 0);
            }
            MetadataRecord::PartitionChange(change) => put_partition_change(out, change),
            MetadataRecord::FenceBroker { broker_id, broker_epoch } => {
                put_broker_and_epoch(out, FENCE_BROKER, *broker_id, *broker_epoch);
            }
            MetadataRecord::UnfenceBroker { broker_id, broker_epoch } => {
                put_broker_and_epoch(out, UNFENCE_BROKER, *broker_id, *broker_epoch);
            }
            MetadataRecord::RemoveTopic { topic_id } => {
                put_header(out, REMOVE_TOPIC, 0);
                put_uuid(out, *topic_id);
                put_uvarint(out, 0);
            }
            MetadataRecord::FeatureLevel { name, level } => {
                put_header(out, FEATURE_LEVEL, 0);
                put_compact_string(out, Some(name));
                out.extend_from_slice(&level.to_be_bytes());
                put_uvarint(out, 0);
            }
            MetadataRecord::ClientQuota { entity, key, value } => {
                put_header(out, CLIENT_QUOTA, 0);
                put_compact_array_len(out, entity.parts().count());
                for (entity_type, name) in entity.parts() {
                    put_compact_string(out, Some(entity_type));
                    put_compact_string(out, name.to_wire().as_deref());
                    put_uvarint(out, 0);
                }
                put_compact_string(out, Some(key));
                let number = value.map_or(0.0, QuotaValue::to_wire);
                out.extend_from_slice(&number.to_bits().to_be_bytes());
                out.push(value.is_none().into());
                put_uvarint(out, 0);
            }
            MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id } => {
                put_header(out, PRODUCER_IDS, 0);
                out.extend_from_slice(&broker_id.0.to_be_bytes());
                out.extend_from_slice(&broker_epoch.to_be_bytes());
                out.extend_from_slice(&next_producer_id.0.to_be_bytes());
                put_uvarint(out, 0);
            }
            MetadataRecord::BrokerRegistrationChange(change) => put_registration_change(out, change),
            MetadataRecord::UserScramCredential { name, mechanism, credential } => {
                put_header(out, USER_SCRAM_CREDENTIAL, 0);
                security::put_scram_credential(out, name, *mechanism, credential);
            }
            MetadataRecord::RemoveUserScramCredential { name, mechanism } => {
                put_header(out, REMOVE_USER_SCRAM_CREDENTIAL, 0);
                put_compact_string(out, Some(name));
                out.extend_from_slice(&mechanism.id().to_be_bytes());
                put_uvarint(out, 0);
            }
            MetadataRecord::AccessControlEntry { id, acl } => {
                put_header(out, ACCESS_CONTROL_ENTRY, 0);
                security::put_acl(out, *id, acl);
            }
            MetadataRecord::RemoveAccessControlEntry { id } => {
                put_header(out, REMOVE_ACCESS_CONTROL_ENTRY, 0);
                put_uuid(out, *id);
                put_uvarint(out, 0);
            }
            MetadataRecord::ClearElr { topic } => {
                put_header(out, CLEAR_ELR, 0);
                put_compact_string(out, Some(topic.as_ref().map_or("", |topic| topic.as_str())));
                put_uvarint(out, 0);
            }
            MetadataRecord::NoOp => {
                put_header(out, NO_OP, 0);
                put_uvarint(out, 0);
            }
        }
    }
}

fn put_header(out: &mut Vec<u8>, key: u32, version: u32) {
    put_uvarint(out, FRAME_VERSION);
    put_uvarint(out, key);
    put_uvarint(out, version);
}

fn put_broker_and_epoch(out: &mut Vec<u8>, key: u32, broker_id: NodeId, broker_epoch: i64) {
    put_header(out, key, 0);
    out.extend_from_slice(&broker_id.0.to_be_bytes());
    out.extend_from_slice(&broker_epoch.to_be_bytes());
    put_uvarint(out, 0);
}

fn put_nodes(out: &mut Vec<u8>, nodes: &[NodeId]) {
    put_compact_array_len(out, nodes.len());
    for node in nodes {
        out.extend_from_slice(&node.0.to_be_bytes());
    }
}

fn put_uuids(out: &mut Vec<u8>, ids: &[Uuid]) {
    put_compact_array_len(out, ids.len());
    for id in ids {
        put_uuid(out, *id);
    }
}

/// Tagged fields, which must be added in the order of their tags.
#[derive(Default)]
struct Tags {
    count: u32,
    bytes: Vec<u8>,
}

impl Tags {
    fn add(&mut self, tag: u32, put: impl FnOnce(&mut Vec<u8>)) {
        let mut value = Vec::new();
        put(&mut value);
        self.count += 1;
        put_uvarint(&mut self.bytes, tag);
        put_uvarint(&mut self.bytes, u32::try_from(value.len()).expect("a record is far smaller than 4 GiB"));
        self.bytes.extend_from_slice(&value);
    }

    fn put(self, out: &mut Vec<u8>) {
        put_uvarint(out, self.count);
        out.extend_from_slice(&self.bytes);
    }
}

pub(crate) fn put_register_broker(out: &mut Vec<u8>, registration: &BrokerRegistration) {
    put_header(out, REGISTER_BROKER, 3);
    out.extend_from_slice(&registration.broker_id.0.to_be_bytes());
    out.push(0); // IsMigratingZkBroker
    put_uuid(out, registration.incarnation_id);
    out.extend_from_slice(&registration.broker_epoch.to_be_bytes());
    put_compact_array_len(out, registration.end_points.len());
    for end_point in &registration.end_points {
        put_compact_string(out, Some(&end_point.name));
        put_compact_string(out, Some(&end_point.host));
        out.extend_from_slice(&end_point.port.to_be_bytes());
        out.extend_from_slice(&end_point.security_protocol.to_be_bytes());
        put_uvarint(out, 0);
    }
    put_compact_array_len(out, registration.features.len());
    for feature in &registration.features {
        put_compact_string(out, Some(&feature.name));
        out.extend_from_slice(&feature.min_supported_version.to_be_bytes());
        out.extend_from_slice(&feature.max_supported_version.to_be_bytes());
        put_uvarint(out, 0);
    }
    put_compact_string(out, registration.rack.as_deref());
    out.push(registration.fenced.into());
    out.push(registration.in_controlled_shutdown.into());
    let mut tags = Tags::default();
    if !registration.log_dirs.is_empty() {
        tags.add(0, |out| put_uuids(out, &registration.log_dirs));
    }
    tags.put(out);
}

pub(crate) fn put_partition(out: &mut Vec<u8>, id: TopicIdPartition, registration: &PartitionRegistration) {
    put_header(out, PARTITION, 2);
    out.extend_from_slice(&id.partition.to_be_bytes());
    put_uuid(out, id.topic_id);
    put_nodes(out, &registration.replicas);
    put_nodes(out, &registration.isr);
    put_nodes(out, &registration.removing_replicas);
    put_nodes(out, &registration.adding_replicas);
    out.extend_from_slice(&registration.leader.0.to_be_bytes());
    out.extend_from_slice(&registration.leader_epoch.0.to_be_bytes());
    out.extend_from_slice(&registration.partition_epoch.to_be_bytes());
    put_uuids(out, &registration.directories);
    let mut tags = Tags::default();
    if registration.leader_recovery_state != LeaderRecoveryState::Recovered {
        tags.add(0, |out| out.push(registration.leader_recovery_state as u8));
    }
    if !registration.elr.is_empty() {
        tags.add(1, |out| put_nodes(out, &registration.elr));
    }
    if !registration.last_known_elr.is_empty() {
        tags.add(2, |out| put_nodes(out, &registration.last_known_elr));
    }
    tags.put(out);
}

fn put_partition_change(out: &mut Vec<u8>, change: &PartitionChange) {
    put_header(out, PARTITION_CHANGE, 2);
    out.extend_from_slice(&change.id.partition.to_be_bytes());
    put_uuid(out, change.id.topic_id);
    let mut tags = Tags::default();
    if let Some(isr) = &change.isr {
        tags.add(0, |out| put_nodes(out, isr));
    }
    if let Some(leader) = change.leader {
        tags.add(1, |out| out.extend_from_slice(&leader.0.to_be_bytes()));
    }
    if let Some(replicas) = &change.replicas {
        tags.add(2, |out| put_nodes(out, replicas));
    }
    if let Some(removing) = &change.removing_replicas {
        tags.add(3, |out| put_nodes(out, removing));
    }
    if let Some(adding) = &change.adding_replicas {
        tags.add(4, |out| put_nodes(out, adding));
    }
    if let Some(state) = change.leader_recovery_state {
        tags.add(5, |out| out.push(state as u8));
    }
    if let Some(elr) = &change.elr {
        tags.add(6, |out| put_nodes(out, elr));
    }
    if let Some(last_known_elr) = &change.last_known_elr {
        tags.add(7, |out| put_nodes(out, last_known_elr));
    }
    if let Some(directories) = &change.directories {
        tags.add(8, |out| put_uuids(out, directories));
    }
    tags.put(out);
}

fn put_registration_change(out: &mut Vec<u8>, change: &BrokerRegistrationChange) {
    // The version is the lowest that has the fields that are set, as Kafka's controller chooses it.
    let version = match change {
        BrokerRegistrationChange { log_dirs: Some(_), .. } => 2,
        BrokerRegistrationChange { in_controlled_shutdown: true, .. } => 1,
        _ => 0,
    };
    put_header(out, BROKER_REGISTRATION_CHANGE, version);
    out.extend_from_slice(&change.broker_id.0.to_be_bytes());
    out.extend_from_slice(&change.broker_epoch.to_be_bytes());
    let mut tags = Tags::default();
    if let Some(fenced) = change.fenced {
        tags.add(0, |out| out.extend_from_slice(&if fenced { 1_i8 } else { -1 }.to_be_bytes()));
    }
    if change.in_controlled_shutdown {
        tags.add(1, |out| out.push(1));
    }
    if let Some(log_dirs) = &change.log_dirs {
        tags.add(2, |out| put_uuids(out, log_dirs));
    }
    tags.put(out);
}
