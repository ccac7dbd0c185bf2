//! AllocateProducerIds (KIP-730): a broker asks the active controller for a block of producer ids.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for AllocateProducerIdsRequest {
    type Response = AllocateProducerIdsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<AllocateProducerIdsResponse> {
        controller.allocate_producer_ids(self)
    }

    fn refuse(&self, error: ErrorCode) -> AllocateProducerIdsResponse {
        AllocateProducerIdsResponse::default().with_error_code(error.code())
    }
}
