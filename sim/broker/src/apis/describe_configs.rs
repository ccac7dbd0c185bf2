//! DescribeConfigs (KIP-133): a topic's or a broker's configs, each with where its value comes from.

use std::collections::BTreeMap;
use trial_metadata::ConfigResource;

use trial_metadata::config::{
    ConfigKind, ConfigLink, ConfigSource, describe_client_metrics, describe_group, describe_topic,
};
use trial_node::Io;
use trial_wire::messages::describe_configs_request::DescribeConfigsResource;
use trial_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use trial_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;
use crate::connections::{BROKER_PORT, CONTROLLER_PORT};
use crate::published::LISTENER;

/// `ConfigResource.Type` of a broker's loggers on the wire. A node has none.
pub(super) const BROKER_LOGGER: i8 = 8;

pub(super) fn serve(broker: &mut Broker, io: &mut Io<'_>, caller: Caller, request: &DescribeConfigsRequest) {
    let results = request.resources.iter().map(|resource| {
        let result = match describe(broker, resource) {
            Ok(entries) => {
                let wanted = entries.iter().filter(|entry| wants(resource, entry.def.name));
                let configs = wanted.map(|entry| shown(entry, request));
                DescribeConfigsResult::default().with_configs(configs.collect())
            }
            Err((error, message)) => DescribeConfigsResult::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from(message))),
        };
        result.with_resource_type(resource.resource_type).with_resource_name(resource.resource_name.clone())
    });
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    broker.connections.respond(io, caller.token, ResponseKind::DescribeConfigs(response));
}

type Entry = trial_metadata::config::ConfigEntry;

fn describe(broker: &Broker, resource: &DescribeConfigsResource) -> Result<Vec<Entry>, (ErrorCode, String)> {
    let image = &broker.published.image;
    let of_broker =
        |node| trial_metadata::BrokerConfig::describe(&broker.static_config, image, node, &identity(broker));
    match ConfigResource::from_wire(resource.resource_type, &resource.resource_name) {
        Some(ConfigResource::Topic(name)) => match image.topic_named(&name) {
            Some(_) => Ok(describe_topic(&broker.static_config, image, broker.config.node_id, &name)),
            None => Err((ErrorCode::UnknownTopicOrPartition, format!("there is no topic {}", name.as_str()))),
        },
        Some(ConfigResource::Group(name)) => {
            Ok(describe_group(&broker.static_config, image, broker.config.node_id, &name))
        }
        Some(ConfigResource::ClientMetrics(name)) => {
            Ok(describe_client_metrics(&broker.static_config, image, broker.config.node_id, &name))
        }
        Some(ConfigResource::Broker(node)) if node == broker.config.node_id => Ok(of_broker(node)),
        Some(ConfigResource::Broker(node)) => Err((
            ErrorCode::InvalidRequest,
            format!("broker {} describes only itself, not broker {node}", broker.config.node_id),
        )),
        Some(ConfigResource::BrokerDefault) => {
            let mut entries = of_broker(broker.config.node_id);
            entries.retain_mut(|entry| {
                entry.synonyms.retain(|(_, _, source)| *source == ConfigSource::BrokerDefault);
                let Some((_, value, source)) = entry.synonyms.first() else { return false };
                (entry.value, entry.source) = (value.clone(), *source);
                true
            });
            Ok(entries)
        }
        None if resource.resource_type == BROKER_LOGGER
            && resource.resource_name.as_str() == broker.config.node_id.to_string() =>
        {
            Ok(Vec::new())
        }
        None => Err((
            ErrorCode::InvalidRequest,
            format!(
                "no resource of type {} is called {:?}",
                resource.resource_type,
                resource.resource_name.as_str()
            ),
        )),
    }
}

/// What a broker's configs say about the node itself. Addresses are those that the cluster knows: where a client outside reaches
/// a broker is not the broker's to know.
fn identity(broker: &Broker) -> BTreeMap<&'static str, String> {
    let config = &broker.config;
    let node = config.node_id.to_string();
    let mut identity = BTreeMap::from([("node.id", node.clone()), ("broker.id", node)]);
    if let Some(host) = config.voters.get(&config.node_id) {
        let listener = format!("{LISTENER}://{}:{BROKER_PORT}", host.as_str());
        identity.insert("advertised.listeners", listener.clone());
        identity.insert("listeners", listener);
    }
    let voters =
        config.voters.iter().map(|(node, host)| format!("{node}@{}:{CONTROLLER_PORT}", host.as_str()));
    identity.insert("controller.quorum.voters", voters.collect::<Vec<_>>().join(","));
    if let Some(rack) = &config.rack {
        identity.insert("broker.rack", rack.to_string());
    }
    identity
}

/// No keys, or an empty list of them, ask for everything.
fn wants(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_deref().unwrap_or_default();
    keys.is_empty() || keys.iter().any(|key| key.as_str() == name)
}

fn shown(entry: &Entry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let mut shown = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(entry.def.name))
        .with_value(Some(StrBytes::from(entry.value.clone())))
        .with_read_only(matches!(entry.def.link, ConfigLink::ReadOnly | ConfigLink::Fixed))
        .with_config_source(entry.source as i8)
        .with_config_type(config_type(entry.def.kind));
    if request.include_synonyms {
        let synonyms = entry.synonyms.iter().map(|(name, value, source)| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from(value.clone())))
                .with_source(*source as i8)
        });
        shown = shown.with_synonyms(synonyms.collect());
    }
    if request.include_documentation {
        shown = shown.with_documentation(Some(StrBytes::from_static_str(entry.def.doc.trim_start())));
    }
    shown
}

/// `DescribeConfigsResponse.ConfigType`.
fn config_type(kind: ConfigKind) -> i8 {
    match kind {
        ConfigKind::Bool => 1,
        ConfigKind::OneOf(_) | ConfigKind::Users | ConfigKind::Text => 2,
        ConfigKind::Int(..) => 3,
        ConfigKind::Long(..) => 5,
        ConfigKind::Ratio | ConfigKind::Double => 6,
        ConfigKind::ListOf(_)
        | ConfigKind::SubsetOf(_)
        | ConfigKind::Replicas
        | ConfigKind::LogDirs
        | ConfigKind::Words
        | ConfigKind::Selectors(_) => 7,
    }
}
