//! What may go is not missed; what may not is found to be gone.

use bytes::Bytes;
use trial_node::{
    ClientEvent, Content, LeaderEpoch, NodeId, Now, Offset, RecordId, Span, Time, TopicPartition,
};
use trial_storage::{AppendOrigin, LogConfig, LogOpen, SimDisk, UnifiedLog};
use trial_wire::{BatchBuilder, Compression, TopicName};

use crate::testing::{Fake, batch, evidence};
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
    broker.step(&mut checkers, |r| {
        let content = |key: &'static str| (Bytes::from_static(key.as_bytes()), Bytes::from_static(b"v"));
        r.contents = [(0, content("a")), (1, content("b")), (2, content("a"))].into();
        (r.leader, r.compacted, r.batches, r.high_watermark) = (true, true, log, 3);
    });
    let mut at_rest = |keys: [&str; 3]| {
        let mut disk = SimDisk::new();
        let options = LogOpen::new(LogConfig::default());
        let mut log = UnifiedLog::open(&mut disk, "orders-0", options, 0).unwrap().0;
        for key in keys {
            let mut batch = BatchBuilder::new(Compression::None);
            batch.push(0, Some(key.as_bytes()), Some(b"v"), &[]);
            let (batch, origin) = (batch.build(), AppendOrigin::Coordinator);
            log.append_as_leader(&mut disk, &batch, LeaderEpoch(0), origin, 0).unwrap();
        }
        checkers.at_rest(Now { mono: Time(9), wall_ms: 0 }, NodeId(2), &log, &mut disk);
        evidence(&checkers).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(at_rest(["-", "b", "a"]), [""; 0], "the first was followed by another");
    assert_eq!(
        at_rest(["a", "-", "a"]),
        ["broker 2's replica of orders-0 does not have offset 1, the last record of the key b"]
    );
}
