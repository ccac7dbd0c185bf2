//! The consumer against brokers whose every answer the test decides.

use bytes::Bytes;
use trial_node::{NodeId, Offset, Span, Time};
use trial_wire::messages::fetch_response::{FetchableTopicResponse, LeaderIdAndEpoch, PartitionData};
use trial_wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use trial_wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use trial_wire::messages::{BrokerId, FetchRequest, FetchResponse};
use trial_wire::{BatchBuilder, Compression, ErrorCode, RequestKind, ResponseKind, StrBytes};

use crate::testing::{Bench, Cluster, Waiting, all_at, properties, topic_name};

use super::*;

mod read_replica;

/// A consumer of all partitions, which has asked for what it must and has no answers.
fn bench(partitions: i32, config: &[(&str, &str)]) -> Bench<Consumer> {
    let cluster = Cluster::new(2, "orders", partitions);
    let bootstrap = cluster.bootstrap();
    let config = ConsumerConfig::from_properties(&properties(config)).unwrap();
    let mut bench = Bench::new(cluster, |_, _| {
        let mut consumer = Consumer::new(config, StrBytes::from_static_str("c"), bootstrap).unwrap();
        let topic = consumer.topic(&topic_name("orders"));
        for partition in 0..partitions {
            consumer.assign(topic, partition);
        }
        consumer
    });
    bench.settle();
    bench
}

/// A consumer of one partition that reads from offset 10; its first Fetch request waits.
fn reading(config: &[(&str, &str)]) -> (Bench<Consumer>, Waiting) {
    let mut bench = bench(1, &[&[("auto.offset.reset", "earliest")], config].concat());
    let request = bench.request();
    bench.tell_offset(&request, 10);
    assert_eq!(bench.events(), [reset(-1, 10)]);
    let fetch = bench.request();
    (bench, fetch)
}

fn reset(from: i64, to: i64) -> ConsumerEvent {
    ConsumerEvent::PositionReset { index: 0, from: Offset(from), to: Offset(to) }
}

impl Bench<Consumer> {
    fn events(&mut self) -> Vec<ConsumerEvent> {
        self.machine.events().collect()
    }

    /// Takes everything, and lets the consumer ask for more.
    fn take(&mut self) -> Vec<(usize, i64)> {
        let mut taken = Vec::new();
        let now = self.world.now;
        while self.machine.take(now, &mut |index, record| taken.push((index, record.offset))) > 0 {}
        self.settle();
        taken
    }

    fn tell_offset(&mut self, to: &Waiting, offset: i64) {
        let RequestKind::ListOffsets(asked) = &*to.request.body else { panic!("{to:?}") };
        self.respond(to, all_at(asked, offset));
    }

    fn tell_epoch_end(&mut self, to: &Waiting, error: i16, epoch: i32, end_offset: i64) {
        let told = EpochEndOffset::default()
            .with_partition(0)
            .with_error_code(error)
            .with_leader_epoch(epoch)
            .with_end_offset(end_offset);
        let topic = OffsetForLeaderTopicResult::default()
            .with_topic(topic_name("orders"))
            .with_partitions(vec![told]);
        let body = OffsetForLeaderEpochResponse::default().with_topics(vec![topic]);
        self.respond(to, ResponseKind::OffsetForLeaderEpoch(body));
    }

    fn tell_records(&mut self, to: &Waiting, session_id: i32, partitions: Vec<PartitionData>) {
        let topic = FetchableTopicResponse::default()
            .with_topic_id(self.world.cluster.topic_id())
            .with_partitions(partitions);
        let body = FetchResponse::default().with_session_id(session_id).with_responses(vec![topic]);
        self.respond(to, ResponseKind::Fetch(body));
    }

    fn tell_session_error(&mut self, to: &Waiting, error: ErrorCode) {
        self.respond(to, ResponseKind::Fetch(FetchResponse::default().with_error_code(error.code())));
    }
}

/// A batch of `count` records from `base` on.
fn batch(base: i64, count: i64, leader_epoch: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.base_offset(base).leader_epoch(leader_epoch);
    for n in 0..count {
        builder.push(n, None, Some(b"value"), &[]);
    }
    builder.build().bytes().clone()
}

fn data(records: Bytes) -> PartitionData {
    PartitionData::default().with_high_watermark(100).with_last_stable_offset(90).with_records(Some(records))
}

fn refused(error: ErrorCode) -> PartitionData {
    PartitionData::default().with_error_code(error.code()).with_high_watermark(-1)
}

fn fetch(request: &Waiting) -> &FetchRequest {
    let RequestKind::Fetch(fetch) = &*request.request.body else { panic!("{request:?}") };
    fetch
}

/// What a request names: partition, offset, current leader epoch.
fn named(request: &Waiting) -> Vec<(i32, i64, i32)> {
    let partitions = fetch(request).topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|p| (p.partition, p.fetch_offset, p.current_leader_epoch)).collect()
}

fn session(request: &Waiting) -> (i32, i32) {
    (fetch(request).session_id, fetch(request).session_epoch)
}

/// The epoch that a request asks the end of, and the one that it believes to be the leader's.
fn epoch_asked(request: &Waiting) -> (i32, i32) {
    let RequestKind::OffsetForLeaderEpoch(asked) = &*request.request.body else { panic!("{request:?}") };
    let partition = &asked.topics[0].partitions[0];
    (partition.leader_epoch, partition.current_leader_epoch)
}

#[test]
fn position_comes_from_the_reset_policy() {
    for (policy, timestamp) in [("earliest", -2), ("latest", -1)] {
        let mut bench = bench(1, &[("auto.offset.reset", policy)]);
        let request = bench.request();
        let RequestKind::ListOffsets(asked) = &*request.request.body else { panic!() };
        assert_eq!(asked.topics[0].partitions[0].timestamp, timestamp);
        assert_eq!(asked.replica_id, BrokerId(-1));
        bench.tell_offset(&request, 42);
        assert_eq!(bench.events(), [reset(-1, 42)]);
        assert_eq!(bench.machine.position(0), Some(Offset(42)));
        let request = bench.request();
        assert_eq!((session(&request), named(&request)), ((0, 0), vec![(0, 42, 0)]));
        let fetch = fetch(&request);
        assert_eq!((fetch.min_bytes, fetch.max_wait_ms, fetch.max_bytes), (1, 500, 50 << 20));
        assert_eq!(fetch.topics[0].partitions[0].partition_max_bytes, 1 << 20);
    }
    let mut bench = bench(1, &[("auto.offset.reset", "none")]);
    assert_eq!((bench.events(), bench.waiting()), (vec![ConsumerEvent::NoPosition { index: 0 }], 0));
}

#[test]
fn refused_question_is_asked_again_after_back_off() {
    let mut bench = bench(1, &[]);
    let request = bench.request();
    let told = ListOffsetsPartitionResponse::default().with_error_code(ErrorCode::NotLeaderOrFollower.code());
    let topic =
        ListOffsetsTopicResponse::default().with_name(topic_name("orders")).with_partitions(vec![told]);
    bench.world.cluster.elect(0, 1);
    let body = ListOffsetsResponse::default().with_topics(vec![topic]);
    bench.respond(&request, ResponseKind::ListOffsets(body));
    assert_eq!(bench.waiting(), 0);
    bench.run_for(Span::from_millis(200));
    assert_eq!(bench.request().node, NodeId(1));
}

#[test]
fn reading_moves_the_position_and_tells_the_session_only_that() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![data(batch(10, 3, 0))]);
    // Nothing more is fetched before the application has taken what is here.
    assert_eq!((bench.waiting(), bench.machine.position(0)), (0, Some(Offset(10))));
    assert_eq!(bench.take(), [(0, 10), (0, 11), (0, 12)]);
    assert_eq!(bench.machine.position(0), Some(Offset(13)));
    assert_eq!(bench.machine.end_offset(0), Some(Offset(100)));
    let request = bench.request();
    assert_eq!((session(&request), named(&request)), ((7, 1), vec![(0, 13, 0)]));
    // An empty answer changes nothing.
    bench.tell_records(&request, 7, vec![]);
    let request = bench.request();
    assert_eq!((session(&request), named(&request)), ((7, 2), vec![]));
}

#[test]
fn records_before_the_position_are_left_out_and_gaps_are_skipped() {
    let (mut bench, request) = reading(&[]);
    let records = [batch(8, 4, 0), batch(20, 2, 0)].concat();
    bench.tell_records(&request, 0, vec![data(Bytes::from(records))]);
    assert_eq!(bench.take(), [(0, 10), (0, 11), (0, 20), (0, 21)]);
    assert_eq!(named(&bench.request()), [(0, 22, 0)]);
}

#[test]
fn take_hands_out_no_more_than_max_poll_records() {
    let (mut bench, request) = reading(&[("max.poll.records", "4")]);
    let records = [batch(10, 3, 0), batch(13, 3, 0)].concat();
    bench.tell_records(&request, 0, vec![data(Bytes::from(records))]);
    let now = bench.world.now;
    let mut offsets = Vec::new();
    assert_eq!(bench.machine.take(now, &mut |_, record| offsets.push(record.offset)), 4);
    assert_eq!(bench.machine.position(0), Some(Offset(14)));
    bench.settle();
    assert_eq!(bench.waiting(), 0);
    assert_eq!(bench.machine.take(now, &mut |_, record| offsets.push(record.offset)), 2);
    assert_eq!(offsets, [10, 11, 12, 13, 14, 15]);
}

#[test]
fn half_a_batch_at_the_end_is_no_error() {
    let (mut bench, request) = reading(&[]);
    let second = batch(12, 2, 0);
    let records = [&batch(10, 2, 0)[..], &second[..second.len() / 2]].concat();
    bench.tell_records(&request, 0, vec![data(Bytes::from(records))]);
    assert_eq!(bench.take(), [(0, 10), (0, 11)]);
    assert_eq!(bench.events(), []);
}

#[test]
fn damaged_batch_is_noticed_and_fetched_again() {
    let (mut bench, request) = reading(&[]);
    let mut records = batch(10, 2, 0).to_vec();
    let in_value = records.len() - 3;
    records[in_value] ^= 1;
    bench.tell_records(&request, 0, vec![data(Bytes::from(records.clone()))]);
    assert_eq!(bench.take(), []);
    assert_eq!(bench.events(), [ConsumerEvent::Damaged { index: 0, offset: Offset(10) }]);
    bench.run_for(Span::from_millis(100));
    assert_eq!(named(&bench.request()), [(0, 10, 0)]);

    let (mut unchecked, request) = reading(&[("check.crcs", "false")]);
    unchecked.tell_records(&request, 0, vec![data(Bytes::from(records))]);
    assert_eq!(unchecked.take().len(), 2);
}

#[test]
fn offset_out_of_range_resets_by_policy() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 0, vec![refused(ErrorCode::OffsetOutOfRange)]);
    let request = bench.request();
    bench.tell_offset(&request, 50);
    assert_eq!(bench.events(), [reset(10, 50)]);
    assert_eq!(named(&bench.request()), [(0, 50, 0)]);
}

#[test]
fn new_leader_is_asked_whether_the_log_was_truncated() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![data(batch(10, 3, 0))]);
    bench.take();
    let request = bench.request();
    bench.world.cluster.elect(0, 1);
    bench.tell_records(&request, 7, vec![refused(ErrorCode::FencedLeaderEpoch)]);
    bench.run_for(Span::from_millis(200));
    let request = bench.request();
    assert_eq!((request.node, epoch_asked(&request)), (NodeId(1), (0, 1)));
    // The new leader's log of epoch 0 ends before the position.
    bench.tell_epoch_end(&request, 0, 0, 11);
    assert_eq!(bench.events(), [reset(13, 11)]);
    let request = bench.request();
    assert_eq!((request.node, named(&request)), (NodeId(1), vec![(0, 11, 1)]));
}

#[test]
fn new_leader_with_the_same_log_is_read_on() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![data(batch(10, 3, 0))]);
    bench.take();
    let request = bench.request();
    let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(1)).with_leader_epoch(1);
    let data = refused(ErrorCode::NotLeaderOrFollower).with_current_leader(leader);
    bench.world.cluster.elect(0, 1);
    // KIP-951: the hint is followed without metadata or back-off.
    bench.tell_records(&request, 7, vec![data]);
    let request = bench.request();
    assert_eq!((request.node, epoch_asked(&request)), (NodeId(1), (0, 1)));
    bench.tell_epoch_end(&request, 0, 0, 13);
    assert_eq!((bench.events(), bench.machine.position(0)), (vec![], Some(Offset(13))));
    assert_eq!(named(&bench.request()), [(0, 13, 1)]);
}

#[test]
fn unknown_epoch_at_the_new_leader_resets_by_policy() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![data(batch(10, 3, 0))]);
    bench.take();
    bench.world.cluster.elect(0, 1);
    let request = bench.request();
    bench.tell_records(&request, 7, vec![refused(ErrorCode::NotLeaderOrFollower)]);
    bench.run_for(Span::from_millis(200));
    let request = bench.request();
    bench.tell_epoch_end(&request, 0, -1, -1);
    let request = bench.request();
    bench.tell_offset(&request, 0);
    assert_eq!(bench.events(), [reset(13, 0)]);
}

#[test]
fn answer_of_a_deposed_leader_to_a_validation_does_not_count() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![data(batch(10, 3, 0))]);
    bench.take();
    let request = bench.request();
    bench.world.cluster.elect(0, 1);
    bench.tell_records(&request, 7, vec![refused(ErrorCode::NotLeaderOrFollower)]);
    bench.run_for(Span::from_millis(200));
    let stale = bench.request();
    assert_eq!(epoch_asked(&stale), (0, 1));
    bench.world.cluster.elect(0, 0);
    bench.machine.network.metadata_mut().request_update();
    bench.settle();
    bench.run_for(Span::from_millis(1_000));
    assert_eq!(bench.machine.metadata().leader(TopicSlot(0), 0), Some((NodeId(0), LeaderEpoch(2))));
    bench.tell_epoch_end(&stale, 0, 0, 11);
    assert_eq!(bench.events(), []);
    let request = bench.request();
    assert_eq!((request.node, epoch_asked(&request)), (NodeId(0), (0, 2)));
}

#[test]
fn lost_session_is_begun_anew() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![]);
    let request = bench.request();
    assert_eq!(session(&request), (7, 1));
    bench.tell_session_error(&request, ErrorCode::FetchSessionIdNotFound);
    let request = bench.request();
    assert_eq!((session(&request), named(&request)), ((0, 0), vec![(0, 10, 0)]));
    bench.tell_records(&request, 8, vec![]);
    let request = bench.request();
    bench.tell_session_error(&request, ErrorCode::InvalidFetchSessionEpoch);
    let request = bench.request();
    assert_eq!((session(&request), named(&request)), ((8, 0), vec![(0, 10, 0)]));
}

#[test]
fn seek_makes_the_answer_in_flight_worthless() {
    let (mut bench, request) = reading(&[]);
    bench.machine.seek(0, Offset(30));
    bench.settle();
    bench.tell_records(&request, 0, vec![data(batch(10, 3, 0))]);
    assert_eq!(bench.take(), []);
    let request = bench.request();
    assert_eq!(named(&request), [(0, 30, 0)]);
    bench.machine.seek(0, Offset(40));
    bench.tell_records(&request, 0, vec![refused(ErrorCode::OffsetOutOfRange)]);
    assert_eq!(named(&bench.request()), [(0, 40, 0)]);
}

#[test]
fn topic_that_was_created_again_is_fetched_by_its_new_id() {
    let (mut bench, request) = reading(&[]);
    bench.tell_records(&request, 7, vec![]);
    let request = bench.request();
    let old = bench.world.cluster.topic_id();
    let new = trial_wire::Uuid::from_u128(999);
    bench.world.cluster.topics.values_mut().next().unwrap().0 = new;
    // Metadata is behind the long poll on its connection.
    bench.machine.network.metadata_mut().request_update();
    bench.settle();
    bench.run_for(Span::from_millis(200));
    bench.tell_session_error(&request, ErrorCode::FetchSessionTopicIdError);
    let named_old = bench.request();
    assert_eq!(fetch(&named_old).topics[0].topic_id, old);
    let told = FetchableTopicResponse::default()
        .with_topic_id(old)
        .with_partitions(vec![refused(ErrorCode::UnknownTopicId)]);
    let body = FetchResponse::default().with_session_id(8).with_responses(vec![told]);
    bench.respond(&named_old, ResponseKind::Fetch(body));
    let request = bench.request();
    assert_eq!((session(&request), fetch(&request).topics[0].topic_id), ((8, 1), new));
    assert_eq!(fetch(&request).forgotten_topics_data[0].topic_id, old);
}

#[test]
fn partition_that_is_assigned_later_is_read_too() {
    let mut bench = bench(1, &[("auto.offset.reset", "earliest")]);
    bench.world.cluster.serve = true;
    let request = bench.request();
    bench.tell_offset(&request, 0);
    let (_, partitions) = bench.world.cluster.topics.values_mut().next().unwrap();
    partitions.push(crate::testing::Partition::default());
    bench.machine.network.metadata_mut().request_update();
    bench.settle();
    bench.run_for(Span::from_secs(1));
    let index = bench.machine.assign(TopicSlot(0), 1);
    assert_eq!((index, bench.machine.assign(TopicSlot(0), 1)), (1, 1));
    bench.settle();
    bench.run_for(Span::from_secs(3));
    assert_eq!(bench.machine.position(1), Some(Offset(0)));
    assert_eq!(bench.machine.end_offset(1), Some(Offset(0)));
}

#[test]
fn paused_partition_is_left_out_of_the_session() {
    let mut bench = bench(4, &[]);
    for _ in 0..2 {
        let request = bench.request();
        bench.tell_offset(&request, 10);
    }
    let request = bench.request();
    assert_eq!((request.node, named(&request)), (NodeId(0), vec![(0, 10, 0), (2, 10, 0)]));
    bench.machine.pause(2);
    bench.tell_records(&request, 5, vec![]);
    bench.request();
    let request = bench.request();
    let forgotten = &fetch(&request).forgotten_topics_data;
    assert_eq!((named(&request), forgotten[0].partitions.clone()), (vec![], vec![2]));
    bench.machine.resume(2);
    bench.tell_records(&request, 5, vec![]);
    assert_eq!(named(&bench.request()), [(2, 10, 0)]);
}

#[test]
fn read_committed_leaves_out_what_was_aborted() {
    use trial_wire::messages::fetch_response::AbortedTransaction;
    let (mut bench, request) = reading(&[("isolation.level", "read_committed")]);
    assert_eq!(fetch(&request).isolation_level, 1);
    let transactional = |base: i64, producer: i64| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.base_offset(base).producer(producer, 0, 0).transactional();
        builder.push(0, None, Some(b"value"), &[]);
        builder.build().bytes().clone()
    };
    let marker = |base: i64, producer: i64, kind: trial_wire::ControlType| {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.base_offset(base).producer(producer, 0, -1).transactional().control();
        builder.push(0, Some(&kind.key()), Some(b"marker"), &[]);
        builder.build().bytes().clone()
    };
    use trial_wire::ControlType::{Abort, Commit};
    let records = [
        transactional(10, 1),
        transactional(11, 2),
        marker(12, 1, Abort),
        marker(13, 2, Commit),
        transactional(14, 1),
        marker(15, 1, Commit),
    ];
    let aborted = AbortedTransaction::default().with_producer_id(1.into()).with_first_offset(10);
    let data = data(Bytes::from(records.concat())).with_aborted_transactions(Some(vec![aborted]));
    bench.tell_records(&request, 0, vec![data]);
    assert_eq!(bench.take(), [(0, 11), (0, 14)]);
    assert_eq!(bench.machine.position(0), Some(Offset(16)));
    assert_eq!(bench.machine.end_offset(0), Some(Offset(90)));
}

#[test]
fn idle_consumer_costs_its_long_polls_only() {
    let cluster = Cluster { serve: true, ..Cluster::new(2, "orders", 4) };
    let bootstrap = cluster.bootstrap();
    let mut bench = Bench::new(cluster, |_, _| {
        let config = ConsumerConfig::default();
        let mut consumer = Consumer::new(config, StrBytes::from_static_str("c"), bootstrap).unwrap();
        let topic = consumer.topic(&topic_name("orders"));
        for partition in 0..4 {
            consumer.assign(topic, partition);
        }
        consumer
    });
    bench.run_until(Time::ZERO + Span::from_secs(1));
    bench.world.sent.clear();
    bench.run_for(Span::from_secs(100));
    // One each 500 ms to each of two brokers.
    assert_eq!(bench.world.sent.len(), 400);
}
