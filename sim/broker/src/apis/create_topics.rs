//! CreateTopics, served by the active controller.

use trial_metadata::{ConfigResource, ControllerResult, MetadataImage, MetadataRecord, QuorumController};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::create_topics_response::CreatableTopicResult;
use trial_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::controller_request::{ControllerRequest, QUOTA_EXCEEDED, Surroundings};
use crate::mutations::MutationQuota;

impl ControllerRequest for CreateTopicsRequest {
    type Response = CreateTopicsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<CreateTopicsResponse> {
        controller.create_topics(self, at.rng)
    }

    fn is_strict(&self, version: i16) -> bool {
        version >= 6
    }

    fn limit(
        &self,
        _: &MetadataImage,
        result: &mut ControllerResult<CreateTopicsResponse>,
        quota: &mut MutationQuota<'_>,
    ) {
        let ControllerResult { records, response, .. } = result;
        for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
            if quota.accepts(usize::try_from(topic.num_partitions).unwrap_or(0)) {
                continue;
            }
            records.retain(|record| match record {
                MetadataRecord::Topic { topic_id, .. } => *topic_id != topic.topic_id,
                MetadataRecord::Partition { id, .. } => id.topic_id != topic.topic_id,
                MetadataRecord::Config { resource, .. } => {
                    *resource != ConfigResource::Topic(topic.name.clone())
                }
                _ => true,
            });
            *topic = CreatableTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(ErrorCode::ThrottlingQuotaExceeded.code())
                .with_error_message(Some(StrBytes::from_static_str(QUOTA_EXCEEDED)));
        }
        response.throttle_time_ms = quota.throttle_time_ms();
    }

    fn refuse(&self, error: ErrorCode) -> CreateTopicsResponse {
        let refuse = |topic: &CreatableTopic| {
            CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(error.code())
        };
        CreateTopicsResponse::default().with_topics(self.topics.iter().map(refuse).collect())
    }
}
