//! Configs that Kafka has and nothing here obeys. Tools ask for them, and some set them; a scenario cannot, for it would have no
//! effect.

use super::configs;
use super::parse::ConfigDef;
use super::parse::ConfigKind::{Bool, Double, Int, Long, Text};
use super::parse::ConfigLink::{Dynamic, Fixed, ReadOnly};

configs! {
    /// Topic configs that have no other value than Kafka's default.
    table FIXED_TOPIC_CONFIGS;

    #[doc = "how many milliseconds a record may stay unflushed; always until another config or the system flushes it."]
    "flush.ms" = "9223372036854775807", Long(0, i64::MAX), Fixed;
    #[doc = "how many bytes of a tiered log stay on the broker's disk; -2 for retention.bytes. Logs are not tiered."]
    "local.retention.bytes" = "-2", Long(-2, i64::MAX), Fixed;
    #[doc = "how many milliseconds the segments of a tiered log stay on the broker's disk; -2 for retention.ms. Logs are not tiered."]
    "local.retention.ms" = "-2", Long(-2, i64::MAX), Fixed;
    #[doc = "whether a new segment's file gets its whole size at once."]
    "preallocate" = "false", Bool, Fixed;
    #[doc = "whether a tiered log is not copied any more (KIP-950). Logs are not tiered."]
    "remote.log.copy.disable" = "false", Bool, Fixed;
    #[doc = "whether what was copied goes when a log is not tiered any more (KIP-950). Logs are not tiered."]
    "remote.log.delete.on.disable" = "false", Bool, Fixed;
    #[doc = "whether the log is tiered (KIP-405)."]
    "remote.storage.enable" = "false", Bool, Fixed;
}

configs! {
    /// Dynamic broker configs that cannot matter to a node without threads: they are checked, kept and described.
    table KEPT_BROKER_CONFIGS;

    #[doc = "how many threads do what may wait. A node has none."]
    "background.threads" = "10", Int(1, i32::MAX), Dynamic;
    #[doc = "how many bytes of memory compaction has to read and write with. A cleaning takes what it needs."]
    "log.cleaner.io.buffer.size" = "524288", Int(0, i32::MAX), Dynamic;
    #[doc = "how many bytes a second compaction reads and writes. A cleaning takes no time."]
    "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308", Double, Dynamic;
    #[doc = "how many threads compact logs. A node has none."]
    "log.cleaner.threads" = "1", Int(0, i32::MAX), Dynamic;
    #[doc = "how many threads serve requests. A node has none."]
    "num.io.threads" = "8", Int(1, i32::MAX), Dynamic;
    #[doc = "how many threads read and write connections. A node has none."]
    "num.network.threads" = "3", Int(1, i32::MAX), Dynamic;
    #[doc = "how many threads load the logs of a directory. A node has none."]
    "num.recovery.threads.per.data.dir" = "2", Int(1, i32::MAX), Dynamic;
    #[doc = "how many threads fetch from each other broker. A node has none."]
    "num.replica.fetchers" = "1", Int(1, i32::MAX), Dynamic;
}

configs! {
    /// Broker configs that are as they are: what a node is, and what it always does. An empty default stands for what only the
    /// node itself knows.
    table FIXED_BROKER_CONFIGS;

    #[doc = "where clients reach the broker, as the cluster names it."]
    "advertised.listeners" = "", Text, ReadOnly;
    #[doc = "the broker's id."]
    "broker.id" = "", Text, ReadOnly;
    #[doc = "the broker's rack."]
    "broker.rack" = "", Text, ReadOnly;
    #[doc = "the quorum's voters."]
    "controller.quorum.voters" = "", Text, ReadOnly;
    #[doc = "the listener that brokers use with each other."]
    "inter.broker.listener.name" = "PLAINTEXT", Text, ReadOnly;
    #[doc = "where the broker listens, as the cluster names it."]
    "listeners" = "", Text, ReadOnly;
    #[doc = "whether compacted topics are compacted."]
    "log.cleaner.enable" = "true", Bool, ReadOnly;
    #[doc = "whether a new segment's file gets its whole size at once."]
    "log.preallocate" = "false", Bool, ReadOnly;
    #[doc = "how many hours a record is kept; log.retention.ms says it."]
    "log.retention.hours" = "168", Int(-1, i32::MAX), ReadOnly;
    #[doc = "the node's id."]
    "node.id" = "", Text, ReadOnly;
    #[doc = "what the node is."]
    "process.roles" = "broker,controller", Text, ReadOnly;
    #[doc = "whether logs may be tiered (KIP-405)."]
    "remote.log.storage.system.enable" = "false", Bool, ReadOnly;
}
