//! CreatePartitions, served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::create_partitions_request::CreatePartitionsTopic;
use trial_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use trial_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for CreatePartitionsRequest {
    type Response = CreatePartitionsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<CreatePartitionsResponse> {
        controller.create_partitions(self, at.rng)
    }

    fn refuse(&self, error: ErrorCode) -> CreatePartitionsResponse {
        let refuse = |topic: &CreatePartitionsTopic| {
            CreatePartitionsTopicResult::default().with_name(topic.name.clone()).with_error_code(error.code())
        };
        CreatePartitionsResponse::default().with_results(self.topics.iter().map(refuse).collect())
    }
}
