//! Markers on their way.

use bytes::BytesMut;
use trial_node::Span;
use trial_wire::{ApiKey, ErrorCode, RequestKind, message};

use super::{Bench, marker_transaction_version};
use crate::Coordinator;

const A0_A1: &[(&str, &[i32])] = &[("a", &[0, 1])];

fn decided() -> Bench {
    let mut bench = Bench::new(1);
    let producer = bench.open(3, A0_A1);
    bench.end(4, producer, true);
    bench
}

#[test]
fn a_partition_without_a_leader_waits_for_one() {
    let mut bench = decided();
    bench.set_leader("a", 0, None);
    assert_eq!(bench.commit(), ["end ok", "send 2: commit v0 1000/0 by 7 a-1"]);
    assert_eq!(bench.acknowledge(0), [""; 0]);
    assert_eq!(bench.wait(Span::from_millis(50)), [""; 0]);
    assert_eq!(bench.set_leader("a", 0, Some(3)), ["send 3: commit v0 1000/0 by 7 a-0"]);
    assert_eq!(bench.acknowledge(0), ["append t CompleteCommit 1000/0"]);
}

#[test]
fn a_deleted_partition_needs_no_marker() {
    let mut bench = decided();
    bench.set_leader("a", 0, None);
    assert_eq!(bench.commit(), ["end ok", "send 2: commit v0 1000/0 by 7 a-1"]);
    bench.metadata.leaders.remove("a");
    assert_eq!(bench.with(|c, env| c.metadata_changed(env)), [""; 0]);
    assert_eq!(bench.acknowledge(ErrorCode::UnknownTopicOrPartition.code()), [""; 0]);
    assert_eq!(bench.wait(Span::from_millis(50)), ["append t CompleteCommit 1000/0"]);
}

#[test]
fn what_may_pass_is_tried_again_after_the_back_off() {
    let mut bench = decided();
    let sends = ["send 1: commit v0 1000/0 by 7 a-0", "send 2: commit v0 1000/0 by 7 a-1"];
    assert_eq!(bench.commit()[1..], sends);
    assert_eq!(bench.lose_response(), [""; 0]);
    assert_eq!(bench.acknowledge(ErrorCode::NotLeaderOrFollower.code()), [""; 0]);
    assert_eq!(bench.wait(Span::from_millis(49)), [""; 0]);
    assert_eq!(bench.wait(Span::from_millis(1)), sends);
    assert_eq!(bench.acknowledge(0), [""; 0]);
    assert_eq!(bench.acknowledge(0), ["append t CompleteCommit 1000/0"]);
}

#[test]
fn a_broker_has_one_request_at_a_time() {
    let mut bench = decided();
    bench.set_leader("a", 0, None);
    assert_eq!(bench.commit(), ["end ok", "send 2: commit v0 1000/0 by 7 a-1"]);
    assert_eq!(bench.set_leader("a", 0, Some(2)), [""; 0]);
    assert_eq!(bench.acknowledge(0), ["send 2: commit v0 1000/0 by 7 a-0"]);
    assert_eq!(bench.acknowledge(0), ["append t CompleteCommit 1000/0"]);
}

#[test]
fn a_coordinator_that_was_replaced_sends_nothing_more() {
    let mut bench = decided();
    assert_eq!(bench.commit().len(), 3);
    assert_eq!(bench.lose_response(), [""; 0]);
    assert_eq!(bench.acknowledge(ErrorCode::TransactionCoordinatorFenced.code()), [""; 0]);
    assert_eq!(bench.wait(Span::from_secs(1)), [""; 0]);
    assert_eq!(bench.log.len(), 3, "it is not for this one to write down the end");
}

/// A late marker of version 2 must be told from one of a transaction that has begun since (KIP-1228).
#[test]
fn a_marker_tells_its_version_on_the_wire() {
    let mut bench = Bench::new(2);
    let producer = bench.open(5, A0_A1);
    bench.end(5, producer, true);
    bench.commit();
    let (_, sent) = bench.sent.pop_front().expect("markers were sent");
    let sent = RequestKind::WriteTxnMarkers(sent);
    let mut bytes = BytesMut::new();
    message::encode_request(&sent, 1, &mut bytes).unwrap();
    let received = message::decode_request(ApiKey::WriteTxnMarkers, 1, bytes.freeze()).unwrap();
    assert_eq!(received, sent);
    let RequestKind::WriteTxnMarkers(received) = received else { panic!("{received:?}") };
    assert_eq!(marker_transaction_version(&received.markers[0]), 2);
}
