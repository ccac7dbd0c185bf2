//! Topics and partitions come and go (`ReplicationControlManager` in Kafka's source).

use std::collections::{BTreeMap, BTreeSet};

use trial_node::{LeaderEpoch, NodeId, Rng, TopicIdPartition};
use trial_wire::messages::create_partitions_request::CreatePartitionsTopic;
use trial_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use trial_wire::messages::delete_topics_response::DeletableTopicResult;
use trial_wire::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use super::placement::{PlacementError, place};
use super::{ApiError, ControllerResult, MAX_RECORDS_PER_USER_OP, QuorumController};
use crate::config::{ConfigDef, FIXED_TOPIC_CONFIGS, TOPIC_CONFIGS, describe_topic_with};
use crate::image::Overrides;
use crate::record::{ConfigResource, MetadataRecord, PartitionRegistration, UNASSIGNED_DIRECTORY};

const MAX_NAME_LENGTH: usize = 249;
const METADATA_TOPIC: &str = "__cluster_metadata";

impl QuorumController {
    /// CreateTopics. Topic ids and placement are drawn from `rng`.
    pub fn create_topics(
        &self,
        request: &CreateTopicsRequest,
        rng: &mut Rng,
    ) -> ControllerResult<CreateTopicsResponse> {
        let mut records = Vec::new();
        let mut results = Vec::new();
        let names = Repeated::of(request.topics.iter().map(|topic| &topic.name));
        for (i, topic) in request.topics.iter().enumerate() {
            let created = if names.is_repeated(&topic.name) {
                if request.topics[..i].iter().any(|before| before.name == topic.name) {
                    continue;
                }
                Err(duplicate_topic_name())
            } else {
                self.create_topic(topic, rng, &mut records)
            };
            results.push(created.unwrap_or_else(|error| {
                CreatableTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(error.code())
                    .with_error_message(error.message())
            }));
        }
        if request.validate_only {
            records.clear();
        }
        ControllerResult::atomic(records, CreateTopicsResponse::default().with_topics(results))
    }

    fn create_topic(
        &self,
        topic: &CreatableTopic,
        rng: &mut Rng,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<CreatableTopicResult, ApiError> {
        self.check_new_name(&topic.name)?;
        let overrides = check_creation_configs(topic)?;
        let partitions = if topic.assignments.is_empty() {
            self.place_new_topic(topic, rng)?
        } else {
            self.manual_assignments(topic)?
        };
        if records.len() + 1 + overrides.len() + partitions.len() > MAX_RECORDS_PER_USER_OP {
            return Err(too_many_records());
        }
        let replication_factor = partitions[0].replicas.len();
        let result = CreatableTopicResult::default()
            .with_name(topic.name.clone())
            .with_topic_id(self.draw_topic_id(rng))
            .with_num_partitions(i32::try_from(partitions.len()).expect("at most as many as records"))
            .with_replication_factor(i16::try_from(replication_factor).expect("checked against an i16"))
            .with_configs(Some(self.creation_configs(&overrides)));
        let topic_id = result.topic_id;
        records.push(MetadataRecord::Topic { name: topic.name.clone(), topic_id });
        records.extend(overrides.into_iter().map(|(name, value)| MetadataRecord::Config {
            resource: ConfigResource::Topic(topic.name.clone()),
            name,
            value: Some(value),
        }));
        records.extend(partitions.into_iter().zip(0..).map(|(registration, partition)| {
            MetadataRecord::Partition { id: TopicIdPartition { topic_id, partition }, registration }
        }));
        Ok(result)
    }

    fn check_new_name(&self, name: &TopicName) -> Result<(), ApiError> {
        if name.as_str() == METADATA_TOPIC {
            let what = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
            return Err(ApiError::new(ErrorCode::InvalidRequest, what));
        }
        if self.image.topic_ids().contains_key(name) {
            let what = format!("Topic '{}' already exists.", name.as_str());
            return Err(ApiError::new(ErrorCode::TopicAlreadyExists, what));
        }
        let invalid = |what: String| Err(ApiError::new(ErrorCode::InvalidTopicException, what));
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match name.as_str() {
            "" => return invalid("Topic name is illegal, it can't be empty".to_owned()),
            "." | ".." => return invalid("Topic name cannot be \".\" or \"..\"".to_owned()),
            name if name.len() > MAX_NAME_LENGTH => {
                return invalid(format!(
                    "Topic name is {} bytes long, at most {MAX_NAME_LENGTH} are possible",
                    name.len()
                ));
            }
            name if !name.chars().all(legal) => {
                return invalid(format!(
                    "Topic name {name:?} has a character other than ASCII letters and digits, '.', '_' and '-'"
                ));
            }
            name if name.contains(['.', '_']) => {
                // Names of metrics cannot tell '.' and '_' apart.
                let unified = |name: &str| name.replace('.', "_");
                let wanted = unified(name);
                let mut others = self.image.topic_ids().keys().map(|other| other.as_str());
                if let Some(other) = others.find(|other| unified(other) == wanted) {
                    return invalid(format!("Topic '{name}' collides with existing topic: {other}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn place_new_topic(
        &self,
        topic: &CreatableTopic,
        rng: &mut Rng,
    ) -> Result<Vec<PartitionRegistration>, ApiError> {
        let replication_factor = match topic.replication_factor {
            -1 => self.broker_config.default_replication_factor,
            n => n.into(),
        };
        let count = match topic.num_partitions {
            -1 => self.broker_config.num_partitions,
            n => n,
        };
        let replication_factor =
            usize::try_from(replication_factor).ok().filter(|n| *n > 0).ok_or_else(|| {
                let what = "Replication factor must be larger than 0, or -1 to use the default value.";
                ApiError::new(ErrorCode::InvalidReplicationFactor, what.to_owned())
            })?;
        let count = usize::try_from(count).ok().filter(|n| *n > 0).ok_or_else(|| {
            let what = "Number of partitions was set to an invalid non-positive value.";
            ApiError::new(ErrorCode::InvalidPartitions, what.to_owned())
        })?;
        if count >= MAX_RECORDS_PER_USER_OP {
            return Err(too_many_records());
        }
        self.place_partitions(count, replication_factor, rng)
    }

    fn place_partitions(
        &self,
        count: usize,
        replication_factor: usize,
        rng: &mut Rng,
    ) -> Result<Vec<PartitionRegistration>, ApiError> {
        let unable = |error: PlacementError| {
            let what = format!("Unable to replicate the partition {replication_factor} time(s): {error}");
            ApiError::new(ErrorCode::InvalidReplicationFactor, what)
        };
        let placed = place(self.image.brokers().values(), count, replication_factor, rng).map_err(unable)?;
        let new = |replicas| self.new_partition(replicas).ok_or_else(|| unable(PlacementError::AllFenced));
        placed.into_iter().map(new).collect()
    }

    /// A partition with these replicas, of which those that are active are in sync; `None` if none is.
    fn new_partition(&self, replicas: Vec<NodeId>) -> Option<PartitionRegistration> {
        let isr: Vec<NodeId> = replicas.iter().copied().filter(|id| self.is_active(*id)).collect();
        let leader = *isr.first()?;
        Some(PartitionRegistration {
            directories: replicas.iter().map(|id| self.directory_of(*id)).collect(),
            replicas,
            isr,
            leader,
            leader_epoch: LeaderEpoch(0),
            ..PartitionRegistration::default()
        })
    }

    /// Where a new replica on this broker goes: with but one log directory there is nothing for the broker to assign
    /// (KIP-858).
    pub(super) fn directory_of(&self, broker: NodeId) -> Uuid {
        match self.image.broker(broker).map(|broker| broker.log_dirs.as_slice()) {
            Some([only]) => *only,
            _ => UNASSIGNED_DIRECTORY,
        }
    }

    fn manual_assignments(&self, topic: &CreatableTopic) -> Result<Vec<PartitionRegistration>, ApiError> {
        for (value, name) in [
            (i32::from(topic.replication_factor), "replication factor"),
            (topic.num_partitions, "numPartitions"),
        ] {
            if value != -1 {
                let what =
                    format!("A manual partition assignment was specified, but {name} was not set to -1.");
                return Err(ApiError::new(ErrorCode::InvalidRequest, what));
            }
        }
        let mut partitions = BTreeMap::new();
        let mut replication_factor = None;
        for assignment in &topic.assignments {
            let index = assignment.partition_index;
            let registration = self.manual_partition(index, &assignment.broker_ids, replication_factor)?;
            replication_factor = Some(registration.replicas.len());
            if partitions.insert(index, registration).is_some() {
                return Err(invalid_assignment(format!(
                    "Found multiple manual partition assignments for partition {index}"
                )));
            }
        }
        if !partitions.keys().copied().eq((0..).take(partitions.len())) {
            let what = "partitions should be a consecutive 0-based integer sequence";
            return Err(invalid_assignment(what.to_owned()));
        }
        Ok(partitions.into_values().collect())
    }

    fn manual_partition(
        &self,
        partition: i32,
        replicas: &[BrokerId],
        replication_factor: Option<usize>,
    ) -> Result<PartitionRegistration, ApiError> {
        let replicas = self.check_assignment(replicas, replication_factor)?;
        self.new_partition(replicas).ok_or_else(|| {
            invalid_assignment(format!(
                "All brokers specified in the manual partition assignment for partition {partition} are fenced or in \
                 controlled shutdown."
            ))
        })
    }

    /// The replicas that somebody chose by hand: registered brokers, each once, as many as `replication_factor` says.
    pub(super) fn check_assignment(
        &self,
        replicas: &[BrokerId],
        replication_factor: Option<usize>,
    ) -> Result<Vec<NodeId>, ApiError> {
        let replicas: Vec<NodeId> = replicas.iter().map(|id| NodeId(id.0)).collect();
        if replicas.is_empty() || replicas.len() > i16::MAX as usize {
            let what = format!("The manual partition assignment lists {} replicas.", replicas.len());
            return Err(invalid_assignment(what));
        }
        for (i, id) in replicas.iter().enumerate() {
            if self.image.broker(*id).is_none() {
                return Err(invalid_assignment(format!(
                    "The manual partition assignment includes broker {id}, but no such broker is registered."
                )));
            }
            if replicas[..i].contains(id) {
                return Err(invalid_assignment(format!(
                    "The manual partition assignment includes the broker {id} more than once."
                )));
            }
        }
        if let Some(expected) = replication_factor.filter(|expected| *expected != replicas.len()) {
            return Err(invalid_assignment(format!(
                "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
                 with previous partitions, which have {expected} replica(s).",
                replicas.len()
            )));
        }
        Ok(replicas)
    }

    /// A random (version 4) id that no topic has. The version's bits keep it out of the range of reserved ids.
    fn draw_topic_id(&self, rng: &mut Rng) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            rng.fill(&mut bytes);
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = Uuid::from_bytes(bytes);
            if self.image.topic(id).is_none() {
                return id;
            }
        }
    }

    fn creation_configs(&self, overrides: &Overrides) -> Vec<CreatableTopicConfigs> {
        let config = &self.config;
        let entries =
            describe_topic_with(&config.static_config, &self.image, config.node_id, Some(overrides));
        let shown = entries.into_iter().map(|entry| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from(entry.def.name))
                .with_value(Some(StrBytes::from(entry.value)))
                .with_config_source(entry.source as i8)
        });
        shown.collect()
    }

    /// DeleteTopics, by name or by id.
    pub fn delete_topics(&self, request: &DeleteTopicsRequest) -> ControllerResult<DeleteTopicsResponse> {
        let by_list = request.topic_names.iter().map(|name| (Some(name), Uuid::nil()));
        let wanted: Vec<_> =
            by_list.chain(request.topics.iter().map(|topic| (topic.name.as_ref(), topic.topic_id))).collect();
        let found: Vec<_> = wanted.iter().map(|(name, id)| self.find_deletable(*name, *id)).collect();
        let mut seen = BTreeSet::new();
        let known = found.iter().filter_map(|found| found.as_ref().ok());
        let repeated: BTreeSet<Uuid> = known.map(|(_, id)| *id).filter(|id| !seen.insert(*id)).collect();
        let mut answered = BTreeSet::new();
        let mut records = Vec::new();
        let mut responses = Vec::new();
        for ((name, id), found) in wanted.into_iter().zip(found) {
            // One that is named more than once, by name or by id, stays, and is answered once.
            let topic_id = found.as_ref().map_or(id, |(_, id)| *id);
            if repeated.contains(&topic_id) && !answered.insert(topic_id) {
                continue;
            }
            let deleted = found.and_then(|(name, id)| {
                if repeated.contains(&id) {
                    let what = "The topic was named more than once.".to_owned();
                    return Err(ApiError::new(ErrorCode::InvalidRequest, what));
                }
                if records.len() == MAX_RECORDS_PER_USER_OP {
                    return Err(too_many_records());
                }
                records.push(MetadataRecord::RemoveTopic { topic_id: id });
                Ok((name, id))
            });
            responses.push(match deleted {
                Ok((name, id)) => {
                    DeletableTopicResult::default().with_name(Some(name.clone())).with_topic_id(id)
                }
                Err(error) => DeletableTopicResult::default()
                    .with_name(name.cloned())
                    .with_topic_id(id)
                    .with_error_code(error.code())
                    .with_error_message(error.message()),
            });
        }
        ControllerResult::atomic(records, DeleteTopicsResponse::default().with_responses(responses))
    }

    fn find_deletable<'a>(
        &'a self,
        name: Option<&'a TopicName>,
        id: Uuid,
    ) -> Result<(&'a TopicName, Uuid), ApiError> {
        if !self.broker_config.delete_topic_enable {
            return Err(ErrorCode::TopicDeletionDisabled.into());
        }
        match name {
            Some(_) if !id.is_nil() => {
                let what = "You may not specify both topic name and topic id.";
                Err(ApiError::new(ErrorCode::InvalidRequest, what.to_owned()))
            }
            None if id.is_nil() => {
                let what = "Neither topic name nor id were specified.";
                Err(ApiError::new(ErrorCode::InvalidRequest, what.to_owned()))
            }
            Some(name) => {
                let id = self.image.topic_ids().get(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
                Ok((name, *id))
            }
            None => {
                let topic = self.image.topic(id).ok_or(ErrorCode::UnknownTopicId)?;
                Ok((&topic.name, id))
            }
        }
    }

    /// CreatePartitions. Placement is drawn from `rng`.
    pub fn create_partitions(
        &self,
        request: &CreatePartitionsRequest,
        rng: &mut Rng,
    ) -> ControllerResult<CreatePartitionsResponse> {
        let mut records = Vec::new();
        let mut results = Vec::new();
        let names = Repeated::of(request.topics.iter().map(|topic| &topic.name));
        for (i, topic) in request.topics.iter().enumerate() {
            let added = if names.is_repeated(&topic.name) {
                if request.topics[..i].iter().any(|before| before.name == topic.name) {
                    continue;
                }
                Err(duplicate_topic_name())
            } else {
                self.add_partitions(topic, rng, &mut records)
            };
            let result = CreatePartitionsTopicResult::default().with_name(topic.name.clone());
            results.push(match added {
                Ok(()) => result,
                Err(error) => result.with_error_code(error.code()).with_error_message(error.message()),
            });
        }
        if request.validate_only {
            records.clear();
        }
        ControllerResult::atomic(records, CreatePartitionsResponse::default().with_results(results))
    }

    fn add_partitions(
        &self,
        request: &CreatePartitionsTopic,
        rng: &mut Rng,
        records: &mut Vec<MetadataRecord>,
    ) -> Result<(), ApiError> {
        let topic = self.image.topic_named(&request.name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let current = i32::try_from(topic.partitions.len()).expect("partitions are numbered by an i32");
        if request.count <= current {
            let what = format!(
                "The topic {} currently has {current} partition(s); {} would not be an increase.",
                request.name.as_str(),
                request.count
            );
            return Err(ApiError::new(ErrorCode::InvalidPartitions, what));
        }
        let additional = usize::try_from(request.count - current).expect("it is an increase");
        if records.len() + additional > MAX_RECORDS_PER_USER_OP {
            return Err(too_many_records());
        }
        let replication_factor =
            topic.partitions.values().next().expect("a topic has a partition").replicas.len();
        let registrations = match &request.assignments {
            None => self.place_partitions(additional, replication_factor, rng)?,
            Some(assignments) if assignments.len() != additional => {
                return Err(invalid_assignment(format!(
                    "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                    assignments.len()
                )));
            }
            Some(assignments) => {
                let manual = assignments.iter().zip(current..).map(|(assignment, partition)| {
                    self.manual_partition(partition, &assignment.broker_ids, Some(replication_factor))
                });
                manual.collect::<Result<_, _>>()?
            }
        };
        records.extend(registrations.into_iter().zip(current..).map(|(registration, partition)| {
            MetadataRecord::Partition { id: TopicIdPartition { topic_id: topic.id, partition }, registration }
        }));
        Ok(())
    }
}

/// The names that a request has more than once.
struct Repeated<'a>(BTreeSet<&'a TopicName>);

impl<'a> Repeated<'a> {
    fn of(names: impl Iterator<Item = &'a TopicName>) -> Repeated<'a> {
        let mut seen = BTreeSet::new();
        Repeated(names.filter(|name| !seen.insert(*name)).collect())
    }

    fn is_repeated(&self, name: &TopicName) -> bool {
        self.0.contains(name)
    }
}

fn check_creation_configs(topic: &CreatableTopic) -> Result<Overrides, ApiError> {
    let invalid = |what: String| ApiError::new(ErrorCode::InvalidConfig, what);
    let mut overrides = Overrides::new();
    for config in &topic.configs {
        let value = config
            .value
            .as_ref()
            .ok_or_else(|| invalid(format!("Null value not supported for topic configs: {}", config.name)))?;
        ConfigDef::find(FIXED_TOPIC_CONFIGS, &config.name)
            .or_else(|_| ConfigDef::find(TOPIC_CONFIGS, &config.name))
            .and_then(|def| def.validate(value))
            .map_err(|error| invalid(error.to_string()))?;
        overrides.insert(config.name.clone(), value.clone());
    }
    Ok(overrides)
}

fn duplicate_topic_name() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())
}

pub(super) fn invalid_assignment(what: String) -> ApiError {
    ApiError::new(ErrorCode::InvalidReplicaAssignment, what)
}

fn too_many_records() -> ApiError {
    let what = format!("More than {MAX_RECORDS_PER_USER_OP} records in one operation; split it.");
    ApiError::new(ErrorCode::PolicyViolation, what)
}
