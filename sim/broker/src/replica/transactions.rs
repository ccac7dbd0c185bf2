//! Transaction markers, and what the broker knows of producers.

use trial_node::{ProducerEpoch, ProducerId, TopicIdPartition};
use trial_storage::{AppendInfo, AppendOrigin};
use trial_wire::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use trial_wire::messages::{
    DescribeProducersRequest, DescribeProducersResponse, EndTxnMarker, ProducerId as WireProducerId,
};
use trial_wire::{BatchBuilder, Compression, ControlRecord, ErrorCode, ResponseKind, TopicName};

use super::partition::Partition;
use super::timers::Timer;
use super::{Context, ReplicaManager};
use crate::Token;

/// The end of a transaction in one partition, as its coordinator has decided it (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionMarker {
    /// The transaction's producer.
    pub producer_id: ProducerId,
    /// The epoch that the marker carries: with transaction version 2 that after the transaction's.
    pub producer_epoch: ProducerEpoch,
    /// The leader epoch of the partition of `__transaction_state` that decided.
    pub coordinator_epoch: i32,
    /// Whether the transaction is committed, else aborted.
    pub commit: bool,
    /// The version of the protocol that the transaction was ended with. From 2 on the marker's epoch is newer than that of
    /// every record of the transaction, and a marker of the same epoch does not end a transaction: it is an old one that
    /// comes late (KIP-1228). 0 if it is not known: then the epochs may be equal.
    pub transaction_version: i8,
}

impl ReplicaManager {
    /// Ends a transaction in a partition, with the rules of `acks=all`; [`ReplicaManager::await_committed`] tells when the
    /// marker is committed. Markers of transactions that wrote nothing here are appended as well, as Kafka does.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS, INVALID_PRODUCER_EPOCH,
    /// TRANSACTION_COORDINATOR_FENCED, KAFKA_STORAGE_ERROR. Nothing was appended.
    pub fn append_marker(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        marker: TransactionMarker,
    ) -> Result<AppendInfo, ErrorCode> {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.producer(marker.producer_id.0, marker.producer_epoch.0, -1).transactional().control();
        let end = EndTxnMarker::default().with_coordinator_epoch(marker.coordinator_epoch);
        let record = if marker.commit { ControlRecord::Commit(end) } else { ControlRecord::Abort(end) };
        record.push_to(&mut batch, ctx.now.wall_ms);
        let origin = AppendOrigin::Marker { transaction_version: marker.transaction_version };
        let appended = self.append_batch(ctx, tp, -1, &batch.build(), origin);
        self.settle(ctx);
        appended.map_err(|rejection| rejection.code)
    }

    /// A DescribeProducers request (KIP-664).
    pub fn handle_describe_producers(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        request: DescribeProducersRequest,
    ) {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
            for &index in &topic.partition_indexes {
                let answer = PartitionResponse::default().with_partition_index(index);
                partitions.push(match self.hosted(ctx, &topic.name, index) {
                    Ok(partition) => answer.with_active_producers(active_producers(partition)),
                    Err(code) => answer.with_error_code(code.code()),
                });
            }
            topics.push(TopicResponse::default().with_name(topic.name).with_partitions(partitions));
        }
        let response = DescribeProducersResponse::default().with_topics(topics);
        self.after.respond(token, ResponseKind::DescribeProducers(response));
    }

    /// The replica that is here, leader or not: `kafka-transactions find-hanging --broker-id` asks each broker for all it has.
    fn hosted(&self, ctx: &Context<'_>, topic: &TopicName, partition: i32) -> Result<&Partition, ErrorCode> {
        let topic_id = ctx.metadata.topic_id(topic).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let tp = TopicIdPartition { topic_id, partition };
        self.partitions.get(&tp).ok_or_else(|| self.not_hosted(ctx, tp))
    }

    /// Forgets producers that wrote nothing for as long as `producer.id.expiration.ms` says.
    pub(super) fn expire_producers(&mut self, ctx: &Context<'_>) {
        for partition in self.partitions.values_mut() {
            partition.log.remove_expired_producers(ctx.now.wall_ms);
        }
        let at = ctx.now.mono + self.config.producer_id_expiration_check_interval;
        self.timers.set(at, Timer::ExpireProducers);
    }
}

fn active_producers(partition: &Partition) -> Vec<ProducerState> {
    let mut producers = Vec::new();
    partition.log.producers(&mut |producer| {
        let start_offset = producer.current_txn_first_offset.map_or(-1, |offset| offset.0);
        producers.push(
            ProducerState::default()
                .with_producer_id(WireProducerId(producer.producer_id.0))
                .with_producer_epoch(producer.producer_epoch.0.into())
                .with_last_sequence(producer.last_sequence)
                .with_last_timestamp(producer.last_timestamp)
                .with_coordinator_epoch(producer.coordinator_epoch)
                .with_current_txn_start_offset(start_offset),
        );
    });
    producers
}
