//! WriteTxnMarkers (KIP-98): the coordinator of transactions tells the leaders of partitions how transactions have ended.

use trial_coordinator::transaction::marker_transaction_version;
use trial_node::{Io, Now, ProducerEpoch, ProducerId, TopicIdPartition};
use trial_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use trial_wire::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use trial_wire::{ErrorCode, TopicName};

use super::Caller;
use crate::Broker;
use crate::coordinator::Place;
use crate::replica::{TransactionMarker, Waiter};

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: Caller,
    request: &WriteTxnMarkersRequest,
) {
    let mut waits = Vec::new();
    let mut results = Vec::with_capacity(request.markers.len());
    for marker in &request.markers {
        let written = TransactionMarker {
            producer_id: ProducerId(*marker.producer_id),
            producer_epoch: ProducerEpoch(marker.producer_epoch),
            coordinator_epoch: marker.coordinator_epoch,
            commit: marker.transaction_result,
            transaction_version: marker_transaction_version(marker),
        };
        let mut topics = Vec::with_capacity(marker.topics.len());
        for topic in &marker.topics {
            let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
            for &index in &topic.partition_indexes {
                let appended = append(broker, now, io, &topic.name, index, written);
                let error = match appended {
                    Ok(waiter) => {
                        let place =
                            Place { marker: results.len(), topic: topics.len(), partition: partitions.len() };
                        waits.push((waiter, place));
                        0
                    }
                    Err(error) => error.code(),
                };
                partitions.push(
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(index)
                        .with_error_code(error),
                );
            }
            topics.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions),
            );
        }
        results.push(
            WritableTxnMarkerResult::default().with_producer_id(marker.producer_id).with_topics(topics),
        );
    }
    let response = WriteTxnMarkersResponse::default().with_markers(results);
    let id = broker.next_id();
    let complete = broker.coordinators.markers.delay(id, caller.token, response, waits);
    broker.respond_if(io, complete);
}

/// Appends a marker to one partition; gives who waits for its commit.
fn append(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    topic: &TopicName,
    partition: i32,
    marker: TransactionMarker,
) -> Result<Waiter, ErrorCode> {
    let topic_id = broker.published.image.topic_ids().get(topic);
    let tp = TopicIdPartition { topic_id: *topic_id.ok_or(ErrorCode::UnknownTopicOrPartition)?, partition };
    let timeout = broker.effective.request_timeout;
    let of_group = topic.as_str() == trial_coordinator::CONSUMER_OFFSETS;
    broker.coordinate(now, io, |coordinators, around| {
        let end = if of_group {
            let appended = coordinators.groups.append_marker(around, partition, marker);
            appended.map_err(|error| match error {
                // What a coordinator of transactions takes to mean: not yet, or somewhere else.
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress => {
                    ErrorCode::NotLeaderOrFollower
                }
                error => error,
            })?
        } else {
            around.replicate(|replicas, ctx| replicas.append_marker(ctx, tp, marker))?.last_offset + 1
        };
        Ok(around.await_committed(tp, end, timeout))
    })
}
