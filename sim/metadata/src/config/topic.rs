//! Topic configs (`TopicConfig`, `LogConfig` in Kafka's source).

use super::configs;
use super::parse::ConfigKind::{Bool, Int, ListOf, Long, OneOf};
use super::parse::ConfigLink::Broker;
use super::parse::{CleanupPolicy, CompressionType, ConfigDef, TimestampType};

configs! {
    /// The effective configs of one topic on one broker, parsed.
    struct TopicConfig;
    /// Every topic config that we honour.
    table TOPIC_CONFIGS;

    #[doc = "what becomes of old data: delete, compact, or both."]
    "cleanup.policy" cleanup_policy: CleanupPolicy = "delete", ListOf(&["compact", "delete"]), Broker("log.cleanup.policy");
    #[doc = "the codec that batches are stored in; producer keeps what the producer sent."]
    "compression.type" compression_type: CompressionType = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Broker("compression.type");
    #[doc = "how many records may be appended before the log is flushed to the device."]
    "flush.messages" flush_messages: i64 = "9223372036854775807", Long(1, i64::MAX), Broker("log.flush.interval.messages");
    #[doc = "how long, in milliseconds, a record may wait before the log is flushed to the device."]
    "flush.ms" flush_ms: i64 = "9223372036854775807", Long(0, i64::MAX), Broker("log.flush.interval.ms");
    #[doc = "how many bytes of records lie between two entries of the offset index."]
    "index.interval.bytes" index_interval_bytes: i32 = "4096", Int(0, i32::MAX), Broker("log.index.interval.bytes");
    #[doc = "the largest record batch, in bytes, that may be appended."]
    "max.message.bytes" max_message_bytes: i32 = "1048588", Int(0, i32::MAX), Broker("message.max.bytes");
    #[doc = "how far, in milliseconds, a record's timestamp may lie ahead of the broker's clock."]
    "message.timestamp.after.max.ms" message_timestamp_after_max_ms: i64 = "3600000", Long(0, i64::MAX),
        Broker("log.message.timestamp.after.max.ms");
    #[doc = "how far, in milliseconds, a record's timestamp may lie behind the broker's clock."]
    "message.timestamp.before.max.ms" message_timestamp_before_max_ms: i64 = "9223372036854775807", Long(0, i64::MAX),
        Broker("log.message.timestamp.before.max.ms");
    #[doc = "whether records keep the producer's timestamps or get the broker's."]
    "message.timestamp.type" message_timestamp_type: TimestampType = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]),
        Broker("log.message.timestamp.type");
    #[doc = "how many replicas must be in sync for a write with acks=all to be accepted."]
    "min.insync.replicas" min_insync_replicas: i32 = "1", Int(1, i32::MAX), Broker("min.insync.replicas");
    #[doc = "how many bytes a partition's log may have before its oldest segments go; -1 for any number."]
    "retention.bytes" retention_bytes: i64 = "-1", Long(i64::MIN, i64::MAX), Broker("log.retention.bytes");
    #[doc = "how many milliseconds a record is kept before its segment may go; -1 for ever."]
    "retention.ms" retention_ms: i64 = "604800000", Long(-1, i64::MAX), Broker("log.retention.ms");
    #[doc = "the size in bytes at which a new segment is begun."]
    "segment.bytes" segment_bytes: i32 = "1073741824", Int(14, i32::MAX), Broker("log.segment.bytes");
    #[doc = "the size in bytes that an index may grow to before a new segment is begun."]
    "segment.index.bytes" segment_index_bytes: i32 = "10485760", Int(4, i32::MAX), Broker("log.index.size.max.bytes");
    #[doc = "how many milliseconds of records a segment may span before a new one is begun."]
    "segment.ms" segment_ms: i64 = "604800000", Long(1, i64::MAX), Broker("log.roll.ms");
    #[doc = "whether a replica that is not in sync may become leader when no other can, losing data."]
    "unclean.leader.election.enable" unclean_leader_election_enable: bool = "false", Bool,
        Broker("unclean.leader.election.enable");
}
