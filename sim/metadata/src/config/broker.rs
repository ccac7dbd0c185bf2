//! Broker configs (`KafkaConfig` and its parts in Kafka's source).

use trial_node::Span;

use super::configs;
use super::parse::ConfigDef;
use super::parse::ConfigKind::{Bool, Int, ListOf, Long, OneOf};
use super::parse::ConfigLink::{Dynamic, ReadOnly};

configs! {
    /// The effective configs of one broker, parsed. What only topics have a use for has no field here.
    struct BrokerConfig;
    /// Every broker config that we honour.
    table BROKER_CONFIGS;

    #[doc = "whether asking for the metadata of an unknown topic may create it."]
    "auto.create.topics.enable" auto_create_topics_enable: bool = "true", Bool, ReadOnly;
    #[doc = "whether the controller moves leaderships back to preferred replicas by itself."]
    "auto.leader.rebalance.enable" auto_leader_rebalance_enable: bool = "true", Bool, ReadOnly;
    #[doc = "how often a broker sends a heartbeat to the controller, in milliseconds."]
    "broker.heartbeat.interval.ms" broker_heartbeat_interval: Span = "2000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a broker may be silent before the controller fences it, in milliseconds."]
    "broker.session.timeout.ms" broker_session_timeout: Span = "9000", Int(1, i32::MAX), ReadOnly;
    #[doc = "the codec that batches are stored in: what the producer sent is kept as it is."]
    "compression.type" = "producer", OneOf(&["producer"]), Dynamic;
    #[doc = "whether SIGTERM makes a broker hand over its leaderships first."]
    "controlled.shutdown.enable" controlled_shutdown_enable: bool = "true", Bool, ReadOnly;
    #[doc = "how long the quorum's leader collects records before it writes them, in milliseconds."]
    "controller.quorum.append.linger.ms" controller_quorum_append_linger: Span = "25", Int(0, i32::MAX), ReadOnly;
    #[doc = "how long the last in line waits before it stands for election when the quorum's leader resigns, in milliseconds."]
    "controller.quorum.election.backoff.max.ms" controller_quorum_election_backoff_max: Span = "1000", Int(0, i32::MAX), ReadOnly;
    #[doc = "how long a quorum election may take before a new one begins, in milliseconds."]
    "controller.quorum.election.timeout.ms" controller_quorum_election_timeout: Span = "1000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a quorum follower goes without a successful fetch before it stands for election, in milliseconds."]
    "controller.quorum.fetch.timeout.ms" controller_quorum_fetch_timeout: Span = "2000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a quorum request waits for its response, in milliseconds."]
    "controller.quorum.request.timeout.ms" controller_quorum_request_timeout: Span = "2000", Int(0, i32::MAX), ReadOnly;
    #[doc = "how long a quorum member waits before it repeats a failed request, in milliseconds."]
    "controller.quorum.retry.backoff.ms" controller_quorum_retry_backoff: Span = "20", Int(0, i32::MAX), ReadOnly;
    #[doc = "the replication factor of topics whose creator does not say."]
    "default.replication.factor" default_replication_factor: i32 = "1", Int(1, 32767), ReadOnly;
    #[doc = "whether topics may be deleted."]
    "delete.topic.enable" delete_topic_enable: bool = "true", Bool, ReadOnly;
    #[doc = "the most bytes that one fetch returns, whatever it asks for."]
    "fetch.max.bytes" fetch_max_bytes: i32 = "57671680", Int(1024, i32::MAX), ReadOnly;
    #[doc = "the assignors that KIP-848 groups may choose from; the first is the one of those that do not choose."]
    "group.consumer.assignors" group_consumer_assignors: Vec<String> = "uniform,range", ListOf(&["range", "uniform"]), ReadOnly;
    #[doc = "how often members of a KIP-848 group send heartbeats, in milliseconds."]
    "group.consumer.heartbeat.interval.ms" group_consumer_heartbeat_interval: Span = "5000", Int(1, i32::MAX), ReadOnly;
    #[doc = "the largest that group.consumer.heartbeat.interval.ms may be, in milliseconds."]
    "group.consumer.max.heartbeat.interval.ms" group_consumer_max_heartbeat_interval: Span = "15000", Int(1, i32::MAX), ReadOnly;
    #[doc = "the largest that group.consumer.session.timeout.ms may be, in milliseconds."]
    "group.consumer.max.session.timeout.ms" group_consumer_max_session_timeout: Span = "60000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how many members a KIP-848 group may have."]
    "group.consumer.max.size" group_consumer_max_size: i32 = "2147483647", Int(1, i32::MAX), ReadOnly;
    #[doc = "the smallest that group.consumer.heartbeat.interval.ms may be, in milliseconds."]
    "group.consumer.min.heartbeat.interval.ms" group_consumer_min_heartbeat_interval: Span = "5000", Int(1, i32::MAX), ReadOnly;
    #[doc = "the smallest that group.consumer.session.timeout.ms may be, in milliseconds."]
    "group.consumer.min.session.timeout.ms" group_consumer_min_session_timeout: Span = "45000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a member of a KIP-848 group may be silent before it is thrown out, in milliseconds."]
    "group.consumer.session.timeout.ms" group_consumer_session_timeout: Span = "45000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long the first rebalance of a new group waits for more members, in milliseconds."]
    "group.initial.rebalance.delay.ms" group_initial_rebalance_delay: Span = "3000", Int(0, i32::MAX), ReadOnly;
    #[doc = "the longest session time-out that a member of a classic group may ask for, in milliseconds."]
    "group.max.session.timeout.ms" group_max_session_timeout: Span = "1800000", Int(0, i32::MAX), ReadOnly;
    #[doc = "how many members a classic group may have."]
    "group.max.size" group_max_size: i32 = "2147483647", Int(1, i32::MAX), ReadOnly;
    #[doc = "the shortest session time-out that a member of a classic group may ask for, in milliseconds."]
    "group.min.session.timeout.ms" group_min_session_timeout: Span = "6000", Int(0, i32::MAX), ReadOnly;
    #[doc = "how often the controller looks for leaders that are not preferred, in seconds."]
    "leader.imbalance.check.interval.seconds" leader_imbalance_check_interval_seconds: i64 = "300", Long(1, i64::MAX), ReadOnly;
    #[doc = "what becomes of old data: deleted as log.retention.ms and log.retention.bytes say, which set no limit; or compacted."]
    "log.cleanup.policy" = "delete", ListOf(&["compact", "delete"]), Dynamic;
    #[doc = "how many records may be appended before a log is flushed to the device."]
    "log.flush.interval.messages" = "9223372036854775807", Long(1, i64::MAX), Dynamic;
    #[doc = "how often recovery points are written down, in milliseconds."]
    "log.flush.offset.checkpoint.interval.ms" log_flush_offset_checkpoint_interval: Span = "60000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how many bytes of records lie between two entries of an offset index."]
    "log.index.interval.bytes" = "4096", Int(0, i32::MAX), Dynamic;
    #[doc = "the size in bytes that an index may grow to before a new segment is begun."]
    "log.index.size.max.bytes" = "10485760", Int(4, i32::MAX), Dynamic;
    #[doc = "whether records keep the producer's timestamps or get the broker's."]
    "log.message.timestamp.type" = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Dynamic;
    #[doc = "how many bytes a partition's log may have before its oldest segments go: any number, for nothing is deleted."]
    "log.retention.bytes" = "-1", Long(-1, -1), Dynamic;
    #[doc = "how many milliseconds a record is kept before its segment may go: for ever (7 days in Kafka), for nothing is deleted."]
    "log.retention.ms" = "-1", Long(-1, -1), Dynamic;
    #[doc = "how many milliseconds of records a segment may span before a new one is begun."]
    "log.roll.ms" = "604800000", Long(1, i64::MAX), Dynamic;
    #[doc = "the size in bytes at which a new segment is begun."]
    "log.segment.bytes" = "1073741824", Int(14, i32::MAX), Dynamic;
    #[doc = "how many fetch sessions a broker keeps."]
    "max.incremental.fetch.session.cache.slots" max_incremental_fetch_session_cache_slots: i32 = "1000", Int(0, i32::MAX), ReadOnly;
    #[doc = "the largest record batch, in bytes, that may be appended."]
    "message.max.bytes" = "1048588", Int(0, i32::MAX), Dynamic;
    #[doc = "how many bytes of metadata records are written before a new snapshot is; the log before the snapshot goes at once (Kafka keeps up to metadata.max.retention.bytes of both)."]
    "metadata.log.max.record.bytes.between.snapshots" metadata_log_max_record_bytes_between_snapshots: i64 = "20971520", Long(1, i64::MAX), ReadOnly;
    #[doc = "how long until a new metadata snapshot is written if there are new records, in milliseconds; 0 for never."]
    "metadata.log.max.snapshot.interval.ms" metadata_log_max_snapshot_interval: Span = "3600000", Long(0, i64::MAX), ReadOnly;
    #[doc = "the size in bytes at which the metadata log begins a new segment."]
    "metadata.log.segment.bytes" metadata_log_segment_bytes: i32 = "1073741824", Int(8388608, i32::MAX), ReadOnly;
    #[doc = "how often the active controller writes a NoOp record, in milliseconds; 0 for never."]
    "metadata.max.idle.interval.ms" metadata_max_idle_interval: Span = "500", Int(0, i32::MAX), ReadOnly;
    #[doc = "how many replicas must be in sync for a write with acks=all to be accepted."]
    "min.insync.replicas" = "1", Int(1, i32::MAX), Dynamic;
    #[doc = "the number of partitions of topics whose creator does not say."]
    "num.partitions" num_partitions: i32 = "1", Int(1, i32::MAX), ReadOnly;
    #[doc = "how many bytes of metadata may go with a committed offset."]
    "offset.metadata.max.bytes" offset_metadata_max_bytes: i32 = "4096", Int(0, i32::MAX), ReadOnly;
    #[doc = "how long a group's coordinator waits until what it appended is committed, in milliseconds."]
    "offsets.commit.timeout.ms" offsets_commit_timeout: Span = "5000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how many bytes of __consumer_offsets are read at once when a broker begins to coordinate groups."]
    "offsets.load.buffer.size" offsets_load_buffer_size: i32 = "5242880", Int(1, i32::MAX), ReadOnly;
    #[doc = "how often offsets that have expired are looked for, in milliseconds."]
    "offsets.retention.check.interval.ms" offsets_retention_check_interval: Span = "600000", Long(1, i64::MAX), ReadOnly;
    #[doc = "how long offsets are kept once their group is empty, or their topic is not subscribed to any more, in minutes."]
    "offsets.retention.minutes" offsets_retention_minutes: i32 = "10080", Int(1, i32::MAX), ReadOnly;
    #[doc = "the number of partitions that __consumer_offsets is created with."]
    "offsets.topic.num.partitions" offsets_topic_num_partitions: i32 = "50", Int(1, i32::MAX), ReadOnly;
    #[doc = "the replication factor that __consumer_offsets is created with."]
    "offsets.topic.replication.factor" offsets_topic_replication_factor: i32 = "3", Int(1, 32767), ReadOnly;
    #[doc = "the segment size in bytes that __consumer_offsets is created with."]
    "offsets.topic.segment.bytes" offsets_topic_segment_bytes: i32 = "104857600", Int(14, i32::MAX), ReadOnly;
    #[doc = "how often producers that have expired are looked for, in milliseconds."]
    "producer.id.expiration.check.interval.ms" producer_id_expiration_check_interval: Span = "600000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a partition's leader remembers a producer that writes nothing, in milliseconds."]
    "producer.id.expiration.ms" producer_id_expiration: Span = "86400000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a follower pauses after a failed fetch, in milliseconds."]
    "replica.fetch.backoff.ms" replica_fetch_backoff: Span = "1000", Int(0, i32::MAX), ReadOnly;
    #[doc = "how many bytes of one partition a follower fetches at once."]
    "replica.fetch.max.bytes" replica_fetch_max_bytes: i32 = "1048576", Int(0, i32::MAX), ReadOnly;
    #[doc = "how many bytes a leader collects before it answers a follower's fetch."]
    "replica.fetch.min.bytes" replica_fetch_min_bytes: i32 = "1", Int(0, i32::MAX), ReadOnly;
    #[doc = "how many bytes a follower fetches at once."]
    "replica.fetch.response.max.bytes" replica_fetch_response_max_bytes: i32 = "10485760", Int(0, i32::MAX), ReadOnly;
    #[doc = "how long a leader may hold a follower's fetch, in milliseconds."]
    "replica.fetch.wait.max.ms" replica_fetch_wait_max: Span = "500", Int(0, i32::MAX), ReadOnly;
    #[doc = "how often high watermarks are written down, in milliseconds."]
    "replica.high.watermark.checkpoint.interval.ms" replica_high_watermark_checkpoint_interval: Span = "5000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a follower may lag before the leader takes it out of the ISR, in milliseconds."]
    "replica.lag.time.max.ms" replica_lag_time_max: Span = "30000", Long(1, i64::MAX), ReadOnly;
    #[doc = "how long a follower waits for a leader's response, in milliseconds."]
    "replica.socket.timeout.ms" replica_socket_timeout: Span = "30000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how long a broker waits for a response to its own requests, in milliseconds."]
    "request.timeout.ms" request_timeout: Span = "30000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how often transactions that have timed out are looked for, in milliseconds."]
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" transaction_abort_timed_out_interval: Span = "10000", Int(1, i32::MAX), ReadOnly;
    #[doc = "the longest time-out that a transactional producer may ask for, in milliseconds."]
    "transaction.max.timeout.ms" transaction_max_timeout_ms: i32 = "900000", Int(1, i32::MAX), ReadOnly;
    #[doc = "whether a leader asks the coordinator if a partition belongs to a transaction before it appends the first record of one (KIP-890)."]
    "transaction.partition.verification.enable" transaction_partition_verification_enable: bool = "true", Bool, ReadOnly;
    #[doc = "how often transactional ids that have expired are looked for, in milliseconds."]
    "transaction.remove.expired.transaction.cleanup.interval.ms" transaction_remove_expired_interval: Span = "3600000", Int(1, i32::MAX), ReadOnly;
    #[doc = "how many bytes of __transaction_state are read at once when a broker begins to coordinate transactions."]
    "transaction.state.log.load.buffer.size" transaction_state_log_load_buffer_size: i32 = "5242880", Int(1, i32::MAX), ReadOnly;
    #[doc = "the min.insync.replicas that __transaction_state is created with."]
    "transaction.state.log.min.isr" transaction_state_log_min_isr: i32 = "2", Int(1, i32::MAX), ReadOnly;
    #[doc = "the number of partitions that __transaction_state is created with."]
    "transaction.state.log.num.partitions" transaction_state_log_num_partitions: i32 = "50", Int(1, i32::MAX), ReadOnly;
    #[doc = "the replication factor that __transaction_state is created with."]
    "transaction.state.log.replication.factor" transaction_state_log_replication_factor: i32 = "3", Int(1, 32767), ReadOnly;
    #[doc = "the segment size in bytes that __transaction_state is created with."]
    "transaction.state.log.segment.bytes" transaction_state_log_segment_bytes: i32 = "104857600", Int(14, i32::MAX), ReadOnly;
    #[doc = "how long a transactional id is remembered that has no transaction, in milliseconds."]
    "transactional.id.expiration.ms" transactional_id_expiration_ms: i32 = "604800000", Int(1, i32::MAX), ReadOnly;
    #[doc = "whether a replica that is not in sync may become leader when no other can, losing data."]
    "unclean.leader.election.enable" = "false", Bool, Dynamic;
}
