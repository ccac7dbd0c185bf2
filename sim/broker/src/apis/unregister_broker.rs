//! UnregisterBroker (KIP-631): an operator takes a broker out of the cluster for good.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for UnregisterBrokerRequest {
    type Response = UnregisterBrokerResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<UnregisterBrokerResponse> {
        controller.unregister_broker(self)
    }

    fn refuse(&self, error: ErrorCode) -> UnregisterBrokerResponse {
        UnregisterBrokerResponse::default().with_error_code(error.code())
    }
}
