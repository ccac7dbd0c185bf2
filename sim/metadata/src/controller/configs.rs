//! Dynamic configs (`ConfigurationControlManager` in Kafka's source).

use std::collections::BTreeSet;

use trial_wire::messages::alter_configs_request::AlterConfigsResource as ReplacedResource;
use trial_wire::messages::alter_configs_response::AlterConfigsResourceResponse as ReplacedResourceResponse;
use trial_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use trial_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use trial_wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use trial_wire::{ErrorCode, StrBytes};

use super::{ApiError, ControllerResult, QuorumController};
use crate::config::{
    BROKER_CONFIGS, CLIENT_METRICS_CONFIGS, ConfigDef, ConfigError, ConfigKind, ConfigLink,
    FIXED_BROKER_CONFIGS, FIXED_TOPIC_CONFIGS, GROUP_CONFIGS, KEPT_BROKER_CONFIGS, TOPIC_CONFIGS,
};
use crate::image::Overrides;
use crate::record::{ConfigResource, MetadataRecord};

/// `AlterConfigOp.OpType` on the wire.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What became of a change to a resource, as both APIs answer it.
struct Outcome {
    /// Its type and name.
    resource: (i8, StrBytes),
    error_code: i16,
    error_message: Option<StrBytes>,
}

impl QuorumController {
    /// IncrementalAlterConfigs. A resource changes wholly or not at all.
    pub fn incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> ControllerResult<IncrementalAlterConfigsResponse> {
        let named = |change: &AlterConfigsResource| (change.resource_type, change.resource_name.clone());
        let (records, outcomes) =
            self.alter_each(request.validate_only, &request.resources, named, |c| self.alter_resource(c));
        let responses =
            outcomes.into_iter().map(|Outcome { resource: (kind, name), error_code, error_message }| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_error_code(error_code)
                    .with_error_message(error_message)
            });
        let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
        ControllerResult::atomic(records, response)
    }

    /// AlterConfigs, which clients from before IncrementalAlterConfigs (KIP-339) use: a resource has the configs that are given
    /// and no others afterwards.
    pub fn alter_configs(&self, request: &AlterConfigsRequest) -> ControllerResult<AlterConfigsResponse> {
        let named = |change: &ReplacedResource| (change.resource_type, change.resource_name.clone());
        let (records, outcomes) =
            self.alter_each(request.validate_only, &request.resources, named, |c| self.replace_configs(c));
        let responses =
            outcomes.into_iter().map(|Outcome { resource: (kind, name), error_code, error_message }| {
                ReplacedResourceResponse::default()
                    .with_resource_type(kind)
                    .with_resource_name(name)
                    .with_error_code(error_code)
                    .with_error_message(error_message)
            });
        let response = AlterConfigsResponse::default().with_responses(responses.collect());
        ControllerResult::atomic(records, response)
    }

    /// Alters one resource after the other, each wholly or not at all, and none twice. Returns the records and what became of each.
    fn alter_each<C>(
        &self,
        validate_only: bool,
        changes: &[C],
        resource: impl Fn(&C) -> (i8, StrBytes),
        alter: impl Fn(&C) -> Result<Vec<MetadataRecord>, ApiError>,
    ) -> (Vec<MetadataRecord>, Vec<Outcome>) {
        let mut records = Vec::new();
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut seen = BTreeSet::new();
        for change in changes {
            let resource = resource(change);
            let altered = if seen.insert(resource.clone()) {
                alter(change)
            } else {
                let what = "Each resource must appear at most once.".to_owned();
                Err(ApiError::new(ErrorCode::InvalidRequest, what))
            };
            let (error_code, error_message) = match altered {
                Ok(changed) => {
                    records.extend(changed);
                    (0, None)
                }
                Err(error) => (error.code(), error.message()),
            };
            outcomes.push(Outcome { resource, error_code, error_message });
        }
        self.clear_eligible(&mut records);
        if validate_only {
            records.clear();
        }
        (records, outcomes)
    }

    fn replace_configs(&self, change: &ReplacedResource) -> Result<Vec<MetadataRecord>, ApiError> {
        let resource = self.existing(change.resource_type, &change.resource_name)?;
        let mut values = Overrides::new();
        for config in &change.configs {
            let value = config.value.as_ref().ok_or_else(|| null_value(&config.name))?;
            let def = definition(&resource, &config.name)?;
            def.validate(value).map_err(|error| invalid(&resource, &error))?;
            if values.insert(config.name.clone(), value.clone()).is_some() {
                let what = format!("Config {} appears more than once.", config.name);
                return Err(ApiError::new(ErrorCode::InvalidRequest, what));
            }
        }
        let none = Overrides::new();
        let current = self.image.config(&resource).unwrap_or(&none);
        let gone = current.keys().filter(|name| !values.contains_key(*name)).map(|name| (name, None));
        let set = values.iter().filter(|(name, value)| current.get(*name) != Some(*value));
        let changed: Vec<_> = gone.chain(set.map(|(name, value)| (name, Some(value.clone())))).collect();
        for (name, value) in &changed {
            self.check_min_isr(&resource, name, value.as_ref())?;
            self.check_group_limits(&resource, name, value.as_ref())?;
        }
        let record = |(name, value): (&StrBytes, _)| MetadataRecord::Config {
            resource: resource.clone(),
            name: name.clone(),
            value,
        };
        Ok(changed.into_iter().map(record).collect())
    }

    /// The resource of this type and name.
    fn existing(&self, resource_type: i8, name: &StrBytes) -> Result<ConfigResource, ApiError> {
        let resource = ConfigResource::from_wire(resource_type, name).ok_or_else(|| {
            let what = format!("There is no config resource of type {resource_type} with the name {name:?}.");
            ApiError::new(ErrorCode::InvalidRequest, what)
        })?;
        self.check_exists(&resource)?;
        Ok(resource)
    }

    fn alter_resource(&self, change: &AlterConfigsResource) -> Result<Vec<MetadataRecord>, ApiError> {
        let resource = self.existing(change.resource_type, &change.resource_name)?;
        let mut records = Vec::new();
        let mut seen = BTreeSet::new();
        for config in &change.configs {
            if !seen.insert(&config.name) {
                let what = format!("Config {} appears more than once.", config.name);
                return Err(ApiError::new(ErrorCode::InvalidRequest, what));
            }
            let current = self.image.config(&resource).and_then(|overrides| overrides.get(&config.name));
            let value = new_value(&resource, config, current)?;
            self.check_min_isr(&resource, &config.name, value.as_ref())?;
            self.check_group_limits(&resource, &config.name, value.as_ref())?;
            // A broker is also told of values that stay: it may reload what they point at (KAFKA-14136).
            if value.as_ref() != current
                || matches!(resource, ConfigResource::Broker(_) | ConfigResource::BrokerDefault)
            {
                records.push(MetadataRecord::Config {
                    resource: resource.clone(),
                    name: config.name.clone(),
                    value,
                });
            }
        }
        Ok(records)
    }

    /// A group's configs stay within the limits that the brokers' set (`GroupConfig.validate`).
    fn check_group_limits(
        &self,
        resource: &ConfigResource,
        name: &StrBytes,
        value: Option<&StrBytes>,
    ) -> Result<(), ApiError> {
        let (ConfigResource::Group(_), Some(value)) = (resource, value) else { return Ok(()) };
        let limits = &self.broker_config;
        let (min, max, limited) = match name.as_str() {
            "consumer.heartbeat.interval.ms" => (
                limits.group_consumer_min_heartbeat_interval,
                limits.group_consumer_max_heartbeat_interval,
                "heartbeat.interval.ms",
            ),
            _ => (
                limits.group_consumer_min_session_timeout,
                limits.group_consumer_max_session_timeout,
                "session.timeout.ms",
            ),
        };
        let ms: u64 = value.trim().parse().expect("the value was validated");
        if (min.as_millis()..=max.as_millis()).contains(&ms) {
            return Ok(());
        }
        let what = format!(
            "{name} must be from group.consumer.min.{limited} to group.consumer.max.{limited}: {} to {}.",
            min.as_millis(),
            max.as_millis()
        );
        Err(ApiError::new(ErrorCode::InvalidConfig, what))
    }

    fn check_exists(&self, resource: &ConfigResource) -> Result<(), ApiError> {
        match resource {
            ConfigResource::Topic(name) if !self.image.topic_ids().contains_key(name) => {
                let what = format!("The topic '{}' does not exist.", name.as_str());
                Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, what))
            }
            ConfigResource::Broker(id) if self.image.broker(*id).is_none() => {
                let what = format!("No broker with id {id} is registered.");
                Err(ApiError::new(ErrorCode::BrokerIdNotRegistered, what))
            }
            _ => Ok(()),
        }
    }
}

/// The value that the operation gives the config; `None` takes it away.
fn new_value(
    resource: &ConfigResource,
    config: &AlterableConfig,
    current: Option<&StrBytes>,
) -> Result<Option<StrBytes>, ApiError> {
    // What may not be taken away may still be there from another version's table.
    if config.config_operation == DELETE {
        return Ok(None);
    }
    let def = definition(resource, &config.name)?;
    let operand = config.value.as_ref().ok_or_else(|| null_value(&config.name))?;
    let value = match config.config_operation {
        SET => operand.clone(),
        APPEND | SUBTRACT => {
            let list = matches!(
                def.kind,
                ConfigKind::ListOf(_) | ConfigKind::Replicas | ConfigKind::Words | ConfigKind::Selectors(_)
            );
            if !list {
                let what = format!("Config {} is not a list, which alone can be added to.", config.name);
                return Err(ApiError::new(ErrorCode::InvalidConfig, what));
            }
            let append = config.config_operation == APPEND;
            StrBytes::from(edited_list(current.map_or(def.default, |value| value.as_str()), operand, append))
        }
        other => {
            let what = format!("Unknown operation type {other} for config {}.", config.name);
            return Err(ApiError::new(ErrorCode::InvalidRequest, what));
        }
    };
    def.validate(&value).map_err(|error| invalid(resource, &error))?;
    Ok(Some(value))
}

fn invalid(resource: &ConfigResource, error: &ConfigError) -> ApiError {
    let code = match resource {
        ConfigResource::Topic(_) | ConfigResource::Group(_) => ErrorCode::InvalidConfig,
        // As Kafka's brokers answer (KAFKA-13609).
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault | ConfigResource::ClientMetrics(_) => {
            ErrorCode::InvalidRequest
        }
    };
    ApiError::new(code, error.to_string())
}

fn null_value(name: &StrBytes) -> ApiError {
    ApiError::new(ErrorCode::InvalidConfig, format!("Null value not supported for config {name}."))
}

/// The config of this name, if a resource of this kind has it and it may be set at all.
fn definition(resource: &ConfigResource, name: &str) -> Result<&'static ConfigDef, ApiError> {
    let (table, others): (_, &[&'static [ConfigDef]]) = match resource {
        ConfigResource::Topic(_) => (TOPIC_CONFIGS, &[FIXED_TOPIC_CONFIGS]),
        ConfigResource::Group(_) => (GROUP_CONFIGS, &[]),
        ConfigResource::ClientMetrics(_) => (CLIENT_METRICS_CONFIGS, &[]),
        ConfigResource::Broker(_) | ConfigResource::BrokerDefault => {
            (BROKER_CONFIGS, &[KEPT_BROKER_CONFIGS, FIXED_BROKER_CONFIGS])
        }
    };
    let other = others.iter().find_map(|table| ConfigDef::find(table, name).ok());
    let def =
        other.map_or_else(|| ConfigDef::find(table, name), Ok).map_err(|error| invalid(resource, &error))?;
    if def.link == ConfigLink::ReadOnly {
        return Err(invalid(resource, &ConfigError::ReadOnly { name: def.name }));
    }
    Ok(def)
}

/// A list with the operand's items added, or taken out.
fn edited_list(list: &str, operand: &str, append: bool) -> String {
    let mut items: Vec<&str> = list.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
    for item in operand.split(',').map(str::trim) {
        if !append {
            items.retain(|other| *other != item);
        } else if !items.contains(&item) {
            items.push(item);
        }
    }
    items.join(",")
}
