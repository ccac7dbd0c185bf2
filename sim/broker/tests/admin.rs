//! What operators ask of a cluster, through any broker.

mod harness;

use harness::{Cluster, Received};
use trial_broker::{BROKER_PORT, CONTROLLER_PORT};
use trial_node::view::BrokerView;
use trial_node::{NodeId, Span};
use trial_wire::messages::create_partitions_request::CreatePartitionsTopic;
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::delete_topics_request::DeleteTopicState;
use trial_wire::messages::describe_configs_request::DescribeConfigsResource;
use trial_wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use trial_wire::messages::describe_quorum_request::{PartitionData, TopicData};
use trial_wire::messages::elect_leaders_request::TopicPartitions;
use trial_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use trial_wire::messages::{
    ApiVersionsRequest, BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeQuorumRequest, ElectLeadersRequest,
    IncrementalAlterConfigsRequest, ListConfigResourcesRequest, MetadataRequest, UnregisterBrokerRequest,
};
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;

fn text(s: &str) -> StrBytes {
    StrBytes::from(s.to_owned())
}

macro_rules! ask {
    ($cluster:expr, $to:expr, $kind:ident, $request:expr) => {
        match $cluster.ask($to, BROKER_PORT, $request) {
            ResponseKind::$kind(response) => response,
            other => panic!("not an answer: {other:?}"),
        }
    };
}

fn create(cluster: &mut Cluster, topic: &str) {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(topic)))
        .with_num_partitions(1)
        .with_replication_factor(3);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    assert_eq!(ask!(cluster, 1, CreateTopics, request).topics[0].error_code, 0);
    cluster.run(Span::from_millis(500));
}

/// How many partitions a topic has, as broker `i` knows it.
fn partitions(cluster: &Cluster, i: usize, topic: &str) -> usize {
    let mut count = 0;
    cluster.broker(i).partitions(&mut |partition| count += usize::from(partition.topic.as_str() == topic));
    count
}

fn leader(cluster: &Cluster, topic: &str) -> NodeId {
    let mut leader = NodeId::NONE;
    cluster.broker(0).partitions(&mut |partition| {
        if partition.topic.as_str() == topic {
            leader = partition.leader;
        }
    });
    leader
}

#[test]
fn partitions_are_added_and_topics_deleted() {
    let mut cluster = Cluster::running(3, &[]);
    create(&mut cluster, "orders");
    let more = CreatePartitionsTopic::default()
        .with_name(TopicName(text("orders")))
        .with_count(5)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(1_000);
    assert_eq!(ask!(cluster, 2, CreatePartitions, request).results[0].error_code, 0);
    cluster.run(Span::from_millis(500));
    assert_eq!((0..3).map(|i| partitions(&cluster, i, "orders")).collect::<Vec<_>>(), [5, 5, 5]);

    let gone = DeleteTopicState::default().with_name(Some(TopicName(text("orders"))));
    let request = DeleteTopicsRequest::default().with_topics(vec![gone]).with_timeout_ms(1_000);
    assert_eq!(ask!(cluster, 0, DeleteTopics, request.clone()).responses[0].error_code, 0);
    cluster.run(Span::from_millis(500));
    assert_eq!((0..3).map(|i| partitions(&cluster, i, "orders")).collect::<Vec<_>>(), [0, 0, 0]);
    let again = ask!(cluster, 0, DeleteTopics, request).responses[0].error_code;
    assert_eq!(again, ErrorCode::UnknownTopicOrPartition.code());
}

/// The configs of a resource as broker `to` describes them.
#[track_caller]
fn configs(
    cluster: &mut Cluster,
    to: usize,
    kind: i8,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, i16> {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configuration_keys(None);
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    let result = ask!(cluster, to, DescribeConfigs, request).results.remove(0);
    if result.error_code == 0 { Ok(result.configs) } else { Err(result.error_code) }
}

/// The value of a config and the number of its source.
fn value(configs: &[DescribeConfigsResourceResult], name: &str) -> (String, i8) {
    let config = configs.iter().find(|config| config.name.as_str() == name).expect("it is there");
    (config.value.as_ref().expect("it has a value").to_string(), config.config_source)
}

fn alter(cluster: &mut Cluster, kind: i8, resource: &str, name: &str, value: &str) -> i16 {
    let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(resource))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let code = ask!(cluster, 0, IncrementalAlterConfigs, request).responses[0].error_code;
    cluster.run(Span::from_millis(200));
    code
}

#[test]
fn configs_are_changed_and_described_with_their_source() {
    let mut cluster = Cluster::running(3, &[("min.insync.replicas", "2")]);
    create(&mut cluster, "orders");
    let before = configs(&mut cluster, 1, TOPIC, "orders").expect("the topic exists");
    assert_eq!(value(&before, "min.insync.replicas"), ("2".to_owned(), 4));
    assert_eq!(value(&before, "segment.ms"), ("604800000".to_owned(), 5));
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "min.insync.replicas", "3"), 0);
    assert_eq!(alter(&mut cluster, BROKER, "", "log.roll.ms", "1000"), 0);
    let after = configs(&mut cluster, 1, TOPIC, "orders").expect("the topic exists");
    assert_eq!(value(&after, "min.insync.replicas"), ("3".to_owned(), 1));
    assert_eq!(value(&after, "segment.ms"), ("1000".to_owned(), 3));

    let defaults = configs(&mut cluster, 1, BROKER, "").expect("the cluster's defaults");
    assert_eq!(defaults.len(), 1);
    assert_eq!(value(&defaults, "log.roll.ms"), ("1000".to_owned(), 3));
    assert!(configs(&mut cluster, 1, BROKER, "1").is_ok());
    assert_eq!(configs(&mut cluster, 1, BROKER, "2"), Err(ErrorCode::InvalidRequest.code()));
    assert_eq!(configs(&mut cluster, 1, TOPIC, "none"), Err(ErrorCode::UnknownTopicOrPartition.code()));
    let invalid = ErrorCode::InvalidConfig.code();
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "no.such.config", "1"), invalid);
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "flush.ms", "1"), invalid);
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "cleanup.policy", "shred"), invalid);
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "cleanup.policy", "compact,delete"), 0);
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "cleanup.policy", "delete"), 0);
}

#[test]
fn configs_that_nothing_obeys_are_shown_and_stay_as_they_are() {
    let mut cluster = Cluster::running(3, &[]);
    create(&mut cluster, "orders");
    let (invalid, refused) = (ErrorCode::InvalidConfig.code(), ErrorCode::InvalidRequest.code());
    let of_topic = |cluster: &mut Cluster| configs(cluster, 0, TOPIC, "orders").expect("the topic exists");
    assert_eq!(value(&of_topic(&mut cluster), "flush.ms"), (i64::MAX.to_string(), 5));
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "remote.storage.enable", "true"), invalid);
    assert_eq!(alter(&mut cluster, TOPIC, "orders", "remote.storage.enable", "false"), 0);
    assert_eq!(value(&of_topic(&mut cluster), "remote.storage.enable"), ("false".to_owned(), 1));

    let of_broker = |cluster: &mut Cluster| configs(cluster, 0, BROKER, "0").expect("the broker is asked");
    let found = of_broker(&mut cluster);
    assert_eq!(value(&found, "node.id"), ("0".to_owned(), 4));
    let read_only = |name: &str| found.iter().any(|config| config.name.as_str() == name && config.read_only);
    assert!(read_only("node.id") && !read_only("num.io.threads"));
    assert!(value(&found, "advertised.listeners").0.ends_with(":9092"));
    assert_eq!(alter(&mut cluster, BROKER, "0", "node.id", "9"), refused);
    assert_eq!(alter(&mut cluster, BROKER, "", "num.io.threads", "many"), refused);
    for name in ["num.io.threads", "log.cleaner.backoff.ms", "log.cleaner.io.max.bytes.per.second"] {
        assert_eq!(alter(&mut cluster, BROKER, "", name, "16"), 0, "{name}");
        assert_eq!(value(&of_broker(&mut cluster), name), ("16".to_owned(), 3));
        assert_eq!(alter(&mut cluster, BROKER, "0", name, "17"), 0, "{name}");
        assert_eq!(value(&of_broker(&mut cluster), name), ("17".to_owned(), 2));
    }
}

#[test]
fn subscriptions_to_metrics_are_kept_described_and_listed() {
    let mut cluster = Cluster::running(1, &[]);
    let refused = ErrorCode::InvalidRequest.code();
    assert_eq!(alter(&mut cluster, CLIENT_METRICS, "slow", "interval.ms", "99"), refused);
    assert_eq!(alter(&mut cluster, CLIENT_METRICS, "slow", "match", "colour=red"), refused);
    assert_eq!(alter(&mut cluster, CLIENT_METRICS, "slow", "no.such", "1"), refused);
    assert_eq!(alter(&mut cluster, CLIENT_METRICS, "", "interval.ms", "60000"), refused);
    assert_eq!(alter(&mut cluster, CLIENT_METRICS, "slow", "match", "client_id=app-.*"), 0);
    let found = configs(&mut cluster, 0, CLIENT_METRICS, "slow").expect("it is there");
    assert_eq!(value(&found, "match"), ("client_id=app-.*".to_owned(), 7));
    assert_eq!(value(&found, "interval.ms"), ("300000".to_owned(), 5));
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![CLIENT_METRICS]);
    let listed = ask!(cluster, 0, ListConfigResources, request).config_resources;
    assert_eq!(listed.iter().map(|one| one.resource_name.as_str()).collect::<Vec<_>>(), ["slow"]);
}

#[test]
fn leaderships_go_back_to_the_preferred_replica() {
    let mut cluster = Cluster::running(3, &[]);
    create(&mut cluster, "orders");
    let preferred = leader(&cluster, "orders");
    let index = preferred.0 as usize;
    cluster.signal(index, trial_node::Signal::Terminate);
    cluster.run_until("it has stopped", |cluster| !cluster.is_up(index));
    cluster.start(index);
    cluster.run_until("it is back in sync", |cluster| {
        let mut isr = 0;
        cluster.broker(0).partitions(&mut |partition| isr = partition.isr.len());
        cluster.unfenced() == 3 && isr == 3
    });
    assert_ne!(leader(&cluster, "orders"), preferred);
    let topic = TopicPartitions::default().with_topic(TopicName(text("orders"))).with_partitions(vec![0]);
    let request =
        ElectLeadersRequest::default().with_topic_partitions(Some(vec![topic])).with_timeout_ms(1_000);
    let response = ask!(cluster, 2, ElectLeaders, request);
    assert_eq!(response.replica_election_results[0].partition_result[0].error_code, 0);
    cluster.run(Span::from_millis(200));
    assert_eq!(leader(&cluster, "orders"), preferred);
}

#[test]
fn every_broker_describes_cluster_and_quorum() {
    let mut cluster = Cluster::running(3, &[]);
    cluster.run(Span::from_secs(2));
    let controller = cluster.quorum_leader().expect("one leads") as i32;
    for i in 0..3 {
        let response =
            ask!(cluster, i, DescribeCluster, DescribeClusterRequest::default().with_endpoint_type(1));
        let brokers: Vec<i32> = response.brokers.iter().map(|broker| broker.broker_id.0).collect();
        assert_eq!(brokers, [0, 1, 2]);
        let partition = PartitionData::default().with_partition_index(0);
        let topic = TopicData::default()
            .with_topic_name(TopicName(text("__cluster_metadata")))
            .with_partitions(vec![partition]);
        let response =
            ask!(cluster, i, DescribeQuorum, DescribeQuorumRequest::default().with_topics(vec![topic]));
        assert_eq!(response.error_code, 0);
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0), (0, controller));
        assert_eq!(partition.current_voters.len(), 3);
    }
    let mismatched = DescribeClusterRequest::default().with_endpoint_type(2);
    assert_eq!(
        ask!(cluster, 0, DescribeCluster, mismatched.clone()).error_code,
        ErrorCode::MismatchedEndpointType.code()
    );
    let ResponseKind::DescribeCluster(response) = cluster.ask(0, CONTROLLER_PORT, mismatched) else {
        panic!("not an answer")
    };
    assert_eq!((response.controller_id.0, response.brokers.len()), (controller, 3));
}

#[test]
fn each_listener_says_what_it_speaks() {
    let mut cluster = Cluster::running(1, &[]);
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("trial"))
        .with_client_software_version(text("1.0"));
    for (port, served, not_served) in
        [(BROKER_PORT, ApiKey::Produce, ApiKey::Vote), (CONTROLLER_PORT, ApiKey::Vote, ApiKey::Produce)]
    {
        let ResponseKind::ApiVersions(response) = cluster.ask(0, port, request.clone()) else {
            panic!("not an answer")
        };
        assert_eq!(response.error_code, 0);
        let speaks = |key: ApiKey| response.api_keys.iter().any(|api| api.api_key == key as i16);
        assert!(speaks(served) && !speaks(not_served));
        let finalized = response.finalized_features.iter();
        let finalized = finalized.map(|feature| (feature.name.as_str(), feature.max_version_level));
        assert_eq!(
            finalized.collect::<Vec<_>>(),
            [("group.version", 1), ("metadata.version", 25), ("transaction.version", 2)]
        );
    }
    let nameless = ApiVersionsRequest::default().with_client_software_name(text("-"));
    let ResponseKind::ApiVersions(response) = cluster.ask(0, BROKER_PORT, nameless) else {
        panic!("not an answer")
    };
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn a_broker_is_taken_out_of_the_cluster() {
    let mut cluster = Cluster::running(3, &[]);
    let gone = (cluster.quorum_leader().expect("one leads") + 1) % 3;
    cluster.kill(gone);
    let other = (gone + 1) % 3;
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(gone as i32));
    assert_eq!(ask!(cluster, other, UnregisterBroker, request).error_code, 0);
    cluster.run(Span::from_millis(200));
    let response = ask!(cluster, other, Metadata, MetadataRequest::default().with_topics(Some(Vec::new())));
    assert_eq!(response.brokers.len(), 2);
}

#[test]
fn who_waits_for_a_controller_that_loses_its_majority_is_told() {
    let mut cluster = Cluster::running(3, &[]);
    let controller = cluster.quorum_leader().expect("one leads");
    (0..3).filter(|i| *i != controller).for_each(|i| cluster.isolate(i));
    let conn = cluster.connect(controller, CONTROLLER_PORT);
    let topic = CreatableTopic::default()
        .with_name(TopicName(text("t")))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
    cluster.send(conn, 7, RequestKind::CreateTopics(request));
    cluster.run_until("an answer", |cluster| !cluster.inbox.is_empty());
    let Some((_, Received::Response(response))) = cluster.inbox.pop() else { panic!("not an answer") };
    let ResponseKind::CreateTopics(response) = *response.body else { panic!("not an answer") };
    assert_eq!(response.topics[0].error_code, ErrorCode::NotController.code());
    assert!(!cluster.broker(controller).quorum().is_leader);
}

#[test]
fn a_forwarded_request_waits_for_a_controller_and_is_given_up_after_a_minute() {
    let mut cluster = Cluster::running(3, &[]);
    let controller = cluster.quorum_leader().expect("one leads");
    let other = (controller + 1) % 3;
    (0..3).filter(|i| *i != other).for_each(|i| cluster.kill(i));
    let conn = cluster.connect(other, BROKER_PORT);
    let topic = CreatableTopic::default()
        .with_name(TopicName(text("t")))
        .with_num_partitions(1)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(1_000);
    cluster.send(conn, 7, RequestKind::CreateTopics(request.clone()));
    cluster.run(Span::from_secs(59));
    assert!(cluster.inbox.is_empty());
    cluster.run(Span::from_secs(2));
    let Some((_, Received::Response(response))) = cluster.inbox.pop() else { panic!("not an answer") };
    let ResponseKind::CreateTopics(response) = *response.body else { panic!("not an answer") };
    assert_eq!(response.topics[0].error_code, ErrorCode::RequestTimedOut.code());

    cluster.send(conn, 7, RequestKind::CreateTopics(request));
    cluster.run(Span::from_secs(5));
    cluster.start(controller);
    cluster.run_until("an answer", |cluster| !cluster.inbox.is_empty());
    let Some((_, Received::Response(response))) = cluster.inbox.pop() else { panic!("not an answer") };
    let ResponseKind::CreateTopics(response) = *response.body else { panic!("not an answer") };
    assert_eq!(response.topics[0].error_code, 0);
}
