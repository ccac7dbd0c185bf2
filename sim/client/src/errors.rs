//! What error codes mean to a client.

use trial_wire::ErrorCode;

/// Kafka's name of an error, as in its protocol guide.
pub fn name(error: ErrorCode) -> &'static str {
    match error {
        ErrorCode::OffsetOutOfRange => "OFFSET_OUT_OF_RANGE",
        ErrorCode::CorruptMessage => "CORRUPT_MESSAGE",
        ErrorCode::UnknownTopicOrPartition => "UNKNOWN_TOPIC_OR_PARTITION",
        ErrorCode::LeaderNotAvailable => "LEADER_NOT_AVAILABLE",
        ErrorCode::NotLeaderOrFollower => "NOT_LEADER_OR_FOLLOWER",
        ErrorCode::RequestTimedOut => "REQUEST_TIMED_OUT",
        ErrorCode::BrokerNotAvailable => "BROKER_NOT_AVAILABLE",
        ErrorCode::ReplicaNotAvailable => "REPLICA_NOT_AVAILABLE",
        ErrorCode::MessageTooLarge => "MESSAGE_TOO_LARGE",
        ErrorCode::NetworkException => "NETWORK_EXCEPTION",
        ErrorCode::CoordinatorLoadInProgress => "COORDINATOR_LOAD_IN_PROGRESS",
        ErrorCode::CoordinatorNotAvailable => "COORDINATOR_NOT_AVAILABLE",
        ErrorCode::NotCoordinator => "NOT_COORDINATOR",
        ErrorCode::InvalidTopicException => "INVALID_TOPIC_EXCEPTION",
        ErrorCode::RecordListTooLarge => "RECORD_LIST_TOO_LARGE",
        ErrorCode::NotEnoughReplicas => "NOT_ENOUGH_REPLICAS",
        ErrorCode::NotEnoughReplicasAfterAppend => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        ErrorCode::InvalidRequiredAcks => "INVALID_REQUIRED_ACKS",
        ErrorCode::IllegalGeneration => "ILLEGAL_GENERATION",
        ErrorCode::InconsistentGroupProtocol => "INCONSISTENT_GROUP_PROTOCOL",
        ErrorCode::InvalidGroupId => "INVALID_GROUP_ID",
        ErrorCode::UnknownMemberId => "UNKNOWN_MEMBER_ID",
        ErrorCode::InvalidSessionTimeout => "INVALID_SESSION_TIMEOUT",
        ErrorCode::RebalanceInProgress => "REBALANCE_IN_PROGRESS",
        ErrorCode::InvalidCommitOffsetSize => "INVALID_COMMIT_OFFSET_SIZE",
        ErrorCode::OffsetMetadataTooLarge => "OFFSET_METADATA_TOO_LARGE",
        ErrorCode::GroupAuthorizationFailed => "GROUP_AUTHORIZATION_FAILED",
        ErrorCode::MemberIdRequired => "MEMBER_ID_REQUIRED",
        ErrorCode::GroupMaxSizeReached => "GROUP_MAX_SIZE_REACHED",
        ErrorCode::FencedInstanceId => "FENCED_INSTANCE_ID",
        ErrorCode::GroupIdNotFound => "GROUP_ID_NOT_FOUND",
        ErrorCode::UnstableOffsetCommit => "UNSTABLE_OFFSET_COMMIT",
        ErrorCode::FencedMemberEpoch => "FENCED_MEMBER_EPOCH",
        ErrorCode::StaleMemberEpoch => "STALE_MEMBER_EPOCH",
        ErrorCode::UnreleasedInstanceId => "UNRELEASED_INSTANCE_ID",
        ErrorCode::UnsupportedAssignor => "UNSUPPORTED_ASSIGNOR",
        ErrorCode::TopicAuthorizationFailed => "TOPIC_AUTHORIZATION_FAILED",
        ErrorCode::ClusterAuthorizationFailed => "CLUSTER_AUTHORIZATION_FAILED",
        ErrorCode::InvalidTimestamp => "INVALID_TIMESTAMP",
        ErrorCode::UnsupportedVersion => "UNSUPPORTED_VERSION",
        ErrorCode::TopicAlreadyExists => "TOPIC_ALREADY_EXISTS",
        ErrorCode::InvalidPartitions => "INVALID_PARTITIONS",
        ErrorCode::InvalidReplicationFactor => "INVALID_REPLICATION_FACTOR",
        ErrorCode::InvalidReplicaAssignment => "INVALID_REPLICA_ASSIGNMENT",
        ErrorCode::InvalidConfig => "INVALID_CONFIG",
        ErrorCode::NotController => "NOT_CONTROLLER",
        ErrorCode::InvalidRequest => "INVALID_REQUEST",
        ErrorCode::UnsupportedForMessageFormat => "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        ErrorCode::PolicyViolation => "POLICY_VIOLATION",
        ErrorCode::OutOfOrderSequenceNumber => "OUT_OF_ORDER_SEQUENCE_NUMBER",
        ErrorCode::DuplicateSequenceNumber => "DUPLICATE_SEQUENCE_NUMBER",
        ErrorCode::InvalidProducerEpoch => "INVALID_PRODUCER_EPOCH",
        ErrorCode::InvalidTxnState => "INVALID_TXN_STATE",
        ErrorCode::InvalidProducerIdMapping => "INVALID_PRODUCER_ID_MAPPING",
        ErrorCode::InvalidTransactionTimeout => "INVALID_TRANSACTION_TIMEOUT",
        ErrorCode::ConcurrentTransactions => "CONCURRENT_TRANSACTIONS",
        ErrorCode::TransactionCoordinatorFenced => "TRANSACTION_COORDINATOR_FENCED",
        ErrorCode::TransactionalIdAuthorizationFailed => "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
        ErrorCode::OperationNotAttempted => "OPERATION_NOT_ATTEMPTED",
        ErrorCode::ProducerFenced => "PRODUCER_FENCED",
        ErrorCode::TransactionAbortable => "TRANSACTION_ABORTABLE",
        ErrorCode::KafkaStorageError => "KAFKA_STORAGE_ERROR",
        ErrorCode::UnknownProducerId => "UNKNOWN_PRODUCER_ID",
        ErrorCode::FetchSessionIdNotFound => "FETCH_SESSION_ID_NOT_FOUND",
        ErrorCode::InvalidFetchSessionEpoch => "INVALID_FETCH_SESSION_EPOCH",
        ErrorCode::ListenerNotFound => "LISTENER_NOT_FOUND",
        ErrorCode::FencedLeaderEpoch => "FENCED_LEADER_EPOCH",
        ErrorCode::UnknownLeaderEpoch => "UNKNOWN_LEADER_EPOCH",
        ErrorCode::UnsupportedCompressionType => "UNSUPPORTED_COMPRESSION_TYPE",
        ErrorCode::OffsetNotAvailable => "OFFSET_NOT_AVAILABLE",
        ErrorCode::PreferredLeaderNotAvailable => "PREFERRED_LEADER_NOT_AVAILABLE",
        ErrorCode::EligibleLeadersNotAvailable => "ELIGIBLE_LEADERS_NOT_AVAILABLE",
        ErrorCode::ElectionNotNeeded => "ELECTION_NOT_NEEDED",
        ErrorCode::InvalidRecord => "INVALID_RECORD",
        ErrorCode::ThrottlingQuotaExceeded => "THROTTLING_QUOTA_EXCEEDED",
        ErrorCode::NoReassignmentInProgress => "NO_REASSIGNMENT_IN_PROGRESS",
        ErrorCode::UnknownTopicId => "UNKNOWN_TOPIC_ID",
        ErrorCode::InconsistentTopicId => "INCONSISTENT_TOPIC_ID",
        ErrorCode::FetchSessionTopicIdError => "FETCH_SESSION_TOPIC_ID_ERROR",
        _ => "UNKNOWN_SERVER_ERROR",
    }
}

/// Every name that [`name`] gives, some of them more than once.
pub fn names() -> impl Iterator<Item = &'static str> {
    let errors = (1..).filter_map(ErrorCode::try_from_code);
    errors.take_while(|error| !matches!(error, ErrorCode::Unknown(_))).map(name)
}

/// Whether a client's metadata is out of date (`InvalidMetadataException` in Kafka).
pub fn is_invalid_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::ListenerNotFound
            | ErrorCode::KafkaStorageError
            | ErrorCode::NetworkException
            | ErrorCode::PreferredLeaderNotAvailable
            | ErrorCode::EligibleLeadersNotAvailable
            | ErrorCode::ElectionNotNeeded
    )
}

/// Whether a broker that answers a Produce request with this error has certainly not appended the batch. All others may
/// come after the append: a leader that has lost its role, or its followers, while it waited for them says so with
/// NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS_AFTER_APPEND or REQUEST_TIMED_OUT.
pub fn is_rejection_before_append(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::CorruptMessage
            | ErrorCode::MessageTooLarge
            | ErrorCode::RecordListTooLarge
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::InvalidRequiredAcks
            | ErrorCode::InvalidTopicException
            | ErrorCode::TopicAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::InvalidTimestamp
            | ErrorCode::UnsupportedVersion
            | ErrorCode::UnsupportedForMessageFormat
            | ErrorCode::UnsupportedCompressionType
            | ErrorCode::PolicyViolation
            | ErrorCode::InvalidRequest
            | ErrorCode::InvalidRecord
            | ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::ProducerFenced
            | ErrorCode::InvalidTxnState
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::ConcurrentTransactions
            | ErrorCode::TransactionAbortable
    )
}
