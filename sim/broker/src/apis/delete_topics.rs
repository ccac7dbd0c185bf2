//! DeleteTopics, by name or (from version 6) by id, served by the active controller.

use trial_metadata::{ControllerResult, MetadataImage, MetadataRecord, QuorumController};
use trial_wire::messages::delete_topics_response::DeletableTopicResult;
use trial_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use trial_wire::{ErrorCode, StrBytes, Uuid};

use super::controller_request::{ControllerRequest, QUOTA_EXCEEDED, Surroundings};
use crate::mutations::MutationQuota;

impl ControllerRequest for DeleteTopicsRequest {
    type Response = DeleteTopicsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<DeleteTopicsResponse> {
        controller.delete_topics(self)
    }

    fn is_strict(&self, version: i16) -> bool {
        version >= 5
    }

    fn limit(
        &self,
        image: &MetadataImage,
        result: &mut ControllerResult<DeleteTopicsResponse>,
        quota: &mut MutationQuota<'_>,
    ) {
        let ControllerResult { records, response, .. } = result;
        for topic in response.responses.iter_mut().filter(|topic| topic.error_code == 0) {
            let deleted = topic.topic_id;
            if quota.accepts(image.topic(deleted).map_or(0, |topic| topic.partitions.len())) {
                continue;
            }
            records.retain(
                |record| !matches!(record, MetadataRecord::RemoveTopic { topic_id } if *topic_id == deleted),
            );
            topic.error_code = ErrorCode::ThrottlingQuotaExceeded.code();
            topic.error_message = Some(StrBytes::from_static_str(QUOTA_EXCEEDED));
        }
        response.throttle_time_ms = quota.throttle_time_ms();
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
