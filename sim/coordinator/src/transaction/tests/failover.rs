//! Another coordinator takes over, whatever the state.

use trial_node::Span;

use super::{Bench, NEW};

const B0: &[(&str, &[i32])] = &[("b", &[0])];

/// Two producers' lives, record by record.
fn life(transaction_version: i16) -> Bench {
    let mut bench = Bench::new(transaction_version);
    let end = if transaction_version >= 2 { 5 } else { 4 };
    let producer = bench.open(end - 1, B0);
    bench.end(end, producer, true);
    bench.settle();
    bench.init(4, NEW);
    bench.settle();
    let producer = (1000, if transaction_version >= 2 { 2 } else { 1 });
    bench.add(end - 1, producer, &[("a", &[0, 1])]);
    bench.settle();
    bench.init(4, NEW);
    bench.settle();
    bench.init(4, NEW);
    bench.settle();
    bench
}

#[test]
fn a_coordinator_that_loads_the_log_knows_what_the_one_before_knew() {
    for transaction_version in 0..3 {
        let lived = life(transaction_version);
        assert_eq!(lived.log.len(), 9);
        let (loaded, lines) = lived.fail_over(9);
        assert_eq!(lines, [""; 0], "nothing is open");
        assert_eq!(loaded.entries(), lived.entries());
    }
}

/// From every prefix of a log, a new coordinator brings what is decided to its end, and lets the producer go on.
#[test]
fn whatever_the_state_a_coordinator_goes_on() {
    for transaction_version in 0..3 {
        let lived = life(transaction_version);
        for records in 0..=lived.log.len() {
            let (mut bench, lines) = lived.fail_over(records);
            let open = bench.entries().iter().any(|entry| entry.contains("Ongoing"));
            let prepared = bench.entries().iter().any(|entry| entry.contains("Prepare"));
            assert_eq!(!lines.is_empty(), open || prepared, "{records}: {lines:?}");
            bench.settle();
            let entries = bench.entries();
            assert!(!entries.iter().any(|entry| entry.contains("Prepare")), "{records}: {entries:?}");
            if open {
                bench.wait(Span::from_secs(90));
                bench.settle();
                assert!(bench.entries().iter().any(|entry| entry.contains("CompleteAbort")), "{records}");
            }
            bench.init(4, NEW);
            assert!(bench.settle()[0].starts_with("init ok"), "{records}");
        }
    }
}

#[test]
fn a_decision_is_carried_out_under_the_new_coordinator_epoch_once_it_is_known_to_be_committed() {
    let mut bench = Bench::new(2);
    let producer = bench.open(5, B0);
    bench.end(5, producer, true);
    // The leader dies before the decision is committed, but the next one has it.
    let (mut bench, lines) = bench.fail_over(3);
    assert_eq!(lines, ["append t PrepareCommit 1000/1 b-0"]);
    assert_eq!(bench.end(5, producer, true), ["end CoordinatorLoadInProgress"]);
    assert_eq!(bench.add(5, producer, B0), ["add CoordinatorLoadInProgress"]);
    assert_eq!(bench.verify(producer, B0), ["add CoordinatorLoadInProgress"]);
    assert_eq!(bench.add_offsets(3, producer), ["offsets CoordinatorLoadInProgress"]);
    assert_eq!(bench.init(5, NEW), ["init CoordinatorLoadInProgress"]);
    assert_eq!(bench.time_out(), [""; 0]);
    assert_eq!(bench.wait(Span::from_millis(50)), ["append t PrepareCommit 1000/1 b-0"]);
    assert_eq!(bench.commit(), ["send 1: commit v2 1000/1 by 8 b-0"]);
    assert_eq!(bench.settle(), ["append t CompleteCommit 1000/1"]);
    assert_eq!(bench.end(5, producer, true), ["end ok 1000/1"]);
}

#[test]
fn used_up_epochs_survive_a_fail_over() {
    let mut bench = Bench::new(2);
    bench.open(5, B0);
    bench.set_epoch(32_766);
    bench.end(5, (1000, 32_766), true);
    let (mut bench, _) = bench.fail_over(3);
    assert_eq!(bench.settle(), ["send 1: commit v2 1000/32767 by 8 b-0", "append t CompleteCommit 1001/0"]);
    let (mut bench, lines) = bench.fail_over(5);
    assert_eq!(lines, [""; 0]);
    assert_eq!(bench.end(5, (1000, 32_766), true), ["end ok 1001/0"]);
}
