//! What admin clients ask that is answered from metadata, logs or the table of APIs.

mod harness;

use harness::Cluster;
use trial_broker::BROKER_PORT;
use trial_node::Span;
use trial_wire::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use trial_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use trial_wire::messages::delete_topics_request::DeleteTopicState;
use trial_wire::messages::describe_configs_request::DescribeConfigsResource;
use trial_wire::messages::describe_log_dirs_request::DescribableLogDirTopic;
use trial_wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::update_features_request::FeatureUpdateKey;
use trial_wire::messages::{
    AlterConfigsRequest, ConsumerGroupHeartbeatRequest, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeTopicPartitionsRequest,
    FindCoordinatorRequest, GroupId, ListConfigResourcesRequest, MetadataRequest, UpdateFeaturesRequest,
};
use trial_wire::{ErrorCode, ResponseKind, StrBytes, TopicName};

fn text(s: &str) -> StrBytes {
    StrBytes::from(s.to_owned())
}

fn name(s: &str) -> TopicName {
    TopicName(text(s))
}

macro_rules! ask {
    ($cluster:expr, $kind:ident, $request:expr) => {
        match $cluster.ask(0, BROKER_PORT, $request) {
            ResponseKind::$kind(response) => response,
            other => panic!("not an answer: {other:?}"),
        }
    };
}

fn topic(topic: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

fn create(cluster: &mut Cluster, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let response = ask!(cluster, CreateTopics, request.with_timeout_ms(1000));
    cluster.run(Span::from_millis(500));
    response
}

fn created(topics: &[(&str, i32)]) -> Cluster {
    let mut cluster = Cluster::running(1, &[]);
    let topics = topics.iter().map(|(name, partitions)| topic(name, *partitions)).collect();
    create(&mut cluster, CreateTopicsRequest::default().with_topics(topics));
    cluster
}

#[test]
fn topics_are_described_a_page_at_a_time() {
    let mut cluster = created(&[("a", 3), ("b", 2), ("c", 1)]);
    let mut page = |topics: &[&str], limit, cursor: Option<(&str, i32)>| {
        let topics = topics.iter().map(|topic| TopicRequest::default().with_name(name(topic)));
        let cursor = cursor.map(|(topic, partition)| {
            Cursor::default().with_topic_name(name(topic)).with_partition_index(partition)
        });
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics.collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor);
        let response = ask!(cluster, DescribeTopicPartitions, request);
        let topics = response.topics.iter().map(|topic| {
            let partitions: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
            (topic.name.as_ref().expect("it has a name").to_string(), topic.error_code, partitions)
        });
        let next = response.next_cursor.map(|next| (next.topic_name.to_string(), next.partition_index));
        (topics.collect::<Vec<_>>(), next)
    };
    let of = |name: &str, partitions: &[i32]| (name.to_owned(), 0, partitions.to_vec());
    assert_eq!(page(&[], 2, None), (vec![of("a", &[0, 1])], Some(("a".to_owned(), 2))));
    assert_eq!(
        page(&[], 3, Some(("a", 2))),
        (vec![of("a", &[2]), of("b", &[0, 1])], Some(("c".to_owned(), 0)))
    );
    assert_eq!(page(&[], 3, Some(("c", 0))), (vec![of("c", &[0])], None));
    // In the order of the names, whatever the order of the request.
    assert_eq!(page(&["c", "a"], 2000, None), (vec![of("a", &[0, 1, 2]), of("c", &[0])], None));
    let unknown = ("none".to_owned(), ErrorCode::UnknownTopicOrPartition.code(), Vec::new());
    assert_eq!(page(&["none"], 10, None), (vec![unknown], None));
    // The cursor must be within what is asked for.
    let refused = ("a".to_owned(), ErrorCode::InvalidRequest.code(), Vec::new());
    assert_eq!(page(&["a"], 10, Some(("b", 0))), (vec![refused], None));
}

#[test]
fn log_directories_say_how_large_replicas_are() {
    let mut cluster = created(&[("a", 2), ("b", 1)]);
    let all = ask!(cluster, DescribeLogDirs, DescribeLogDirsRequest::default().with_topics(None));
    assert_eq!((all.error_code, all.results.len(), all.results[0].error_code), (0, 1, 0));
    let shown = all.results[0].topics.iter().map(|topic| (topic.name.to_string(), topic.partitions.len()));
    assert_eq!(shown.collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
    assert_eq!((all.results[0].total_bytes, all.results[0].usable_bytes), (-1, -1));
    let one = DescribableLogDirTopic::default().with_topic(name("a")).with_partitions(vec![1, 9]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![one]));
    let one = ask!(cluster, DescribeLogDirs, request);
    assert_eq!(one.results[0].topics.len(), 1);
    let partitions: Vec<i32> =
        one.results[0].topics[0].partitions.iter().map(|p| p.partition_index).collect();
    assert_eq!(partitions, [1]);
}

#[test]
fn features_go_down_only_if_that_is_said_and_all_or_none_change() {
    let mut cluster = Cluster::running(3, &[]);
    let mut update = |updates: &[(&str, i16, i8)]| {
        let updates = updates.iter().map(|(feature, level, upgrade_type)| {
            FeatureUpdateKey::default()
                .with_feature(text(feature))
                .with_max_version_level(*level)
                .with_upgrade_type(*upgrade_type)
        });
        let request = UpdateFeaturesRequest::default().with_feature_updates(updates.collect());
        let response = ask!(cluster, UpdateFeatures, request);
        cluster.run(Span::from_millis(200));
        (response.error_code, response.results.len())
    };
    let refused = (ErrorCode::InvalidUpdateVersion.code(), 0);
    assert_eq!(update(&[("transaction.version", 1, 1)]), refused, "an upgrade does not go down");
    assert_eq!(update(&[("transaction.version", 9, 1)]), refused);
    assert_eq!(update(&[("no.such.version", 1, 1)]), refused);
    assert_eq!(update(&[("metadata.version", 24, 2)]), refused);
    assert_eq!(update(&[("transaction.version", 1, 2), ("group.version", 5, 1)]), refused);
    assert_eq!(update(&[("transaction.version", 2, 2)]), (0, 0), "the level that it is at");
    assert_eq!(update(&[("transaction.version", 1, 2)]), (0, 0));
    assert_eq!(update(&[("transaction.version", 2, 2)]), refused, "a downgrade does not go up");
    assert_eq!(update(&[("transaction.version", 2, 1)]), (0, 0));
}

#[test]
fn what_the_old_request_does_not_name_goes() {
    let mut cluster = created(&[("a", 1)]);
    let mut alter = |configs: &[(&str, &str)], validate_only| {
        let configs = configs.iter().map(|(name, value)| {
            AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)))
        });
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("a"))
            .with_configs(configs.collect());
        let request =
            AlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(validate_only);
        let code = ask!(cluster, AlterConfigs, request).responses[0].error_code;
        cluster.run(Span::from_millis(200));
        let resource = DescribeConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("a"))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let configs = ask!(cluster, DescribeConfigs, request).results.remove(0).configs.into_iter();
        let own = configs.filter(|config| config.config_source == 1);
        let own = own.map(|config| format!("{}={}", config.name, config.value.unwrap_or_default()));
        (code, own.collect::<Vec<_>>())
    };
    assert_eq!(alter(&[("segment.ms", "5"), ("max.message.bytes", "9")], false).0, 0);
    let (code, left) = alter(&[("segment.ms", "6")], false);
    assert_eq!((code, left), (0, vec!["segment.ms=6".to_owned()]));
    let (code, left) = alter(&[("segment.ms", "x")], false);
    assert_eq!((code, left), (ErrorCode::InvalidConfig.code(), vec!["segment.ms=6".to_owned()]));
    let (code, left) = alter(&[], true);
    assert_eq!((code, left), (0, vec!["segment.ms=6".to_owned()]), "nothing is done");
    assert_eq!(alter(&[], false), (0, Vec::new()));
}

#[test]
fn resources_with_configs_are_listed_by_type() {
    let mut cluster = created(&[("a", 1)]);
    let mut list = |types: &[i8]| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let response = ask!(cluster, ListConfigResources, request);
        let listed = response.config_resources.iter();
        let listed = listed.map(|found| (found.resource_type, found.resource_name.to_string()));
        (response.error_code, listed.collect::<Vec<_>>())
    };
    assert_eq!(list(&[2]), (0, vec![(2, "a".to_owned())]));
    assert_eq!(list(&[2; 9]), (0, vec![(2, "a".to_owned())]), "once, however often it is asked for");
    assert_eq!(list(&[]), (0, vec![(2, "a".to_owned()), (4, "0".to_owned()), (8, "0".to_owned())]));
    assert_eq!(list(&[2, 99]), (ErrorCode::UnsupportedVersion.code(), Vec::new()));
}

#[test]
fn creating_a_topic_only_to_see_says_all_and_does_nothing() {
    let mut cluster = Cluster::running(1, &[]);
    let config =
        CreatableTopicConfig::default().with_name(text("max.message.bytes")).with_value(Some(text("1000")));
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic("a", 2).with_configs(vec![config])])
        .with_validate_only(true);
    let shown = create(&mut cluster, request).topics.remove(0);
    assert_eq!((shown.error_code, shown.num_partitions, shown.replication_factor), (0, 2, 1));
    let configs = shown.configs.expect("they are told");
    let config = configs.iter().find(|config| config.name.as_str() == "max.message.bytes");
    let config = config.expect("it is there");
    assert_eq!((config.value.as_deref(), config.config_source), (Some("1000"), 1));
    let wrong = CreatableTopicConfig::default().with_name(text("no.such")).with_value(Some(text("1")));
    let request = CreateTopicsRequest::default().with_topics(vec![topic("a", 2).with_configs(vec![wrong])]);
    let refused = create(&mut cluster, request).topics.remove(0);
    assert_eq!(refused.error_code, ErrorCode::InvalidConfig.code());
    assert_eq!(refused.error_message.as_deref(), Some("unknown config no.such"));
}

#[test]
fn a_topic_that_is_created_again_is_another() {
    let mut cluster = created(&[("a", 1)]);
    let id = |cluster: &mut Cluster| {
        let asked = MetadataRequestTopic::default().with_name(Some(name("a")));
        let request = MetadataRequest::default().with_topics(Some(vec![asked]));
        let response = ask!(cluster, Metadata, request);
        assert_eq!(response.controller_id.0, 0, "a broker that is alive");
        (response.topics[0].error_code, response.topics[0].topic_id)
    };
    let (error, first) = id(&mut cluster);
    assert_eq!((error, id(&mut cluster).1), (0, first), "the id stays");
    let gone = DeleteTopicState::default().with_name(Some(name("a")));
    let request = DeleteTopicsRequest::default().with_topics(vec![gone]).with_timeout_ms(1000);
    assert_eq!(ask!(cluster, DeleteTopics, request).responses[0].error_code, 0);
    cluster.run(Span::from_millis(500));
    create(&mut cluster, CreateTopicsRequest::default().with_topics(vec![topic("a", 1)]));
    let (error, second) = id(&mut cluster);
    assert!(error == 0 && second != first);
    let asked = MetadataRequestTopic::default().with_name(None).with_topic_id(first);
    let request = MetadataRequest::default().with_topics(Some(vec![asked]));
    let unknown = ask!(cluster, Metadata, request).topics.remove(0);
    assert_eq!((unknown.error_code, unknown.name), (ErrorCode::UnknownTopicId.code(), None));
}

#[test]
fn a_group_has_configs_of_its_own() {
    let mut cluster = Cluster::running(1, &[("offsets.topic.replication.factor", "1")]);
    let mut alter = |group: &str, name: &str, value: &str| {
        let config = AlterableConfig::default().with_name(text(name)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(32)
            .with_resource_name(text(group))
            .with_configs(vec![config]);
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let code = ask!(cluster, AlterConfigs, request).responses[0].error_code;
        cluster.run(Span::from_millis(200));
        let resource = DescribeConfigsResource::default()
            .with_resource_type(32)
            .with_resource_name(text("billing"))
            .with_configuration_keys(None);
        let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
        let configs = ask!(cluster, DescribeConfigs, request).results.remove(0).configs.into_iter();
        let shown =
            configs.map(|config| (config.value.unwrap_or_default().to_string(), config.config_source));
        (code, shown.collect::<Vec<_>>())
    };
    let invalid = ErrorCode::InvalidConfig.code();
    let of = |interval: &str, source| vec![(interval.to_owned(), source), ("45000".to_owned(), 5)];
    assert_eq!(alter("billing", "consumer.heartbeat.interval.ms", "4999"), (invalid, of("5000", 5)));
    assert_eq!(alter("billing", "no.such", "1"), (invalid, of("5000", 5)));
    assert_eq!(alter("", "consumer.heartbeat.interval.ms", "7000").0, ErrorCode::InvalidRequest.code());
    assert_eq!(alter("billing", "consumer.heartbeat.interval.ms", "7000"), (0, of("7000", 8)));
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![32]);
    let listed = ask!(cluster, ListConfigResources, request).config_resources;
    assert_eq!(listed.iter().map(|group| group.resource_name.as_str()).collect::<Vec<_>>(), ["billing"]);
    // A member of the group is told to obey.
    let loaded = |cluster: &mut Cluster| {
        let request = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text("billing")))
            .with_member_id(text("m"))
            .with_rebalance_timeout_ms(1000)
            .with_subscribed_topic_names(Some(vec![name("none")]))
            .with_topic_partitions(Some(Vec::new()));
        ask!(cluster, ConsumerGroupHeartbeat, request)
    };
    let mut told = loaded(&mut cluster);
    for _ in 0..20 {
        if told.error_code == 0 {
            break;
        }
        let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("billing")]);
        ask!(cluster, FindCoordinator, find);
        cluster.run(Span::from_millis(500));
        told = loaded(&mut cluster);
    }
    assert_eq!((told.error_code, told.heartbeat_interval_ms), (0, 7000));
}
