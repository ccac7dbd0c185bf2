//! Producers that are replaced, go on, or come too late.

use super::{Bench, NEW};

const B0: &[(&str, &[i32])] = &[("b", &[0])];

#[test]
fn a_new_producer_of_version_1_fences_the_one_before() {
    let mut bench = Bench::new(1);
    let zombie = bench.open(3, B0);
    assert_eq!(bench.init(4, NEW), ["append t PrepareAbort 1000/1 b-0"]);
    assert_eq!(bench.commit(), ["init ConcurrentTransactions", "send 1: abort v0 1000/1 by 7 b-0"]);
    assert_eq!(bench.end(4, zombie, true), ["end ProducerFenced"]);
    assert_eq!(bench.init(4, NEW), ["init ConcurrentTransactions"]);
    assert_eq!(bench.acknowledge(0), ["append t CompleteAbort 1000/1"]);
    assert_eq!(bench.settle(), [""; 0]);
    assert_eq!(bench.init(4, NEW), ["append t Empty 1000/2"]);
    assert_eq!(bench.settle(), ["init ok 1000/2"]);

    assert_eq!(bench.add(3, zombie, B0), ["add ProducerFenced"]);
    assert_eq!(bench.add(1, zombie, B0), ["add InvalidProducerEpoch"]);
    assert_eq!(bench.add_offsets(3, zombie), ["offsets ProducerFenced"]);
    assert_eq!(bench.add_offsets(1, zombie), ["offsets InvalidProducerEpoch"]);
    assert_eq!(bench.end(3, zombie, true), ["end ProducerFenced"]);
    assert_eq!(bench.end(1, zombie, true), ["end InvalidProducerEpoch"]);
    assert_eq!(bench.init(4, zombie), ["init ProducerFenced"]);
    assert_eq!(bench.init(3, zombie), ["init InvalidProducerEpoch"]);
}

#[test]
fn a_new_producer_of_version_2_fences_the_one_before() {
    let mut bench = Bench::new(2);
    let zombie = bench.open(5, B0);
    // One epoch, not two (KAFKA-19367).
    assert_eq!(bench.init(5, NEW), ["append t PrepareAbort 1000/1 b-0"]);
    assert_eq!(
        bench.settle(),
        ["init ConcurrentTransactions", "send 1: abort v2 1000/1 by 7 b-0", "append t CompleteAbort 1000/1"]
    );
    assert_eq!(bench.end(5, zombie, true), ["end InvalidTxnState"]);
    assert_eq!(bench.init(5, NEW), ["append t Empty 1000/2"]);
    assert_eq!(bench.settle(), ["init ok 1000/2"]);
    assert_eq!(bench.end(5, zombie, true), ["end ProducerFenced"]);
    assert_eq!(bench.end(5, (1000, 1), true), ["end ProducerFenced"]);
    assert_eq!(bench.add(5, zombie, B0), ["add ProducerFenced"]);
}

#[test]
fn no_producer_gets_the_epoch_that_fences_the_last_one() {
    let mut bench = Bench::new(1);
    bench.open(3, B0);
    bench.set_epoch(32_766);
    assert_eq!(bench.init(4, NEW), ["append t PrepareAbort 1000/32767 b-0"]);
    bench.settle();
    assert_eq!(bench.init(4, NEW), ["append t Empty 1001/0"]);
    assert_eq!(bench.settle(), ["init ok 1001/0"]);

    let mut bench = Bench::new(2);
    bench.open(5, B0);
    bench.set_epoch(32_766);
    assert_eq!(bench.init(5, NEW), ["append t PrepareAbort 1000/32767 b-0"]);
    assert_eq!(
        bench.settle(),
        [
            "init ConcurrentTransactions",
            "send 1: abort v2 1000/32767 by 7 b-0",
            "append t CompleteAbort 1001/0"
        ]
    );
    assert_eq!(bench.init(5, NEW), ["append t Empty 1001/1"]);
}

#[test]
fn a_producer_that_tells_its_epoch_goes_on_if_nobody_came_between() {
    let mut bench = Bench::new(1);
    bench.init(4, NEW);
    bench.settle();
    assert_eq!(bench.init(4, (1000, 0)), ["append t Empty 1000/1"]);
    assert_eq!(bench.settle(), ["init ok 1000/1"]);
    // The answer was lost.
    assert_eq!(bench.init(4, (1000, 0)), ["append t Empty 1000/1"]);
    assert_eq!(bench.settle(), ["init ok 1000/1"]);
    assert_eq!(bench.init(4, NEW), ["append t Empty 1000/2"]);
    bench.settle();
    assert_eq!(bench.init(4, (1000, 1)), ["init ProducerFenced"]);
    assert_eq!(bench.init(4, (999, 2)), ["init ProducerFenced"]);
    assert_eq!(bench.init(4, (1000, -1)), ["init InvalidRequest"]);

    bench.set_epoch(32_766);
    assert_eq!(bench.init(4, (1000, 32_766)), ["append t Empty 1001/0"]);
    assert_eq!(bench.settle(), ["init ok 1001/0"]);
    assert_eq!(bench.init(4, (1000, 32_766)), ["append t Empty 1001/0"], "a retry");
    assert_eq!(bench.settle(), ["init ok 1001/0"]);
    assert_eq!(bench.init(4, (1000, 5)), ["init ProducerFenced"]);
}

#[test]
fn a_timeout_must_be_one_that_the_broker_allows() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.init_with_timeout(4, NEW, 900_001), ["init InvalidTransactionTimeout"]);
    assert_eq!(bench.init_with_timeout(4, NEW, 0), ["init InvalidTransactionTimeout"]);
    assert_eq!(bench.init_with_timeout(4, NEW, 900_000), ["append t Empty 1000/0"]);
}
