//! What all requests that only the active controller can serve have in common: forwarding, deciding, refusing.

use trial_metadata::{ControllerResult, MetadataImage, QuorumController};
use trial_node::{Io, Now, Offset, Rng};
use trial_wire::{ErrorCode, RequestKind, ResponseKind};

use super::Caller;
use crate::Broker;
use crate::connections::CONTROLLER_PORT;
use crate::mutations::MutationQuota;

/// What THROTTLING_QUOTA_EXCEEDED says to people.
pub(super) const QUOTA_EXCEEDED: &str = "The throttling quota has been exceeded.";

/// What a decision may depend on besides the metadata.
pub(crate) struct Surroundings<'a> {
    /// Both clocks.
    pub now: Now,
    /// The request's version.
    pub api_version: i16,
    /// The offset that the decision's first record will get.
    pub next_offset: Offset,
    /// The node's random stream.
    pub rng: &'a mut Rng,
}

/// A request that the active controller decides.
pub(crate) trait ControllerRequest: Into<RequestKind> {
    /// Its response.
    type Response: Into<ResponseKind>;

    /// What becomes of the cluster.
    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<Self::Response>;

    /// The response that says `error` of everything that was asked.
    fn refuse(&self, error: ErrorCode) -> Self::Response;

    /// Whether this version knows THROTTLING_QUOTA_EXCEEDED (KIP-599).
    fn is_strict(&self, _version: i16) -> bool {
        false
    }

    /// Takes out of a decision what goes beyond the client's quota of mutations. `image` is the metadata before it.
    fn limit(
        &self,
        _image: &MetadataImage,
        _result: &mut ControllerResult<Self::Response>,
        _quota: &mut MutationQuota<'_>,
    ) {
    }
}

/// Serves a request: on the controller listener the controller decides; on the broker listener it is forwarded
/// (KIP-590).
pub(crate) fn serve<R: ControllerRequest>(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: Caller,
    request: R,
) {
    if caller.port != CONTROLLER_PORT {
        let timed_out = request.refuse(ErrorCode::RequestTimedOut).into();
        broker.forward(now, caller.token, request.into(), timed_out);
    } else {
        broker.decide(now, io, caller.token, &request);
    }
}

/// As [`serve`], for requests about ACLs: without an authorizer there are none.
pub(crate) fn serve_acls<R: ControllerRequest>(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: Caller,
    request: R,
) {
    if broker.security.authorizes() {
        serve(broker, now, io, caller, request);
    } else {
        let refusal = request.refuse(ErrorCode::SecurityDisabled).into();
        broker.connections.respond(io, caller.token, refusal);
    }
}
