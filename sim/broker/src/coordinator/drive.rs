//! How the broker drives its coordinators.

use std::collections::BTreeMap;

use trial_coordinator::group::{GroupConfig, GroupCoordinator, MigrationPolicy, ServerAssignor};
use trial_coordinator::transaction::{TransactionConfig, TransactionCoordinator};
use trial_coordinator::{CONSUMER_OFFSETS, CallId, Request, TRANSACTION_STATE, partition_for};
use trial_metadata::{BrokerConfig, MetadataDelta};
use trial_node::view::{CoordinatorEntry, CoordinatorKind, CoordinatorView};
use trial_node::{Io, NodeId, Now, Span, Time, TopicIdPartition};
use trial_security::acl::AclOperation;
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes, TopicName};

use super::runtime::Output;
use super::topics::{configured_partitions, topic_of};
use super::verifier::{Question, Verdict};
use super::{Around, Calls, Gathering, Markers, Runtime, Settings, Verifier};
use crate::channel::{ChannelId, Completion, Purpose};
use crate::replica::Waiter;
use crate::security::Access;
use crate::{Broker, Token};

/// Where members are, as descriptions of groups show it: a node does not see its peers' addresses.
const CLIENT_HOST: &str = "/";

/// The coordinators of this broker, and everything that is in progress with them.
#[derive(Clone, Debug)]
pub(crate) struct Coordinators {
    pub groups: Runtime<GroupCoordinator>,
    pub transactions: Runtime<TransactionCoordinator>,
    pub calls: Calls,
    pub markers: Markers,
    pub verifier: Verifier,
    /// Offsets that a transaction commits, until their partition is known to belong to the transaction.
    pub unverified: BTreeMap<Waiter, Unverified>,
    /// The partitions whose coordinators were loaded, changed or removed by the last call.
    pub changed: Vec<TopicIdPartition>,
}

/// A request that waits for a verification.
#[derive(Clone, Debug)]
pub(crate) struct Unverified {
    /// The group's partition.
    pub partition: i32,
    /// Its call.
    pub call: CallId,
    /// Its version.
    pub version: i16,
    /// Who asks.
    pub client_id: StrBytes,
    /// The request.
    pub body: RequestKind,
    /// The answer if it may not be carried out.
    pub refuse: fn(&RequestKind, ErrorCode) -> ResponseKind,
}

impl Coordinators {
    /// None yet.
    pub fn new(config: &BrokerConfig) -> Coordinators {
        let groups = Settings {
            kind: CoordinatorKind::Group,
            topic: CONSUMER_OFFSETS,
            load_buffer_size: positive(config.offsets_load_buffer_size),
            append_timeout: config.offsets_commit_timeout,
        };
        let transactions = Settings {
            kind: CoordinatorKind::Transaction,
            topic: TRANSACTION_STATE,
            load_buffer_size: positive(config.transaction_state_log_load_buffer_size),
            append_timeout: config.request_timeout,
        };
        Coordinators {
            groups: Runtime::new(groups, group_config(config)),
            transactions: Runtime::new(transactions, transaction_config(config)),
            calls: Calls::default(),
            markers: Markers::default(),
            verifier: Verifier::default(),
            unverified: BTreeMap::new(),
            changed: Vec::new(),
        }
    }

    /// Whether a request for a partition can be served here.
    ///
    /// # Errors
    /// NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS.
    pub fn check(&self, kind: CoordinatorKind, partition: i32) -> Result<(), ErrorCode> {
        match kind {
            CoordinatorKind::Group => self.groups.check(partition),
            CoordinatorKind::Transaction => self.transactions.check(partition),
        }
    }

    /// A loaded coordinator as an observer sees it.
    pub fn view(&self, tp: TopicIdPartition) -> Option<CoordinatorView> {
        self.groups.view(tp).or_else(|| self.transactions.view(tp))
    }

    /// Calls `each` with everything durable that a loaded coordinator knows.
    pub fn entries(&self, tp: TopicIdPartition, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        self.groups.entries(tp, each);
        self.transactions.entries(tp, each);
    }

    /// The partitions whose coordinators of a kind run here.
    pub fn partitions(&self, kind: CoordinatorKind) -> Vec<i32> {
        match kind {
            CoordinatorKind::Group => self.groups.partitions().collect(),
            CoordinatorKind::Transaction => self.transactions.partitions().collect(),
        }
    }

    /// When something is due; [`Time::MAX`] for never.
    pub fn deadline(&self) -> Time {
        self.groups.deadline().min(self.transactions.deadline())
    }

    /// The broker stops.
    pub fn stop(&mut self) {
        self.groups.stop();
        self.transactions.stop();
        self.calls = Calls::default();
        self.markers = Markers::default();
        self.verifier = Verifier::default();
        self.unverified = BTreeMap::new();
    }

    /// Begins to note changes anew.
    pub fn clear_changed(&mut self) {
        self.changed.clear();
    }

    /// Whether a coordinator wants something done.
    pub fn have_outputs(&self) -> bool {
        self.groups.has_outputs() || self.transactions.has_outputs()
    }

    /// Makes the list of what has changed.
    pub fn note_changed(&mut self) {
        self.changed.extend(self.groups.changed().chain(self.transactions.changed()));
        self.groups.clear_changed();
        self.transactions.clear_changed();
    }
}

impl Broker {
    /// Calls the coordinators with the surroundings that they need.
    pub(crate) fn coordinate<T>(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        call: impl FnOnce(&mut Coordinators, &mut Around<'_, '_>) -> T,
    ) -> T {
        let Broker { coordinators, replicas, published, last_id, .. } = self;
        call(coordinators, &mut Around { now, io, replicas, published, last_id })
    }

    /// A number that has named nothing yet.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The partition whose coordinator a group or a transactional id belongs to.
    pub(crate) fn coordinator_partition(&self, kind: CoordinatorKind, key: &str) -> i32 {
        let topic = self.published.image.topic_named(&topic_of(kind));
        let count = topic.and_then(|topic| i32::try_from(topic.partitions.len()).ok());
        partition_for(key, count.unwrap_or_else(|| configured_partitions(&self.effective, kind)))
    }

    /// The broker that coordinates a group or a transactional id, if it is alive.
    pub(crate) fn coordinator_node(&self, kind: CoordinatorKind, key: &str) -> Option<NodeId> {
        let partition = self.coordinator_partition(kind, key);
        let topic = self.published.image.topic_named(&topic_of(kind))?;
        let leader = topic.partitions.get(&partition)?.leader;
        let alive = self.published.image.broker(leader).is_some_and(|broker| !broker.fenced);
        alive.then_some(leader)
    }

    /// Hands a request to the coordinator of a partition, which was found fit. `access` is what its sender may do, `None` if that
    /// is everything.
    #[allow(clippy::too_many_arguments, reason = "a request, whom it is from and whom it is for")]
    pub(crate) fn call_coordinator(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        kind: CoordinatorKind,
        partition: i32,
        (call, version, client_id): (CallId, i16, &StrBytes),
        access: Option<&Access>,
        body: RequestKind,
    ) {
        let describes =
            access.map(|access| move |name: &TopicName| access.topic(AclOperation::Describe, name));
        let describes = describes.as_ref().map(|describes| describes as &dyn Fn(&TopicName) -> bool);
        let request = Request { call, version, client_id, client_host: CLIENT_HOST, describes, body };
        self.coordinate(now, io, |coordinators, around| match kind {
            CoordinatorKind::Group => coordinators.groups.handle(around, partition, request),
            CoordinatorKind::Transaction => coordinators.transactions.handle(around, partition, request),
        });
    }

    /// Tells the coordinators that topics or leaders have changed, or who may know of topics.
    pub(crate) fn metadata_changed(&mut self, now: Now, io: &mut Io<'_>, delta: &MetadataDelta) {
        let concerned = !(delta.partitions.is_empty() && delta.deleted_topics.is_empty());
        let concerns_both = concerned || !delta.brokers.is_empty();
        if concerns_both || !delta.acls.is_empty() {
            self.coordinate(now, io, |Coordinators { groups, transactions, .. }, around| {
                groups.metadata_changed(around);
                if concerns_both {
                    transactions.metadata_changed(around);
                }
            });
        }
    }

    /// Sends a response that is put together from parts as soon as all of them are there.
    pub(crate) fn gather(&mut self, io: &mut Io<'_>, id: u64, gathering: Gathering) {
        let complete = self.coordinators.calls.gather(id, gathering);
        self.respond_if(io, complete);
    }

    /// Sends a response if there is one.
    pub(crate) fn respond_if(&mut self, io: &mut Io<'_>, complete: Option<(Token, ResponseKind)>) {
        if let Some((token, body)) = complete {
            self.connections.respond(io, token, body);
        }
    }

    /// Carries out what coordinators want.
    pub(crate) fn coordinator_outputs(&mut self, now: Now, io: &mut Io<'_>) {
        loop {
            let Coordinators { groups, transactions, .. } = &mut self.coordinators;
            let Some(output) = groups.poll_output().or_else(|| transactions.poll_output()) else {
                return;
            };
            match output {
                Output::Respond { call, body } => {
                    let complete = self.coordinators.calls.answered(call, body);
                    self.respond_if(io, complete);
                }
                Output::Send { tag, to, version, body } => match self.published.endpoint(to) {
                    Some(endpoint) => {
                        let channel = ChannelId { node: to, purpose: Purpose::Coordinator };
                        let timeout = self.effective.request_timeout;
                        self.channels.send(now, io, channel, endpoint, (tag, version, body), timeout);
                    }
                    None => self.coordinator_response(now, io, tag, None),
                },
                Output::Fatal(what) => self.fail(&what),
            }
        }
    }

    /// What became of a request that a coordinator sent.
    pub(crate) fn coordinator_response(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        tag: u64,
        response: Option<ResponseKind>,
    ) {
        self.coordinate(now, io, |Coordinators { groups, transactions, .. }, around| {
            let of_groups = groups.is_awaited(tag);
            match of_groups {
                true => groups.handle_response(around, tag, response),
                false => transactions.handle_response(around, tag, response),
            }
        });
    }

    /// What somebody inside the broker waited for has been committed, or will not be.
    pub(crate) fn committed(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        waiter: Waiter,
        result: Result<(), ErrorCode>,
    ) {
        let complete = self.coordinate(now, io, |coordinators, around| {
            let Coordinators { groups, transactions, markers, .. } = coordinators;
            if groups.committed(around, waiter, result) || transactions.committed(around, waiter, result) {
                return None;
            }
            markers.committed(waiter, result)
        });
        self.respond_if(io, complete);
    }

    /// A transaction's offsets may be committed to their group's partition, or not.
    pub(crate) fn verified(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        waiter: Waiter,
        result: Result<(), ErrorCode>,
    ) {
        let Some(unverified) = self.coordinators.unverified.remove(&waiter) else { return };
        let Unverified { partition, call, version, client_id, body, refuse } = unverified;
        let kind = CoordinatorKind::Group;
        match result.and_then(|()| self.coordinators.check(kind, partition)) {
            Ok(()) => {
                self.call_coordinator(now, io, kind, partition, (call, version, &client_id), None, body)
            }
            Err(error) => {
                let complete = self.coordinators.calls.answered(call, refuse(&body, error));
                self.respond_if(io, complete);
            }
        }
    }

    /// Asks a transaction's coordinator whether partitions belong to the transaction.
    pub(crate) fn verify_transaction(&mut self, now: Now, io: &mut Io<'_>, question: Question) {
        let kind = CoordinatorKind::Transaction;
        let settled = match self.coordinator_node(kind, &question.transactional_id) {
            Some(to) => {
                let settled = self.coordinators.verifier.ask(to, question);
                self.send_verification(now, io, to);
                settled
            }
            None => Some(question.all(ErrorCode::CoordinatorNotAvailable)),
        };
        if let Some((asker, results)) = settled {
            self.replicate(now, io, |replicas, ctx| replicas.handle_verification(ctx, asker, results));
        }
    }

    /// What became of the question to a transaction coordinator.
    pub(crate) fn verification_answer(&mut self, now: Now, io: &mut Io<'_>, completion: Completion) {
        let node = completion.channel.node;
        let verdicts: Vec<Verdict> =
            self.coordinators.verifier.answered(node, completion.result.ok().map(|body| *body));
        for (asker, results) in verdicts {
            self.replicate(now, io, |replicas, ctx| replicas.handle_verification(ctx, asker, results));
        }
        self.send_verification(now, io, node);
    }

    fn send_verification(&mut self, now: Now, io: &mut Io<'_>, to: NodeId) {
        let Some((version, body)) = self.coordinators.verifier.next_request(to) else { return };
        match self.published.endpoint(to) {
            Some(endpoint) => {
                let channel = ChannelId { node: to, purpose: Purpose::Verification };
                let timeout = self.effective.request_timeout;
                self.channels.send(now, io, channel, endpoint, (0, version, body), timeout);
            }
            None => {
                for (asker, results) in self.coordinators.verifier.answered(to, None) {
                    self.replicate(now, io, |replicas, ctx| {
                        replicas.handle_verification(ctx, asker, results);
                    });
                }
            }
        }
    }
}

fn positive(config: i32) -> usize {
    usize::try_from(config).expect("validated to be positive")
}

fn group_config(config: &BrokerConfig) -> GroupConfig {
    let assignors = config.group_consumer_assignors.iter().map(|name| match name.as_str() {
        "range" => ServerAssignor::Range,
        _ => ServerAssignor::Uniform,
    });
    let policy = match config.group_consumer_migration_policy.as_str() {
        "disabled" => MigrationPolicy::Disabled,
        "upgrade" => MigrationPolicy::Upgrade,
        "downgrade" => MigrationPolicy::Downgrade,
        _ => MigrationPolicy::Bidirectional,
    };
    GroupConfig {
        min_session_timeout: config.group_min_session_timeout,
        max_session_timeout: config.group_max_session_timeout,
        initial_rebalance_delay: config.group_initial_rebalance_delay,
        max_size: positive(config.group_max_size),
        offset_metadata_max_bytes: positive(config.offset_metadata_max_bytes),
        offsets_retention: Span::from_secs(60).times(positive(config.offsets_retention_minutes) as u64),
        offsets_retention_check_interval: config.offsets_retention_check_interval,
        consumer_session_timeout: config.group_consumer_session_timeout,
        consumer_heartbeat_interval: config.group_consumer_heartbeat_interval,
        consumer_max_size: positive(config.group_consumer_max_size),
        consumer_assignors: assignors.collect(),
        consumer_migration_policy: policy,
    }
}

fn transaction_config(config: &BrokerConfig) -> TransactionConfig {
    TransactionConfig {
        transaction_max_timeout_ms: config.transaction_max_timeout_ms,
        transactional_id_expiration_ms: config.transactional_id_expiration_ms,
        transaction_abort_timed_out_transaction_cleanup_interval: config.transaction_abort_timed_out_interval,
        transaction_remove_expired_transaction_cleanup_interval: config.transaction_remove_expired_interval,
        offsets_topic_num_partitions: config.offsets_topic_num_partitions,
    }
}
