//! Produce requests: what is appended, when it is acknowledged, and with which errors.

use super::*;

const ALL: i16 = -1;

#[test]
fn acks_all_waits_for_the_whole_isr() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.insert(C);
    cluster.advance(Span::from_millis(600));
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    assert_eq!(cluster.log_end_offset(A, P0), 2);
    assert_eq!(cluster.log_end_offset(B, P0), 2);
    assert_eq!(cluster.high_watermark(A, P0), 0, "C has not fetched it");
    assert_eq!(cluster.produced(token), None);
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
    assert_eq!(cluster.high_watermark(A, P0), 2);
}

#[test]
fn acks_all_to_several_partitions_is_answered_once_when_the_last_is_committed() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1)), (P1, batch("b", 3))]);
    let response = cluster.produced(token).unwrap();
    let answers: Vec<_> = response.responses[0]
        .partition_responses
        .iter()
        .map(|p| (p.index, p.error_code, p.base_offset))
        .collect();
    assert_eq!(answers, [(0, 0, 0), (1, 0, 0)]);
    assert_eq!(cluster.answers, []);
}

#[test]
fn acks_one_is_answered_and_acks_zero_is_not() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.extend([B, C]);
    let one = cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(one), Some((0, 0)));
    let zero = cluster.produce(A, 0, &[(P0, batch("b", 1))]);
    let wrong = cluster.produce(B, 0, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.unanswered, [(zero, false), (wrong, true)]);
    assert_eq!(cluster.log_end_offset(A, P0), 2);
}

#[test]
fn what_is_not_committed_in_time_times_out() {
    let mut cluster = Cluster::new(&[]);
    cluster.controller_is_prompt = false;
    cluster.cut.extend([B, C]);
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    cluster.advance(Span::from_millis(29_999));
    assert_eq!(cluster.produced(token), None);
    cluster.advance(Span::from_millis(1));
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::RequestTimedOut.code(), 0)));
}

#[test]
fn too_small_an_isr_takes_nothing_and_commits_nothing() {
    let mut cluster = Cluster::new(&[("min.insync.replicas", "2")]);
    cluster.elect(P0, A, &[A]);
    cluster.cut.extend([B, C]);
    cluster.publish();
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::NotEnoughReplicas.code(), -1)));
    assert_eq!(cluster.log_end_offset(A, P0), 0);
    let token = cluster.produce(A, 1, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
    assert_eq!(cluster.high_watermark(A, P0), 0, "an ISR under the minimum commits nothing");
}

#[test]
fn what_was_appended_before_the_isr_became_too_small_is_acknowledged_once_it_is_large_enough() {
    let mut cluster = Cluster::new(&[("min.insync.replicas", "2")]);
    cluster.cut.insert(C);
    cluster.advance(Span::from_secs(1));
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    // B has it and C has not; C dies, and B is taken for dead.
    cluster.metadata.brokers.get_mut(&C).unwrap().fenced = true;
    cluster.elect(P0, A, &[A]);
    cluster.controller_is_prompt = false;
    cluster.publish();
    assert_eq!(cluster.produced(token), None);
    // B asks to join, but is not confirmed yet.
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.to_controller.len(), 1);
    assert_eq!(cluster.high_watermark(A, P0), 0);
    cluster.answer_controller();
    cluster.run();
    assert_eq!(cluster.isr(A, P0), [A, B]);
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
}

#[test]
fn a_replica_that_is_about_to_join_the_isr_is_waited_for() {
    let mut cluster = Cluster::new(&[]);
    cluster.advance(Span::from_secs(1));
    cluster.cut.insert(C);
    cluster.elect(P0, A, &[A, B]);
    cluster.controller_is_prompt = false;
    cluster.publish();
    let first = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced(first), None, "C was in sync a moment ago and may be proposed any moment");
    cluster.advance(Span::from_secs(31));
    let second = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    assert_eq!(cluster.produced_one(second), Some((0, 1)));
}

#[test]
fn a_leader_that_loses_office_answers_who_waits_and_names_its_successor() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.extend([B, C]);
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    cluster.elect(P0, B, &[A, B, C]);
    cluster.publish();
    let response = cluster.produced(token).unwrap();
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!((answer.current_leader.leader_id.0, answer.current_leader.leader_epoch), (1, 1));
    assert_eq!(response.node_endpoints[0].node_id.0, 1);
    assert_eq!(response.node_endpoints[0].host.as_str(), "b1");
    let late = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(late), Some((ErrorCode::NotLeaderOrFollower.code(), -1)));
}

#[test]
fn a_deleted_topic_answers_who_waits() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.extend([B, C]);
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    cluster.nodes.get_mut(&A).unwrap().metadata = TestMetadata::default();
    let changes = MetadataChanges { deleted_topics: vec![TOPIC], ..MetadataChanges::default() };
    cluster.with(A, |replicas, ctx| replicas.apply(ctx, &changes));
    cluster.run();
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::NotLeaderOrFollower.code(), 0)));
    assert_eq!(cluster.nodes[&A].replicas.replica(P0), None);
    let gone = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(gone), Some((ErrorCode::UnknownTopicId.code(), -1)));
}

#[test]
fn what_is_not_one_good_batch_is_refused() {
    let mut cluster = Cluster::new(&[]);
    let good = batch("a", 1);
    let mut flipped = good.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let two = [good.clone(), good.clone()].concat();
    for (records, code) in [
        (Bytes::from(flipped), ErrorCode::CorruptMessage),
        (Bytes::from(two), ErrorCode::InvalidRecord),
        (Bytes::new(), ErrorCode::InvalidRecord),
        (good.slice(..good.len() - 1), ErrorCode::CorruptMessage),
    ] {
        let token = cluster.produce(A, ALL, &[(P0, records)]);
        assert_eq!(cluster.produced_one(token), Some((code.code(), -1)));
    }
    let token = cluster.produce(A, 2, &[(P0, good)]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::InvalidRequiredAcks.code(), -1)));
    assert_eq!(cluster.log_end_offset(A, P0), 0);
}

#[test]
fn a_duplicate_gets_the_original_offset_and_waits_for_it_to_be_committed() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.extend([B, C]);
    let first = cluster.produce(A, ALL, &[(P0, idempotent(9, 0, 0))]);
    let second = cluster.produce(A, ALL, &[(P0, idempotent(9, 0, 1))]);
    let again = cluster.produce(A, ALL, &[(P0, idempotent(9, 0, 0))]);
    assert_eq!(cluster.log_end_offset(A, P0), 2);
    assert_eq!(cluster.answers, []);
    let gap = cluster.produce(A, ALL, &[(P0, idempotent(9, 0, 5))]);
    assert_eq!(cluster.produced_one(gap), Some((ErrorCode::OutOfOrderSequenceNumber.code(), -1)));
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.produced_one(first), Some((0, 0)));
    assert_eq!(cluster.produced_one(second), Some((0, 1)));
    assert_eq!(cluster.produced_one(again), Some((0, 0)));
}

#[test]
fn producer_ids_come_from_the_controllers_blocks() {
    let mut cluster = Cluster::new(&[]);
    let init = |cluster: &mut Cluster| {
        let token = cluster.token(5);
        cluster.with(A, |replicas, _| replicas.handle_init_producer_id(token));
        cluster.run();
        match cluster.answer(token) {
            Some(ResponseKind::InitProducerId(r)) => (r.error_code, r.producer_id.0, r.producer_epoch),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(init(&mut cluster), (ErrorCode::CoordinatorLoadInProgress.code(), -1, -1));
    for n in 0..1000 {
        assert_eq!(init(&mut cluster), (0, 5000 + n, 0));
    }
    assert_eq!(cluster.to_controller.len(), 0);
}

#[test]
fn a_request_may_name_a_partition_more_than_once() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1)), (P0, batch("b", 2))]);
    cluster.advance(Span::from_secs(2));
    let response = cluster.produced(token).expect("all is committed");
    let told = response.responses[0].partition_responses.iter().map(|p| (p.error_code, p.base_offset));
    assert_eq!(told.collect::<Vec<_>>(), [(0, 0), (0, 1)]);
}

#[test]
fn clients_that_are_older_than_zstd_neither_write_nor_read_it() {
    let mut cluster = Cluster::new(&[("compression.type", "zstd")]);
    let mut zstd = BatchBuilder::new(Compression::Zstd);
    zstd.push(1_000, None, Some(b"v"), &[]);
    let records = zstd.build().bytes().clone();
    let mut produce = |version, records: &Bytes| {
        let token = cluster.token(version);
        let data = PartitionProduceData::default().with_records(Some(records.clone()));
        let data = TopicProduceData::default().with_name(topic()).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(1).with_topic_data(vec![data]);
        cluster.with(A, |replicas, ctx| replicas.handle_produce(ctx, token, version, request));
        cluster.run();
        cluster.produced_one(token).unwrap()
    };
    let refused = ErrorCode::UnsupportedCompressionType.code();
    assert_eq!(produce(6, &records), (refused, -1));
    assert_eq!(produce(6, &batch("a", 1)), (0, 0));
    assert_eq!(produce(7, &records), (0, 1));
    cluster.advance(Span::from_secs(2));
    let mut fetch = |version| {
        let token = cluster.token(version);
        let named = FetchTopic::default().with_topic(topic()).with_partitions(vec![wanted(0, 0)]);
        let request = fetch_request((0, -1), 0, &[]).with_topics(vec![named]);
        cluster.with(A, |replicas, ctx| replicas.handle_fetch(ctx, token, version, request, None));
        cluster.run();
        told(&cluster.fetched(token).unwrap())
    };
    assert_eq!(fetch(9), [(0, refused, -1, vec![])]);
    assert_eq!(fetch(10), [(0, 0, 2, vec![0, 1])]);
}
