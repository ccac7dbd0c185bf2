//! DescribeLogDirs (KIP-113): how large the replicas of this broker are, and which of its log directories have failed. Kafka's
//! broker does not see how large the device is either where that cannot be asked; a node cannot, so that its sizes are always
//! unknown (KIP-827).

use std::collections::BTreeMap;

use trial_node::Io;
use trial_wire::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use trial_wire::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use trial_wire::{ErrorCode, ResponseKind, StrBytes, TopicName};

use super::Caller;
use crate::Broker;

/// `UNKNOWN_VOLUME_BYTES` in Kafka's source.
const UNKNOWN: i64 = -1;

pub(super) fn serve(broker: &mut Broker, io: &mut Io<'_>, caller: Caller, request: &DescribeLogDirsRequest) {
    let wanted = |name: &TopicName, partition: i32| match &request.topics {
        None => true,
        Some(topics) => {
            topics.iter().any(|topic| topic.topic == *name && topic.partitions.contains(&partition))
        }
    };
    let results = broker.replicas.directories().map(|directory| {
        let result = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from(format!("/{}", directory.path)))
            .with_total_bytes(UNKNOWN)
            .with_usable_bytes(UNKNOWN);
        if !directory.online {
            return result.with_error_code(ErrorCode::KafkaStorageError.code());
        }
        let mut topics: BTreeMap<&TopicName, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for (id, log) in directory.logs {
            let Some(topic) = broker.published.image.topic(id.topic_id) else { continue };
            if !wanted(&topic.name, id.partition) {
                continue;
            }
            let lag = (log.high_watermark().0 - log.log_end_offset().0).max(0);
            topics.entry(&topic.name).or_default().push(
                DescribeLogDirsPartition::default()
                    .with_partition_index(id.partition)
                    .with_partition_size(i64::try_from(log.size()).unwrap_or(i64::MAX))
                    .with_offset_lag(lag),
            );
        }
        let topics = topics.into_iter().map(|(name, partitions)| {
            DescribeLogDirsTopic::default().with_name(name.clone()).with_partitions(partitions)
        });
        result.with_topics(topics.collect())
    });
    let response = DescribeLogDirsResponse::default().with_results(results.collect());
    broker.connections.respond(io, caller.token, ResponseKind::DescribeLogDirs(response));
}
