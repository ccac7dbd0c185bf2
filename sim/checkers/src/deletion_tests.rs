//! What may go is not missed; what may not is found to be gone.

use bytes::Bytes;
use trial_node::view::BatchView;
use trial_node::{
    ClientEvent, Content, LeaderEpoch, NodeId, Now, Offset, ProducerId, RecordId, Span, Time,
    TopicIdPartition, TopicPartition,
};
use trial_storage::{AppendOrigin, LogConfig, LogOpen, SimDisk, UnifiedLog};
use trial_wire::{BatchBuilder, Compression, TopicName, Uuid};

use crate::testing::{Fake, FakeReplica, TP, batch, evidence};
use crate::{Checkers, Cleanup, Load};

fn checkers(cleanup: Cleanup) -> Checkers {
    let names = ["unwarranted-deletion", "lost-write"].map(str::to_owned);
    let mut checkers = Checkers::new(Some(&names)).unwrap();
    let mut load = Load { wall_start_ms: 10_000, ..Load::default() };
    load.cleanup.insert(TopicName("orders".into()), cleanup);
    checkers.describe(load);
    checkers
}

const KEPT: Cleanup = Cleanup { compact: false, delete: true, retention_bytes: None, retention: None };

/// Three committed records of 100 bytes each, all acknowledged, of which the log then loses the first two.
fn starts_at_two(cleanup: Cleanup) -> Vec<String> {
    let mut checkers = checkers(cleanup);
    let mut broker = Fake::new(1);
    let log = vec![batch(0, 0, 10), batch(1, 0, 11), batch(2, 0, 12)];
    broker.step(&mut checkers, |r| (r.leader, r.batches, r.high_watermark) = (true, log, 3));
    for sequence in 0..3u64 {
        let id = RecordId { producer: 0, sequence };
        let tp = TopicPartition::new("orders", 0);
        let topic = tp.topic.clone();
        let (intended, content) = (Time(0), Content::Plain);
        let invoked =
            ClientEvent::SendInvoked { id, topic, intended, bytes: 10, idempotent: true, acks: -1, content };
        checkers.client_event(Time(0), &invoked);
        let base_offset = Offset(sequence as i64);
        let acked = ClientEvent::SendAcked { producer: 0, sequences: vec![sequence], tp, base_offset };
        checkers.client_event(Time(1), &acked);
    }
    broker.step(&mut checkers, |r| r.log_start_offset = 2);
    checkers.audit(7);
    let tp = TopicPartition::new("orders", 0);
    let id = Some(RecordId { producer: 0, sequence: 2 });
    let records = vec![trial_node::PolledRecord { offset: Offset(2), id }];
    checkers.client_event(Time(2), &ClientEvent::Polled { consumer: 7, tp: tp.clone(), records });
    checkers.audited(tp);
    checkers.finish(Time(3), &[]);
    evidence(&checkers).into_iter().map(str::to_owned).collect()
}

#[test]
fn what_retention_has_no_room_for_may_go() {
    let none: [&str; 0] = [];
    assert_eq!(starts_at_two(Cleanup { retention_bytes: Some(100), ..KEPT }), none);
    // The records are 9 seconds old, by clocks that may differ by 2.
    assert_eq!(starts_at_two(Cleanup { retention: Some(Span::from_secs(10)), ..KEPT }), none);
}

#[test]
fn what_is_deleted_without_a_reason_is_found_and_missed() {
    let found = [
        "broker 1 moved the start of orders-0 from 0 to 2",
        "record 0 of producer 0 was acknowledged at orders-0 offset 0, and is not in the log",
        "record 1 of producer 0 was acknowledged at orders-0 offset 1, and is not in the log",
    ];
    for cleanup in [
        KEPT,
        Cleanup { retention_bytes: Some(101), ..KEPT },
        Cleanup { retention: Some(Span::from_secs(12)), ..KEPT },
        Cleanup { delete: false, compact: true, retention_bytes: Some(0), ..KEPT },
    ] {
        assert_eq!(starts_at_two(cleanup), found, "{cleanup:?}");
    }
}

#[test]
fn a_log_that_starts_where_nothing_was_committed_is_not_excused_by_age() {
    let mut checkers = checkers(Cleanup { retention: Some(Span::from_secs(10)), ..KEPT });
    let mut broker = Fake::new(1);
    broker.step(&mut checkers, |r| (r.leader, r.log_start_offset, r.high_watermark) = (true, 2, 2));
    assert_eq!(evidence(&checkers), ["broker 1 moved the start of orders-0 from 0 to 2"]);
}

#[test]
fn the_last_record_of_a_key_must_stay_on_every_replica() {
    let mut checkers = checkers(Cleanup { compact: true, delete: false, ..KEPT });
    let mut broker = Fake::new(1);
    let log = vec![batch(0, 0, 10), batch(1, 0, 11), batch(2, 0, 12)];
    broker.step(&mut checkers, |r| holds(r, &["a", "b", "a"], log));
    assert_eq!(at_rest(&mut checkers, &["-", "b", "a"]), [""; 0], "the first was followed by another");
    assert_eq!(
        at_rest(&mut checkers, &["a", "-", "a"]),
        ["broker 2's replica of orders-0 does not have offset 1, the last record of the key b"]
    );
}

/// What is found of a log that has these keys, one a record, when all is over.
fn at_rest(checkers: &mut Checkers, keys: &[&str]) -> Vec<String> {
    let mut disk = SimDisk::new();
    let mut log = UnifiedLog::open(&mut disk, "orders-0", LogOpen::new(LogConfig::default()), 0).unwrap().0;
    for key in keys {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(0, Some(key.as_bytes()), Some(b"v"), &[]);
        let (batch, origin) = (batch.build(), AppendOrigin::Coordinator);
        log.append_as_leader(&mut disk, &batch, LeaderEpoch(0), origin, 0).unwrap();
    }
    checkers.at_rest(Now { mono: Time(9), wall_ms: 0 }, NodeId(2), &log, &mut disk);
    evidence(checkers).into_iter().map(str::to_owned).collect()
}

/// Makes the replica the leader of a compacted log that has these keys, one a record, all of them committed.
fn holds(replica: &mut FakeReplica, keys: &[&'static str], log: Vec<BatchView>) {
    let content = |key: &'static str| (Bytes::from_static(key.as_bytes()), Bytes::from_static(b"v"));
    replica.contents = (0..).zip(keys.iter().map(|key| content(key))).collect();
    (replica.leader, replica.compacted, replica.high_watermark) = (true, true, keys.len() as i64);
    replica.batches = log;
}

#[test]
fn a_record_of_a_transaction_counts_once_that_is_committed() {
    let of = |producer: i64, offset, control| BatchView {
        producer_id: ProducerId(producer),
        transactional: true,
        control,
        ..batch(offset, 0, 10)
    };
    let judged = |keys: [&str; 6]| {
        let mut checkers = checkers(Cleanup { compact: true, delete: false, ..KEPT });
        // Producer 1 aborts what it wrote of a; producer 2 commits what it wrote of b, before another one's.
        let log = vec![
            batch(0, 0, 10),
            of(1, 1, false),
            of(2, 2, false),
            batch(3, 0, 10),
            of(1, 4, true),
            of(2, 5, true),
        ];
        Fake::new(1).step(&mut checkers, |r| {
            holds(r, &["a", "a", "b", "b", "", ""], log);
            r.commits = vec![5];
        });
        at_rest(&mut checkers, &keys)
    };
    assert_eq!(judged(["a", "-", "-", "b", "-", "-"]), [""; 0]);
    assert_eq!(
        judged(["-", "a", "b", "-", "-", "-"]),
        [
            "broker 2's replica of orders-0 does not have offset 0, the last record of the key a",
            "broker 2's replica of orders-0 does not have offset 3, the last record of the key b"
        ]
    );
}

#[test]
fn a_topic_that_is_made_again_has_nothing_to_do_with_the_one_before() {
    let mut checkers = checkers(Cleanup { compact: true, ..KEPT });
    let mut broker = Fake::new(1);
    broker.step(&mut checkers, |r| holds(r, &["a", "b"], vec![batch(0, 0, 10), batch(1, 0, 11)]));
    broker.tp = TopicIdPartition { topic_id: Uuid::from_u128(8), ..TP };
    broker.step(&mut checkers, |r| holds(r, &["c"], vec![batch(0, 0, 12)]));
    // Who has not heard of the deletion may still say something of the first one.
    broker.tp = TP;
    broker.step(&mut checkers, |r| {
        holds(r, &["a", "b", "d"], vec![batch(0, 0, 10), batch(1, 0, 11), batch(2, 0, 12)])
    });
    assert_eq!(at_rest(&mut checkers, &["c"]), [""; 0]);
    assert_eq!(
        at_rest(&mut checkers, &["-"]),
        ["broker 2's replica of orders-0 does not have offset 0, the last record of the key c"]
    );
}

#[test]
fn what_somebody_asked_to_be_deleted_may_go_and_no_more() {
    let tp = TopicPartition::new("orders", 0);
    let judged = |asked: &[Option<Offset>], altered: bool| {
        let mut checkers = checkers(KEPT);
        let mut broker = Fake::new(1);
        let log = vec![batch(0, 0, 10), batch(1, 0, 11), batch(2, 0, 12)];
        broker.step(&mut checkers, |r| (r.leader, r.batches, r.high_watermark) = (true, log, 3));
        asked.iter().for_each(|offset| checkers.deletion_asked_for(&tp, *offset));
        if altered {
            checkers.retention_may_change(Some(&tp.topic));
        }
        broker.step(&mut checkers, |r| r.log_start_offset = 2);
        evidence(&checkers).len()
    };
    assert_eq!(judged(&[Some(Offset(2))], false), 0);
    assert_eq!(judged(&[None], false), 0);
    assert_eq!(judged(&[], true), 0);
    assert_eq!(judged(&[Some(Offset(1))], false), 1);
}

#[test]
fn who_asked_for_all_to_be_deleted_did_not_ask_for_what_came_later() {
    let tp = TopicPartition::new("orders", 0);
    let mut checkers = checkers(KEPT);
    let (mut leader, mut follower) = (Fake::new(1), Fake::new(2));
    let log = |count: i64| (0..count).map(|offset| batch(offset, 0, 10)).collect::<Vec<_>>();
    for (broker, leads) in [(&mut leader, true), (&mut follower, false)] {
        broker.step(&mut checkers, |r| (r.leader, r.batches, r.high_watermark) = (leads, log(3), 3));
    }
    checkers.deletion_asked_for(&tp, None);
    leader.step(&mut checkers, |r| r.log_start_offset = 2);
    follower.step(&mut checkers, |r| r.log_start_offset = 2);
    assert_eq!(evidence(&checkers), [""; 0]);
    leader.step(&mut checkers, |r| (r.batches, r.high_watermark) = (log(5), 5));
    leader.step(&mut checkers, |r| r.log_start_offset = 4);
    assert_eq!(evidence(&checkers), ["broker 1 moved the start of orders-0 from 2 to 4"]);
}
