//! Replica managers that talk to each other, with a disk each and a controller that is one struct.

mod chaos;
mod deleting;
mod directories;
mod fetching;
mod producing;
mod replicating;
mod restarting;
mod throttling;
mod transactions;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use trial_node::view::BatchView;
use trial_node::{
    ConnId, Endpoint, LeaderEpoch, NodeId, Now, Offset, Rng, Span, Time, TopicIdPartition, TraceEvent,
};
use trial_storage::SimDisk;
use trial_wire::messages::alter_partition_response::{PartitionData, TopicData};
use trial_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::{
    AllocateProducerIdsResponse, AlterPartitionRequest, AlterPartitionResponse, AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse, BrokerId, FetchRequest, FetchResponse, ProduceRequest, ProduceResponse,
    ProducerId,
};
use trial_wire::{BatchBuilder, Batches, Compression, ErrorCode, RequestKind, ResponseKind, TopicName, Uuid};

use super::metadata::{BrokerState, ClusterMetadata, PartitionState};
use super::{
    Context, FoundDirectory, LogDirectory, MetadataChanges, Output, ReplicaConfig, ReplicaManager,
    RequestFailure, RequestId,
};
use crate::Token;

const TOPIC: Uuid = Uuid::from_u128(7);
const P0: TopicIdPartition = TopicIdPartition { topic_id: TOPIC, partition: 0 };
const P1: TopicIdPartition = TopicIdPartition { topic_id: TOPIC, partition: 1 };
const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);

/// The id of a broker's log directory.
fn directory_id(id: NodeId, path: &str) -> Uuid {
    let path = path.bytes().fold(1_000, |sum, byte| sum * 256 + u128::from(byte));
    Uuid::from_u128(path * 10 + u128::try_from(id.0).unwrap())
}

fn topic() -> TopicName {
    TopicName(trial_wire::StrBytes::from_static_str("orders"))
}

#[derive(Clone, Debug)]
struct Registered {
    epoch: i64,
    fenced: bool,
    in_controlled_shutdown: bool,
    endpoint: Endpoint,
}

#[derive(Clone, Debug)]
struct Assigned {
    replicas: Vec<NodeId>,
    directories: Vec<Uuid>,
    isr: Vec<NodeId>,
    leader: NodeId,
    leader_epoch: i32,
    partition_epoch: i32,
}

#[derive(Clone, Debug, Default)]
struct TestMetadata {
    partitions: BTreeMap<TopicIdPartition, Assigned>,
    brokers: BTreeMap<NodeId, Registered>,
    configs: BTreeMap<&'static str, String>,
    racks: BTreeMap<NodeId, trial_wire::StrBytes>,
    names: BTreeMap<Uuid, TopicName>,
}

impl ClusterMetadata for TestMetadata {
    fn topic_id(&self, name: &TopicName) -> Option<Uuid> {
        self.names.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }
    fn topic_name(&self, id: Uuid) -> Option<&TopicName> {
        self.names.get(&id)
    }
    fn partition(&self, tp: TopicIdPartition) -> Option<PartitionState<'_>> {
        self.partitions.get(&tp).map(|p| PartitionState {
            replicas: &p.replicas,
            directories: &p.directories,
            isr: &p.isr,
            leader: p.leader,
            leader_epoch: LeaderEpoch(p.leader_epoch),
            partition_epoch: p.partition_epoch,
            recovering: false,
        })
    }
    fn broker(&self, id: NodeId) -> Option<BrokerState<'_>> {
        self.brokers.get(&id).map(|b| BrokerState {
            epoch: b.epoch,
            fenced: b.fenced,
            in_controlled_shutdown: b.in_controlled_shutdown,
            endpoint: &b.endpoint,
        })
    }
    fn rack(&self, id: NodeId) -> Option<&trial_wire::StrBytes> {
        self.racks.get(&id).filter(|_| self.brokers.get(&id).is_some_and(|broker| !broker.fenced))
    }
    fn topic_config(&self, _: Uuid, key: &str) -> Option<&str> {
        self.configs.get(key).map(String::as_str)
    }
}

#[derive(Clone, Debug)]
struct TestNode {
    replicas: ReplicaManager,
    disk: SimDisk,
    rng: Rng,
    metadata: TestMetadata,
}

/// A request on its way to the controller.
type ToController = (NodeId, RequestId, RequestKind);

#[derive(Clone, Debug)]
struct Cluster {
    nodes: BTreeMap<NodeId, TestNode>,
    now: Time,
    /// What the controller has committed; nodes learn of it by [`Cluster::publish`].
    metadata: TestMetadata,
    /// Whether the controller answers by itself and publishes at once.
    controller_is_prompt: bool,
    to_controller: VecDeque<ToController>,
    /// Nodes that no other node can reach.
    cut: BTreeSet<NodeId>,
    answers: Vec<(Token, ResponseKind)>,
    traces: Vec<(NodeId, TraceEvent)>,
    unanswered: Vec<(Token, bool)>,
    /// What is for the coordinators of a node.
    for_coordinators: Vec<(NodeId, Output)>,
    last_token: i32,
    /// Fetches between brokers so far.
    fetches: usize,
    failed_directories: Vec<(NodeId, String)>,
    /// When the controller was asked to assign replicas to directories, and whose it refuses.
    assignments_asked: Vec<(Time, TopicIdPartition)>,
    assignments_refused: BTreeSet<TopicIdPartition>,
    /// Requests between brokers that are not answered: from, id, to.
    in_flight: Vec<(NodeId, RequestId, NodeId)>,
}

/// The connection of clients; those of brokers have their node's id.
const CLIENT: ConnId = ConnId(1_000_000);

impl Cluster {
    /// Three brokers, and a topic of two partitions on all of them, led by A in epoch 0.
    fn new(configs: &[(&'static str, &str)]) -> Cluster {
        let mut metadata = TestMetadata::default();
        metadata.names.insert(TOPIC, topic());
        metadata.configs = configs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        for id in [A, B, C] {
            let endpoint = Endpoint::new(trial_wire::StrBytes::from_string(format!("b{id}")), 9092);
            let epoch = 100 + i64::from(id.0);
            let broker = Registered { epoch, fenced: false, in_controlled_shutdown: false, endpoint };
            metadata.brokers.insert(id, broker);
        }
        for tp in [P0, P1] {
            let assigned = Assigned {
                replicas: vec![A, B, C],
                directories: [A, B, C].map(|id| directory_id(id, "")).into(),
                isr: vec![A, B, C],
                leader: A,
                leader_epoch: 0,
                partition_epoch: 0,
            };
            metadata.partitions.insert(tp, assigned);
        }
        let mut cluster = Cluster {
            nodes: BTreeMap::new(),
            now: Time::ZERO,
            metadata,
            controller_is_prompt: true,
            to_controller: VecDeque::new(),
            cut: BTreeSet::new(),
            answers: Vec::new(),
            traces: Vec::new(),
            unanswered: Vec::new(),
            for_coordinators: Vec::new(),
            last_token: 0,
            fetches: 0,
            failed_directories: Vec::new(),
            assignments_asked: Vec::new(),
            assignments_refused: BTreeSet::new(),
            in_flight: Vec::new(),
        };
        for id in [A, B, C] {
            cluster.start(id, SimDisk::new());
        }
        cluster.publish();
        cluster
    }

    /// As [`Cluster::new`], with brokers in racks that send consumers to them (KIP-392).
    fn with_racks(racks: &[(NodeId, &'static str)]) -> Cluster {
        let mut cluster = Cluster::new(&[]);
        let rack = |rack| trial_wire::StrBytes::from_static_str(rack);
        cluster.metadata.racks = racks.iter().map(|(id, name)| (*id, rack(name))).collect();
        for id in [A, B, C] {
            cluster.with(id, |replicas, _| replicas.config.rack_aware_selector = true);
        }
        cluster.publish();
        cluster
    }

    /// Starts a broker on a disk; it knows nothing of the metadata yet.
    fn start(&mut self, id: NodeId, disk: SimDisk) {
        self.start_in(id, disk, &[""]);
    }

    /// Starts a broker with these log directories.
    fn start_in(&mut self, id: NodeId, mut disk: SimDisk, paths: &[&str]) {
        let directories = paths.iter().map(|path| LogDirectory {
            path: (*path).to_owned(),
            found: trial_storage::log_dir::take_clean_shutdown(&mut disk.for_node(), path)
                .map(|clean_shutdown| FoundDirectory { id: directory_id(id, path), clean_shutdown }),
        });
        let directories = directories.collect();
        let mut replicas =
            ReplicaManager::open(ReplicaConfig::new(id), &mut disk.for_node(), directories, self.clock());
        replicas.set_broker_epoch(self.metadata.brokers[&id].epoch);
        let rng = Rng::named(1, &format!("broker {id} at {}", self.now));
        self.nodes.insert(id, TestNode { replicas, disk, rng, metadata: TestMetadata::default() });
    }

    /// Ends a broker's process; what others wait for from it fails.
    fn kill(&mut self, id: NodeId) -> SimDisk {
        let node = self.nodes.remove(&id).unwrap();
        self.in_flight.retain(|(from, _, _)| *from != id);
        let (dead, alive) = self.in_flight.drain(..).partition(|(_, _, to)| *to == id);
        self.in_flight = alive;
        for (from, request, _) in dead {
            let failure = Err(RequestFailure::Disconnected);
            self.with(from, |replicas, ctx| replicas.handle_response(ctx, request, failure));
        }
        node.disk
    }

    fn clock(&self) -> Now {
        Now { mono: self.now, wall_ms: i64::try_from(self.now.0 / 1_000_000).unwrap() }
    }

    fn with<T>(&mut self, id: NodeId, call: impl FnOnce(&mut ReplicaManager, &mut Context<'_>) -> T) -> T {
        let now = self.clock();
        let node = self.nodes.get_mut(&id).unwrap();
        let disk = &mut node.disk.for_node();
        let mut ctx = Context { now, disk, rng: &mut node.rng, metadata: &node.metadata };
        call(&mut node.replicas, &mut ctx)
    }

    /// Lets one node learn what the controller has committed.
    fn publish_to(&mut self, id: NodeId) {
        self.nodes.get_mut(&id).unwrap().metadata = self.metadata.clone();
        let partitions = self.metadata.partitions.keys().copied().collect();
        let changes = MetadataChanges { partitions, ..MetadataChanges::default() };
        self.with(id, |replicas, ctx| replicas.apply(ctx, &changes));
        self.run();
    }

    fn publish(&mut self) {
        for id in [A, B, C] {
            if self.nodes.contains_key(&id) {
                self.publish_to(id);
            }
        }
    }

    /// Commits a new leader (or none) and ISR for a partition.
    fn elect(&mut self, tp: TopicIdPartition, leader: NodeId, isr: &[NodeId]) {
        let partition = self.metadata.partitions.get_mut(&tp).unwrap();
        if partition.leader != leader {
            partition.leader = leader;
            partition.leader_epoch += 1;
        }
        partition.isr = isr.to_vec();
        partition.partition_epoch += 1;
    }

    /// Carries out everything that the nodes want done, until nobody wants anything more.
    fn run(&mut self) {
        loop {
            let mut busy = false;
            for id in [A, B, C] {
                while let Some(output) = self.nodes.get_mut(&id).and_then(|node| node.replicas.poll_output())
                {
                    busy = true;
                    self.carry_out(id, output);
                }
            }
            while self.controller_is_prompt && self.answer_controller() {
                busy = true;
                self.publish();
            }
            if !busy {
                return;
            }
        }
    }

    fn carry_out(&mut self, from: NodeId, output: Output) {
        match output {
            Output::Respond { token, body } if token.conn == CLIENT => self.answers.push((token, *body)),
            Output::Respond { token, body } => {
                let to = NodeId(i32::try_from(token.conn.0).unwrap());
                let id = RequestId(u64::try_from(token.correlation_id).unwrap());
                let lost = self.cut.contains(&from) || self.cut.contains(&to);
                self.in_flight.retain(|(other, other_id, _)| (*other, *other_id) != (to, id));
                let result = if lost { Err(RequestFailure::Disconnected) } else { Ok(*body) };
                if self.nodes.contains_key(&to) {
                    self.with(to, |replicas, ctx| replicas.handle_response(ctx, id, result));
                }
            }
            Output::NoResponse { token, close } => self.unanswered.push((token, close)),
            Output::ToBroker { node, id, version, body } => {
                let lost = self.cut.contains(&from) || self.cut.contains(&node);
                if lost || !self.nodes.contains_key(&node) {
                    let failure = Err(RequestFailure::Disconnected);
                    return self.with(from, |replicas, ctx| replicas.handle_response(ctx, id, failure));
                }
                let token = Token {
                    conn: ConnId(u64::try_from(from.0).unwrap()),
                    correlation_id: i32::try_from(id.0).unwrap(),
                    api_version: version,
                };
                self.in_flight.push((from, id, node));
                self.with(node, |replicas, ctx| match *body {
                    RequestKind::Fetch(request) => replicas.handle_fetch(ctx, token, version, request, None),
                    RequestKind::ListOffsets(request) => {
                        replicas.handle_list_offsets(ctx, token, version, request);
                    }
                    other => panic!("{from} sent {other:?}"),
                });
                self.fetches += 1;
            }
            Output::ToController { id, body, .. } => self.to_controller.push_back((from, id, *body)),
            Output::Leadership { .. }
            | Output::Committed { .. }
            | Output::Verified { .. }
            | Output::VerifyTransaction { .. } => self.for_coordinators.push((from, output)),
            Output::Trace(event) => self.traces.push((from, event)),
            Output::DirectoryFailed { path, .. } => self.failed_directories.push((from, path)),
        }
    }

    /// Lets the controller handle the oldest request.
    fn answer_controller(&mut self) -> bool {
        let Some((from, id, body)) = self.to_controller.pop_front() else { return false };
        let answer = match body {
            RequestKind::AlterPartition(request) => {
                ResponseKind::AlterPartition(self.alter_partition(&request))
            }
            RequestKind::AllocateProducerIds(_) => ResponseKind::AllocateProducerIds(
                AllocateProducerIdsResponse::default()
                    .with_producer_id_start(ProducerId(5000))
                    .with_producer_id_len(1000),
            ),
            RequestKind::AssignReplicasToDirs(request) => {
                ResponseKind::AssignReplicasToDirs(self.assign_replicas_to_dirs(from, &request))
            }
            other => panic!("{other:?}"),
        };
        self.with(from, |replicas, ctx| replicas.handle_response(ctx, id, Ok(answer)));
        true
    }

    fn alter_partition(&mut self, request: &AlterPartitionRequest) -> AlterPartitionResponse {
        let mut topics = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for wanted in &topic.partitions {
                let tp = TopicIdPartition { topic_id: topic.topic_id, partition: wanted.partition_index };
                let answer = PartitionData::default().with_partition_index(tp.partition);
                let partition = self.metadata.partitions.get_mut(&tp).unwrap();
                let eligible = wanted.new_isr_with_epochs.iter().all(|member| {
                    let broker = &self.metadata.brokers[&NodeId(member.broker_id.0)];
                    !broker.fenced && [-1, broker.epoch].contains(&member.broker_epoch)
                });
                let error = if wanted.leader_epoch != partition.leader_epoch {
                    Some(ErrorCode::FencedLeaderEpoch)
                } else if wanted.partition_epoch != partition.partition_epoch {
                    Some(ErrorCode::InvalidUpdateVersion)
                } else if !eligible {
                    Some(ErrorCode::IneligibleReplica)
                } else {
                    None
                };
                if let Some(error) = error {
                    partitions.push(answer.with_error_code(error.code()));
                    continue;
                }
                partition.isr =
                    wanted.new_isr_with_epochs.iter().map(|member| NodeId(member.broker_id.0)).collect();
                partition.partition_epoch += 1;
                partitions.push(
                    answer
                        .with_leader_id(BrokerId(partition.leader.0))
                        .with_leader_epoch(partition.leader_epoch)
                        .with_isr(partition.isr.iter().map(|id| BrokerId(id.0)).collect())
                        .with_partition_epoch(partition.partition_epoch),
                );
            }
            topics.push(TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions));
        }
        AlterPartitionResponse::default().with_topics(topics)
    }

    fn assign_replicas_to_dirs(
        &mut self,
        from: NodeId,
        request: &AssignReplicasToDirsRequest,
    ) -> AssignReplicasToDirsResponse {
        use trial_wire::messages::assign_replicas_to_dirs_response::{
            DirectoryData, PartitionData, TopicData,
        };
        let directories = request.directories.iter().map(|directory| {
            let topics = directory.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    let index = partition.partition_index;
                    let tp = TopicIdPartition { topic_id: topic.topic_id, partition: index };
                    let answer = PartitionData::default().with_partition_index(index);
                    self.assignments_asked.push((self.now, tp));
                    if self.assignments_refused.contains(&tp) {
                        return answer.with_error_code(ErrorCode::IneligibleReplica.code());
                    }
                    let assigned = self.metadata.partitions.get_mut(&tp).unwrap();
                    let place = assigned.replicas.iter().position(|id| *id == from).unwrap();
                    assigned.directories[place] = directory.id;
                    assigned.partition_epoch += 1;
                    answer
                });
                TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions.collect())
            });
            DirectoryData::default().with_id(directory.id).with_topics(topics.collect())
        });
        AssignReplicasToDirsResponse::default().with_directories(directories.collect())
    }

    /// Lets time pass, with all that is due on the way.
    fn advance(&mut self, span: Span) {
        let until = self.now + span;
        loop {
            let next = self
                .nodes
                .iter()
                .filter_map(|(id, node)| Some((node.replicas.poll_timeout()?, *id)))
                .min()
                .filter(|(at, _)| *at <= until);
            let Some((at, id)) = next else { break };
            self.now = self.now.max(at);
            self.with(id, |replicas, ctx| replicas.handle_timeout(ctx));
            self.run();
        }
        self.now = until;
    }

    fn token(&mut self, api_version: i16) -> Token {
        self.last_token += 1;
        Token { conn: CLIENT, correlation_id: self.last_token, api_version }
    }

    /// Sends a Produce request with these batches, all of one topic.
    fn produce(&mut self, to: NodeId, acks: i16, batches: &[(TopicIdPartition, Bytes)]) -> Token {
        let token = self.token(13);
        let data = batches.iter().map(|(tp, records)| {
            PartitionProduceData::default().with_index(tp.partition).with_records(Some(records.clone()))
        });
        let topic_id = batches[0].0.topic_id;
        let topic = TopicProduceData::default().with_topic_id(topic_id).with_partition_data(data.collect());
        let request =
            ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic]);
        self.with(to, |replicas, ctx| replicas.handle_produce(ctx, token, 13, request));
        self.run();
        token
    }

    /// The answer to a request, if there is one yet; taken.
    fn answer(&mut self, token: Token) -> Option<ResponseKind> {
        let at = self.answers.iter().position(|(other, _)| *other == token)?;
        Some(self.answers.remove(at).1)
    }

    fn produced(&mut self, token: Token) -> Option<ProduceResponse> {
        match self.answer(token)? {
            ResponseKind::Produce(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    /// Error code and base offset of the only partition in an answer.
    fn produced_one(&mut self, token: Token) -> Option<(i16, i64)> {
        let response = self.produced(token)?;
        let partition = &response.responses[0].partition_responses[0];
        Some((partition.error_code, partition.base_offset))
    }

    fn fetch(&mut self, to: NodeId, request: FetchRequest) -> Token {
        let token = self.token(17);
        self.with(to, |replicas, ctx| replicas.handle_fetch(ctx, token, 17, request, None));
        self.run();
        token
    }

    fn fetched(&mut self, token: Token) -> Option<FetchResponse> {
        match self.answer(token)? {
            ResponseKind::Fetch(response) => Some(response),
            other => panic!("{other:?}"),
        }
    }

    fn high_watermark(&self, id: NodeId, tp: TopicIdPartition) -> i64 {
        self.nodes[&id].replicas.replica(tp).unwrap().high_watermark.0
    }

    fn log_end_offset(&self, id: NodeId, tp: TopicIdPartition) -> i64 {
        self.nodes[&id].replicas.replica(tp).unwrap().log_end_offset.0
    }

    fn isr(&self, id: NodeId, tp: TopicIdPartition) -> Vec<NodeId> {
        self.nodes[&id].replicas.replica(tp).unwrap().isr.to_vec()
    }

    /// Base offset, leader epoch and checksum of every batch of a replica.
    fn log(&mut self, id: NodeId, tp: TopicIdPartition) -> Vec<(i64, i32, u32)> {
        let mut seen = Vec::new();
        let mut each = |b: BatchView| seen.push((b.base_offset.0, b.leader_epoch.0, b.crc));
        self.with(id, |replicas, ctx| replicas.batches(ctx.disk, tp, Offset::ZERO, &mut each)).unwrap();
        seen
    }

    /// The kinds of the traces since the last call, with who said them.
    fn traced(&mut self) -> Vec<String> {
        self.traces.drain(..).map(|(id, event)| format!("{id}: {event}")).collect()
    }
}

/// A batch of `n` records that begin with `text`.
fn batch(text: &str, n: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    for i in 0..n {
        builder.push(1_000, None, Some(format!("{text} {i}").as_bytes()), &[]);
    }
    builder.build().bytes().clone()
}

/// A batch of one record of an idempotent producer.
fn idempotent(producer: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.producer(producer, epoch, sequence);
    builder.push(1_000, None, Some(b"value"), &[]);
    builder.build().bytes().clone()
}

fn wanted(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20)
}

/// A consumer's Fetch request.
fn fetch_request(session: (i32, i32), max_wait_ms: i32, partitions: &[FetchPartition]) -> FetchRequest {
    let mut topics = Vec::new();
    if !partitions.is_empty() {
        topics.push(FetchTopic::default().with_topic_id(TOPIC).with_partitions(partitions.to_vec()));
    }
    FetchRequest::default()
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_session_id(session.0)
        .with_session_epoch(session.1)
        .with_topics(topics)
}

/// Partition, error code, high watermark and the base offsets of the batches of each partition in an answer.
fn told(response: &FetchResponse) -> Vec<(i32, i16, i64, Vec<i64>)> {
    let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|p| {
            let records = p.records.clone().unwrap_or_default();
            let offsets = Batches::new(records).map(|batch| batch.unwrap().header().base_offset);
            (p.partition_index, p.error_code, p.high_watermark, offsets.collect())
        })
        .collect()
}
