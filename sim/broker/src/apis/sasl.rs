//! SaslHandshake and SaslAuthenticate where there is nothing to authenticate (any more): the session of a connection takes the
//! others.

use trial_node::Io;
use trial_wire::messages::{SaslAuthenticateResponse, SaslHandshakeResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::Caller;
use crate::Broker;

pub(super) fn handshake(broker: &mut Broker, io: &mut Io<'_>, caller: Caller) {
    let response = SaslHandshakeResponse::default().with_error_code(ErrorCode::IllegalSaslState.code());
    broker.connections.respond(io, caller.token, response.into());
}

pub(super) fn authenticate(broker: &mut Broker, io: &mut Io<'_>, caller: Caller) {
    let message = "SaslAuthenticate request received after successful authentication";
    let response = SaslAuthenticateResponse::default()
        .with_error_code(ErrorCode::IllegalSaslState.code())
        .with_error_message(Some(StrBytes::from_static_str(message)));
    broker.connections.respond(io, caller.token, response.into());
}
