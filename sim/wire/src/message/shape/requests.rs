//! The shapes of requests' bodies.

use kafka_protocol::messages::ApiKey;

use super::Shape::{Array, ArrayOf, Bytes, Fixed, Nullable, Str, Struct};
use super::{Body, fields};

const PRODUCE_PARTITION: Body = fields(&[(3, 13, Fixed(4)), (3, 13, Bytes)]);
const PRODUCE_TOPIC: Body = fields(&[(3, 12, Str), (13, 13, Fixed(16)), (3, 13, Array(&PRODUCE_PARTITION))]);
const PRODUCE: Body = fields(&[(3, 13, Str), (3, 13, Fixed(6)), (3, 13, Array(&PRODUCE_TOPIC))]);
const FETCH_REPLICA_STATE: Body = fields(&[(15, 18, Fixed(12))]);
const FETCH_PARTITION: Body = fields(&[
    (4, 18, Fixed(4)),
    (9, 18, Fixed(4)),
    (4, 18, Fixed(8)),
    (12, 18, Fixed(4)),
    (5, 18, Fixed(8)),
    (4, 18, Fixed(4)),
])
.tagged(&[(0, 17, 18, Fixed(16)), (1, 18, 18, Fixed(8))]);
const FETCH_TOPIC: Body = fields(&[(4, 12, Str), (13, 18, Fixed(16)), (4, 18, Array(&FETCH_PARTITION))]);
const FETCH_FORGOTTEN_TOPIC: Body = fields(&[(7, 12, Str), (13, 18, Fixed(16)), (7, 18, ArrayOf(&Fixed(4)))]);
const FETCH: Body = fields(&[
    (4, 14, Fixed(4)),
    (4, 18, Fixed(13)),
    (7, 18, Fixed(8)),
    (4, 18, Array(&FETCH_TOPIC)),
    (7, 18, Array(&FETCH_FORGOTTEN_TOPIC)),
    (11, 18, Str),
])
.tagged(&[(0, 12, 18, Str), (1, 15, 18, Struct(&FETCH_REPLICA_STATE))]);
const LIST_OFFSETS_PARTITION: Body = fields(&[(1, 10, Fixed(4)), (4, 10, Fixed(4)), (1, 10, Fixed(8))]);
const LIST_OFFSETS_TOPIC: Body = fields(&[(1, 10, Str), (1, 10, Array(&LIST_OFFSETS_PARTITION))]);
const LIST_OFFSETS: Body =
    fields(&[(1, 10, Fixed(4)), (2, 10, Fixed(1)), (1, 10, Array(&LIST_OFFSETS_TOPIC)), (10, 10, Fixed(4))]);
const METADATA_TOPIC: Body = fields(&[(10, 13, Fixed(16)), (0, 13, Str)]);
const METADATA: Body =
    fields(&[(0, 13, Array(&METADATA_TOPIC)), (4, 13, Fixed(1)), (8, 10, Fixed(1)), (8, 13, Fixed(1))]);
const API_VERSIONS: Body = fields(&[(3, 4, Str), (3, 4, Str)]);
const CREATE_TOPICS_CREATABLE_REPLICA_ASSIGNMENT: Body =
    fields(&[(2, 7, Fixed(4)), (2, 7, ArrayOf(&Fixed(4)))]);
const CREATE_TOPICS_CREATABLE_TOPIC_CONFIG: Body = fields(&[(2, 7, Str), (2, 7, Str)]);
const CREATE_TOPICS_CREATABLE_TOPIC: Body = fields(&[
    (2, 7, Str),
    (2, 7, Fixed(6)),
    (2, 7, Array(&CREATE_TOPICS_CREATABLE_REPLICA_ASSIGNMENT)),
    (2, 7, Array(&CREATE_TOPICS_CREATABLE_TOPIC_CONFIG)),
]);
const CREATE_TOPICS: Body = fields(&[(2, 7, Array(&CREATE_TOPICS_CREATABLE_TOPIC)), (2, 7, Fixed(5))]);
const DELETE_TOPICS_DELETE_TOPIC_STATE: Body = fields(&[(6, 6, Str), (6, 6, Fixed(16))]);
const DELETE_TOPICS: Body =
    fields(&[(6, 6, Array(&DELETE_TOPICS_DELETE_TOPIC_STATE)), (1, 5, ArrayOf(&Str)), (1, 6, Fixed(4))]);
const INIT_PRODUCER_ID: Body = fields(&[(0, 5, Str), (0, 5, Fixed(4)), (3, 5, Fixed(10))]);
const OFFSET_FOR_LEADER_EPOCH_PARTITION: Body = fields(&[(2, 4, Fixed(12))]);
const OFFSET_FOR_LEADER_EPOCH_TOPIC: Body =
    fields(&[(2, 4, Str), (2, 4, Array(&OFFSET_FOR_LEADER_EPOCH_PARTITION))]);
const OFFSET_FOR_LEADER_EPOCH: Body =
    fields(&[(3, 4, Fixed(4)), (2, 4, Array(&OFFSET_FOR_LEADER_EPOCH_TOPIC))]);
const DESCRIBE_CONFIGS_RESOURCE: Body = fields(&[(1, 4, Fixed(1)), (1, 4, Str), (1, 4, ArrayOf(&Str))]);
const DESCRIBE_CONFIGS: Body =
    fields(&[(1, 4, Array(&DESCRIBE_CONFIGS_RESOURCE)), (1, 4, Fixed(1)), (3, 4, Fixed(1))]);
const CREATE_PARTITIONS_ASSIGNMENT: Body = fields(&[(0, 3, ArrayOf(&Fixed(4)))]);
const CREATE_PARTITIONS_TOPIC: Body =
    fields(&[(0, 3, Str), (0, 3, Fixed(4)), (0, 3, Array(&CREATE_PARTITIONS_ASSIGNMENT))]);
const CREATE_PARTITIONS: Body = fields(&[(0, 3, Array(&CREATE_PARTITIONS_TOPIC)), (0, 3, Fixed(5))]);
const ELECT_LEADERS_TOPIC_PARTITIONS: Body = fields(&[(0, 2, Str), (0, 2, ArrayOf(&Fixed(4)))]);
const ELECT_LEADERS: Body =
    fields(&[(1, 2, Fixed(1)), (0, 2, Array(&ELECT_LEADERS_TOPIC_PARTITIONS)), (0, 2, Fixed(4))]);
const INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG: Body =
    fields(&[(0, 1, Str), (0, 1, Fixed(1)), (0, 1, Str)]);
const INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: Body =
    fields(&[(0, 1, Fixed(1)), (0, 1, Str), (0, 1, Array(&INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG))]);
const INCREMENTAL_ALTER_CONFIGS: Body =
    fields(&[(0, 1, Array(&INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE)), (0, 1, Fixed(1))]);
const VOTE_PARTITION: Body =
    fields(&[(0, 2, Fixed(12)), (1, 2, Fixed(32)), (0, 2, Fixed(12)), (2, 2, Fixed(1))]);
const VOTE_TOPIC: Body = fields(&[(0, 2, Str), (0, 2, Array(&VOTE_PARTITION))]);
const VOTE: Body = fields(&[(0, 2, Str), (1, 2, Fixed(4)), (0, 2, Array(&VOTE_TOPIC))]);
const BEGIN_QUORUM_EPOCH_PARTITION: Body = fields(&[(0, 1, Fixed(4)), (1, 1, Fixed(16)), (0, 1, Fixed(8))]);
const BEGIN_QUORUM_EPOCH_TOPIC: Body = fields(&[(0, 1, Str), (0, 1, Array(&BEGIN_QUORUM_EPOCH_PARTITION))]);
const BEGIN_QUORUM_EPOCH_LEADER_ENDPOINT: Body = fields(&[(1, 1, Str), (1, 1, Str), (1, 1, Fixed(2))]);
const BEGIN_QUORUM_EPOCH: Body = fields(&[
    (0, 1, Str),
    (1, 1, Fixed(4)),
    (0, 1, Array(&BEGIN_QUORUM_EPOCH_TOPIC)),
    (1, 1, Array(&BEGIN_QUORUM_EPOCH_LEADER_ENDPOINT)),
]);
const END_QUORUM_EPOCH_REPLICA_INFO: Body = fields(&[(1, 1, Fixed(20))]);
const END_QUORUM_EPOCH_PARTITION: Body =
    fields(&[(0, 1, Fixed(12)), (0, 0, ArrayOf(&Fixed(4))), (1, 1, Array(&END_QUORUM_EPOCH_REPLICA_INFO))]);
const END_QUORUM_EPOCH_TOPIC: Body = fields(&[(0, 1, Str), (0, 1, Array(&END_QUORUM_EPOCH_PARTITION))]);
const END_QUORUM_EPOCH_LEADER_ENDPOINT: Body = fields(&[(1, 1, Str), (1, 1, Str), (1, 1, Fixed(2))]);
const END_QUORUM_EPOCH: Body = fields(&[
    (0, 1, Str),
    (0, 1, Array(&END_QUORUM_EPOCH_TOPIC)),
    (1, 1, Array(&END_QUORUM_EPOCH_LEADER_ENDPOINT)),
]);
const DESCRIBE_QUORUM_PARTITION: Body = fields(&[(0, 2, Fixed(4))]);
const DESCRIBE_QUORUM_TOPIC: Body = fields(&[(0, 2, Str), (0, 2, Array(&DESCRIBE_QUORUM_PARTITION))]);
const DESCRIBE_QUORUM: Body = fields(&[(0, 2, Array(&DESCRIBE_QUORUM_TOPIC))]);
const ALTER_PARTITION_BROKER_STATE: Body = fields(&[(3, 3, Fixed(12))]);
const ALTER_PARTITION_PARTITION: Body = fields(&[
    (2, 3, Fixed(8)),
    (2, 2, ArrayOf(&Fixed(4))),
    (3, 3, Array(&ALTER_PARTITION_BROKER_STATE)),
    (2, 3, Fixed(5)),
]);
const ALTER_PARTITION_TOPIC: Body = fields(&[(2, 3, Fixed(16)), (2, 3, Array(&ALTER_PARTITION_PARTITION))]);
const ALTER_PARTITION: Body = fields(&[(2, 3, Fixed(12)), (2, 3, Array(&ALTER_PARTITION_TOPIC))]);
const FETCH_SNAPSHOT_SNAPSHOT_ID: Body = fields(&[(0, 1, Fixed(12))]);
const FETCH_SNAPSHOT_PARTITION_SNAPSHOT: Body =
    fields(&[(0, 1, Fixed(8)), (0, 1, Struct(&FETCH_SNAPSHOT_SNAPSHOT_ID)), (0, 1, Fixed(8))]).tagged(&[(
        0,
        1,
        1,
        Fixed(16),
    )]);
const FETCH_SNAPSHOT_TOPIC_SNAPSHOT: Body =
    fields(&[(0, 1, Str), (0, 1, Array(&FETCH_SNAPSHOT_PARTITION_SNAPSHOT))]);
const FETCH_SNAPSHOT: Body =
    fields(&[(0, 1, Fixed(8)), (0, 1, Array(&FETCH_SNAPSHOT_TOPIC_SNAPSHOT))]).tagged(&[(0, 0, 1, Str)]);
const DESCRIBE_CLUSTER: Body = fields(&[(0, 2, Fixed(1)), (1, 2, Fixed(1)), (2, 2, Fixed(1))]);
const BROKER_REGISTRATION_LISTENER: Body = fields(&[(0, 4, Str), (0, 4, Str), (0, 4, Fixed(4))]);
const BROKER_REGISTRATION_FEATURE: Body = fields(&[(0, 4, Str), (0, 4, Fixed(4))]);
const BROKER_REGISTRATION: Body = fields(&[
    (0, 4, Fixed(4)),
    (0, 4, Str),
    (0, 4, Fixed(16)),
    (0, 4, Array(&BROKER_REGISTRATION_LISTENER)),
    (0, 4, Array(&BROKER_REGISTRATION_FEATURE)),
    (0, 4, Str),
    (1, 4, Fixed(1)),
    (2, 4, ArrayOf(&Fixed(16))),
    (3, 4, Fixed(8)),
]);
const BROKER_HEARTBEAT: Body = fields(&[(0, 1, Fixed(22))]).tagged(&[(0, 1, 1, ArrayOf(&Fixed(16)))]);
const UNREGISTER_BROKER: Body = fields(&[(0, 0, Fixed(4))]);
const ALLOCATE_PRODUCER_IDS: Body = fields(&[(0, 0, Fixed(12))]);
const ASSIGN_REPLICAS_TO_DIRS_PARTITION: Body = fields(&[(0, 0, Fixed(4))]);
const ASSIGN_REPLICAS_TO_DIRS_TOPIC: Body =
    fields(&[(0, 0, Fixed(16)), (0, 0, Array(&ASSIGN_REPLICAS_TO_DIRS_PARTITION))]);
const ASSIGN_REPLICAS_TO_DIRS_DIRECTORY: Body =
    fields(&[(0, 0, Fixed(16)), (0, 0, Array(&ASSIGN_REPLICAS_TO_DIRS_TOPIC))]);
const ASSIGN_REPLICAS_TO_DIRS: Body =
    fields(&[(0, 0, Fixed(12)), (0, 0, Array(&ASSIGN_REPLICAS_TO_DIRS_DIRECTORY))]);
const FIND_COORDINATOR: Body = fields(&[(0, 3, Str), (1, 6, Fixed(1)), (4, 6, ArrayOf(&Str))]);
const OFFSET_COMMIT_PARTITION: Body = fields(&[(2, 10, Fixed(12)), (6, 10, Fixed(4)), (2, 10, Str)]);
const OFFSET_COMMIT_TOPIC: Body =
    fields(&[(2, 9, Str), (10, 10, Fixed(16)), (2, 10, Array(&OFFSET_COMMIT_PARTITION))]);
const OFFSET_COMMIT: Body = fields(&[
    (2, 10, Str),
    (2, 10, Fixed(4)),
    (2, 10, Str),
    (7, 10, Str),
    (2, 4, Fixed(8)),
    (2, 10, Array(&OFFSET_COMMIT_TOPIC)),
]);
const OFFSET_FETCH_TOPIC: Body = fields(&[(1, 7, Str), (1, 7, ArrayOf(&Fixed(4)))]);
const OFFSET_FETCH_TOPICS: Body = fields(&[(8, 9, Str), (10, 10, Fixed(16)), (8, 10, ArrayOf(&Fixed(4)))]);
const OFFSET_FETCH_GROUP: Body =
    fields(&[(8, 10, Str), (9, 10, Str), (9, 10, Fixed(4)), (8, 10, Array(&OFFSET_FETCH_TOPICS))]);
const OFFSET_FETCH: Body = fields(&[
    (1, 7, Str),
    (1, 7, Array(&OFFSET_FETCH_TOPIC)),
    (8, 10, Array(&OFFSET_FETCH_GROUP)),
    (7, 10, Fixed(1)),
]);
const JOIN_GROUP_PROTOCOL: Body = fields(&[(0, 9, Str), (0, 9, Bytes)]);
const JOIN_GROUP: Body = fields(&[
    (0, 9, Str),
    (0, 9, Fixed(4)),
    (1, 9, Fixed(4)),
    (0, 9, Str),
    (5, 9, Str),
    (0, 9, Str),
    (0, 9, Array(&JOIN_GROUP_PROTOCOL)),
    (8, 9, Str),
]);
const HEARTBEAT: Body = fields(&[(0, 4, Str), (0, 4, Fixed(4)), (0, 4, Str), (3, 4, Str)]);
const LEAVE_GROUP_MEMBER_IDENTITY: Body = fields(&[(3, 5, Str), (3, 5, Str), (5, 5, Str)]);
const LEAVE_GROUP: Body = fields(&[(0, 5, Str), (0, 2, Str), (3, 5, Array(&LEAVE_GROUP_MEMBER_IDENTITY))]);
const SYNC_GROUP_ASSIGNMENT: Body = fields(&[(0, 5, Str), (0, 5, Bytes)]);
const SYNC_GROUP: Body = fields(&[
    (0, 5, Str),
    (0, 5, Fixed(4)),
    (0, 5, Str),
    (3, 5, Str),
    (5, 5, Str),
    (5, 5, Str),
    (0, 5, Array(&SYNC_GROUP_ASSIGNMENT)),
]);
const DESCRIBE_GROUPS: Body = fields(&[(0, 6, ArrayOf(&Str)), (3, 6, Fixed(1))]);
const LIST_GROUPS: Body = fields(&[(4, 5, ArrayOf(&Str)), (5, 5, ArrayOf(&Str))]);
const ADD_PARTITIONS_TO_TXN_TOPIC: Body = fields(&[(0, 5, Str), (0, 5, ArrayOf(&Fixed(4)))]);
const ADD_PARTITIONS_TO_TXN_TRANSACTION: Body =
    fields(&[(4, 5, Str), (4, 5, Fixed(11)), (4, 5, Array(&ADD_PARTITIONS_TO_TXN_TOPIC))]);
const ADD_PARTITIONS_TO_TXN: Body = fields(&[
    (4, 5, Array(&ADD_PARTITIONS_TO_TXN_TRANSACTION)),
    (0, 3, Str),
    (0, 3, Fixed(10)),
    (0, 3, Array(&ADD_PARTITIONS_TO_TXN_TOPIC)),
]);
const ADD_OFFSETS_TO_TXN: Body = fields(&[(0, 4, Str), (0, 4, Fixed(10)), (0, 4, Str)]);
const END_TXN: Body = fields(&[(0, 5, Str), (0, 5, Fixed(11))]);
const WRITE_TXN_MARKERS_MARKER_TOPIC: Body = fields(&[(1, 1, Str), (1, 1, ArrayOf(&Fixed(4)))]);
const WRITE_TXN_MARKERS_MARKER: Body =
    fields(&[(1, 1, Fixed(11)), (1, 1, Array(&WRITE_TXN_MARKERS_MARKER_TOPIC)), (1, 1, Fixed(4))]);
const WRITE_TXN_MARKERS: Body = fields(&[(1, 1, Array(&WRITE_TXN_MARKERS_MARKER))]);
const TXN_OFFSET_COMMIT_PARTITION: Body = fields(&[(0, 5, Fixed(12)), (2, 5, Fixed(4)), (0, 5, Str)]);
const TXN_OFFSET_COMMIT_TOPIC: Body = fields(&[(0, 5, Str), (0, 5, Array(&TXN_OFFSET_COMMIT_PARTITION))]);
const TXN_OFFSET_COMMIT: Body = fields(&[
    (0, 5, Str),
    (0, 5, Str),
    (0, 5, Fixed(10)),
    (3, 5, Fixed(4)),
    (3, 5, Str),
    (3, 5, Str),
    (0, 5, Array(&TXN_OFFSET_COMMIT_TOPIC)),
]);
const DELETE_GROUPS: Body = fields(&[(0, 2, ArrayOf(&Str))]);
const OFFSET_DELETE_PARTITION: Body = fields(&[(0, 0, Fixed(4))]);
const OFFSET_DELETE_TOPIC: Body = fields(&[(0, 0, Str), (0, 0, Array(&OFFSET_DELETE_PARTITION))]);
const OFFSET_DELETE: Body = fields(&[(0, 0, Str), (0, 0, Array(&OFFSET_DELETE_TOPIC))]);
const DESCRIBE_PRODUCERS_TOPIC: Body = fields(&[(0, 0, Str), (0, 0, ArrayOf(&Fixed(4)))]);
const DESCRIBE_PRODUCERS: Body = fields(&[(0, 0, Array(&DESCRIBE_PRODUCERS_TOPIC))]);
const DESCRIBE_TRANSACTIONS: Body = fields(&[(0, 0, ArrayOf(&Str))]);
const LIST_TRANSACTIONS: Body =
    fields(&[(0, 2, ArrayOf(&Str)), (0, 2, ArrayOf(&Fixed(8))), (1, 2, Fixed(8)), (2, 2, Str)]);
const CONSUMER_GROUP_HEARTBEAT_TOPIC_PARTITIONS: Body =
    fields(&[(0, 1, Fixed(16)), (0, 1, ArrayOf(&Fixed(4)))]);
const CONSUMER_GROUP_HEARTBEAT: Body = fields(&[
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Fixed(4)),
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Fixed(4)),
    (0, 1, ArrayOf(&Str)),
    (1, 1, Str),
    (0, 1, Str),
    (0, 1, Array(&CONSUMER_GROUP_HEARTBEAT_TOPIC_PARTITIONS)),
]);
const CONSUMER_GROUP_DESCRIBE: Body = fields(&[(0, 1, ArrayOf(&Str)), (0, 1, Fixed(1))]);
const SASL_HANDSHAKE: Body = fields(&[(0, 1, Str)]);
const SASL_AUTHENTICATE: Body = fields(&[(0, 2, Bytes)]);
const DELETE_RECORDS_PARTITION: Body = fields(&[(0, 2, Fixed(12))]);
const DELETE_RECORDS_TOPIC: Body = fields(&[(0, 2, Str), (0, 2, Array(&DELETE_RECORDS_PARTITION))]);
const DELETE_RECORDS: Body = fields(&[(0, 2, Array(&DELETE_RECORDS_TOPIC)), (0, 2, Fixed(4))]);
/// The fields of DescribeAcls are those of a filter of DeleteAcls.
const ACL_FILTER: Body =
    fields(&[(1, 3, Fixed(1)), (1, 3, Str), (1, 3, Fixed(1)), (1, 3, Str), (1, 3, Str), (1, 3, Fixed(2))]);
const CREATE_ACLS: Body = fields(&[(1, 3, Array(&ACL_FILTER))]);
const DELETE_ACLS: Body = fields(&[(1, 3, Array(&ACL_FILTER))]);
const ALTER_CONFIGS_CONFIG: Body = fields(&[(0, 2, Str), (0, 2, Str)]);
const ALTER_CONFIGS_RESOURCE: Body =
    fields(&[(0, 2, Fixed(1)), (0, 2, Str), (0, 2, Array(&ALTER_CONFIGS_CONFIG))]);
const ALTER_CONFIGS: Body = fields(&[(0, 2, Array(&ALTER_CONFIGS_RESOURCE)), (0, 2, Fixed(1))]);
const DESCRIBE_LOG_DIRS_TOPIC: Body = fields(&[(1, 4, Str), (1, 4, ArrayOf(&Fixed(4)))]);
const DESCRIBE_LOG_DIRS: Body = fields(&[(1, 4, Array(&DESCRIBE_LOG_DIRS_TOPIC))]);
const ALTER_PARTITION_REASSIGNMENTS_PARTITION: Body = fields(&[(0, 1, Fixed(4)), (0, 1, ArrayOf(&Fixed(4)))]);
const ALTER_PARTITION_REASSIGNMENTS_TOPIC: Body =
    fields(&[(0, 1, Str), (0, 1, Array(&ALTER_PARTITION_REASSIGNMENTS_PARTITION))]);
const ALTER_PARTITION_REASSIGNMENTS: Body =
    fields(&[(0, 1, Fixed(4)), (1, 1, Fixed(1)), (0, 1, Array(&ALTER_PARTITION_REASSIGNMENTS_TOPIC))]);
const LIST_PARTITION_REASSIGNMENTS_TOPIC: Body = fields(&[(0, 0, Str), (0, 0, ArrayOf(&Fixed(4)))]);
const LIST_PARTITION_REASSIGNMENTS: Body =
    fields(&[(0, 0, Fixed(4)), (0, 0, Array(&LIST_PARTITION_REASSIGNMENTS_TOPIC))]);
const DESCRIBE_CLIENT_QUOTAS_COMPONENT: Body = fields(&[(0, 1, Str), (0, 1, Fixed(1)), (0, 1, Str)]);
const DESCRIBE_CLIENT_QUOTAS: Body =
    fields(&[(0, 1, Array(&DESCRIBE_CLIENT_QUOTAS_COMPONENT)), (0, 1, Fixed(1))]);
const ALTER_CLIENT_QUOTAS_ENTITY: Body = fields(&[(0, 1, Str), (0, 1, Str)]);
const ALTER_CLIENT_QUOTAS_OP: Body = fields(&[(0, 1, Str), (0, 1, Fixed(9))]);
const ALTER_CLIENT_QUOTAS_ENTRY: Body =
    fields(&[(0, 1, Array(&ALTER_CLIENT_QUOTAS_ENTITY)), (0, 1, Array(&ALTER_CLIENT_QUOTAS_OP))]);
const ALTER_CLIENT_QUOTAS: Body = fields(&[(0, 1, Array(&ALTER_CLIENT_QUOTAS_ENTRY)), (0, 1, Fixed(1))]);
const DESCRIBE_USER_SCRAM_CREDENTIALS_USER: Body = fields(&[(0, 0, Str)]);
const DESCRIBE_USER_SCRAM_CREDENTIALS: Body = fields(&[(0, 0, Array(&DESCRIBE_USER_SCRAM_CREDENTIALS_USER))]);
const ALTER_USER_SCRAM_CREDENTIALS_DELETION: Body = fields(&[(0, 0, Str), (0, 0, Fixed(1))]);
const ALTER_USER_SCRAM_CREDENTIALS_UPSERTION: Body =
    fields(&[(0, 0, Str), (0, 0, Fixed(5)), (0, 0, Bytes), (0, 0, Bytes)]);
const ALTER_USER_SCRAM_CREDENTIALS: Body = fields(&[
    (0, 0, Array(&ALTER_USER_SCRAM_CREDENTIALS_DELETION)),
    (0, 0, Array(&ALTER_USER_SCRAM_CREDENTIALS_UPSERTION)),
]);
const UPDATE_FEATURES_UPDATE: Body = fields(&[(0, 2, Str), (0, 2, Fixed(3))]);
const UPDATE_FEATURES: Body =
    fields(&[(0, 2, Fixed(4)), (0, 2, Array(&UPDATE_FEATURES_UPDATE)), (1, 2, Fixed(1))]);
const LIST_CONFIG_RESOURCES: Body = fields(&[(1, 1, ArrayOf(&Fixed(1)))]);
const DESCRIBE_TOPIC_PARTITIONS_TOPIC: Body = fields(&[(0, 0, Str)]);
const DESCRIBE_TOPIC_PARTITIONS_CURSOR: Body = fields(&[(0, 0, Str), (0, 0, Fixed(4))]);
const DESCRIBE_TOPIC_PARTITIONS: Body = fields(&[
    (0, 0, Array(&DESCRIBE_TOPIC_PARTITIONS_TOPIC)),
    (0, 0, Fixed(4)),
    (0, 0, Nullable(&DESCRIBE_TOPIC_PARTITIONS_CURSOR)),
]);

/// The shape of the body of an API's request.
pub(super) fn shape(api: ApiKey) -> Option<&'static Body> {
    Some(match api {
        ApiKey::Produce => &PRODUCE,
        ApiKey::Fetch => &FETCH,
        ApiKey::ListOffsets => &LIST_OFFSETS,
        ApiKey::Metadata => &METADATA,
        ApiKey::ApiVersions => &API_VERSIONS,
        ApiKey::CreateTopics => &CREATE_TOPICS,
        ApiKey::DeleteTopics => &DELETE_TOPICS,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS,
        ApiKey::ElectLeaders => &ELECT_LEADERS,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS,
        ApiKey::Vote => &VOTE,
        ApiKey::BeginQuorumEpoch => &BEGIN_QUORUM_EPOCH,
        ApiKey::EndQuorumEpoch => &END_QUORUM_EPOCH,
        ApiKey::DescribeQuorum => &DESCRIBE_QUORUM,
        ApiKey::AlterPartition => &ALTER_PARTITION,
        ApiKey::FetchSnapshot => &FETCH_SNAPSHOT,
        ApiKey::DescribeCluster => &DESCRIBE_CLUSTER,
        ApiKey::BrokerRegistration => &BROKER_REGISTRATION,
        ApiKey::BrokerHeartbeat => &BROKER_HEARTBEAT,
        ApiKey::UnregisterBroker => &UNREGISTER_BROKER,
        ApiKey::AllocateProducerIds => &ALLOCATE_PRODUCER_IDS,
        ApiKey::AssignReplicasToDirs => &ASSIGN_REPLICAS_TO_DIRS,
        ApiKey::FindCoordinator => &FIND_COORDINATOR,
        ApiKey::OffsetCommit => &OFFSET_COMMIT,
        ApiKey::OffsetFetch => &OFFSET_FETCH,
        ApiKey::JoinGroup => &JOIN_GROUP,
        ApiKey::Heartbeat => &HEARTBEAT,
        ApiKey::LeaveGroup => &LEAVE_GROUP,
        ApiKey::SyncGroup => &SYNC_GROUP,
        ApiKey::DescribeGroups => &DESCRIBE_GROUPS,
        ApiKey::ListGroups => &LIST_GROUPS,
        ApiKey::AddPartitionsToTxn => &ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => &ADD_OFFSETS_TO_TXN,
        ApiKey::EndTxn => &END_TXN,
        ApiKey::WriteTxnMarkers => &WRITE_TXN_MARKERS,
        ApiKey::TxnOffsetCommit => &TXN_OFFSET_COMMIT,
        ApiKey::DeleteGroups => &DELETE_GROUPS,
        ApiKey::OffsetDelete => &OFFSET_DELETE,
        ApiKey::DescribeProducers => &DESCRIBE_PRODUCERS,
        ApiKey::DescribeTransactions => &DESCRIBE_TRANSACTIONS,
        ApiKey::ListTransactions => &LIST_TRANSACTIONS,
        ApiKey::ConsumerGroupHeartbeat => &CONSUMER_GROUP_HEARTBEAT,
        ApiKey::ConsumerGroupDescribe => &CONSUMER_GROUP_DESCRIBE,
        ApiKey::SaslHandshake => &SASL_HANDSHAKE,
        ApiKey::SaslAuthenticate => &SASL_AUTHENTICATE,
        ApiKey::DeleteRecords => &DELETE_RECORDS,
        ApiKey::DescribeAcls => &ACL_FILTER,
        ApiKey::CreateAcls => &CREATE_ACLS,
        ApiKey::DeleteAcls => &DELETE_ACLS,
        ApiKey::AlterConfigs => &ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => &DESCRIBE_LOG_DIRS,
        ApiKey::AlterPartitionReassignments => &ALTER_PARTITION_REASSIGNMENTS,
        ApiKey::ListPartitionReassignments => &LIST_PARTITION_REASSIGNMENTS,
        ApiKey::DescribeClientQuotas => &DESCRIBE_CLIENT_QUOTAS,
        ApiKey::AlterClientQuotas => &ALTER_CLIENT_QUOTAS,
        ApiKey::DescribeUserScramCredentials => &DESCRIBE_USER_SCRAM_CREDENTIALS,
        ApiKey::AlterUserScramCredentials => &ALTER_USER_SCRAM_CREDENTIALS,
        ApiKey::UpdateFeatures => &UPDATE_FEATURES,
        ApiKey::ListConfigResources => &LIST_CONFIG_RESOURCES,
        ApiKey::DescribeTopicPartitions => &DESCRIBE_TOPIC_PARTITIONS,
        _ => return None,
    })
}
