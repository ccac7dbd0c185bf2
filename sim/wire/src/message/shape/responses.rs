//! The shapes of responses' bodies.

use kafka_protocol::messages::ApiKey;

use super::Shape::{Array, ArrayOf, Bytes, Fixed, Nullable, Str, Struct};
use super::{Body, fields};

const PRODUCE_BATCH_INDEX_AND_ERROR_MESSAGE: Body = fields(&[(8, 13, Fixed(4)), (8, 13, Str)]);
const PRODUCE_LEADER_ID_AND_EPOCH: Body = fields(&[(10, 13, Fixed(8))]);
const PRODUCE_PARTITION_PRODUCE: Body = fields(&[
    (3, 13, Fixed(22)),
    (5, 13, Fixed(8)),
    (8, 13, Array(&PRODUCE_BATCH_INDEX_AND_ERROR_MESSAGE)),
    (8, 13, Str),
])
.tagged(&[(0, 10, 13, Struct(&PRODUCE_LEADER_ID_AND_EPOCH))]);
const PRODUCE_TOPIC_PRODUCE: Body =
    fields(&[(3, 12, Str), (13, 13, Fixed(16)), (3, 13, Array(&PRODUCE_PARTITION_PRODUCE))]);
const PRODUCE_NODE_ENDPOINT: Body =
    fields(&[(10, 13, Fixed(4)), (10, 13, Str), (10, 13, Fixed(4)), (10, 13, Str)]);
const PRODUCE: Body = fields(&[(3, 13, Array(&PRODUCE_TOPIC_PRODUCE)), (3, 13, Fixed(4))]).tagged(&[(
    0,
    10,
    13,
    Array(&PRODUCE_NODE_ENDPOINT),
)]);
const FETCH_ABORTED_TRANSACTION: Body = fields(&[(4, 18, Fixed(16))]);
const FETCH_EPOCH_END_OFFSET: Body = fields(&[(12, 18, Fixed(12))]);
const FETCH_LEADER_ID_AND_EPOCH: Body = fields(&[(12, 18, Fixed(8))]);
const FETCH_SNAPSHOT_ID: Body = fields(&[(4, 18, Fixed(12))]);
const FETCH_PARTITION_DATA: Body = fields(&[
    (4, 18, Fixed(22)),
    (5, 18, Fixed(8)),
    (4, 18, Array(&FETCH_ABORTED_TRANSACTION)),
    (11, 18, Fixed(4)),
    (4, 18, Bytes),
])
.tagged(&[
    (0, 12, 18, Struct(&FETCH_EPOCH_END_OFFSET)),
    (1, 12, 18, Struct(&FETCH_LEADER_ID_AND_EPOCH)),
    (2, 12, 18, Struct(&FETCH_SNAPSHOT_ID)),
]);
const FETCH_FETCHABLE_TOPIC: Body =
    fields(&[(4, 12, Str), (13, 18, Fixed(16)), (4, 18, Array(&FETCH_PARTITION_DATA))]);
const FETCH_NODE_ENDPOINT: Body =
    fields(&[(16, 18, Fixed(4)), (16, 18, Str), (16, 18, Fixed(4)), (16, 18, Str)]);
const FETCH: Body = fields(&[(4, 18, Fixed(4)), (7, 18, Fixed(6)), (4, 18, Array(&FETCH_FETCHABLE_TOPIC))])
    .tagged(&[(0, 16, 18, Array(&FETCH_NODE_ENDPOINT))]);
const LIST_OFFSETS_PARTITION: Body = fields(&[(1, 10, Fixed(22)), (4, 10, Fixed(4))]);
const LIST_OFFSETS_TOPIC: Body = fields(&[(1, 10, Str), (1, 10, Array(&LIST_OFFSETS_PARTITION))]);
const LIST_OFFSETS: Body = fields(&[(2, 10, Fixed(4)), (1, 10, Array(&LIST_OFFSETS_TOPIC))]);
const METADATA_BROKER: Body = fields(&[(0, 13, Fixed(4)), (0, 13, Str), (0, 13, Fixed(4)), (1, 13, Str)]);
const METADATA_PARTITION: Body = fields(&[
    (0, 13, Fixed(10)),
    (7, 13, Fixed(4)),
    (0, 13, ArrayOf(&Fixed(4))),
    (0, 13, ArrayOf(&Fixed(4))),
    (5, 13, ArrayOf(&Fixed(4))),
]);
const METADATA_TOPIC: Body = fields(&[
    (0, 13, Fixed(2)),
    (0, 13, Str),
    (10, 13, Fixed(16)),
    (1, 13, Fixed(1)),
    (0, 13, Array(&METADATA_PARTITION)),
    (8, 13, Fixed(4)),
]);
const METADATA: Body = fields(&[
    (3, 13, Fixed(4)),
    (0, 13, Array(&METADATA_BROKER)),
    (2, 13, Str),
    (1, 13, Fixed(4)),
    (0, 13, Array(&METADATA_TOPIC)),
    (8, 10, Fixed(4)),
    (13, 13, Fixed(2)),
]);
const OFFSET_COMMIT_PARTITION: Body = fields(&[(2, 10, Fixed(6))]);
const OFFSET_COMMIT_TOPIC: Body =
    fields(&[(2, 9, Str), (10, 10, Fixed(16)), (2, 10, Array(&OFFSET_COMMIT_PARTITION))]);
const OFFSET_COMMIT: Body = fields(&[(3, 10, Fixed(4)), (2, 10, Array(&OFFSET_COMMIT_TOPIC))]);
const OFFSET_FETCH_PARTITION: Body =
    fields(&[(1, 7, Fixed(12)), (5, 7, Fixed(4)), (1, 7, Str), (1, 7, Fixed(2))]);
const OFFSET_FETCH_TOPIC: Body = fields(&[(1, 7, Str), (1, 7, Array(&OFFSET_FETCH_PARTITION))]);
const OFFSET_FETCH_PARTITIONS: Body = fields(&[(8, 10, Fixed(16)), (8, 10, Str), (8, 10, Fixed(2))]);
const OFFSET_FETCH_TOPICS: Body =
    fields(&[(8, 9, Str), (10, 10, Fixed(16)), (8, 10, Array(&OFFSET_FETCH_PARTITIONS))]);
const OFFSET_FETCH_GROUP: Body =
    fields(&[(8, 10, Str), (8, 10, Array(&OFFSET_FETCH_TOPICS)), (8, 10, Fixed(2))]);
const OFFSET_FETCH: Body = fields(&[
    (3, 10, Fixed(4)),
    (1, 7, Array(&OFFSET_FETCH_TOPIC)),
    (2, 7, Fixed(2)),
    (8, 10, Array(&OFFSET_FETCH_GROUP)),
]);
const FIND_COORDINATOR_COORDINATOR: Body =
    fields(&[(4, 6, Str), (4, 6, Fixed(4)), (4, 6, Str), (4, 6, Fixed(6)), (4, 6, Str)]);
const FIND_COORDINATOR: Body = fields(&[
    (1, 6, Fixed(4)),
    (0, 3, Fixed(2)),
    (1, 3, Str),
    (0, 3, Fixed(4)),
    (0, 3, Str),
    (0, 3, Fixed(4)),
    (4, 6, Array(&FIND_COORDINATOR_COORDINATOR)),
]);
const JOIN_GROUP_MEMBER: Body = fields(&[(0, 9, Str), (5, 9, Str), (0, 9, Bytes)]);
const JOIN_GROUP: Body = fields(&[
    (2, 9, Fixed(4)),
    (0, 9, Fixed(6)),
    (7, 9, Str),
    (0, 9, Str),
    (0, 9, Str),
    (9, 9, Fixed(1)),
    (0, 9, Str),
    (0, 9, Array(&JOIN_GROUP_MEMBER)),
]);
const HEARTBEAT: Body = fields(&[(1, 4, Fixed(4)), (0, 4, Fixed(2))]);
const LEAVE_GROUP_MEMBER: Body = fields(&[(3, 5, Str), (3, 5, Str), (3, 5, Fixed(2))]);
const LEAVE_GROUP: Body = fields(&[(1, 5, Fixed(4)), (0, 5, Fixed(2)), (3, 5, Array(&LEAVE_GROUP_MEMBER))]);
const SYNC_GROUP: Body =
    fields(&[(1, 5, Fixed(4)), (0, 5, Fixed(2)), (5, 5, Str), (5, 5, Str), (0, 5, Bytes)]);
const DESCRIBE_GROUPS_DESCRIBED_GROUP_MEMBER: Body =
    fields(&[(0, 6, Str), (4, 6, Str), (0, 6, Str), (0, 6, Str), (0, 6, Bytes), (0, 6, Bytes)]);
const DESCRIBE_GROUPS_DESCRIBED_GROUP: Body = fields(&[
    (0, 6, Fixed(2)),
    (6, 6, Str),
    (0, 6, Str),
    (0, 6, Str),
    (0, 6, Str),
    (0, 6, Str),
    (0, 6, Array(&DESCRIBE_GROUPS_DESCRIBED_GROUP_MEMBER)),
    (3, 6, Fixed(4)),
]);
const DESCRIBE_GROUPS: Body = fields(&[(1, 6, Fixed(4)), (0, 6, Array(&DESCRIBE_GROUPS_DESCRIBED_GROUP))]);
const LIST_GROUPS_LISTED_GROUP: Body = fields(&[(0, 5, Str), (0, 5, Str), (4, 5, Str), (5, 5, Str)]);
const LIST_GROUPS: Body =
    fields(&[(1, 5, Fixed(4)), (0, 5, Fixed(2)), (0, 5, Array(&LIST_GROUPS_LISTED_GROUP))]);
const API_VERSIONS_API_VERSION: Body = fields(&[(0, 4, Fixed(6))]);
const API_VERSIONS_SUPPORTED_FEATURE_KEY: Body = fields(&[(3, 4, Str), (3, 4, Fixed(4))]);
const API_VERSIONS_FINALIZED_FEATURE_KEY: Body = fields(&[(3, 4, Str), (3, 4, Fixed(4))]);
const API_VERSIONS: Body =
    fields(&[(0, 4, Fixed(2)), (0, 4, Array(&API_VERSIONS_API_VERSION)), (1, 4, Fixed(4))]).tagged(&[
        (0, 3, 4, Array(&API_VERSIONS_SUPPORTED_FEATURE_KEY)),
        (1, 3, 4, Fixed(8)),
        (2, 3, 4, Array(&API_VERSIONS_FINALIZED_FEATURE_KEY)),
        (3, 3, 4, Fixed(1)),
    ]);
const CREATE_TOPICS_CREATABLE_TOPIC_CONFIGS: Body = fields(&[(5, 7, Str), (5, 7, Str), (5, 7, Fixed(3))]);
const CREATE_TOPICS_CREATABLE_TOPIC_RESULT: Body = fields(&[
    (2, 7, Str),
    (7, 7, Fixed(16)),
    (2, 7, Fixed(2)),
    (2, 7, Str),
    (5, 7, Fixed(6)),
    (5, 7, Array(&CREATE_TOPICS_CREATABLE_TOPIC_CONFIGS)),
])
.tagged(&[(0, 5, 7, Fixed(2))]);
const CREATE_TOPICS: Body = fields(&[(2, 7, Fixed(4)), (2, 7, Array(&CREATE_TOPICS_CREATABLE_TOPIC_RESULT))]);
const DELETE_TOPICS_DELETABLE_TOPIC_RESULT: Body =
    fields(&[(1, 6, Str), (6, 6, Fixed(16)), (1, 6, Fixed(2)), (5, 6, Str)]);
const DELETE_TOPICS: Body = fields(&[(1, 6, Fixed(4)), (1, 6, Array(&DELETE_TOPICS_DELETABLE_TOPIC_RESULT))]);
const INIT_PRODUCER_ID: Body = fields(&[(0, 5, Fixed(16))]);
const OFFSET_FOR_LEADER_EPOCH_EPOCH_END_OFFSET: Body = fields(&[(2, 4, Fixed(18))]);
const OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_TOPIC_RESULT: Body =
    fields(&[(2, 4, Str), (2, 4, Array(&OFFSET_FOR_LEADER_EPOCH_EPOCH_END_OFFSET))]);
const OFFSET_FOR_LEADER_EPOCH: Body =
    fields(&[(2, 4, Fixed(4)), (2, 4, Array(&OFFSET_FOR_LEADER_EPOCH_OFFSET_FOR_LEADER_TOPIC_RESULT))]);
const ADD_PARTITIONS_TO_TXN_PARTITION_RESULT: Body = fields(&[(0, 5, Fixed(6))]);
const ADD_PARTITIONS_TO_TXN_TOPIC_RESULT: Body =
    fields(&[(0, 5, Str), (0, 5, Array(&ADD_PARTITIONS_TO_TXN_PARTITION_RESULT))]);
const ADD_PARTITIONS_TO_TXN_RESULT: Body =
    fields(&[(4, 5, Str), (4, 5, Array(&ADD_PARTITIONS_TO_TXN_TOPIC_RESULT))]);
const ADD_PARTITIONS_TO_TXN: Body = fields(&[
    (0, 5, Fixed(4)),
    (4, 5, Fixed(2)),
    (4, 5, Array(&ADD_PARTITIONS_TO_TXN_RESULT)),
    (0, 3, Array(&ADD_PARTITIONS_TO_TXN_TOPIC_RESULT)),
]);
const ADD_OFFSETS_TO_TXN: Body = fields(&[(0, 4, Fixed(6))]);
const END_TXN: Body = fields(&[(0, 5, Fixed(6)), (5, 5, Fixed(10))]);
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_PARTITION_RESULT: Body = fields(&[(1, 1, Fixed(6))]);
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC_RESULT: Body =
    fields(&[(1, 1, Str), (1, 1, Array(&WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_PARTITION_RESULT))]);
const WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_RESULT: Body =
    fields(&[(1, 1, Fixed(8)), (1, 1, Array(&WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_TOPIC_RESULT))]);
const WRITE_TXN_MARKERS: Body = fields(&[(1, 1, Array(&WRITE_TXN_MARKERS_WRITABLE_TXN_MARKER_RESULT))]);
const TXN_OFFSET_COMMIT_PARTITION: Body = fields(&[(0, 5, Fixed(6))]);
const TXN_OFFSET_COMMIT_TOPIC: Body = fields(&[(0, 5, Str), (0, 5, Array(&TXN_OFFSET_COMMIT_PARTITION))]);
const TXN_OFFSET_COMMIT: Body = fields(&[(0, 5, Fixed(4)), (0, 5, Array(&TXN_OFFSET_COMMIT_TOPIC))]);
const DESCRIBE_CONFIGS_SYNONYM: Body = fields(&[(1, 4, Str), (1, 4, Str), (1, 4, Fixed(1))]);
const DESCRIBE_CONFIGS_RESOURCE_RESULT: Body = fields(&[
    (1, 4, Str),
    (1, 4, Str),
    (1, 4, Fixed(3)),
    (1, 4, Array(&DESCRIBE_CONFIGS_SYNONYM)),
    (3, 4, Fixed(1)),
    (3, 4, Str),
]);
const DESCRIBE_CONFIGS_RESULT: Body = fields(&[
    (1, 4, Fixed(2)),
    (1, 4, Str),
    (1, 4, Fixed(1)),
    (1, 4, Str),
    (1, 4, Array(&DESCRIBE_CONFIGS_RESOURCE_RESULT)),
]);
const DESCRIBE_CONFIGS: Body = fields(&[(1, 4, Fixed(4)), (1, 4, Array(&DESCRIBE_CONFIGS_RESULT))]);
const CREATE_PARTITIONS_TOPIC_RESULT: Body = fields(&[(0, 3, Str), (0, 3, Fixed(2)), (0, 3, Str)]);
const CREATE_PARTITIONS: Body = fields(&[(0, 3, Fixed(4)), (0, 3, Array(&CREATE_PARTITIONS_TOPIC_RESULT))]);
const DELETE_GROUPS_DELETABLE_GROUP_RESULT: Body = fields(&[(0, 2, Str), (0, 2, Fixed(2))]);
const DELETE_GROUPS: Body = fields(&[(0, 2, Fixed(4)), (0, 2, Array(&DELETE_GROUPS_DELETABLE_GROUP_RESULT))]);
const ELECT_LEADERS_PARTITION_RESULT: Body = fields(&[(0, 2, Fixed(6)), (0, 2, Str)]);
const ELECT_LEADERS_REPLICA_ELECTION_RESULT: Body =
    fields(&[(0, 2, Str), (0, 2, Array(&ELECT_LEADERS_PARTITION_RESULT))]);
const ELECT_LEADERS: Body =
    fields(&[(0, 2, Fixed(4)), (1, 2, Fixed(2)), (0, 2, Array(&ELECT_LEADERS_REPLICA_ELECTION_RESULT))]);
const INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: Body =
    fields(&[(0, 1, Fixed(2)), (0, 1, Str), (0, 1, Fixed(1)), (0, 1, Str)]);
const INCREMENTAL_ALTER_CONFIGS: Body =
    fields(&[(0, 1, Fixed(4)), (0, 1, Array(&INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE))]);
const OFFSET_DELETE_PARTITION: Body = fields(&[(0, 0, Fixed(6))]);
const OFFSET_DELETE_TOPIC: Body = fields(&[(0, 0, Str), (0, 0, Array(&OFFSET_DELETE_PARTITION))]);
const OFFSET_DELETE: Body = fields(&[(0, 0, Fixed(6)), (0, 0, Array(&OFFSET_DELETE_TOPIC))]);
const VOTE_PARTITION_DATA: Body = fields(&[(0, 2, Fixed(15))]);
const VOTE_TOPIC_DATA: Body = fields(&[(0, 2, Str), (0, 2, Array(&VOTE_PARTITION_DATA))]);
const VOTE_NODE_ENDPOINT: Body = fields(&[(1, 2, Fixed(4)), (1, 2, Str), (1, 2, Fixed(2))]);
const VOTE: Body = fields(&[(0, 2, Fixed(2)), (0, 2, Array(&VOTE_TOPIC_DATA))]).tagged(&[(
    0,
    1,
    2,
    Array(&VOTE_NODE_ENDPOINT),
)]);
const BEGIN_QUORUM_EPOCH_PARTITION_DATA: Body = fields(&[(0, 1, Fixed(14))]);
const BEGIN_QUORUM_EPOCH_TOPIC_DATA: Body =
    fields(&[(0, 1, Str), (0, 1, Array(&BEGIN_QUORUM_EPOCH_PARTITION_DATA))]);
const BEGIN_QUORUM_EPOCH_NODE_ENDPOINT: Body = fields(&[(1, 1, Fixed(4)), (1, 1, Str), (1, 1, Fixed(2))]);
const BEGIN_QUORUM_EPOCH: Body = fields(&[(0, 1, Fixed(2)), (0, 1, Array(&BEGIN_QUORUM_EPOCH_TOPIC_DATA))])
    .tagged(&[(0, 1, 1, Array(&BEGIN_QUORUM_EPOCH_NODE_ENDPOINT))]);
const END_QUORUM_EPOCH_PARTITION_DATA: Body = fields(&[(0, 1, Fixed(14))]);
const END_QUORUM_EPOCH_TOPIC_DATA: Body =
    fields(&[(0, 1, Str), (0, 1, Array(&END_QUORUM_EPOCH_PARTITION_DATA))]);
const END_QUORUM_EPOCH_NODE_ENDPOINT: Body = fields(&[(1, 1, Fixed(4)), (1, 1, Str), (1, 1, Fixed(2))]);
const END_QUORUM_EPOCH: Body = fields(&[(0, 1, Fixed(2)), (0, 1, Array(&END_QUORUM_EPOCH_TOPIC_DATA))])
    .tagged(&[(0, 1, 1, Array(&END_QUORUM_EPOCH_NODE_ENDPOINT))]);
const DESCRIBE_QUORUM_REPLICA_STATE: Body =
    fields(&[(0, 2, Fixed(4)), (2, 2, Fixed(16)), (0, 2, Fixed(8)), (1, 2, Fixed(16))]);
const DESCRIBE_QUORUM_PARTITION_DATA: Body = fields(&[
    (0, 2, Fixed(6)),
    (2, 2, Str),
    (0, 2, Fixed(16)),
    (0, 2, Array(&DESCRIBE_QUORUM_REPLICA_STATE)),
    (0, 2, Array(&DESCRIBE_QUORUM_REPLICA_STATE)),
]);
const DESCRIBE_QUORUM_TOPIC_DATA: Body =
    fields(&[(0, 2, Str), (0, 2, Array(&DESCRIBE_QUORUM_PARTITION_DATA))]);
const DESCRIBE_QUORUM_LISTENER: Body = fields(&[(2, 2, Str), (2, 2, Str), (2, 2, Fixed(2))]);
const DESCRIBE_QUORUM_NODE: Body = fields(&[(2, 2, Fixed(4)), (2, 2, Array(&DESCRIBE_QUORUM_LISTENER))]);
const DESCRIBE_QUORUM: Body = fields(&[
    (0, 2, Fixed(2)),
    (2, 2, Str),
    (0, 2, Array(&DESCRIBE_QUORUM_TOPIC_DATA)),
    (2, 2, Array(&DESCRIBE_QUORUM_NODE)),
]);
const ALTER_PARTITION_PARTITION_DATA: Body =
    fields(&[(2, 3, Fixed(14)), (2, 3, ArrayOf(&Fixed(4))), (2, 3, Fixed(5))]);
const ALTER_PARTITION_TOPIC_DATA: Body =
    fields(&[(2, 3, Fixed(16)), (2, 3, Array(&ALTER_PARTITION_PARTITION_DATA))]);
const ALTER_PARTITION: Body = fields(&[(2, 3, Fixed(6)), (2, 3, Array(&ALTER_PARTITION_TOPIC_DATA))]);
const FETCH_SNAPSHOT_SNAPSHOT_ID: Body = fields(&[(0, 1, Fixed(12))]);
const FETCH_SNAPSHOT_LEADER_ID_AND_EPOCH: Body = fields(&[(0, 1, Fixed(8))]);
const FETCH_SNAPSHOT_PARTITION_SNAPSHOT: Body = fields(&[
    (0, 1, Fixed(6)),
    (0, 1, Struct(&FETCH_SNAPSHOT_SNAPSHOT_ID)),
    (0, 1, Fixed(16)),
    (0, 1, Bytes),
])
.tagged(&[(0, 0, 1, Struct(&FETCH_SNAPSHOT_LEADER_ID_AND_EPOCH))]);
const FETCH_SNAPSHOT_TOPIC_SNAPSHOT: Body =
    fields(&[(0, 1, Str), (0, 1, Array(&FETCH_SNAPSHOT_PARTITION_SNAPSHOT))]);
const FETCH_SNAPSHOT_NODE_ENDPOINT: Body = fields(&[(1, 1, Fixed(4)), (1, 1, Str), (1, 1, Fixed(2))]);
const FETCH_SNAPSHOT: Body = fields(&[(0, 1, Fixed(6)), (0, 1, Array(&FETCH_SNAPSHOT_TOPIC_SNAPSHOT))])
    .tagged(&[(0, 1, 1, Array(&FETCH_SNAPSHOT_NODE_ENDPOINT))]);
const DESCRIBE_CLUSTER_BROKER: Body =
    fields(&[(0, 2, Fixed(4)), (0, 2, Str), (0, 2, Fixed(4)), (0, 2, Str), (2, 2, Fixed(1))]);
const DESCRIBE_CLUSTER: Body = fields(&[
    (0, 2, Fixed(6)),
    (0, 2, Str),
    (1, 2, Fixed(1)),
    (0, 2, Str),
    (0, 2, Fixed(4)),
    (0, 2, Array(&DESCRIBE_CLUSTER_BROKER)),
    (0, 2, Fixed(4)),
]);
const DESCRIBE_PRODUCERS_PRODUCER_STATE: Body = fields(&[(0, 0, Fixed(36))]);
const DESCRIBE_PRODUCERS_PARTITION: Body =
    fields(&[(0, 0, Fixed(6)), (0, 0, Str), (0, 0, Array(&DESCRIBE_PRODUCERS_PRODUCER_STATE))]);
const DESCRIBE_PRODUCERS_TOPIC: Body = fields(&[(0, 0, Str), (0, 0, Array(&DESCRIBE_PRODUCERS_PARTITION))]);
const DESCRIBE_PRODUCERS: Body = fields(&[(0, 0, Fixed(4)), (0, 0, Array(&DESCRIBE_PRODUCERS_TOPIC))]);
const BROKER_REGISTRATION: Body = fields(&[(0, 4, Fixed(14))]);
const BROKER_HEARTBEAT: Body = fields(&[(0, 1, Fixed(9))]);
const UNREGISTER_BROKER: Body = fields(&[(0, 0, Fixed(6)), (0, 0, Str)]);
const DESCRIBE_TRANSACTIONS_TOPIC_DATA: Body = fields(&[(0, 0, Str), (0, 0, ArrayOf(&Fixed(4)))]);
const DESCRIBE_TRANSACTIONS_TRANSACTION_STATE: Body = fields(&[
    (0, 0, Fixed(2)),
    (0, 0, Str),
    (0, 0, Str),
    (0, 0, Fixed(22)),
    (0, 0, Array(&DESCRIBE_TRANSACTIONS_TOPIC_DATA)),
]);
const DESCRIBE_TRANSACTIONS: Body =
    fields(&[(0, 0, Fixed(4)), (0, 0, Array(&DESCRIBE_TRANSACTIONS_TRANSACTION_STATE))]);
const LIST_TRANSACTIONS_TRANSACTION_STATE: Body = fields(&[(0, 2, Str), (0, 2, Fixed(8)), (0, 2, Str)]);
const LIST_TRANSACTIONS: Body =
    fields(&[(0, 2, Fixed(6)), (0, 2, ArrayOf(&Str)), (0, 2, Array(&LIST_TRANSACTIONS_TRANSACTION_STATE))]);
const ALLOCATE_PRODUCER_IDS: Body = fields(&[(0, 0, Fixed(18))]);
const ASSIGN_REPLICAS_TO_DIRS_PARTITION: Body = fields(&[(0, 0, Fixed(6))]);
const ASSIGN_REPLICAS_TO_DIRS_TOPIC: Body =
    fields(&[(0, 0, Fixed(16)), (0, 0, Array(&ASSIGN_REPLICAS_TO_DIRS_PARTITION))]);
const ASSIGN_REPLICAS_TO_DIRS_DIRECTORY: Body =
    fields(&[(0, 0, Fixed(16)), (0, 0, Array(&ASSIGN_REPLICAS_TO_DIRS_TOPIC))]);
const ASSIGN_REPLICAS_TO_DIRS: Body =
    fields(&[(0, 0, Fixed(6)), (0, 0, Array(&ASSIGN_REPLICAS_TO_DIRS_DIRECTORY))]);
const CONSUMER_GROUP_HEARTBEAT_TOPIC_PARTITIONS: Body =
    fields(&[(0, 1, Fixed(16)), (0, 1, ArrayOf(&Fixed(4)))]);
const CONSUMER_GROUP_HEARTBEAT_ASSIGNMENT: Body =
    fields(&[(0, 1, Array(&CONSUMER_GROUP_HEARTBEAT_TOPIC_PARTITIONS))]);
const CONSUMER_GROUP_HEARTBEAT: Body = fields(&[
    (0, 1, Fixed(6)),
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Fixed(8)),
    (0, 1, Nullable(&CONSUMER_GROUP_HEARTBEAT_ASSIGNMENT)),
]);
const CONSUMER_GROUP_DESCRIBE_TOPIC_PARTITIONS: Body =
    fields(&[(0, 1, Fixed(16)), (0, 1, Str), (0, 1, ArrayOf(&Fixed(4)))]);
const CONSUMER_GROUP_DESCRIBE_ASSIGNMENT: Body =
    fields(&[(0, 1, Array(&CONSUMER_GROUP_DESCRIBE_TOPIC_PARTITIONS))]);
const CONSUMER_GROUP_DESCRIBE_MEMBER: Body = fields(&[
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Fixed(4)),
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, ArrayOf(&Str)),
    (0, 1, Str),
    (0, 1, Struct(&CONSUMER_GROUP_DESCRIBE_ASSIGNMENT)),
    (0, 1, Struct(&CONSUMER_GROUP_DESCRIBE_ASSIGNMENT)),
    (1, 1, Fixed(1)),
]);
const CONSUMER_GROUP_DESCRIBE_DESCRIBED_GROUP: Body = fields(&[
    (0, 1, Fixed(2)),
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Str),
    (0, 1, Fixed(8)),
    (0, 1, Str),
    (0, 1, Array(&CONSUMER_GROUP_DESCRIBE_MEMBER)),
    (0, 1, Fixed(4)),
]);
const CONSUMER_GROUP_DESCRIBE: Body =
    fields(&[(0, 1, Fixed(4)), (0, 1, Array(&CONSUMER_GROUP_DESCRIBE_DESCRIBED_GROUP))]);
const SASL_HANDSHAKE: Body = fields(&[(0, 1, Fixed(2)), (0, 1, ArrayOf(&Str))]);
const SASL_AUTHENTICATE: Body = fields(&[(0, 2, Fixed(2)), (0, 2, Str), (0, 2, Bytes), (1, 2, Fixed(8))]);
const DELETE_RECORDS_PARTITION: Body = fields(&[(0, 2, Fixed(14))]);
const DELETE_RECORDS_TOPIC: Body = fields(&[(0, 2, Str), (0, 2, Array(&DELETE_RECORDS_PARTITION))]);
const DELETE_RECORDS: Body = fields(&[(0, 2, Fixed(4)), (0, 2, Array(&DELETE_RECORDS_TOPIC))]);
const DESCRIBE_ACLS_ACL: Body = fields(&[(1, 3, Str), (1, 3, Str), (1, 3, Fixed(2))]);
const DESCRIBE_ACLS_RESOURCE: Body =
    fields(&[(1, 3, Fixed(1)), (1, 3, Str), (1, 3, Fixed(1)), (1, 3, Array(&DESCRIBE_ACLS_ACL))]);
const DESCRIBE_ACLS: Body = fields(&[(1, 3, Fixed(6)), (1, 3, Str), (1, 3, Array(&DESCRIBE_ACLS_RESOURCE))]);
const CREATE_ACLS_RESULT: Body = fields(&[(1, 3, Fixed(2)), (1, 3, Str)]);
const CREATE_ACLS: Body = fields(&[(1, 3, Fixed(4)), (1, 3, Array(&CREATE_ACLS_RESULT))]);
const DELETE_ACLS_MATCHING_ACL: Body = fields(&[
    (1, 3, Fixed(2)),
    (1, 3, Str),
    (1, 3, Fixed(1)),
    (1, 3, Str),
    (1, 3, Fixed(1)),
    (1, 3, Str),
    (1, 3, Str),
    (1, 3, Fixed(2)),
]);
const DELETE_ACLS_FILTER_RESULT: Body =
    fields(&[(1, 3, Fixed(2)), (1, 3, Str), (1, 3, Array(&DELETE_ACLS_MATCHING_ACL))]);
const DELETE_ACLS: Body = fields(&[(1, 3, Fixed(4)), (1, 3, Array(&DELETE_ACLS_FILTER_RESULT))]);
const ALTER_CONFIGS_RESOURCE: Body = fields(&[(0, 2, Fixed(2)), (0, 2, Str), (0, 2, Fixed(1)), (0, 2, Str)]);
const ALTER_CONFIGS: Body = fields(&[(0, 2, Fixed(4)), (0, 2, Array(&ALTER_CONFIGS_RESOURCE))]);
const DESCRIBE_LOG_DIRS_PARTITION: Body = fields(&[(1, 4, Fixed(21))]);
const DESCRIBE_LOG_DIRS_TOPIC: Body = fields(&[(1, 4, Str), (1, 4, Array(&DESCRIBE_LOG_DIRS_PARTITION))]);
const DESCRIBE_LOG_DIRS_RESULT: Body =
    fields(&[(1, 4, Fixed(2)), (1, 4, Str), (1, 4, Array(&DESCRIBE_LOG_DIRS_TOPIC)), (4, 4, Fixed(16))]);
const DESCRIBE_LOG_DIRS: Body =
    fields(&[(1, 4, Fixed(4)), (3, 4, Fixed(2)), (1, 4, Array(&DESCRIBE_LOG_DIRS_RESULT))]);
const ALTER_PARTITION_REASSIGNMENTS_PARTITION: Body = fields(&[(0, 1, Fixed(6)), (0, 1, Str)]);
const ALTER_PARTITION_REASSIGNMENTS_TOPIC: Body =
    fields(&[(0, 1, Str), (0, 1, Array(&ALTER_PARTITION_REASSIGNMENTS_PARTITION))]);
const ALTER_PARTITION_REASSIGNMENTS: Body = fields(&[
    (0, 1, Fixed(4)),
    (1, 1, Fixed(1)),
    (0, 1, Fixed(2)),
    (0, 1, Str),
    (0, 1, Array(&ALTER_PARTITION_REASSIGNMENTS_TOPIC)),
]);
const LIST_PARTITION_REASSIGNMENTS_PARTITION: Body = fields(&[
    (0, 0, Fixed(4)),
    (0, 0, ArrayOf(&Fixed(4))),
    (0, 0, ArrayOf(&Fixed(4))),
    (0, 0, ArrayOf(&Fixed(4))),
]);
const LIST_PARTITION_REASSIGNMENTS_TOPIC: Body =
    fields(&[(0, 0, Str), (0, 0, Array(&LIST_PARTITION_REASSIGNMENTS_PARTITION))]);
const LIST_PARTITION_REASSIGNMENTS: Body =
    fields(&[(0, 0, Fixed(6)), (0, 0, Str), (0, 0, Array(&LIST_PARTITION_REASSIGNMENTS_TOPIC))]);
const CLIENT_QUOTAS_ENTITY: Body = fields(&[(0, 1, Str), (0, 1, Str)]);
const DESCRIBE_CLIENT_QUOTAS_VALUE: Body = fields(&[(0, 1, Str), (0, 1, Fixed(8))]);
const DESCRIBE_CLIENT_QUOTAS_ENTRY: Body =
    fields(&[(0, 1, Array(&CLIENT_QUOTAS_ENTITY)), (0, 1, Array(&DESCRIBE_CLIENT_QUOTAS_VALUE))]);
const DESCRIBE_CLIENT_QUOTAS: Body =
    fields(&[(0, 1, Fixed(6)), (0, 1, Str), (0, 1, Array(&DESCRIBE_CLIENT_QUOTAS_ENTRY))]);
const ALTER_CLIENT_QUOTAS_ENTRY: Body =
    fields(&[(0, 1, Fixed(2)), (0, 1, Str), (0, 1, Array(&CLIENT_QUOTAS_ENTITY))]);
const ALTER_CLIENT_QUOTAS: Body = fields(&[(0, 1, Fixed(4)), (0, 1, Array(&ALTER_CLIENT_QUOTAS_ENTRY))]);
const DESCRIBE_USER_SCRAM_CREDENTIALS_INFO: Body = fields(&[(0, 0, Fixed(5))]);
const DESCRIBE_USER_SCRAM_CREDENTIALS_RESULT: Body = fields(&[
    (0, 0, Str),
    (0, 0, Fixed(2)),
    (0, 0, Str),
    (0, 0, Array(&DESCRIBE_USER_SCRAM_CREDENTIALS_INFO)),
]);
const DESCRIBE_USER_SCRAM_CREDENTIALS: Body =
    fields(&[(0, 0, Fixed(6)), (0, 0, Str), (0, 0, Array(&DESCRIBE_USER_SCRAM_CREDENTIALS_RESULT))]);
const ALTER_USER_SCRAM_CREDENTIALS_RESULT: Body = fields(&[(0, 0, Str), (0, 0, Fixed(2)), (0, 0, Str)]);
const ALTER_USER_SCRAM_CREDENTIALS: Body =
    fields(&[(0, 0, Fixed(4)), (0, 0, Array(&ALTER_USER_SCRAM_CREDENTIALS_RESULT))]);
const UPDATE_FEATURES_RESULT: Body = fields(&[(0, 1, Str), (0, 1, Fixed(2)), (0, 1, Str)]);
const UPDATE_FEATURES: Body =
    fields(&[(0, 2, Fixed(6)), (0, 2, Str), (0, 1, Array(&UPDATE_FEATURES_RESULT))]);
const LIST_CONFIG_RESOURCES_RESOURCE: Body = fields(&[(0, 1, Str), (1, 1, Fixed(1))]);
const LIST_CONFIG_RESOURCES: Body =
    fields(&[(0, 1, Fixed(6)), (0, 1, Array(&LIST_CONFIG_RESOURCES_RESOURCE))]);
const DESCRIBE_TOPIC_PARTITIONS_PARTITION: Body = fields(&[
    (0, 0, Fixed(14)),
    (0, 0, ArrayOf(&Fixed(4))),
    (0, 0, ArrayOf(&Fixed(4))),
    (0, 0, ArrayOf(&Fixed(4))),
    (0, 0, ArrayOf(&Fixed(4))),
    (0, 0, ArrayOf(&Fixed(4))),
]);
const DESCRIBE_TOPIC_PARTITIONS_TOPIC: Body = fields(&[
    (0, 0, Fixed(2)),
    (0, 0, Str),
    (0, 0, Fixed(17)),
    (0, 0, Array(&DESCRIBE_TOPIC_PARTITIONS_PARTITION)),
    (0, 0, Fixed(4)),
]);
const DESCRIBE_TOPIC_PARTITIONS_CURSOR: Body = fields(&[(0, 0, Str), (0, 0, Fixed(4))]);
const DESCRIBE_TOPIC_PARTITIONS: Body = fields(&[
    (0, 0, Fixed(4)),
    (0, 0, Array(&DESCRIBE_TOPIC_PARTITIONS_TOPIC)),
    (0, 0, Nullable(&DESCRIBE_TOPIC_PARTITIONS_CURSOR)),
]);

/// The shape of the body of an API's response.
pub(super) fn shape(api: ApiKey) -> Option<&'static Body> {
    Some(match api {
        ApiKey::Produce => &PRODUCE,
        ApiKey::Fetch => &FETCH,
        ApiKey::ListOffsets => &LIST_OFFSETS,
        ApiKey::Metadata => &METADATA,
        ApiKey::OffsetCommit => &OFFSET_COMMIT,
        ApiKey::OffsetFetch => &OFFSET_FETCH,
        ApiKey::FindCoordinator => &FIND_COORDINATOR,
        ApiKey::JoinGroup => &JOIN_GROUP,
        ApiKey::Heartbeat => &HEARTBEAT,
        ApiKey::LeaveGroup => &LEAVE_GROUP,
        ApiKey::SyncGroup => &SYNC_GROUP,
        ApiKey::DescribeGroups => &DESCRIBE_GROUPS,
        ApiKey::ListGroups => &LIST_GROUPS,
        ApiKey::ApiVersions => &API_VERSIONS,
        ApiKey::CreateTopics => &CREATE_TOPICS,
        ApiKey::DeleteTopics => &DELETE_TOPICS,
        ApiKey::InitProducerId => &INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => &OFFSET_FOR_LEADER_EPOCH,
        ApiKey::AddPartitionsToTxn => &ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => &ADD_OFFSETS_TO_TXN,
        ApiKey::EndTxn => &END_TXN,
        ApiKey::WriteTxnMarkers => &WRITE_TXN_MARKERS,
        ApiKey::TxnOffsetCommit => &TXN_OFFSET_COMMIT,
        ApiKey::DescribeConfigs => &DESCRIBE_CONFIGS,
        ApiKey::CreatePartitions => &CREATE_PARTITIONS,
        ApiKey::DeleteGroups => &DELETE_GROUPS,
        ApiKey::ElectLeaders => &ELECT_LEADERS,
        ApiKey::IncrementalAlterConfigs => &INCREMENTAL_ALTER_CONFIGS,
        ApiKey::OffsetDelete => &OFFSET_DELETE,
        ApiKey::Vote => &VOTE,
        ApiKey::BeginQuorumEpoch => &BEGIN_QUORUM_EPOCH,
        ApiKey::EndQuorumEpoch => &END_QUORUM_EPOCH,
        ApiKey::DescribeQuorum => &DESCRIBE_QUORUM,
        ApiKey::AlterPartition => &ALTER_PARTITION,
        ApiKey::FetchSnapshot => &FETCH_SNAPSHOT,
        ApiKey::DescribeCluster => &DESCRIBE_CLUSTER,
        ApiKey::DescribeProducers => &DESCRIBE_PRODUCERS,
        ApiKey::BrokerRegistration => &BROKER_REGISTRATION,
        ApiKey::BrokerHeartbeat => &BROKER_HEARTBEAT,
        ApiKey::UnregisterBroker => &UNREGISTER_BROKER,
        ApiKey::DescribeTransactions => &DESCRIBE_TRANSACTIONS,
        ApiKey::ListTransactions => &LIST_TRANSACTIONS,
        ApiKey::AllocateProducerIds => &ALLOCATE_PRODUCER_IDS,
        ApiKey::AssignReplicasToDirs => &ASSIGN_REPLICAS_TO_DIRS,
        ApiKey::ConsumerGroupHeartbeat => &CONSUMER_GROUP_HEARTBEAT,
        ApiKey::ConsumerGroupDescribe => &CONSUMER_GROUP_DESCRIBE,
        ApiKey::SaslHandshake => &SASL_HANDSHAKE,
        ApiKey::SaslAuthenticate => &SASL_AUTHENTICATE,
        ApiKey::DeleteRecords => &DELETE_RECORDS,
        ApiKey::DescribeAcls => &DESCRIBE_ACLS,
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
