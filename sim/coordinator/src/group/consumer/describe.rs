//! ConsumerGroupDescribe.

use trial_wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use trial_wire::{StrBytes, TopicName};

use super::ConsumerGroup;
use super::assignor::Partitions;
use super::member::{Member, by_topic};
use super::target::preferred_assignor;
use crate::ClusterMetadata;
use crate::group::ServerAssignor;

/// The member types of KIP-1099: those that use the classic protocol, and those that use KIP-848's.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

impl ConsumerGroup {
    /// The group for ConsumerGroupDescribe.
    pub(in crate::group) fn describe(
        &self,
        configured: &[ServerAssignor],
        metadata: &dyn ClusterMetadata,
    ) -> DescribedGroup {
        let nothing = Partitions::new();
        let members = self.members.iter().map(|(id, member)| {
            let target = self.targets.get(id).unwrap_or(&nothing);
            describe_member(id, member, target, metadata)
        });
        let wishes = self.members.values().filter_map(|member| member.metadata.server_assignor.as_ref());
        let assignor = preferred_assignor(wishes, configured);
        DescribedGroup::default()
            .with_group_id(self.group_id.clone().into())
            .with_group_state(StrBytes::from_static_str(self.state_name()))
            .with_group_epoch(self.epoch)
            .with_assignment_epoch(self.target_epoch)
            .with_assignor_name(StrBytes::from_static_str(assignor.name()))
            .with_members(members.collect())
    }
}

fn describe_member(
    id: &StrBytes,
    member: &Member,
    target: &Partitions,
    metadata: &dyn ClusterMetadata,
) -> DescribedMember {
    let said = &member.metadata;
    DescribedMember::default()
        .with_member_id(id.clone())
        .with_instance_id(said.instance_id.clone())
        .with_rack_id(said.rack_id.clone())
        .with_member_epoch(member.assignment.epoch)
        .with_client_id(said.client_id.clone())
        .with_client_host(said.client_host.clone())
        .with_subscribed_topic_names(said.subscribed_topic_names.iter().cloned().collect())
        .with_subscribed_topic_regex(said.subscribed_topic_regex.clone())
        .with_assignment(describe_partitions(&member.assignment.assigned, metadata))
        .with_target_assignment(describe_partitions(target, metadata))
        .with_member_type(if said.classic.is_some() { CLASSIC_MEMBER } else { CONSUMER_MEMBER })
}

/// Topics that have been deleted have no name to show.
fn describe_partitions(partitions: &Partitions, metadata: &dyn ClusterMetadata) -> Assignment {
    let topics = by_topic(partitions).into_iter().filter_map(|topic| {
        let name: &TopicName = metadata.topic_name(topic.topic_id)?;
        let described = TopicPartitions::default()
            .with_topic_id(topic.topic_id)
            .with_topic_name(name.clone())
            .with_partitions(topic.partitions);
        Some(described)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
