//! Whether a response says that it did not come from the active controller.

use trial_wire::{ErrorCode, ResponseKind};

/// Whether a response says NOT_CONTROLLER of the request as a whole; where it has no place for that, of any part of it.
/// Kafka puts that on a forwarded request's envelope, and the forwarding broker tries the next controller (KIP-590). What
/// AlterPartition says of one partition is the leader's business: the controller knows less of that one than it does.
pub(crate) fn says_not_controller(response: &ResponseKind) -> bool {
    let not_controller = ErrorCode::NotController.code();
    let is = |code: i16| code == not_controller;
    match response {
        ResponseKind::CreateTopics(response) => response.topics.iter().any(|topic| is(topic.error_code)),
        ResponseKind::DeleteTopics(response) => response.responses.iter().any(|topic| is(topic.error_code)),
        ResponseKind::CreatePartitions(response) => response.results.iter().any(|topic| is(topic.error_code)),
        ResponseKind::IncrementalAlterConfigs(response) => {
            response.responses.iter().any(|resource| is(resource.error_code))
        }
        ResponseKind::AlterConfigs(response) => {
            response.responses.iter().any(|resource| is(resource.error_code))
        }
        ResponseKind::AlterClientQuotas(response) => {
            response.entries.iter().any(|entry| is(entry.error_code))
        }
        ResponseKind::UpdateFeatures(response) => is(response.error_code),
        ResponseKind::ElectLeaders(response) => is(response.error_code),
        ResponseKind::CreateAcls(response) => response.results.iter().any(|acl| is(acl.error_code)),
        ResponseKind::DeleteAcls(response) => response.filter_results.iter().any(|acl| is(acl.error_code)),
        ResponseKind::AlterUserScramCredentials(response) => {
            response.results.iter().any(|user| is(user.error_code))
        }
        ResponseKind::AlterPartitionReassignments(response) => is(response.error_code),
        ResponseKind::ListPartitionReassignments(response) => is(response.error_code),
        ResponseKind::UnregisterBroker(response) => is(response.error_code),
        ResponseKind::AlterPartition(response) => is(response.error_code),
        ResponseKind::BrokerRegistration(response) => is(response.error_code),
        ResponseKind::BrokerHeartbeat(response) => is(response.error_code),
        ResponseKind::AllocateProducerIds(response) => is(response.error_code),
        ResponseKind::AssignReplicasToDirs(response) => is(response.error_code),
        _ => false,
    }
}
