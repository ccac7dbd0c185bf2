//! Connections and metadata, seen through the simplest client that there is.

use trial_node::{Endpoint, LeaderEpoch, NodeId, Rng, Span, Time, TraceEvent};
use trial_wire::messages::metadata_response::MetadataResponseBroker;
use trial_wire::messages::{BrokerId, DescribeClusterResponse, MetadataResponse};
use trial_wire::{RequestKind, ResponseKind, StrBytes};

use crate::admin::{Admin, AdminCall, AdminConfig, CallError};
use crate::testing::{Bench, Cluster, properties, topic_name};

use super::*;

fn bench(cluster: Cluster, config: &[(&str, &str)]) -> Bench<Admin> {
    let bootstrap = cluster.bootstrap();
    let config = AdminConfig::from_properties(&properties(config)).unwrap();
    let mut bench =
        Bench::new(cluster, |_, _| Admin::new(config, StrBytes::from_static_str("a"), bootstrap).unwrap());
    bench.settle();
    bench
}

fn millis(n: u64) -> Time {
    Time::ZERO + Span::from_millis(n)
}

/// When requests that `is` were sent.
fn times(bench: &Bench<Admin>, is: impl Fn(&RequestKind) -> bool) -> Vec<Time> {
    bench.world.sent.iter().filter(|(_, _, request)| is(&request.body)).map(|(at, _, _)| *at).collect()
}

fn is_metadata(body: &RequestKind) -> bool {
    matches!(body, RequestKind::Metadata(_))
}

#[test]
fn metadata_is_asked_for_again_when_it_is_old() {
    let mut bench = bench(Cluster::new(3, "orders", 1), &[("metadata.max.age.ms", "60000")]);
    bench.run_until(millis(130_000));
    assert_eq!(times(&bench, is_metadata), [millis(0), millis(60_000), millis(120_000)]);
}

#[test]
fn metadata_that_brings_nothing_new_is_asked_for_less_and_less() {
    let mut bench = bench(Cluster::new(1, "orders", 1), &[]);
    for _ in 0..300 {
        bench.machine.metadata_mut().request_update();
        bench.settle();
        bench.run_for(Span::from_millis(10));
    }
    let times = times(&bench, is_metadata);
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
    assert!((80..=130).contains(&waits[0]), "{waits:?}");
    assert!((160..=250).contains(&waits[1]) && (320..=490).contains(&waits[2]), "{waits:?}");
    assert!(waits[3..].iter().all(|wait| (640..=1_010).contains(wait)), "{waits:?}");
}

#[test]
fn connection_set_up_that_takes_too_long_is_given_up_and_another_broker_tried() {
    let mut cluster = Cluster::new(2, "orders", 1);
    cluster.silent.extend([NodeId(0), NodeId(1)]);
    let mut bench = bench(cluster, &[]);
    let before = bench.world.last_conn;
    assert_eq!(before, 1);
    // 10 s, give or take a fifth.
    bench.run_until(millis(7_999));
    assert_eq!(bench.world.last_conn, before);
    bench.run_until(millis(13_100));
    assert_eq!(bench.world.last_conn, before + 1);
    let what = &bench.world.traces[0];
    let TraceEvent::ClientError { what } = what else { panic!("{what:?}") };
    assert!(what.ends_with("no connection within socket.connection.setup.timeout.ms"), "{what}");
}

#[test]
fn broker_that_refuses_is_tried_again_with_growing_back_off() {
    let mut cluster = Cluster::new(1, "orders", 1);
    cluster.down.insert(NodeId(0));
    let mut bench = bench(cluster, &[]);
    bench.run_until(millis(10_000));
    // 50, 100, 200, 400, 800, 1000, 1000, ... ms, give or take a fifth: about 13 attempts.
    assert!((12..=15).contains(&bench.world.last_conn), "{}", bench.world.last_conn);
    assert_eq!(bench.world.traces.len(), 1, "one line per outage");
    bench.world.cluster.down.clear();
    bench.run_for(Span::from_secs(2));
    assert_eq!(bench.machine.metadata().broker_count(), 1);
}

#[test]
fn client_that_has_lost_all_brokers_goes_back_to_the_bootstrap_list() {
    let mut cluster = Cluster::new(3, "orders", 1);
    cluster.down.extend([NodeId(1), NodeId(2)]);
    let mut bench = bench(cluster, &[("metadata.recovery.rebootstrap.trigger.ms", "10000")]);
    bench.run_until(millis(1_000));
    assert_eq!(bench.machine.metadata().nodes().keys().copied().collect::<Vec<_>>(), [NodeId(0)]);
    bench.world.cluster.down.clear();
    bench.world.cluster.down.insert(NodeId(0));
    bench.reset(NodeId(0));
    bench.run_for(Span::from_secs(13));
    let nodes = bench.machine.metadata().nodes();
    assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), [NodeId(1), NodeId(2)]);
}

#[test]
fn client_does_not_wait_for_the_back_off_of_all_the_brokers_that_it_knows() {
    let mut cluster = Cluster::new(3, "orders", 1);
    cluster.down.extend([NodeId(1), NodeId(2)]);
    let config = [("reconnect.backoff.ms", "20000"), ("reconnect.backoff.max.ms", "20000")];
    let mut bench = bench(cluster, &config);
    bench.run_until(millis(60_000));
    bench.world.cluster.down.clear();
    bench.world.cluster.down.insert(NodeId(0));
    bench.reset(NodeId(0));
    bench.run_for(Span::from_secs(1));
    let nodes = bench.machine.metadata().nodes();
    assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), [NodeId(1), NodeId(2)]);
}

#[test]
fn request_without_answer_costs_the_connection() {
    let mut bench = bench(Cluster::new(1, "orders", 1), &[("request.timeout.ms", "5000")]);
    let now = bench.world.now;
    bench.machine.call(now, AdminCall::DescribeCluster);
    bench.settle();
    let request = bench.request();
    bench.run_until(millis(4_999));
    assert_eq!(bench.waiting(), 0);
    bench.run_until(millis(5_200));
    let again = bench.request();
    assert_ne!(again.conn, request.conn);
    assert_eq!(again.request.body, request.request.body);
}

#[test]
fn call_ends_with_its_time() {
    let mut bench = bench(Cluster::new(1, "orders", 1), &[("default.api.timeout.ms", "7000")]);
    let now = bench.world.now;
    let call = bench.machine.call(now, AdminCall::DescribeCluster);
    bench.settle();
    bench.run_until(millis(6_999));
    assert_eq!(bench.machine.answers().next(), None);
    bench.run_until(millis(7_300));
    assert_eq!(bench.machine.answers().collect::<Vec<_>>(), [(call, Err(CallError::TimedOut))]);
}

/// KIP-219: the broker has answered, and reads nothing more for so long.
#[test]
fn throttled_client_sends_nothing_until_it_may() {
    let mut bench = bench(Cluster::new(1, "orders", 1), &[]);
    let call = |bench: &mut Bench<Admin>| {
        let now = bench.world.now;
        bench.machine.call(now, AdminCall::DescribeCluster);
        bench.settle();
    };
    call(&mut bench);
    let request = bench.request();
    let body = DescribeClusterResponse::default().with_throttle_time_ms(3_000);
    bench.respond(&request, ResponseKind::DescribeCluster(body));
    let told = bench.world.now.mono;
    assert_eq!(bench.machine.answers().count(), 1);
    call(&mut bench);
    bench.run_until(told + Span::from_millis(2_999));
    assert_eq!(bench.waiting(), 0);
    bench.run_until(told + Span::from_millis(3_000));
    assert_eq!(bench.waiting(), 1);
    assert!(bench.world.traces.is_empty(), "on the same connection");
}

#[test]
fn idle_connection_is_closed_and_made_again_when_it_is_needed() {
    let mut bench = bench(Cluster::new(1, "orders", 1), &[("connections.max.idle.ms", "1000")]);
    bench.run_until(millis(5_000));
    assert_eq!(bench.world.traces, []);
    let before = bench.world.last_conn;
    let now = bench.world.now;
    bench.machine.call(now, AdminCall::DescribeCluster);
    bench.settle();
    assert_eq!((bench.world.last_conn, bench.waiting()), (before + 1, 1));
}

#[test]
fn response_out_of_order_costs_the_connection() {
    let mut bench = bench(Cluster::new(1, "orders", 1), &[]);
    let now = bench.world.now;
    bench.machine.call(now, AdminCall::DescribeCluster);
    bench.settle();
    let request = bench.request();
    let nonsense = trial_node::Response {
        correlation_id: request.request.correlation_id + 1,
        api_version: request.request.api_version,
        body: Box::new(trial_wire::ResponseKind::DescribeCluster(Default::default())),
    };
    let machine = &mut bench.machine;
    let input = trial_node::Input::Response { conn: request.conn, response: nonsense };
    bench.world.with(|now, io| machine.handle(now, input, io));
    assert!(!bench.machine.owns(request.conn));
}

fn metadata() -> (Cluster, Metadata, TopicSlot, Rng) {
    let cluster = Cluster::new(3, "orders", 2);
    let backoff = ExponentialBackoff { initial: Span::from_millis(100), max: Span::from_secs(1) };
    let mut metadata = Metadata::new(cluster.bootstrap(), Span::from_secs(300), backoff);
    let slot = metadata.add_topic(&topic_name("orders"));
    metadata.request();
    let mut rng = Rng::named(1, "metadata");
    metadata.update(Time::ZERO, cluster.metadata(vec![topic_name("orders")]), &mut rng);
    (cluster, metadata, slot, rng)
}

fn update(cluster: &Cluster, metadata: &mut Metadata, rng: &mut Rng) {
    metadata.update(Time(1), cluster.metadata(vec![topic_name("orders")]), rng);
}

fn leader(node: i32, epoch: i32) -> Option<(NodeId, LeaderEpoch)> {
    Some((NodeId(node), LeaderEpoch(epoch)))
}

#[test]
fn older_leader_epoch_is_ignored_until_the_topic_is_another() {
    let (mut cluster, mut metadata, slot, mut rng) = metadata();
    let old = cluster.clone();
    cluster.elect(0, 2);
    update(&cluster, &mut metadata, &mut rng);
    assert_eq!(metadata.leader(slot, 0), leader(2, 1));
    update(&old, &mut metadata, &mut rng);
    assert_eq!(metadata.leader(slot, 0), leader(2, 1));
    let mut recreated = old;
    recreated.topics.values_mut().next().unwrap().0 = trial_wire::Uuid::from_u128(999);
    update(&recreated, &mut metadata, &mut rng);
    assert_eq!(metadata.leader(slot, 0), leader(0, 0));
    assert_eq!(metadata.slot_by_id(trial_wire::Uuid::from_u128(999)), Some(slot));
}

#[test]
fn hint_counts_only_if_it_is_newer_and_the_broker_is_known() {
    let (_, mut metadata, slot, _) = metadata();
    let hint = |leader: i32, epoch: i32, endpoint| LeaderHint {
        leader: NodeId(leader),
        leader_epoch: LeaderEpoch(epoch),
        endpoint,
    };
    assert!(!metadata.update_leader(slot, 0, hint(1, 0, None)));
    assert!(!metadata.update_leader(slot, 0, hint(9, 1, None)));
    assert!(metadata.update_leader(slot, 0, hint(1, 1, None)));
    assert_eq!(metadata.leader(slot, 0), leader(1, 1));
    assert!(metadata.update_leader(slot, 0, hint(9, 2, Some(Endpoint::new("broker-9", 9092)))));
    assert_eq!(metadata.leader(slot, 0), leader(9, 2));
}

#[test]
fn missing_topic_asks_again_and_keeps_its_epochs() {
    let (mut cluster, mut metadata, slot, mut rng) = metadata();
    cluster.elect(0, 1);
    update(&cluster, &mut metadata, &mut rng);
    assert!(!metadata.update_requested());
    let gone = Cluster { topics: Default::default(), ..cluster.clone() };
    update(&gone, &mut metadata, &mut rng);
    assert_eq!((metadata.partition_count(slot), metadata.leader(slot, 0)), (None, None));
    assert!(metadata.update_requested());
    assert_eq!(metadata.leader_epoch(slot, 0), LeaderEpoch(1));
}

#[test]
fn each_failed_attempt_waits_longer() {
    let (_, mut metadata, _, mut rng) = metadata();
    metadata.request_update();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let now = metadata.next_update();
        metadata.update_failed(now, &mut rng);
        waits.push(metadata.next_update().since(now).as_millis());
    }
    for (wait, expected) in waits.iter().zip([100, 200, 400, 800, 1_000, 1_000]) {
        assert!(expected * 8 / 10 <= *wait && *wait <= (expected * 12 / 10).min(1_000), "{waits:?}");
    }
}

#[test]
fn broker_that_knows_no_brokers_is_not_believed() {
    let (_, mut metadata, slot, mut rng) = metadata();
    let nowhere = MetadataResponseBroker::default().with_node_id(BrokerId(0)).with_port(-1);
    for brokers in [vec![], vec![nowhere]] {
        let response = MetadataResponse::default().with_brokers(brokers);
        metadata.update(Time(1), response, &mut rng);
        assert_eq!((metadata.leader(slot, 0), metadata.nodes().len()), (leader(0, 0), 3));
        assert!(metadata.next_update() > Time(1));
    }
}
