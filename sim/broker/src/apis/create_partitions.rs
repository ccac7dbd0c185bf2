//! CreatePartitions, served by the active controller.

use trial_metadata::{ControllerResult, MetadataImage, MetadataRecord, QuorumController};
use trial_wire::messages::create_partitions_request::CreatePartitionsTopic;
use trial_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use trial_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use trial_wire::{ErrorCode, StrBytes};

use super::controller_request::{ControllerRequest, QUOTA_EXCEEDED, Surroundings};
use crate::mutations::MutationQuota;

impl ControllerRequest for CreatePartitionsRequest {
    type Response = CreatePartitionsResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        at: &mut Surroundings<'_>,
    ) -> ControllerResult<CreatePartitionsResponse> {
        controller.create_partitions(self, at.rng)
    }

    fn is_strict(&self, version: i16) -> bool {
        version >= 3
    }

    fn limit(
        &self,
        image: &MetadataImage,
        result: &mut ControllerResult<CreatePartitionsResponse>,
        quota: &mut MutationQuota<'_>,
    ) {
        let ControllerResult { records, response, .. } = result;
        for added in response.results.iter_mut().filter(|topic| topic.error_code == 0) {
            let asked = self.topics.iter().find(|topic| topic.name == added.name);
            let (Some(asked), Some(topic)) = (asked, image.topic_named(&added.name)) else { continue };
            let count = usize::try_from(asked.count).unwrap_or(0);
            if quota.accepts(count.saturating_sub(topic.partitions.len())) {
                continue;
            }
            records.retain(
                |record| !matches!(record, MetadataRecord::Partition { id, .. } if id.topic_id == topic.id),
            );
            added.error_code = ErrorCode::ThrottlingQuotaExceeded.code();
            added.error_message = Some(StrBytes::from_static_str(QUOTA_EXCEEDED));
        }
        response.throttle_time_ms = quota.throttle_time_ms();
    }

    fn refuse(&self, error: ErrorCode) -> CreatePartitionsResponse {
        let refuse = |topic: &CreatePartitionsTopic| {
            CreatePartitionsTopicResult::default().with_name(topic.name.clone()).with_error_code(error.code())
        };
        CreatePartitionsResponse::default().with_results(self.topics.iter().map(refuse).collect())
    }
}
