//! DescribeQuorum (KIP-595, KIP-836): the quorum's leader says how far its voters are.

use trial_node::{Io, Now};
use trial_wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use trial_wire::{ErrorCode, RequestKind};

use super::Caller;
use crate::Broker;
use crate::connections::CONTROLLER_PORT;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: Caller,
    request: DescribeQuorumRequest,
) {
    if caller.port != CONTROLLER_PORT {
        let timed_out =
            DescribeQuorumResponse::default().with_error_code(ErrorCode::RequestTimedOut.code()).into();
        broker.forward(now, caller.token, request.into(), timed_out);
    } else {
        broker.raft_request(now, io, caller.token, &RequestKind::DescribeQuorum(request));
    }
}
