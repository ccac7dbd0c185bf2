//! CreateTopics, DeleteTopics, CreatePartitions.

use trial_node::{NodeId, TopicIdPartition, TraceEvent};
use trial_wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use trial_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use trial_wire::messages::delete_topics_request::DeleteTopicState;
use trial_wire::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DeleteTopicsResponse,
};
use trial_wire::{ErrorCode, StrBytes, TopicName, Uuid};

use super::super::testing::{TestCluster, nodes, topic_name};
use super::code;
use crate::record::{ConfigResource, MetadataRecord, PartitionRegistration};

fn topic(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from(name.to_owned())))
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
}

fn create_error(cluster: &mut TestCluster, topic: CreatableTopic) -> i16 {
    let response = cluster.create(topic);
    assert_eq!(cluster.last.0, []);
    response.topics[0].error_code
}

#[test]
fn a_topic_comes_with_its_configs_and_partitions() {
    let mut cluster = TestCluster::of(3, &[]);
    let configs = &[("min.insync.replicas", "2")];
    let topic_id = cluster.create_assigned("orders", &[&[0, 1, 2], &[1, 2, 0]], configs);
    let directories = |ids: &[u128]| ids.iter().map(|id| Uuid::from_u128(1_000 + id)).collect::<Vec<_>>();
    let partition = |index, replicas: &[i32], dirs: &[u128]| MetadataRecord::Partition {
        id: TopicIdPartition { topic_id, partition: index },
        registration: PartitionRegistration {
            replicas: nodes(replicas),
            directories: directories(dirs),
            isr: nodes(replicas),
            leader: NodeId(replicas[0]),
            ..PartitionRegistration::default()
        },
    };
    assert_eq!(
        cluster.last.0,
        [
            MetadataRecord::Topic { name: topic_name("orders"), topic_id },
            MetadataRecord::Config {
                resource: ConfigResource::Topic(topic_name("orders")),
                name: StrBytes::from("min.insync.replicas"),
                value: Some(StrBytes::from("2")),
            },
            partition(0, &[0, 1, 2], &[0, 1, 2]),
            partition(1, &[1, 2, 0], &[1, 2, 0]),
        ]
    );
    let kinds: Vec<_> = cluster.last.1.iter().map(TraceEvent::kind).collect();
    assert_eq!(kinds, ["topic-created", "leader-elected", "leader-elected"]);
    assert_eq!(topic_id.get_version_num(), 4);
}

#[test]
fn the_answer_tells_what_was_created() {
    let mut cluster = TestCluster::of(3, &[("num.partitions", "4"), ("default.replication.factor", "3")]);
    let response = cluster.create(topic("orders", -1, -1));
    let result = &response.topics[0];
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 4, 3));
    let configs = result.configs.as_ref().unwrap();
    let segment = configs.iter().find(|config| config.name.as_str() == "segment.bytes").unwrap();
    assert_eq!((segment.value.as_ref().unwrap().as_str(), segment.config_source), ("1073741824", 5));
    assert_eq!(cluster.image.topic(result.topic_id).unwrap().partitions.len(), 4);
}

#[test]
fn fenced_replicas_start_outside_the_isr() {
    let mut cluster = TestCluster::of(3, &[]);
    cluster.fence(1);
    let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    assert_eq!(cluster.state(topic_id), (2, 0, nodes(&[2, 0])));
}

#[test]
fn topics_that_make_no_sense_are_refused() {
    let mut cluster = TestCluster::of(2, &[]);
    cluster.create_assigned("my.topic", &[&[0]], &[]);
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "ärger", "a/b", "my_topic", &long] {
        assert_eq!(
            create_error(&mut cluster, topic(name, 1, 1)),
            code(ErrorCode::InvalidTopicException),
            "{name}"
        );
    }
    let cases = [
        (topic("my.topic", 1, 1), ErrorCode::TopicAlreadyExists),
        (topic("__cluster_metadata", 1, 1), ErrorCode::InvalidRequest),
        (topic("a", 0, 1), ErrorCode::InvalidPartitions),
        (topic("a", -2, 1), ErrorCode::InvalidPartitions),
        (topic("a", 1, 0), ErrorCode::InvalidReplicationFactor),
        (topic("a", 1, 3), ErrorCode::InvalidReplicationFactor),
        (topic("a", 10_000, 1), ErrorCode::PolicyViolation),
        (topic("a", 1, 1).with_configs(vec![CreatableTopicConfig::default()]), ErrorCode::InvalidConfig),
        (
            topic("a", 1, 1).with_configs(vec![
                CreatableTopicConfig::default()
                    .with_name(StrBytes::from("segment.bytes"))
                    .with_value(Some(StrBytes::from("-1"))),
            ]),
            ErrorCode::InvalidConfig,
        ),
    ];
    for (topic, error) in cases {
        assert_eq!(create_error(&mut cluster, topic.clone()), code(error), "{topic:?}");
    }
    let assigned = |partitions, factor, assignments: &[(i32, &[i32])]| {
        let assignments = assignments.iter().map(|(index, replicas)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(*index)
                .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
        });
        topic("a", partitions, factor).with_assignments(assignments.collect())
    };
    let cases = [
        (assigned(1, -1, &[(0, &[0])]), ErrorCode::InvalidRequest),
        (assigned(-1, 1, &[(0, &[0])]), ErrorCode::InvalidRequest),
        (assigned(-1, -1, &[(0, &[])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(-1, -1, &[(0, &[0, 0])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(-1, -1, &[(0, &[7])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(-1, -1, &[(1, &[0])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(-1, -1, &[(0, &[0]), (0, &[1])]), ErrorCode::InvalidReplicaAssignment),
        (assigned(-1, -1, &[(0, &[0]), (1, &[0, 1])]), ErrorCode::InvalidReplicaAssignment),
    ];
    for (topic, error) in cases {
        assert_eq!(create_error(&mut cluster, topic.clone()), code(error), "{topic:?}");
    }
    cluster.fence(0);
    assert_eq!(
        create_error(&mut cluster, assigned(-1, -1, &[(0, &[0])])),
        code(ErrorCode::InvalidReplicaAssignment)
    );
    cluster.fence(1);
    assert_eq!(create_error(&mut cluster, topic("a", 1, 1)), code(ErrorCode::InvalidReplicationFactor));
}

#[test]
fn a_request_may_only_ask_whether_or_name_a_topic_twice() {
    let mut cluster = TestCluster::of(1, &[]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic("a", 1, 1), topic("b", 1, 1), topic("a", 2, 1)])
        .with_validate_only(true);
    let result = cluster.controller.create_topics(&request, &mut cluster.rng);
    assert_eq!(result.records, []);
    let answers: Vec<_> =
        result.response.topics.iter().map(|topic| (topic.name.as_str(), topic.error_code)).collect();
    assert_eq!(answers, [("a", code(ErrorCode::InvalidRequest)), ("b", 0)]);
}

fn delete(cluster: &mut TestCluster, topics: &[(Option<&'static str>, Uuid)]) -> DeleteTopicsResponse {
    let topics = topics
        .iter()
        .map(|(name, id)| DeleteTopicState::default().with_name(name.map(topic_name)).with_topic_id(*id));
    let request = DeleteTopicsRequest::default().with_topics(topics.collect());
    let result = cluster.controller.delete_topics(&request);
    cluster.carry_out(result)
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let mut cluster = TestCluster::of(1, &[]);
    let a = cluster.create_assigned("a", &[&[0]], &[("segment.bytes", "1000")]);
    let b = cluster.create_assigned("b", &[&[0]], &[]);
    let response = delete(
        &mut cluster,
        &[(Some("a"), Uuid::nil()), (None, b), (Some("c"), Uuid::nil()), (None, Uuid::from_u128(9))],
    );
    assert_eq!(
        cluster.last.0,
        [MetadataRecord::RemoveTopic { topic_id: a }, MetadataRecord::RemoveTopic { topic_id: b }]
    );
    assert_eq!(cluster.last.1[0], TraceEvent::TopicDeleted { topic: topic_name("a") });
    let errors: Vec<_> = response.responses.iter().map(|topic| topic.error_code).collect();
    let expected = [0, 0, code(ErrorCode::UnknownTopicOrPartition), code(ErrorCode::UnknownTopicId)];
    assert_eq!(errors, expected);
    assert_eq!(
        (response.responses[0].topic_id, response.responses[1].name.clone()),
        (a, Some(topic_name("b")))
    );
    assert!(cluster.image.topics().is_empty() && cluster.image.topic_ids().is_empty());
    assert_eq!(cluster.image.config(&ConfigResource::Topic(topic_name("a"))), None);

    // The name is free again, for another topic.
    assert_ne!(cluster.create_assigned("a", &[&[0]], &[]), a);
    let both = delete(&mut cluster, &[(Some("a"), Uuid::from_u128(1)), (None, Uuid::nil())]);
    assert!(both.responses.iter().all(|topic| topic.error_code == code(ErrorCode::InvalidRequest)));
}

#[test]
fn a_topic_that_is_named_twice_is_not_deleted() {
    let mut cluster = TestCluster::of(1, &[]);
    let a = cluster.create_assigned("a", &[&[0]], &[]);
    let b = cluster.create_assigned("b", &[&[0]], &[]);
    let name = |name| (Some(name), Uuid::nil());
    for twice in [[name("a"), name("a")], [name("a"), (None, a)], [(None, a), (None, a)]] {
        let response = delete(&mut cluster, &twice);
        assert_eq!(cluster.last.0, []);
        let errors: Vec<_> = response.responses.iter().map(|topic| topic.error_code).collect();
        assert_eq!(errors, [code(ErrorCode::InvalidRequest)]);
    }
    delete(&mut cluster, &[name("a"), name("b"), (None, a)]);
    assert_eq!(cluster.last.0, [MetadataRecord::RemoveTopic { topic_id: b }]);
}

#[test]
fn deletion_can_be_forbidden() {
    let mut cluster = TestCluster::of(1, &[("delete.topic.enable", "false")]);
    cluster.create_assigned("a", &[&[0]], &[]);
    let response = delete(&mut cluster, &[(Some("a"), Uuid::nil())]);
    assert_eq!(response.responses[0].error_code, code(ErrorCode::TopicDeletionDisabled));
    assert_eq!(cluster.last.0, []);
}

#[test]
fn partitions_are_added_at_the_end() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[0, 1]], &[]);
    let grow = |cluster: &mut TestCluster, name, count, assignments: Option<&[&[i32]]>| {
        let assignments = assignments.map(|lists| {
            let lists = lists.iter().map(|replicas| {
                CreatePartitionsAssignment::default()
                    .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
            });
            lists.collect()
        });
        let topic = CreatePartitionsTopic::default()
            .with_name(topic_name(name))
            .with_count(count)
            .with_assignments(assignments);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
        let result = cluster.controller.create_partitions(&request, &mut cluster.rng);
        cluster.carry_out(result).results[0].error_code
    };
    assert_eq!(grow(&mut cluster, "orders", 1, None), code(ErrorCode::InvalidPartitions));
    assert_eq!(grow(&mut cluster, "nosuch", 2, None), code(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(grow(&mut cluster, "orders", 2, Some(&[])), code(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(grow(&mut cluster, "orders", 2, Some(&[&[0]])), code(ErrorCode::InvalidReplicaAssignment));
    assert_eq!(grow(&mut cluster, "orders", 2, Some(&[&[2, 1]])), 0);
    assert_eq!(cluster.partition(topic_id, 1).replicas, nodes(&[2, 1]));
    assert_eq!(grow(&mut cluster, "orders", 4, None), 0);
    assert_eq!(cluster.last.0.len(), 2);
    assert_eq!(cluster.partition(topic_id, 3).replicas.len(), 2);
}
