//! DescribeCluster (KIP-700): the brokers, or on request the controllers (KIP-919).

use trial_node::Io;
use trial_wire::messages::describe_cluster_response::DescribeClusterBroker;
use trial_wire::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;
use crate::connections::CONTROLLER_PORT;

const ENDPOINT_TYPE_BROKER: i8 = 1;
const ENDPOINT_TYPE_CONTROLLER: i8 = 2;

pub(super) fn serve(broker: &mut Broker, io: &mut Io<'_>, caller: Caller, request: &DescribeClusterRequest) {
    let served = if caller.port == CONTROLLER_PORT { ENDPOINT_TYPE_CONTROLLER } else { ENDPOINT_TYPE_BROKER };
    let response = if request.endpoint_type != served {
        let known = [ENDPOINT_TYPE_BROKER, ENDPOINT_TYPE_CONTROLLER].contains(&request.endpoint_type);
        let error =
            if known { ErrorCode::MismatchedEndpointType } else { ErrorCode::UnsupportedEndpointType };
        DescribeClusterResponse::default().with_error_code(error.code()).with_error_message(Some(
            StrBytes::from_static_str("The request was sent to an endpoint of the wrong type."),
        ))
    } else if served == ENDPOINT_TYPE_CONTROLLER {
        let controllers = broker.quorum.controllers().map(|(node, endpoint)| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(node.0))
                .with_host(endpoint.host.clone())
                .with_port(i32::from(endpoint.port))
        });
        let leader = broker.quorum.leader().map_or(-1, |node| node.0);
        DescribeClusterResponse::default()
            .with_endpoint_type(served)
            .with_brokers(controllers.collect())
            .with_controller_id(BrokerId(leader))
    } else {
        let brokers = broker.published.image.brokers().values();
        let shown = brokers.filter(|registered| !registered.fenced || request.include_fenced_brokers);
        let shown = shown.filter_map(|registered| {
            let endpoint = broker.published.endpoint(registered.broker_id)?;
            let shown = DescribeClusterBroker::default()
                .with_broker_id(BrokerId(registered.broker_id.0))
                .with_host(endpoint.host.clone())
                .with_port(i32::from(endpoint.port))
                .with_rack(registered.rack.clone())
                .with_is_fenced(registered.fenced && caller.token.api_version >= 2);
            Some(shown)
        });
        let shown = shown.collect();
        DescribeClusterResponse::default()
            .with_brokers(shown)
            .with_controller_id(BrokerId(broker.some_live_broker(io).0))
    };
    let response = response.with_cluster_id(broker.config.cluster_id.clone());
    broker.connections.respond(io, caller.token, ResponseKind::DescribeCluster(response));
}
