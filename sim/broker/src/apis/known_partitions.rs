//! Partitions that a request names and that do not exist.

use trial_wire::TopicName;

use crate::Broker;

/// Takes those partitions of a topic out of a request that this broker's metadata does not know.
pub(super) fn take_unknown<P>(
    broker: &Broker,
    topic: &TopicName,
    partitions: &mut Vec<P>,
    index: impl Fn(&P) -> i32,
) -> Vec<P> {
    let Some(known) = broker.published.image.topic_named(topic) else { return std::mem::take(partitions) };
    partitions.extract_if(.., |partition| !known.partitions.contains_key(&index(partition))).collect()
}
