//! ConsumerGroupHeartbeat (KIP-848): a member of a consumer group joins, is alive, owns partitions, leaves.

use trial_coordinator::ClusterMetadata;
use trial_metadata::feature::GROUP_VERSION_FEATURE;
use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::Caller;
use super::coordinated::{self, Keyed};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    request: ConsumerGroupHeartbeatRequest,
) {
    if broker.published.feature_level(GROUP_VERSION_FEATURE) == 0 {
        let refusal = request.refuse(caller.token.api_version, ErrorCode::UnsupportedVersion);
        return broker.connections.respond(io, caller.token, refusal.into());
    }
    coordinated::serve(broker, now, io, (caller, client_id), request);
}

impl Keyed for ConsumerGroupHeartbeatRequest {
    type Response = ConsumerGroupHeartbeatResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Group;

    fn key(&self) -> &str {
        &self.group_id
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> ConsumerGroupHeartbeatResponse {
        ConsumerGroupHeartbeatResponse::default().with_error_code(error.code())
    }
}
