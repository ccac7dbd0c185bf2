//! CreateAcls (KIP-140), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::create_acls_response::AclCreationResult;
use trial_wire::messages::{CreateAclsRequest, CreateAclsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for CreateAclsRequest {
    type Response = CreateAclsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<CreateAclsResponse> {
        controller.create_acls(self, at.rng)
    }

    fn refuse(&self, error: ErrorCode) -> CreateAclsResponse {
        let refused =
            self.creations.iter().map(|_| AclCreationResult::default().with_error_code(error.code()));
        CreateAclsResponse::default().with_results(refused.collect())
    }
}
