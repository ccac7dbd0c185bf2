//! BrokerRegistration (KIP-631): a broker's process announces itself to the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{BrokerRegistrationRequest, BrokerRegistrationResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for BrokerRegistrationRequest {
    type Response = BrokerRegistrationResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<BrokerRegistrationResponse> {
        controller.register_broker(at.now.mono, self, at.next_offset)
    }

    fn refuse(&self, error: ErrorCode) -> BrokerRegistrationResponse {
        BrokerRegistrationResponse::default().with_error_code(error.code()).with_broker_epoch(-1)
    }
}
