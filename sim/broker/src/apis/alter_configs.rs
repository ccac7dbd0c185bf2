//! AlterConfigs (KIP-133), served by the active controller: for clients from before IncrementalAlterConfigs.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::alter_configs_request::AlterConfigsResource;
use trial_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use trial_wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for AlterConfigsRequest {
    type Response = AlterConfigsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<AlterConfigsResponse> {
        controller.alter_configs(self)
    }

    fn refuse(&self, error: ErrorCode) -> AlterConfigsResponse {
        let refuse = |resource: &AlterConfigsResource| {
            AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
                .with_error_code(error.code())
        };
        AlterConfigsResponse::default().with_responses(self.resources.iter().map(refuse).collect())
    }
}
