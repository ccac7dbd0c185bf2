//! Topic configs (`TopicConfig`, `LogConfig` in Kafka's source).

use super::configs;
use super::parse::ConfigDef;
use super::parse::ConfigKind::{Bool, Int, ListOf, Long, OneOf};
use super::parse::ConfigLink::Broker;

configs! {
    /// Every topic config that we honour. One that has but one value is what we do, whatever Kafka can do beyond that.
    table TOPIC_CONFIGS;

    #[doc = "what becomes of old data: deleted as retention.ms and retention.bytes say, which set no limit; or compacted."]
    "cleanup.policy" = "delete", ListOf(&["compact", "delete"]), Broker("log.cleanup.policy");
    #[doc = "the codec that batches are stored in: what the producer sent is kept as it is."]
    "compression.type" = "producer", OneOf(&["producer"]), Broker("compression.type");
    #[doc = "how many records may be appended before the log is flushed to the device."]
    "flush.messages" = "9223372036854775807", Long(1, i64::MAX), Broker("log.flush.interval.messages");
    #[doc = "how many bytes of records lie between two entries of the offset index."]
    "index.interval.bytes" = "4096", Int(0, i32::MAX), Broker("log.index.interval.bytes");
    #[doc = "the largest record batch, in bytes, that may be appended."]
    "max.message.bytes" = "1048588", Int(0, i32::MAX), Broker("message.max.bytes");
    #[doc = "whether records keep the producer's timestamps or get the broker's."]
    "message.timestamp.type" = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), Broker("log.message.timestamp.type");
    #[doc = "how many replicas must be in sync for a write with acks=all to be accepted."]
    "min.insync.replicas" = "1", Int(1, i32::MAX), Broker("min.insync.replicas");
    #[doc = "how many bytes a partition's log may have before its oldest segments go: any number, for nothing is deleted."]
    "retention.bytes" = "-1", Long(-1, -1), Broker("log.retention.bytes");
    #[doc = "how many milliseconds a record is kept before its segment may go: for ever (7 days in Kafka), for nothing is deleted."]
    "retention.ms" = "-1", Long(-1, -1), Broker("log.retention.ms");
    #[doc = "the size in bytes at which a new segment is begun."]
    "segment.bytes" = "1073741824", Int(14, i32::MAX), Broker("log.segment.bytes");
    #[doc = "the size in bytes that an index may grow to before a new segment is begun."]
    "segment.index.bytes" = "10485760", Int(4, i32::MAX), Broker("log.index.size.max.bytes");
    #[doc = "how many milliseconds of records a segment may span before a new one is begun."]
    "segment.ms" = "604800000", Long(1, i64::MAX), Broker("log.roll.ms");
    #[doc = "whether a replica that is not in sync may become leader when no other can, losing data."]
    "unclean.leader.election.enable" = "false", Bool, Broker("unclean.leader.election.enable");
}
