//! Who plays which role, as the brokers' own views tell.

use trial_broker::Broker;
use trial_faults::Roles;
use trial_node::view::BrokerView;
use trial_node::{NodeId, TopicPartition};
use trial_world::{Engine, HostId};

use crate::member::Member;

/// The roles in a world at this instant. Broker hosts are the first `brokers` hosts.
pub(crate) struct Cast<'a, E> {
    pub(crate) world: &'a E,
    pub(crate) brokers: u32,
}

impl<E: Engine<Member>> Cast<'_, E> {
    fn running(&self) -> impl Iterator<Item = &Broker> {
        (0..self.brokers).filter_map(|i| match self.world.node(HostId(i)) {
            Some(Member::Broker(broker)) => Some(&**broker),
            _ => None,
        })
    }

    fn name_of(&self, node: NodeId) -> Option<String> {
        let index = u32::try_from(node.0).ok()?.checked_sub(1).filter(|i| *i < self.brokers)?;
        Some(self.world.name(HostId(index)).to_owned())
    }

    /// The leader of the partition of an internal topic that a group or a transactional id belongs to.
    fn coordinator(&self, topic: &'static str, key: &str) -> Option<String> {
        let newest = self.running().max_by_key(|b| b.metadata().offset)?;
        let mut leaders = std::collections::BTreeMap::new();
        newest.partitions(&mut |p| {
            if p.topic.as_str() == topic {
                leaders.insert(p.id.partition, p.leader);
            }
        });
        let count = i32::try_from(leaders.len()).ok().filter(|count| *count > 0)?;
        let partition = trial_coordinator::partition_for(key, count);
        leaders.get(&partition).and_then(|leader| self.name_of(*leader))
    }

    /// Leader and replicas of a partition, as the broker with the newest metadata knows them.
    fn partition(&self, tp: &TopicPartition) -> Option<(NodeId, Vec<NodeId>)> {
        let newest = self.running().max_by_key(|b| b.metadata().offset)?;
        let mut found = None;
        newest.partitions(&mut |p| {
            if p.topic == &tp.topic && p.id.partition == tp.partition {
                found = Some((p.leader, p.replicas.to_vec()));
            }
        });
        found
    }
}

impl<E: Engine<Member>> Roles for Cast<'_, E> {
    fn is_host(&self, name: &str) -> bool {
        self.world.find(name).is_some()
    }

    fn brokers(&self) -> Vec<String> {
        (0..self.brokers).map(|i| self.world.name(HostId(i)).to_owned()).collect()
    }

    fn clients(&self) -> Vec<String> {
        // The first host after the brokers is the operator's, who is no part of the load.
        (self.brokers + 1..self.world.host_count() as u32)
            .map(|i| self.world.name(HostId(i)).to_owned())
            .collect()
    }

    fn controller(&self) -> Option<String> {
        let leaders = self.running().filter(|b| b.quorum().is_leader);
        leaders.max_by_key(|b| b.quorum().epoch).and_then(|b| self.name_of(b.node_id()))
    }

    fn group_coordinator_of(&self, group: &str) -> Option<String> {
        self.coordinator(trial_coordinator::CONSUMER_OFFSETS, group)
    }

    fn transaction_coordinator_of(&self, transactional_id: &str) -> Option<String> {
        self.coordinator(trial_coordinator::TRANSACTION_STATE, transactional_id)
    }

    fn leader_of(&self, tp: &TopicPartition) -> Option<String> {
        self.partition(tp).and_then(|(leader, _)| self.name_of(leader))
    }

    fn followers_of(&self, tp: &TopicPartition) -> Vec<String> {
        let Some((leader, replicas)) = self.partition(tp) else { return Vec::new() };
        replicas.into_iter().filter(|r| *r != leader).filter_map(|r| self.name_of(r)).collect()
    }
}
