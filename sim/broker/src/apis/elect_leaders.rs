//! ElectLeaders (KIP-183, KIP-460), served by the active controller.

use trial_metadata::{ControllerResult, QuorumController};
use trial_wire::ErrorCode;
use trial_wire::messages::elect_leaders_request::TopicPartitions;
use trial_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use trial_wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::controller_request::{ControllerRequest, Surroundings};

impl ControllerRequest for ElectLeadersRequest {
    type Response = ElectLeadersResponse;

    fn decide(
        &self,
        controller: &mut QuorumController,
        _: &mut Surroundings<'_>,
    ) -> ControllerResult<ElectLeadersResponse> {
        controller.elect_leaders(self)
    }

    fn refuse(&self, error: ErrorCode) -> ElectLeadersResponse {
        let refuse = |topic: &TopicPartitions| {
            let refuse = |partition: &i32| {
                PartitionResult::default().with_partition_id(*partition).with_error_code(error.code())
            };
            ReplicaElectionResult::default()
                .with_topic(topic.topic.clone())
                .with_partition_result(topic.partitions.iter().map(refuse).collect())
        };
        ElectLeadersResponse::default()
            .with_error_code(error.code())
            .with_replica_election_results(self.topic_partitions.iter().flatten().map(refuse).collect())
    }
}
