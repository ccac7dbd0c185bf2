//! What a response must have, or must not have, because of what its client may do.

use trial_security::acl::{AclOperation, CLUSTER_NAME, ResourceType};
use trial_wire::messages::OffsetFetchResponse;
use trial_wire::{ErrorCode, ResponseKind};

use super::access::{Access, authorized_operations};

/// Changes to the response of a request in progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Amendment {
    /// What the client may do; `None` if that is everything.
    pub access: Option<Access>,
    /// The answers to those parts of the request that the client may not ask, and which nobody has seen.
    pub refused: Option<ResponseKind>,
    /// Whether what the client may not see is to be left out.
    pub hide: bool,
    /// Whether the client asked what it may do with each thing.
    pub operations: bool,
    /// Whether it asked so of the cluster.
    pub cluster_operations: bool,
    /// Whether topics may be named at all.
    pub no_topics: bool,
}

impl Amendment {
    /// Carries the changes out.
    pub fn apply(self, response: &mut ResponseKind) {
        if let Some(access) = self.access.as_ref().filter(|_| self.hide) {
            hide(access, response);
        }
        if let (true, ResponseKind::Metadata(metadata)) = (self.no_topics, &mut *response) {
            metadata.topics.clear();
        }
        if self.operations || self.cluster_operations {
            self.tell_operations(response);
        }
        if let Some(refused) = self.refused {
            add(response, refused);
        }
    }

    fn tell_operations(&self, response: &mut ResponseKind) {
        let access = self.access.as_ref();
        let topic = |name: &str| authorized_operations(access, ResourceType::Topic, name);
        let group = |id: &str| authorized_operations(access, ResourceType::Group, id);
        let cluster = || match access {
            Some(access) if !access.cluster(AclOperation::Describe) => 0,
            access => authorized_operations(access, ResourceType::Cluster, CLUSTER_NAME),
        };
        match response {
            ResponseKind::Metadata(metadata) => {
                if self.cluster_operations {
                    metadata.cluster_authorized_operations = cluster();
                }
                for of_topic in metadata.topics.iter_mut().filter(|_| self.operations) {
                    if let Some(name) = &of_topic.name {
                        of_topic.topic_authorized_operations = topic(name);
                    }
                }
            }
            ResponseKind::DescribeCluster(described) if described.error_code == 0 => {
                described.cluster_authorized_operations = cluster();
            }
            ResponseKind::DescribeGroups(described) => {
                for of_group in described.groups.iter_mut().filter(|group| group.error_code == 0) {
                    of_group.authorized_operations = group(&of_group.group_id);
                }
            }
            ResponseKind::ConsumerGroupDescribe(described) => {
                for of_group in described.groups.iter_mut().filter(|group| group.error_code == 0) {
                    of_group.authorized_operations = group(&of_group.group_id);
                }
            }
            ResponseKind::DescribeTopicPartitions(described) => {
                for of_topic in &mut described.topics {
                    if let Some(name) = &of_topic.name {
                        of_topic.topic_authorized_operations = topic(name);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Leaves out what the client may not see.
fn hide(access: &Access, response: &mut ResponseKind) {
    let topic = |name: &str| access.topic(AclOperation::Describe, name);
    match response {
        ResponseKind::Metadata(metadata) => {
            metadata.topics.retain(|found| found.name.as_ref().is_none_or(|name| topic(name)));
        }
        ResponseKind::DescribeTopicPartitions(described) => {
            described.topics.retain(|found| found.name.as_ref().is_none_or(|name| topic(name)));
        }
        ResponseKind::OffsetFetch(fetched) => {
            fetched.topics.retain(|found| topic(&found.name));
            for group in &mut fetched.groups {
                // One without a name has an id that nobody knows.
                group.topics.retain(|found| found.name.is_empty() || topic(&found.name));
            }
        }
        ResponseKind::ListGroups(listed) => {
            listed.groups.retain(|found| access.group(AclOperation::Describe, &found.group_id));
        }
        ResponseKind::ListTransactions(listed) => listed
            .transaction_states
            .retain(|found| access.transactional_id(AclOperation::Describe, &found.transactional_id)),
        ResponseKind::DescribeTransactions(described) => {
            for transaction in &mut described.transaction_states {
                transaction.topics.retain(|found| topic(&found.topic));
            }
        }
        ResponseKind::CreateTopics(created) => {
            for found in created.topics.iter_mut().filter(|found| found.error_code == 0) {
                if !access.topic(AclOperation::DescribeConfigs, &found.name) {
                    found.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
                    (found.num_partitions, found.replication_factor, found.configs) = (-1, -1, None);
                }
            }
        }
        ResponseKind::ConsumerGroupDescribe(described) => {
            for group in &mut described.groups {
                let assignments = group.members.iter().flat_map(|member| {
                    let both = [&member.assignment, &member.target_assignment];
                    both.into_iter().flat_map(|assignment| &assignment.topic_partitions)
                });
                let subscribed = group.members.iter().flat_map(|member| &member.subscribed_topic_names);
                let names = assignments.map(|assigned| &assigned.topic_name).chain(subscribed);
                let may_see_all = { names }.all(|name| topic(name));
                if !may_see_all {
                    group.error_code = ErrorCode::TopicAuthorizationFailed.code();
                    let what =
                        "The group has described topic(s) that the client is not authorized to describe.";
                    group.error_message = Some(trial_wire::StrBytes::from_static_str(what));
                    group.members.clear();
                }
            }
        }
        _ => {}
    }
}

/// Adds the answers to some parts of a request to those of the others.
fn add(response: &mut ResponseKind, refused: ResponseKind) {
    use ResponseKind as Kind;
    match (response, refused) {
        (Kind::Produce(all), Kind::Produce(refused)) => all.responses.extend(refused.responses),
        (Kind::ListOffsets(all), Kind::ListOffsets(refused)) => all.topics.extend(refused.topics),
        (Kind::Metadata(all), Kind::Metadata(refused)) => all.topics.extend(refused.topics),
        (Kind::DescribeTopicPartitions(all), Kind::DescribeTopicPartitions(refused)) => {
            all.topics.extend(refused.topics);
        }
        (Kind::OffsetCommit(all), Kind::OffsetCommit(refused)) => {
            for topic in refused.topics {
                match all.topics.iter_mut().find(|other| other.name == topic.name && topic.topic_id.is_nil())
                {
                    Some(other) => other.partitions.extend(topic.partitions),
                    None => all.topics.push(topic),
                }
            }
        }
        (Kind::OffsetFetch(all), Kind::OffsetFetch(refused)) => add_offsets(all, refused),
        (Kind::OffsetDelete(all), Kind::OffsetDelete(refused)) if all.error_code == 0 => {
            all.topics.extend(refused.topics);
        }
        (Kind::TxnOffsetCommit(all), Kind::TxnOffsetCommit(refused)) => all.topics.extend(refused.topics),
        (Kind::FindCoordinator(all), Kind::FindCoordinator(refused)) => {
            all.coordinators.extend(refused.coordinators);
        }
        (Kind::DescribeGroups(all), Kind::DescribeGroups(refused)) => all.groups.extend(refused.groups),
        (Kind::ConsumerGroupDescribe(all), Kind::ConsumerGroupDescribe(refused)) => {
            all.groups.extend(refused.groups);
        }
        (Kind::DeleteGroups(all), Kind::DeleteGroups(refused)) => all.results.extend(refused.results),
        (Kind::CreateTopics(all), Kind::CreateTopics(refused)) => all.topics.extend(refused.topics),
        (Kind::DeleteTopics(all), Kind::DeleteTopics(refused)) => all.responses.extend(refused.responses),
        (Kind::CreatePartitions(all), Kind::CreatePartitions(refused)) => {
            all.results.extend(refused.results);
        }
        (Kind::DeleteRecords(all), Kind::DeleteRecords(refused)) => all.topics.extend(refused.topics),
        (Kind::OffsetForLeaderEpoch(all), Kind::OffsetForLeaderEpoch(refused)) => {
            all.topics.extend(refused.topics);
        }
        (Kind::DescribeProducers(all), Kind::DescribeProducers(refused)) => all.topics.extend(refused.topics),
        (Kind::DescribeTransactions(all), Kind::DescribeTransactions(refused)) => {
            all.transaction_states.extend(refused.transaction_states);
        }
        (Kind::DescribeConfigs(all), Kind::DescribeConfigs(refused)) => all.results.extend(refused.results),
        (Kind::AlterConfigs(all), Kind::AlterConfigs(refused)) => all.responses.extend(refused.responses),
        (Kind::IncrementalAlterConfigs(all), Kind::IncrementalAlterConfigs(refused)) => {
            all.responses.extend(refused.responses);
        }
        // The request failed as a whole.
        _ => {}
    }
}

fn add_offsets(all: &mut OffsetFetchResponse, refused: OffsetFetchResponse) {
    if all.error_code == 0 {
        all.topics.extend(refused.topics);
    }
    for group in refused.groups {
        match all.groups.iter_mut().find(|other| other.group_id == group.group_id) {
            Some(other) if other.error_code == 0 => other.topics.extend(group.topics),
            Some(_) => {}
            None => all.groups.push(group),
        }
    }
}
