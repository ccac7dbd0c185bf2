//! Logs that do not take a record, or not in time.

use trial_node::Span;
use trial_wire::ErrorCode;

use super::{Bench, NEW};
use crate::Coordinator;

const B0: &[(&str, &[i32])] = &[("b", &[0])];

#[test]
fn what_the_log_refuses_has_not_happened() {
    let mut bench = Bench::new(2);
    bench.refusal = Some(ErrorCode::NotEnoughReplicas);
    assert_eq!(bench.init(5, NEW), ["append t Empty 1000/0", "init CoordinatorNotAvailable"]);
    assert_eq!(bench.add(5, (1000, 0), B0), ["add InvalidProducerIdMapping"]);
    bench.refusal = None;
    bench.next_producer_id = Err(ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(bench.init(5, NEW), ["init CoordinatorLoadInProgress"]);
    assert_eq!(bench.entries(), [""; 0]);

    bench.next_producer_id = Ok(1000);
    let producer = bench.open(5, B0);
    let before = bench.entries();
    bench.refusal = Some(ErrorCode::NotLeaderOrFollower);
    assert_eq!(bench.end(5, producer, true), ["append t PrepareCommit 1000/1 b-0", "end NotCoordinator"]);
    assert_eq!(bench.entries(), before);
    bench.refusal = None;
    assert_eq!(bench.end(5, producer, false), ["append t PrepareAbort 1000/1 b-0"]);
}

#[test]
fn what_is_in_the_log_stands() {
    let mut bench = Bench::new(2);
    let producer = bench.open(5, B0);
    assert_eq!(bench.end(5, producer, true), ["append t PrepareCommit 1000/1 b-0"]);
    assert_eq!(bench.time_out(), ["end CoordinatorNotAvailable"]);
    // It may be committed, or may not: nothing else can be decided, and no marker goes out.
    assert_eq!(bench.end(5, producer, false), ["end ConcurrentTransactions"]);
    assert_eq!(bench.wait(Span::from_millis(49)), [""; 0]);
    bench.refusal = Some(ErrorCode::NotEnoughReplicas);
    assert_eq!(bench.wait(Span::from_millis(1)), ["append t PrepareCommit 1000/1 b-0"]);
    bench.refusal = None;
    assert_eq!(bench.wait(Span::from_millis(50)), ["append t PrepareCommit 1000/1 b-0"]);
    assert_eq!(bench.wait(Span::from_millis(50)), [""; 0], "it is on its way");
    assert_eq!(bench.commit(), ["send 1: commit v2 1000/1 by 7 b-0"]);
    assert_eq!(bench.settle(), ["append t CompleteCommit 1000/1"]);
    assert_eq!(bench.end(5, producer, true), ["end ok 1000/1"]);
}

#[test]
fn the_end_is_written_down_at_last() {
    let mut bench = Bench::new(1);
    let producer = bench.open(3, B0);
    bench.end(4, producer, true);
    bench.commit();
    bench.refusal = Some(ErrorCode::NotEnoughReplicas);
    assert_eq!(bench.acknowledge(0), ["append t CompleteCommit 1000/0"]);
    assert_eq!(bench.add(3, producer, B0), ["add ConcurrentTransactions"]);
    bench.refusal = None;
    assert_eq!(bench.wait(Span::from_millis(50)), ["append t CompleteCommit 1000/0"]);
    assert_eq!(bench.time_out(), [""; 0]);
    assert_eq!(bench.add(3, producer, B0), ["add ConcurrentTransactions"]);
    assert_eq!(bench.wait(Span::from_millis(50)), ["append t CompleteCommit 1000/0"]);
    assert_eq!(bench.settle(), [""; 0]);
    assert_eq!(bench.add(3, producer, B0), ["append t Ongoing 1000/0 b-0"]);
}

#[test]
fn a_coordinator_that_resigns_answers_whoever_waits() {
    let mut bench = Bench::new(1);
    let producer = bench.open(3, B0);
    assert_eq!(bench.end(4, producer, true), ["append t PrepareCommit 1000/0 b-0"]);
    assert_eq!(bench.with(|c, _| c.resign()), ["end NotCoordinator"]);

    let mut bench = Bench::new(1);
    let producer = bench.open(3, B0);
    assert_eq!(bench.add(4, producer, &[("a", &[0])]), ["append t Ongoing 1000/0 a-0 b-0"]);
    assert_eq!(bench.with(|c, _| c.resign()), ["add NotCoordinator"]);
}
