//! Requests about producers and transactions.

use trial_security::acl::AclOperation::{Alter, ClusterAction, Describe, IdempotentWrite, Read, Write};
use trial_wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use trial_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeTransactionsRequest, InitProducerIdRequest, TxnOffsetCommitRequest, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
};
use trial_wire::{ErrorCode, TopicName};

use super::{Gate, Keyed, Refusal, add_partitions_to_txn, take};
use crate::apis::{describe_transactions, txn_offset_commit};

const ID_REFUSED: ErrorCode = ErrorCode::TransactionalIdAuthorizationFailed;
const GROUP_REFUSED: ErrorCode = ErrorCode::GroupAuthorizationFailed;
const CLUSTER_REFUSED: ErrorCode = ErrorCode::ClusterAuthorizationFailed;
/// The first version of AddPartitionsToTxn that only brokers send.
const BROKERS_VERSION: i16 = 4;

impl Gate<'_> {
    /// KIP-679: who may write to some topic may do so idempotently.
    pub fn init_producer_id(&self, request: &InitProducerIdRequest) -> Refusal {
        if request.transactional_id.is_some() {
            return self.keyed_transaction(request);
        }
        let allowed = self.access.cluster(IdempotentWrite) || self.access.some_topic(Write);
        (!allowed).then(|| request.refuse(self.version, CLUSTER_REFUSED).into())
    }

    /// All partitions of a request become part of the transaction, or none.
    pub fn add_partitions_to_txn(&self, request: &AddPartitionsToTxnRequest) -> Refusal {
        if self.version >= BROKERS_VERSION {
            let refuse = || AddPartitionsToTxnResponse::default().with_error_code(CLUSTER_REFUSED.code());
            return (!self.access.cluster(ClusterAction)).then(|| refuse().into());
        }
        if !self.access.transactional_id(Write, &request.v3_and_below_transactional_id) {
            return Some(add_partitions_to_txn::refuse(&request.clone().into(), self.version, ID_REFUSED));
        }
        let topics = &request.v3_and_below_topics;
        let writes = |name: &TopicName| {
            !trial_coordinator::is_internal(name.as_str()) && self.access.topic(Write, name)
        };
        if topics.iter().all(|topic| writes(&topic.name)) {
            return None;
        }
        let results = add_partitions_to_txn::results(topics, |name, _| match writes(name) {
            true => ErrorCode::OperationNotAttempted,
            false => ErrorCode::TopicAuthorizationFailed,
        });
        Some(AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(results).into())
    }

    pub fn add_offsets_to_txn(&self, request: &AddOffsetsToTxnRequest) -> Refusal {
        let reads = self.access.group(Read, &request.group_id);
        let refuse = || request.refuse(self.version, GROUP_REFUSED).into();
        self.keyed_transaction(request).or_else(|| (!reads).then(refuse))
    }

    pub fn txn_offset_commit(&mut self, request: &mut TxnOffsetCommitRequest) -> Refusal {
        let refuse_all = |error| Some(txn_offset_commit::errors(&request.topics, error));
        if !self.access.transactional_id(Write, &request.transactional_id) {
            return refuse_all(ID_REFUSED);
        }
        if !self.access.group(Read, &request.group_id) {
            return refuse_all(GROUP_REFUSED);
        }
        let refused = take(&mut request.topics, |topic| self.access.topic(Read, &topic.name))?;
        let refused = txn_offset_commit::errors(&refused, ErrorCode::TopicAuthorizationFailed);
        self.partly(Some(refused), request.topics.is_empty())
    }

    pub fn write_txn_markers(&self, request: &WriteTxnMarkersRequest) -> Refusal {
        if self.access.cluster(Alter) || self.access.cluster(ClusterAction) {
            return None;
        }
        let markers = request.markers.iter().map(|marker| {
            let topics = marker.topics.iter().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|index| {
                    WritableTxnMarkerPartitionResult::default()
                        .with_partition_index(*index)
                        .with_error_code(CLUSTER_REFUSED.code())
                });
                WritableTxnMarkerTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            WritableTxnMarkerResult::default()
                .with_producer_id(marker.producer_id)
                .with_topics(topics.collect())
        });
        Some(WriteTxnMarkersResponse::default().with_markers(markers.collect()).into())
    }

    pub fn describe_transactions(&mut self, request: &mut DescribeTransactionsRequest) -> Refusal {
        self.amendment.hide = true;
        let refused = take(&mut request.transactional_ids, |id| self.access.transactional_id(Describe, id))?;
        let refused = DescribeTransactionsRequest::default().with_transactional_ids(refused).into();
        let refused = describe_transactions::refuse(&refused, self.version, ID_REFUSED);
        self.partly(Some(refused), request.transactional_ids.is_empty())
    }

    pub fn list_transactions(&mut self) -> Refusal {
        self.amendment.hide = true;
        None
    }
}
