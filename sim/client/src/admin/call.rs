//! What can be asked of a cluster.

use std::collections::BTreeMap;

use trial_node::{NodeId, Span, TopicPartition};
use trial_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use trial_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use trial_wire::messages::create_partitions_request::CreatePartitionsTopic;
use trial_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use trial_wire::messages::delete_topics_request::DeleteTopicState;
use trial_wire::messages::describe_configs_request::DescribeConfigsResource;
use trial_wire::messages::elect_leaders_request::TopicPartitions;
use trial_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use trial_wire::messages::{
    AlterClientQuotasRequest, AlterPartitionReassignmentsRequest, BrokerId, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    ElectLeadersRequest, IncrementalAlterConfigsRequest,
};
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: TopicName,
    /// How many partitions, 1 and up; −1 leaves it to the broker's `num.partitions`.
    pub partitions: i32,
    /// How many replicas each, 1 and up; −1 leaves it to the broker's `default.replication.factor`.
    pub replication_factor: i16,
    /// The replicas of each partition, the preferred leader first; empty leaves it to the controller.
    pub assignments: Vec<Vec<NodeId>>,
    /// Topic configs, as Kafka names them.
    pub configs: BTreeMap<String, String>,
}

/// What has configs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// A broker, by its id; the empty name is the default of all brokers.
    Broker(StrBytes),
}

impl ConfigResource {
    /// Type and name on the wire.
    fn parts(&self) -> (i8, StrBytes) {
        match self {
            ConfigResource::Topic(name) => (2, name.0.clone()),
            ConfigResource::Broker(id) => (4, id.clone()),
        }
    }
}

/// A change of one config (KIP-339).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterConfig {
    /// The config's name.
    pub name: StrBytes,
    /// The value to set; `None` goes back to the default.
    pub value: Option<StrBytes>,
}

/// A quota of clients (KIP-546).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterQuota {
    /// The client id that it is for; `None` for those that have none of their own.
    pub client_id: Option<StrBytes>,
    /// What it limits, for example `producer_byte_rate`.
    pub key: StrBytes,
    /// How much that may be a second; `None` takes the quota away.
    pub value: Option<u32>,
}

/// Which leader an election is to give (KIP-460).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionType {
    /// The first replica, if it is in sync.
    Preferred,
    /// Any replica that is alive, if there is no leader.
    Unclean,
}

/// A call of the admin client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCall {
    /// CreateTopics.
    CreateTopics(Vec<NewTopic>),
    /// DeleteTopics.
    DeleteTopics(Vec<TopicName>),
    /// CreatePartitions: the topics and how many partitions each shall have in all.
    CreatePartitions(Vec<(TopicName, i32)>),
    /// DescribeConfigs, of all configs of a resource.
    DescribeConfigs(Vec<ConfigResource>),
    /// IncrementalAlterConfigs.
    AlterConfigs(Vec<(ConfigResource, Vec<AlterConfig>)>),
    /// AlterClientQuotas.
    AlterQuotas(Vec<AlterQuota>),
    /// ElectLeaders; `None` means all partitions.
    ElectLeaders(ElectionType, Option<Vec<TopicPartition>>),
    /// AlterPartitionReassignments (KIP-455): the replicas of each partition, the preferred leader first; `None` takes back
    /// what is under way.
    Reassign(Vec<(TopicPartition, Option<Vec<NodeId>>)>),
    /// DescribeCluster.
    DescribeCluster,
}

impl AdminCall {
    /// The API.
    pub fn api(&self) -> ApiKey {
        match self {
            AdminCall::CreateTopics(_) => ApiKey::CreateTopics,
            AdminCall::DeleteTopics(_) => ApiKey::DeleteTopics,
            AdminCall::CreatePartitions(_) => ApiKey::CreatePartitions,
            AdminCall::DescribeConfigs(_) => ApiKey::DescribeConfigs,
            AdminCall::AlterConfigs(_) => ApiKey::IncrementalAlterConfigs,
            AdminCall::AlterQuotas(_) => ApiKey::AlterClientQuotas,
            AdminCall::ElectLeaders(..) => ApiKey::ElectLeaders,
            AdminCall::Reassign(_) => ApiKey::AlterPartitionReassignments,
            AdminCall::DescribeCluster => ApiKey::DescribeCluster,
        }
    }

    /// Whether Kafka's client sends it to the controller rather than to any broker.
    pub(super) fn needs_controller(&self) -> bool {
        match self {
            AdminCall::CreateTopics(_)
            | AdminCall::DeleteTopics(_)
            | AdminCall::CreatePartitions(_)
            | AdminCall::ElectLeaders(..)
            | AdminCall::Reassign(_) => true,
            AdminCall::DescribeConfigs(_)
            | AdminCall::AlterConfigs(_)
            | AdminCall::AlterQuotas(_)
            | AdminCall::DescribeCluster => false,
        }
    }

    /// The request; the broker may take `timeout` to carry it out. Fit for the newest versions, which every broker of
    /// Kafka 4 speaks.
    pub(super) fn request(&self, timeout: Span) -> RequestKind {
        let timeout_ms = timeout.as_millis() as i32;
        match self {
            AdminCall::CreateTopics(topics) => RequestKind::CreateTopics(
                CreateTopicsRequest::default()
                    .with_topics(topics.iter().map(creatable).collect())
                    .with_timeout_ms(timeout_ms),
            ),
            AdminCall::DeleteTopics(names) => {
                let topics =
                    names.iter().map(|name| DeleteTopicState::default().with_name(Some(name.clone())));
                RequestKind::DeleteTopics(
                    DeleteTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(timeout_ms),
                )
            }
            AdminCall::CreatePartitions(topics) => {
                let topics = topics.iter().map(|(name, count)| {
                    CreatePartitionsTopic::default()
                        .with_name(name.clone())
                        .with_count(*count)
                        .with_assignments(None)
                });
                RequestKind::CreatePartitions(
                    CreatePartitionsRequest::default()
                        .with_topics(topics.collect())
                        .with_timeout_ms(timeout_ms),
                )
            }
            AdminCall::DescribeConfigs(resources) => {
                let resources = resources.iter().map(|resource| {
                    let (kind, name) = resource.parts();
                    DescribeConfigsResource::default()
                        .with_resource_type(kind)
                        .with_resource_name(name)
                        .with_configuration_keys(None)
                });
                RequestKind::DescribeConfigs(
                    DescribeConfigsRequest::default().with_resources(resources.collect()),
                )
            }
            AdminCall::AlterConfigs(resources) => {
                let resources = resources.iter().map(|(resource, changes)| {
                    let (kind, name) = resource.parts();
                    AlterConfigsResource::default()
                        .with_resource_type(kind)
                        .with_resource_name(name)
                        .with_configs(changes.iter().map(alterable).collect())
                });
                RequestKind::IncrementalAlterConfigs(
                    IncrementalAlterConfigsRequest::default().with_resources(resources.collect()),
                )
            }
            AdminCall::AlterQuotas(quotas) => RequestKind::AlterClientQuotas(
                AlterClientQuotasRequest::default().with_entries(quota_entries(quotas)),
            ),
            AdminCall::ElectLeaders(election, partitions) => {
                let election = match election {
                    ElectionType::Preferred => 0,
                    ElectionType::Unclean => 1,
                };
                let topics = partitions.as_ref().map(|partitions| {
                    let mut topics: BTreeMap<TopicName, Vec<i32>> = BTreeMap::new();
                    for tp in partitions {
                        topics.entry(tp.topic.clone()).or_default().push(tp.partition);
                    }
                    let named = |(topic, partitions)| {
                        TopicPartitions::default().with_topic(topic).with_partitions(partitions)
                    };
                    topics.into_iter().map(named).collect()
                });
                RequestKind::ElectLeaders(
                    ElectLeadersRequest::default()
                        .with_election_type(election)
                        .with_topic_partitions(topics)
                        .with_timeout_ms(timeout_ms),
                )
            }
            AdminCall::Reassign(partitions) => {
                let mut topics: BTreeMap<TopicName, Vec<ReassignablePartition>> = BTreeMap::new();
                for (tp, replicas) in partitions {
                    let partition = ReassignablePartition::default()
                        .with_partition_index(tp.partition)
                        .with_replicas(replicas.as_deref().map(broker_ids));
                    topics.entry(tp.topic.clone()).or_default().push(partition);
                }
                let topics = topics.into_iter().map(|(name, partitions)| {
                    ReassignableTopic::default().with_name(name).with_partitions(partitions)
                });
                RequestKind::AlterPartitionReassignments(
                    AlterPartitionReassignmentsRequest::default()
                        .with_topics(topics.collect())
                        .with_timeout_ms(timeout_ms),
                )
            }
            AdminCall::DescribeCluster => RequestKind::DescribeCluster(DescribeClusterRequest::default()),
        }
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let configs = topic.configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    });
    let assignments = topic.assignments.iter().zip(0..).map(|(replicas, index)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(broker_ids(replicas))
    });
    // Who says where the replicas are must not say how many there are.
    let counted = |count| if topic.assignments.is_empty() { count } else { -1 };
    CreatableTopic::default()
        .with_name(topic.name.clone())
        .with_num_partitions(counted(topic.partitions))
        .with_replication_factor(counted(i32::from(topic.replication_factor)) as i16)
        .with_assignments(assignments.collect())
        .with_configs(configs.collect())
}

/// One entry for each client id, whatever it has quotas for.
fn quota_entries(quotas: &[AlterQuota]) -> Vec<EntryData> {
    let mut by_client: BTreeMap<Option<&StrBytes>, Vec<OpData>> = BTreeMap::new();
    for quota in quotas {
        let op = OpData::default()
            .with_key(quota.key.clone())
            .with_value(f64::from(quota.value.unwrap_or(0)))
            .with_remove(quota.value.is_none());
        by_client.entry(quota.client_id.as_ref()).or_default().push(op);
    }
    let entries = by_client.into_iter().map(|(client_id, ops)| {
        let part = EntityData::default()
            .with_entity_type(StrBytes::from_static_str("client-id"))
            .with_entity_name(client_id.cloned());
        EntryData::default().with_entity(vec![part]).with_ops(ops)
    });
    entries.collect()
}

fn broker_ids(nodes: &[NodeId]) -> Vec<BrokerId> {
    nodes.iter().map(|node| BrokerId(node.0)).collect()
}

fn alterable(change: &AlterConfig) -> AlterableConfig {
    const SET: i8 = 0;
    const DELETE: i8 = 1;
    let operation = if change.value.is_some() { SET } else { DELETE };
    AlterableConfig::default()
        .with_name(change.name.clone())
        .with_config_operation(operation)
        .with_value(change.value.clone())
}

/// Whether a response says that the cluster could not take the request now: no controller, or another one.
pub(super) fn must_retry(response: &ResponseKind) -> bool {
    let away = |code: i16| {
        ErrorCode::try_from_code(code).is_some_and(|error| {
            matches!(
                error,
                ErrorCode::NotController
                    | ErrorCode::BrokerNotAvailable
                    | ErrorCode::RequestTimedOut
                    | ErrorCode::NetworkException
                    | ErrorCode::ThrottlingQuotaExceeded
            )
        })
    };
    match response {
        ResponseKind::CreateTopics(r) => r.topics.iter().any(|topic| away(topic.error_code)),
        ResponseKind::DeleteTopics(r) => r.responses.iter().any(|topic| away(topic.error_code)),
        ResponseKind::CreatePartitions(r) => r.results.iter().any(|topic| away(topic.error_code)),
        ResponseKind::DescribeConfigs(r) => r.results.iter().any(|resource| away(resource.error_code)),
        ResponseKind::IncrementalAlterConfigs(r) => {
            r.responses.iter().any(|resource| away(resource.error_code))
        }
        ResponseKind::AlterClientQuotas(r) => r.entries.iter().any(|entry| away(entry.error_code)),
        ResponseKind::ElectLeaders(r) => away(r.error_code),
        ResponseKind::AlterPartitionReassignments(r) => away(r.error_code),
        ResponseKind::DescribeCluster(r) => away(r.error_code),
        _ => false,
    }
}
