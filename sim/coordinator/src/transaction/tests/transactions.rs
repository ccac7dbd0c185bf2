//! Transactions that go well, in both versions of the protocol.

use super::{Bench, NEW};

const A0_A1: &[(&str, &[i32])] = &[("a", &[0, 1])];
const B0: &[(&str, &[i32])] = &[("b", &[0])];

#[test]
fn a_transaction_of_version_1_keeps_its_epoch() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.init(4, NEW), ["append t Empty 1000/0"]);
    assert_eq!(bench.commit(), ["init ok 1000/0"]);
    let producer = (1000, 0);

    assert_eq!(bench.add(3, producer, A0_A1), ["append t Ongoing 1000/0 a-0 a-1"]);
    assert_eq!(bench.commit(), ["add ok"]);
    assert_eq!(bench.add(3, producer, A0_A1), ["add ok"], "they have joined already");
    assert_eq!(bench.add(3, producer, B0), ["append t Ongoing 1000/0 a-0 a-1 b-0"]);
    assert_eq!(bench.commit(), ["add ok"]);
    assert_eq!(bench.add_offsets(3, producer), ["append t Ongoing 1000/0 __consumer_offsets-0 a-0 a-1 b-0"]);
    assert_eq!(bench.commit(), ["offsets ok"]);

    assert_eq!(
        bench.end(4, producer, true),
        ["append t PrepareCommit 1000/0 __consumer_offsets-0 a-0 a-1 b-0"]
    );
    // The answer does not wait for the markers; the markers wait for the record.
    assert_eq!(
        bench.commit(),
        [
            "end ok",
            "send 1: commit v0 1000/0 by 7 a-0 b-0",
            "send 2: commit v0 1000/0 by 7 a-1",
            "send 3: commit v0 1000/0 by 7 __consumer_offsets-0",
        ]
    );
    assert_eq!(bench.end(4, producer, true), ["end ConcurrentTransactions"]);
    assert_eq!(bench.add(3, producer, B0), ["add ConcurrentTransactions"]);
    assert_eq!(bench.init(4, NEW), ["init ConcurrentTransactions"]);
    assert_eq!(bench.acknowledge(0), [""; 0]);
    assert_eq!(bench.acknowledge(0), [""; 0]);
    assert_eq!(bench.acknowledge(0), ["append t CompleteCommit 1000/0"]);
    assert_eq!(bench.add(3, producer, B0), ["add ConcurrentTransactions"]);
    assert_eq!(bench.commit(), [""; 0]);

    assert_eq!(bench.end(4, producer, true), ["end ok"], "the answer was lost");
    assert_eq!(bench.end(4, producer, false), ["end InvalidTxnState"]);
    assert_eq!(bench.add(3, producer, B0), ["append t Ongoing 1000/0 b-0"]);
    assert_eq!(bench.commit(), ["add ok"]);
    assert_eq!(bench.end(4, producer, false), ["append t PrepareAbort 1000/0 b-0"]);
    assert_eq!(bench.commit(), ["end ok", "send 1: abort v0 1000/0 by 7 b-0"]);
    assert_eq!(bench.acknowledge(0), ["append t CompleteAbort 1000/0"]);
}

#[test]
fn a_transaction_of_version_2_gives_the_next_epoch() {
    let mut bench = Bench::new(2);
    let old = bench.open(5, A0_A1);
    assert_eq!(bench.end(5, old, true), ["append t PrepareCommit 1000/1 a-0 a-1"]);
    assert_eq!(
        bench.commit(),
        ["end ok 1000/1", "send 1: commit v2 1000/1 by 7 a-0", "send 2: commit v2 1000/1 by 7 a-1",]
    );
    let new = (1000, 1);
    assert_eq!(bench.end(5, old, true), ["end ConcurrentTransactions"]);
    assert_eq!(bench.add(5, new, B0), ["add ConcurrentTransactions"]);
    assert_eq!(bench.settle(), ["append t CompleteCommit 1000/1"]);

    // A retry names the epoch before.
    assert_eq!(bench.end(5, old, true), ["end ok 1000/1"]);
    assert_eq!(bench.end(5, old, false), ["end InvalidTxnState"]);
    assert_eq!(bench.end(5, new, true), ["end InvalidTxnState"], "there is nothing to commit");
    assert_eq!(bench.end(5, (1000, 2), true), ["end ProducerFenced"]);
    assert_eq!(bench.end(5, (999, 1), true), ["end InvalidProducerIdMapping"]);
    assert_eq!(bench.add(5, old, B0), ["add ProducerFenced"]);

    assert_eq!(bench.add(5, new, B0), ["append t Ongoing 1000/1 b-0"]);
    assert_eq!(bench.settle(), ["add ok"]);
    assert_eq!(bench.end(5, old, true), ["end ProducerFenced"], "no retry is this late");
    assert_eq!(bench.end(5, new, false), ["append t PrepareAbort 1000/2 b-0"]);
    assert_eq!(
        bench.settle(),
        ["end ok 1000/2", "send 1: abort v2 1000/2 by 7 b-0", "append t CompleteAbort 1000/2"]
    );
    assert_eq!(bench.end(5, new, false), ["end ok 1000/2"]);
    assert_eq!(bench.end(5, new, true), ["end InvalidTxnState"]);
}

#[test]
fn an_abort_of_nothing_gives_the_next_epoch_too() {
    let mut bench = Bench::new(2);
    bench.init(5, NEW);
    assert_eq!(bench.settle(), ["init ok 1000/0"]);
    assert_eq!(bench.end(5, (1000, 0), true), ["end InvalidTxnState"]);
    assert_eq!(bench.end(5, (1000, 0), false), ["append t PrepareAbort 1000/1"]);
    assert_eq!(bench.settle(), ["end ok 1000/1", "append t CompleteAbort 1000/1"]);
    assert_eq!(bench.end(5, (1000, 0), false), ["end ok 1000/1"]);
    assert_eq!(bench.end(5, (1000, 1), false), ["append t PrepareAbort 1000/2"]);
    assert_eq!(bench.settle(), ["end ok 1000/2", "append t CompleteAbort 1000/2"]);
}

#[test]
fn used_up_epochs_give_another_producer_id() {
    let mut bench = Bench::new(2);
    bench.open(5, B0);
    bench.set_epoch(32_766);
    let old = (1000, 32_766);
    assert_eq!(bench.end(5, old, true), ["append t PrepareCommit 1000/32767 b-0"]);
    assert_eq!(bench.commit(), ["end ok 1001/0", "send 1: commit v2 1000/32767 by 7 b-0"]);
    let new = (1001, 0);
    // The producer is ahead of the coordinator.
    assert_eq!(bench.add(5, new, B0), ["add ConcurrentTransactions"]);
    assert_eq!(bench.end(5, new, false), ["end ConcurrentTransactions"]);
    assert_eq!(bench.settle(), ["append t CompleteCommit 1001/0"]);
    assert_eq!(bench.end(5, old, true), ["end ok 1001/0"], "a retry");
    // Another way to go on for a producer that did not hear of it.
    assert_eq!(bench.init(5, old), ["append t Empty 1001/0"]);
    assert_eq!(bench.settle(), ["init ok 1001/0"]);
    assert_eq!(bench.add(5, new, B0), ["append t Ongoing 1001/0 b-0"]);
}

#[test]
fn a_new_client_is_held_to_version_1_while_the_cluster_is() {
    let mut bench = Bench::new(1);
    let producer = bench.open(5, B0);
    assert_eq!(bench.end(5, producer, true), ["append t PrepareCommit 1000/0 b-0"]);
    assert_eq!(
        bench.settle(),
        ["end ok 1000/0", "send 1: commit v0 1000/0 by 7 b-0", "append t CompleteCommit 1000/0"]
    );
}

#[test]
fn partitions_join_together_or_not_at_all() {
    let mut bench = Bench::new(1);
    bench.init(4, NEW);
    bench.settle();
    assert_eq!(
        bench.add(3, (1000, 0), &[("a", &[0, 2]), ("c", &[0])]),
        ["add a-0:OperationNotAttempted a-2:UnknownTopicOrPartition c-0:UnknownTopicOrPartition"]
    );
}

#[test]
fn leaders_are_told_what_has_joined() {
    let mut bench = Bench::new(1);
    assert_eq!(bench.verify((1000, 0), B0), ["add InvalidProducerIdMapping"]);
    let producer = bench.open(3, B0);
    assert_eq!(bench.verify(producer, B0), ["add ok"]);
    assert_eq!(bench.verify(producer, &[("b", &[0]), ("a", &[0])]), ["add b-0:ok a-0:TransactionAbortable"]);
    assert_eq!(bench.verify((1000, 1), B0), ["add ProducerFenced"]);
    // What is not committed can still be lost.
    assert_eq!(bench.add(3, producer, A0_A1), ["append t Ongoing 1000/0 a-0 a-1 b-0"]);
    let mut asked = bench.clone();
    asked.uncommitted.clear();
    assert_eq!(asked.verify(producer, A0_A1), ["add TransactionAbortable"]);
    assert_eq!(asked.verify(producer, B0), ["add ok"]);
    assert_eq!(bench.settle(), ["add ok"]);
    assert_eq!(bench.verify(producer, A0_A1), ["add ok"]);
    bench.end(4, producer, true);
    bench.commit();
    assert_eq!(bench.verify(producer, B0), ["add ConcurrentTransactions"]);
}
