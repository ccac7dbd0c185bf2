//! BrokerHeartbeat (KIP-631): a broker is alive, and says whether it wants to serve or to stop.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{BrokerHeartbeatRequest, BrokerHeartbeatResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for BrokerHeartbeatRequest {
    type Response = BrokerHeartbeatResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<BrokerHeartbeatResponse> {
        controller.broker_heartbeat(at.now.mono, self)
    }

    fn refuse(&self, error: ErrorCode) -> BrokerHeartbeatResponse {
        BrokerHeartbeatResponse::default().with_error_code(error.code())
    }
}
