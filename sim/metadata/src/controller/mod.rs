//! The active controller: decides what becomes of the cluster, as records.

mod acls;
mod brokers;
mod configs;
mod directories;
mod eligible;
mod features;
mod leaders;
mod partition_change;
mod placement;
mod quotas;
mod reassign;
mod scram;
mod sessions;
#[cfg(test)]
mod testing;
mod topics;
mod trace;

use std::sync::Arc;

use trial_node::{NodeId, Offset, ProducerId, Span, Time, TraceEvent};
use trial_wire::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse};
use trial_wire::{ErrorCode, StrBytes};

use crate::config::{BrokerConfig, StaticConfig};
use crate::feature::{BootstrapFeatures, ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE};
use crate::image::{MetadataDelta, MetadataImage};
use crate::record::MetadataRecord;

use sessions::Sessions;

/// How many producer ids a broker gets at once.
pub const PRODUCER_ID_BLOCK_SIZE: i32 = 1_000;

/// What a controller must know from the start.
#[derive(Clone, Debug)]
pub struct ControllerConfig {
    /// Its own node.
    pub node_id: NodeId,
    /// The cluster's id; brokers of another cluster may not register.
    pub cluster_id: StrBytes,
    /// The operator's properties.
    pub static_config: Arc<StaticConfig>,
    /// The feature levels that a new cluster starts at.
    pub features: BootstrapFeatures,
}

/// A decision: the records that carry it out, and what to answer once they are committed.
///
/// Nothing has changed yet. The records must be appended in order, see [`QuorumController`].
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a decision that is not appended and replayed has no effect"]
pub struct ControllerResult<T> {
    /// What to append to the metadata log; may be empty.
    pub records: Vec<MetadataRecord>,
    /// Whether all of the records must be committed or none, so that they must fit one batch. A request that creates or
    /// deletes something is carried out whole or not at all; elections are good as far as they get.
    pub is_atomic: bool,
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
/// 3. append the [`ControllerResult::records`] through raft (as one batch, or if they do not fit one and need not be
///    atomic as several), then call [`QuorumController::replay`] once with all of them and the offset of the first. If
///    not even one batch could be appended because an atomic decision is too large, nothing has changed; if an append
///    fails for another reason, drop the controller;
/// 4. send the response once everything appended so far is committed (also when there were no records: the decision
///    may rest on records that are not committed yet);
/// 5. when leadership is lost, drop it: what was not committed is forgotten, the committed image is the caller's.
///
/// It answers as Kafka's `QuorumController` does; the state that brokers build up by heartbeats is soft: a new controller
/// gives every broker a new session.
#[derive(Clone, Debug)]
pub struct QuorumController {
    config: ControllerConfig,
    /// The configs that cannot change while it lives.
    broker_config: BrokerConfig,
    /// The metadata with everything that was decided, committed or not.
    image: MetadataImage,
    sessions: Sessions,
    /// A broker whose controlled shutdown begins with the records that will be replayed next.
    entering_shutdown: Option<NodeId>,
    /// When the next NoOp record is due.
    no_op_due: Option<Time>,
    /// When leaders are balanced next.
    balance_due: Option<Time>,
    /// Whether unclean elections may have become possible where there is no leader.
    unclean_check_due: bool,
}

/// How many records one request may cause (`MAX_RECORDS_PER_USER_OP`), as they must fit one batch.
const MAX_RECORDS_PER_USER_OP: usize = 10_000;

/// Why one part of a request fails: Kafka's code, and a message for people.
#[derive(Clone, Debug)]
struct ApiError {
    error: ErrorCode,
    message: Option<String>,
}

impl ApiError {
    fn new(error: ErrorCode, message: String) -> ApiError {
        ApiError { error, message: Some(message) }
    }

    fn code(&self) -> i16 {
        self.error.code()
    }

    fn message(self) -> Option<StrBytes> {
        self.message.map(StrBytes::from)
    }
}

impl From<ErrorCode> for ApiError {
    fn from(error: ErrorCode) -> ApiError {
        ApiError { error, message: None }
    }
}

impl<T> ControllerResult<T> {
    /// An answer that needs no records.
    fn answer(response: T) -> ControllerResult<T> {
        ControllerResult::atomic(Vec::new(), response)
    }

    /// A decision that is carried out whole or not at all.
    fn atomic(records: Vec<MetadataRecord>, response: T) -> ControllerResult<T> {
        ControllerResult { records, is_atomic: true, response }
    }

    /// Whether so many records cannot be one batch, which they would have to be: the whole request is refused with
    /// POLICY_VIOLATION.
    pub fn is_too_large(&self) -> bool {
        self.is_atomic && self.records.len() > MAX_RECORDS_PER_USER_OP
    }

    /// A decision of which each record is good by itself.
    fn separable(records: Vec<MetadataRecord>, response: T) -> ControllerResult<T> {
        ControllerResult { records, is_atomic: false, response }
    }
}

impl QuorumController {
    /// Becomes the active controller on top of `image`, the metadata at the end of the log. Returns the records to append
    /// and replay before anything else: none, unless the log is new (feature levels).
    pub fn activate(
        config: ControllerConfig,
        now: Time,
        image: MetadataImage,
    ) -> (QuorumController, Vec<MetadataRecord>) {
        let broker_config = BrokerConfig::resolve(&config.static_config, &image, config.node_id);
        let sessions = Sessions::new(now, broker_config.broker_session_timeout, &image);
        let mut bootstrap = Vec::new();
        if image.features().is_empty() {
            bootstrap.extend(config.features.levels().map(|(name, level)| MetadataRecord::FeatureLevel {
                name: StrBytes::from_static_str(name),
                level,
            }));
            if config.features.level(ELIGIBLE_LEADER_REPLICAS_VERSION_FEATURE) > 0 {
                bootstrap.extend(eligible::activation_records(&config, &image));
            }
        }
        let mut controller = QuorumController {
            config,
            broker_config,
            image,
            sessions,
            entering_shutdown: None,
            no_op_due: None,
            balance_due: None,
            // The config may have changed when the last controller could not act on it any more.
            unclean_check_due: true,
        };
        controller.schedule_no_op(now);
        if controller.broker_config.auto_leader_rebalance_enable {
            controller.balance_due = Some(now + controller.balance_interval());
        }
        (controller, bootstrap)
    }

    /// The metadata with everything that was decided, committed or not.
    pub fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// Applies the records of one decision, which were appended at `base_offset` and after it. Returns what people should
    /// know of.
    pub fn replay(&mut self, now: Time, base_offset: Offset, records: &[MetadataRecord]) -> Vec<TraceEvent> {
        let mut events = Vec::new();
        let mut brokers_changed = false;
        for record in records {
            trace::describe(&self.image, record, &mut events);
            self.image
                .replay(record, &mut MetadataDelta::default())
                .expect("the controller decides on the image that it replays to");
            brokers_changed |= self.update_sessions(now, record);
            if let MetadataRecord::Config { name, .. } = record {
                self.unclean_check_due |= name.as_str() == "unclean.leader.election.enable";
            }
        }
        if let Some(broker) = self.entering_shutdown.take() {
            let records = i64::try_from(records.len()).expect("a batch has few records");
            self.sessions.get_mut(broker).controlled_shutdown_offset = Some(base_offset + (records - 1));
        }
        if brokers_changed {
            self.sessions.refresh(&self.image);
        }
        events
    }

    /// Keeps the sessions in step with the registrations. Returns whether the record was about a broker.
    fn update_sessions(&mut self, now: Time, record: &MetadataRecord) -> bool {
        match record {
            MetadataRecord::RegisterBroker(registration) => self.sessions.start(registration.broker_id, now),
            MetadataRecord::UnregisterBroker { broker_id, .. } => self.sessions.remove(*broker_id),
            MetadataRecord::BrokerRegistrationChange(change) => {
                if change.fenced == Some(true) {
                    self.sessions.get_mut(change.broker_id).controlled_shutdown_offset = None;
                }
            }
            _ => return false,
        }
        true
    }

    /// When to call [`QuorumController::handle_timeout`] next. An instant in the past means at once.
    pub fn poll_timeout(&self) -> Option<Time> {
        let session_end = self.sessions.next_end().map(|(end, _)| end);
        let unclean_check = self.unclean_check_due.then_some(Time::ZERO);
        [session_end, unclean_check, self.no_op_due, self.balance_due].into_iter().flatten().min()
    }

    /// One thing that is due at `now`: fences a broker whose session has ended, elects where an unclean election has
    /// become possible, balances leaders, writes a NoOp record. Call it again, after the replay, while
    /// [`QuorumController::poll_timeout`] is not after `now`.
    pub fn handle_timeout(&mut self, now: Time) -> ControllerResult<()> {
        let mut records = Vec::new();
        if let Some((_, broker)) = self.sessions.next_end().filter(|(end, _)| *end <= now) {
            // One at a time: what fencing it does must show before the next is looked at.
            self.fence(broker, &mut records);
        } else if self.unclean_check_due {
            self.unclean_check_due = false;
            records = self.elect_where_unclean_is_allowed();
        } else if self.balance_due.is_some_and(|due| due <= now) {
            records = self.balance_leaders(now);
        } else if self.no_op_due.is_some_and(|due| due <= now) {
            self.schedule_no_op(now);
            records.push(MetadataRecord::NoOp);
        }
        ControllerResult::separable(records, ())
    }

    fn schedule_no_op(&mut self, now: Time) {
        let interval = self.broker_config.metadata_max_idle_interval;
        self.no_op_due = (interval > Span::ZERO).then(|| now + interval);
    }

    fn balance_interval(&self) -> Span {
        let seconds = self.broker_config.leader_imbalance_check_interval_seconds;
        Span::from_secs(1).times(u64::try_from(seconds).expect("at least 1"))
    }

    /// AllocateProducerIds: a block of [`PRODUCER_ID_BLOCK_SIZE`] producer ids for a broker.
    pub fn allocate_producer_ids(
        &self,
        request: &AllocateProducerIdsRequest,
    ) -> ControllerResult<AllocateProducerIdsResponse> {
        let (broker_id, broker_epoch) = (NodeId(*request.broker_id), request.broker_epoch);
        let start = self.image.next_producer_id();
        let next = start.0.checked_add(PRODUCER_ID_BLOCK_SIZE.into()).ok_or(ErrorCode::UnknownServerError);
        match self.check_broker_epoch(broker_id, broker_epoch).and(next) {
            Ok(next) => {
                let next_producer_id = ProducerId(next);
                ControllerResult::atomic(
                    vec![MetadataRecord::ProducerIds { broker_id, broker_epoch, next_producer_id }],
                    AllocateProducerIdsResponse::default()
                        .with_producer_id_start(start.0.into())
                        .with_producer_id_len(PRODUCER_ID_BLOCK_SIZE),
                )
            }
            Err(error) => {
                ControllerResult::answer(AllocateProducerIdsResponse::default().with_error_code(error.code()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
