//! The producer against brokers whose every answer the test decides.

use bytes::Bytes;
use trial_node::{NodeId, Offset, Span, Time};
use trial_wire::messages::produce_request::PartitionProduceData;
use trial_wire::messages::produce_response::{
    LeaderIdAndEpoch, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use trial_wire::messages::{BrokerId, ProduceRequest};
use trial_wire::{Batch, ErrorCode, Header, RequestKind, ResponseKind, StrBytes};

use crate::network::TopicSlot;
use crate::testing::{Bench, Cluster, Waiting, properties, topic_name};

use super::*;

mod transactions;

const TOPIC: TopicSlot = TopicSlot(0);

fn bench(partitions: i32, config: &[(&str, &str)]) -> Bench<Producer> {
    let cluster = Cluster::new(2, "orders", partitions);
    let bootstrap = cluster.bootstrap();
    let config = ProducerConfig::from_properties(&properties(config)).unwrap();
    let mut bench = Bench::new(cluster, |_, _| {
        let mut producer = Producer::new(config, StrBytes::from_static_str("p"), bootstrap).unwrap();
        producer.topic(&topic_name("orders"));
        producer
    });
    bench.settle();
    bench
}

impl Bench<Producer> {
    /// Sends a record with a key that belongs to `partition`, and lets the producer act.
    fn send(&mut self, partition: usize, token: u64) {
        self.try_send(partition, token, b"value").unwrap();
        self.settle();
    }

    /// Has a record of a partition acknowledged: from then on its batches are pipelined.
    fn prime(&mut self, partition: usize) {
        self.send(partition, u64::MAX);
        let request = self.request();
        self.answer(&request, Ok(0));
        assert_eq!(self.deliveries(), [(partition as i32, vec![u64::MAX], Ok(Offset(0)))]);
    }

    fn try_send(&mut self, partition: usize, token: u64, value: &[u8]) -> Result<(), Refusal> {
        let partitions = self.machine.metadata().partition_count(TOPIC).unwrap();
        let key =
            (0u32..).map(u32::to_be_bytes).find(|k| partition_for_key(k, partitions) == partition).unwrap();
        let producer = &mut self.machine;
        let record = ProducerRecord {
            timestamp: 7,
            key: Some(&key),
            value: Some(value),
            partition: None,
            headers: &[],
            token,
        };
        self.world.with(|now, io| producer.send(now, io, TOPIC, &record))
    }

    fn deliveries(&mut self) -> Vec<(i32, Vec<u64>, Result<Offset, DeliveryError>)> {
        self.machine.deliveries().map(|d| (d.partition, d.tokens, d.outcome)).collect()
    }

    fn answer(&mut self, to: &Waiting, outcome: Result<i64, ErrorCode>) {
        self.answer_with(to, |partition| match outcome {
            Ok(base) => partition.with_base_offset(base),
            Err(error) => partition.with_error_code(error.code()).with_base_offset(-1),
        });
    }

    fn answer_with(
        &mut self,
        to: &Waiting,
        fill: impl Fn(PartitionProduceResponse) -> PartitionProduceResponse,
    ) {
        let topics = produce(to).topic_data.iter().map(|topic| {
            let partitions = topic
                .partition_data
                .iter()
                .map(|data| fill(PartitionProduceResponse::default().with_index(data.index)));
            TopicProduceResponse::default()
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions.collect())
        });
        let body = ProduceResponse::default().with_responses(topics.collect());
        self.respond(to, ResponseKind::Produce(body));
    }
}

fn produce(request: &Waiting) -> &ProduceRequest {
    let RequestKind::Produce(produce) = &*request.request.body else { panic!("{request:?}") };
    produce
}

fn partitions(request: &Waiting) -> Vec<&PartitionProduceData> {
    produce(request).topic_data.iter().flat_map(|topic| &topic.partition_data).collect()
}

fn header(bytes: &Option<Bytes>) -> Header {
    *Batch::parse(bytes.clone().unwrap()).unwrap().header()
}

/// Each batch of a request: partition, producer epoch, base sequence, records.
fn batches(request: &Waiting) -> Vec<(i32, i16, i32, i32)> {
    let batch = |data: &&PartitionProduceData| {
        let header = header(&data.records);
        (data.index, header.producer_epoch, header.base_sequence, header.record_count)
    };
    partitions(request).iter().map(batch).collect()
}

fn millis(n: u64) -> Time {
    Time::ZERO + Span::from_millis(n)
}

fn failed(error: ErrorCode, ambiguous: bool) -> Result<Offset, DeliveryError> {
    Err(DeliveryError { error, ambiguous })
}

#[test]
fn batch_lingers_then_goes_with_all_that_the_broker_leads() {
    let mut bench = bench(4, &[("linger.ms", "5")]);
    bench.send(0, 1);
    bench.run_until(millis(3));
    bench.send(0, 2);
    bench.send(2, 3);
    bench.send(1, 4);
    bench.run_until(Time(4_999_999));
    assert_eq!(bench.waiting(), 0);
    bench.run_until(millis(5));
    // Partition 2 has not lingered long enough, but its broker gets a request anyway. Partition 1 is another's.
    assert_eq!(bench.waiting(), 1);
    let request = bench.request();
    assert_eq!(request.node, NodeId(0));
    assert_eq!(batches(&request), [(0, 0, 0, 2), (2, 0, 0, 1)]);
    assert_eq!((produce(&request).acks, produce(&request).timeout_ms), (-1, 30_000));
    bench.run_until(millis(8));
    assert_eq!(bench.request().node, NodeId(1));
    bench.answer(&request, Ok(70));
    assert_eq!(bench.deliveries(), [(0, vec![1, 2], Ok(Offset(70))), (2, vec![3], Ok(Offset(70)))]);
}

#[test]
fn full_batch_does_not_linger() {
    let mut bench = bench(1, &[("linger.ms", "1000"), ("batch.size", "300")]);
    bench.try_send(0, 1, &[0; 150]).unwrap();
    bench.settle();
    assert_eq!(bench.waiting(), 0);
    bench.try_send(0, 2, &[0; 150]).unwrap();
    bench.settle();
    let first = bench.request();
    assert_eq!(batches(&first), [(0, 0, 0, 1)]);
    bench.answer(&first, Ok(0));
    assert_eq!(bench.waiting(), 0);
    bench.run_until(millis(1_000));
    assert_eq!(batches(&bench.request()), [(0, 0, 1, 1)]);
}

#[test]
fn request_is_no_larger_than_max_request_size() {
    let mut bench = bench(8, &[("max.request.size", "1000"), ("linger.ms", "5")]);
    for partition in [0, 2, 4, 6] {
        bench.try_send(partition, partition as u64, &[0; 300]).unwrap();
    }
    bench.settle();
    bench.run_until(millis(5));
    assert_eq!(bench.waiting(), 2);
    assert_eq!(partitions(&bench.request()).len(), 2);
    assert_eq!(partitions(&bench.request()).len(), 2);
    assert_eq!(bench.try_send(0, 9, &[0; 1_000]), Err(Refusal::Failed(ErrorCode::MessageTooLarge)));
}

#[test]
fn buffer_memory_is_refused_and_hurries_what_is_there() {
    let config = [
        ("buffer.memory", "2000"),
        ("batch.size", "1000"),
        ("linger.ms", "100"),
        ("enable.idempotence", "false"),
    ];
    let mut bench = bench(1, &config);
    bench.try_send(0, 1, &[0; 800]).unwrap();
    bench.try_send(0, 2, &[0; 800]).unwrap();
    assert_eq!(bench.try_send(0, 3, &[0; 800]), Err(Refusal::BufferFull));
    bench.settle();
    // Nothing lingers while the application waits for memory.
    assert_eq!(bench.waiting(), 2);
    let first = bench.request();
    bench.answer(&first, Ok(0));
    assert_eq!(bench.try_send(0, 3, &[0; 800]), Ok(()));
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("max.in.flight.requests.per.connection", "2")]);
    bench.prime(0);
    for token in 0..4 {
        bench.send(0, token);
    }
    assert_eq!(bench.waiting(), 2);
    let first = bench.request();
    bench.answer(&first, Ok(0));
    let rest = [bench.request(), bench.request()];
    // What waited has become one batch.
    assert_eq!(rest.map(|request| batches(&request)), [vec![(0, 0, 2, 1)], vec![(0, 0, 3, 2)]]);
    assert_eq!(bench.waiting(), 0);
}

#[test]
fn one_in_flight_keeps_order_without_idempotence() {
    let config = [
        ("linger.ms", "0"),
        ("max.in.flight.requests.per.connection", "1"),
        ("enable.idempotence", "false"),
        ("batch.size", "0"),
    ];
    let mut bench = bench(1, &config);
    bench.send(0, 1);
    bench.send(0, 2);
    let first = bench.request();
    // The leader moves, and the producer knows; the second batch must not overtake the first on the other connection.
    bench.world.cluster.elect(0, 1);
    bench.machine.network.metadata_mut().request_update();
    bench.settle();
    bench.run_for(Span::from_millis(300));
    assert_eq!(bench.machine.metadata().leader(TOPIC, 0).unwrap().0, NodeId(1));
    assert_eq!(bench.waiting(), 0);
    bench.answer(&first, Err(ErrorCode::NotLeaderOrFollower));
    bench.run_for(Span::from_secs(2));
    let again = bench.request();
    assert_eq!((again.node, bench.waiting()), (NodeId(1), 0));
    assert_eq!(partitions(&again)[0].records, partitions(&first)[0].records);
}

#[test]
fn failed_batches_go_again_in_their_order_one_at_a_time() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.prime(0);
    for token in 0..3 {
        bench.send(0, token);
    }
    let sent = [bench.request(), bench.request(), bench.request()];
    // The first is lost for a reason of the broker's; the others then do not fit.
    bench.answer(&sent[0], Err(ErrorCode::NotEnoughReplicas));
    bench.answer(&sent[1], Err(ErrorCode::OutOfOrderSequenceNumber));
    bench.answer(&sent[2], Err(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(bench.waiting(), 0);
    bench.run_for(Span::from_millis(130));
    for n in 0..3 {
        assert_eq!(bench.waiting(), 1, "one at a time");
        let request = bench.request();
        // Same epoch, same sequence, same bytes: the broker can tell a duplicate.
        assert_eq!(partitions(&request)[0].records, partitions(&sent[n as usize])[0].records);
        bench.answer(&request, Ok(n));
    }
    let offsets: Vec<_> =
        bench.deliveries().into_iter().map(|(_, tokens, outcome)| (tokens, outcome)).collect();
    assert_eq!(offsets, [0, 1, 2].map(|n| (vec![n as u64], Ok(Offset(n)))));
}

#[test]
fn answers_out_of_order_do_not_reorder_batches() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.prime(0);
    for token in 0..3 {
        bench.send(0, token);
    }
    // All three come back with the connection, and go again in order.
    bench.reset(NodeId(0));
    bench.run_for(Span::from_millis(150));
    let mut bases = Vec::new();
    while bench.waiting() > 0 {
        let request = bench.request();
        bases.push(batches(&request)[0].2);
        bench.answer(&request, Ok(10 + i64::from(batches(&request)[0].2)));
    }
    assert_eq!(bases, [1, 2, 3]);
    assert_eq!(bench.deliveries().len(), 3);
}

#[test]
fn gap_bumps_the_epoch_and_starts_numbers_at_zero() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.send(0, 1);
    let request = bench.request();
    bench.answer(&request, Ok(0));
    bench.send(0, 2);
    bench.send(0, 3);
    let (second, third) = (bench.request(), bench.request());
    // The next batch in line is out of order: the broker has lost what it knew.
    bench.answer(&second, Err(ErrorCode::OutOfOrderSequenceNumber));
    bench.answer(&third, Err(ErrorCode::OutOfOrderSequenceNumber));
    bench.run_for(Span::from_millis(130));
    let request = bench.request();
    assert_eq!(batches(&request), [(0, 1, 0, 1)]);
    bench.answer(&request, Ok(1));
    let request = bench.request();
    assert_eq!(batches(&request), [(0, 1, 1, 1)]);
}

#[test]
fn unknown_producer_id_is_retried_under_a_new_epoch() {
    let mut bench = bench(1, &[("linger.ms", "0")]);
    bench.send(0, 1);
    let request = bench.request();
    bench.answer_with(&request, |partition| {
        partition.with_error_code(ErrorCode::UnknownProducerId.code()).with_log_start_offset(50)
    });
    bench.run_for(Span::from_millis(130));
    assert_eq!(batches(&bench.request()), [(0, 1, 0, 1)]);
}

#[test]
fn epoch_is_bumped_once_for_all_that_was_in_flight() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.prime(0);
    bench.send(0, 1);
    bench.send(0, 2);
    for request in [bench.request(), bench.request()] {
        bench.answer_with(&request, |partition| {
            partition.with_error_code(ErrorCode::UnknownProducerId.code()).with_log_start_offset(50)
        });
    }
    bench.run_for(Span::from_millis(130));
    let request = bench.request();
    assert_eq!(batches(&request), [(0, 1, 0, 1)]);
    bench.answer(&request, Ok(50));
    assert_eq!(batches(&bench.request()), [(0, 1, 1, 1)]);
}

#[test]
fn new_epoch_waits_for_what_is_in_flight_under_the_old_one() {
    let mut bench = bench(2, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.send(0, 1);
    bench.send(1, 2);
    let (other, failing) = (bench.request(), bench.request());
    bench.answer(&failing, Err(ErrorCode::InvalidRecord));
    // The epoch is bumped for partition 1. Were partition 0 to go on under it at once, its number 0 could be written
    // before what is in flight.
    bench.send(0, 3);
    assert_eq!(bench.waiting(), 0);
    bench.send(1, 4);
    assert_eq!(batches(&bench.request()), [(1, 1, 0, 1)]);
    bench.answer(&other, Ok(0));
    assert_eq!(batches(&bench.request()), [(0, 1, 0, 1)]);
}

#[test]
fn failure_leaves_a_gap_that_the_epoch_closes() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.send(0, 1);
    let request = bench.request();
    bench.answer(&request, Err(ErrorCode::InvalidRecord));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::InvalidRecord, false))]);
    bench.send(0, 2);
    assert_eq!(batches(&bench.request()), [(0, 1, 0, 1)]);
}

#[test]
fn too_large_batch_is_split() {
    let mut bench = bench(1, &[("linger.ms", "10"), ("batch.size", "400")]);
    for token in 0..3 {
        bench.try_send(0, token, &[0; 80]).unwrap();
    }
    bench.settle();
    bench.run_until(millis(10));
    let request = bench.request();
    assert_eq!(batches(&request), [(0, 0, 0, 3)]);
    bench.machine.config.batch_size = 200;
    bench.answer(&request, Err(ErrorCode::MessageTooLarge));
    // The parts have numbers already, so they go one at a time, as what is sent again does.
    let part = bench.request();
    assert_eq!((batches(&part), bench.waiting()), (vec![(0, 0, 0, 1)], 0));
    bench.answer(&part, Ok(5));
    let part = bench.request();
    assert_eq!(batches(&part), [(0, 0, 1, 1)]);
    bench.answer(&part, Err(ErrorCode::MessageTooLarge));
    assert_eq!(
        bench.deliveries(),
        [(0, vec![0], Ok(Offset(5))), (0, vec![1], failed(ErrorCode::MessageTooLarge, false))]
    );
    assert_eq!(batches(&bench.request()), [(0, 1, 0, 1)]);
}

#[test]
fn never_sent_is_definite() {
    let mut bench = bench(1, &[("delivery.timeout.ms", "2000"), ("request.timeout.ms", "1000")]);
    bench.world.cluster.down.insert(NodeId(0));
    bench.reset(NodeId(0));
    bench.send(0, 1);
    bench.run_until(millis(1_999));
    assert_eq!(bench.deliveries(), []);
    bench.run_until(millis(2_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, false))]);
}

#[test]
fn sent_without_answer_is_ambiguous() {
    let config = [("delivery.timeout.ms", "2000"), ("request.timeout.ms", "1500"), ("linger.ms", "0")];
    let mut bench = bench(1, &config);
    bench.send(0, 1);
    bench.reset(NodeId(0));
    bench.world.cluster.down.insert(NodeId(0));
    bench.run_until(millis(2_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, true))]);
}

#[test]
fn delivery_timeout_in_flight_is_ambiguous_and_a_late_answer_goes_unheard() {
    let config = [("delivery.timeout.ms", "2000"), ("request.timeout.ms", "1900"), ("linger.ms", "100")];
    let mut bench = bench(1, &config);
    bench.send(0, 1);
    bench.run_until(millis(2_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, true))]);
    assert!(bench.machine.is_idle());
}

#[test]
fn delivery_timeout_during_a_second_attempt_is_ambiguous_though_the_first_was_refused() {
    let config = [("delivery.timeout.ms", "1000"), ("request.timeout.ms", "1000"), ("linger.ms", "0")];
    let mut bench = bench(1, &config);
    bench.send(0, 1);
    let request = bench.request();
    bench.answer(&request, Err(ErrorCode::NotEnoughReplicas));
    bench.run_until(millis(999));
    let request = bench.request();
    assert_eq!(bench.deliveries(), []);
    bench.run_until(millis(1_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, true))]);
    bench.answer(&request, Ok(0));
    assert_eq!(bench.deliveries(), []);
}

#[test]
fn refusal_of_the_only_attempt_is_definite_but_not_after_a_lost_one() {
    let config = [("retries", "1"), ("linger.ms", "0")];
    let mut first = bench(1, &config);
    first.send(0, 1);
    let request = first.request();
    first.answer(&request, Err(ErrorCode::InvalidTimestamp));
    assert_eq!(first.deliveries(), [(0, vec![1], failed(ErrorCode::InvalidTimestamp, false))]);

    let mut second = bench(1, &config);
    second.send(0, 1);
    second.reset(NodeId(0));
    second.run_for(Span::from_millis(150));
    while second.waiting() > 1 {
        second.request();
    }
    let request = second.request();
    second.answer(&request, Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(second.deliveries(), [(0, vec![1], failed(ErrorCode::NotEnoughReplicas, true))]);
}

#[test]
fn leader_that_steps_down_after_the_append_leaves_doubt() {
    let mut bench = bench(1, &[("retries", "0"), ("linger.ms", "0")]);
    for (token, error, ambiguous) in [
        (1, ErrorCode::NotLeaderOrFollower, true),
        (2, ErrorCode::NotEnoughReplicasAfterAppend, true),
        (3, ErrorCode::NotEnoughReplicas, false),
    ] {
        bench.send(0, token);
        let request = bench.request();
        bench.answer(&request, Err(error));
        assert_eq!(bench.deliveries(), [(0, vec![token], failed(error, ambiguous))]);
    }
}

#[test]
fn duplicate_sequence_counts_as_acknowledged() {
    let mut bench = bench(1, &[("linger.ms", "0")]);
    bench.send(0, 1);
    let request = bench.request();
    bench.answer(&request, Err(ErrorCode::DuplicateSequenceNumber));
    assert_eq!(bench.deliveries(), [(0, vec![1], Ok(Offset::UNKNOWN))]);
}

#[test]
fn acks_0_is_done_when_sent() {
    let mut bench = bench(1, &[("acks", "0"), ("linger.ms", "0")]);
    bench.send(0, 1);
    assert_eq!(bench.deliveries(), [(0, vec![1], Ok(Offset::UNKNOWN))]);
    let request = bench.request();
    assert_eq!((produce(&request).acks, batches(&request)), (0, vec![(0, -1, -1, 1)]));
}

#[test]
fn hint_of_the_new_leader_is_followed_at_once() {
    let mut bench = bench(1, &[("linger.ms", "0")]);
    bench.send(0, 1);
    let request = bench.request();
    assert_eq!(request.node, NodeId(0));
    bench.answer_with(&request, |partition| {
        let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(1)).with_leader_epoch(1);
        partition.with_error_code(ErrorCode::NotLeaderOrFollower.code()).with_current_leader(leader)
    });
    // No time has passed: neither back-off nor a metadata request was needed.
    assert_eq!(bench.request().node, NodeId(1));
}

#[test]
fn request_timeout_closes_the_connection_and_tries_again() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("request.timeout.ms", "1000")]);
    bench.send(0, 1);
    let first = bench.request();
    bench.run_until(millis(999));
    assert_eq!(bench.waiting(), 0);
    bench.run_until(millis(1_150));
    let again = bench.request();
    assert_ne!(again.conn, first.conn);
    assert_eq!(partitions(&again)[0].records, partitions(&first)[0].records);
    bench.answer(&again, Ok(3));
    assert_eq!(bench.deliveries(), [(0, vec![1], Ok(Offset(3)))]);
}

/// Each record goes by itself at once, and has a second.
const ONE_EACH_FOR_A_SECOND: [(&str, &str); 4] = [
    ("linger.ms", "0"),
    ("batch.size", "0"),
    ("delivery.timeout.ms", "1000"),
    ("request.timeout.ms", "1000"),
];

#[test]
fn expired_batch_in_retry_holds_back_new_ones_until_the_gap_is_closed() {
    let mut bench = bench(1, &ONE_EACH_FOR_A_SECOND);
    bench.prime(0);
    bench.send(0, 1);
    bench.run_until(millis(500));
    bench.send(0, 2);
    let (first, second) = (bench.request(), bench.request());
    bench.answer(&first, Err(ErrorCode::NotEnoughReplicasAfterAppend));
    bench.run_until(millis(700));
    // In flight again when its time is over.
    assert_eq!(batches(&bench.request()), [(0, 0, 1, 1)]);
    bench.run_until(millis(1_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, true))]);
    bench.send(0, 3);
    // Whether number 1 is there is not known while number 2 is in flight.
    assert_eq!(bench.waiting(), 0);
    bench.answer(&second, Ok(2));
    // Number 2 was appended, so there is no gap.
    assert_eq!(batches(&bench.request()), [(0, 0, 3, 1)]);
}

#[test]
fn second_batch_waits_until_the_broker_knows_the_producer() {
    let mut bench = bench(2, &[("linger.ms", "0"), ("batch.size", "0")]);
    // A connection to the other broker, to hear of the new leader; and what one partition's leader knows is no use here.
    bench.prime(1);
    for token in 0..4 {
        bench.send(0, token);
    }
    // Number 1 is behind, and there is no answer yet.
    let first = bench.request();
    assert_eq!((batches(&first), bench.waiting()), (vec![(0, 0, 0, 1)], 0));
    // Neither when the leader refuses it: it may take number 1 a moment later.
    bench.answer(&first, Err(ErrorCode::NotEnoughReplicas));
    assert_eq!(bench.waiting(), 0);
    bench.run_for(Span::from_millis(130));
    let again = bench.request();
    assert_eq!((batches(&again), bench.waiting()), (vec![(0, 0, 0, 1)], 0));
    // Nor by way of a new leader while the old one keeps silent.
    bench.world.cluster.elect(0, 1);
    bench.machine.network.metadata_mut().request_update();
    bench.settle();
    bench.run_for(Span::from_millis(300));
    assert_eq!(bench.machine.metadata().leader(TOPIC, 0).unwrap().0, NodeId(1));
    bench.send(0, 4);
    assert_eq!(bench.waiting(), 0);
    bench.reset(NodeId(0));
    bench.run_for(Span::from_millis(300));
    let moved = bench.request();
    assert_eq!((moved.node, batches(&moved), bench.waiting()), (NodeId(1), vec![(0, 0, 0, 1)], 0));
    bench.answer(&moved, Ok(7));
    assert_eq!(bench.deliveries(), [(0, vec![0], Ok(Offset(7)))]);
    // Now it does.
    let bases: Vec<_> = (0..bench.waiting()).map(|_| batches(&bench.request())[0].2).collect();
    assert_eq!(bases, [1, 2, 3, 4]);
}

#[test]
fn second_batch_under_a_new_epoch_waits_until_the_broker_knows_it() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.prime(0);
    bench.send(0, 1);
    let request = bench.request();
    bench.answer(&request, Err(ErrorCode::InvalidRecord));
    bench.send(0, 2);
    bench.send(0, 3);
    let first = bench.request();
    assert_eq!((batches(&first), bench.waiting()), (vec![(0, 1, 0, 1)], 0));
    bench.answer(&first, Ok(1));
    assert_eq!(batches(&bench.request()), [(0, 1, 1, 1)]);
}

#[test]
fn silence_until_the_delivery_timeout_does_not_number_anew_what_is_in_flight() {
    let mut bench = bench(1, &ONE_EACH_FOR_A_SECOND);
    bench.prime(0);
    bench.send(0, 1);
    bench.run_until(millis(500));
    bench.send(0, 2);
    let (_, second) = (bench.request(), bench.request());
    assert_eq!(batches(&second), [(0, 0, 2, 1)]);
    // Both time-outs of the first batch end here; its request takes the second one's with it.
    bench.run_until(millis(1_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, true))]);
    bench.run_until(millis(1_400));
    let again = bench.request();
    assert_eq!(partitions(&again)[0].records, partitions(&second)[0].records);
    bench.answer(&again, Ok(2));
    bench.send(0, 3);
    assert_eq!(batches(&bench.request()), [(0, 0, 3, 1)]);
}

#[test]
fn gap_of_an_only_attempt_is_closed_by_the_epoch() {
    let config = [("delivery.timeout.ms", "1000"), ("request.timeout.ms", "900"), ("linger.ms", "100")];
    let mut bench = bench(1, &config);
    bench.send(0, 1);
    bench.run_until(millis(100));
    assert_eq!(batches(&bench.request()), [(0, 0, 0, 1)]);
    bench.run_until(millis(1_000));
    assert_eq!(bench.deliveries(), [(0, vec![1], failed(ErrorCode::RequestTimedOut, true))]);
    bench.send(0, 2);
    bench.run_until(millis(1_300));
    assert_eq!(batches(&bench.request()), [(0, 1, 0, 1)]);
}

#[test]
fn fatal_error_leaves_doubt_about_what_is_in_flight_alone() {
    let mut bench = bench(1, &[("linger.ms", "0"), ("batch.size", "0")]);
    bench.send(0, 1);
    bench.send(0, 2);
    assert_eq!(bench.waiting(), 1);
    bench.machine.fail_for_good(ErrorCode::ClusterAuthorizationFailed);
    let error = |ambiguous| failed(ErrorCode::ClusterAuthorizationFailed, ambiguous);
    assert_eq!(bench.deliveries(), [(0, vec![1], error(true)), (0, vec![2], error(false))]);
}

#[test]
fn sticky_partition_changes_with_each_batch() {
    let mut bench = bench(4, &[("linger.ms", "0"), ("batch.size", "500")]);
    for token in 0..100 {
        let producer = &mut bench.machine;
        let record = ProducerRecord {
            timestamp: 0,
            key: None,
            value: Some(&[0; 100]),
            partition: None,
            headers: &[],
            token,
        };
        bench.world.with(|now, io| producer.send(now, io, TOPIC, &record)).unwrap();
    }
    bench.settle();
    let mut partition_of = [0; 100];
    while bench.waiting() > 0 {
        let request = bench.request();
        bench.answer(&request, Ok(0));
        for (partition, tokens, _) in bench.deliveries() {
            tokens.into_iter().for_each(|token| partition_of[token as usize] = partition);
        }
    }
    let runs: Vec<&[i32]> = partition_of.chunk_by(|a, b| a == b).collect();
    assert!(runs.len() > 3, "{runs:?}");
    let (_, whole) = runs.split_last().unwrap();
    // A record takes some 110 bytes: a batch's worth are 4, and at twice the size the partition changes in any case.
    assert!(whole.iter().all(|run| run.len() >= 4), "{runs:?}");
}

#[test]
fn idle_producer_costs_nothing_but_metadata() {
    let mut bench = bench(1, &[]);
    bench.world.sent.clear();
    bench.run_until(Time::ZERO + Span::from_secs(299));
    assert_eq!(bench.world.sent, []);
    bench.run_until(Time::ZERO + Span::from_secs(301));
    let apis: Vec<_> = bench.world.sent.iter().map(|(_, _, request)| (*request.body).clone()).collect();
    // Its bootstrap connection counts as another broker's.
    let expected = matches!(apis[..], [RequestKind::ApiVersions(_), RequestKind::Metadata(_)]);
    assert!(expected, "{apis:?}");
}
