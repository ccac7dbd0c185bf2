//! What is deleted: because it was asked for, or because it is old.

use trial_node::Disk;
use trial_wire::messages::DeleteRecordsRequest;
use trial_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};

use super::*;

const ALL: i16 = -1;

impl Cluster {
    pub(super) fn delete_records(&mut self, to: NodeId, partition: i32, offset: i64) -> Token {
        let token = self.token(2);
        let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic()).with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(30_000);
        self.with(to, |replicas, ctx| replicas.handle_delete_records(ctx, token, request));
        self.run();
        token
    }

    /// Error and low watermark of the only partition in the answer.
    fn deleted(&mut self, token: Token) -> Option<(Option<ErrorCode>, i64)> {
        let ResponseKind::DeleteRecords(response) = self.answer(token)? else { panic!("of another kind") };
        let partition = &response.topics[0].partitions[0];
        Some((ErrorCode::try_from_code(partition.error_code), partition.low_watermark))
    }

    fn starts(&self) -> Vec<i64> {
        let start = |node: &TestNode| node.replicas.replica(P0).unwrap().log_start_offset.0;
        self.nodes.values().map(start).collect()
    }
}

#[test]
fn records_are_deleted_once_all_live_replicas_have_done_so() {
    let mut cluster = Cluster::new(&[]);
    for _ in 0..5 {
        cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    }
    let token = cluster.delete_records(A, 0, 7);
    assert_eq!(cluster.deleted(token), None, "the followers do not know yet");
    assert_eq!(cluster.starts(), [7, 0, 0]);
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.deleted(token), Some((None, 7)));
    assert_eq!(cluster.starts(), [7, 7, 7]);
    let token = cluster.fetch(A, fetch_request((0, -1), 0, &[wanted(0, 6)]));
    let response = cluster.fetched(token).unwrap();
    assert_eq!(told(&response), [(0, ErrorCode::OffsetOutOfRange.code(), -1, vec![])]);
    let token = cluster.delete_records(A, 0, 3);
    assert_eq!(cluster.deleted(token), Some((None, 7)), "that is gone already");
    // It stays so through a loss of power right after.
    let mut disk = cluster.kill(C);
    disk.lose_power(&mut Rng::named(1, "power"));
    cluster.metadata.brokers.get_mut(&C).unwrap().epoch = 200;
    cluster.start(C, disk);
    cluster.publish();
    assert_eq!(cluster.starts(), [7, 7, 7]);
}

#[test]
fn a_request_may_name_a_partition_more_than_once() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(1));
    let named = |offset| DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
    let named = DeleteRecordsTopic::default().with_name(topic()).with_partitions(vec![named(1), named(2)]);
    let request = DeleteRecordsRequest::default().with_topics(vec![named]).with_timeout_ms(30_000);
    let token = cluster.token(2);
    cluster.with(A, |replicas, ctx| replicas.handle_delete_records(ctx, token, request));
    cluster.run();
    cluster.advance(Span::from_secs(2));
    let Some(ResponseKind::DeleteRecords(response)) = cluster.answer(token) else { panic!("not answered") };
    let told = response.topics[0].partitions.iter().map(|p| (p.error_code, p.low_watermark));
    assert_eq!(told.collect::<Vec<_>>(), [(0, 2), (0, 2)]);
}

#[test]
fn who_is_dead_is_not_waited_for() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(1));
    cluster.cut.insert(C);
    let token = cluster.delete_records(A, 0, -1);
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.deleted(token), None);
    assert_eq!(cluster.starts(), [3, 3, 0]);
    cluster.metadata.brokers.get_mut(&C).unwrap().fenced = true;
    cluster.elect(P0, A, &[A, B]);
    cluster.publish_to(A);
    assert_eq!(cluster.deleted(token), Some((None, 3)));
    // Or it comes back too late.
    cluster.metadata.brokers.get_mut(&C).unwrap().fenced = false;
    cluster.publish_to(A);
    cluster.produce(A, 1, &[(P0, batch("b", 1))]);
    cluster.advance(Span::from_secs(1));
    let token = cluster.delete_records(A, 0, -1);
    cluster.advance(Span::from_secs(30));
    assert_eq!(cluster.deleted(token), Some((Some(ErrorCode::RequestTimedOut), 0)));
    // A leader that loses its office cannot tell.
    cluster.produce(A, 1, &[(P0, batch("c", 1))]);
    cluster.advance(Span::from_secs(1));
    let token = cluster.delete_records(A, 0, -1);
    cluster.elect(P0, B, &[A, B]);
    cluster.publish_to(A);
    assert_eq!(cluster.deleted(token), Some((Some(ErrorCode::NotLeaderOrFollower), -1)));
}

#[test]
fn what_cannot_be_deleted_is_refused() {
    let mut cluster = Cluster::new(&[]);
    cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    cluster.advance(Span::from_secs(1));
    let mut refused = |to, partition, offset| {
        let token = cluster.delete_records(to, partition, offset);
        cluster.deleted(token).unwrap().0
    };
    assert_eq!(refused(A, 0, 4), Some(ErrorCode::OffsetOutOfRange));
    assert_eq!(refused(A, 0, -2), Some(ErrorCode::OffsetOutOfRange));
    assert_eq!(refused(B, 0, 1), Some(ErrorCode::NotLeaderOrFollower));
    assert_eq!(refused(A, 7, 1), Some(ErrorCode::UnknownTopicOrPartition));
    let mut compacted = Cluster::new(&[("cleanup.policy", "compact")]);
    let token = compacted.delete_records(A, 0, 0);
    assert_eq!(compacted.deleted(token), Some((Some(ErrorCode::PolicyViolation), -1)));
}

#[test]
fn each_replica_deletes_what_is_too_much_by_itself() {
    let mut cluster = Cluster::new(&[("segment.bytes", "500"), ("retention.bytes", "1000")]);
    for _ in 0..30 {
        cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
        cluster.advance(Span::from_secs(1));
    }
    let files = |cluster: &mut Cluster, id| {
        let names = cluster.nodes.get_mut(&id).unwrap().disk.list("orders-0").unwrap();
        names.iter().filter(|name| name.ends_with(".log")).count()
    };
    assert_eq!((cluster.starts(), files(&mut cluster, A)), (vec![0, 0, 0], 6));
    cluster.advance(Span::from_secs(300));
    let starts = cluster.starts();
    assert!(starts[0] > 30 && starts.iter().all(|start| *start == starts[0]), "{starts:?}");
    for id in [A, B, C] {
        assert!((3..=4).contains(&files(&mut cluster, id)));
    }
    let token = cluster.produce(A, ALL, &[(P0, batch("b", 1))]);
    cluster.advance(Span::from_secs(1));
    assert_eq!(cluster.produced_one(token), Some((0, 90)));
}

#[test]
fn a_refused_record_is_named() {
    let mut cluster = Cluster::new(&[("cleanup.policy", "compact")]);
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 2))]);
    let response = cluster.produced(token).unwrap();
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, ErrorCode::InvalidRecord.code());
    let indexes: Vec<i32> = partition.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(indexes, [0, 1]);
    let mut cluster = Cluster::new(&[("message.timestamp.before.max.ms", "500")]);
    cluster.advance(Span::from_secs(2));
    let token = cluster.produce(A, ALL, &[(P0, batch("a", 1))]);
    assert_eq!(cluster.produced_one(token), Some((ErrorCode::InvalidTimestamp.code(), -1)));
}

/// The topic is deleted and made again under the same name, on those brokers that run.
fn make_topic_again(cluster: &mut Cluster) -> TopicIdPartition {
    let again = TopicIdPartition { topic_id: trial_wire::Uuid::from_u128(0xA6A1), ..P0 };
    let assigned = cluster.metadata.partitions[&P0].clone();
    cluster.metadata.partitions.clear();
    cluster.metadata.partitions.insert(again, assigned);
    cluster.metadata.names.clear();
    cluster.metadata.names.insert(again.topic_id, topic());
    let changes = MetadataChanges { deleted_topics: vec![TOPIC], ..MetadataChanges::default() };
    for id in [A, B, C] {
        if cluster.nodes.contains_key(&id) {
            cluster.with(id, |replicas, ctx| replicas.apply(ctx, &changes));
        }
    }
    cluster.publish();
    again
}

#[test]
fn a_topic_that_is_made_again_does_not_inherit_where_the_old_one_started() {
    let mut cluster = Cluster::new(&[("segment.bytes", "500"), ("retention.bytes", "1000")]);
    for _ in 0..30 {
        cluster.produce(A, ALL, &[(P0, batch("a", 3))]);
    }
    cluster.advance(Span::from_secs(301));
    assert!(cluster.starts().iter().all(|start| *start > 30));
    // C does not see how the topic is made again.
    let of_c = cluster.kill(C);
    let again = make_topic_again(&mut cluster);
    cluster.start(C, of_c);
    cluster.publish();
    let token = cluster.produce(A, ALL, &[(again, batch("b", 3))]);
    cluster.advance(Span::from_secs(2));
    assert_eq!(cluster.produced_one(token), Some((0, 0)));
    for id in [A, B, C] {
        let disk = cluster.kill(id);
        cluster.start(id, disk);
        cluster.publish_to(id);
        let replica = cluster.nodes[&id].replicas.replica(again).unwrap();
        let (start, end) = (replica.log_start_offset.0, replica.log_end_offset.0);
        assert_eq!((start, end), (0, 3), "{id}");
    }
}
