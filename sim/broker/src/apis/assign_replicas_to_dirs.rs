//! AssignReplicasToDirs (KIP-858): a broker tells the active controller in which of its log directories replicas are.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for AssignReplicasToDirsRequest {
    type Response = AssignReplicasToDirsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<AssignReplicasToDirsResponse> {
        controller.assign_replicas_to_dirs(self)
    }

    fn refuse(&self, error: ErrorCode) -> AssignReplicasToDirsResponse {
        AssignReplicasToDirsResponse::default().with_error_code(error.code())
    }
}
