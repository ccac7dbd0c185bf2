//! The node: what comes in is handed to the part that it concerns, and what the parts want done is carried out.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use trial_metadata::config::parse_ratio;
use trial_metadata::{BootstrapFeatures, StaticConfig, supported_features};
use trial_node::{HaltReason, Input, Io, Node, NodeId, Now, OpenError, Signal, Span, Time, TraceEvent};
use trial_wire::api::latest;
use trial_wire::message::request_api;
use trial_wire::messages::CreateTopicsRequest;
use trial_wire::{ApiKey, RequestKind, ResponseKind, StrBytes, TopicName};

use crate::channel::{ChannelId, Channels, Completion, Purpose, SendError};
use crate::connections::{CONTROLLER_PORT, Connections};
use crate::controller::ActiveController;
use crate::coordinator::{Coordinators, Question, topics};
use crate::lifecycle::{BrokerState, Identity, Lifecycle, LifecycleConfig, LifecycleEvent};
use crate::loader::SnapshotDue;
use crate::published::Published;
use crate::quorum::{Quorum, env};
use crate::quotas::Quotas;
use crate::replica::{self, Context, ReplicaConfig, ReplicaManager, RequestFailure};
use crate::security::Security;
use crate::shutdown::Phase;
use crate::to_controller::{Answer, ToController};
use crate::{BrokerConfig, Token, apis, log_dirs};

/// How long a forwarded request may wait for an active controller (60 s in Kafka, not configurable there).
const FORWARDING_TIMEOUT: Span = Span::from_secs(60);
/// Whose request was forwarded.
#[derive(Clone, Debug)]
enum Forwarded {
    /// A client's, with what to say if no controller answers in time.
    Client { token: Token, timed_out: Box<ResponseKind> },
    /// Our own, to create a topic that a client asked about.
    AutoCreation { topic: TopicName },
}

/// A combined node, broker and controller in one process.
///
/// One call of [`Node::handle`] takes its input and then goes round its parts until none of them has anything more to do.
#[derive(Clone, Debug)]
pub struct Broker {
    pub(crate) config: BrokerConfig,
    pub(crate) static_config: Arc<StaticConfig>,
    /// The feature levels that a new cluster starts at.
    pub(crate) features: BootstrapFeatures,
    /// The effective configs: `static_config` and the cluster's dynamic ones.
    pub(crate) effective: trial_metadata::BrokerConfig,
    pub(crate) security: Security,
    pub(crate) connections: Connections,
    pub(crate) quotas: Quotas,
    pub(crate) channels: Channels,
    pub(crate) quorum: Quorum,
    pub(crate) quorum_changed: bool,
    pub(crate) controller: Option<ActiveController>,
    pub(crate) published: Published,
    pub(crate) snapshot_due: SnapshotDue,
    pub(crate) lifecycle: Lifecycle,
    /// Whether the metadata says that this very process may serve.
    pub(crate) unfenced: bool,
    pub(crate) replicas: ReplicaManager,
    /// The log directory that the metadata log is in.
    metadata_log_dir: String,
    pub(crate) coordinators: Coordinators,
    /// The last number that was used to name a request or a wait inside the broker.
    pub(crate) last_id: u64,
    /// Whether the replicas follow the metadata; not before the broker has caught up with it.
    pub(crate) caught_up: bool,
    lifecycle_requests: ToController<()>,
    replication_requests: ToController<replica::RequestId>,
    forwarding: ToController<Forwarded>,
    auto_creating: BTreeSet<TopicName>,
    pub(crate) phase: Phase,
    /// What the node must not go on after.
    pub(crate) fatal: Option<String>,
}

impl Node for Broker {
    type Config = BrokerConfig;

    fn open(config: BrokerConfig, io: &mut Io<'_>, now: Now) -> Result<Broker, OpenError> {
        let endpoint = config.broker_endpoint()?;
        let static_config = Arc::new(config.static_config()?);
        let features = config.bootstrap_features()?;
        let published = Published::new(config.node_id, static_config.clone());
        let effective =
            trial_metadata::BrokerConfig::resolve(&static_config, &published.image, config.node_id);
        let directories = log_dirs::open(&config, &effective, io)?;
        let previous_broker_epoch = log_dirs::previous_broker_epoch(&directories);
        let metadata_log_dir = directories[0].path.clone();
        let quorum = Quorum::open(&config, &effective, &metadata_log_dir, io, now)?;
        let replica_config = replica_config(config.node_id, &effective);
        let replicas = ReplicaManager::open(replica_config, io.disk, directories, now);
        let coordinators = Coordinators::new(&effective);
        let quotas = Quotas::new(&effective);
        let security = Security::new(&effective);
        let identity = Identity {
            node_id: config.node_id,
            cluster_id: config.cluster_id.clone(),
            log_dirs: replicas.online_directories(),
            previous_broker_epoch,
            endpoint,
            rack: config.rack.clone(),
            features: supported_features(),
        };
        let lifecycle_config = LifecycleConfig {
            heartbeat_interval: effective.broker_heartbeat_interval,
            session_timeout: effective.broker_session_timeout,
            registration_timeout: Span::from_secs(60),
            log_dir_failure_timeout: effective.log_dir_failure_timeout,
        };
        let lifecycle = Lifecycle::new(identity, lifecycle_config, now, io);
        let client_id = StrBytes::from(config.node_id.to_string());
        // KAFKA-14392: give up on a controller early enough to try another before the session ends.
        let lifecycle_timeout = Span(effective.broker_session_timeout.0 / 2);
        let mut broker = Broker {
            config,
            static_config,
            features,
            effective,
            security,
            connections: Connections::default(),
            quotas,
            channels: Channels::new(client_id),
            quorum,
            quorum_changed: true,
            controller: None,
            published,
            snapshot_due: SnapshotDue::new(now),
            lifecycle,
            unfenced: false,
            replicas,
            metadata_log_dir,
            coordinators,
            last_id: 0,
            caught_up: false,
            lifecycle_requests: ToController::new(Purpose::Lifecycle, lifecycle_timeout),
            replication_requests: ToController::new(Purpose::Replication, Span(u64::MAX)),
            forwarding: ToController::new(Purpose::Forwarding, FORWARDING_TIMEOUT),
            auto_creating: BTreeSet::new(),
            phase: Phase::Running,
            fatal: None,
        };
        io.trace(TraceEvent::BrokerStarted);
        broker.settle(now, io);
        Ok(broker)
    }

    fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.replicas.clear_changed(io.disk);
        self.coordinators.clear_changed();
        self.quorum_changed = false;
        if self.phase == Phase::Halted {
            return;
        }
        match input {
            Input::Timeout => self.timeout(now, io),
            Input::Connected { conn } => {
                self.channels.connected(io, conn);
            }
            // Kafka opens its listener for clients once it may serve.
            Input::Accepted { conn, port } if port != CONTROLLER_PORT && !self.serves() => io.close(conn),
            Input::Accepted { conn, port } => self.accepted(conn, port),
            Input::Closed { conn, .. } => {
                if self.connections.closed(conn) {
                    self.quotas.closed(conn);
                    self.quorum.closed(conn);
                } else {
                    self.channels.closed(now, io, conn);
                }
            }
            Input::Request { conn, request } => self.connections.request(conn, request),
            Input::Response { conn, response } => {
                self.channels.response(now, io, conn, response);
            }
            Input::Signal(Signal::Terminate) => self.terminate(now, io),
            Input::Signal(Signal::ResignQuorumLeadership) => self.resign(now, io),
        }
        self.settle(now, io);
    }

    fn poll_timeout(&self) -> Option<Time> {
        let leader_known = self.quorum.leader().is_some();
        let deadline = [
            self.quorum.raft.poll_timeout().unwrap_or(Time::MAX),
            self.replicas.poll_timeout().unwrap_or(Time::MAX),
            self.coordinators.deadline(),
            self.channels.deadline(),
            self.connections.deadline(),
            self.lifecycle.deadline(),
            self.lifecycle_requests.deadline(leader_known),
            self.replication_requests.deadline(leader_known),
            self.forwarding.deadline(leader_known),
            self.controller.as_ref().map_or(Time::MAX, ActiveController::deadline),
            self.phase.deadline(),
        ];
        let deadline = deadline.into_iter().min().expect("the list is not empty");
        (self.phase != Phase::Halted && deadline != Time::MAX).then_some(deadline)
    }
}

impl Broker {
    /// Notes that the node cannot go on; it halts at the end of the step.
    pub(crate) fn fail(&mut self, why: &dyn Display) {
        self.fatal.get_or_insert_with(|| why.to_string());
    }

    /// As [`Broker::fail`], if there is an error.
    pub(crate) fn fail_on_error<E: Display>(&mut self, done: Result<(), E>) {
        if let Err(error) = done {
            self.fail(&error);
        }
    }

    /// Calls the replica manager with the surroundings that it needs.
    pub(crate) fn replicate<T>(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        call: impl FnOnce(&mut ReplicaManager, &mut Context<'_>) -> T,
    ) -> T {
        let mut ctx = Context { now, disk: &mut *io.disk, rng: &mut *io.rng, metadata: &self.published };
        call(&mut self.replicas, &mut ctx)
    }

    /// Sends a client's request on to the active controller and relays the response (KIP-590); `timed_out` is the
    /// response if there is none in time.
    pub(crate) fn forward(&mut self, now: Now, token: Token, body: RequestKind, timed_out: ResponseKind) {
        let tag = Forwarded::Client { token, timed_out: Box::new(timed_out) };
        let name = self.forwarded_name(token);
        self.forwarding.enqueue_as(now, tag, token.api_version, body, name);
    }

    /// Asks the active controller to create a topic with the cluster's defaults, or if it is an internal one as that has to be,
    /// unless that is under way.
    pub(crate) fn auto_create_topic(&mut self, now: Now, topic: TopicName) {
        if !self.auto_creating.insert(topic.clone()) {
            return;
        }
        let creatable = topics::creatable(&self.effective, topic.clone());
        let timeout_ms = i32::try_from(self.effective.request_timeout.as_millis()).expect("validated to fit");
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(timeout_ms);
        let tag = Forwarded::AutoCreation { topic };
        self.forwarding.enqueue(now, tag, latest(ApiKey::CreateTopics), request.into());
    }

    /// A broker that clients may ask for anything, by chance so that they spread; none if no broker is alive.
    pub(crate) fn some_live_broker(&self, io: &mut Io<'_>) -> NodeId {
        let alive: Vec<NodeId> = self.published.alive_brokers().map(|(broker, _)| broker.broker_id).collect();
        match alive.len() {
            0 => NodeId::NONE,
            n => alive[io.rng.below(n as u64) as usize],
        }
    }

    /// Whether clients may connect.
    fn serves(&self) -> bool {
        matches!(self.lifecycle.state(), BrokerState::Running | BrokerState::PendingControlledShutdown)
    }

    fn timeout(&mut self, now: Now, io: &mut Io<'_>) {
        if self.quorum.raft.poll_timeout().is_some_and(|at| at <= now.mono) {
            let done = self.quorum.raft.handle_timeout(&mut env(now, io));
            self.fail_on_error(done);
        }
        self.controller_timeout(now, io);
        self.channels.timeout(now, io);
        self.connections.timeout(now.mono, io);
        if self.replicas.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.replicate(now, io, |replicas, ctx| replicas.handle_timeout(ctx));
        }
        if self.coordinators.deadline() <= now.mono {
            self.coordinate(now, io, |coordinators, around| {
                coordinators.groups.timeout(around);
                coordinators.transactions.timeout(around);
            });
        }
        if self.lifecycle.registration_timed_out(now) {
            self.fail(&"the broker could not register with the controller in time");
        }
        if self.lifecycle.directory_failure_timed_out(now) {
            self.fail(&"the broker could not tell the controller in time that a log directory has failed");
        }
        self.phase_timeout(now, io);
    }

    /// Goes round the parts until none has anything more to do.
    fn settle(&mut self, now: Now, io: &mut Io<'_>) {
        while self.fatal.is_none() && self.phase != Phase::Halted {
            self.round(now, io);
            if self.is_idle() {
                break;
            }
        }
        self.quorum_changed |= self.quorum.raft.take_changed();
        self.coordinators.note_changed();
        if let Some(what) = self.fatal.take() {
            self.halt(io, HaltReason::Fatal(what));
        }
    }

    /// Whether no part has left anything for another round.
    fn is_idle(&self) -> bool {
        self.connections.is_idle()
            && !self.quorum.raft.has_outputs()
            && !self.replicas.has_outputs()
            && !self.coordinators.have_outputs()
            && !self.channels.have_completions()
    }

    /// One round.
    fn round(&mut self, now: Now, io: &mut Io<'_>) {
        while let Some(call) = self.connections.next_call() {
            apis::serve(self, now, io, call);
        }
        while let Some(output) = self.quorum.raft.poll_output() {
            self.raft_output(now, io, output);
        }
        while let Some(output) = self.replicas.poll_output() {
            self.replica_output(now, io, output);
        }
        self.coordinator_outputs(now, io);
        while let Some(completion) = self.channels.take_completion() {
            self.completed(now, io, completion);
        }
        self.expire(now, io);
        if let Some(body) = self.lifecycle.poll_request(now, self.published.next_offset + -1) {
            let version = latest(request_api(&body));
            self.lifecycle_requests.enqueue(now, (), version, body);
        }
        let waiting = self.lifecycle_requests.is_waiting()
            || self.replication_requests.is_waiting()
            || self.forwarding.is_waiting();
        if waiting {
            let leader = self.quorum.leader_endpoint();
            self.lifecycle_requests.drive(now, io, &mut self.channels, leader);
            self.replication_requests.drive(now, io, &mut self.channels, leader);
            self.forwarding.drive(now, io, &mut self.channels, leader);
        }
        self.maybe_finish_resigning(io);
    }

    fn replica_output(&mut self, now: Now, io: &mut Io<'_>, output: replica::Output) {
        match output {
            replica::Output::Respond { token, mut body } => {
                self.throttle(now, io, token, Some(&mut body));
                self.connections.respond_boxed(io, token, body);
            }
            replica::Output::NoResponse { token, close: false } => {
                self.throttle(now, io, token, None);
                self.connections.no_response(io, token);
            }
            replica::Output::NoResponse { token, close: true } => {
                self.quotas.closed(token.conn);
                self.connections.close(io, token.conn);
            }
            replica::Output::ToBroker { node, id, version, body } => match self.published.endpoint(node) {
                Some(endpoint) => {
                    let channel = ChannelId { node, purpose: Purpose::Fetcher };
                    let timeout = self.effective.replica_socket_timeout;
                    self.channels.send(now, io, channel, endpoint, (id.0, version, body), timeout);
                }
                None => self.replicate(now, io, |replicas, ctx| {
                    replicas.handle_response(ctx, id, Err(RequestFailure::Disconnected));
                }),
            },
            replica::Output::ToController { id, version, body } => {
                self.replication_requests.enqueue(now, id, version, *body);
            }
            replica::Output::VerifyTransaction {
                id,
                transactional_id,
                producer_id,
                producer_epoch,
                partitions,
                add,
            } => {
                let question =
                    Question { asker: id, transactional_id, producer_id, producer_epoch, partitions, add };
                self.verify_transaction(now, io, question);
            }
            replica::Output::Leadership { tp, leader_epoch } => {
                self.coordinate(now, io, |coordinators, around| {
                    coordinators.groups.leadership(around, tp, leader_epoch);
                    coordinators.transactions.leadership(around, tp, leader_epoch);
                });
            }
            replica::Output::Committed { waiter, result } => self.committed(now, io, waiter, result),
            replica::Output::Verified { waiter, result } => self.verified(now, io, waiter, result),
            replica::Output::Trace(event) => io.trace(event),
            replica::Output::DirectoryFailed { path, error, .. } if path == self.metadata_log_dir => {
                self.fail(&error);
            }
            replica::Output::DirectoryFailed { id, .. } => self.lifecycle.directory_failed(now, id),
        }
    }

    fn completed(&mut self, now: Now, io: &mut Io<'_>, completion: Completion) {
        let channels = &mut self.channels;
        match completion.channel.purpose {
            Purpose::Raft => self.raft_completion(now, io, completion),
            Purpose::Fetcher => {
                let id = replica::RequestId(completion.tag);
                let result = completion.result.map(|body| *body).map_err(|error| match error {
                    SendError::Disconnected => RequestFailure::Disconnected,
                    SendError::TimedOut => RequestFailure::TimedOut,
                });
                self.replicate(now, io, |replicas, ctx| replicas.handle_response(ctx, id, result));
            }
            Purpose::Coordinator => {
                let response = completion.result.ok().map(|body| *body);
                self.coordinator_response(now, io, completion.tag, response);
            }
            Purpose::Verification => self.verification_answer(now, io, completion),
            Purpose::Lifecycle => {
                if let Some(answer) = self.lifecycle_requests.complete(now, io, channels, completion) {
                    self.lifecycle_answer(now, io, answer);
                }
            }
            Purpose::Replication => {
                if let Some(answer) = self.replication_requests.complete(now, io, channels, completion) {
                    self.replication_answer(now, io, answer);
                }
            }
            Purpose::Forwarding => {
                if let Some(answer) = self.forwarding.complete(now, io, channels, completion) {
                    self.forwarding_answer(now, io, answer);
                }
            }
        }
    }

    /// Gives up on requests that no controller took in time.
    fn expire(&mut self, now: Now, io: &mut Io<'_>) {
        while let Some(answer) = self.lifecycle_requests.take_expired(now) {
            self.lifecycle_answer(now, io, answer);
        }
        while let Some(answer) = self.replication_requests.take_expired(now) {
            self.replication_answer(now, io, answer);
        }
        while let Some(answer) = self.forwarding.take_expired(now) {
            self.forwarding_answer(now, io, answer);
        }
    }

    fn lifecycle_answer(&mut self, now: Now, io: &mut Io<'_>, answer: Answer<()>) {
        match self.lifecycle.handle_response(now, io, answer.response) {
            Some(LifecycleEvent::Registered { broker_epoch }) => self.replicas.set_broker_epoch(broker_epoch),
            Some(LifecycleEvent::CaughtUp) => self.start_replicas(now, io),
            Some(LifecycleEvent::ShutDown) => self.stop(now, io),
            Some(LifecycleEvent::Unfenced) | None => {}
        }
    }

    fn replication_answer(&mut self, now: Now, io: &mut Io<'_>, answer: Answer<replica::RequestId>) {
        let result = answer.response.ok_or(RequestFailure::TimedOut);
        self.replicate(now, io, |replicas, ctx| replicas.handle_response(ctx, answer.tag, result));
    }

    fn forwarding_answer(&mut self, now: Now, io: &mut Io<'_>, answer: Answer<Forwarded>) {
        match answer.tag {
            Forwarded::Client { token, timed_out } => {
                let response = answer.response.unwrap_or(*timed_out);
                self.throttle_forwarded(now, io, token, &response);
                self.connections.respond(io, token, response);
            }
            Forwarded::AutoCreation { topic } => {
                self.auto_creating.remove(&topic);
            }
        }
    }
}

/// How many keys a cleaning has room for.
pub(crate) fn cleaner_keys_max(effective: &trial_metadata::BrokerConfig) -> usize {
    let load_factor = parse_ratio(&effective.log_cleaner_io_buffer_load_factor);
    let load_factor = load_factor.expect("a config's value was validated when it was set");
    replica::cleaner_keys_max(effective.log_cleaner_dedupe_buffer_size, load_factor)
}

fn replica_config(node_id: NodeId, effective: &trial_metadata::BrokerConfig) -> ReplicaConfig {
    ReplicaConfig {
        replica_lag_time_max: effective.replica_lag_time_max,
        replica_fetch_wait_max: effective.replica_fetch_wait_max,
        replica_fetch_min_bytes: effective.replica_fetch_min_bytes,
        replica_fetch_max_bytes: effective.replica_fetch_max_bytes,
        replica_fetch_response_max_bytes: effective.replica_fetch_response_max_bytes,
        replica_fetch_backoff: effective.replica_fetch_backoff,
        high_watermark_checkpoint_interval: effective.replica_high_watermark_checkpoint_interval,
        recovery_point_checkpoint_interval: effective.log_flush_offset_checkpoint_interval,
        fetch_session_slots: usize::try_from(effective.max_incremental_fetch_session_cache_slots)
            .expect("validated not to be negative"),
        fetch_max_bytes: effective.fetch_max_bytes,
        rack_aware_selector: effective.replica_selector_class.ends_with("RackAwareReplicaSelector"),
        transaction_partition_verification: effective.transaction_partition_verification_enable,
        producer_id_expiration: effective.producer_id_expiration,
        producer_id_expiration_check_interval: effective.producer_id_expiration_check_interval,
        log_cleaner_backoff: effective.log_cleaner_backoff,
        log_cleaner_keys_max: cleaner_keys_max(effective),
        log_retention_check_interval: effective.log_retention_check_interval,
        ..ReplicaConfig::new(node_id)
    }
}
