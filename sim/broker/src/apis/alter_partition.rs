//! AlterPartition (KIP-497): a partition's leader asks the active controller for another ISR.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{AlterPartitionRequest, AlterPartitionResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for AlterPartitionRequest {
    type Response = AlterPartitionResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<AlterPartitionResponse> {
        controller.alter_partition(at.api_version, self)
    }

    fn refuse(&self, error: ErrorCode) -> AlterPartitionResponse {
        AlterPartitionResponse::default().with_error_code(error.code())
    }
}
