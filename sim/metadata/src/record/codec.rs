//! Kafka's encoding of metadata records: frame version, api key and version as unsigned varints, then the fields.
//!
//! We write the versions that `metadata.version` 4.0-IV3 asks for and read all up to them.

use trial_node::{LeaderEpoch, NodeId, ProducerId, TopicIdPartition};
use trial_wire::primitive::{
    ReadError, Reader, put_compact_array_len, put_compact_string, put_uuid, put_uvarint,
};
use trial_wire::{StrBytes, TopicName, Uuid};

use super::{
    BrokerEndpoint, BrokerFeature, BrokerRegistration, BrokerRegistrationChange, ConfigResource,
    LeaderRecoveryState, MetadataRecord, PartitionChange, PartitionRegistration,
};

const FRAME_VERSION: u32 = 1;

const REGISTER_BROKER: u32 = 0;
const UNREGISTER_BROKER: u32 = 1;
const TOPIC: u32 = 2;
const PARTITION: u32 = 3;
const CONFIG: u32 = 4;
const PARTITION_CHANGE: u32 = 5;
const FENCE_BROKER: u32 = 7;
const UNFENCE_BROKER: u32 = 8;
const REMOVE_TOPIC: u32 = 9;
const FEATURE_LEVEL: u32 = 12;
const PRODUCER_IDS: u32 = 15;
const BROKER_REGISTRATION_CHANGE: u32 = 17;
const NO_OP: u32 = 20;

/// The newest version of each record that we know.
fn newest_version(key: u32) -> Option<u32> {
    match key {
        REGISTER_BROKER => Some(3),
        PARTITION | PARTITION_CHANGE | BROKER_REGISTRATION_CHANGE => Some(2),
        UNREGISTER_BROKER | TOPIC | CONFIG | FENCE_BROKER | UNFENCE_BROKER | REMOVE_TOPIC | FEATURE_LEVEL
        | PRODUCER_IDS | NO_OP => Some(0),
        _ => None,
    }
}

/// Bytes are not a metadata record that we understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes end within the frame's header.
    #[error("metadata record header: {source}")]
    Header {
        /// What is wrong.
        source: ReadError,
    },
    /// The frame's version is not 1.
    #[error("metadata record frame version {version}, only 1 is supported")]
    Frame {
        /// The frame's version.
        version: u32,
    },
    /// No such record, or not in this version.
    #[error("unsupported metadata record: api key {key} version {version}")]
    Unsupported {
        /// The record's api key.
        key: u32,
        /// The record's version.
        version: u32,
    },
    /// The bytes do not fit the record's schema.
    #[error("metadata record api key {key} version {version}: {source}")]
    Corrupt {
        /// The record's api key.
        key: u32,
        /// The record's version.
        version: u32,
        /// What is wrong.
        source: ReadError,
    },
    /// A field's value has no meaning, or one that we do not support.
    #[error("metadata record api key {key} version {version}: field {field} has an unsupported value")]
    Field {
        /// The record's api key.
        key: u32,
        /// The record's version.
        version: u32,
        /// The field, as Kafka's schema names it.
        field: &'static str,
    },
}

/// Why a record's fields could not be read; the caller adds which record it is.
enum FieldsError {
    Read(ReadError),
    Value(&'static str),
}

impl From<ReadError> for FieldsError {
    fn from(error: ReadError) -> Self {
        FieldsError::Read(error)
    }
}

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
            MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id } => {
                put_header(out, PRODUCER_IDS, 0);
                out.extend_from_slice(&broker_id.0.to_be_bytes());
                out.extend_from_slice(&broker_epoch.to_be_bytes());
                out.extend_from_slice(&next_producer_id.0.to_be_bytes());
                put_uvarint(out, 0);
            }
            MetadataRecord::BrokerRegistrationChange(change) => put_registration_change(out, change),
            MetadataRecord::NoOp => {
                put_header(out, NO_OP, 0);
                put_uvarint(out, 0);
            }
        }
    }

    /// Reads a record's value; `bytes` must hold nothing else.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<MetadataRecord, RecordError> {
        let mut reader = Reader::new(bytes);
        let mut header = || reader.uvarint().map_err(|source| RecordError::Header { source });
        let (frame, key, version) = (header()?, header()?, header()?);
        if frame != FRAME_VERSION {
            return Err(RecordError::Frame { version: frame });
        }
        if newest_version(key).is_none_or(|newest| version > newest) {
            return Err(RecordError::Unsupported { key, version });
        }
        let fields = read_fields(&mut reader, key, version).and_then(|record| {
            reader.finish()?;
            Ok(record)
        });
        fields.map_err(|error| match error {
            FieldsError::Read(source) => RecordError::Corrupt { key, version, source },
            FieldsError::Value(field) => RecordError::Field { key, version, field },
        })
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

fn read_fields(reader: &mut Reader<'_>, key: u32, version: u32) -> Result<MetadataRecord, FieldsError> {
    let record = match key {
        REGISTER_BROKER => return read_register_broker(reader, version),
        PARTITION => return read_partition(reader, version),
        PARTITION_CHANGE => return read_partition_change(reader),
        BROKER_REGISTRATION_CHANGE => return read_registration_change(reader),
        UNREGISTER_BROKER => {
            MetadataRecord::UnregisterBroker { broker_id: NodeId(reader.i32()?), broker_epoch: reader.i64()? }
        }
        TOPIC => MetadataRecord::Topic { name: TopicName(read_string(reader)?), topic_id: reader.uuid()? },
        CONFIG => {
            let resource_type = reader.i8()?;
            let resource_name = read_string(reader)?;
            MetadataRecord::Config {
                resource: ConfigResource::from_wire(resource_type, &resource_name)
                    .ok_or(FieldsError::Value("ResourceType"))?,
                name: read_string(reader)?,
                value: read_nullable_string(reader)?,
            }
        }
        FENCE_BROKER => {
            MetadataRecord::FenceBroker { broker_id: NodeId(reader.i32()?), broker_epoch: reader.i64()? }
        }
        UNFENCE_BROKER => {
            MetadataRecord::UnfenceBroker { broker_id: NodeId(reader.i32()?), broker_epoch: reader.i64()? }
        }
        REMOVE_TOPIC => MetadataRecord::RemoveTopic { topic_id: reader.uuid()? },
        FEATURE_LEVEL => MetadataRecord::FeatureLevel { name: read_string(reader)?, level: reader.i16()? },
        PRODUCER_IDS => MetadataRecord::ProducerIds {
            broker_id: NodeId(reader.i32()?),
            broker_epoch: reader.i64()?,
            next_producer_id: ProducerId(reader.i64()?),
        },
        NO_OP => MetadataRecord::NoOp,
        _ => unreachable!("the key was looked up before"),
    };
    reader.skip_tagged_fields()?;
    Ok(record)
}

fn read_string(reader: &mut Reader<'_>) -> Result<StrBytes, ReadError> {
    reader.compact_string().map(|text| StrBytes::from(text.to_owned()))
}

fn read_nullable_string(reader: &mut Reader<'_>) -> Result<Option<StrBytes>, ReadError> {
    Ok(reader.compact_nullable_string()?.map(|text| StrBytes::from(text.to_owned())))
}

fn read_array<'a, T>(
    reader: &mut Reader<'a>,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<Vec<T>, ReadError> {
    let len = reader.compact_array_len()?;
    (0..len).map(|_| element(reader)).collect()
}

fn read_nodes(reader: &mut Reader<'_>) -> Result<Vec<NodeId>, ReadError> {
    read_array(reader, |reader| reader.i32().map(NodeId))
}

fn read_uuids(reader: &mut Reader<'_>) -> Result<Vec<Uuid>, ReadError> {
    read_array(reader, Reader::uuid)
}

/// Reads one tagged field's value, which must fill its size.
fn whole<'a, T>(
    mut value: Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let read = read(&mut value)?;
    value.finish()?;
    Ok(read)
}

fn read_register_broker(reader: &mut Reader<'_>, version: u32) -> Result<MetadataRecord, FieldsError> {
    let broker_id = NodeId(reader.i32()?);
    if version >= 2 && reader.bool()? {
        return Err(FieldsError::Value("IsMigratingZkBroker"));
    }
    let incarnation_id = reader.uuid()?;
    let broker_epoch = reader.i64()?;
    let end_points = read_array(reader, |reader| {
        let end_point = BrokerEndpoint {
            name: read_string(reader)?,
            host: read_string(reader)?,
            port: reader.u16()?,
            security_protocol: reader.i16()?,
        };
        reader.skip_tagged_fields()?;
        Ok(end_point)
    })?;
    let features = read_array(reader, |reader| {
        let feature = BrokerFeature {
            name: read_string(reader)?,
            min_supported_version: reader.i16()?,
            max_supported_version: reader.i16()?,
        };
        reader.skip_tagged_fields()?;
        Ok(feature)
    })?;
    let rack = read_nullable_string(reader)?;
    let fenced = reader.bool()?;
    let in_controlled_shutdown = version >= 1 && reader.bool()?;
    let mut log_dirs = Vec::new();
    reader.tagged_fields(|tag, value| {
        if tag == 0 {
            log_dirs = whole(value, read_uuids)?;
        }
        Ok(())
    })?;
    Ok(MetadataRecord::RegisterBroker(BrokerRegistration {
        broker_id,
        broker_epoch,
        incarnation_id,
        end_points,
        features,
        rack,
        fenced,
        in_controlled_shutdown,
        log_dirs,
    }))
}

fn read_recovery_state(id: Option<i8>) -> Result<Option<LeaderRecoveryState>, FieldsError> {
    match id {
        // −1 is how Kafka says that the state stays as it is.
        None | Some(-1) => Ok(None),
        Some(id) => {
            LeaderRecoveryState::from_id(id).map(Some).ok_or(FieldsError::Value("LeaderRecoveryState"))
        }
    }
}

fn read_partition(reader: &mut Reader<'_>, version: u32) -> Result<MetadataRecord, FieldsError> {
    let partition = reader.i32()?;
    let topic_id = reader.uuid()?;
    let mut registration = PartitionRegistration {
        replicas: read_nodes(reader)?,
        isr: read_nodes(reader)?,
        removing_replicas: read_nodes(reader)?,
        adding_replicas: read_nodes(reader)?,
        leader: NodeId(reader.i32()?),
        leader_epoch: LeaderEpoch(reader.i32()?),
        partition_epoch: reader.i32()?,
        ..PartitionRegistration::default()
    };
    if version >= 1 {
        registration.directories = read_uuids(reader)?;
    } else {
        registration.directories = vec![Uuid::nil(); registration.replicas.len()];
    }
    let mut state = None;
    let mut has_elr = false;
    reader.tagged_fields(|tag, value| {
        match tag {
            0 => state = Some(whole(value, Reader::i8)?),
            1 | 2 => has_elr |= whole(value, read_nodes)? != [],
            _ => {}
        }
        Ok(())
    })?;
    if has_elr {
        return Err(FieldsError::Value("EligibleLeaderReplicas"));
    }
    registration.leader_recovery_state = read_recovery_state(state)?.unwrap_or_default();
    let id = TopicIdPartition { topic_id, partition };
    Ok(MetadataRecord::Partition { id, registration })
}

fn read_partition_change(reader: &mut Reader<'_>) -> Result<MetadataRecord, FieldsError> {
    let partition = reader.i32()?;
    let topic_id = reader.uuid()?;
    let mut change =
        PartitionChange { id: TopicIdPartition { topic_id, partition }, ..PartitionChange::default() };
    let mut state = None;
    let mut has_elr = false;
    reader.tagged_fields(|tag, value| {
        match tag {
            0 => change.isr = Some(whole(value, read_nodes)?),
            // −2 is how Kafka says that the leader stays as it is.
            1 => change.leader = Some(whole(value, Reader::i32)?).filter(|id| *id != -2).map(NodeId),
            2 => change.replicas = Some(whole(value, read_nodes)?),
            3 => change.removing_replicas = Some(whole(value, read_nodes)?),
            4 => change.adding_replicas = Some(whole(value, read_nodes)?),
            5 => state = Some(whole(value, Reader::i8)?),
            6 | 7 => has_elr |= whole(value, read_nodes)? != [],
            8 => change.directories = Some(whole(value, read_uuids)?),
            _ => {}
        }
        Ok(())
    })?;
    if has_elr {
        return Err(FieldsError::Value("EligibleLeaderReplicas"));
    }
    change.leader_recovery_state = read_recovery_state(state)?;
    Ok(MetadataRecord::PartitionChange(change))
}

fn read_registration_change(reader: &mut Reader<'_>) -> Result<MetadataRecord, FieldsError> {
    let broker_id = NodeId(reader.i32()?);
    let broker_epoch = reader.i64()?;
    let (mut fenced, mut shutdown) = (0, 0);
    let mut log_dirs = None;
    reader.tagged_fields(|tag, value| {
        match tag {
            0 => fenced = whole(value, Reader::i8)?,
            1 => shutdown = whole(value, Reader::i8)?,
            // An empty list is how Kafka says that the directories stay as they are.
            2 => log_dirs = Some(whole(value, read_uuids)?).filter(|dirs| !dirs.is_empty()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
        broker_id,
        broker_epoch,
        fenced: match fenced {
            -1 => Some(false),
            0 => None,
            1 => Some(true),
            _ => return Err(FieldsError::Value("Fenced")),
        },
        in_controlled_shutdown: match shutdown {
            0 => false,
            1 => true,
            _ => return Err(FieldsError::Value("InControlledShutdown")),
        },
        log_dirs,
    }))
}

#[cfg(test)]
mod tests {
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
    fn errors_name_key_and_version() {
        assert_eq!(
            MetadataRecord::decode(&[1, 99, 4, 0]),
            Err(RecordError::Unsupported { key: 99, version: 4 })
        );
        assert_eq!(
            MetadataRecord::decode(&[1, 20, 1, 0]),
            Err(RecordError::Unsupported { key: 20, version: 1 })
        );
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
}
