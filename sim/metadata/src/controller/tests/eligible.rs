//! Eligible leader replicas (KIP-966).

use trial_node::NodeId;
use trial_wire::Uuid;
use trial_wire::messages::UpdateFeaturesRequest;
use trial_wire::messages::update_features_request::FeatureUpdateKey;

use super::super::testing::{TestCluster, nodes, topic_name};
use crate::record::{ConfigResource, MetadataRecord};

/// A partition on brokers 0 to 2 that wants two in sync.
fn cluster() -> (TestCluster, Uuid) {
    let mut cluster = TestCluster::with_features(4, &[], &[("eligible.leader.replicas.version", 1)]);
    let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[("min.insync.replicas", "2")]);
    (cluster, id)
}

/// ISR, eligible replicas, last known leader.
fn lists(cluster: &TestCluster, topic_id: Uuid) -> [Vec<NodeId>; 3] {
    let partition = cluster.partition(topic_id, 0);
    [partition.isr.clone(), partition.elr.clone(), partition.last_known_elr.clone()]
}

fn listed(isr: &[i32], elr: &[i32], last_known: &[i32]) -> [Vec<NodeId>; 3] {
    [nodes(isr), nodes(elr), nodes(last_known)]
}

#[test]
fn whoever_leaves_an_isr_that_is_too_small_to_commit_stays_eligible() {
    let (mut cluster, id) = cluster();
    cluster.fence(2);
    assert_eq!(lists(&cluster, id), listed(&[0, 1], &[], &[]), "two go on committing without it");
    cluster.fence(1);
    assert_eq!(lists(&cluster, id), listed(&[0], &[1], &[]));
    cluster.fence(0);
    assert_eq!(lists(&cluster, id), listed(&[], &[0, 1], &[0]));
    assert_eq!(cluster.state(id).0, -1);
    // Who is neither in sync nor eligible does not lead; who is, does.
    cluster.start_broker(2);
    assert_eq!(cluster.state(id).0, -1);
    cluster.heartbeat(1, false, false);
    assert_eq!(lists(&cluster, id), listed(&[1], &[0], &[]));
    assert_eq!(cluster.state(id).0, 1);
    // Once two commit again, the list is empty.
    assert_eq!(cluster.alter_isr(1, id, &[1, 2]), 0);
    assert_eq!(lists(&cluster, id), listed(&[1, 2], &[], &[]));
}

#[test]
fn who_may_have_lost_its_logs_end_is_not_eligible() {
    let (mut cluster, id) = cluster();
    for broker in [2, 1, 0] {
        cluster.fence(broker);
    }
    assert_eq!(lists(&cluster, id), listed(&[], &[0, 1], &[0]));
    // 0 says that it was shut down in order, 1 cannot.
    cluster.register_after(0, 900, cluster.broker_epoch(0));
    assert_eq!(lists(&cluster, id), listed(&[], &[0, 1], &[0]));
    cluster.register(1, 901);
    assert_eq!(lists(&cluster, id), listed(&[], &[0], &[0]));
    cluster.heartbeat(1, false, false);
    assert_eq!(cluster.state(id).0, -1);
    cluster.register(0, 902);
    assert_eq!(lists(&cluster, id), listed(&[], &[], &[0]));
    // Nobody is left who certainly has everything: the last leader has most.
    cluster.heartbeat(0, false, false);
    assert_eq!(lists(&cluster, id), listed(&[0], &[], &[]));
    assert_eq!(cluster.partition(id, 0).leader_recovery_state as i8, 1);
}

#[test]
fn another_minimum_makes_nobody_eligible() {
    let (mut cluster, id) = cluster();
    cluster.fence(2);
    cluster.fence(1);
    assert_eq!(lists(&cluster, id), listed(&[0], &[1], &[]));
    let topic = ConfigResource::Topic(topic_name("a"));
    cluster.alter_config(&topic, 0, "min.insync.replicas", Some("1"));
    assert_eq!(cluster.last.0[1], MetadataRecord::ClearElr { topic: Some(topic_name("a")) });
    assert_eq!(lists(&cluster, id), listed(&[0], &[], &[]));
}

#[test]
fn the_minimum_is_the_same_on_all_brokers() {
    let cluster = TestCluster::with_features(
        1,
        &[("min.insync.replicas", "2")],
        &[("eligible.leader.replicas.version", 1)],
    );
    let default = cluster.image.config(&ConfigResource::BrokerDefault).unwrap();
    assert_eq!(default.get("min.insync.replicas".as_bytes()).map(|value| value.as_str()), Some("2"));
    let mut cluster = cluster;
    let set = |cluster: &mut TestCluster, resource, value| {
        let operation = i8::from(Option::is_none(&value));
        cluster.alter_config(&resource, operation, "min.insync.replicas", value).responses[0].error_code
    };
    let invalid = trial_wire::ErrorCode::InvalidConfig.code();
    assert_eq!(set(&mut cluster, ConfigResource::Broker(NodeId(0)), Some("1")), invalid);
    assert_eq!(set(&mut cluster, ConfigResource::BrokerDefault, None), invalid);
    assert_eq!(set(&mut cluster, ConfigResource::BrokerDefault, Some("1")), 0);
    assert_eq!(cluster.last.0[1], MetadataRecord::ClearElr { topic: None });
}

#[test]
fn the_minimum_becomes_the_same_when_the_feature_is_turned_on_later() {
    let mut cluster = TestCluster::of(1, &[("min.insync.replicas", "2")]);
    let broker = ConfigResource::Broker(NodeId(0));
    cluster.alter_config(&broker, 0, "min.insync.replicas", Some("1"));
    let update = FeatureUpdateKey::default()
        .with_feature("eligible.leader.replicas.version".into())
        .with_max_version_level(1)
        .with_upgrade_type(1);
    let request = UpdateFeaturesRequest::default().with_feature_updates(vec![update]);
    let result = cluster.controller.update_features(&request, 2);
    assert_eq!(cluster.carry_out(result).error_code, 0);
    assert_eq!(cluster.image.config(&broker), None);
    let default = cluster.image.config(&ConfigResource::BrokerDefault).unwrap();
    assert_eq!(default.values().map(|value| value.as_str()).collect::<Vec<_>>(), ["2"]);
}
