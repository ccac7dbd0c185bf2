//! AlterPartition, elections, balancing.

use trial_node::{NodeId, Span, TopicIdPartition};
use trial_wire::ErrorCode;
use trial_wire::messages::ElectLeadersRequest;
use trial_wire::messages::alter_partition_request::PartitionData;
use trial_wire::messages::elect_leaders_request::TopicPartitions;

use super::super::testing::{TestCluster, nodes, topic_name};
use super::code;
use crate::record::{ConfigResource, LeaderRecoveryState, MetadataRecord, PartitionChange};

const SET: i8 = 0;
const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

fn elect(cluster: &mut TestCluster, election_type: i8, topic: Option<&'static str>) -> Vec<i16> {
    let partitions = |name| TopicPartitions::default().with_topic(topic_name(name)).with_partitions(vec![0]);
    let request = ElectLeadersRequest::default()
        .with_election_type(election_type)
        .with_topic_partitions(topic.map(|name| vec![partitions(name)]));
    let result = cluster.controller.elect_leaders(&request);
    let response = cluster.carry_out(result);
    assert_eq!(response.error_code, 0);
    let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
    results.map(|partition| partition.error_code).collect()
}

#[test]
fn a_leader_shrinks_and_expands_its_isr_in_one_leader_epoch() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[0, 1, 2]], &[]);
    let request = cluster.alter_request(0, topic_id, &[0, 1]);
    let response = cluster.alter(&request);
    let change = PartitionChange {
        id: TopicIdPartition { topic_id, partition: 0 },
        isr: Some(nodes(&[0, 1])),
        ..PartitionChange::default()
    };
    assert_eq!(cluster.last.0, [MetadataRecord::PartitionChange(change)]);
    let answer = &response.topics[0].partitions[0];
    assert_eq!(
        (answer.error_code, answer.leader_id.0, answer.leader_epoch, answer.partition_epoch),
        (0, 0, 0, 1)
    );
    assert_eq!(answer.isr.iter().map(|id| id.0).collect::<Vec<_>>(), [0, 1]);

    // What it asked for is old now.
    assert_eq!(
        cluster.alter(&request).topics[0].partitions[0].error_code,
        code(ErrorCode::InvalidUpdateVersion)
    );
    assert_eq!(cluster.alter_isr(0, topic_id, &[0, 1, 2]), 0);
    assert_eq!(cluster.state(topic_id), (0, 0, nodes(&[0, 1, 2])));
    // Asking for what is so is no change.
    assert_eq!(cluster.alter_isr(0, topic_id, &[0, 1, 2]), 0);
    assert_eq!(cluster.last.0, []);
}

#[test]
fn alterations_are_fenced() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[0, 1, 2]], &[]);
    cluster.fence(2);
    cluster.heartbeat(2, false, false);
    assert_eq!(cluster.state(topic_id), (0, 0, nodes(&[0, 1])));

    let refused = |cluster: &mut TestCluster, error: ErrorCode, edit: &dyn Fn(&mut PartitionData)| {
        let mut request = cluster.alter_request(0, topic_id, &[0, 1, 2]);
        edit(&mut request.topics[0].partitions[0]);
        let response = cluster.alter(&request);
        assert_eq!(response.topics[0].partitions[0].error_code, code(error));
        assert_eq!(cluster.last.0, []);
    };
    refused(&mut cluster, ErrorCode::NotController, &|data| data.leader_epoch += 1);
    refused(&mut cluster, ErrorCode::NotController, &|data| data.partition_epoch += 1);
    refused(&mut cluster, ErrorCode::FencedLeaderEpoch, &|data| data.leader_epoch -= 1);
    refused(&mut cluster, ErrorCode::InvalidUpdateVersion, &|data| data.partition_epoch -= 1);
    refused(&mut cluster, ErrorCode::UnknownTopicOrPartition, &|data| data.partition_index = 1);
    refused(&mut cluster, ErrorCode::InvalidRequest, &|data| {
        data.new_isr_with_epochs.remove(0);
    });
    refused(&mut cluster, ErrorCode::InvalidRequest, &|data| {
        data.new_isr_with_epochs[1].broker_id = 9.into()
    });
    refused(&mut cluster, ErrorCode::InvalidRequest, &|data| {
        data.new_isr_with_epochs[1].broker_id = 2.into()
    });
    refused(&mut cluster, ErrorCode::InvalidRequest, &|data| data.leader_recovery_state = 1);
    // Another process than the one that the leader heard of (KIP-903).
    refused(&mut cluster, ErrorCode::IneligibleReplica, &|data| {
        data.new_isr_with_epochs[2].broker_epoch -= 1;
    });

    let mut request = cluster.alter_request(1, topic_id, &[0, 1, 2]);
    assert_eq!(cluster.alter(&request).topics[0].partitions[0].error_code, code(ErrorCode::InvalidRequest));
    request.broker_epoch -= 1;
    assert_eq!(cluster.alter(&request).error_code, code(ErrorCode::StaleBrokerEpoch));
    let mut request = cluster.alter_request(0, topic_id, &[0, 1, 2]);
    request.topics[0].topic_id = trial_wire::Uuid::from_u128(5);
    assert_eq!(cluster.alter(&request).topics[0].partitions[0].error_code, code(ErrorCode::UnknownTopicId));

    cluster.fence(2);
    assert_eq!(cluster.alter_isr(0, topic_id, &[0, 1, 2]), code(ErrorCode::IneligibleReplica));
}

#[test]
fn an_unclean_election_needs_permission() {
    let mut cluster = TestCluster::of(2, &[]);
    let strict = cluster.create_assigned("strict", &[&[0, 1]], &[]);
    let loose = cluster.create_assigned("loose", &[&[0, 1]], &[("unclean.leader.election.enable", "true")]);
    assert_eq!((cluster.alter_isr(0, strict, &[0]), cluster.alter_isr(0, loose, &[0])), (0, 0));
    cluster.fence(0);
    assert_eq!(cluster.state(strict), (-1, 1, nodes(&[0])));
    assert_eq!(cluster.state(loose), (1, 1, nodes(&[1])));
    assert_eq!(cluster.partition(loose, 0).leader_recovery_state, LeaderRecoveryState::Recovering);
    let kinds: Vec<_> = cluster.last.1.iter().map(trial_node::TraceEvent::kind).collect();
    assert!(kinds.contains(&"unclean-leader-elected"), "{kinds:?}");

    // Allowing it later elects at once.
    let resource = ConfigResource::Topic(topic_name("strict"));
    cluster.alter_config(&resource, SET, "unclean.leader.election.enable", Some("true"));
    cluster.drain_due();
    assert_eq!(cluster.state(strict), (1, 2, nodes(&[1])));

    // The leader says that it has recovered.
    let mut request = cluster.alter_request(1, strict, &[1]);
    request.topics[0].partitions[0].leader_recovery_state = 0;
    assert_eq!(cluster.alter(&request).topics[0].partitions[0].error_code, 0);
    assert_eq!(cluster.partition(strict, 0).leader_recovery_state, LeaderRecoveryState::Recovered);
}

#[test]
fn a_cluster_wide_default_allows_unclean_elections_too() {
    let mut cluster = TestCluster::of(2, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[0, 1]], &[]);
    cluster.fence(1);
    cluster.heartbeat(1, false, false);
    cluster.fence(0);
    assert_eq!(cluster.state(topic_id), (-1, 1, nodes(&[0])));
    cluster.alter_config(&ConfigResource::BrokerDefault, SET, "unclean.leader.election.enable", Some("true"));
    cluster.drain_due();
    assert_eq!(cluster.state(topic_id), (1, 2, nodes(&[1])));
}

#[test]
fn operators_elect_leaders() {
    let mut cluster = TestCluster::of(2, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[0, 1]], &[]);
    assert_eq!(elect(&mut cluster, PREFERRED, Some("orders")), [code(ErrorCode::ElectionNotNeeded)]);
    assert_eq!(elect(&mut cluster, PREFERRED, None), [] as [i16; 0]);
    assert_eq!(elect(&mut cluster, PREFERRED, Some("nosuch")), [code(ErrorCode::UnknownTopicOrPartition)]);
    cluster.fence(0);
    assert_eq!(
        elect(&mut cluster, PREFERRED, Some("orders")),
        [code(ErrorCode::PreferredLeaderNotAvailable)]
    );
    cluster.heartbeat(0, false, false);
    assert_eq!(cluster.alter_isr(1, topic_id, &[1, 0]), 0);
    assert_eq!(elect(&mut cluster, PREFERRED, Some("orders")), [0]);
    assert_eq!(cluster.state(topic_id), (0, 2, nodes(&[1, 0])));

    assert_eq!(elect(&mut cluster, UNCLEAN, Some("orders")), [code(ErrorCode::ElectionNotNeeded)]);
    assert_eq!(cluster.alter_isr(0, topic_id, &[0]), 0);
    cluster.fence(0);
    assert_eq!(cluster.state(topic_id), (-1, 3, nodes(&[0])));
    assert_eq!(elect(&mut cluster, UNCLEAN, None), [0]);
    assert_eq!(cluster.state(topic_id), (1, 4, nodes(&[1])));

    let unknown = ElectLeadersRequest::default().with_election_type(7);
    assert_eq!(
        cluster.controller.elect_leaders(&unknown).response.error_code,
        code(ErrorCode::InvalidRequest)
    );
}

#[test]
fn leaderships_go_back_to_preferred_replicas_by_and_by() {
    for (enabled, leader) in [("true", 1), ("false", 2)] {
        let properties =
            [("auto.leader.rebalance.enable", enabled), ("leader.imbalance.check.interval.seconds", "30")];
        let mut cluster = TestCluster::of(3, &properties);
        let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
        cluster.fence(1);
        cluster.heartbeat(1, false, false);
        assert_eq!(cluster.alter_isr(2, topic_id, &[2, 0, 1]), 0);
        cluster.advance_with_heartbeats(29, &[0, 1, 2]);
        assert_eq!(cluster.state(topic_id).0, 2);
        cluster.advance_with_heartbeats(2, &[0, 1, 2]);
        assert_eq!(cluster.state(topic_id).0, leader);
    }
}

#[test]
fn due_work_does_not_come_twice() {
    let mut cluster = TestCluster::of(1, &[("leader.imbalance.check.interval.seconds", "1")]);
    cluster.advance(Span::from_millis(400));
    assert!(cluster.controller.poll_timeout().unwrap() > cluster.now);
    assert_eq!(cluster.image.broker(NodeId(0)).map(|broker| broker.fenced), Some(false));
}
