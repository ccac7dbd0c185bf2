//! Which partition of an internal topic a group or a transactional id belongs to.

/// The topic that holds what coordinators of groups know.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The topic that holds what coordinators of transactions know.
pub const TRANSACTION_STATE: &str = "__transaction_state";

/// Kafka's log of share groups, which we do not have.
const SHARE_GROUP_STATE: &str = "__share_group_state";

/// Whether the cluster keeps a topic for itself: clients may not write to it.
pub fn is_internal(topic: &str) -> bool {
    matches!(topic, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// The partition, 0 to `count − 1`, of `__consumer_offsets` that a group's id, or of `__transaction_state` that a transactional
/// id, belongs to: Java's `String.hashCode`, which is over UTF-16, without its sign, modulo the topic's number of partitions.
/// `count` must be above 0.
pub fn partition_for(key: &str, count: i32) -> i32 {
    assert!(count > 0, "a topic has at least one partition");
    let hash =
        key.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    // As Kafka's Utils.abs: the smallest number, which has no positive counterpart, counts as 0.
    hash.checked_abs().unwrap_or(0) % count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes are those that a JVM gives.
    #[test]
    fn partitions_are_those_of_kafka() {
        assert_eq!(partition_for("", 50), 0);
        assert_eq!(partition_for("hello", i32::MAX), 99_162_322);
        assert_eq!(partition_for("my-group", 50), 12);
        // "polygenelubricants".hashCode() is the smallest of all ints.
        assert_eq!(partition_for("polygenelubricants", 50), 0);
        // One character outside the basic plane counts as the two units of its surrogate pair.
        assert_eq!(partition_for("😀", i32::MAX), 1_772_899);
    }
}
