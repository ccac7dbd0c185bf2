//! The active controller: decides what becomes of the cluster, as records.

use std::sync::Arc;

use trial_node::{NodeId, Offset, Rng, Time, TraceEvent};
use trial_wire::StrBytes;
use trial_wire::messages::{
    AllocateProducerIdsRequest, AllocateProducerIdsResponse, AlterPartitionRequest, AlterPartitionResponse,
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest, BrokerRegistrationResponse,
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, ElectLeadersRequest, ElectLeadersResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, UnregisterBrokerRequest,
    UnregisterBrokerResponse,
};

use crate::config::StaticConfig;
use crate::image::MetadataImage;
use crate::record::MetadataRecord;

/// What a controller must know from the start.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Its own node.
    pub node_id: NodeId,
    /// The cluster's id; brokers of another cluster may not register.
    pub cluster_id: StrBytes,
    /// The operator's properties.
    pub static_config: Arc<StaticConfig>,
}

/// A decision: the records that carry it out, and what to answer once they are committed.
///
/// Nothing has changed yet. The records must be appended, all or none and in order; see [`QuorumController`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a decision that is not appended and replayed has no effect"]
pub struct ControllerResult<T> {
    /// What to append to the metadata log; may be empty.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub response: T,
}

/// The active controller of the cluster. A node has one exactly while it is the active controller.
///
/// How to drive it:
/// 1. when this node has become the quorum's leader and has applied the log up to its own epoch's first record, call
///    [`QuorumController::activate`] with that image;
/// 2. for each request call the method of its name; call [`QuorumController::handle_timeout`] at
///    [`QuorumController::poll_timeout`];
/// 3. append the [`ControllerResult::records`] through raft as one batch, then call [`QuorumController::replay`] with the
///    offset of the first; if the append fails, drop the controller;
/// 4. send the response once everything appended so far is committed (also when there were no records: the decision
///    may rest on records that are not committed yet);
/// 5. when leadership is lost, drop it: what was not committed is forgotten, the committed image is the caller's.
///
/// It answers as Kafka's `QuorumController` does; the state that brokers build up by heartbeats is soft: a new controller
/// gives every broker a new session.
#[derive(Clone, Debug)]
pub struct QuorumController {
    config: ControllerConfig,
    image: MetadataImage,
}

impl QuorumController {
    /// Becomes the active controller on top of `image`, the metadata at the end of the log. Returns the records to append
    /// and replay before anything else: none, unless the log is new (feature levels).
    pub fn activate(
        config: ControllerConfig,
        now: Time,
        image: MetadataImage,
    ) -> (QuorumController, Vec<MetadataRecord>) {
        let _ = now;
        (QuorumController { config, image }, Vec::new())
    }

    /// The metadata with everything that was decided, committed or not.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// What it was given at its start.
    pub fn config(&self) -> &ControllerConfig {
        &self.config
    }

    /// Applies records that were appended at `base_offset` and after it. Returns what people should know of.
    pub fn replay(&mut self, now: Time, base_offset: Offset, records: &[MetadataRecord]) -> Vec<TraceEvent> {
        let _ = (now, base_offset, records);
        unimplemented!()
    }

    /// When to call [`QuorumController::handle_timeout`] next.
    pub fn poll_timeout(&self) -> Option<Time> {
        unimplemented!()
    }

    /// What is due at `now`: fences brokers whose session ended, writes a NoOp record, balances leaders.
    pub fn handle_timeout(&mut self, now: Time) -> ControllerResult<()> {
        let _ = now;
        unimplemented!()
    }

    /// BrokerRegistration. `next_offset` is the offset that the first record will get: it becomes the broker's epoch.
    pub fn register_broker(
        &mut self,
        now: Time,
        request: &BrokerRegistrationRequest,
        next_offset: Offset,
    ) -> ControllerResult<BrokerRegistrationResponse> {
        let _ = (now, request, next_offset);
        unimplemented!()
    }

    /// BrokerHeartbeat.
    pub fn broker_heartbeat(
        &mut self,
        now: Time,
        request: &BrokerHeartbeatRequest,
    ) -> ControllerResult<BrokerHeartbeatResponse> {
        let _ = (now, request);
        unimplemented!()
    }

    /// UnregisterBroker.
    pub fn unregister_broker(
        &self,
        request: &UnregisterBrokerRequest,
    ) -> ControllerResult<UnregisterBrokerResponse> {
        let _ = request;
        unimplemented!()
    }

    /// CreateTopics. Topic ids and placement are drawn from `rng`.
    pub fn create_topics(
        &self,
        request: &CreateTopicsRequest,
        rng: &mut Rng,
    ) -> ControllerResult<CreateTopicsResponse> {
        let _ = (request, rng);
        unimplemented!()
    }

    /// DeleteTopics, by name or by id.
    pub fn delete_topics(&self, request: &DeleteTopicsRequest) -> ControllerResult<DeleteTopicsResponse> {
        let _ = request;
        unimplemented!()
    }

    /// CreatePartitions. Placement is drawn from `rng`.
    pub fn create_partitions(
        &self,
        request: &CreatePartitionsRequest,
        rng: &mut Rng,
    ) -> ControllerResult<CreatePartitionsResponse> {
        let _ = (request, rng);
        unimplemented!()
    }

    /// AlterPartition: a leader asks for another ISR. `api_version` decides whether the ISR comes with broker epochs (3
    /// and up, KIP-903).
    pub fn alter_partition(
        &self,
        api_version: i16,
        request: &AlterPartitionRequest,
    ) -> ControllerResult<AlterPartitionResponse> {
        let _ = (api_version, request);
        unimplemented!()
    }

    /// IncrementalAlterConfigs.
    pub fn incremental_alter_configs(
        &self,
        request: &IncrementalAlterConfigsRequest,
    ) -> ControllerResult<IncrementalAlterConfigsResponse> {
        let _ = request;
        unimplemented!()
    }

    /// ElectLeaders, preferred or unclean.
    pub fn elect_leaders(&self, request: &ElectLeadersRequest) -> ControllerResult<ElectLeadersResponse> {
        let _ = request;
        unimplemented!()
    }

    /// AllocateProducerIds: a block of 1,000 producer ids for a broker.
    pub fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> ControllerResult<AllocateProducerIdsResponse> {
        let _ = request;
        unimplemented!()
    }
}
