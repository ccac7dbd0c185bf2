//! Three brokers in memory: what a cluster has to do.

mod harness;

use std::collections::BTreeSet;

use harness::{Cluster, Received};
use trial_broker::{BROKER_PORT, CONTROLLER_PORT};
use trial_node::view::BrokerView;
use trial_node::{Disk as _, HaltReason, NodeId, Offset, Signal, Span, TopicIdPartition, TraceEvent};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DescribeClusterRequest, FetchRequest, MetadataRequest,
    MetadataResponse, ProduceRequest,
};
use trial_wire::{
    BatchBuilder, Batches, Compression, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName, Uuid,
};

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from(topic.to_owned()))
}

/// Creates a topic, asking broker `to`; gives the error code.
#[track_caller]
fn create_topic(cluster: &mut Cluster, to: usize, topic: &str, partitions: i32, replicas: i16) -> i16 {
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    match cluster.ask(to, BROKER_PORT, request) {
        ResponseKind::CreateTopics(response) => response.topics[0].error_code,
        other => panic!("not an answer: {other:?}"),
    }
}

#[track_caller]
fn metadata(cluster: &mut Cluster, to: usize, topic: &str) -> MetadataResponse {
    let topic = MetadataRequestTopic::default().with_name(Some(name(topic)));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
    match cluster.ask(to, BROKER_PORT, request) {
        ResponseKind::Metadata(response) => response,
        other => panic!("not an answer: {other:?}"),
    }
}

fn topic_id(cluster: &Cluster, topic: &str) -> Option<Uuid> {
    let mut found = None;
    let (_, broker) = cluster.up().next()?;
    broker.partitions(&mut |partition| {
        if partition.topic.as_str() == topic {
            found = Some(partition.id.topic_id);
        }
    });
    found
}

/// The leader of a partition and its ISR, as broker `i` knows them.
fn leader_and_isr(cluster: &Cluster, i: usize, topic: &str, index: i32) -> Option<(NodeId, Vec<NodeId>)> {
    let mut found = None;
    cluster.broker(i).partitions(&mut |partition| {
        if partition.topic.as_str() == topic && partition.id.partition == index {
            found = Some((partition.leader, partition.isr.to_vec()));
        }
    });
    found
}

/// Waits until all running brokers agree on a live leader of the partition, and gives it.
#[track_caller]
fn wait_for_leader(cluster: &mut Cluster, topic: &str) -> usize {
    let agreed = |cluster: &Cluster| {
        let leaders: BTreeSet<Option<NodeId>> = cluster
            .up()
            .map(|(i, _)| leader_and_isr(cluster, i, topic, 0).map(|(leader, _)| leader))
            .collect();
        match leaders.into_iter().collect::<Vec<_>>()[..] {
            [Some(NodeId(leader))] if leader >= 0 && cluster.is_up(leader as usize) => Some(leader as usize),
            _ => None,
        }
    };
    cluster.run_until("all agree on the leader", |cluster| agreed(cluster).is_some());
    agreed(cluster).expect("they do")
}

/// Produces records with these values with acks=all; gives the error code and the base offset.
#[track_caller]
fn produce(cluster: &mut Cluster, to: usize, topic: &str, values: &[&str]) -> (i16, i64) {
    let mut batch = BatchBuilder::new(Compression::None);
    for value in values {
        batch.push(1_700_000_000_000, None, Some(value.as_bytes()), &[]);
    }
    let id = topic_id(cluster, topic).expect("the topic exists");
    let partition =
        PartitionProduceData::default().with_index(0).with_records(Some(batch.build().bytes().clone()));
    let data = TopicProduceData::default().with_topic_id(id).with_partition_data(vec![partition]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![data]);
    match cluster.ask(to, BROKER_PORT, request) {
        ResponseKind::Produce(response) => {
            let partition = &response.responses[0].partition_responses[0];
            (partition.error_code, partition.base_offset)
        }
        other => panic!("not an answer: {other:?}"),
    }
}

/// Fetches all committed records of partition 0 from offset 0; gives their values.
#[track_caller]
fn fetch(cluster: &mut Cluster, to: usize, topic: &str) -> Vec<String> {
    let id = topic_id(cluster, topic).expect("the topic exists");
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(0)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]);
    let request = FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    let response = match cluster.ask(to, BROKER_PORT, request) {
        ResponseKind::Fetch(response) => response,
        other => panic!("not an answer: {other:?}"),
    };
    let partition = &response.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    let mut values = Vec::new();
    for batch in Batches::new(partition.records.clone().unwrap_or_default()) {
        for record in batch.expect("a whole batch").records(1 << 20).expect("sound records") {
            values.push(String::from_utf8(record.value.expect("a value").to_vec()).expect("text"));
        }
    }
    values
}

#[track_caller]
fn wait_for_full_isr(cluster: &mut Cluster, topic: &str, replicas: usize) {
    cluster.run_until("all replicas are in sync", |cluster| {
        cluster
            .up()
            .all(|(i, _)| leader_and_isr(cluster, i, topic, 0).is_some_and(|(_, isr)| isr.len() == replicas))
    });
}

#[test]
fn three_brokers_elect_a_controller_and_are_unfenced() {
    let mut cluster = Cluster::running(3, &[]);
    let controller = cluster.quorum_leader().expect("one leads");
    let activated = |event: &TraceEvent| matches!(event, TraceEvent::ControllerActivated { .. });
    let activations: Vec<usize> =
        cluster.traces.iter().filter(|(_, _, event)| activated(event)).map(|(_, host, _)| *host).collect();
    assert_eq!(activations, [controller]);
    cluster.run(Span::from_secs(5));
    let views: BTreeSet<u128> = cluster.up().map(|(_, broker)| broker.metadata().digest).collect();
    assert_eq!(views.len(), 1, "all brokers have applied the same metadata");

    let response = metadata(&mut cluster, 1, "none");
    let mut brokers: Vec<i32> = response.brokers.iter().map(|broker| broker.node_id.0).collect();
    brokers.sort_unstable();
    assert_eq!(brokers, [0, 1, 2]);
    assert!((0..3).contains(&response.controller_id.0));
    assert_eq!(response.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn what_is_produced_is_fetched() {
    let mut cluster = Cluster::running(3, &[]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 3), 0);
    let leader = wait_for_leader(&mut cluster, "orders");
    assert_eq!(produce(&mut cluster, leader, "orders", &["a", "b"]), (0, 0));
    assert_eq!(produce(&mut cluster, leader, "orders", &["c"]), (0, 2));
    assert_eq!(fetch(&mut cluster, leader, "orders"), ["a", "b", "c"]);

    let topic_id = topic_id(&cluster, "orders").expect("the topic exists");
    let tp = TopicIdPartition { topic_id, partition: 0 };
    cluster.run(Span::from_secs(2));
    for (_, broker) in cluster.up() {
        let replica = broker.replica(tp).expect("every broker has a replica");
        assert_eq!((replica.log_end_offset, replica.high_watermark), (Offset(3), Offset(3)));
    }
    let other = (leader + 1) % 3;
    assert_eq!(produce(&mut cluster, other, "orders", &["d"]).0, ErrorCode::NotLeaderOrFollower.code());
}

#[test]
fn every_broker_forwards_to_the_controller() {
    let mut cluster = Cluster::running(3, &[]);
    for i in 0..3 {
        assert_eq!(create_topic(&mut cluster, i, &format!("topic-{i}"), 1, 1), 0);
        assert_eq!(
            create_topic(&mut cluster, i, &format!("topic-{i}"), 1, 1),
            ErrorCode::TopicAlreadyExists.code()
        );
    }
    let response = metadata(&mut cluster, 0, "topic-2");
    assert_eq!(response.topics[0].partitions.len(), 1);
}

#[test]
fn asking_for_an_unknown_topic_creates_it() {
    let mut cluster = Cluster::running(3, &[("num.partitions", "4"), ("default.replication.factor", "2")]);
    let topic = MetadataRequestTopic::default().with_name(Some(name("fresh")));
    let request =
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(true);
    let ResponseKind::Metadata(first) = cluster.ask(2, BROKER_PORT, request) else { panic!("not an answer") };
    assert_eq!(first.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    cluster.run_until("the topic exists", |cluster| topic_id(cluster, "fresh").is_some());
    cluster.run(Span::from_secs(1));
    let second = metadata(&mut cluster, 2, "fresh");
    assert_eq!(second.topics[0].partitions.len(), 4);
    assert!(second.topics[0].partitions.iter().all(|partition| partition.replica_nodes.len() == 2));
}

#[test]
fn a_dead_controller_is_replaced() {
    let mut cluster = Cluster::running(3, &[]);
    let old = cluster.quorum_leader().expect("one leads");
    cluster.kill(old);
    cluster.run_until("another controller is active", |cluster| {
        let active = |event: &TraceEvent| matches!(event, TraceEvent::ControllerActivated { .. });
        cluster.traces.iter().any(|(_, host, event)| *host != old && active(event))
    });
    let other = (old + 1) % 3;
    assert_eq!(create_topic(&mut cluster, other, "after", 1, 2), 0);
    cluster.run_until("the dead broker is fenced", |cluster| {
        cluster
            .traces
            .iter()
            .any(|(_, _, event)| *event == TraceEvent::ControllerFencedBroker { broker: NodeId(old as i32) })
    });
    cluster.start(old);
    cluster.run_until("it is back", |cluster| cluster.unfenced() == 3);
}

#[test]
fn a_dead_leader_is_replaced_and_nothing_is_lost() {
    let mut cluster = Cluster::running(3, &[("min.insync.replicas", "2")]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 3), 0);
    let old = wait_for_leader(&mut cluster, "orders");
    assert_eq!(produce(&mut cluster, old, "orders", &["a", "b"]), (0, 0));
    cluster.lose_power(old);
    let new = wait_for_leader(&mut cluster, "orders");
    assert_ne!(new, old);
    assert_eq!(produce(&mut cluster, new, "orders", &["c"]), (0, 2));
    cluster.start(old);
    wait_for_full_isr(&mut cluster, "orders", 3);
    assert_eq!(fetch(&mut cluster, new, "orders"), ["a", "b", "c"]);
}

#[test]
fn a_cluster_restarts_from_its_disks() {
    let mut cluster = Cluster::running(3, &[]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 3), 0);
    let leader = wait_for_leader(&mut cluster, "orders");
    assert_eq!(produce(&mut cluster, leader, "orders", &["a"]), (0, 0));
    cluster.run(Span::from_secs(2));
    (0..3).for_each(|i| cluster.kill(i));
    (0..3).for_each(|i| cluster.start(i));
    cluster.run_until("all are back", |cluster| cluster.unfenced() == 3);
    let leader = wait_for_leader(&mut cluster, "orders");
    assert_eq!(fetch(&mut cluster, leader, "orders"), ["a"]);
    assert_eq!(produce(&mut cluster, leader, "orders", &["b"]), (0, 1));
}

#[test]
fn a_controlled_shutdown_moves_leaderships_first() {
    let mut cluster = Cluster::running(3, &[]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 3), 0);
    let old = wait_for_leader(&mut cluster, "orders");
    assert_eq!(produce(&mut cluster, old, "orders", &["a"]), (0, 0));
    wait_for_full_isr(&mut cluster, "orders", 3);
    cluster.signal(old, Signal::Terminate);
    cluster.run_until("the broker has stopped", |cluster| cluster.halted(old).is_some());
    assert_eq!(cluster.halted(old), Some(&HaltReason::Shutdown));
    let moved = cluster.traces.iter().rposition(|(_, _, event)| {
        matches!(event, TraceEvent::LeaderElected { leader, .. } if *leader != NodeId(old as i32))
    });
    let fenced = cluster.traces.iter().position(|(_, _, event)| {
        matches!(event, TraceEvent::ControllerFencedBroker { broker } if *broker == NodeId(old as i32))
    });
    assert!(moved.is_some(), "the leadership moved");
    assert!(fenced.is_none_or(|fenced| moved < Some(fenced)), "and not because the broker was gone");
    let new = wait_for_leader(&mut cluster, "orders");
    assert_ne!(new, old);
    assert_eq!(fetch(&mut cluster, new, "orders"), ["a"]);
    cluster.start(old);
    wait_for_full_isr(&mut cluster, "orders", 3);
    let repaired = cluster.traces.iter().any(|(_, host, event)| {
        *host == old && matches!(event, TraceEvent::Recovered { path, .. } if path.starts_with("orders"))
    });
    assert!(!repaired, "a log that was closed in order needs no repair");
}

#[test]
fn a_broker_that_is_stopped_before_it_loaded_its_logs_was_not_shut_down_cleanly() {
    let mut cluster = Cluster::running(3, &[]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 3), 0);
    let clean = |cluster: &mut Cluster| {
        let files = cluster.disk(0).list("").expect("the disk lists");
        files.contains(&".kafka_cleanshutdown".to_owned())
    };
    cluster.lose_power(0);
    cluster.start(0);
    cluster.signal(0, Signal::Terminate);
    assert_eq!(cluster.halted(0), Some(&HaltReason::Shutdown));
    assert!(!clean(&mut cluster));
    cluster.start(0);
    cluster.run_until("it is back", |cluster| cluster.unfenced() == 3);
    cluster.signal(0, Signal::Terminate);
    cluster.run_until("it has stopped", |cluster| !cluster.is_up(0));
    assert!(clean(&mut cluster));
}

#[test]
fn a_disk_that_fails_at_the_end_makes_no_clean_shutdown() {
    for brokers in [1, 3] {
        let mut cluster = Cluster::running(brokers, &[]);
        let leader = cluster.quorum_leader().expect("one leads");
        assert_eq!(create_topic(&mut cluster, 0, "orders", 1, brokers as i16), 0);
        // A folder where the marker of a clean shutdown belongs.
        cluster.disk(leader).open(".kafka_cleanshutdown/in-the-way", true).expect("the disk works");
        cluster.signal(leader, Signal::Terminate);
        cluster.run_until("it has stopped", |cluster| !cluster.is_up(leader));
        let halted = cluster.halted(leader);
        assert!(
            matches!(halted, Some(HaltReason::Fatal(what)) if what.contains(".kafka_cleanshutdown")),
            "{halted:?}"
        );
    }
}

#[test]
fn metadata_of_a_topic_that_is_asked_for_twice_comes_once() {
    let mut cluster = Cluster::running(1, &[("auto.create.topics.enable", "false")]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 1), 0);
    let id = topic_id(&cluster, "orders").expect("the topic exists");
    let named = |topic| MetadataRequestTopic::default().with_name(Some(name(topic)));
    let request = |topics| MetadataRequest::default().with_topics(Some(topics));
    let by_name = request(["orders", "no", "orders", "none", "no"].map(named).to_vec());
    let ResponseKind::Metadata(response) = cluster.ask(0, BROKER_PORT, by_name) else {
        panic!("not an answer")
    };
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let answered: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (topic.name.as_ref().map_or("", |name| name.as_str()), topic.error_code))
        .collect();
    assert_eq!(answered, [("orders", 0), ("no", unknown), ("none", unknown)]);

    let with_id = |id| MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let by_id = request([id, Uuid::from_u128(9), id, Uuid::from_u128(9)].map(with_id).to_vec());
    let ResponseKind::Metadata(response) = cluster.ask(0, BROKER_PORT, by_id) else {
        panic!("not an answer")
    };
    let answered: Vec<_> = response.topics.iter().map(|topic| (topic.topic_id, topic.error_code)).collect();
    assert_eq!(answered, [(id, 0), (Uuid::from_u128(9), ErrorCode::UnknownTopicId.code())]);
}

#[test]
fn an_isolated_controller_gives_up() {
    let mut cluster = Cluster::running(3, &[]);
    let old = cluster.quorum_leader().expect("one leads");
    cluster.isolate(old);
    cluster.run_until("another one leads", |cluster| cluster.quorum_leader() != Some(old));
    cluster.run(Span::from_secs(3));
    let view = cluster.broker(old).quorum();
    assert!(
        !view.is_leader,
        "a leader that hears no majority for 1.5 x controller.quorum.fetch.timeout.ms resigns"
    );
    cluster.heal(old);
    cluster.run_until("all are unfenced", |cluster| cluster.unfenced() == 3);
    cluster.run(Span::from_secs(20));
    let views: BTreeSet<u128> = cluster.up().map(|(_, broker)| broker.metadata().digest).collect();
    assert_eq!(views.len(), 1);
    assert_eq!(cluster.unfenced(), 3);
}

#[test]
fn an_operator_moves_the_controller() {
    let mut cluster = Cluster::running(3, &[]);
    let old = cluster.quorum_leader().expect("one leads");
    cluster.signal(old, Signal::ResignQuorumLeadership);
    cluster.run_until("another one is active", |cluster| {
        let active = |event: &TraceEvent| matches!(event, TraceEvent::ControllerActivated { .. });
        cluster.traces.iter().filter(|(_, _, event)| active(event)).count() == 2
    });
    assert_ne!(cluster.quorum_leader(), Some(old));
    assert!(cluster.is_up(old));
}

#[test]
fn the_metadata_log_is_replaced_by_snapshots() {
    let properties = [
        ("metadata.log.max.record.bytes.between.snapshots", "4000"),
        ("metadata.log.segment.bytes", "8388608"),
    ];
    let mut cluster = Cluster::running(3, &properties);
    cluster.kill(2);
    for i in 0..20 {
        assert_eq!(create_topic(&mut cluster, 0, &format!("topic-{i}"), 2, 1), 0);
    }
    cluster.run(Span::from_secs(2));
    let view = cluster.broker(0).quorum();
    assert!(view.log_start_offset > Offset::ZERO, "the log was cleaned");
    cluster.start(2);
    cluster.run_until("the broker is back", |cluster| cluster.unfenced() == 3);
    cluster.run(Span::from_secs(2));
    let views: BTreeSet<u128> = cluster.up().map(|(_, broker)| broker.metadata().digest).collect();
    assert_eq!(views.len(), 1);
}

#[test]
fn a_run_repeats() {
    let run = || {
        let mut cluster = Cluster::running(3, &[]);
        create_topic(&mut cluster, 0, "orders", 3, 3);
        let leader = wait_for_leader(&mut cluster, "orders");
        cluster.kill(leader);
        cluster.run(Span::from_secs(20));
        cluster.traces
    };
    assert_eq!(run(), run());
}

#[test]
fn responses_keep_the_order_of_the_requests() {
    let mut cluster = Cluster::running(3, &[]);
    assert_eq!(create_topic(&mut cluster, 0, "orders", 1, 1), 0);
    let leader = wait_for_leader(&mut cluster, "orders");
    let id = topic_id(&cluster, "orders").expect("the topic exists");
    let conn = cluster.connect(leader, BROKER_PORT);
    let partition = FetchPartition::default().with_current_leader_epoch(-1).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic_id(id).with_partitions(vec![partition]);
    let slow = FetchRequest::default()
        .with_max_wait_ms(300)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic]);
    let version = trial_wire::api::latest(trial_wire::ApiKey::Fetch);
    let first = cluster.send(conn, version, slow.into());
    let second = cluster.send(conn, 2, DescribeClusterRequest::default().with_endpoint_type(1).into());
    cluster.run(Span::from_millis(200));
    assert!(cluster.inbox.is_empty(), "the second is held until the first is answered");
    cluster.run(Span::from_millis(200));
    let order: Vec<i32> = cluster
        .inbox
        .iter()
        .map(|(_, received)| match received {
            Received::Response(response) => response.correlation_id,
            Received::Closed(reason) => panic!("closed: {reason:?}"),
        })
        .collect();
    assert_eq!(order, [first, second]);
}

#[test]
fn an_unknown_version_is_refused() {
    let mut cluster = Cluster::running(1, &[]);
    let conn = cluster.connect(0, BROKER_PORT);
    cluster.send(conn, 99, RequestKind::ApiVersions(ApiVersionsRequest::default()));
    cluster.run(Span::from_millis(1));
    match cluster.inbox.pop() {
        Some((_, Received::Response(response))) => {
            assert_eq!(response.api_version, 0);
            let ResponseKind::ApiVersions(body) = *response.body else { panic!("not an answer") };
            assert_eq!(body.error_code, ErrorCode::UnsupportedVersion.code());
            assert_eq!(body.api_keys.len(), 1);
        }
        other => panic!("not an answer: {other:?}"),
    }
    cluster.send(conn, 99, RequestKind::Metadata(MetadataRequest::default()));
    cluster.run(Span::from_millis(1));
    assert!(matches!(cluster.inbox.pop(), Some((_, Received::Closed(_)))));
}

#[test]
fn listeners_do_not_serve_each_others_apis() {
    let mut cluster = Cluster::running(1, &[]);
    let conn = cluster.connect(0, CONTROLLER_PORT);
    cluster.send(conn, 12, RequestKind::Metadata(MetadataRequest::default()));
    cluster.run(Span::from_millis(1));
    assert!(matches!(cluster.inbox.pop(), Some((_, Received::Closed(_)))));
}
