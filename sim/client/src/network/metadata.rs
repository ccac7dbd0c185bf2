//! What a client knows of the cluster, and when it must ask again.

use std::collections::BTreeMap;

use trial_node::{Endpoint, LeaderEpoch, NodeId, Rng, Span, Time};
use trial_wire::messages::MetadataRequest;
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::metadata_response::{
    MetadataResponse, MetadataResponsePartition, MetadataResponseTopic,
};
use trial_wire::{ErrorCode, TopicName, Uuid};

use crate::errors::is_invalid_metadata;

use super::backoff::ExponentialBackoff;

/// A topic that a client uses, by the order in which it began to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicSlot(pub usize);

/// A topic as the last responses described it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its id; nil while unknown.
    pub id: Uuid,
    /// Why the last response said nothing about its partitions, if it said why.
    pub error: Option<ErrorCode>,
    /// Its partitions, by index; empty while unknown.
    pub partitions: Vec<Partition>,
    /// Whether the last response listed the partitions. What was known before is kept for its epochs.
    pub known: bool,
}

/// A partition's leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The leader; [`NodeId::NONE`] if there is none.
    pub leader: NodeId,
    /// The newest epoch seen (KIP-320); older answers are ignored.
    pub leader_epoch: LeaderEpoch,
}

/// A partition's leader as a Produce or Fetch response tells it beside the error (KIP-951).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    /// The leader.
    pub leader: NodeId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// Where the leader listens, if the response says.
    pub endpoint: Option<Endpoint>,
}

/// The cluster as a client knows it.
///
/// Brokers of the bootstrap list have the ids −2, −3, ...; a response replaces them by real ones, and
/// [`Metadata::rebootstrap`] (KIP-899) goes back to them.
#[derive(Clone, Debug)]
pub struct Metadata {
    bootstrap: Vec<Endpoint>,
    nodes: BTreeMap<NodeId, Endpoint>,
    controller: NodeId,
    topics: Vec<Topic>,
    slots_by_id: BTreeMap<Uuid, TopicSlot>,
    version: u64,
    refresh: Refresh,
}

/// When to ask again.
#[derive(Clone, Debug)]
struct Refresh {
    backoff: ExponentialBackoff,
    max_age: Span,
    /// Somebody needs newer metadata.
    requested: bool,
    /// Topics were added since the request in flight was made.
    topics_added: bool,
    /// No attempt before this instant.
    allowed_at: Time,
    last_success: Option<Time>,
    /// When the first attempt was made of those that have not succeeded.
    trying_since: Option<Time>,
    failures: u32,
    /// Responses in a row that brought nothing new.
    equivalent: u32,
}

impl Metadata {
    /// Knows the bootstrap list only.
    pub fn new(bootstrap: Vec<Endpoint>, max_age: Span, backoff: ExponentialBackoff) -> Metadata {
        let mut metadata = Metadata {
            bootstrap,
            nodes: BTreeMap::new(),
            controller: NodeId::NONE,
            topics: Vec::new(),
            slots_by_id: BTreeMap::new(),
            version: 0,
            refresh: Refresh {
                backoff,
                max_age,
                requested: true,
                topics_added: false,
                allowed_at: Time::ZERO,
                last_success: None,
                trying_since: None,
                failures: 0,
                equivalent: 0,
            },
        };
        metadata.rebootstrap();
        metadata
    }

    /// Grows whenever anything here may have changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The brokers to talk to, by id.
    pub fn nodes(&self) -> &BTreeMap<NodeId, Endpoint> {
        &self.nodes
    }

    /// How many brokers the cluster told of; 0 while only the bootstrap list is known.
    pub fn broker_count(&self) -> usize {
        self.nodes.keys().filter(|id| id.0 >= 0).count()
    }

    /// The broker that takes the controller's requests; [`NodeId::NONE`] while unknown.
    pub fn controller(&self) -> NodeId {
        self.controller
    }

    /// Begins to ask for a topic.
    pub fn add_topic(&mut self, name: &TopicName) -> TopicSlot {
        if let Some(slot) = self.topics.iter().position(|topic| topic.name == *name) {
            return TopicSlot(slot);
        }
        self.topics.push(Topic {
            name: name.clone(),
            id: Uuid::nil(),
            error: None,
            partitions: Vec::new(),
            known: false,
        });
        self.refresh.topics_added = true;
        self.refresh.requested = true;
        self.refresh.equivalent = 0;
        self.refresh.allowed_at = Time::ZERO;
        TopicSlot(self.topics.len() - 1)
    }

    /// A topic that was added.
    pub fn topic(&self, slot: TopicSlot) -> &Topic {
        &self.topics[slot.0]
    }

    /// The slot of the topic with this id, if it is known.
    pub fn slot_by_id(&self, id: Uuid) -> Option<TopicSlot> {
        self.slots_by_id.get(&id).copied()
    }

    /// The slot of the topic with this name, if it was added.
    pub fn slot_by_name(&self, name: &TopicName) -> Option<TopicSlot> {
        self.topics.iter().position(|topic| topic.name == *name).map(TopicSlot)
    }

    /// How many partitions a topic has; `None` while the cluster has not told.
    pub fn partition_count(&self, slot: TopicSlot) -> Option<usize> {
        let topic = self.topic(slot);
        (topic.known && !topic.partitions.is_empty()).then_some(topic.partitions.len())
    }

    /// The newest leader epoch seen of a partition; [`LeaderEpoch::NONE`] while unknown.
    pub fn leader_epoch(&self, slot: TopicSlot, partition: i32) -> LeaderEpoch {
        self.partition(slot, partition).map_or(LeaderEpoch::NONE, |p| p.leader_epoch)
    }

    /// A partition's leader and its epoch; `None` while there is none or it cannot be reached.
    pub fn leader(&self, slot: TopicSlot, partition: i32) -> Option<(NodeId, LeaderEpoch)> {
        let topic = self.topic(slot);
        let partition = self.partition(slot, partition)?;
        (topic.known && self.nodes.contains_key(&partition.leader))
            .then_some((partition.leader, partition.leader_epoch))
    }

    fn partition(&self, slot: TopicSlot, partition: i32) -> Option<&Partition> {
        self.topic(slot).partitions.get(usize::try_from(partition).ok()?)
    }

    /// Asks for newer metadata as soon as back-off allows.
    pub fn request_update(&mut self) {
        self.refresh.requested = true;
    }

    /// Whether newer metadata has been asked for and has not come.
    pub fn update_requested(&self) -> bool {
        self.refresh.requested
    }

    /// The next instant at which metadata should be asked for.
    pub fn next_update(&self) -> Time {
        let wanted = match self.refresh.last_success {
            Some(at) if !self.refresh.requested => at + self.refresh.max_age,
            _ => Time::ZERO,
        };
        wanted.max(self.refresh.allowed_at)
    }

    /// Notes an attempt to bring everything up to date. Returns whether attempts have been in vain for so long that only the
    /// bootstrap list can help (KIP-1102).
    pub fn attempt_is_desperate(&mut self, now: Time, trigger: Span) -> bool {
        let since = *self.refresh.trying_since.get_or_insert(now);
        now > since + trigger
    }

    /// The request that brings everything up to date. Topics are never created by asking for them: workloads create
    /// theirs first.
    pub fn request(&mut self) -> MetadataRequest {
        self.refresh.topics_added = false;
        let topics =
            self.topics.iter().map(|t| MetadataRequestTopic::default().with_name(Some(t.name.clone())));
        MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(false)
    }

    /// The request failed, or the response was of no use: wait longer.
    pub fn update_failed(&mut self, now: Time, rng: &mut Rng) {
        self.refresh.allowed_at = now + self.refresh.backoff.wait(self.refresh.failures, rng);
        self.refresh.failures += 1;
        self.refresh.equivalent = 0;
    }

    /// Forgets the brokers that the cluster told of and goes back to the bootstrap list (KIP-899).
    pub fn rebootstrap(&mut self) {
        let endpoints = self.bootstrap.iter().enumerate();
        self.nodes = endpoints.map(|(i, endpoint)| (NodeId(-2 - i as i32), endpoint.clone())).collect();
        self.controller = NodeId::NONE;
        self.refresh.trying_since = None;
        for topic in &mut self.topics {
            topic.known = false;
        }
        self.refresh.requested = true;
        self.version += 1;
    }

    /// Takes in a response. Topics that were not asked for are ignored.
    pub fn update(&mut self, now: Time, response: MetadataResponse, rng: &mut Rng) {
        let brokers = response.brokers.into_iter().filter_map(|broker| {
            let port = u16::try_from(broker.port).ok()?;
            Some((NodeId(broker.node_id.0), Endpoint { host: broker.host, port }))
        });
        let nodes: BTreeMap<_, _> = brokers.collect();
        if nodes.is_empty() {
            // A broker that is just starting answers so.
            self.update_failed(now, rng);
            return;
        }
        self.version += 1;
        self.refresh.failures = 0;
        self.refresh.requested = self.refresh.topics_added;
        self.refresh.trying_since = None;
        self.refresh.last_success = Some(now);
        self.controller = NodeId(response.controller_id.0);
        self.nodes = nodes;
        let mut progress = false;
        for topic in response.topics {
            progress |= self.update_topic(topic);
        }
        self.refresh.equivalent = if progress { 0 } else { self.refresh.equivalent + 1 };
        let attempts = self.refresh.equivalent.saturating_sub(1);
        self.refresh.allowed_at = if self.refresh.topics_added {
            Time::ZERO
        } else {
            now + self.refresh.backoff.wait(attempts, rng)
        };
    }

    /// Returns whether the response brought anything new of the topic.
    fn update_topic(&mut self, response: MetadataResponseTopic) -> bool {
        let slot = response.name.as_ref().and_then(|name| self.slot_by_name(name));
        let Some(slot) = slot else { return false };
        let topic = &mut self.topics[slot.0];
        topic.error = ErrorCode::try_from_code(response.error_code);
        topic.known = topic.error.is_none();
        if let Some(error) = topic.error {
            self.refresh.requested |= is_invalid_metadata(error);
            return false;
        }
        let recreated = !response.topic_id.is_nil() && topic.id != response.topic_id;
        if recreated {
            self.slots_by_id.remove(&topic.id);
            self.slots_by_id.insert(response.topic_id, slot);
            topic.id = response.topic_id;
            topic.partitions.clear();
        }
        let mut progress = recreated;
        for partition in response.partitions {
            let error = ErrorCode::try_from_code(partition.error_code);
            self.refresh.requested |= error.is_some_and(is_invalid_metadata);
            progress |= update_partition(&mut topic.partitions, &partition);
        }
        progress
    }

    /// Takes in a leader that a response told beside its error (KIP-951). Returns whether it is news.
    pub fn update_leader(&mut self, slot: TopicSlot, partition: i32, hint: LeaderHint) -> bool {
        let known = self.partition(slot, partition).map(|p| p.leader_epoch);
        if known.is_none_or(|known| hint.leader_epoch <= known) || hint.leader.0 < 0 {
            return false;
        }
        if let Some(endpoint) = hint.endpoint {
            self.nodes.insert(hint.leader, endpoint);
        } else if !self.nodes.contains_key(&hint.leader) {
            return false;
        }
        self.topics[slot.0].partitions[partition as usize] =
            Partition { leader: hint.leader, leader_epoch: hint.leader_epoch };
        self.version += 1;
        true
    }
}

/// Returns whether the epoch is new.
fn update_partition(partitions: &mut Vec<Partition>, response: &MetadataResponsePartition) -> bool {
    const MAX_PARTITIONS: usize = 1 << 20;
    let Ok(index) = usize::try_from(response.partition_index) else { return false };
    if index >= MAX_PARTITIONS {
        return false;
    }
    if index >= partitions.len() {
        partitions.resize(index + 1, Partition { leader: NodeId::NONE, leader_epoch: LeaderEpoch::NONE });
    }
    let known = &mut partitions[index];
    let leader_epoch = LeaderEpoch(response.leader_epoch);
    if leader_epoch < known.leader_epoch {
        return false;
    }
    let progress = leader_epoch > known.leader_epoch;
    *known = Partition { leader: NodeId(response.leader_id.0), leader_epoch };
    progress
}
