//! Registration, heartbeats, sessions, controlled shutdown.

use trial_node::{NodeId, Offset, Span, TopicIdPartition, TraceEvent};
use trial_wire::messages::{
    BrokerHeartbeatRequest, BrokerId, BrokerRegistrationRequest, UnregisterBrokerRequest,
};
use trial_wire::{ErrorCode, StrBytes};

use super::super::testing::{TestCluster, nodes};
use super::{SESSION, code};
use crate::record::{BrokerRegistrationChange, MetadataRecord, PartitionChange};

fn registration_change(
    cluster: &TestCluster,
    id: i32,
    fenced: Option<bool>,
    shutdown: bool,
) -> MetadataRecord {
    MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChange {
        broker_id: NodeId(id),
        broker_epoch: cluster.broker_epoch(id),
        fenced,
        in_controlled_shutdown: shutdown,
        log_dirs: None,
    })
}

#[test]
fn a_broker_registers_fenced_with_the_records_offset_as_its_epoch() {
    let mut cluster = TestCluster::empty(&[]);
    let response = cluster.register(1, 7);
    // After three feature levels.
    assert_eq!((response.error_code, response.broker_epoch), (0, 3));
    let [MetadataRecord::RegisterBroker(registration)] = cluster.last.0.as_slice() else {
        panic!("{:?}", cluster.last.0);
    };
    assert_eq!((registration.broker_epoch, registration.fenced), (3, true));
    assert_eq!(registration.end_point("PLAINTEXT").unwrap().host.as_str(), "node-1");
}

#[test]
fn a_broker_is_unfenced_once_it_has_applied_its_registration() {
    let mut cluster = TestCluster::empty(&[]);
    cluster.register(1, 7);
    let behind = cluster.heartbeat_at(1, 2, false, false);
    assert_eq!((behind.is_caught_up, behind.is_fenced), (false, true));
    assert_eq!(cluster.last.0, []);
    let unwilling = cluster.heartbeat_at(1, 3, true, false);
    assert_eq!((unwilling.is_caught_up, unwilling.is_fenced), (true, true));
    let caught_up = cluster.heartbeat_at(1, 3, false, false);
    assert_eq!(
        (caught_up.is_caught_up, caught_up.is_fenced, caught_up.should_shut_down),
        (true, false, false)
    );
    assert_eq!(cluster.last.0, [registration_change(&cluster, 1, Some(false), false)]);
    assert_eq!(cluster.last.1, [TraceEvent::ControllerUnfencedBroker { broker: NodeId(1) }]);
}

#[test]
fn another_incarnation_may_register_once_the_session_has_ended() {
    let mut cluster = TestCluster::of(1, &[]);
    let epoch = cluster.broker_epoch(0);
    assert_eq!(cluster.register(0, 12_345).error_code, code(ErrorCode::DuplicateBrokerRegistration));
    let incarnation = cluster.image.broker(NodeId(0)).unwrap().incarnation_id;
    let again = cluster.register(0, incarnation.as_u128());
    assert_eq!((again.error_code, again.broker_epoch), (0, epoch));
    assert!(!cluster.image.broker(NodeId(0)).unwrap().fenced);

    cluster.advance(SESSION);
    let next = cluster.log.len() as i64;
    let other = cluster.register(0, 12_345);
    assert_eq!((other.error_code, other.broker_epoch), (0, next));
    assert!(cluster.image.broker(NodeId(0)).unwrap().fenced);
}

#[test]
fn registrations_that_do_not_fit_are_refused() {
    let mut cluster = TestCluster::of(1, &[]);
    let refused = |request: BrokerRegistrationRequest| {
        let result = cluster.controller.register_broker(cluster.now, &request, Offset(100));
        assert_eq!(result.records, []);
        result.response.error_code
    };
    let request = BrokerRegistrationRequest::default().with_broker_id(BrokerId(1));
    assert_eq!(refused(request.clone()), code(ErrorCode::InconsistentClusterId));
    let request = request.with_cluster_id(StrBytes::from("trial"));
    assert_eq!(refused(request.clone()), code(ErrorCode::InvalidRegistration));
    let taken = cluster.image.broker(NodeId(0)).unwrap().log_dirs.clone();
    assert_eq!(refused(request.clone().with_log_dirs(taken)), code(ErrorCode::InvalidRegistration));
    let request = request.with_log_dirs(vec![trial_wire::Uuid::from_u128(5_000)]);
    assert_eq!(refused(request), code(ErrorCode::UnsupportedVersion));
    assert_eq!(cluster.register(1, 3).error_code, 0);
}

#[test]
fn a_silent_broker_is_fenced_when_its_session_ends() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    cluster.advance_with_heartbeats(9, &[0, 2]);
    assert!(cluster.image.broker(NodeId(1)).unwrap().fenced);
    assert_eq!(cluster.state(topic_id), (2, 1, nodes(&[2, 0])));
    let fenced =
        cluster.log.iter().position(|record| *record == registration_change(&cluster, 1, Some(true), false));
    let change = PartitionChange {
        id: TopicIdPartition { topic_id, partition: 0 },
        isr: Some(nodes(&[2, 0])),
        leader: Some(NodeId(2)),
        ..PartitionChange::default()
    };
    assert_eq!(cluster.log[fenced.unwrap() - 1], MetadataRecord::PartitionChange(change));
    // The others, who heartbeat, stay.
    cluster.advance_with_heartbeats(20, &[0, 2]);
    assert!(!cluster.image.broker(NodeId(0)).unwrap().fenced);
    assert!(!cluster.image.broker(NodeId(2)).unwrap().fenced);
}

#[test]
fn the_last_in_sync_replica_stays_in_the_isr_and_leads_again_when_it_returns() {
    let mut cluster = TestCluster::of(2, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[0, 1]], &[]);
    cluster.fence(1);
    assert_eq!(cluster.state(topic_id), (0, 0, nodes(&[0])));
    cluster.fence(0);
    assert_eq!(cluster.state(topic_id), (-1, 1, nodes(&[0])));
    // The other one missed what was written since: it must not lead.
    cluster.heartbeat(1, false, false);
    assert_eq!(cluster.state(topic_id), (-1, 1, nodes(&[0])));
    cluster.heartbeat(0, false, false);
    assert_eq!(cluster.state(topic_id), (0, 2, nodes(&[0])));
    let tp = trial_node::TopicPartition::new("orders", 0);
    let elected = TraceEvent::LeaderElected {
        tp,
        leader: NodeId(0),
        leader_epoch: trial_node::LeaderEpoch(2),
        unclean: false,
    };
    assert_eq!(cluster.last.1, [TraceEvent::ControllerUnfencedBroker { broker: NodeId(0) }, elected]);
}

#[test]
fn a_new_incarnation_leaves_its_isrs_even_if_nobody_saw_the_old_one_die() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    // Its session ends, and it is back before the controller has looked.
    cluster.now += SESSION;
    cluster.register(1, 999);
    assert_eq!(cluster.state(topic_id), (2, 1, nodes(&[2, 0])));
    assert_eq!(cluster.last.1[0], TraceEvent::ControllerFencedBroker { broker: NodeId(1) });
}

#[test]
fn heartbeats_of_an_old_epoch_are_refused() {
    let mut cluster = TestCluster::of(1, &[]);
    let request = BrokerHeartbeatRequest::default().with_broker_id(BrokerId(0)).with_broker_epoch(77);
    let result = cluster.controller.broker_heartbeat(cluster.now, &request);
    assert_eq!(result.response.error_code, code(ErrorCode::StaleBrokerEpoch));
    assert_eq!(result.records, []);
}

#[test]
fn a_controlled_shutdown_moves_leaderships_and_waits_until_the_others_know() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    let begun = cluster.heartbeat(1, false, true);
    assert_eq!((begun.is_fenced, begun.should_shut_down), (false, false));
    let change = PartitionChange {
        id: TopicIdPartition { topic_id, partition: 0 },
        isr: Some(nodes(&[2, 0])),
        leader: Some(NodeId(2)),
        ..PartitionChange::default()
    };
    assert_eq!(
        cluster.last.0,
        [registration_change(&cluster, 1, None, true), MetadataRecord::PartitionChange(change)]
    );
    let moved_at = cluster.log.len() as i64 - 1;

    // A leader must not take it back in (KIP-841).
    assert_eq!(cluster.alter_isr(2, topic_id, &[2, 0, 1]), code(ErrorCode::IneligibleReplica));

    cluster.heartbeat_at(0, moved_at, false, false);
    cluster.heartbeat_at(2, moved_at - 1, false, false);
    // What it knows itself does not matter.
    let waiting = cluster.heartbeat_at(1, 0, false, true);
    assert_eq!((waiting.is_fenced, waiting.should_shut_down), (false, false));
    assert_eq!(cluster.last.0, []);
    cluster.heartbeat_at(2, moved_at, false, false);
    let granted = cluster.heartbeat(1, false, true);
    assert_eq!((granted.is_fenced, granted.should_shut_down), (true, true));
    assert_eq!(cluster.last.0, [registration_change(&cluster, 1, Some(true), false)]);

    // It asks once more, as its response was lost.
    let again = cluster.heartbeat(1, false, true);
    assert_eq!((again.is_fenced, again.should_shut_down), (true, true));
    assert_eq!(cluster.last.0, []);
}

#[test]
fn a_broker_that_leads_nothing_shuts_down_at_once() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    let granted = cluster.heartbeat(2, false, true);
    assert_eq!((granted.is_fenced, granted.should_shut_down), (true, true));
    assert_eq!(cluster.state(topic_id), (1, 0, nodes(&[1, 0])));
}

#[test]
fn a_controlled_shutdown_goes_on_under_the_next_controller() {
    let mut cluster = TestCluster::of(3, &[]);
    cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    cluster.heartbeat(1, false, true);
    cluster.fail_over(0);
    let granted = cluster.heartbeat(1, false, true);
    assert_eq!((granted.is_fenced, granted.should_shut_down), (true, true));
}

#[test]
fn a_new_controller_gives_every_broker_a_session() {
    let mut cluster = TestCluster::of(2, &[]);
    cluster.advance_with_heartbeats(8, &[0, 1]);
    cluster.now += Span::from_secs(60);
    cluster.fail_over(0);
    assert!(cluster.image.brokers().values().all(|broker| !broker.fenced));
    cluster.advance(SESSION);
    assert!(cluster.image.brokers().values().all(|broker| broker.fenced));
}

#[test]
fn an_unregistered_broker_leaves_its_isrs() {
    let mut cluster = TestCluster::of(3, &[]);
    let topic_id = cluster.create_assigned("orders", &[&[1, 2, 0]], &[]);
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(1));
    let result = cluster.controller.unregister_broker(&request);
    assert_eq!(cluster.carry_out(result).error_code, 0);
    assert_eq!(cluster.state(topic_id), (2, 1, nodes(&[2, 0])));
    assert!(cluster.image.broker(NodeId(1)).is_none());
    let result = cluster.controller.unregister_broker(&request);
    assert_eq!(cluster.carry_out(result).error_code, code(ErrorCode::BrokerIdNotRegistered));
    cluster.advance(SESSION);
}
