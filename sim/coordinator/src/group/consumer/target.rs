//! What a group would be like with a change that is not in the log yet: its topics and its target assignment.

use std::collections::{BTreeMap, BTreeSet};

use trial_wire::{StrBytes, TopicName, Uuid};

use super::assignor::{PartitionCounts, Partitions, Subscriber, Subscribers};
use super::member::MemberMetadata;
use super::regex::Regexes;
use super::{ConsumerGroup, TopicMetadata};
use crate::ClusterMetadata;
use crate::group::ServerAssignor;

/// The members of a group, one of them changed, added or gone.
pub(super) struct Members<'a> {
    group: &'a ConsumerGroup,
    metadata: BTreeMap<&'a str, &'a MemberMetadata>,
    /// A member that takes the place of another, and that one.
    successor: Option<(&'a str, &'a str)>,
}

impl<'a> Members<'a> {
    /// As they are in the log.
    pub(super) fn of(group: &'a ConsumerGroup) -> Members<'a> {
        let metadata = group.members.iter().map(|(id, member)| (id.as_str(), &member.metadata)).collect();
        Members { group, metadata, successor: None }
    }

    /// Without this one.
    pub(super) fn without(mut self, member: &str) -> Members<'a> {
        self.metadata.remove(member);
        self
    }

    /// With this one, be it new or changed.
    pub(super) fn with(mut self, member: &'a str, metadata: &'a MemberMetadata) -> Members<'a> {
        self.metadata.insert(member, metadata);
        self
    }

    /// With what was `old`'s given to `new`.
    pub(super) fn succeeding(mut self, old: &'a str, new: &'a str) -> Members<'a> {
        self.successor = Some((new, old));
        self
    }

    /// Their regular expressions.
    pub(super) fn regexes(&self) -> BTreeSet<&'a StrBytes> {
        self.metadata.values().filter_map(|member| member.subscribed_topic_regex.as_ref()).collect()
    }

    /// The topics that they are subscribed to, as far as there are such.
    pub(super) fn topics(
        &self,
        metadata: &dyn ClusterMetadata,
        regexes: &Regexes,
    ) -> BTreeMap<TopicName, TopicMetadata> {
        let mut topics = BTreeMap::new();
        let named = self.metadata.values().flat_map(|member| &member.subscribed_topic_names);
        let matching = self.regexes().into_iter().filter_map(|regex| regexes.get(regex));
        for name in named.chain(matching.flat_map(|resolved| &resolved.topics)) {
            if topics.contains_key(name) {
                continue;
            }
            if let (Some(id), Some(partitions)) = (metadata.topic_id(name), metadata.partition_count(name)) {
                topics.insert(name.clone(), TopicMetadata { id, partitions });
            }
        }
        topics
    }

    /// The assignor that most of those ask for who ask for one; of equals the one that the configuration names first.
    pub(super) fn preferred_assignor(&self, configured: &[ServerAssignor]) -> ServerAssignor {
        preferred_assignor(
            self.metadata.values().filter_map(|member| member.server_assignor.as_ref()),
            configured,
        )
    }

    /// What each of them is to have.
    pub(super) fn assign(
        &self,
        assignor: ServerAssignor,
        topics: &BTreeMap<TopicName, TopicMetadata>,
        regexes: &Regexes,
    ) -> BTreeMap<&'a str, Partitions> {
        static NOTHING: Partitions = Partitions::new();
        let ids = |member: &MemberMetadata| -> BTreeSet<Uuid> {
            let resolved = member.subscribed_topic_regex.as_ref().and_then(|regex| regexes.get(regex));
            let matching = resolved.into_iter().flat_map(|resolved| &resolved.topics);
            let names = member.subscribed_topic_names.iter().chain(matching);
            names.filter_map(|name| topics.get(name)).map(|topic| topic.id).collect()
        };
        let counts: PartitionCounts = topics.values().map(|topic| (topic.id, topic.partitions)).collect();
        let subscribers: Subscribers<'a> = self
            .metadata
            .iter()
            .map(|(&id, member)| {
                let before = self.successor.filter(|(new, _)| *new == id).map_or(id, |(_, old)| old);
                let target = self.group.targets.get(before.as_bytes()).unwrap_or(&NOTHING);
                let instance_id = member.instance_id.as_deref();
                (id, Subscriber { instance_id, topics: ids(member), target })
            })
            .collect();
        assignor.assign(&subscribers, &counts)
    }
}

/// See [`Members::preferred_assignor`].
pub(super) fn preferred_assignor<'a>(
    wishes: impl Iterator<Item = &'a StrBytes>,
    configured: &[ServerAssignor],
) -> ServerAssignor {
    let mut votes = vec![0usize; configured.len()];
    for wish in wishes {
        if let Some(index) = configured.iter().position(|assignor| assignor.name() == wish.as_str()) {
            votes[index] += 1;
        }
    }
    let most = votes.iter().copied().max().unwrap_or(0);
    let first = votes.iter().position(|&count| count == most);
    first.and_then(|index| configured.get(index)).copied().unwrap_or(ServerAssignor::Uniform)
}
