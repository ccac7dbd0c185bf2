//! UpdateFeatures (KIP-584), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for UpdateFeaturesRequest {
    type Response = UpdateFeaturesResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<UpdateFeaturesResponse> {
        controller.update_features(self, at.api_version)
    }

    fn refuse(&self, error: ErrorCode) -> UpdateFeaturesResponse {
        UpdateFeaturesResponse::default().with_error_code(error.code())
    }
}
