//! IncrementalAlterConfigs (KIP-339), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use trial_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use trial_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for IncrementalAlterConfigsRequest {
    type Response = IncrementalAlterConfigsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<IncrementalAlterConfigsResponse> {
        controller.incremental_alter_configs(self)
    }

    fn refuse(&self, error: ErrorCode) -> IncrementalAlterConfigsResponse {
        let refuse = |resource: &AlterConfigsResource| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
                .with_error_code(error.code())
        };
        IncrementalAlterConfigsResponse::default().with_responses(self.resources.iter().map(refuse).collect())
    }
}
