//! DeleteTopics, by name or (from version 6) by id, served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::Uuid;
use trial_wire::messages::delete_topics_response::DeletableTopicResult;
use trial_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for DeleteTopicsRequest {
    type Response = DeleteTopicsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<DeleteTopicsResponse> {
        controller.delete_topics(self)
    }

    fn refuse(&self, error: ErrorCode) -> DeleteTopicsResponse {
        let named = self.topic_names.iter().map(|name| (Some(name.clone()), Uuid::nil()));
        let states = self.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
        let refuse = |(name, topic_id)| {
            DeletableTopicResult::default()
                .with_name(name)
                .with_topic_id(topic_id)
                .with_error_code(error.code())
        };
        DeleteTopicsResponse::default().with_responses(named.chain(states).map(refuse).collect())
    }
}
