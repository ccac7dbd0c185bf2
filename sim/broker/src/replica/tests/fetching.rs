//! Fetch requests of consumers: what they get, when, and how sessions go on; ListOffsets and OffsetForLeaderEpoch.

use super::*;

const ALL: i16 = -1;

#[test]
fn a_consumer_reads_to_the_high_watermark_and_no_further() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    cluster.cut.extend([B, C]);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("b", 2))]);
    let token = cluster.fetch(A, fetch_request((0, -1), 0, &[wanted(0, 0)]));
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, 0, 2, vec![0])]);
    let token = cluster.fetch(A, fetch_request((0, -1), 0, &[wanted(0, 2)]));
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, 0, 2, vec![])]);
    let token = cluster.fetch(A, fetch_request((0, -1), 500, &[wanted(0, 9)]));
    let code = ErrorCode::OffsetOutOfRange.code();
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, code, -1, vec![])]);
}

#[test]
fn a_long_poll_ends_when_something_is_committed_or_its_time_is_up() {
    let mut cluster = Cluster::new(&[]);
    let waiting = cluster.fetch(A, fetch_request((0, -1), 700, &[wanted(0, 0), wanted(1, 0)]));
    cluster.advance(Span::from_millis(100));
    assert_eq!(cluster.fetched(waiting), None);
    cluster.produce(A, ALL, &[(P1, batch("a", 1))]);
    let response = cluster.fetched(waiting).unwrap();
    assert_eq!(told(&response), [(0, 0, 0, vec![]), (1, 0, 1, vec![0])]);
    assert_eq!(response.session_id, 0);
    let waiting = cluster.fetch(A, fetch_request((0, -1), 700, &[wanted(0, 0)]));
    cluster.advance(Span::from_millis(699));
    assert_eq!(cluster.fetched(waiting), None);
    cluster.advance(Span::from_millis(1));
    assert_eq!(told(&cluster.fetched(waiting).unwrap()), [(0, 0, 0, vec![])]);
}

#[test]
fn a_long_poll_waits_for_min_bytes() {
    let mut cluster = Cluster::new(&[]);
    let one = batch("a", 1);
    let request = fetch_request((0, -1), 60_000, &[wanted(0, 0), wanted(1, 0)]);
    let request = request.with_min_bytes(i32::try_from(one.len()).unwrap() * 2);
    let waiting = cluster.fetch(A, request);
    cluster.produce(A, ALL, &[(P0, one.clone())]);
    assert_eq!(cluster.fetched(waiting), None);
    cluster.produce(A, ALL, &[(P1, one)]);
    assert_eq!(told(&cluster.fetched(waiting).unwrap()), [(0, 0, 1, vec![0]), (1, 0, 1, vec![0])]);
}

#[test]
fn a_leader_change_ends_a_long_poll_with_the_new_epoch() {
    let mut cluster = Cluster::new(&[]);
    let request = fetch_request((0, -1), 60_000, &[wanted(0, 0).with_current_leader_epoch(0)]);
    let waiting = cluster.fetch(A, request);
    cluster.elect(P0, B, &[A, B, C]);
    cluster.publish();
    let response = cluster.fetched(waiting).unwrap();
    let code = ErrorCode::FencedLeaderEpoch.code();
    assert_eq!(told(&response), [(0, code, -1, vec![])]);
    let leader = &response.responses[0].partitions[0].current_leader;
    assert_eq!((leader.leader_id.0, leader.leader_epoch), (1, 1));
    let ahead = fetch_request((0, -1), 60_000, &[wanted(0, 0).with_current_leader_epoch(9)]);
    let token = cluster.fetch(B, ahead);
    let code = ErrorCode::UnknownLeaderEpoch.code();
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, code, -1, vec![])]);
}

#[test]
fn a_consumer_whose_log_diverged_is_told_where() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    cluster.elect(P0, B, &[A, B, C]);
    cluster.publish();
    cluster.produce(B, ALL, &[(P0, batch("b", 2))]);
    let at = wanted(0, 3).with_last_fetched_epoch(0);
    let token = cluster.fetch(B, fetch_request((0, -1), 60_000, &[at]));
    let response = cluster.fetched(token).unwrap();
    let diverging = &response.responses[0].partitions[0].diverging_epoch;
    assert_eq!((diverging.epoch, diverging.end_offset), (0, 2));
}

#[test]
fn max_bytes_lets_the_first_batch_through_and_turns_to_the_others_next() {
    let mut cluster = Cluster::new(&[]);
    for tp in [P0, P1] {
        cluster.produce(A, ALL, &[(tp, batch("a", 1))]);
        cluster.produce(A, ALL, &[(tp, batch("b", 1))]);
    }
    let full = fetch_request((0, 0), 0, &[wanted(0, 0), wanted(1, 0)]).with_max_bytes(1);
    let token = cluster.fetch(A, full);
    let response = cluster.fetched(token).unwrap();
    assert_eq!(told(&response), [(0, 0, 2, vec![0]), (1, 0, 2, vec![])]);
    let session = response.session_id;
    let next = fetch_request((session, 1), 0, &[wanted(0, 1)]).with_max_bytes(1);
    let token = cluster.fetch(A, next);
    let answers = told(&cluster.fetched(token).unwrap());
    assert_eq!(answers.iter().map(|a| &a.3).filter(|offsets| !offsets.is_empty()).count(), 1);
    let next = fetch_request((session, 2), 0, &[]).with_max_bytes(1);
    let token = cluster.fetch(A, next);
    let second = told(&cluster.fetched(token).unwrap());
    let served: BTreeSet<i32> =
        answers.iter().chain(&second).filter(|a| !a.3.is_empty()).map(|a| a.0).collect();
    assert_eq!(served, BTreeSet::from([0, 1]), "nobody starves");
}

#[test]
fn a_session_tells_only_what_changed() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    let token = cluster.fetch(A, fetch_request((0, 0), 500, &[wanted(0, 0), wanted(1, 0)]));
    let response = cluster.fetched(token).unwrap();
    assert_eq!(told(&response), [(0, 0, 1, vec![0]), (1, 0, 0, vec![])]);
    let id = response.session_id;
    assert!(id > 0);
    // Nothing new: the poll waits, and its answer is empty.
    let token = cluster.fetch(A, fetch_request((id, 1), 500, &[wanted(0, 1)]));
    assert_eq!(cluster.fetched(token), None);
    cluster.advance(Span::from_millis(500));
    let response = cluster.fetched(token).unwrap();
    assert_eq!((response.session_id, told(&response)), (id, vec![]));
    // Without being named again, both partitions are still wanted.
    let token = cluster.fetch(A, fetch_request((id, 2), 500, &[]));
    cluster.produce(A, ALL, &[(P1, batch("b", 1))]);
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(1, 0, 1, vec![0])]);
    // What was sent and not asked past is sent again; what is forgotten is not.
    let token = cluster.fetch(A, fetch_request((id, 3), 0, &[]));
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(1, 0, 1, vec![0])]);
    let forget = trial_wire::messages::fetch_request::ForgottenTopic::default()
        .with_topic_id(TOPIC)
        .with_partitions(vec![1]);
    let request = fetch_request((id, 4), 0, &[]).with_forgotten_topics_data(vec![forget]);
    let token = cluster.fetch(A, request);
    assert_eq!(told(&cluster.fetched(token).unwrap()), []);
}

#[test]
fn a_high_watermark_that_moved_is_told_even_without_records() {
    let mut cluster = Cluster::new(&[]);
    cluster.cut.extend([B, C]);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("a", 2))]);
    let token = cluster.fetch(A, fetch_request((0, 0), 0, &[wanted(0, 2)]));
    let response = cluster.fetched(token).unwrap();
    assert_eq!(told(&response), [(0, 0, 0, vec![])]);
    cluster.cut.clear();
    cluster.advance(Span::from_secs(2));
    let token = cluster.fetch(A, fetch_request((response.session_id, 1), 500, &[]));
    assert_eq!(cluster.fetched(token), None, "it is no reason to answer at once");
    cluster.advance(Span::from_millis(500));
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, 0, 2, vec![])]);
}

#[test]
fn what_was_withheld_is_told_later_and_a_session_that_was_withheld_is_none() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.fetch(A, fetch_request((0, 0), 0, &[wanted(0, 0)]));
    let id = cluster.fetched(token).unwrap().session_id;
    cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    let token = cluster.fetch(A, fetch_request((id, 1), 0, &[]));
    let withheld = cluster.fetched(token).unwrap();
    assert_eq!(told(&withheld), [(0, 0, 2, vec![0])]);
    cluster.with(A, |replicas, ctx| replicas.withhold_fetch(ctx, &withheld, false));
    let token = cluster.fetch(A, fetch_request((id, 2), 0, &[wanted(0, 2)]));
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, 0, 2, vec![])], "it has not heard of this yet");
    let token = cluster.fetch(A, fetch_request((id, 3), 0, &[]));
    assert_eq!(told(&cluster.fetched(token).unwrap()), []);

    let token = cluster.fetch(A, fetch_request((0, 0), 0, &[wanted(0, 0)]));
    let withheld = cluster.fetched(token).unwrap();
    let watchers = |cluster: &Cluster| cluster.nodes[&A].replicas.partitions[&P0].watchers.len();
    assert_eq!(watchers(&cluster), 4, "B, C and both sessions");
    cluster.with(A, |replicas, ctx| replicas.withhold_fetch(ctx, &withheld, true));
    assert_eq!(watchers(&cluster), 3);
    let token = cluster.fetch(A, fetch_request((withheld.session_id, 1), 0, &[]));
    let error = cluster.fetched(token).unwrap().error_code;
    assert_eq!(error, ErrorCode::FetchSessionIdNotFound.code());
}

#[test]
fn a_session_must_be_known_and_in_step() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.fetch(A, fetch_request((0, 0), 0, &[wanted(0, 0)]));
    let id = cluster.fetched(token).unwrap().session_id;
    let error = |cluster: &mut Cluster, session| {
        let token = cluster.fetch(A, fetch_request(session, 0, &[]));
        cluster.fetched(token).unwrap().error_code
    };
    assert_eq!(error(&mut cluster, (id ^ 1, 1)), ErrorCode::FetchSessionIdNotFound.code());
    assert_eq!(error(&mut cluster, (id, 2)), ErrorCode::InvalidFetchSessionEpoch.code());
    assert_eq!(error(&mut cluster, (id, 1)), 0);
    // Epoch −1 ends it.
    let token = cluster.fetch(A, fetch_request((id, -1), 0, &[wanted(0, 0)]));
    assert_eq!(cluster.fetched(token).unwrap().session_id, 0);
    assert_eq!(error(&mut cluster, (id, 2)), ErrorCode::FetchSessionIdNotFound.code());
}

#[test]
fn a_new_session_in_the_place_of_an_old_one_ends_its_poll() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.fetch(A, fetch_request((0, 0), 0, &[wanted(0, 0)]));
    let id = cluster.fetched(token).unwrap().session_id;
    let waiting = cluster.fetch(A, fetch_request((id, 1), 60_000, &[]));
    let token = cluster.fetch(A, fetch_request((id, 0), 0, &[wanted(0, 0)]));
    let response = cluster.fetched(waiting).unwrap();
    assert_eq!(response.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    let new = cluster.fetched(token).unwrap();
    assert_ne!(new.session_id, id);
    // The old one's watch is gone with it.
    let watchers = cluster.nodes[&A].replicas.partitions[&P0].watchers.len();
    assert_eq!(watchers, 3, "B, C and the new session");
}

#[test]
fn a_follower_serves_consumers_what_it_knows_to_be_committed() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    let waiting = cluster.fetch(B, fetch_request((0, -1), 60_000, &[wanted(0, 0)]));
    cluster.advance(Span::from_millis(500));
    assert_eq!(told(&cluster.fetched(waiting).unwrap()), [(0, 0, 1, vec![0])]);
}

#[test]
fn unknown_partitions_are_told_apart() {
    let mut cluster = Cluster::new(&[]);
    let token = cluster.fetch(A, fetch_request((0, -1), 60_000, &[wanted(5, 0)]));
    let code = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(5, code, -1, vec![])]);
    let mut request = fetch_request((0, 0), 60_000, &[wanted(0, 0)]);
    request.topics[0].topic_id = Uuid::from_u128(99);
    let token = cluster.fetch(A, request);
    let code = ErrorCode::UnknownTopicId.code();
    assert_eq!(told(&cluster.fetched(token).unwrap()), [(0, code, -1, vec![])]);
}

#[test]
fn offsets_are_found_by_time_and_by_epoch() {
    use trial_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
    use trial_wire::messages::offset_for_leader_epoch_request::{
        OffsetForLeaderPartition, OffsetForLeaderTopic,
    };
    use trial_wire::messages::{ListOffsetsRequest, OffsetForLeaderEpochRequest};
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    cluster.cut.extend([B, C]);
    cluster.advance(Span::from_secs(1));
    cluster.produce(A, 1, &[(P0, batch("b", 1))]);
    let list = |cluster: &mut Cluster, to, timestamp, replica: i32, epoch| {
        let partition =
            ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(epoch);
        let topic = ListOffsetsTopic::default().with_name(topic()).with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id(BrokerId(replica)).with_topics(vec![topic]);
        let token = cluster.token(9);
        cluster.with(to, |replicas, ctx| replicas.handle_list_offsets(ctx, token, 9, request));
        cluster.run();
        match cluster.answer(token) {
            Some(ResponseKind::ListOffsets(r)) => {
                let p = &r.topics[0].partitions[0];
                (p.error_code, p.offset, p.timestamp, p.leader_epoch)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(&mut cluster, A, -1, -1, -1), (0, 2, -1, 0), "consumers: the high watermark");
    assert_eq!(list(&mut cluster, A, -1, 1, 0), (0, 3, -1, 0), "replicas: the log's end");
    assert_eq!(list(&mut cluster, A, -2, -1, -1), (0, 0, -1, 0));
    assert_eq!(list(&mut cluster, A, 1_000, -1, -1), (0, 0, 1_000, 0));
    assert_eq!(list(&mut cluster, A, 1_001, -1, -1), (0, -1, -1, -1), "none so late");
    assert_eq!(list(&mut cluster, A, -3, -1, -1), (0, 0, 1_000, 0));
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    assert_eq!(list(&mut cluster, B, -1, -1, -1).0, not_leader);
    assert_eq!(list(&mut cluster, A, -1, -1, 7).0, ErrorCode::UnknownLeaderEpoch.code());
    // A new leader whose high watermark is behind its epoch's start does not tell the end yet.
    cluster.elect(P0, B, &[A, B, C]);
    cluster.publish_to(B);
    let unavailable = ErrorCode::OffsetNotAvailable.code();
    let behind = cluster.high_watermark(B, P0) < cluster.log_end_offset(B, P0);
    assert!(behind, "B never heard of the high watermark");
    assert_eq!(list(&mut cluster, B, -1, -1, -1).0, unavailable);

    let mut end = |epoch, current| {
        let partition =
            OffsetForLeaderPartition::default().with_leader_epoch(epoch).with_current_leader_epoch(current);
        let topic = OffsetForLeaderTopic::default().with_topic(topic()).with_partitions(vec![partition]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        let token = cluster.token(4);
        cluster.with(B, |replicas, ctx| replicas.handle_offset_for_leader_epoch(ctx, token, request));
        cluster.run();
        match cluster.answer(token) {
            Some(ResponseKind::OffsetForLeaderEpoch(r)) => {
                let p = &r.topics[0].partitions[0];
                (p.error_code, p.leader_epoch, p.end_offset)
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(end(0, 1), (0, 0, 2));
    assert_eq!(end(1, -1), (0, 1, 2));
    assert_eq!(end(2, -1), (0, -1, -1));
    assert_eq!(end(0, 0).0, ErrorCode::FencedLeaderEpoch.code());
}
