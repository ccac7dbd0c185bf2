//! Topic configs (`TopicConfig`, `LogConfig` in Kafka's source).

use super::configs;
use super::parse::ConfigDef;
use super::parse::ConfigKind::{Bool, Int, ListOf, Long, OneOf, Ratio, Replicas};
use super::parse::ConfigLink::{Broker, TopicOnly};

configs! {
    /// Every topic config that we honour.
    table TOPIC_CONFIGS;

    #[doc = "what becomes of old data: deleted as retention.ms and retention.bytes say, compacted, or both."]
    "cleanup.policy" = "delete", ListOf(&["compact", "delete"]), Broker("log.cleanup.policy");
    #[doc = "the level of gzip, from 1 to 9, when a leader compresses anew (KIP-390); -1 for the codec's own."]
    "compression.gzip.level" = "-1", Int(-1, 9), Broker("compression.gzip.level");
    #[doc = "the level of LZ4, from 1 to 17, when a leader compresses anew (KIP-390)."]
    "compression.lz4.level" = "9", Int(1, 17), Broker("compression.lz4.level");
    #[doc = "the codec that batches are stored in: one that a leader compresses anew with if need be, or what the producer sent."]
    "compression.type" = "producer", OneOf(&["gzip", "lz4", "producer", "snappy", "uncompressed", "zstd"]), Broker("compression.type");
    #[doc = "the level of Zstandard when a leader compresses anew (KIP-390)."]
    "compression.zstd.level" = "3", Int(-131072, 22), Broker("compression.zstd.level");
    #[doc = "how many milliseconds a tombstone or a transaction's marker stays after the first cleaning that could have removed it."]
    "delete.retention.ms" = "86400000", Long(0, i64::MAX), Broker("log.cleaner.delete.retention.ms");
    #[doc = "how many milliseconds a deleted segment's files stay, renamed, before they go."]
    "file.delete.delay.ms" = "60000", Long(0, i64::MAX), Broker("log.segment.delete.delay.ms");
    #[doc = "how many records may be appended before the log is flushed to the device."]
    "flush.messages" = "9223372036854775807", Long(1, i64::MAX), Broker("log.flush.interval.messages");
    #[doc = "which replicas their followers fetch no faster than follower.replication.throttled.rate says (KIP-73)."]
    "follower.replication.throttled.replicas" = "", Replicas, TopicOnly;
    #[doc = "how many bytes of records lie between two entries of the offset index."]
    "index.interval.bytes" = "4096", Int(0, i32::MAX), Broker("log.index.interval.bytes");
    #[doc = "which replicas, as leaders, send to followers no faster than leader.replication.throttled.rate says (KIP-73)."]
    "leader.replication.throttled.replicas" = "", Replicas, TopicOnly;
    #[doc = "how many milliseconds a record may stay uncompacted in a compacted topic."]
    "max.compaction.lag.ms" = "9223372036854775807", Long(1, i64::MAX), Broker("log.cleaner.max.compaction.lag.ms");
    #[doc = "the largest record batch, in bytes, that may be appended."]
    "max.message.bytes" = "1048588", Int(0, i32::MAX), Broker("message.max.bytes");
    #[doc = "how many milliseconds a record's timestamp may be ahead of the leader's clock (KIP-937)."]
    "message.timestamp.after.max.ms" = "3600000", Long(0, i64::MAX), Broker("log.message.timestamp.after.max.ms");
    #[doc = "how many milliseconds a record's timestamp may be behind the leader's clock (KIP-937)."]
    "message.timestamp.before.max.ms" = "9223372036854775807", Long(0, i64::MAX), Broker("log.message.timestamp.before.max.ms");
    #[doc = "whether records keep the producer's timestamps or get the broker's."]
    "message.timestamp.type" = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Broker("log.message.timestamp.type");
    #[doc = "how large the part of a log that has not been compacted must be, of what could be, for a cleaning: from 0 to 1."]
    "min.cleanable.dirty.ratio" = "0.5", Ratio, Broker("log.cleaner.min.cleanable.ratio");
    #[doc = "how many milliseconds a record stays uncompacted at least."]
    "min.compaction.lag.ms" = "0", Long(0, i64::MAX), Broker("log.cleaner.min.compaction.lag.ms");
    #[doc = "how many replicas must be in sync for a write with acks=all to be accepted."]
    "min.insync.replicas" = "1", Int(1, i32::MAX), Broker("min.insync.replicas");
    #[doc = "how many bytes a partition's log may have before its oldest segments go; -1 for any number."]
    "retention.bytes" = "-1", Long(-1, i64::MAX), Broker("log.retention.bytes");
    #[doc = "how many milliseconds a record is kept before its segment may go; -1 for ever."]
    "retention.ms" = "604800000", Long(-1, i64::MAX), Broker("log.retention.ms");
    #[doc = "the size in bytes at which a new segment is begun."]
    "segment.bytes" = "1073741824", Int(14, i32::MAX), Broker("log.segment.bytes");
    #[doc = "the size in bytes that an index may grow to before a new segment is begun."]
    "segment.index.bytes" = "10485760", Int(4, i32::MAX), Broker("log.index.size.max.bytes");
    #[doc = "how many milliseconds earlier than segment.ms says a new segment may be begun, so that not all logs begin one at once."]
    "segment.jitter.ms" = "0", Long(0, i64::MAX), Broker("log.roll.jitter.ms");
    #[doc = "how many milliseconds of records a segment may span before a new one is begun."]
    "segment.ms" = "604800000", Long(1, i64::MAX), Broker("log.roll.ms");
    #[doc = "whether a replica that is not in sync may become leader when no other can, losing data."]
    "unclean.leader.election.enable" = "false", Bool, Broker("unclean.leader.election.enable");
}
