//! Log directories (KIP-858).

use trial_node::NodeId;
use trial_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use trial_wire::messages::{AssignReplicasToDirsRequest, BrokerHeartbeatRequest, BrokerId};
use trial_wire::{ErrorCode, Uuid};

use super::super::testing::{TestCluster, nodes, topic_name};
use crate::record::{ConfigResource, MetadataRecord, UNASSIGNED_DIRECTORY};

const X: u128 = 5_001;
const Y: u128 = 5_002;
const Z: u128 = 5_003;

fn ids(ids: &[u128]) -> Vec<Uuid> {
    ids.iter().copied().map(Uuid::from_u128).collect()
}

/// Starts broker 0 with these directories.
fn start(cluster: &mut TestCluster, log_dirs: &[u128]) {
    let incarnation = cluster.log.len() as u128 + 90_000;
    assert_eq!(cluster.register_with(0, incarnation, -1, log_dirs).error_code, 0);
    assert!(!cluster.heartbeat(0, false, false).is_fenced);
}

/// A partition on brokers 0 to 2, led by 0, which has it in X of X and Y.
fn cluster() -> (TestCluster, Uuid) {
    let mut cluster = TestCluster::of(3, &[]);
    cluster.fence(0);
    start(&mut cluster, &[X, Y]);
    let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[]);
    assert_eq!(cluster.partition(id, 0).directory(NodeId(0)), UNASSIGNED_DIRECTORY);
    assert_eq!(assign(&mut cluster, id, X), 0);
    (cluster, id)
}

fn assign(cluster: &mut TestCluster, topic: Uuid, directory: u128) -> i16 {
    let partition = PartitionData::default().with_partition_index(0);
    let topic = TopicData::default().with_topic_id(topic).with_partitions(vec![partition]);
    let directory = DirectoryData::default().with_id(Uuid::from_u128(directory)).with_topics(vec![topic]);
    let request = AssignReplicasToDirsRequest::default()
        .with_broker_id(BrokerId(0))
        .with_broker_epoch(cluster.broker_epoch(0))
        .with_directories(vec![directory]);
    let result = cluster.controller.assign_replicas_to_dirs(&request);
    let response = cluster.carry_out(result);
    response.directories[0].topics[0].partitions[0].error_code
}

fn fail(cluster: &mut TestCluster, offline: &[u128], want_fence: bool) -> bool {
    let request = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(0))
        .with_broker_epoch(cluster.broker_epoch(0))
        .with_current_metadata_offset(cluster.log.len() as i64 - 1)
        .with_want_fence(want_fence)
        .with_offline_log_dirs(ids(offline));
    let result = cluster.controller.broker_heartbeat(cluster.now, &request);
    cluster.carry_out(result).is_fenced
}

/// Leader and ISR.
fn state(cluster: &TestCluster, id: Uuid) -> (i32, Vec<NodeId>) {
    let (leader, _, isr) = cluster.state(id);
    (leader, isr)
}

#[test]
fn a_failed_directory_loses_its_leaderships_and_its_places_in_isrs() {
    let (mut cluster, id) = cluster();
    fail(&mut cluster, &[Y], false);
    assert_eq!(state(&cluster, id), (0, nodes(&[0, 1, 2])), "it is not there");
    assert_eq!(cluster.image.broker(NodeId(0)).unwrap().log_dirs, ids(&[X]));
    fail(&mut cluster, &[X, Y], false);
    assert_eq!(state(&cluster, id), (1, nodes(&[1, 2])));
    let records = cluster.log.len();
    fail(&mut cluster, &[X, Y], false);
    assert_eq!(cluster.log.len(), records, "every heartbeat says so");
    // It cannot come back into the ISR, not even if a leader asks that has not heard.
    assert_eq!(cluster.alter_isr(1, id, &[0, 1, 2]), ErrorCode::IneligibleReplica.code());
    cluster.fence(1);
    cluster.fence(2);
    assert_eq!(state(&cluster, id), (-1, nodes(&[2])));
    assert_eq!(cluster.image.broker(NodeId(0)).map(|broker| broker.fenced), Some(false), "it lives");
}

#[test]
fn nobody_leads_from_a_directory_that_has_failed() {
    let (mut cluster, id) = cluster();
    cluster.fence(1);
    cluster.fence(2);
    fail(&mut cluster, &[X], false);
    assert_eq!(state(&cluster, id), (-1, nodes(&[0])), "the last in sync stays that, without leading");
    cluster.start_broker(1);
    assert_eq!(state(&cluster, id), (-1, nodes(&[0])));
    // The directory is back after a restart, with what was in it.
    cluster.fence(0);
    start(&mut cluster, &[X, Y]);
    assert_eq!(state(&cluster, id), (0, nodes(&[0])));
}

#[test]
fn whoever_asks_to_be_unfenced_with_a_failed_directory_is_so_without_it() {
    let (mut cluster, id) = cluster();
    cluster.fence(1);
    cluster.fence(2);
    cluster.fence(0);
    assert_eq!(cluster.register_with(0, 777, -1, &[X, Y]).error_code, 0);
    assert!(fail(&mut cluster, &[X], false), "not in one step");
    assert!(!fail(&mut cluster, &[X], false));
    assert_eq!(state(&cluster, id), (-1, nodes(&[0])));
}

#[test]
fn an_empty_directory_in_the_place_of_a_lost_one_does_not_make_its_broker_leader() {
    let (mut cluster, id) = cluster();
    cluster.fence(1);
    cluster.fence(2);
    cluster.fence(0);
    start(&mut cluster, &[Y, Z]);
    assert_eq!(state(&cluster, id), (-1, nodes(&[0])), "X is not there");
    assert_eq!(assign(&mut cluster, id, Z), ErrorCode::IneligibleReplica.code());
    assert_eq!(state(&cluster, id), (-1, nodes(&[0])));
    // The operator decides that what 1 has is good enough; then there is nothing left to protect.
    cluster.start_broker(1);
    let topic = ConfigResource::Topic(topic_name("a"));
    cluster.alter_config(&topic, 0, "unclean.leader.election.enable", Some("true"));
    cluster.drain_due();
    assert_eq!(state(&cluster, id), (1, nodes(&[1])));
    assert_eq!(assign(&mut cluster, id, Z), 0);
    assert_eq!(cluster.partition(id, 0).directory(NodeId(0)), Uuid::from_u128(Z));
}

#[test]
fn an_orderly_shutdown_does_not_make_a_directory_that_is_gone_eligible() {
    for others_are_eligible in [true, false] {
        let mut cluster = TestCluster::with_features(3, &[], &[("eligible.leader.replicas.version", 1)]);
        let min_isr = if others_are_eligible { "2" } else { "1" };
        let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[("min.insync.replicas", min_isr)]);
        for broker in [2, 1, 0] {
            cluster.fence(broker);
        }
        let eligible = |cluster: &TestCluster| cluster.partition(id, 0).elr.clone();
        let before = if others_are_eligible { nodes(&[0, 1]) } else { nodes(&[0]) };
        assert_eq!(eligible(&cluster), before);
        // Its directory is not in `log.dirs` any more; those that are were all closed in order.
        let epoch = cluster.broker_epoch(0);
        assert_eq!(cluster.register_with(0, 900, epoch, &[Y, Z]).error_code, 0);
        cluster.heartbeat(0, false, false);
        assert_eq!(eligible(&cluster), before);
        let assigned = assign(&mut cluster, id, Z);
        if others_are_eligible {
            assert_eq!((assigned, eligible(&cluster)), (0, nodes(&[1])));
        } else {
            assert_eq!((assigned, eligible(&cluster)), (ErrorCode::IneligibleReplica.code(), before));
        }
        assert_eq!(state(&cluster, id), (-1, nodes(&[])));
    }
}

#[test]
fn the_only_replica_may_begin_anew_in_an_empty_directory() {
    let (mut cluster, _) = cluster();
    let id = cluster.create_assigned("b", &[&[0]], &[]);
    assert_eq!(assign(&mut cluster, id, X), 0);
    cluster.fence(0);
    start(&mut cluster, &[Y, Z]);
    assert_eq!(state(&cluster, id), (-1, nodes(&[0])));
    assert_eq!(assign(&mut cluster, id, Z), 0);
    assert_eq!(state(&cluster, id), (0, nodes(&[0])));
}

#[test]
fn a_replica_that_turns_out_to_be_in_a_failed_directory_leads_no_more() {
    let (mut cluster, _) = cluster();
    let id = cluster.create_assigned("b", &[&[0, 1]], &[]);
    fail(&mut cluster, &[Y], false);
    assert_eq!(state(&cluster, id), (0, nodes(&[0, 1])), "nobody knows that it is in Y");
    assert_eq!(assign(&mut cluster, id, Y), 0);
    assert_eq!(state(&cluster, id), (1, nodes(&[1])));
    let MetadataRecord::PartitionChange(change) = cluster.log.last().unwrap() else { panic!() };
    assert_eq!(change.directories.as_ref().unwrap()[0], Uuid::from_u128(Y), "both in one record");
}

#[test]
fn an_assignment_is_checked() {
    let (mut cluster, id) = cluster();
    let other = cluster.create_assigned("b", &[&[1, 2]], &[]);
    assert_eq!(assign(&mut cluster, other, X), ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(assign(&mut cluster, Uuid::from_u128(77), X), ErrorCode::UnknownTopicId.code());
    let records = cluster.log.len();
    assert_eq!(assign(&mut cluster, id, X), 0);
    assert_eq!(cluster.log.len(), records, "it is there already");
    let stale = AssignReplicasToDirsRequest::default().with_broker_id(BrokerId(0)).with_broker_epoch(3);
    let result = cluster.controller.assign_replicas_to_dirs(&stale);
    assert_eq!(result.response.error_code, ErrorCode::StaleBrokerEpoch.code());
}
