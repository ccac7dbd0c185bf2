//! What a transaction coordinator is configured with.

use trial_node::Span;

/// The configs that a transaction coordinator obeys, by Kafka's names. The default is Kafka's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: the longest `transaction.timeout.ms` that a producer may ask for, in milliseconds.
    pub transaction_max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`: how long a transactional id without an open transaction is kept since it was used
    /// last, in milliseconds.
    pub transactional_id_expiration_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`: how often transactions are looked for that have been open
    /// for too long.
    pub transaction_abort_timed_out_transaction_cleanup_interval: Span,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`: how often transactional ids are looked for that have
    /// expired.
    pub transaction_remove_expired_transaction_cleanup_interval: Span,
    /// `offsets.topic.num.partitions`: how many partitions `__consumer_offsets` will have, for as long as it does not exist.
    pub offsets_topic_num_partitions: i32,
}

impl Default for TransactionConfig {
    fn default() -> TransactionConfig {
        TransactionConfig {
            transaction_max_timeout_ms: 900_000,
            transactional_id_expiration_ms: 604_800_000,
            transaction_abort_timed_out_transaction_cleanup_interval: Span::from_secs(10),
            transaction_remove_expired_transaction_cleanup_interval: Span::from_secs(3_600),
            offsets_topic_num_partitions: 50,
        }
    }
}
