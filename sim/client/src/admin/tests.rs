//! The admin client against a controller that comes and goes.

use trial_node::{NodeId, Span, TopicPartition};
use trial_wire::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use crate::testing::{Bench, Cluster, properties, topic_name};

use super::*;

fn bench() -> Bench<Admin> {
    let cluster = Cluster::new(3, "orders", 1);
    let bootstrap = cluster.bootstrap();
    let config = AdminConfig::from_properties(&properties(&[])).unwrap();
    let mut bench =
        Bench::new(cluster, |_, _| Admin::new(config, StrBytes::from_static_str("a"), bootstrap).unwrap());
    bench.settle();
    bench
}

fn created(error: i16) -> ResponseKind {
    let topic = CreatableTopicResult::default().with_name(topic_name("new")).with_error_code(error);
    ResponseKind::CreateTopics(CreateTopicsResponse::default().with_topics(vec![topic]))
}

#[test]
fn change_goes_to_the_controller_and_again_while_it_is_away() {
    let mut bench = bench();
    let now = bench.world.now;
    let topic = NewTopic {
        name: topic_name("new"),
        partitions: 3,
        replication_factor: 2,
        assignments: Vec::new(),
        configs: properties(&[("min.insync.replicas", "2")]),
    };
    let call = bench.machine.call(now, AdminCall::CreateTopics(vec![topic]));
    bench.settle();
    let request = bench.request();
    assert_eq!(request.node, NodeId(0));
    let RequestKind::CreateTopics(body) = &*request.request.body else { panic!("{request:?}") };
    assert_eq!((body.topics[0].num_partitions, body.topics[0].replication_factor), (3, 2));
    assert_eq!(body.topics[0].configs[0].name.as_str(), "min.insync.replicas");
    assert_eq!(body.timeout_ms, 30_000);

    bench.respond(&request, created(ErrorCode::NotController.code()));
    assert_eq!(bench.waiting(), 0);
    bench.run_for(Span::from_millis(130));
    let request = bench.request();
    bench.respond(&request, created(0));
    assert_eq!(bench.machine.answers().collect::<Vec<_>>(), [(call, Ok(created(0)))]);
}

#[test]
fn error_of_a_topic_is_an_answer() {
    let mut bench = bench();
    let now = bench.world.now;
    let call = bench.machine.call(now, AdminCall::CreateTopics(vec![]));
    bench.settle();
    let request = bench.request();
    let answer = created(ErrorCode::InvalidReplicationFactor.code());
    bench.respond(&request, answer.clone());
    assert_eq!(bench.machine.answers().collect::<Vec<_>>(), [(call, Ok(answer))]);
}

#[test]
fn every_call_can_be_encoded_in_the_version_that_is_spoken() {
    let topic = || topic_name("orders");
    let resource = || ConfigResource::Topic(topic());
    let change = AlterConfig {
        name: StrBytes::from_static_str("retention.ms"),
        value: Some(StrBytes::from_static_str("1")),
    };
    let calls = [
        AdminCall::CreateTopics(vec![]),
        AdminCall::DeleteTopics(vec![topic()]),
        AdminCall::CreatePartitions(vec![(topic(), 6)]),
        AdminCall::DescribeConfigs(vec![resource(), ConfigResource::Broker(StrBytes::from_static_str("1"))]),
        AdminCall::AlterConfigs(vec![(resource(), vec![change])]),
        AdminCall::ElectLeaders(ElectionType::Unclean, Some(vec![TopicPartition::new("orders", 0)])),
        AdminCall::ElectLeaders(ElectionType::Preferred, None),
        AdminCall::DescribeCluster,
    ];
    for call in calls {
        let version = trial_wire::api::latest(call.api());
        let request = call.request(Span::from_secs(1));
        let mut bytes = bytes::BytesMut::new();
        trial_wire::message::encode_request(&request, version, &mut bytes).unwrap();
        let decoded = trial_wire::message::decode_request(call.api(), version, bytes.freeze()).unwrap();
        assert_eq!(decoded, request);
    }
}
