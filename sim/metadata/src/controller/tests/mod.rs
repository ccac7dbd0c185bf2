//! Exact records for each decision.

mod brokers;
mod configs;
mod directories;
mod eligible;
mod leaders;
mod random;
mod reassign;
mod security;
mod topics;

use trial_node::{Offset, Span};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::{
    AllocateProducerIdsRequest, BrokerHeartbeatRequest, BrokerId, CreateTopicsRequest,
    UnregisterBrokerRequest,
};
use trial_wire::{ErrorCode, StrBytes};

use super::testing::{TestCluster, topic_name};
use crate::record::MetadataRecord;

const SESSION: Span = Span::from_secs(9);

fn code(error: ErrorCode) -> i16 {
    error.code()
}

#[test]
fn a_new_log_begins_with_the_feature_levels() {
    let cluster = TestCluster::empty(&[]);
    let levels = [("group.version", 1), ("metadata.version", 25), ("transaction.version", 2)];
    let records =
        levels.map(|(name, level)| MetadataRecord::FeatureLevel { name: StrBytes::from(name), level });
    assert_eq!(cluster.log, records);
}

#[test]
fn an_idle_controller_writes_a_no_op_record_each_interval() {
    let mut cluster = TestCluster::empty(&[]);
    let before = cluster.log.len();
    cluster.advance(Span::from_secs(10));
    assert_eq!(cluster.log[before..], vec![MetadataRecord::NoOp; 20]);

    let mut cluster = TestCluster::empty(&[("metadata.max.idle.interval.ms", "0")]);
    let before = cluster.log.len();
    cluster.advance(Span::from_secs(10));
    assert_eq!(cluster.log.len(), before);
}

#[test]
fn producer_ids_come_in_blocks_that_never_overlap() {
    let mut cluster = TestCluster::of(2, &[]);
    let mut starts = Vec::new();
    for id in [0, 1, 0] {
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(cluster.broker_epoch(id));
        let result = cluster.controller.allocate_producer_ids(&request);
        let response = cluster.carry_out(result);
        assert_eq!((response.error_code, response.producer_id_len), (0, 1_000));
        starts.push(response.producer_id_start.0);
    }
    assert_eq!(starts, [0, 1_000, 2_000]);

    let stale = AllocateProducerIdsRequest::default().with_broker_id(BrokerId(0)).with_broker_epoch(99);
    let result = cluster.controller.allocate_producer_ids(&stale);
    assert_eq!(
        (result.records.as_slice(), result.response.error_code),
        ([].as_slice(), code(ErrorCode::StaleBrokerEpoch))
    );
}

#[test]
fn what_a_user_asks_for_is_atomic_and_what_follows_from_a_broker_is_not() {
    let mut cluster = TestCluster::of(2, &[]);
    let create = CreateTopicsRequest::default()
        .with_topics(vec![CreatableTopic::default().with_name(topic_name("a")).with_num_partitions(2)]);
    let result = cluster.controller.create_topics(&create, &mut cluster.rng);
    assert!(result.is_atomic);
    cluster.carry_out(result);
    let want_fence = BrokerHeartbeatRequest::default()
        .with_broker_id(BrokerId(1))
        .with_broker_epoch(cluster.broker_epoch(1))
        .with_want_fence(true);
    assert!(!cluster.controller.broker_heartbeat(cluster.now, &want_fence).is_atomic);
    let unregister = UnregisterBrokerRequest::default().with_broker_id(BrokerId(1));
    assert!(!cluster.controller.unregister_broker(&unregister).is_atomic);
    assert!(!cluster.controller.handle_timeout(cluster.now + SESSION).is_atomic);
}

#[test]
fn nothing_changes_before_the_replay() {
    let mut cluster = TestCluster::of(3, &[]);
    let before = cluster.controller.image.clone();
    let result = cluster.controller.broker_heartbeat(
        cluster.now,
        &BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(1))
            .with_broker_epoch(cluster.broker_epoch(1))
            .with_want_fence(true),
    );
    assert_eq!(result.records.len(), 1);
    assert_eq!(cluster.controller.image, before);
    cluster.controller.replay(cluster.now, Offset(cluster.log.len() as i64), &result.records);
    assert_ne!(cluster.controller.image, before);
}
