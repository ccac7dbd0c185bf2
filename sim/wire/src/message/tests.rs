use kafka_protocol::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState};
use kafka_protocol::messages::fetch_response::{
    EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData as FetchedPartition,
};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{StrBytes, VersionRange};
use uuid::Uuid;

use super::*;
use crate::api::{APIS, latest};
use crate::batch::BatchBuilder;
use crate::codec::Compression;
use crate::frame;

const TOPIC: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

/// Gives a macro every API of the table, each with its two messages.
macro_rules! each_api {
    ($then:ident) => {
        $then! {
            Produce: ProduceRequest, ProduceResponse;
            Fetch: FetchRequest, FetchResponse;
            ListOffsets: ListOffsetsRequest, ListOffsetsResponse;
            Metadata: MetadataRequest, MetadataResponse;
            OffsetCommit: OffsetCommitRequest, OffsetCommitResponse;
            OffsetFetch: OffsetFetchRequest, OffsetFetchResponse;
            FindCoordinator: FindCoordinatorRequest, FindCoordinatorResponse;
            JoinGroup: JoinGroupRequest, JoinGroupResponse;
            Heartbeat: HeartbeatRequest, HeartbeatResponse;
            LeaveGroup: LeaveGroupRequest, LeaveGroupResponse;
            SyncGroup: SyncGroupRequest, SyncGroupResponse;
            DescribeGroups: DescribeGroupsRequest, DescribeGroupsResponse;
            ListGroups: ListGroupsRequest, ListGroupsResponse;
            SaslHandshake: SaslHandshakeRequest, SaslHandshakeResponse;
            ApiVersions: ApiVersionsRequest, ApiVersionsResponse;
            CreateTopics: CreateTopicsRequest, CreateTopicsResponse;
            DeleteTopics: DeleteTopicsRequest, DeleteTopicsResponse;
            DeleteRecords: DeleteRecordsRequest, DeleteRecordsResponse;
            InitProducerId: InitProducerIdRequest, InitProducerIdResponse;
            OffsetForLeaderEpoch: OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
            AddPartitionsToTxn: AddPartitionsToTxnRequest, AddPartitionsToTxnResponse;
            AddOffsetsToTxn: AddOffsetsToTxnRequest, AddOffsetsToTxnResponse;
            EndTxn: EndTxnRequest, EndTxnResponse;
            WriteTxnMarkers: WriteTxnMarkersRequest, WriteTxnMarkersResponse;
            TxnOffsetCommit: TxnOffsetCommitRequest, TxnOffsetCommitResponse;
            DescribeAcls: DescribeAclsRequest, DescribeAclsResponse;
            CreateAcls: CreateAclsRequest, CreateAclsResponse;
            DeleteAcls: DeleteAclsRequest, DeleteAclsResponse;
            DescribeConfigs: DescribeConfigsRequest, DescribeConfigsResponse;
            AlterConfigs: AlterConfigsRequest, AlterConfigsResponse;
            DescribeLogDirs: DescribeLogDirsRequest, DescribeLogDirsResponse;
            SaslAuthenticate: SaslAuthenticateRequest, SaslAuthenticateResponse;
            CreatePartitions: CreatePartitionsRequest, CreatePartitionsResponse;
            DeleteGroups: DeleteGroupsRequest, DeleteGroupsResponse;
            ElectLeaders: ElectLeadersRequest, ElectLeadersResponse;
            IncrementalAlterConfigs: IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
            AlterPartitionReassignments: AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse;
            ListPartitionReassignments: ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse;
            OffsetDelete: OffsetDeleteRequest, OffsetDeleteResponse;
            DescribeClientQuotas: DescribeClientQuotasRequest, DescribeClientQuotasResponse;
            AlterClientQuotas: AlterClientQuotasRequest, AlterClientQuotasResponse;
            DescribeUserScramCredentials: DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse;
            AlterUserScramCredentials: AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse;
            Vote: VoteRequest, VoteResponse;
            BeginQuorumEpoch: BeginQuorumEpochRequest, BeginQuorumEpochResponse;
            EndQuorumEpoch: EndQuorumEpochRequest, EndQuorumEpochResponse;
            DescribeQuorum: DescribeQuorumRequest, DescribeQuorumResponse;
            AlterPartition: AlterPartitionRequest, AlterPartitionResponse;
            UpdateFeatures: UpdateFeaturesRequest, UpdateFeaturesResponse;
            FetchSnapshot: FetchSnapshotRequest, FetchSnapshotResponse;
            DescribeCluster: DescribeClusterRequest, DescribeClusterResponse;
            DescribeProducers: DescribeProducersRequest, DescribeProducersResponse;
            BrokerRegistration: BrokerRegistrationRequest, BrokerRegistrationResponse;
            BrokerHeartbeat: BrokerHeartbeatRequest, BrokerHeartbeatResponse;
            UnregisterBroker: UnregisterBrokerRequest, UnregisterBrokerResponse;
            DescribeTransactions: DescribeTransactionsRequest, DescribeTransactionsResponse;
            ListTransactions: ListTransactionsRequest, ListTransactionsResponse;
            AllocateProducerIds: AllocateProducerIdsRequest, AllocateProducerIdsResponse;
            ConsumerGroupHeartbeat: ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse;
            ConsumerGroupDescribe: ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse;
            AssignReplicasToDirs: AssignReplicasToDirsRequest, AssignReplicasToDirsResponse;
            ListConfigResources: ListConfigResourcesRequest, ListConfigResourcesResponse;
            DescribeTopicPartitions: DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
        }
    };
}
pub(super) use each_api;

macro_rules! defaults {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        fn defaults() -> Vec<(RequestKind, ResponseKind)> {
            vec![$((RequestKind::$api($request::default()), ResponseKind::$api($response::default())),)*]
        }
    };
}

each_api!(defaults);

fn records() -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1_700_000_000_000, Some(b"key"), Some(&[b'v'; 100]), &[(b"trial-id", &[1; 16])]);
    batch.build().bytes().clone()
}

fn produce_request(version: i16) -> RequestKind {
    let topic = TopicProduceData::default().with_partition_data(vec![
        PartitionProduceData::default().with_index(3).with_records(Some(records())),
    ]);
    let topic = if version >= 13 { topic.with_topic_id(TOPIC) } else { topic.with_name(name("orders")) };
    let request =
        ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    RequestKind::Produce(request)
}

fn produce_response(version: i16) -> ResponseKind {
    let topic = TopicProduceResponse::default().with_partition_responses(vec![
        PartitionProduceResponse::default()
            .with_index(3)
            .with_base_offset(1 << 33)
            .with_log_append_time_ms(-1),
    ]);
    let topic = if version >= 13 { topic.with_topic_id(TOPIC) } else { topic.with_name(name("orders")) };
    ResponseKind::Produce(ProduceResponse::default().with_responses(vec![topic]))
}

fn fetch_request(version: i16) -> RequestKind {
    let mut partition = FetchPartition::default()
        .with_partition(3)
        .with_fetch_offset(1 << 33)
        .with_partition_max_bytes(1 << 20);
    if version >= 12 {
        partition = partition.with_current_leader_epoch(4).with_last_fetched_epoch(4);
    }
    if version >= 18 {
        partition = partition.with_high_watermark(17);
    }
    let topic = FetchTopic::default().with_partitions(vec![partition]);
    let topic = if version >= 13 { topic.with_topic_id(TOPIC) } else { topic.with_topic(name("orders")) };
    let request = FetchRequest::default().with_max_wait_ms(500).with_min_bytes(1).with_topics(vec![topic]);
    RequestKind::Fetch(if version >= 15 {
        let state = ReplicaState::default().with_replica_id(BrokerId(2)).with_replica_epoch(9);
        request.with_replica_state(state)
    } else {
        request.with_replica_id(BrokerId(2))
    })
}

fn fetch_response(version: i16) -> ResponseKind {
    let mut partition = FetchedPartition::default()
        .with_partition_index(3)
        .with_high_watermark(17)
        .with_last_stable_offset(17)
        .with_records(Some(records()));
    if version >= 12 {
        partition = partition
            .with_diverging_epoch(EpochEndOffset::default().with_epoch(3).with_end_offset(12))
            .with_current_leader(
                LeaderIdAndEpoch::default().with_leader_id(BrokerId(1)).with_leader_epoch(5),
            );
    }
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition]);
    let topic = if version >= 13 { topic.with_topic_id(TOPIC) } else { topic.with_topic(name("orders")) };
    ResponseKind::Fetch(FetchResponse::default().with_responses(vec![topic]))
}

fn metadata_response(version: i16) -> ResponseKind {
    let mut partition = MetadataResponsePartition::default()
        .with_partition_index(1)
        .with_leader_id(BrokerId(2))
        .with_replica_nodes(vec![BrokerId(1), BrokerId(2)])
        .with_isr_nodes(vec![BrokerId(2)]);
    if version >= 7 {
        partition = partition.with_leader_epoch(6);
    }
    let mut topic =
        MetadataResponseTopic::default().with_name(Some(name("orders"))).with_partitions(vec![partition]);
    if version >= 10 {
        topic = topic.with_topic_id(TOPIC);
    }
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(2))
        .with_host(StrBytes::from_static_str("broker-2"))
        .with_port(9092);
    let mut response = MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic]);
    if version >= 1 {
        response = response.with_controller_id(BrokerId(2));
    }
    ResponseKind::Metadata(response)
}

fn alter_partition_request(version: i16) -> RequestKind {
    let partition =
        PartitionData::default().with_partition_index(1).with_leader_epoch(4).with_partition_epoch(7);
    let isr = vec![BrokerState::default().with_broker_id(BrokerId(1)).with_broker_epoch(if version >= 3 {
        8
    } else {
        -1
    })];
    let partition = if version >= 3 {
        partition.with_new_isr_with_epochs(isr)
    } else {
        partition.with_new_isr(vec![BrokerId(1)])
    };
    let topic = TopicData::default().with_topic_id(TOPIC).with_partitions(vec![partition]);
    RequestKind::AlterPartition(
        AlterPartitionRequest::default()
            .with_broker_id(BrokerId(1))
            .with_broker_epoch(8)
            .with_topics(vec![topic]),
    )
}

fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

fn versions(api: ApiKey) -> std::ops::RangeInclusive<i16> {
    let VersionRange { min, max } = crate::api::lookup(api).unwrap().versions;
    min..=max
}

fn encoded_request(body: &RequestKind, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    encode_request(body, version, &mut out).unwrap();
    out.freeze()
}

fn encoded_response(body: &ResponseKind, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    encode_response(body, version, &mut out).unwrap();
    out.freeze()
}

fn request_round_trip(body: &RequestKind, version: i16) {
    let bytes = encoded_request(body, version);
    let decoded = decode_request(request_api(body), version, bytes).unwrap();
    assert_eq!(decoded, *body, "version {version}");

    let mut framed = BytesMut::new();
    frame::encode_request_frame(71, version, "client-1", body, &mut framed).unwrap();
    let overhead = request_overhead(request_api(body), version, "client-1");
    assert_eq!(framed.len(), overhead + encoded_request(body, version).len());
    let whole = frame::split(&mut framed, 1 << 20).unwrap().unwrap();
    let (header, decoded) = frame::decode_request_frame(whole).unwrap();
    assert_eq!((header.api, header.version, header.correlation_id), (request_api(body), version, 71));
    assert_eq!(header.client_id.as_deref(), Some("client-1"));
    assert_eq!(decoded, *body);
}

fn response_round_trip(body: &ResponseKind, version: i16) {
    let api = response_api(body);
    let bytes = encoded_response(body, version);
    assert_eq!(decode_response(api, version, bytes.clone()).unwrap(), *body, "version {version}");

    let mut framed = BytesMut::new();
    frame::encode_response_frame(72, version, body, &mut framed).unwrap();
    assert_eq!(framed.len(), response_overhead(api, version) + bytes.len());
    let whole = frame::split(&mut framed, 1 << 20).unwrap().unwrap();
    assert_eq!(frame::decode_response_frame(api, version, whole).unwrap(), (72, body.clone()));
}

#[test]
fn every_api_of_the_table_round_trips_in_every_version() {
    let defaults = defaults();
    let keys: Vec<ApiKey> = defaults.iter().map(|(request, _)| request_api(request)).collect();
    assert_eq!(
        keys,
        APIS.iter().map(|api| api.key).collect::<Vec<_>>(),
        "one line for each API of the table"
    );
    for (request, response) in defaults {
        assert_eq!(request_api(&request), response_api(&response));
        for version in versions(request_api(&request)) {
            request_round_trip(&request, version);
            response_round_trip(&response, version);
        }
    }
}

#[test]
fn filled_messages_round_trip_in_every_version() {
    for version in versions(ApiKey::Produce) {
        request_round_trip(&produce_request(version), version);
        response_round_trip(&produce_response(version), version);
    }
    for version in versions(ApiKey::Fetch) {
        request_round_trip(&fetch_request(version), version);
        response_round_trip(&fetch_response(version), version);
    }
    for version in versions(ApiKey::Metadata) {
        response_round_trip(&metadata_response(version), version);
    }
    for version in versions(ApiKey::AlterPartition) {
        request_round_trip(&alter_partition_request(version), version);
    }
}

/// Encodes a message both ways; returns whether it was plain.
fn same_request_both_ways(body: &RequestKind, version: i16) -> bool {
    let (mut ours, mut theirs) = (BytesMut::new(), BytesMut::new());
    let plain = plain::request(body, version, &mut ours);
    body.encode(&mut theirs, version).unwrap();
    assert_eq!(ours, if plain { theirs } else { BytesMut::new() }, "{body:?}");
    plain
}

fn same_response_both_ways(body: &ResponseKind, version: i16) -> bool {
    let (mut ours, mut theirs) = (BytesMut::new(), BytesMut::new());
    let plain = plain::response(body, version, &mut ours);
    body.encode(&mut theirs, version).unwrap();
    assert_eq!(ours, if plain { theirs } else { BytesMut::new() }, "{body:?}");
    plain
}

/// Changes to a plain message, each by itself, after which it is another, or not plain any more.
macro_rules! changes {
    ($message:expr, $kind:path, $same:ident, $version:expr, plain: [$($plain:expr),* $(,)?], other: [$($other:expr),* $(,)?]) => {
        let message = $message;
        assert!($same(&$kind(message.clone()), $version));
        $({
            let mut changed = message.clone();
            ($plain)(&mut changed);
            assert!($same(&$kind(changed), $version), "{} is plain", stringify!($plain));
        })*
        $({
            let mut changed = message.clone();
            ($other)(&mut changed);
            assert!(!$same(&$kind(changed), $version), "{} is not plain", stringify!($other));
        })*
    };
}

fn tagged() -> std::collections::BTreeMap<i32, Bytes> {
    [(9, Bytes::from_static(b"new"))].into()
}

#[test]
fn plain_fetches_are_encoded_as_kafka_protocol_encodes_them() {
    for version in 15..=18 {
        let partition = FetchPartition::default()
            .with_partition(3)
            .with_current_leader_epoch(4)
            .with_fetch_offset(1 << 33)
            .with_last_fetched_epoch(5)
            .with_log_start_offset(6)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic_id(TOPIC).with_partitions(vec![partition.clone(); 200]);
        let forgotten = ForgottenTopic::default().with_topic_id(TOPIC).with_partitions(vec![1, 2]);
        let request = FetchRequest::default()
            .with_max_wait_ms(500)
            .with_min_bytes(1)
            .with_max_bytes(2)
            .with_isolation_level(1)
            .with_session_id(3)
            .with_session_epoch(4)
            .with_topics(vec![topic.clone(), topic])
            .with_forgotten_topics_data(vec![forgotten]);
        let state =
            |id, epoch| ReplicaState::default().with_replica_id(BrokerId(id)).with_replica_epoch(epoch);
        changes!(request, RequestKind::Fetch, same_request_both_ways, version,
            plain: [
                |r: &mut FetchRequest| r.topics.clear(),
                |r: &mut FetchRequest| r.forgotten_topics_data.clear(),
                |r: &mut FetchRequest| r.replica_state = state(2, 9),
                |r: &mut FetchRequest| r.replica_state = state(-1, 9),
            ],
            other: [
                |r: &mut FetchRequest| r.rack_id = StrBytes::from_static_str("rack"),
                |r: &mut FetchRequest| r.cluster_id = Some(StrBytes::from_static_str("cluster")),
                |r: &mut FetchRequest| r.unknown_tagged_fields = tagged(),
                |r: &mut FetchRequest| r.replica_state.unknown_tagged_fields = tagged(),
                |r: &mut FetchRequest| r.topics[1].unknown_tagged_fields = tagged(),
                |r: &mut FetchRequest| r.topics[1].partitions[0].unknown_tagged_fields = tagged(),
                |r: &mut FetchRequest| r.forgotten_topics_data[0].unknown_tagged_fields = tagged(),
            ]
        );
    }
    assert!(!plain::request(&fetch_request(18), 18, &mut BytesMut::new()), "it tells a high watermark");
    assert!(!plain::request(&fetch_request(12), 12, &mut BytesMut::new()));
}

#[test]
fn plain_fetch_responses_are_encoded_as_kafka_protocol_encodes_them() {
    for version in 15..=18 {
        let partition = FetchedPartition::default()
            .with_partition_index(3)
            .with_error_code(4)
            .with_high_watermark(17)
            .with_last_stable_offset(16)
            .with_log_start_offset(2)
            .with_preferred_read_replica(BrokerId(3))
            .with_records(Some(records()));
        let topic =
            FetchableTopicResponse::default().with_topic_id(TOPIC).with_partitions(vec![partition; 150]);
        let response = FetchResponse::default()
            .with_throttle_time_ms(1)
            .with_error_code(2)
            .with_session_id(3)
            .with_responses(vec![topic.clone(), topic]);
        let aborted = fetch_response::AbortedTransaction::default();
        changes!(response, ResponseKind::Fetch, same_response_both_ways, version,
            plain: [
                |r: &mut FetchResponse| r.responses.clear(),
                |r: &mut FetchResponse| r.responses[1].partitions[1].records = None,
                |r: &mut FetchResponse| r.responses[1].partitions[1].records = Some(Bytes::new()),
                |r: &mut FetchResponse| r.responses[1].partitions[1].records = Some(Bytes::from(vec![7; 20_000])),
                |r: &mut FetchResponse| r.responses[1].partitions[1].aborted_transactions = None,
            ],
            other: [
                |r: &mut FetchResponse| r.node_endpoints.push(fetch_response::NodeEndpoint::default()),
                |r: &mut FetchResponse| r.unknown_tagged_fields = tagged(),
                |r: &mut FetchResponse| r.responses[1].unknown_tagged_fields = tagged(),
                |r: &mut FetchResponse| r.responses[1].partitions[1].unknown_tagged_fields = tagged(),
                |r: &mut FetchResponse| r.responses[1].partitions[1].aborted_transactions = Some(vec![aborted.clone()]),
                |r: &mut FetchResponse| r.responses[1].partitions[1].diverging_epoch.epoch = 3,
                |r: &mut FetchResponse| r.responses[1].partitions[1].diverging_epoch.unknown_tagged_fields = tagged(),
                |r: &mut FetchResponse| r.responses[1].partitions[1].current_leader.leader_epoch = 3,
                |r: &mut FetchResponse| r.responses[1].partitions[1].current_leader.unknown_tagged_fields = tagged(),
                |r: &mut FetchResponse| r.responses[1].partitions[1].snapshot_id.epoch = 3,
                |r: &mut FetchResponse| r.responses[1].partitions[1].snapshot_id.unknown_tagged_fields = tagged(),
            ]
        );
    }
    assert!(!plain::response(&fetch_response(12), 12, &mut BytesMut::new()));
}

#[test]
fn plain_produces_are_encoded_as_kafka_protocol_encodes_them() {
    let RequestKind::Produce(request) = produce_request(13) else { unreachable!() };
    changes!(request, RequestKind::Produce, same_request_both_ways, 13,
        plain: [
            |r: &mut ProduceRequest| r.topic_data.clear(),
            |r: &mut ProduceRequest| r.topic_data[0].partition_data[0].records = None,
        ],
        other: [
            |r: &mut ProduceRequest| r.transactional_id = Some(TransactionalId(StrBytes::from_static_str("t"))),
            |r: &mut ProduceRequest| r.unknown_tagged_fields = tagged(),
            |r: &mut ProduceRequest| r.topic_data[0].unknown_tagged_fields = tagged(),
            |r: &mut ProduceRequest| r.topic_data[0].partition_data[0].unknown_tagged_fields = tagged(),
        ]
    );
    assert!(!plain::request(&produce_request(12), 12, &mut BytesMut::new()));

    let ResponseKind::Produce(response) = produce_response(13) else { unreachable!() };
    changes!(response, ResponseKind::Produce, same_response_both_ways, 13,
        plain: [
            |r: &mut ProduceResponse| r.responses.clear(),
            |r: &mut ProduceResponse| r.responses[0].partition_responses[0].log_start_offset = 5,
            |r: &mut ProduceResponse| r.throttle_time_ms = 5,
        ],
        other: [
            |r: &mut ProduceResponse| r.node_endpoints.push(produce_response::NodeEndpoint::default()),
            |r: &mut ProduceResponse| r.unknown_tagged_fields = tagged(),
            |r: &mut ProduceResponse| r.responses[0].unknown_tagged_fields = tagged(),
            |r: &mut ProduceResponse| r.responses[0].partition_responses[0].unknown_tagged_fields = tagged(),
            |r: &mut ProduceResponse| r.responses[0].partition_responses[0].error_message = Some(StrBytes::default()),
            |r: &mut ProduceResponse| r.responses[0].partition_responses[0].record_errors = vec![Default::default()],
            |r: &mut ProduceResponse| r.responses[0].partition_responses[0].current_leader.leader_epoch = 1,
            |r: &mut ProduceResponse| r.responses[0].partition_responses[0].current_leader.unknown_tagged_fields = tagged(),
        ]
    );
    assert!(!plain::response(&produce_response(12), 12, &mut BytesMut::new()));
}

#[test]
fn records_are_not_copied_when_decoded() {
    let bytes = encoded_request(&produce_request(13), 13);
    let RequestKind::Produce(request) = decode_request(ApiKey::Produce, 13, bytes.clone()).unwrap() else {
        panic!("another API");
    };
    let records = request.topic_data[0].partition_data[0].records.clone().unwrap();
    assert!(bytes.as_ptr_range().contains(&records.as_ptr()));
}

#[test]
fn what_a_version_cannot_express_is_an_error() {
    let error = encode_request(&fetch_request(18), 11, &mut BytesMut::new()).unwrap_err();
    assert_eq!((error.api, error.version), (ApiKey::Fetch, 11));
    assert!(encode_request(&fetch_request(18), 19, &mut BytesMut::new()).is_err());
    assert!(decode_request(ApiKey::Fetch, 99, Bytes::new()).is_err());
}

#[test]
fn bytes_after_a_request_are_ignored_and_after_a_response_an_error() {
    let mut bytes = encoded_request(&fetch_request(17), 17).to_vec();
    bytes.push(0);
    assert_eq!(decode_request(ApiKey::Fetch, 17, Bytes::from(bytes)), Ok(fetch_request(17)));
    // What librdkafka sends: a count of four bytes, all zero, where one is due.
    let metadata = decode_request(ApiKey::Metadata, 13, Bytes::from_static(&[0, 0, 0, 0, 1, 0, 0]));
    let all = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
    assert_eq!(metadata, Ok(RequestKind::Metadata(all)));
    let mut bytes = encoded_response(&fetch_response(17), 17).to_vec();
    bytes.push(0);
    let error = decode_response(ApiKey::Fetch, 17, Bytes::from(bytes)).unwrap_err();
    assert_eq!(error.what, "1 bytes too many at byte 293");
}

#[test]
fn topics_are_named_by_their_ids_where_kafka_protocol_cannot() {
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(2)
        .with_committed_offset(1 << 33)
        .with_committed_metadata(Some(StrBytes::new()));
    let topic = OffsetCommitRequestTopic::default().with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_static_str("g")))
        .with_topics(vec![topic.with_topic_id(TOPIC)]);
    let expected = [
        &b"\x02g\xff\xff\xff\xff\x01\0\x02"[..],
        TOPIC.as_bytes(),
        b"\x02\0\0\0\x02\0\0\0\x02\0\0\0\0\xff\xff\xff\xff\x01\0\0\0",
    ]
    .concat();
    let body = RequestKind::OffsetCommit(request);
    assert_eq!(encoded_request(&body, 10), expected);
    assert_eq!(decode_request(ApiKey::OffsetCommit, 10, Bytes::from(expected)), Ok(body));
}

#[test]
fn truncated_messages_are_errors() {
    let api = ApiKey::Fetch;
    let request = encoded_request(&fetch_request(latest(api)), latest(api));
    let response = encoded_response(&fetch_response(latest(api)), latest(api));
    for cut in 0..request.len() {
        assert!(decode_request(api, latest(api), request.slice(..cut)).is_err(), "cut at {cut}");
    }
    for cut in 0..response.len() {
        assert!(decode_response(api, latest(api), response.slice(..cut)).is_err(), "cut at {cut}");
    }
}

/// The first two abort the process when they reach kafka-protocol, and so does the first response.
#[test]
fn counts_that_lie_are_errors() {
    let refused = |api, version, bytes: &'static [u8]| {
        let error = decode_request(api, version, Bytes::from_static(bytes)).unwrap_err();
        assert!(error.what.ends_with("is impossible"), "{error}");
    };
    refused(ApiKey::Metadata, 1, b"\x7f\xff\xff\xff");
    refused(ApiKey::Produce, 3, b"\xff\xff\xff\xff\0\0\0\0\x7f\xff\xff\xff");
    refused(ApiKey::Metadata, 12, b"\xff\xff\xff\xff\x0f");
    refused(ApiKey::Metadata, 1, b"\x80\0\0\0");
    for (version, bytes) in [(1, &b"\x7f\xff\xff\xff"[..]), (12, b"\0\0\0\0\xff\xff\xff\xff\x0f")] {
        let error = decode_response(ApiKey::Metadata, version, Bytes::from_static(bytes)).unwrap_err();
        assert!(error.what.ends_with("is impossible"), "{error}");
    }
    // A tag that is known, with a size that is not its own.
    let heartbeat = [&[0; 4 + 8 + 8 + 1 + 1][..], &[1, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert!(decode_request(ApiKey::BrokerHeartbeat, 1, Bytes::from(heartbeat)).is_err());
}
