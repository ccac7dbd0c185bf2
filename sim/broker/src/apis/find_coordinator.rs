//! FindCoordinator: which broker coordinates a group or a transactional id; from version 4 on several at once (KIP-699).

use trial_node::view::CoordinatorKind;
use trial_node::{Endpoint, Io, NodeId, Now};
use trial_wire::messages::find_coordinator_response::Coordinator;
use trial_wire::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;
use crate::coordinator::topics;

/// The first version that names several keys.
const BATCHED_VERSION: i16 = 4;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: Caller,
    request: &FindCoordinatorRequest,
) {
    let response = if caller.token.api_version >= BATCHED_VERSION {
        let found = request.coordinator_keys.iter().map(|key| {
            let found = Coordinator::default().with_key(key.clone());
            match find(broker, now, request.key_type, key) {
                Ok((node, endpoint)) => found
                    .with_node_id(BrokerId(node.0))
                    .with_host(endpoint.host)
                    .with_port(i32::from(endpoint.port)),
                Err(error) => found.with_error_code(error.code()).with_node_id(BrokerId(-1)).with_port(-1),
            }
        });
        FindCoordinatorResponse::default().with_coordinators(found.collect())
    } else {
        match find(broker, now, request.key_type, &request.key) {
            Ok((node, endpoint)) => FindCoordinatorResponse::default()
                .with_node_id(BrokerId(node.0))
                .with_host(endpoint.host)
                .with_port(i32::from(endpoint.port)),
            Err(error) => FindCoordinatorResponse::default()
                .with_error_code(error.code())
                .with_node_id(BrokerId(-1))
                .with_port(-1),
        }
    };
    broker.connections.respond(io, caller.token, ResponseKind::FindCoordinator(response));
}

fn find(
    broker: &mut Broker,
    now: Now,
    key_type: i8,
    key: &StrBytes,
) -> Result<(NodeId, Endpoint), ErrorCode> {
    let kind = match key_type {
        0 => CoordinatorKind::Group,
        1 => CoordinatorKind::Transaction,
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let topic = topics::topic_of(kind);
    if broker.published.image.topic_named(&topic).is_none() {
        broker.auto_create_topic(now, topic);
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let node = broker.coordinator_node(kind, key).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let endpoint = broker.published.endpoint(node).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    Ok((node, endpoint.clone()))
}
