//! The records that change a group.

use std::collections::BTreeMap;

use trial_wire::TopicName;

use super::assignor::Partitions;
use super::member::{MemberAssignment, MemberMetadata, by_topic};
use super::regex::Resolved;
use super::{ConsumerGroup, TopicMetadata};
use crate::Record;
use crate::group::record::{self, ConsumerGroupRecord};

impl ConsumerGroup {
    pub(super) fn epoch_record(&self, epoch: i32) -> Record {
        ConsumerGroupRecord::Metadata { group: &self.group_id, epoch: Some(epoch) }.encode()
    }

    pub(super) fn topics_record(&self, topics: &BTreeMap<TopicName, TopicMetadata>) -> Record {
        let topics = topics
            .iter()
            .map(|(name, topic)| record::TopicMetadata {
                topic_id: topic.id,
                name: name.as_str(),
                partitions: topic.partitions,
            })
            .collect();
        ConsumerGroupRecord::PartitionMetadata { group: &self.group_id, topics: Some(topics) }.encode()
    }

    pub(super) fn metadata_record(&self, member: &str, metadata: &MemberMetadata) -> Record {
        let value = Some(metadata.record());
        ConsumerGroupRecord::MemberMetadata { group: &self.group_id, member, value }.encode()
    }

    pub(super) fn regex_record(&self, regex: &str, resolved: &Resolved) -> Record {
        let value = Some(resolved.record());
        ConsumerGroupRecord::RegularExpression { group: &self.group_id, regex, value }.encode()
    }

    pub(super) fn regex_tombstone(&self, regex: &str) -> Record {
        ConsumerGroupRecord::RegularExpression { group: &self.group_id, regex, value: None }.encode()
    }

    pub(super) fn target_epoch_record(&self, epoch: i32) -> Record {
        ConsumerGroupRecord::TargetAssignmentMetadata { group: &self.group_id, epoch: Some(epoch) }.encode()
    }

    pub(super) fn target_record(&self, member: &str, partitions: &Partitions) -> Record {
        let partitions = Some(by_topic(partitions));
        ConsumerGroupRecord::TargetAssignmentMember { group: &self.group_id, member, partitions }.encode()
    }

    pub(super) fn assignment_record(&self, member: &str, assignment: &MemberAssignment) -> Record {
        let value = Some(assignment.record());
        ConsumerGroupRecord::CurrentMemberAssignment { group: &self.group_id, member, value }.encode()
    }

    /// Appends the tombstones of all that there is of a member, in the order in which Kafka's replay insists on them.
    pub(super) fn member_tombstones(&self, member: &str, records: &mut Vec<Record>) {
        let group: &str = &self.group_id;
        records.extend([
            ConsumerGroupRecord::CurrentMemberAssignment { group, member, value: None }.encode(),
            ConsumerGroupRecord::TargetAssignmentMember { group, member, partitions: None }.encode(),
            ConsumerGroupRecord::MemberMetadata { group, member, value: None }.encode(),
        ]);
    }

    /// Appends the tombstones of everything of the group to `records`.
    pub(in crate::group) fn tombstones(&self, records: &mut Vec<Record>) {
        let group: &str = &self.group_id;
        for member in self.members.keys() {
            self.member_tombstones(member, records);
        }
        records.extend(self.regexes.keys().map(|regex| self.regex_tombstone(regex)));
        records.extend([
            ConsumerGroupRecord::TargetAssignmentMetadata { group, epoch: None }.encode(),
            ConsumerGroupRecord::PartitionMetadata { group, topics: None }.encode(),
            ConsumerGroupRecord::Metadata { group, epoch: None }.encode(),
        ]);
    }
}
