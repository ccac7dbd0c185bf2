//! Clients with quotas: what they are told, and when they are listened to again.

mod harness;

use harness::{Cluster, Received};
use trial_broker::BROKER_PORT;
use trial_node::Span;
use trial_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::describe_client_quotas_request::ComponentData;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{
    AlterClientQuotasRequest, CreateTopicsRequest, CreateTopicsResponse, DescribeClientQuotasRequest,
    FetchRequest, MetadataRequest, ProduceRequest,
};
use trial_wire::{BatchBuilder, Compression, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

fn text(s: &str) -> StrBytes {
    StrBytes::from(s.to_owned())
}

macro_rules! ask {
    ($cluster:expr, $kind:ident, $request:expr) => {
        match $cluster.ask(0, BROKER_PORT, $request) {
            ResponseKind::$kind(response) => response,
            other => panic!("not an answer: {other:?}"),
        }
    };
}

fn create(cluster: &mut Cluster, topic: &str, partitions: i32) -> CreateTopicsResponse {
    let topic = CreatableTopic::default()
        .with_name(TopicName(text(topic)))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let response = ask!(cluster, CreateTopics, request);
    cluster.run(Span::from_millis(500));
    response
}

/// Sets a quota of the client `test`, which the harness is; gives the error.
fn set(cluster: &mut Cluster, key: &str, value: f64) -> i16 {
    let entity =
        EntityData::default().with_entity_type(text("client-id")).with_entity_name(Some(text("test")));
    let op = OpData::default().with_key(text(key)).with_value(value);
    let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let code = ask!(cluster, AlterClientQuotas, request).entries[0].error_code;
    cluster.run(Span::from_millis(200));
    code
}

fn produce(value: usize) -> RequestKind {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1_700_000_000_000, None, Some(&vec![b'v'; value]), &[]);
    let data = PartitionProduceData::default().with_records(Some(batch.build().bytes().clone()));
    let topic =
        TopicProduceData::default().with_name(TopicName(text("orders"))).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]).into()
}

fn fetch(offset: i64) -> RequestKind {
    fetch_in((0, -1), offset)
}

/// Within a session: its id and epoch.
fn fetch_in((id, epoch): (i32, i32), offset: i64) -> RequestKind {
    let partition = FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(TopicName(text("orders"))).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_session_id(id).with_session_epoch(epoch);
    request.with_max_bytes(1 << 20).with_topics(vec![topic]).into()
}

/// The response to what is sent on a connection, which must come within a few milliseconds.
#[track_caller]
fn at_once(cluster: &mut Cluster, conn: trial_node::ConnId, body: RequestKind) -> ResponseKind {
    cluster.send(conn, 12, body);
    cluster.run(Span::from_millis(20));
    match cluster.inbox.pop() {
        Some((from, Received::Response(response))) if from == conn => *response.body,
        other => panic!("no response: {other:?}"),
    }
}

#[test]
fn who_produces_too_much_is_told_and_not_listened_to() {
    let mut cluster = Cluster::running(1, &[]);
    create(&mut cluster, "orders", 1);
    assert_eq!(set(&mut cluster, "producer_byte_rate", 1000.0), 0);
    let conn = cluster.connect(0, BROKER_PORT);
    let ResponseKind::Produce(response) = at_once(&mut cluster, conn, produce(9_000)) else { panic!() };
    assert_eq!(response.throttle_time_ms, 0);
    let ResponseKind::Produce(response) = at_once(&mut cluster, conn, produce(3_000)) else { panic!() };
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.base_offset), (0, 1), "it is written all the same");
    // 12,000 bytes of records and their surroundings, of which 10 s take 10,000.
    assert!((2_150..2_400).contains(&response.throttle_time_ms), "{}", response.throttle_time_ms);

    let metadata = || RequestKind::from(MetadataRequest::default().with_topics(Some(Vec::new())));
    cluster.send(conn, 12, metadata());
    cluster.run(Span::from_millis(u64::from(response.throttle_time_ms.unsigned_abs()) - 60));
    assert!(cluster.inbox.is_empty(), "the connection is muted");
    let other = cluster.connect(0, BROKER_PORT);
    at_once(&mut cluster, other, metadata());
    cluster.run(Span::from_millis(60));
    assert!(matches!(cluster.inbox.pop(), Some((from, Received::Response(_))) if from == conn));
}

#[test]
fn who_consumes_too_much_gets_nothing_for_a_while() {
    let mut cluster = Cluster::running(1, &[]);
    create(&mut cluster, "orders", 1);
    let conn = cluster.connect(0, BROKER_PORT);
    (0..20).for_each(|_| drop(at_once(&mut cluster, conn, produce(900))));
    assert_eq!(set(&mut cluster, "consumer_byte_rate", 500.0), 0);
    let fetched = |cluster: &mut Cluster| {
        let ResponseKind::Fetch(response) = at_once(cluster, conn, fetch(0)) else { panic!() };
        let topics = response.responses.iter();
        let bytes: usize = topics
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.records.as_ref().map_or(0, |records| records.len()))
            .sum();
        (bytes, response.error_code, response.throttle_time_ms)
    };
    // 10 s of the quota, whatever is asked for.
    let (bytes, error, throttled) = fetched(&mut cluster);
    assert!((4_000..=5_000).contains(&bytes) && (error, throttled) == (0, 0), "{bytes} {throttled}");
    let (bytes, error, throttled) = fetched(&mut cluster);
    assert!(bytes == 0 && error == 0 && throttled > 8_000, "{bytes} {throttled}");
    // What it did not get does not count: after the wait the window has room again.
    cluster.run(Span::from_millis(u64::from(throttled.unsigned_abs()) + 2_000));
    assert!(fetched(&mut cluster).0 >= 4_000);
}

#[test]
fn a_session_goes_on_as_if_what_was_withheld_had_not_been_read() {
    let mut cluster = Cluster::running(1, &[]);
    create(&mut cluster, "orders", 1);
    let conn = cluster.connect(0, BROKER_PORT);
    (0..20).for_each(|_| drop(at_once(&mut cluster, conn, produce(900))));
    assert_eq!(set(&mut cluster, "consumer_byte_rate", 500.0), 0);
    let fetched = |cluster: &mut Cluster, session, offset| {
        let ResponseKind::Fetch(response) = at_once(cluster, conn, fetch_in(session, offset)) else {
            panic!()
        };
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let told: Vec<i64> = partitions.map(|partition| partition.high_watermark).collect();
        (response.error_code, response.session_id, response.throttle_time_ms, told)
    };
    let (error, id, throttled, told) = fetched(&mut cluster, (0, 0), 0);
    assert!((error, throttled, told) == (0, 0, vec![20]) && id > 0);
    let other = cluster.connect(0, BROKER_PORT);
    at_once(&mut cluster, other, produce(900));
    let (error, same, throttled, told) = fetched(&mut cluster, (id, 1), 0);
    assert!((error, same, told) == (0, id, vec![]) && throttled > 0);
    cluster.run(Span::from_millis(u64::from(throttled.unsigned_abs()) + 2_000));
    assert_eq!(fetched(&mut cluster, (id, 2), 21), (0, id, 0, vec![21]), "that the log has grown is news");
    assert_eq!(fetched(&mut cluster, (id, 3), 21), (0, id, 0, vec![]));
}

#[test]
fn who_creates_too_many_partitions_is_refused_for_a_while() {
    let mut cluster = Cluster::running(1, &[]);
    assert_eq!(set(&mut cluster, "controller_mutation_rate", 1.0), 0);
    assert_eq!(create(&mut cluster, "a", 11).topics[0].error_code, 0);
    assert_eq!(create(&mut cluster, "b", 6).topics[0].error_code, 0);
    let refused = create(&mut cluster, "c", 1);
    assert_eq!(refused.topics[0].error_code, ErrorCode::ThrottlingQuotaExceeded.code());
    assert!((3_000..6_000).contains(&refused.throttle_time_ms), "{}", refused.throttle_time_ms);
    cluster.run(Span::from_secs(6));
    assert_eq!(create(&mut cluster, "c", 1).topics[0].error_code, 0);
}

#[test]
fn quotas_are_described_as_they_were_set() {
    let mut cluster = Cluster::running(1, &[]);
    assert_eq!(set(&mut cluster, "producer_byte_rate", 1000.0), 0);
    assert_eq!(set(&mut cluster, "consumer_byte_rate", 2000.0), 0);
    assert_eq!(set(&mut cluster, "request_percentage", 12.5), 0);
    let invalid = ErrorCode::InvalidRequest.code();
    for (key, value) in [
        ("producer_byte_rate", 0.0),
        ("producer_byte_rate", 1.5),
        ("request_percentage", 0.0),
        ("no_such_rate", 1.0),
    ] {
        assert_eq!(set(&mut cluster, key, value), invalid, "{key}");
    }
    let described = |cluster: &mut Cluster, match_type: i8, name: Option<&str>| {
        let component = ComponentData::default()
            .with_entity_type(text("client-id"))
            .with_match_type(match_type)
            .with_match(name.map(text));
        let request =
            DescribeClientQuotasRequest::default().with_components(vec![component]).with_strict(true);
        let response = ask!(cluster, DescribeClientQuotas, request);
        let entries = response.entries.unwrap_or_default();
        let values = entries.iter().flat_map(|entry| &entry.values);
        let values: Vec<_> = values.map(|value| (value.key.to_string(), value.value)).collect();
        (response.error_code, values)
    };
    let all = vec![
        ("consumer_byte_rate".to_owned(), 2000.0),
        ("producer_byte_rate".to_owned(), 1000.0),
        ("request_percentage".to_owned(), 12.5),
    ];
    assert_eq!(described(&mut cluster, 0, Some("test")), (0, all.clone()));
    assert_eq!(described(&mut cluster, 2, None), (0, all));
    assert_eq!(described(&mut cluster, 1, None), (0, Vec::new()));
    assert_eq!(described(&mut cluster, 0, None), (invalid, Vec::new()));
}
