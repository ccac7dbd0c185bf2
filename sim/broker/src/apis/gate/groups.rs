//! Requests about groups.

use trial_security::acl::AclOperation::{Delete, Describe, Read};
use trial_wire::messages::find_coordinator_response::Coordinator;
use trial_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use trial_wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use trial_wire::messages::{
    BrokerId, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest,
    DescribeGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use super::{Gate, Keyed, Refusal, take};
use crate::apis::{
    consumer_group_describe, delete_groups, describe_groups, offset_commit, offset_delete, offset_fetch,
};

const GROUP_REFUSED: ErrorCode = ErrorCode::GroupAuthorizationFailed;
const TOPIC_REFUSED: ErrorCode = ErrorCode::TopicAuthorizationFailed;
/// The first version of FindCoordinator that names several keys.
const BATCHED_FIND_VERSION: i16 = 4;
/// The first version of OffsetFetch that names several groups.
const BATCHED_FETCH_VERSION: i16 = 8;
const GROUP_KEY: i8 = 0;
const TRANSACTION_KEY: i8 = 1;

impl Gate<'_> {
    pub fn find_coordinator(&mut self, request: &mut FindCoordinatorRequest) -> Refusal {
        let access = self.access;
        let (allowed, error): (&dyn Fn(&StrBytes) -> bool, _) = match request.key_type {
            GROUP_KEY => (&|id| access.group(Describe, id), GROUP_REFUSED),
            TRANSACTION_KEY => {
                (&|id| access.transactional_id(Describe, id), ErrorCode::TransactionalIdAuthorizationFailed)
            }
            _ => return None,
        };
        if self.version < BATCHED_FIND_VERSION {
            let refuse = || {
                FindCoordinatorResponse::default()
                    .with_error_code(error.code())
                    .with_node_id(BrokerId(-1))
                    .with_port(-1)
            };
            return (!allowed(&request.key)).then(|| refuse().into());
        }
        let refused = take(&mut request.coordinator_keys, allowed)?;
        let refused = refused.into_iter().map(|key| {
            Coordinator::default()
                .with_key(key)
                .with_error_code(error.code())
                .with_node_id(BrokerId(-1))
                .with_port(-1)
        });
        let refused = FindCoordinatorResponse::default().with_coordinators(refused.collect());
        self.partly(Some(refused.into()), request.coordinator_keys.is_empty())
    }

    pub fn consumer_group_heartbeat(&mut self, request: &ConsumerGroupHeartbeatRequest) -> Refusal {
        let refusal = self.keyed_group(request);
        let mut subscribed = request.subscribed_topic_names.iter().flatten();
        if refusal.is_none() && !subscribed.all(|name| self.access.topic(Describe, name)) {
            return Some(request.refuse(self.version, TOPIC_REFUSED).into());
        }
        refusal
    }

    pub fn offset_commit(&mut self, request: &mut OffsetCommitRequest) -> Refusal {
        if !self.access.group(Read, &request.group_id) {
            return Some(offset_commit::refuse(&request.clone().into(), self.version, GROUP_REFUSED));
        }
        let refused = take(&mut request.topics, |topic| self.reads(&topic.name, topic.topic_id))?;
        let refused = OffsetCommitRequest::default().with_topics(refused).into();
        let refused = offset_commit::refuse(&refused, self.version, TOPIC_REFUSED);
        self.partly(Some(refused), request.topics.is_empty())
    }

    /// Whether a topic, by its name or if that is empty its id, may be read; or nobody knows the id.
    fn reads(&self, name: &TopicName, id: Uuid) -> bool {
        let known = self.image.topic(id).map(|topic| &topic.name);
        let name = Some(name).filter(|name| !name.is_empty()).or(known);
        name.is_none_or(|name| self.access.topic(Read, name))
    }

    pub fn offset_fetch(&mut self, request: &mut OffsetFetchRequest) -> Refusal {
        if self.version < BATCHED_FETCH_VERSION {
            if !self.access.group(Describe, &request.group_id) {
                return Some(offset_fetch::refuse(&request.clone().into(), self.version, GROUP_REFUSED));
            }
            return self.offset_fetch_of_one(request);
        }
        let mut refused = OffsetFetchResponse::default();
        let groups = take(&mut request.groups, |group| self.access.group(Describe, &group.group_id));
        refused.groups.extend(groups.into_iter().flatten().map(|group| {
            OffsetFetchResponseGroup::default()
                .with_group_id(group.group_id)
                .with_error_code(GROUP_REFUSED.code())
        }));
        for group in &mut request.groups {
            let Some(topics) = &mut group.topics else {
                self.amendment.hide = true;
                continue;
            };
            let hidden = take(topics, |topic| {
                let known = self.image.topic(topic.topic_id).map(|topic| &topic.name);
                let name = Some(&topic.name).filter(|name| !name.is_empty()).or(known);
                name.is_none_or(|name| self.access.topic(Describe, name))
            });
            let Some(hidden) = hidden else { continue };
            let hidden = hidden.into_iter().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|index| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(*index)
                        .with_committed_offset(-1)
                        .with_metadata(Some(StrBytes::new()))
                        .with_error_code(TOPIC_REFUSED.code())
                });
                OffsetFetchResponseTopics::default()
                    .with_name(topic.name)
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            refused.groups.push(
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id.clone())
                    .with_topics(hidden.collect()),
            );
        }
        let some = (!refused.groups.is_empty()).then(|| refused.into());
        self.partly(some, request.groups.is_empty())
    }

    fn offset_fetch_of_one(&mut self, request: &mut OffsetFetchRequest) -> Refusal {
        let Some(topics) = &mut request.topics else {
            self.amendment.hide = true;
            return None;
        };
        let hidden = take(topics, |topic| self.access.topic(Describe, &topic.name))?;
        let hidden = hidden.into_iter().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|index| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(*index)
                    .with_committed_offset(-1)
                    .with_metadata(Some(StrBytes::new()))
                    .with_error_code(TOPIC_REFUSED.code())
            });
            OffsetFetchResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        let refused = OffsetFetchResponse::default().with_topics(hidden.collect());
        self.partly(Some(refused.into()), topics.is_empty())
    }

    pub fn offset_delete(&mut self, request: &mut OffsetDeleteRequest) -> Refusal {
        if !self.access.group(Delete, &request.group_id) {
            return Some(offset_delete::refuse(&request.clone().into(), self.version, GROUP_REFUSED));
        }
        let refused = take(&mut request.topics, |topic| self.access.topic(Read, &topic.name))?;
        let topics = refused.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(TOPIC_REFUSED.code())
            });
            OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions.collect())
        });
        let refused = OffsetDeleteResponse::default().with_topics(topics.collect());
        self.partly(Some(refused.into()), request.topics.is_empty())
    }

    pub fn describe_groups(&mut self, request: &mut DescribeGroupsRequest) -> Refusal {
        let refused = take(&mut request.groups, |group| self.access.group(Describe, group))?;
        let refused = DescribeGroupsRequest::default().with_groups(refused).into();
        let refused = describe_groups::refuse(&refused, self.version, GROUP_REFUSED);
        self.partly(Some(refused), request.groups.is_empty())
    }

    pub fn consumer_group_describe(&mut self, request: &mut ConsumerGroupDescribeRequest) -> Refusal {
        self.amendment.hide = true;
        let refused = take(&mut request.group_ids, |group| self.access.group(Describe, group))?;
        let refused = ConsumerGroupDescribeRequest::default().with_group_ids(refused).into();
        let refused = consumer_group_describe::refuse(&refused, self.version, GROUP_REFUSED);
        self.partly(Some(refused), request.group_ids.is_empty())
    }

    /// Who may describe the cluster sees all groups, others those that they may describe.
    pub fn list_groups(&mut self) -> Refusal {
        self.amendment.hide = !self.access.cluster(Describe);
        None
    }

    pub fn delete_groups(&mut self, request: &mut DeleteGroupsRequest) -> Refusal {
        let refused = take(&mut request.groups_names, |group| self.access.group(Delete, group))?;
        let refused = DeleteGroupsRequest::default().with_groups_names(refused).into();
        let refused = delete_groups::refuse(&refused, self.version, GROUP_REFUSED);
        self.partly(Some(refused), request.groups_names.is_empty())
    }
}
