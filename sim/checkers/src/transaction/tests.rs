//! Each property of transactions in logs holds for a healthy cluster and fires for a broken one.

use std::collections::BTreeSet;

use trial_coordinator::transaction::record::{TransactionLogValue, encode};
use trial_coordinator::transaction::{TransactionConfig, TransactionCoordinator};
use trial_coordinator::{Coordinator, LogRecord};
use trial_node::view::{AbortedTransactionView, BatchView, OpenTransactionView, TransactionState};
use trial_node::{
    LeaderEpoch, Offset, PolledRecord, ProducerEpoch, ProducerId, Time, TopicIdPartition, TopicPartition,
};
use trial_wire::{TopicName, Uuid};

use crate::Checkers;
use crate::testing::{Fake, FakeReplica, batch, evidence, only};

const PRODUCER: ProducerId = ProducerId(7);

fn in_transaction(offset: i64, control: bool) -> BatchView {
    BatchView {
        producer_id: PRODUCER,
        producer_epoch: ProducerEpoch(0),
        transactional: true,
        control,
        ..batch(offset, 0, 1)
    }
}

fn open(first: i64) -> OpenTransactionView {
    let (producer_id, producer_epoch) = (PRODUCER, ProducerEpoch(0));
    OpenTransactionView { producer_id, producer_epoch, first_offset: Offset(first) }
}

fn nothing() -> Vec<&'static str> {
    Vec::new()
}

/// A replica with one record before a transaction of one record, and its abort marker; everything is committed.
fn aborted(r: &mut FakeReplica) {
    r.leader = true;
    r.batches = vec![batch(0, 0, 1), in_transaction(1, false), in_transaction(2, true)];
    r.high_watermark = 3;
    r.aborted = vec![AbortedTransactionView {
        producer_id: PRODUCER,
        first_offset: Offset(1),
        last_offset: Offset(2),
    }];
}

#[test]
fn a_wrong_stable_offset_or_index_is_found() {
    let judge = |change: &dyn Fn(&mut FakeReplica)| {
        let mut checkers = only("last-stable-offset");
        Fake::new(1).step(&mut checkers, change);
        evidence(&checkers).join(" and ")
    };
    assert_eq!(judge(&aborted), "");
    // The marker is there but not committed.
    let unreplicated = |r: &mut FakeReplica| {
        aborted(r);
        (r.high_watermark, r.last_stable_offset) = (2, Some(1));
    };
    assert_eq!(judge(&unreplicated), "");
    let too_high = |r: &mut FakeReplica| {
        aborted(r);
        r.high_watermark = 2;
    };
    assert_eq!(judge(&too_high), "broker 1 has last stable offset 2 of orders-0, its log says 1");
    let unindexed = |r: &mut FakeReplica| {
        aborted(r);
        r.aborted.clear();
    };
    let what = "broker 1 names 0 aborted transactions to a reader of orders-0 from 0 on, its log has 1";
    assert_eq!(judge(&unindexed), what);
    let committed = |r: &mut FakeReplica| {
        aborted(r);
        r.commits = vec![2];
        r.aborted.clear();
    };
    assert_eq!(judge(&committed), "");
    let forgotten = |r: &mut FakeReplica| {
        aborted(r);
        r.batches.pop();
        r.aborted.clear();
        (r.high_watermark, r.last_stable_offset) = (2, Some(1));
    };
    assert_eq!(judge(&forgotten), "broker 1 knows open transactions [] in orders-0, its log has [7 from 1]");
    let known = |r: &mut FakeReplica| {
        forgotten(r);
        r.open = vec![open(1)];
    };
    assert_eq!(judge(&known), "");
}

#[test]
fn what_a_cleaning_took_out_of_the_index_is_looked_at_once() {
    let mut checkers = only("last-stable-offset");
    let mut broker = Fake::new(1);
    broker.step(&mut checkers, aborted);
    let transaction = |r: &mut FakeReplica, first: i64, commit: bool| {
        r.batches.extend([in_transaction(first, false), in_transaction(first + 1, true)]);
        r.commits.extend(commit.then_some(first + 1));
        r.high_watermark = first + 2;
    };
    let read = broker.whole_reads.get();
    broker.step(&mut checkers, |r| {
        r.compacted = true;
        r.batches.remove(1);
        r.aborted.clear();
        transaction(r, 3, true);
    });
    assert_eq!(broker.whole_reads.get(), read + 1);
    for first in [5, 7] {
        broker.step(&mut checkers, |r| transaction(r, first, true));
    }
    assert_eq!((broker.whole_reads.get(), evidence(&checkers)), (read + 1, nothing()));
    broker.step(&mut checkers, |r| transaction(r, 9, false));
    let what = "broker 1 names 0 aborted transactions to a reader of orders-0 from 9 on, its log has 1";
    assert_eq!(evidence(&checkers), [what]);
}

#[test]
fn a_truncated_transaction_is_forgotten() {
    let mut checkers = only("last-stable-offset");
    let mut broker = Fake::new(1);
    broker.step(&mut checkers, aborted);
    broker.step(&mut checkers, |r| {
        r.batches.truncate(2);
        r.truncations += 1;
        r.aborted.clear();
        r.open = vec![open(1)];
        (r.high_watermark, r.last_stable_offset) = (2, Some(1));
    });
    assert_eq!(evidence(&checkers), nothing());
}

fn log_value(state: TransactionState, partitions: BTreeSet<TopicPartition>) -> TransactionLogValue {
    TransactionLogValue {
        producer_id: PRODUCER,
        previous_producer_id: ProducerId::NONE,
        next_producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch(0),
        timeout_ms: 60_000,
        state,
        partitions,
        last_update_ms: 5,
        start_ms: 5,
        client_transaction_version: 2,
    }
}

/// Lets the coordinator write down a state of the transaction of [`PRODUCER`].
fn coordinator(checkers: &mut Checkers, broker: &mut Fake, state: TransactionState, partitions: &[&str]) {
    let partitions = partitions.iter().map(|topic| TopicPartition::new((*topic).to_owned(), 0));
    let value = log_value(state, partitions.collect());
    let record = encode("billing-0", Some(&value), 2);
    broker.step(checkers, |r| {
        r.leader = true;
        let offset = r.batches.len() as i64;
        r.batches.push(batch(offset, 0, 1));
        r.contents.insert(offset, (record.key.clone(), record.value.clone().expect("it is no tombstone")));
        r.high_watermark = offset + 1;
    });
}

/// Two brokers: one leads the log of the coordinator, the other `orders`.
fn cluster() -> (Fake, Fake) {
    let topic = TopicName("__transaction_state".into());
    let tp = TopicIdPartition { topic_id: Uuid::from_u128(8), partition: 0 };
    let mut coordinator = Fake::new(1);
    (coordinator.topic, coordinator.tp) = (topic, tp);
    (coordinator, Fake::new(2))
}

/// Appends a batch that is committed at once.
fn append(checkers: &mut Checkers, broker: &mut Fake, new: BatchView, commits: bool) {
    broker.step(checkers, |r| {
        r.leader = true;
        r.high_watermark = new.base_offset.0 + 1;
        r.batches.push(new);
        if commits {
            r.commits.push(new.base_offset.0);
        }
    });
}

#[test]
fn a_transaction_that_nobody_knows_is_found() {
    let (mut one, mut two) = cluster();
    let mut checkers = only("transaction-registered");
    coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["orders"]);
    append(&mut checkers, &mut two, in_transaction(0, false), false);
    assert_eq!(evidence(&checkers), nothing());

    let (mut one, mut two) = cluster();
    let mut checkers = only("transaction-registered");
    coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["invoices"]);
    append(&mut checkers, &mut two, in_transaction(0, false), false);
    let what = "producer 7 epoch 0 has begun a transaction in orders-0 at offset 0, which is not registered";
    assert_eq!(evidence(&checkers), [what]);

    // The transaction that is registered is of another epoch.
    let (mut one, mut two) = cluster();
    let mut checkers = only("transaction-registered");
    coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["orders"]);
    let stranger = BatchView { producer_epoch: ProducerEpoch(1), ..in_transaction(0, false) };
    append(&mut checkers, &mut two, stranger, false);
    let what = "producer 7 epoch 1 has begun a transaction in orders-0 at offset 0, which is not registered";
    assert_eq!(evidence(&checkers), [what]);
}

#[test]
fn a_marker_that_nobody_decided_is_found() {
    let judge = |decision: TransactionState, commits: bool, complete: bool| {
        let (mut one, mut two) = cluster();
        let mut checkers = only("transaction-marker");
        coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["orders"]);
        append(&mut checkers, &mut two, in_transaction(0, false), false);
        coordinator(&mut checkers, &mut one, decision, &["orders"]);
        if !complete {
            append(&mut checkers, &mut two, in_transaction(1, true), commits);
        }
        coordinator(&mut checkers, &mut one, TransactionState::CompleteCommit, &[]);
        evidence(&checkers).join(" and ")
    };
    assert_eq!(judge(TransactionState::PrepareCommit, true, false), "");
    assert_eq!(judge(TransactionState::PrepareAbort, false, false), "");
    let ends = |kind| {
        format!(
            "orders-0 offset 1: the transaction of producer 7 (epoch 0, from offset 0 on) ends with a marker to {kind} of epoch 0"
        )
    };
    assert_eq!(judge(TransactionState::PrepareAbort, true, false), ends("commit"));
    assert_eq!(judge(TransactionState::Ongoing, false, false), ends("abort"));
    let what = "the coordinator of producer 7 says that its transaction is complete";
    assert_eq!(judge(TransactionState::PrepareCommit, true, true), what);
}

#[test]
fn transactions_that_a_run_began_with_are_not_judged_and_new_ones_are() {
    for name in ["transaction-registered", "transaction-marker"] {
        let mut checkers = only(name);
        checkers.begins_with_data();
        let mut two = Fake::new(2);
        // Seen in the log first, under the high watermark later; then one more of which no coordinator knows.
        two.step(&mut checkers, |r| {
            aborted(r);
            r.high_watermark = 0;
        });
        two.step(&mut checkers, |r| r.high_watermark = 3);
        assert_eq!(evidence(&checkers), nothing());
        let of_now = |offset, control| {
            let mut batch = in_transaction(offset, control);
            batch.leader_epoch.0 += 1;
            batch
        };
        append(&mut checkers, &mut two, of_now(3, false), false);
        append(&mut checkers, &mut two, of_now(4, true), false);
        assert_eq!(evidence(&checkers).len(), 1, "{name}");
    }
}

#[test]
fn a_log_that_another_leader_has_overwritten_is_judged() {
    let mut checkers = only("transaction-registered");
    checkers.begins_with_data();
    let mut two = Fake::new(2);
    two.step(&mut checkers, |r| {
        r.batches = vec![batch(0, 0, 1), batch(1, 0, 1)];
        r.high_watermark = 1;
    });
    two.step(&mut checkers, |r| {
        r.batches[1] = BatchView { leader_epoch: LeaderEpoch(1), crc: 2, ..in_transaction(1, false) };
        r.truncations += 1;
        r.high_watermark = 2;
    });
    let what = "producer 7 epoch 0 has begun a transaction in orders-0 at offset 1, which is not registered";
    assert_eq!(evidence(&checkers), [what]);
}

#[test]
fn a_decision_that_a_run_began_with_stands_before_it_is_committed_again() {
    let judge = |commits: bool| {
        let (mut one, mut two) = cluster();
        // What the last session wrote, seen by nobody.
        let mut unseen = only("transaction-marker");
        coordinator(&mut unseen, &mut one, TransactionState::Ongoing, &["orders"]);
        coordinator(&mut unseen, &mut one, TransactionState::PrepareCommit, &["orders"]);
        append(&mut unseen, &mut two, in_transaction(0, false), false);

        let mut checkers = only("transaction-marker");
        checkers.begins_with_data();
        one.step(&mut checkers, |r| r.high_watermark = 0);
        one.step(&mut checkers, |r| r.high_watermark = 1);
        two.step(&mut checkers, |_| ());
        append(&mut checkers, &mut two, in_transaction(1, true), commits);
        coordinator(&mut checkers, &mut one, TransactionState::CompleteCommit, &[]);
        evidence(&checkers).len()
    };
    assert_eq!((judge(true), judge(false)), (0, 1));
}

#[test]
fn a_marker_that_an_administrator_asked_for_needs_no_decision() {
    let (mut one, mut two) = cluster();
    let mut checkers = only("transaction-marker");
    coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["orders"]);
    append(&mut checkers, &mut two, in_transaction(0, false), false);
    let orders = TopicPartition::new("orders", 0);
    checkers.marker_asked_for((PRODUCER, ProducerEpoch(0)), false, orders);
    append(&mut checkers, &mut two, in_transaction(1, true), false);
    assert_eq!(evidence(&checkers), nothing());
}

#[test]
fn a_coordinator_that_forgot_is_found() {
    let mut one = cluster().0;
    one.transactions = Some(TransactionCoordinator::new(TransactionConfig::default()));
    let mut checkers = only("coordinator-replay");
    coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["orders"]);
    let what = "the Transaction coordinator of partition 0 on broker 1 is not what its log says up to 1";
    assert_eq!(evidence(&checkers), [what]);

    let mut one = cluster().0;
    let value = log_value(TransactionState::Ongoing, BTreeSet::from([TopicPartition::new("orders", 0)]));
    let record = encode("billing-0", Some(&value), 2);
    let mut knows = TransactionCoordinator::new(TransactionConfig::default());
    let (key, value) = (&record.key[..], record.value.as_deref());
    knows.replay(LogRecord { offset: Offset(0), transaction: None, key, value }).unwrap();
    one.transactions = Some(knows);
    let mut checkers = only("coordinator-replay");
    coordinator(&mut checkers, &mut one, TransactionState::Ongoing, &["orders"]);
    assert_eq!(evidence(&checkers), nothing());
}

#[test]
fn a_read_above_the_high_watermark_is_found() {
    let read = |offset| trial_node::ClientEvent::Polled {
        consumer: 3,
        tp: TopicPartition::new("orders", 0),
        records: vec![PolledRecord { offset: Offset(offset), id: None }],
    };
    let mut checkers = only("above-high-watermark");
    Fake::new(1).step(&mut checkers, aborted);
    checkers.client_event(Time(2), &read(2));
    assert_eq!(evidence(&checkers), nothing());
    checkers.client_event(Time(2), &read(3));
    assert_eq!(
        evidence(&checkers),
        ["consumer 3 read orders-0 offset 3; the highest high watermark so far is 3"]
    );

    let mut checkers = only("above-high-watermark");
    let mut one = Fake::new(1);
    one.step(&mut checkers, |r| {
        aborted(r);
        r.high_watermark = 1;
    });
    one.lose(&mut checkers, |r| r.high_watermark = 3);
    checkers.client_event(Time(2), &read(2));
    assert_eq!(evidence(&checkers), nothing(), "it was committed, and served, before the directory failed");
}
