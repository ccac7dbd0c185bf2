//! InitProducerId (KIP-98, KIP-360): an id for an idempotent producer; for a transactional one also a new epoch.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::{InitProducerIdRequest, InitProducerIdResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::Caller;
use super::coordinated::{self, Keyed};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    request: InitProducerIdRequest,
) {
    if (*request.producer_id == -1) != (request.producer_epoch == -1) {
        let refusal = request.refuse(caller.token.api_version, ErrorCode::InvalidRequest);
        broker.connections.respond(io, caller.token, refusal.into());
    } else if request.transactional_id.is_none() {
        broker.replicas.handle_init_producer_id(caller.token);
    } else {
        coordinated::serve(broker, now, io, (caller, client_id), request);
    }
}

impl Keyed for InitProducerIdRequest {
    type Response = InitProducerIdResponse;
    const KIND: CoordinatorKind = CoordinatorKind::Transaction;

    fn key(&self) -> &str {
        self.transactional_id.as_ref().map_or("", |id| id.as_str())
    }

    fn refuse(&self, _: i16, error: ErrorCode) -> InitProducerIdResponse {
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1)
    }
}
