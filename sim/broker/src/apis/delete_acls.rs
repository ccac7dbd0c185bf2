//! DeleteAcls (KIP-140), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::delete_acls_response::DeleteAclsFilterResult;
use trial_wire::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for DeleteAclsRequest {
    type Response = DeleteAclsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<DeleteAclsResponse> {
        controller.delete_acls(self)
    }

    fn refuse(&self, error: ErrorCode) -> DeleteAclsResponse {
        let refuse = |_| DeleteAclsFilterResult::default().with_error_code(error.code());
        DeleteAclsResponse::default().with_filter_results(self.filters.iter().map(refuse).collect())
    }
}
