//! What a topic's configuration says about its logs.

use trial_node::Offset;
use trial_wire::Compression;

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
    /// `segment.jitter.ms`: a segment may be rolled up to so many milliseconds earlier.
    pub segment_jitter_ms: i64,
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
    /// `message.timestamp.before.max.ms`: how far a record's timestamp may be behind the leader's clock, in milliseconds.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far it may be ahead, in milliseconds.
    pub message_timestamp_after_max_ms: i64,
    /// `compression.type`, with the level of the codec: what the leader compresses anew with; `None` (`producer`) keeps
    /// what the producer sent.
    pub compression: Option<(Compression, i32)>,
    /// Whether `cleanup.policy` has `compact` in it.
    pub compact: bool,
    /// Whether `cleanup.policy` has `delete` in it.
    pub delete: bool,
    /// `retention.ms`: a segment whose records are all older than this, in milliseconds, may go; −1 for never.
    pub retention_ms: i64,
    /// `retention.bytes`: the oldest segments go while the others have at least so many bytes; −1 for never.
    pub retention_bytes: i64,
    /// `file.delete.delay.ms`: how long a deleted segment's files stay under another name, in milliseconds.
    pub file_delete_delay_ms: i64,
    /// `min.cleanable.dirty.ratio`, in millionths.
    pub min_cleanable_dirty_ratio: u32,
    /// `min.compaction.lag.ms`: a record stays uncompacted for at least so long, in milliseconds.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: and at most for so long.
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`: how long tombstones and markers stay once a cleaning could have removed them, in milliseconds.
    pub delete_retention_ms: i64,
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
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            max_message_bytes: (1 << 20) + 12,
            flush_messages: i64::MAX,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: 3_600_000,
            compression: None,
            compact: false,
            delete: true,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            file_delete_delay_ms: 60_000,
            min_cleanable_dirty_ratio: 500_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 24 * 3_600_000,
            transaction_partition_verification: true,
            producer_id_expiration_ms: 24 * 3_600_000,
        }
    }
}

impl LogConfig {
    /// How many milliseconds of records the segment that begins at `base_offset` may span: `segment.ms`, or less if
    /// `max.compaction.lag.ms` has to be kept, less its share of `segment.jitter.ms`. That share depends on nothing but
    /// the offset, so that all replicas of a partition begin segments alike.
    pub(crate) fn max_segment_ms(&self, base_offset: Offset) -> i64 {
        let span =
            if self.compact { self.segment_ms.min(self.max_compaction_lag_ms) } else { self.segment_ms };
        let jitter = self.segment_jitter_ms.min(span);
        if jitter <= 0 {
            return span;
        }
        let drawn = crc32c::crc32c(&base_offset.0.to_be_bytes());
        span - i64::from(drawn) % jitter
    }
}
