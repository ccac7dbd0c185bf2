//! A controller with its log, for tests: every decision is appended and replayed.

use std::sync::Arc;

use trial_node::{NodeId, Offset, Rng, Span, Time, TopicIdPartition, TraceEvent};
use trial_wire::messages::alter_partition_request::{BrokerState, PartitionData, TopicData};
use trial_wire::messages::broker_registration_request::{Feature, Listener};
use trial_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use trial_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use trial_wire::messages::{
    AlterPartitionRequest, AlterPartitionResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerId,
    BrokerRegistrationRequest, BrokerRegistrationResponse, CreateTopicsRequest, CreateTopicsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use trial_wire::{StrBytes, TopicName, Uuid};

use super::{ControllerConfig, ControllerResult, QuorumController};
use crate::config::StaticConfig;
use crate::feature::{BootstrapFeatures, supported_features};
use crate::image::{MetadataDelta, MetadataImage};
use crate::record::{ConfigResource, MetadataRecord, PartitionRegistration};

pub(super) struct TestCluster {
    pub(super) controller: QuorumController,
    /// What a broker makes of the log.
    pub(super) image: MetadataImage,
    pub(super) log: Vec<MetadataRecord>,
    /// Where each decision ends in the log.
    decisions: Vec<usize>,
    pub(super) now: Time,
    pub(super) rng: Rng,
    /// The records of the last decision, and what was told of them.
    pub(super) last: (Vec<MetadataRecord>, Vec<TraceEvent>),
}

fn config(properties: &[(&str, &str)], features: &[(&str, i16)]) -> ControllerConfig {
    ControllerConfig {
        node_id: NodeId(0),
        cluster_id: StrBytes::from("trial"),
        static_config: Arc::new(StaticConfig::parse(properties.iter().copied()).unwrap()),
        features: BootstrapFeatures::new(features.iter().copied()).unwrap(),
    }
}

pub(super) fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

impl TestCluster {
    /// A new cluster without brokers.
    pub(super) fn empty(properties: &[(&str, &str)]) -> TestCluster {
        TestCluster::empty_with(properties, &[])
    }

    fn empty_with(properties: &[(&str, &str)], features: &[(&str, i16)]) -> TestCluster {
        let config = config(properties, features);
        let (controller, bootstrap) =
            QuorumController::activate(config, Time::ZERO, MetadataImage::default());
        let mut cluster = TestCluster {
            controller,
            image: MetadataImage::default(),
            log: Vec::new(),
            decisions: Vec::new(),
            now: Time::ZERO,
            rng: Rng::named(1, "controller"),
            last: (Vec::new(), Vec::new()),
        };
        cluster.append(bootstrap);
        cluster.drain_due();
        cluster
    }

    /// A cluster of brokers 0 to `count` − 1, all of them active.
    pub(super) fn of(count: i32, properties: &[(&str, &str)]) -> TestCluster {
        TestCluster::with_features(count, properties, &[])
    }

    /// As [`TestCluster::of`], with these feature levels.
    pub(super) fn with_features(
        count: i32,
        properties: &[(&str, &str)],
        features: &[(&str, i16)],
    ) -> TestCluster {
        let mut cluster = TestCluster::empty_with(properties, features);
        for id in 0..count {
            cluster.start_broker(id);
        }
        cluster
    }

    /// Appends and replays.
    pub(super) fn append(&mut self, records: Vec<MetadataRecord>) {
        let base = Offset(self.log.len() as i64);
        let events = self.controller.replay(self.now, base, &records);
        for record in &records {
            self.image.replay(record, &mut MetadataDelta::default()).unwrap();
        }
        if !records.is_empty() {
            self.log.extend(records.iter().cloned());
            self.decisions.push(self.log.len());
        }
        self.last = (records, events);
    }

    pub(super) fn carry_out<T>(&mut self, result: ControllerResult<T>) -> T {
        self.append(result.records);
        result.response
    }

    pub(super) fn register(&mut self, id: i32, incarnation: u128) -> BrokerRegistrationResponse {
        self.register_after(id, incarnation, -1)
    }

    /// As [`TestCluster::register`], by a process that knows which epoch it was shut down in, in order.
    pub(super) fn register_after(
        &mut self,
        id: i32,
        incarnation: u128,
        previous_broker_epoch: i64,
    ) -> BrokerRegistrationResponse {
        self.register_with(id, incarnation, previous_broker_epoch, &[1_000 + id as u128])
    }

    /// As [`TestCluster::register_after`], with these log directories.
    pub(super) fn register_with(
        &mut self,
        id: i32,
        incarnation: u128,
        previous_broker_epoch: i64,
        log_dirs: &[u128],
    ) -> BrokerRegistrationResponse {
        let features = supported_features().into_iter().map(|feature| {
            Feature::default()
                .with_name(feature.name)
                .with_min_supported_version(feature.min_supported_version)
                .with_max_supported_version(feature.max_supported_version)
        });
        let request = BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(id))
            .with_cluster_id(StrBytes::from("trial"))
            .with_incarnation_id(Uuid::from_u128(incarnation))
            .with_listeners(vec![
                Listener::default()
                    .with_name(StrBytes::from("PLAINTEXT"))
                    .with_host(StrBytes::from(format!("node-{id}")))
                    .with_port(9092),
            ])
            .with_features(features.collect())
            .with_log_dirs(log_dirs.iter().copied().map(Uuid::from_u128).collect())
            .with_previous_broker_epoch(previous_broker_epoch);
        let result = self.controller.register_broker(self.now, &request, Offset(self.log.len() as i64));
        self.carry_out(result)
    }

    /// The broker heartbeats, having applied the whole log.
    pub(super) fn heartbeat(
        &mut self,
        id: i32,
        want_fence: bool,
        want_shut_down: bool,
    ) -> BrokerHeartbeatResponse {
        let end = self.log.len() as i64;
        self.heartbeat_at(id, end - 1, want_fence, want_shut_down)
    }

    pub(super) fn heartbeat_at(
        &mut self,
        id: i32,
        metadata_offset: i64,
        want_fence: bool,
        want_shut_down: bool,
    ) -> BrokerHeartbeatResponse {
        let request = BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(self.broker_epoch(id))
            .with_current_metadata_offset(metadata_offset)
            .with_want_fence(want_fence)
            .with_want_shut_down(want_shut_down);
        let result = self.controller.broker_heartbeat(self.now, &request);
        self.carry_out(result)
    }

    /// Registers a new incarnation of the broker and has it unfenced.
    pub(super) fn start_broker(&mut self, id: i32) {
        let incarnation = (self.log.len() as u128 + 1) * 100 + id as u128;
        assert_eq!(self.register(id, incarnation).error_code, 0);
        assert!(!self.heartbeat(id, false, false).is_fenced);
    }

    /// The broker asks to be fenced.
    pub(super) fn fence(&mut self, id: i32) {
        assert!(self.heartbeat(id, true, false).is_fenced);
    }

    pub(super) fn broker_epoch(&self, id: i32) -> i64 {
        self.image.broker(NodeId(id)).map_or(-1, |broker| broker.broker_epoch)
    }

    /// Lets time pass, with all that is due in between.
    pub(super) fn advance(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(due) = self.controller.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.handle_timeout();
        }
        self.now = end;
    }

    pub(super) fn drain_due(&mut self) {
        self.advance(Span::ZERO);
    }

    pub(super) fn handle_timeout(&mut self) {
        let result = self.controller.handle_timeout(self.now);
        self.carry_out(result);
    }

    /// As [`TestCluster::advance`] while these brokers heartbeat each second.
    pub(super) fn advance_with_heartbeats(&mut self, seconds: u64, brokers: &[i32]) {
        for _ in 0..seconds {
            for id in brokers {
                self.heartbeat(*id, false, false);
            }
            self.advance(Span::from_secs(1));
        }
    }

    pub(super) fn create(&mut self, topic: CreatableTopic) -> CreateTopicsResponse {
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let result = self.controller.create_topics(&request, &mut self.rng);
        self.carry_out(result)
    }

    /// Creates a topic with one partition per list of replicas.
    pub(super) fn create_assigned(
        &mut self,
        name: &'static str,
        assignments: &[&[i32]],
        configs: &[(&'static str, &'static str)],
    ) -> Uuid {
        let assignments = assignments.iter().zip(0..).map(|(replicas, index)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(index)
                .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
        });
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from(*name))
                .with_value(Some(StrBytes::from(*value)))
        });
        let response = self.create(
            CreatableTopic::default()
                .with_name(topic_name(name))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_assignments(assignments.collect())
                .with_configs(configs.collect()),
        );
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        response.topics[0].topic_id
    }

    pub(super) fn partition(&self, topic_id: Uuid, partition: i32) -> &PartitionRegistration {
        self.image.partition(TopicIdPartition { topic_id, partition }).unwrap()
    }

    /// The leader, its epoch and the ISR of partition 0.
    pub(super) fn state(&self, topic_id: Uuid) -> (i32, i32, Vec<NodeId>) {
        let partition = self.partition(topic_id, 0);
        (partition.leader.0, partition.leader_epoch.0, partition.isr.clone())
    }

    /// The request of the leader that `id` would be, for partition 0, with what it knows of its ISR.
    pub(super) fn alter_request(&self, id: i32, topic_id: Uuid, new_isr: &[i32]) -> AlterPartitionRequest {
        let partition = self.partition(topic_id, 0);
        let members = new_isr.iter().map(|member| {
            BrokerState::default()
                .with_broker_id(BrokerId(*member))
                .with_broker_epoch(self.broker_epoch(*member))
        });
        let data = PartitionData::default()
            .with_partition_index(0)
            .with_leader_epoch(partition.leader_epoch.0)
            .with_partition_epoch(partition.partition_epoch)
            .with_leader_recovery_state(partition.leader_recovery_state as i8)
            .with_new_isr_with_epochs(members.collect());
        AlterPartitionRequest::default()
            .with_broker_id(BrokerId(id))
            .with_broker_epoch(self.broker_epoch(id))
            .with_topics(vec![TopicData::default().with_topic_id(topic_id).with_partitions(vec![data])])
    }

    pub(super) fn alter(&mut self, request: &AlterPartitionRequest) -> AlterPartitionResponse {
        let result = self.controller.alter_partition(3, request);
        self.carry_out(result)
    }

    pub(super) fn alter_isr(&mut self, id: i32, topic_id: Uuid, new_isr: &[i32]) -> i16 {
        let request = self.alter_request(id, topic_id, new_isr);
        self.alter(&request).topics[0].partitions[0].error_code
    }

    pub(super) fn alter_config(
        &mut self,
        resource: &ConfigResource,
        operation: i8,
        name: &'static str,
        value: Option<&'static str>,
    ) -> IncrementalAlterConfigsResponse {
        let (resource_type, resource_name) = resource.to_wire();
        let change = AlterConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(resource_name)
            .with_configs(vec![
                AlterableConfig::default()
                    .with_name(StrBytes::from(name))
                    .with_config_operation(operation)
                    .with_value(value.map(StrBytes::from)),
            ]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![change]);
        let result = self.controller.incremental_alter_configs(&request);
        self.carry_out(result)
    }

    /// The next controller takes over. The last `lost` decisions had not been committed, and it does not have them.
    pub(super) fn fail_over(&mut self, lost: usize) {
        // What a new log begins with stays.
        let kept = self.decisions.len().saturating_sub(lost).max(1);
        self.decisions.truncate(kept);
        self.log.truncate(self.decisions[kept - 1]);
        self.image = MetadataImage::default();
        for record in &self.log {
            self.image.replay(record, &mut MetadataDelta::default()).unwrap();
        }
        let config = self.controller.config.clone();
        let (controller, bootstrap) = QuorumController::activate(config, self.now, self.image.clone());
        self.controller = controller;
        assert_eq!(bootstrap, []);
        self.drain_due();
    }
}

pub(super) fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from(name))
}
