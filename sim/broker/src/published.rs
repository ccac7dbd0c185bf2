//! The cluster's metadata as this broker has applied it.

use std::collections::BTreeMap;
use std::sync::Arc;

use trial_metadata::config::topic_value;
use trial_metadata::{
    BrokerRegistration, ConfigResource, LeaderRecoveryState, MetadataDelta, MetadataImage, StaticConfig,
};
use trial_node::{Endpoint, LeaderEpoch, NodeId, Offset, Span, TopicIdPartition, TopicPartition};
use trial_wire::{StrBytes, TopicName, Uuid};

use crate::replica::{BrokerState, ClusterMetadata, MetadataChanges, PartitionState};

/// The name of the listener that clients and brokers use.
pub(crate) const LISTENER: &str = "PLAINTEXT";

/// A prefix of the metadata log, applied.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    node_id: NodeId,
    static_config: Arc<StaticConfig>,
    /// What the prefix amounts to.
    pub image: MetadataImage,
    /// The offset after the prefix's last record.
    pub next_offset: Offset,
    /// The epoch of the prefix's last batch.
    pub last_epoch: LeaderEpoch,
    endpoints: BTreeMap<NodeId, Endpoint>,
}

impl Published {
    /// Nothing is applied yet.
    pub fn new(node_id: NodeId, static_config: Arc<StaticConfig>) -> Published {
        Published {
            node_id,
            static_config,
            image: MetadataImage::default(),
            next_offset: Offset::ZERO,
            last_epoch: LeaderEpoch(0),
            endpoints: BTreeMap::new(),
        }
    }

    /// Takes over the brokers of `delta`, which the image already has, and says what of it concerns replication.
    pub fn changes(&mut self, delta: &MetadataDelta) -> MetadataChanges {
        for &broker in &delta.brokers {
            match self.image.broker(broker).and_then(endpoint_of) {
                Some(endpoint) => self.endpoints.insert(broker, endpoint),
                None => self.endpoints.remove(&broker),
            };
        }
        let every_topic = delta.configs.iter().any(|resource| match resource {
            ConfigResource::BrokerDefault => true,
            ConfigResource::Broker(node) => *node == self.node_id,
            ConfigResource::Topic(_) | ConfigResource::Group(_) | ConfigResource::ClientMetrics(_) => false,
        });
        let configured = |resource: &ConfigResource| match resource {
            ConfigResource::Topic(name) => self.image.topic_ids().get(name).copied(),
            ConfigResource::Broker(_)
            | ConfigResource::BrokerDefault
            | ConfigResource::Group(_)
            | ConfigResource::ClientMetrics(_) => None,
        };
        MetadataChanges {
            partitions: delta.partitions.iter().copied().collect(),
            deleted_topics: delta.deleted_topics.keys().copied().collect(),
            configured_topics: match every_topic {
                true => self.image.topics().keys().copied().collect(),
                false => delta.configs.iter().filter_map(configured).collect(),
            },
        }
    }

    /// Everything that there is, as if it had just come into being.
    pub fn everything(&self) -> MetadataChanges {
        let topics = self.image.topics().values();
        let partitions = topics.flat_map(|topic| {
            let of_topic = |partition: &i32| TopicIdPartition { topic_id: topic.id, partition: *partition };
            topic.partitions.keys().map(of_topic)
        });
        MetadataChanges { partitions: partitions.collect(), ..MetadataChanges::default() }
    }

    /// Where a registered broker listens.
    pub fn endpoint(&self, node: NodeId) -> Option<&Endpoint> {
        self.endpoints.get(&node)
    }

    /// The registered brokers that are not fenced.
    pub fn alive_brokers(&self) -> impl Iterator<Item = (&BrokerRegistration, &Endpoint)> {
        let alive = self.image.brokers().values().filter(|broker| !broker.fenced);
        alive.filter_map(|broker| Some((broker, self.endpoints.get(&broker.broker_id)?)))
    }
}

impl trial_coordinator::ClusterMetadata for Published {
    fn topic_id(&self, name: &TopicName) -> Option<Uuid> {
        self.image.topic_ids().get(name).copied()
    }

    fn topic_name(&self, id: Uuid) -> Option<&TopicName> {
        Some(&self.image.topic(id)?.name)
    }

    fn partition_count(&self, name: &TopicName) -> Option<i32> {
        let partitions = self.image.topic_named(name)?.partitions.len();
        Some(i32::try_from(partitions).expect("partitions are counted in 32 bits"))
    }

    fn topic_names(&self, each: &mut dyn FnMut(&TopicName)) {
        self.image.topic_ids().keys().for_each(each);
    }

    fn version(&self) -> Offset {
        Offset(self.next_offset.0 - 1)
    }

    fn leader(&self, tp: &TopicPartition) -> Option<(NodeId, LeaderEpoch)> {
        let partition = self.image.topic_named(&tp.topic)?.partitions.get(&tp.partition)?;
        (partition.leader != NodeId::NONE).then_some((partition.leader, partition.leader_epoch))
    }

    fn group_config(&self, group: &StrBytes, name: &str) -> Option<Span> {
        let overrides = self.image.config(&ConfigResource::Group(group.clone()))?;
        let text = overrides.get(name.as_bytes())?.trim();
        text.parse().ok().map(Span::from_millis)
    }

    fn feature_level(&self, feature: &str) -> i16 {
        self.image.features().get(feature.as_bytes()).copied().unwrap_or(0)
    }
}

impl ClusterMetadata for Published {
    fn topic_id(&self, name: &TopicName) -> Option<Uuid> {
        self.image.topic_ids().get(name).copied()
    }

    fn topic_name(&self, id: Uuid) -> Option<&TopicName> {
        Some(&self.image.topic(id)?.name)
    }

    fn partition(&self, tp: TopicIdPartition) -> Option<PartitionState<'_>> {
        let partition = self.image.partition(tp)?;
        Some(PartitionState {
            replicas: &partition.replicas,
            directories: &partition.directories,
            isr: &partition.isr,
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            recovering: partition.leader_recovery_state == LeaderRecoveryState::Recovering,
        })
    }

    fn broker(&self, id: NodeId) -> Option<BrokerState<'_>> {
        let broker = self.image.broker(id)?;
        Some(BrokerState {
            epoch: broker.broker_epoch,
            fenced: broker.fenced,
            in_controlled_shutdown: broker.in_controlled_shutdown,
            endpoint: self.endpoints.get(&id)?,
        })
    }

    fn has_log(&self, tp: TopicIdPartition, replica: NodeId) -> bool {
        let directory = self.image.partition(tp).map(|partition| partition.directory(replica));
        let broker = self.image.broker(replica);
        directory.zip(broker).is_some_and(|(directory, broker)| broker.has_online_dir(directory))
    }

    fn rack(&self, id: NodeId) -> Option<&StrBytes> {
        self.image.broker(id).filter(|broker| !broker.fenced)?.rack.as_ref()
    }

    fn topic_config(&self, id: Uuid, key: &str) -> Option<&str> {
        let name = &self.image.topic(id)?.name;
        topic_value(&self.static_config, &self.image, self.node_id, name, key)
    }
}

fn endpoint_of(broker: &BrokerRegistration) -> Option<Endpoint> {
    let end_point = broker.end_point(LISTENER)?;
    Some(Endpoint::new(StrBytes::clone(&end_point.host), end_point.port))
}
