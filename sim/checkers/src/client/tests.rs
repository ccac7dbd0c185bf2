//! Each property holds in a healthy history and fires in a broken one.

use trial_node::{ClientEvent, Content, Offset, PolledRecord, RecordId, Time, TopicPartition};
use trial_wire::TopicName;

use crate::testing::{evidence, only};
use crate::{Checkers, PROPERTIES};

fn id(sequence: u64) -> RecordId {
    RecordId { producer: 0, sequence }
}

fn tp() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn invoked(sequence: u64) -> ClientEvent {
    let topic = TopicName("orders".into());
    ClientEvent::SendInvoked {
        id: id(sequence),
        topic,
        intended: Time(0),
        bytes: 10,
        idempotent: true,
        acks: -1,
        content: Content::Plain,
    }
}

fn acked(sequence: u64, offset: i64) -> ClientEvent {
    ClientEvent::SendAcked { producer: 0, sequences: vec![sequence], tp: tp(), base_offset: Offset(offset) }
}

fn failed(sequence: u64, ambiguous: bool) -> ClientEvent {
    ClientEvent::SendFailed { producer: 0, sequences: vec![sequence], error: "REQUEST_TIMED_OUT", ambiguous }
}

fn polled(offset: i64, sequence: u64) -> ClientEvent {
    polled_by(0, offset, sequence)
}

fn record(offset: i64, sequence: u64) -> PolledRecord {
    PolledRecord { offset: Offset(offset), id: Some(id(sequence)) }
}

fn polled_by(consumer: u32, offset: i64, sequence: u64) -> ClientEvent {
    ClientEvent::Polled { consumer, tp: tp(), records: vec![record(offset, sequence)] }
}

fn reset(from: i64, to: i64) -> ClientEvent {
    ClientEvent::PositionReset { consumer: 0, tp: tp(), from: Offset(from), to: Offset(to) }
}

/// Runs a history past one property; a reset to 0 comes first, so the topic has a consumer.
fn judge(property: &str, events: &[ClientEvent]) -> Checkers {
    let mut checkers = only(property);
    checkers.client_event(Time(0), &reset(-1, 0));
    for event in events {
        checkers.client_event(Time(1), event);
    }
    checkers.finish(Time(2), &[]);
    checkers
}

fn holds(property: &str, events: &[ClientEvent]) {
    assert_eq!(evidence(&judge(property, events)), Vec::<&str>::new());
}

fn fires(property: &str, events: &[ClientEvent], what: &str) {
    assert_eq!(evidence(&judge(property, events)), [what]);
}

#[test]
fn a_lost_write_is_found() {
    holds("lost-write", &[invoked(0), acked(0, 0), polled(0, 0)]);
    holds("lost-write", &[invoked(0), failed(0, true), invoked(1), acked(1, 0), polled(0, 1)]);
    fires(
        "lost-write",
        &[invoked(0), invoked(1), acked(0, 0), acked(1, 0), polled(0, 1)],
        "record 0 of producer 0 was acknowledged at orders-0 offset 0, and is not in the log",
    );
}

#[test]
fn the_audit_finds_what_was_read_and_then_lost() {
    let run = |audited: &[ClientEvent], to_the_end: bool| {
        let mut checkers = only("lost-write");
        for event in [reset(-1, 0), invoked(0), acked(0, 0), polled(0, 0)] {
            checkers.client_event(Time(0), &event);
        }
        checkers.audit(9);
        audited.iter().for_each(|event| checkers.client_event(Time(1), event));
        if to_the_end {
            checkers.audited(tp());
        }
        checkers.finish(Time(2), &[]);
        checkers
    };
    let by_auditor = polled_by(9, 0, 0);
    assert_eq!(evidence(&run(&[by_auditor], true)), Vec::<&str>::new());
    assert_eq!(evidence(&run(&[], false)), Vec::<&str>::new(), "what could not be read need not be lost");
    assert_eq!(
        evidence(&run(&[], true)),
        ["record 0 of producer 0 was acknowledged at orders-0 offset 0, and is not in the log"]
    );
}

#[test]
fn an_unseen_record_is_found() {
    holds("unseen-after-heal", &[invoked(0), polled(0, 0), acked(0, 0)]);
    fires(
        "unseen-after-heal",
        &[invoked(0), acked(0, 3)],
        "record 0 of producer 0 was acknowledged at orders-0 offset 3; consumers only got to offset 0",
    );
}

#[test]
fn what_consumers_begin_after_is_not_waited_for() {
    // A consumer that begins at the end, and begins anew there after its process has started again.
    let restarted = ClientEvent::ClientStarted { consumers: true, first: 0, count: 1 };
    let events = [invoked(0), acked(0, 0), reset(-1, 1), polled(1, 7), restarted, invoked(1), acked(1, 2)];
    let checkers = judge("unseen-after-heal", &events);
    assert_eq!(evidence(&checkers).len(), 1, "while it has no position, it may come back to where it was");
    assert!(!checkers.all_acked_are_read());
    let checkers = judge("unseen-after-heal", &[&events[..], &[reset(-1, 3)]].concat());
    assert_eq!(evidence(&checkers), Vec::<&str>::new());
    assert!(checkers.all_acked_are_read());
    // Another consumer will read it still.
    let other = ClientEvent::PositionReset { consumer: 1, tp: tp(), from: Offset::UNKNOWN, to: Offset::ZERO };
    let checkers = judge("unseen-after-heal", &[&events[..], &[reset(-1, 3), other]].concat());
    assert!(!checkers.all_acked_are_read());
}

#[test]
fn a_duplicate_is_found() {
    holds("duplicate", &[invoked(0), polled(0, 0), reset(1, 0), polled(0, 0)]);
    fires(
        "duplicate",
        &[invoked(0), polled(0, 0), polled(1, 0)],
        "record 0 of producer 0 was read at orders-0 offset 0, and again at orders-0 offset 1 by consumer 0",
    );
}

#[test]
fn the_audit_finds_a_duplicate_that_no_consumer_has_read() {
    let mut checkers = only("duplicate");
    checkers.audit(9);
    checkers.client_event(Time(0), &invoked(0));
    for offset in [0, 1] {
        let polled = polled_by(9, offset, 0);
        checkers.client_event(Time(1), &polled);
    }
    assert_eq!(
        evidence(&checkers),
        [
            "record 0 of producer 0 was read at orders-0 offset 0, and again at orders-0 offset 1 by consumer 9"
        ]
    );
}

#[test]
fn two_values_at_one_offset_are_found() {
    holds("two-values-at-one-offset", &[invoked(0), invoked(1), polled(0, 0), polled(1, 1)]);
    fires(
        "two-values-at-one-offset",
        &[invoked(0), invoked(1), polled(0, 0), reset(1, 0), polled(0, 1)],
        "orders-0 offset 0 was read as record 0 of producer 0",
    );
}

#[test]
fn a_producers_disorder_is_found() {
    holds("producer-order", &[invoked(0), invoked(1), polled(0, 0), polled(1, 1), reset(2, 0), polled(0, 0)]);
    fires(
        "producer-order",
        &[invoked(0), invoked(1), polled(0, 1), polled(1, 0)],
        "consumer 0 read record 0 of producer 0 at orders-0 offset 1, after its record 1",
    );
}

#[test]
fn records_of_one_event_are_judged_one_after_the_other() {
    let sent = [invoked(0), invoked(1)];
    let acked =
        ClientEvent::SendAcked { producer: 0, sequences: vec![0, 1], tp: tp(), base_offset: Offset(4) };
    let polled = |records: &[(i64, u64)]| {
        let records = records.iter().map(|&(offset, sequence)| record(offset, sequence)).collect();
        ClientEvent::Polled { consumer: 0, tp: tp(), records }
    };
    for property in PROPERTIES {
        holds(property.name, &[&sent[..], &[acked.clone(), polled(&[(4, 0), (5, 1)])]].concat());
    }
    let turned = [&sent[..], &[acked, polled(&[(4, 1), (5, 0)])]].concat();
    fires(
        "producer-order",
        &turned,
        "consumer 0 read record 0 of producer 0 at orders-0 offset 5, after its record 1",
    );
    let wrong = |sequence, said, read| {
        format!(
            "record {sequence} of producer 0 was acknowledged at orders-0 offset {said} and read at orders-0 offset {read}"
        )
    };
    assert_eq!(evidence(&judge("acked-offset", &turned)), [wrong(1, 5, 4), wrong(0, 4, 5)]);
    fires(
        "consumer-backwards",
        &[&sent[..], &[polled(&[(5, 1), (4, 0)])]].concat(),
        "consumer 0 read orders-0 offset 4, but had already read up to 6",
    );
    fires(
        "duplicate",
        &[&sent[..], &[polled(&[(4, 0), (5, 0)])]].concat(),
        "record 0 of producer 0 was read at orders-0 offset 4, and again at orders-0 offset 5 by consumer 0",
    );
}

#[test]
fn a_skip_is_found() {
    holds("consumer-skip", &[invoked(0), invoked(1), polled(0, 0), polled(3, 1)]);
    fires(
        "consumer-skip",
        &[
            invoked(0),
            invoked(1),
            invoked(2),
            polled(0, 0),
            polled(2, 2),
            acked(1, 1),
            reset(3, 1),
            polled(1, 1),
        ],
        "consumer 0 went on from orders-0 offset 1 to 2",
    );
    // The consumer passes the record before its producer hears of it.
    fires(
        "consumer-skip",
        &[invoked(0), invoked(1), invoked(2), polled(0, 0), polled(2, 2), acked(1, 1)],
        "consumer 0 went on from orders-0 offset 1 to 2",
    );
    fires(
        "consumer-skip",
        &[invoked(0), acked(0, 0), reset(0, 1)],
        "consumer 0 went on from orders-0 offset 0 to 1",
    );
}

#[test]
fn going_back_is_found() {
    holds("consumer-backwards", &[invoked(0), polled(0, 0), reset(1, 0), polled(0, 0)]);
    fires(
        "consumer-backwards",
        &[invoked(0), invoked(1), polled(0, 0), polled(1, 1), polled(0, 0)],
        "consumer 0 read orders-0 offset 0, but had already read up to 2",
    );
}

#[test]
fn a_wrong_acknowledged_offset_is_found() {
    holds("acked-offset", &[invoked(0), acked(0, 4), polled(4, 0)]);
    let what = "record 0 of producer 0 was acknowledged at orders-0 offset 4 and read at orders-0 offset 5";
    fires("acked-offset", &[invoked(0), acked(0, 4), polled(5, 0)], what);
    fires("acked-offset", &[invoked(0), polled(5, 0), acked(0, 4)], what);
}

#[test]
fn a_read_of_what_was_refused_or_never_sent_is_found() {
    holds("refused-read", &[invoked(0), failed(0, true), polled(0, 0)]);
    fires(
        "refused-read",
        &[invoked(0), failed(0, false), polled(0, 0)],
        "record 0 of producer 0 failed for certain; consumer 0 read it at orders-0 offset 0",
    );
    fires(
        "refused-read",
        &[invoked(0), polled(0, 0), failed(0, false)],
        "record 0 of producer 0 failed for certain (REQUEST_TIMED_OUT), but was read at orders-0 offset 0 before",
    );
    fires(
        "refused-read",
        &[polled(0, 0)],
        "record 0 of producer 0 was never sent; consumer 0 read it at orders-0 offset 0",
    );
}

#[test]
fn liveness_reports_what_is_pending() {
    use crate::testing::Fake;
    use crate::{ClusterState, pending};
    use trial_node::{LeaderEpoch, NodeId};

    let mut one = Fake::new(1);
    let mut checkers = only("liveness");
    one.step(&mut checkers, |r| (r.leader, r.isr) = (true, vec![NodeId(1)]));
    let state = |one: &Fake, outstanding| {
        pending(&ClusterState { brokers: vec![one], outstanding, ..ClusterState::default() })
    };
    assert_eq!(state(&one, 0), ["the metadata quorum has no leader"]);
    (one.quorum.is_leader, one.quorum.epoch) = (true, LeaderEpoch(1));
    assert_eq!(
        state(&one, 2),
        ["orders-0 has in-sync replicas 1 of 1,2", "2 records are neither acknowledged nor failed"]
    );
    let mut two = Fake::new(2);
    two.offline_log_dirs = vec!["/d1".to_owned()];
    assert_eq!(
        pending(&ClusterState { brokers: vec![&one, &two], ..ClusterState::default() })[0],
        "orders-0 has in-sync replicas 1 of 1,2; broker 2 took its log directory /d1 offline after an I/O error, and uses \
         it again only once it is restarted"
    );
    let without_two =
        ClusterState { brokers: vec![&one], struck: vec![NodeId(2)], ..ClusterState::default() };
    assert_eq!(
        pending(&without_two),
        Vec::<String>::new(),
        "nobody waits for a broker that never comes back"
    );
    one.step(&mut checkers, |r| r.isr.push(NodeId(2)));
    assert_eq!(state(&one, 0), Vec::<String>::new());
    let mut two = Fake::new(2);
    two.quorum.epoch = LeaderEpoch(1);
    (one.metadata.offset, two.metadata.offset) = (Offset(30), Offset(27));
    let due = |offset| {
        pending(&ClusterState {
            brokers: vec![&one, &two],
            metadata_due: Offset(offset),
            ..ClusterState::default()
        })
    };
    assert_eq!(due(27), Vec::<String>::new());
    assert_eq!(due(28), ["broker 2 has metadata up to 27, not up to 28, which was committed a while ago"]);
    checkers.finish(Time(9), &["orders-0 has no leader".to_owned()]);
    assert_eq!(evidence(&checkers), ["orders-0 has no leader"]);
}
