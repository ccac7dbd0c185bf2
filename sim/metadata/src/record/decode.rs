//! Reading of metadata records, in every version up to the one that we write.

use trial_node::{LeaderEpoch, NodeId, ProducerId, TopicIdPartition};
use trial_wire::primitive::{ReadError, Reader};
use trial_wire::{StrBytes, TopicName, Uuid};

use super::key::*;
use super::{
    BrokerEndpoint, BrokerFeature, BrokerRegistration, BrokerRegistrationChange, ConfigResource,
    LeaderRecoveryState, MetadataRecord, PartitionChange, PartitionRegistration, QuotaEntity, QuotaName,
    QuotaValue, security,
};

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
pub(super) enum FieldsError {
    Read(ReadError),
    Value(&'static str),
}

impl From<ReadError> for FieldsError {
    fn from(error: ReadError) -> Self {
        FieldsError::Read(error)
    }
}

impl MetadataRecord {
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
        CLIENT_QUOTA => return read_client_quota(reader),
        PRODUCER_IDS => MetadataRecord::ProducerIds {
            broker_id: NodeId(reader.i32()?),
            broker_epoch: reader.i64()?,
            next_producer_id: ProducerId(reader.i64()?),
        },
        USER_SCRAM_CREDENTIAL => security::read_scram_credential(reader)?,
        REMOVE_USER_SCRAM_CREDENTIAL => MetadataRecord::RemoveUserScramCredential {
            name: read_string(reader)?,
            mechanism: security::read_mechanism(reader)?,
        },
        ACCESS_CONTROL_ENTRY => security::read_acl(reader)?,
        REMOVE_ACCESS_CONTROL_ENTRY => MetadataRecord::RemoveAccessControlEntry { id: reader.uuid()? },
        NO_OP => MetadataRecord::NoOp,
        CLEAR_ELR => {
            let topic = read_string(reader)?;
            MetadataRecord::ClearElr { topic: (!topic.is_empty()).then_some(TopicName(topic)) }
        }
        _ => unreachable!("the key was looked up before"),
    };
    reader.skip_tagged_fields()?;
    Ok(record)
}

pub(super) fn read_string(reader: &mut Reader<'_>) -> Result<StrBytes, ReadError> {
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
    reader.tagged_fields(|tag, value| {
        match tag {
            0 => state = Some(whole(value, Reader::i8)?),
            1 => registration.elr = whole(value, read_nodes)?,
            2 => registration.last_known_elr = whole(value, read_nodes)?,
            _ => {}
        }
        Ok(())
    })?;
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
    reader.tagged_fields(|tag, value| {
        match tag {
            0 => change.isr = Some(whole(value, read_nodes)?),
            // −2 is how Kafka says that the leader stays as it is.
            1 => change.leader = Some(whole(value, Reader::i32)?).filter(|id| *id != -2).map(NodeId),
            2 => change.replicas = Some(whole(value, read_nodes)?),
            3 => change.removing_replicas = Some(whole(value, read_nodes)?),
            4 => change.adding_replicas = Some(whole(value, read_nodes)?),
            5 => state = Some(whole(value, Reader::i8)?),
            6 => change.elr = Some(whole(value, read_nodes)?),
            7 => change.last_known_elr = Some(whole(value, read_nodes)?),
            8 => change.directories = Some(whole(value, read_uuids)?),
            _ => {}
        }
        Ok(())
    })?;
    change.leader_recovery_state = read_recovery_state(state)?;
    Ok(MetadataRecord::PartitionChange(change))
}

fn read_client_quota(reader: &mut Reader<'_>) -> Result<MetadataRecord, FieldsError> {
    let mut entity = QuotaEntity::default();
    for _ in 0..reader.compact_array_len()? {
        let entity_type = reader.compact_string()?;
        let part = entity.part_mut(entity_type).ok_or(FieldsError::Value("EntityType"))?;
        *part = Some(QuotaName::from_wire(read_nullable_string(reader)?));
        reader.skip_tagged_fields()?;
    }
    let key = read_string(reader)?;
    let number = f64::from_bits(u64::from_be_bytes(reader.i64()?.to_be_bytes()));
    let value = (!reader.bool()?).then(|| QuotaValue::from_wire(number));
    reader.skip_tagged_fields()?;
    Ok(MetadataRecord::ClientQuota { entity, key, value })
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
