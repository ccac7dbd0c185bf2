//! Clients that log in, and have rights or not.

mod harness;

use bytes::Bytes;
use harness::{Cluster, Received};
use trial_broker::{BROKER_PORT, CLIENT_PORT, TLS_PORT, tls_login};
use trial_node::{CloseReason, ConnId, Span};
use trial_wire::messages::create_acls_request::AclCreation;
use trial_wire::messages::create_topics_request::CreatableTopic;
use trial_wire::messages::delete_acls_request::DeleteAclsFilter;
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::metadata_request::MetadataRequestTopic;
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, CreateAclsRequest, CreateTopicsRequest,
    DeleteAclsRequest, DescribeAclsRequest, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    FetchRequest, FetchResponse, FindCoordinatorRequest, MetadataRequest, MetadataResponse, ProduceRequest,
    SaslAuthenticateRequest, SaslHandshakeRequest,
};
use trial_wire::{BatchBuilder, Compression, ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

const AUTHORIZER: (&str, &str) =
    ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer");
const TOPIC: i8 = 2;
const GROUP: i8 = 3;
const LITERAL: i8 = 3;
const READ: i8 = 3;
const WRITE: i8 = 4;
const DESCRIBE: i8 = 8;
const ALLOW: i8 = 3;
const ANY: i8 = 1;
const REFUSED: ErrorCode = ErrorCode::TopicAuthorizationFailed;

fn text(s: &str) -> StrBytes {
    StrBytes::from(s.to_owned())
}

fn name(s: &str) -> TopicName {
    TopicName(text(s))
}

/// The answer to a request on this connection.
#[track_caller]
fn answer(
    cluster: &mut Cluster,
    conn: ConnId,
    version: i16,
    request: impl Into<RequestKind>,
) -> ResponseKind {
    cluster.send(conn, version, request.into());
    match next(cluster, conn) {
        Received::Response(response) => *response.body,
        Received::Closed(reason) => panic!("the broker closed the connection: {reason:?}"),
    }
}

#[track_caller]
fn next(cluster: &mut Cluster, conn: ConnId) -> Received {
    cluster.run_until("something comes", |cluster| cluster.inbox.iter().any(|(from, _)| *from == conn));
    let at = cluster.inbox.iter().position(|(from, _)| *from == conn).expect("it has come");
    cluster.inbox.remove(at).1
}

macro_rules! answer {
    ($cluster:expr, $conn:expr, $version:expr, $kind:ident, $request:expr) => {
        match answer($cluster, $conn, $version, $request) {
            ResponseKind::$kind(response) => response,
            other => panic!("not an answer: {other:?}"),
        }
    };
}

/// One broker with an authorizer and topics `orders` and `secrets`.
fn cluster(properties: &[(&str, &str)]) -> Cluster {
    let mut all = vec![AUTHORIZER, ("offsets.topic.replication.factor", "1")];
    all.extend(properties);
    let mut cluster = Cluster::running(1, &all);
    let topics = ["orders", "secrets"].map(|topic| {
        CreatableTopic::default().with_name(name(topic)).with_num_partitions(1).with_replication_factor(1)
    });
    let request = CreateTopicsRequest::default().with_topics(topics.to_vec()).with_timeout_ms(10_000);
    let ResponseKind::CreateTopics(created) = cluster.ask(0, BROKER_PORT, request) else {
        panic!("it is what was asked")
    };
    assert!(created.topics.iter().all(|topic| topic.error_code == 0));
    cluster.run(Span::from_millis(500));
    cluster
}

fn allow(cluster: &mut Cluster, operation: i8, topic: &str) {
    allow_on(cluster, operation, TOPIC, topic);
}

fn allow_on(cluster: &mut Cluster, operation: i8, resource_type: i8, name: &str) {
    let creation = AclCreation::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_resource_pattern_type(LITERAL)
        .with_principal(text("User:ANONYMOUS"))
        .with_host(text("*"))
        .with_operation(operation)
        .with_permission_type(ALLOW);
    let request = CreateAclsRequest::default().with_creations(vec![creation]);
    let ResponseKind::CreateAcls(created) = cluster.ask(0, BROKER_PORT, request) else {
        panic!("it is what was asked")
    };
    assert_eq!(created.results[0].error_code, 0);
    cluster.run(Span::from_millis(100));
}

fn metadata(cluster: &mut Cluster, topics: Option<&[&str]>) -> MetadataResponse {
    let topics = topics.map(|topics| {
        topics.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic)))).collect()
    });
    match cluster.ask(0, CLIENT_PORT, MetadataRequest::default().with_topics(topics)) {
        ResponseKind::Metadata(metadata) => metadata,
        other => panic!("not an answer: {other:?}"),
    }
}

fn shown(metadata: &MetadataResponse) -> Vec<(String, i16)> {
    let topics = metadata.topics.iter();
    topics.map(|topic| (topic.name.as_ref().unwrap().to_string(), topic.error_code)).collect()
}

#[test]
fn metadata_hides_what_a_client_may_not_see() {
    let mut cluster = cluster(&[]);
    allow(&mut cluster, READ, "orders");
    let all = metadata(&mut cluster, None);
    assert_eq!(shown(&all), [("orders".to_owned(), 0)]);
    assert_eq!(all.brokers[0].port, i32::from(CLIENT_PORT), "clients come back to their own listener");
    let some = metadata(&mut cluster, Some(&["orders", "secrets", "nosuch"]));
    let refused = |topic: &str| (topic.to_owned(), REFUSED.code());
    assert_eq!(shown(&some), [("orders".to_owned(), 0), refused("secrets"), refused("nosuch")]);
    assert!(some.topics[1].topic_id.is_nil() && some.topics[1].partitions.is_empty());
}

#[test]
fn a_page_of_topics_does_not_tell_of_what_a_client_may_not_see() {
    let mut cluster = cluster(&[]);
    allow(&mut cluster, READ, "orders");
    let request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(1);
    let ResponseKind::DescribeTopicPartitions(page) = cluster.ask(0, CLIENT_PORT, request.clone()) else {
        panic!("it is what was asked")
    };
    let names = |page: &DescribeTopicPartitionsResponse| -> Vec<String> {
        page.topics.iter().map(|topic| topic.name.as_ref().unwrap().to_string()).collect()
    };
    assert_eq!((names(&page), &page.next_cursor), (vec!["orders".to_owned()], &None));
    let ResponseKind::DescribeTopicPartitions(page) = cluster.ask(0, BROKER_PORT, request) else {
        panic!("it is what was asked")
    };
    let next = page.next_cursor.as_ref().map(|next| next.topic_name.to_string());
    assert_eq!((names(&page), next), (vec!["orders".to_owned()], Some("secrets".to_owned())));
}

#[test]
fn a_request_is_served_as_far_as_its_client_has_rights() {
    let mut cluster = cluster(&[]);
    allow(&mut cluster, WRITE, "orders");
    let topics = ["orders", "secrets"].map(|topic| {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(1_700_000_000_000, None, Some(b"x"), &[]);
        let data = PartitionProduceData::default().with_records(Some(batch.build().bytes().clone()));
        TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data])
    });
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(topics.to_vec());
    let conn = cluster.connect(0, CLIENT_PORT);
    let response = answer!(&mut cluster, conn, 12, Produce, request.clone());
    let told: Vec<_> = response
        .responses
        .iter()
        .map(|topic| (topic.name.as_str(), topic.partition_responses[0].error_code))
        .collect();
    assert_eq!(told, [("orders", 0), ("secrets", REFUSED.code())]);
    // Without an answer, the end of the connection has to do.
    cluster.send(conn, 12, request.with_acks(0).into());
    assert_eq!(next(&mut cluster, conn), Received::Closed(CloseReason::PeerClosed));
}

#[test]
fn a_regular_expression_stands_for_what_its_member_may_describe() {
    let mut cluster = cluster(&[]);
    allow(&mut cluster, DESCRIBE, "orders");
    allow_on(&mut cluster, READ, GROUP, "billing");
    let find = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("billing")]);
    cluster.ask(0, BROKER_PORT, find);
    cluster.run(Span::from_secs(2));
    let join = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text("billing").into())
        .with_member_id(text("a"))
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(None)
        .with_subscribed_topic_regex(Some(text(".*")))
        .with_topic_partitions(Some(Vec::new()));
    let conn = cluster.connect(0, CLIENT_PORT);
    let topics = |response: &ConsumerGroupHeartbeatResponse| {
        assert_eq!(response.error_code, 0, "{:?}", response.error_message);
        response.assignment.as_ref().map_or(0, |assignment| assignment.topic_partitions.len())
    };
    let joined = answer!(&mut cluster, conn, 1, ConsumerGroupHeartbeat, join.clone());
    assert_eq!(topics(&joined), 1);
    allow(&mut cluster, DESCRIBE, "secrets");
    let alive = join.with_member_epoch(joined.member_epoch);
    let alive =
        alive.with_rebalance_timeout_ms(-1).with_subscribed_topic_regex(None).with_topic_partitions(None);
    assert_eq!(topics(&answer!(&mut cluster, conn, 1, ConsumerGroupHeartbeat, alive)), 2);
}

#[test]
fn a_fetch_session_loses_what_its_client_may_not_read_any_more() {
    let mut cluster = cluster(&[]);
    allow(&mut cluster, READ, "orders");
    let conn = cluster.connect(0, CLIENT_PORT);
    let fetch = |session_id, session_epoch, topics: &[&str]| {
        let topics = topics.iter().map(|topic| {
            let partition = FetchPartition::default().with_partition_max_bytes(1000);
            FetchTopic::default().with_topic(name(topic)).with_partitions(vec![partition])
        });
        FetchRequest::default()
            .with_min_bytes(1)
            .with_max_bytes(1000)
            .with_session_id(session_id)
            .with_session_epoch(session_epoch)
            .with_topics(topics.collect())
    };
    let told = |response: &FetchResponse| -> Vec<(String, i16)> {
        let topics = response.responses.iter();
        topics.map(|topic| (topic.topic.to_string(), topic.partitions[0].error_code)).collect()
    };
    let first = answer!(&mut cluster, conn, 12, Fetch, fetch(0, 0, &["orders", "secrets"]));
    let refused = |topic: &str| (topic.to_owned(), REFUSED.code());
    let mut seen = told(&first);
    seen.sort();
    assert_eq!(seen, [("orders".to_owned(), 0), refused("secrets")]);
    let filter = DeleteAclsFilter::default()
        .with_resource_type_filter(ANY)
        .with_resource_name_filter(None)
        .with_pattern_type_filter(ANY)
        .with_principal_filter(None)
        .with_host_filter(None)
        .with_operation(ANY)
        .with_permission_type(ANY);
    cluster.ask(0, BROKER_PORT, DeleteAclsRequest::default().with_filters(vec![filter]));
    cluster.run(Span::from_millis(100));
    for epoch in 1..3 {
        let next = answer!(&mut cluster, conn, 12, Fetch, fetch(first.session_id, epoch, &[]));
        let mut seen = told(&next);
        seen.sort();
        assert_eq!(seen, [refused("orders"), refused("secrets")], "every fetch tells, not the first only");
    }
    allow(&mut cluster, READ, "orders");
    let next = answer!(&mut cluster, conn, 12, Fetch, fetch(first.session_id, 3, &[]));
    let mut seen = told(&next);
    seen.sort();
    assert_eq!(seen, [("orders".to_owned(), 0), refused("secrets")]);
}

#[test]
fn only_who_may_alter_the_cluster_changes_acls() {
    let mut cluster = cluster(&[("super.users", "User:CN=root;User:admin")]);
    allow(&mut cluster, READ, "orders");
    let describe = || {
        DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY)
    };
    let conn = cluster.connect(0, CLIENT_PORT);
    let refused = answer!(&mut cluster, conn, 3, DescribeAcls, describe());
    assert_eq!(refused.error_code, ErrorCode::ClusterAuthorizationFailed.code());
    let creations = vec![AclCreation::default(); 2];
    let request = CreateAclsRequest::default().with_creations(creations);
    let refused = answer!(&mut cluster, conn, 3, CreateAcls, request);
    let errors: Vec<i16> = refused.results.iter().map(|result| result.error_code).collect();
    assert_eq!(errors, [ErrorCode::ClusterAuthorizationFailed.code(); 2]);

    // Who comes through TLS is who its certificate says.
    let conn = cluster.connect(0, TLS_PORT);
    for request in tls_login("CN=root") {
        cluster.send(conn, request.api_version, *request.body);
        assert!(matches!(next(&mut cluster, conn), Received::Response(_)));
    }
    let acls = answer!(&mut cluster, conn, 3, DescribeAcls, describe());
    assert_eq!((acls.error_code, acls.resources.len()), (0, 1));
    assert_eq!(acls.resources[0].acls[0].principal.as_str(), "User:ANONYMOUS");
}

#[test]
fn what_does_not_fit_a_batch_is_refused_as_a_whole() {
    let mut cluster = cluster(&[]);
    let creation = |i: i32| {
        AclCreation::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(&format!("many-{i}")))
            .with_resource_pattern_type(LITERAL)
            .with_principal(text("User:alice"))
            .with_host(text("*"))
            .with_operation(READ)
            .with_permission_type(ALLOW)
    };
    let create = |cluster: &mut Cluster, range: std::ops::Range<i32>| {
        let request = CreateAclsRequest::default().with_creations(range.map(creation).collect());
        let ResponseKind::CreateAcls(created) = cluster.ask(0, BROKER_PORT, request) else {
            panic!("it is what was asked")
        };
        created.results.iter().map(|result| result.error_code).collect::<Vec<_>>()
    };
    let too_many = ErrorCode::PolicyViolation.code();
    assert_eq!(create(&mut cluster, 0..10_001), vec![too_many; 10_001]);
    assert_eq!(create(&mut cluster, 0..10_000), vec![0; 10_000], "none of them was there");
    assert_eq!(create(&mut cluster, 0..10_001), vec![0; 10_001], "only one is new");

    let delete = |cluster: &mut Cluster, name: Option<&str>| {
        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(TOPIC)
            .with_resource_name_filter(name.map(text))
            .with_pattern_type_filter(LITERAL)
            .with_principal_filter(Some(text("User:alice")))
            .with_host_filter(None)
            .with_operation(READ)
            .with_permission_type(ALLOW);
        let request = DeleteAclsRequest::default().with_filters(vec![filter]);
        let ResponseKind::DeleteAcls(deleted) = cluster.ask(0, BROKER_PORT, request) else {
            panic!("it is what was asked")
        };
        (deleted.filter_results[0].error_code, deleted.filter_results[0].matching_acls.len())
    };
    assert_eq!(delete(&mut cluster, None), (too_many, 0));
    assert_eq!(delete(&mut cluster, Some("many-0")), (0, 1));
    assert_eq!(delete(&mut cluster, None), (0, 10_000));
}

#[test]
fn without_an_authorizer_there_are_no_acls() {
    let mut cluster = Cluster::running(1, &[]);
    let ResponseKind::DescribeAcls(response) = cluster.ask(0, BROKER_PORT, DescribeAclsRequest::default())
    else {
        panic!("it is what was asked")
    };
    assert_eq!(response.error_code, ErrorCode::SecurityDisabled.code());
}

#[test]
fn who_cannot_log_in_is_told_so_after_a_while_and_disconnected() {
    let properties = [("sasl.enabled.mechanisms", "PLAIN"), ("offsets.topic.replication.factor", "1")];
    let mut cluster = Cluster::running(1, &properties);
    let conn = cluster.connect(0, CLIENT_PORT);
    let plain = SaslHandshakeRequest::default().with_mechanism(text("PLAIN"));
    assert_eq!(answer!(&mut cluster, conn, 1, SaslHandshake, plain).error_code, 0);
    let asked = cluster.now;
    let token = Bytes::from_static(b"\0mallory\0guess");
    let refused = SaslAuthenticateRequest::default().with_auth_bytes(token);
    let refused = answer!(&mut cluster, conn, 2, SaslAuthenticate, refused);
    assert_eq!(refused.error_code, ErrorCode::SaslAuthenticationFailed.code());
    assert!(cluster.now >= asked + Span::from_millis(100), "connection.failed.authentication.delay.ms");
    assert_eq!(next(&mut cluster, conn), Received::Closed(CloseReason::PeerClosed));
    // Who does not even try gets no answer.
    let conn = cluster.connect(0, CLIENT_PORT);
    cluster.send(conn, 12, MetadataRequest::default().into());
    assert_eq!(next(&mut cluster, conn), Received::Closed(CloseReason::PeerClosed));
}
