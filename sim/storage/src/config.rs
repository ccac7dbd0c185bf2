//! What a topic's configuration says about its logs.

/// Which instant a record's timestamp is (`message.timestamp.type`, KIP-32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    #[default]
    CreateTime,
    /// The instant at which the leader appended it; the leader writes it over the producer's.
    LogAppendTime,
}

/// The configuration of one log. The names are those of Kafka's topic and broker configs; the defaults are Kafka's
/// too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment that would grow beyond this is rolled. At most `i32::MAX`.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is rolled when its first record is older than this, in milliseconds.
    pub segment_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when one of its indexes has reached this size.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: an index entry is made after so many bytes of log.
    pub index_interval_bytes: u32,
    /// `max.message.bytes`: the largest record batch that a client may append.
    pub max_message_bytes: u32,
    /// `flush.messages`: the log is flushed when so many records are not.
    pub flush_messages: i64,
    /// `message.timestamp.type`.
    pub message_timestamp_type: TimestampType,
    /// Whether `cleanup.policy` has `compact` in it.
    pub compact: bool,
    /// `transaction.partition.verification.enable`: whether who begins a transaction here must have been verified (KIP-890).
    pub transaction_partition_verification: bool,
    /// `producer.id.expiration.ms`: producers that wrote nothing for so long, in milliseconds, are forgotten.
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: (1 << 20) + 12,
            flush_messages: i64::MAX,
            message_timestamp_type: TimestampType::CreateTime,
            compact: false,
            transaction_partition_verification: true,
            producer_id_expiration_ms: 24 * 3_600_000,
        }
    }
}
