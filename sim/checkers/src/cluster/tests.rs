//! Each property holds in a healthy history and fires in a broken one.

use trial_node::view::{BatchView, MetadataView};
use trial_node::{NodeId, Offset, ProducerEpoch, ProducerId};

use crate::testing::{Fake, FakeReplica, TP, batch, evidence, only};

const ISR: [NodeId; 2] = [NodeId(1), NodeId(2)];

/// Broker 1 leads with three records, broker 2 has them, all are committed.
fn replicated(checkers: &mut crate::Checkers) -> (Fake, Fake) {
    let (mut one, mut two) = (Fake::new(1), Fake::new(2));
    let log = vec![batch(0, 0, 10), batch(1, 0, 11), batch(2, 0, 12)];
    one.step(checkers, |r| (r.leader, r.isr, r.batches) = (true, ISR.to_vec(), log.clone()));
    two.step(checkers, |r| r.batches = log);
    one.step(checkers, |r| r.high_watermark = 3);
    two.step(checkers, |r| r.high_watermark = 3);
    (one, two)
}

#[test]
fn a_leader_without_a_committed_record_is_found() {
    let mut checkers = only("leader-completeness");
    let (mut one, mut two) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.leader = false);
    two.step(&mut checkers, |r| (r.leader, r.epoch) = (true, 1));
    assert!(checkers.violations().is_empty());
    one.step(&mut checkers, |r| {
        r.batches.truncate(2);
        (r.truncations, r.leader, r.epoch) = (1, true, 2);
    });
    assert_eq!(
        evidence(&checkers),
        ["broker 1 leads orders-0 in epoch 2 with log end offset 2; committed is everything below 3"]
    );
}

#[test]
fn what_a_leader_commits_in_the_step_in_which_its_directory_fails_counts() {
    let mut checkers = only("leader-completeness");
    let (mut one, mut two) = replicated(&mut checkers);
    let more = [batch(3, 0, 13), batch(4, 0, 14)];
    two.step(&mut checkers, |r| r.batches.push(more[0]));
    one.lose(&mut checkers, |r| {
        r.batches.extend(more);
        r.high_watermark = 5;
    });
    two.step(&mut checkers, |r| (r.leader, r.epoch) = (true, 1));
    assert_eq!(
        evidence(&checkers),
        ["broker 2 leads orders-0 in epoch 1 with log end offset 4; committed is everything below 5"]
    );
    // It is gone after that, and what comes back is looked at anew.
    let log = [batch(0, 0, 10), batch(1, 0, 11), batch(2, 0, 12)].into_iter().chain(more);
    one.step(&mut checkers, |r| {
        r.batches = log.collect();
        (r.leader, r.epoch) = (true, 2);
    });
    assert_eq!(checkers.violations().len(), 1);
}

#[test]
fn a_difference_below_the_high_watermark_is_found() {
    let mut checkers = only("log-matching");
    let (_, mut two) = replicated(&mut checkers);
    assert!(checkers.violations().is_empty());
    two.step(&mut checkers, |r| {
        r.batches[1] = batch(1, 0, 99);
        r.truncations = 1;
    });
    assert_eq!(evidence(&checkers), ["broker 2's replica of orders-0 differs below its high watermark 3"]);
}

#[test]
fn a_high_watermark_beyond_the_log_is_found_where_it_is_claimed() {
    let mut checkers = only("log-matching");
    let (mut one, mut two) = replicated(&mut checkers);
    two.step(&mut checkers, |r| r.high_watermark = 5);
    two.step(&mut checkers, |r| r.epoch = 0);
    let found = ["broker 2's replica of orders-0 has high watermark 5, but its log ends at 3"];
    assert_eq!(evidence(&checkers), found);
    // What comes there later is nobody's difference.
    let more = [batch(3, 0, 13), batch(4, 0, 14)];
    one.step(&mut checkers, |r| r.batches.extend(more));
    one.step(&mut checkers, |r| r.high_watermark = 5);
    two.step(&mut checkers, |r| r.batches.extend(more));
    assert_eq!(evidence(&checkers), found);
    // And it is known as committed.
    one.step(&mut checkers, |r| (r.batches[4], r.truncations) = (batch(4, 0, 99), 1));
    assert_eq!(
        evidence(&checkers)[1..],
        ["broker 1's replica of orders-0 differs below its high watermark 5"]
    );
}

#[test]
fn an_in_sync_replica_that_lacks_what_is_committed_is_found() {
    let mut checkers = only("isr-completeness");
    let (mut one, _) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    assert!(checkers.violations().is_empty());
    one.step(&mut checkers, |r| r.high_watermark = 4);
    assert_eq!(
        evidence(&checkers),
        ["broker 1 leads orders-0 in epoch 0 and moved its high watermark from 3 to 4"]
    );

    let mut checkers = only("isr-completeness");
    let (mut one, mut two) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    two.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    checkers.broker_down(NodeId(2), true);
    two.step(&mut checkers, |r| {
        r.batches.truncate(1);
        r.high_watermark = 0;
    });
    one.step(&mut checkers, |r| r.high_watermark = 4);
    assert!(checkers.violations().is_empty(), "it had told the leader that it has offset 3");
    one.step(&mut checkers, |r| r.batches.push(batch(4, 0, 14)));
    one.step(&mut checkers, |r| r.high_watermark = 5);
    assert_eq!(
        evidence(&checkers),
        ["broker 1 leads orders-0 in epoch 0 and moved its high watermark from 4 to 5"],
        "offset 4 it never had"
    );

    let mut checkers = only("isr-completeness");
    let (mut one, mut two) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    two.step(&mut checkers, |r| r.boasts = 1);
    one.step(&mut checkers, |r| r.high_watermark = 4);
    assert_eq!(checkers.violations().len(), 1, "what counts is what the files hold");

    let mut checkers = only("isr-completeness");
    let (mut one, mut two) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    two.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    two.remove(&mut checkers);
    one.step(&mut checkers, |r| r.high_watermark = 4);
    assert!(checkers.violations().is_empty(), "it had offset 3 until the topic was deleted");
}

#[test]
fn logs_are_compared_until_one_of_them_may_have_been_compacted() {
    for may_be in [false, true] {
        let mut checkers = only("log-matching");
        let (mut one, mut two) = replicated(&mut checkers);
        one.step(&mut checkers, |r| r.compacted = may_be);
        // Others may have fetched what was left before that one was cut.
        one.step(&mut checkers, |r| r.compacted = false);
        one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
        one.step(&mut checkers, |r| r.high_watermark = 4);
        two.step(&mut checkers, |r| r.batches.push(batch(3, 0, 99)));
        two.step(&mut checkers, |r| r.high_watermark = 4);
        assert_eq!(checkers.violations().is_empty(), may_be);
    }
}

#[test]
fn a_member_that_the_leader_has_not_been_told_of_counts() {
    let mut checkers = only("isr-completeness");
    let (mut one, _) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.isr = vec![NodeId(1)]);
    // The controller has let broker 2 in; its own broker is the first to know.
    let mut three = Fake::new(3);
    three.replicas.insert(TP, FakeReplica { leader: true, isr: ISR.to_vec(), ..FakeReplica::default() });
    three.quorum_step(&mut checkers, |n| n.metadata = MetadataView { offset: Offset(9), digest: 1 });
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    one.step(&mut checkers, |r| r.high_watermark = 4);
    assert_eq!(
        checkers.violations()[0].evidence[1],
        "broker 2 is in the ISR (confirmed [1], decided [1, 2]) and its log ends at 3"
    );
}

#[test]
fn an_eligible_replica_that_lacks_what_is_committed_is_found() {
    let mut checkers = only("elr-completeness");
    let (mut one, _) = replicated(&mut checkers);
    let mut three = Fake::new(3);
    let elr = vec![NodeId(2)];
    three.replicas.insert(TP, FakeReplica { leader: true, elr, ..FakeReplica::default() });
    three.quorum_step(&mut checkers, |n| n.metadata = MetadataView { offset: Offset(9), digest: 1 });
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    assert!(checkers.violations().is_empty());
    one.step(&mut checkers, |r| r.high_watermark = 4);
    assert_eq!(checkers.violations()[0].evidence[1], "broker 2 is eligible to lead and its log ends at 3");
}

#[test]
fn a_leader_that_forgets_is_found() {
    let mut checkers = only("committed-regression");
    let (mut one, _) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.high_watermark = 2);
    one.step(&mut checkers, |r| {
        r.batches.truncate(2);
        r.truncations = 1;
    });
    assert_eq!(
        evidence(&checkers),
        [
            "broker 1 leads orders-0 in epoch 0 and its high watermark went from 3 back to 2",
            "broker 1 leads orders-0 in epoch 0 with log end offset 2, below the true high watermark 3",
        ]
    );
}

#[test]
fn two_batches_of_one_epoch_at_one_offset_are_found() {
    let mut checkers = only("batch-identity");
    let (mut one, mut two) = replicated(&mut checkers);
    one.step(&mut checkers, |r| r.batches.push(batch(3, 0, 13)));
    two.step(&mut checkers, |r| r.batches.push(batch(3, 1, 14)));
    assert!(checkers.violations().is_empty(), "another epoch may write the offset again");
    two.step(&mut checkers, |r| {
        r.batches[3] = batch(3, 0, 15);
        r.truncations = 1;
    });
    assert_eq!(checkers.violations().len(), 1);
}

#[test]
fn gaps_and_repetitions_in_a_producers_sequence_are_found() {
    let of = |offset, epoch, sequence| BatchView {
        producer_id: ProducerId(5),
        producer_epoch: ProducerEpoch(epoch),
        base_sequence: sequence,
        last_sequence: sequence,
        ..batch(offset, 0, sequence as u32)
    };
    for (next, ok) in [(of(1, 0, 8), true), (of(1, 0, 9), false), (of(1, 0, 7), false), (of(1, 1, 0), true)] {
        let mut checkers = only("producer-sequence");
        let mut one = Fake::new(1);
        one.step(&mut checkers, |r| r.batches = vec![of(0, 0, 7)]);
        one.step(&mut checkers, |r| r.batches.push(next));
        assert_eq!(checkers.violations().is_empty(), ok, "{next:?}");
    }
    let mut checkers = only("producer-sequence");
    let mut one = Fake::new(1);
    one.step(&mut checkers, |r| r.batches = vec![of(0, 0, 7), of(1, 0, 8)]);
    one.step(&mut checkers, |r| {
        r.batches[1] = BatchView { crc: 77, ..of(1, 0, 8) };
        r.truncations = 1;
    });
    assert!(checkers.violations().is_empty(), "what was cut may be written again");

    let mut checkers = only("producer-sequence");
    let mut one = Fake::new(1);
    let marker = BatchView { control: true, ..of(1, 0, -1) };
    one.step(&mut checkers, |r| r.batches = vec![of(0, 0, 7), marker, of(2, 0, 8)]);
    one.step(&mut checkers, |r| {
        r.batches[2] = BatchView { crc: 77, ..of(2, 0, 8) };
        r.truncations = 1;
    });
    assert!(checkers.violations().is_empty(), "a transaction's marker takes no sequence number");
}

#[test]
fn two_leaders_in_one_epoch_are_found() {
    let mut checkers = only("one-leader");
    let (_, mut two) = replicated(&mut checkers);
    assert!(checkers.violations().is_empty());
    two.step(&mut checkers, |r| r.leader = true);
    assert_eq!(evidence(&checkers), ["brokers 1 and 2 both lead orders-0 in epoch 0"]);
}
