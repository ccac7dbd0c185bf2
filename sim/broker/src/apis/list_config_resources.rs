//! ListConfigResources (KIP-1142): what there is that has configs; in version 0 the subscriptions to clients' metrics (KIP-714).

use std::collections::BTreeSet;

use trial_metadata::ConfigResource;
use trial_node::Io;
use trial_wire::messages::list_config_resources_response::ConfigResource as Listed;
use trial_wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use super::describe_configs::BROKER_LOGGER;
use crate::Broker;

/// Every type, in the order in which they are listed.
const ALL: [i8; 5] = [
    ConfigResource::TOPIC,
    ConfigResource::BROKER,
    BROKER_LOGGER,
    ConfigResource::CLIENT_METRICS,
    ConfigResource::GROUP,
];

pub(super) fn serve(
    broker: &mut Broker,
    io: &mut Io<'_>,
    caller: Caller,
    request: &ListConfigResourcesRequest,
) {
    let response = list(broker, caller.token.api_version, request);
    broker.connections.respond(io, caller.token, ResponseKind::ListConfigResources(response));
}

fn list(broker: &Broker, version: i16, request: &ListConfigResourcesRequest) -> ListConfigResourcesResponse {
    let image = &broker.published.image;
    // Each once, however often it is asked for.
    let types: BTreeSet<i8> = match version {
        0 => BTreeSet::from([ConfigResource::CLIENT_METRICS]),
        _ if request.resource_types.is_empty() => BTreeSet::from(ALL),
        _ => request.resource_types.iter().copied().collect(),
    };
    let mut listed = Vec::new();
    for resource_type in types {
        let names: Vec<StrBytes> = match resource_type {
            ConfigResource::TOPIC => image.topic_ids().keys().map(|name| name.0.clone()).collect(),
            ConfigResource::BROKER | BROKER_LOGGER => {
                image.brokers().keys().map(|node| StrBytes::from(node.to_string())).collect()
            }
            ConfigResource::GROUP => {
                let group = |resource: &ConfigResource| match resource {
                    ConfigResource::Group(name) => Some(name.clone()),
                    _ => None,
                };
                image.configs().keys().filter_map(group).collect()
            }
            ConfigResource::CLIENT_METRICS => {
                let subscription = |resource: &ConfigResource| match resource {
                    ConfigResource::ClientMetrics(name) => Some(name.clone()),
                    _ => None,
                };
                image.configs().keys().filter_map(subscription).collect()
            }
            _ => {
                return ListConfigResourcesResponse::default()
                    .with_error_code(ErrorCode::UnsupportedVersion.code());
            }
        };
        let named = |name| Listed::default().with_resource_name(name).with_resource_type(resource_type);
        listed.extend(names.into_iter().map(named));
    }
    ListConfigResourcesResponse::default().with_config_resources(listed)
}
