//! CreateTopics, served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::create_topics_response::CreatableTopicResult;
use trial_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for CreateTopicsRequest {
    type Response = CreateTopicsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<CreateTopicsResponse> {
        controller.create_topics(self, at.rng)
    }

    fn refuse(&self, error: ErrorCode) -> CreateTopicsResponse {
        let refuse = |topic: &CreatableTopic| {
            CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(error.code())
        };
        CreateTopicsResponse::default().with_topics(self.topics.iter().map(refuse).collect())
    }
}
