//! Reassignments: exact states on the way.

use trial_node::{NodeId, TopicPartition, TraceEvent};
use trial_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use trial_wire::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use trial_wire::messages::{AlterPartitionReassignmentsRequest, BrokerId, ListPartitionReassignmentsRequest};
use trial_wire::{ErrorCode, Uuid};

use super::super::testing::{TestCluster, nodes, topic_name};
use super::code;

/// What `replicas` (`None`: cancel) is answered for partition 0 of the topic.
fn reassign_as(
    cluster: &mut TestCluster,
    name: &'static str,
    replicas: Option<&[i32]>,
    same_factor: bool,
) -> i16 {
    let replicas = replicas.map(|ids| ids.iter().copied().map(BrokerId).collect());
    let partition = ReassignablePartition::default().with_partition_index(0).with_replicas(replicas);
    let topic = ReassignableTopic::default().with_name(topic_name(name)).with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default()
        .with_allow_replication_factor_change(!same_factor)
        .with_topics(vec![topic]);
    let result = cluster.controller.alter_partition_reassignments(&request);
    let response = cluster.carry_out(result);
    assert_eq!(response.error_code, 0);
    response.responses[0].partitions[0].error_code
}

fn reassign(cluster: &mut TestCluster, replicas: Option<&[i32]>) -> i16 {
    reassign_as(cluster, "a", replicas, false)
}

/// Replicas, those that are added and those that are removed.
fn assignment(cluster: &TestCluster, topic_id: Uuid) -> [Vec<NodeId>; 3] {
    let partition = cluster.partition(topic_id, 0);
    [partition.replicas.clone(), partition.adding_replicas.clone(), partition.removing_replicas.clone()]
}

fn assigned(replicas: &[i32], adding: &[i32], removing: &[i32]) -> [Vec<NodeId>; 3] {
    [nodes(replicas), nodes(adding), nodes(removing)]
}

fn tp() -> TopicPartition {
    TopicPartition { topic: topic_name("a"), partition: 0 }
}

#[test]
fn a_partition_moves_once_all_new_replicas_are_in_sync() {
    let mut cluster = TestCluster::of(6, &[]);
    let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[]);
    assert_eq!(reassign(&mut cluster, Some(&[3, 4, 2])), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[3, 4, 2, 0, 1], &[3, 4], &[0, 1]));
    assert_eq!(cluster.state(id), (0, 0, nodes(&[0, 1, 2])), "the leader goes on as before");
    let directories: Vec<_> = [3, 4, 2, 0, 1].map(|id| Uuid::from_u128(1_000 + id)).into();
    assert_eq!(cluster.partition(id, 0).directories, directories);
    let [TraceEvent::ReassignmentStarted { .. }] = &cluster.last.1[..] else { panic!("{:?}", cluster.last) };

    assert_eq!(cluster.alter_isr(0, id, &[0, 1, 2, 3]), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[3, 4, 2, 0, 1], &[3, 4], &[0, 1]));
    // The leader goes, and is told to look for the next one.
    assert_eq!(cluster.alter_isr(0, id, &[0, 1, 2, 3, 4]), code(ErrorCode::NewLeaderElected));
    assert_eq!(assignment(&cluster, id), assigned(&[3, 4, 2], &[], &[]));
    assert_eq!(cluster.state(id), (3, 1, nodes(&[2, 3, 4])));
    let directories: Vec<_> = [3, 4, 2].map(|id| Uuid::from_u128(1_000 + id)).into();
    assert_eq!(cluster.partition(id, 0).directories, directories);
    assert_eq!(
        cluster.last.1[0],
        TraceEvent::ReassignmentCompleted { tp: tp(), replicas: nodes(&[3, 4, 2]) }
    );
}

#[test]
fn a_replica_that_goes_takes_a_leader_epoch_even_if_the_leader_stays() {
    let mut cluster = TestCluster::of(3, &[]);
    let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[]);
    assert_eq!(reassign(&mut cluster, Some(&[0, 1])), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[0, 1], &[], &[]));
    assert_eq!(cluster.state(id), (0, 1, nodes(&[0, 1])));
    // Another order is complete at once, and leaves the leader.
    assert_eq!(reassign(&mut cluster, Some(&[1, 0])), 0);
    assert_eq!((assignment(&cluster, id), cluster.state(id).0), (assigned(&[1, 0], &[], &[]), 0));
    // What is so already takes no record.
    assert_eq!(reassign(&mut cluster, Some(&[1, 0])), 0);
    assert!(cluster.last.0.is_empty());
}

#[test]
fn a_removed_replica_stays_until_somebody_else_is_in_sync() {
    let mut cluster = TestCluster::of(3, &[]);
    let id = cluster.create_assigned("a", &[&[0, 1]], &[]);
    cluster.alter_isr(0, id, &[0]);
    assert_eq!(reassign(&mut cluster, Some(&[1])), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[1, 0], &[], &[0]));
    assert_eq!(cluster.alter_isr(0, id, &[0, 1]), code(ErrorCode::NewLeaderElected));
    assert_eq!(
        (assignment(&cluster, id), cluster.state(id)),
        (assigned(&[1], &[], &[]), (1, 1, nodes(&[1])))
    );
}

#[test]
fn cancelling_goes_back_to_where_it_began() {
    let mut cluster = TestCluster::of(5, &[]);
    let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[]);
    assert_eq!(reassign(&mut cluster, None), code(ErrorCode::NoReassignmentInProgress));
    reassign(&mut cluster, Some(&[3, 4]));
    cluster.alter_isr(0, id, &[0, 1, 2, 3]);
    // The new leader is one that will be taken away again.
    for id in [0, 1, 2] {
        cluster.fence(id);
    }
    assert_eq!(cluster.state(id), (3, 1, nodes(&[3])));
    assert_eq!(
        reassign(&mut cluster, None),
        code(ErrorCode::InvalidReplicaAssignment),
        "it would be unclean"
    );
    cluster.start_broker(1);
    cluster.alter_isr(3, id, &[3, 1]);
    assert_eq!(reassign(&mut cluster, None), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[0, 1, 2], &[], &[]));
    assert_eq!(cluster.state(id), (1, 2, nodes(&[1])));
    assert_eq!(
        cluster.last.1[0],
        TraceEvent::ReassignmentCancelled { tp: tp(), replicas: nodes(&[0, 1, 2]) }
    );
}

#[test]
fn a_newer_reassignment_replaces_the_older() {
    let mut cluster = TestCluster::of(6, &[]);
    let id = cluster.create_assigned("a", &[&[0, 1, 2]], &[]);
    reassign(&mut cluster, Some(&[0, 1, 3]));
    assert_eq!(assignment(&cluster, id), assigned(&[0, 1, 3, 2], &[3], &[2]));
    // 3 is still being added, 2 is wanted again.
    assert_eq!(reassign(&mut cluster, Some(&[0, 2, 3, 4])), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[0, 2, 3, 4, 1], &[3, 4], &[1]));
    assert_eq!(reassign(&mut cluster, None), 0);
    assert_eq!(assignment(&cluster, id), assigned(&[0, 2, 1], &[], &[]));
}

#[test]
fn what_cannot_be_is_refused() {
    let mut cluster = TestCluster::of(4, &[]);
    cluster.create_assigned("a", &[&[0, 1, 2]], &[]);
    let invalid = code(ErrorCode::InvalidReplicaAssignment);
    assert_eq!(reassign(&mut cluster, Some(&[])), invalid);
    assert_eq!(reassign(&mut cluster, Some(&[0, 1, 9])), invalid);
    assert_eq!(reassign(&mut cluster, Some(&[0, 1, 1])), invalid);
    let unknown = code(ErrorCode::UnknownTopicOrPartition);
    assert_eq!(reassign_as(&mut cluster, "b", Some(&[0]), false), unknown);
    let factor = code(ErrorCode::InvalidReplicationFactor);
    assert_eq!(reassign_as(&mut cluster, "a", Some(&[0, 1]), true), factor);
    assert_eq!(reassign_as(&mut cluster, "a", Some(&[0, 1, 3]), true), 0);
    assert_eq!(
        reassign_as(&mut cluster, "a", Some(&[3, 0, 1, 2]), true),
        factor,
        "three once it is complete"
    );
}

#[test]
fn only_what_is_under_way_is_listed() {
    let mut cluster = TestCluster::of(5, &[]);
    cluster.create_assigned("a", &[&[0, 1]], &[]);
    cluster.create_assigned("b", &[&[0, 1]], &[]);
    reassign(&mut cluster, Some(&[3, 1]));
    let ask = |topics: Option<Vec<(&'static str, i32)>>| {
        let wanted = topics.map(|topics| {
            let wanted = topics.into_iter().map(|(name, index)| {
                ListPartitionReassignmentsTopics::default()
                    .with_name(topic_name(name))
                    .with_partition_indexes(vec![index])
            });
            wanted.collect()
        });
        let request = ListPartitionReassignmentsRequest::default().with_topics(wanted);
        cluster.controller.list_partition_reassignments(&request).response.topics
    };
    let all = ask(None);
    let [topic] = &all[..] else { panic!("{all:?}") };
    let [partition] = &topic.partitions[..] else { panic!("{topic:?}") };
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect::<Vec<_>>();
    assert_eq!(ids(&partition.replicas), [3, 1, 0]);
    assert_eq!((ids(&partition.adding_replicas), ids(&partition.removing_replicas)), (vec![3], vec![0]));
    assert_eq!(ask(Some(vec![("a", 0)])), all);
    assert!(ask(Some(vec![("a", 1), ("b", 0), ("c", 0)])).is_empty());
}
