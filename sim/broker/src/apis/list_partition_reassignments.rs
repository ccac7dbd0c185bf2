//! ListPartitionReassignments (KIP-455), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for ListPartitionReassignmentsRequest {
    type Response = ListPartitionReassignmentsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<ListPartitionReassignmentsResponse> {
        controller.list_partition_reassignments(self)
    }

    fn refuse(&self, error: ErrorCode) -> ListPartitionReassignmentsResponse {
        ListPartitionReassignmentsResponse::default().with_error_code(error.code())
    }
}
