//! The shell: what is known of each transactional id, how decisions get into the log, and which request goes where.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use trial_node::view::{CoordinatorEntry, TransactionState};
use trial_node::{LeaderEpoch, Offset, ProducerId, Time, TopicPartition};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::add_partitions::Batch;
use super::answer::Caller;
use super::markers::Markers;
use super::metadata::TransactionMetadata;
use super::timers::Timers;
use super::{TransactionConfig, record, state};
use crate::{CallId, Coordinator, CorruptRecord, Env, LogRecord, Marker, Output, Request, SendId, Ticket};

/// The coordinator of one partition of `__transaction_state` (KIP-98, KIP-890).
///
/// A step of a transactional id is decided by what is committed of it, and while the record of one step is not committed, no
/// other is decided: clients are told CONCURRENT_TRANSACTIONS. A record that is in the log but was not committed in time is
/// appended again until it is: what it says may be taken as decided by the next coordinator, so it stands.
///
/// What is loaded may not be committed either. If a transaction is open or decided in it, one record that is there already is
/// appended once more; as soon as that is committed, so is all before it. Until then requests are answered with
/// COORDINATOR_LOAD_IN_PROGRESS, and no marker is sent.
#[derive(Clone, Debug)]
pub struct TransactionCoordinator {
    pub(super) config: TransactionConfig,
    /// The leader epoch in which it was loaded: the coordinator epoch of its markers.
    pub(super) coordinator_epoch: LeaderEpoch,
    /// Whether everything that was loaded is committed.
    pub(super) is_confirmed: bool,
    pub(super) ids: BTreeMap<StrBytes, Entry>,
    /// What has been appended and is not committed yet.
    appends: BTreeMap<Ticket, Appended>,
    /// Who waits for which producer id.
    pub(super) questions: BTreeMap<SendId, StrBytes>,
    pub(super) batches: BTreeMap<CallId, Batch>,
    pub(super) markers: Markers,
    pub(super) timers: Timers,
    /// Ids that have something to be appended again.
    unwritten: BTreeSet<StrBytes>,
    last_number: u64,
    pub(super) outputs: VecDeque<Output>,
}

/// What is known of one transactional id.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// What the log says, whether committed or not; `None` if it says nothing.
    pub logged: Option<TransactionMetadata>,
    /// The step that is being taken.
    pub pending: Option<Pending>,
    /// The partitions of a decided transaction that have not got their markers yet.
    pub unmarked: BTreeSet<TopicPartition>,
}

/// A step on its way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// What is committed.
    pub committed: Option<TransactionMetadata>,
    pub step: Step,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A new producer id is needed for it.
    ProducerId(Purpose),
    /// Its record is being appended.
    Append {
        next: Option<TransactionMetadata>,
        /// Whether it is in the log.
        is_written: bool,
        caller: Caller,
    },
}

/// What a new producer id is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// InitProducerId: to be given to the producer at once. `is_known` if the producer has told its epoch.
    Give { caller: Caller, timeout_ms: i32, is_known: bool },
    /// EndTxn in version 2 of the protocol: to be given to the producer for its next transaction.
    Decide { caller: Caller, commit: bool },
    /// The open transaction is aborted under the last epoch.
    Fence { caller: Caller },
}

#[derive(Clone, Debug)]
enum Appended {
    /// A step of each of these ids.
    Steps(Vec<StrBytes>),
    /// A record that shows that what was loaded is committed.
    Confirmation,
}

impl Entry {
    /// What may be told: what is committed.
    pub fn committed(&self) -> Option<&TransactionMetadata> {
        match &self.pending {
            None => self.logged.as_ref(),
            Some(pending) => pending.committed.as_ref(),
        }
    }

    /// Whether a step is on its way, or markers are: nothing else can be begun.
    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
            || self.logged.as_ref().is_some_and(|known| state::is_prepared(known.log.state))
    }
}

impl TransactionCoordinator {
    /// What is known of a transactional id that has been named before.
    pub(super) fn entry(&mut self, id: &StrBytes) -> &mut Entry {
        self.ids.get_mut(id).expect("an id that is being worked on is not forgotten")
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Begins a step for which a new producer id is needed.
    pub(super) fn ask_producer_id(&mut self, id: &StrBytes, purpose: Purpose) {
        let question = SendId(self.next_number());
        let entry = self.ids.entry(id.clone()).or_default();
        let committed = entry.logged.clone();
        entry.pending = Some(Pending { committed, step: Step::ProducerId(purpose) });
        self.questions.insert(question, id.clone());
        self.outputs.push_back(Output::ProducerId { id: question });
    }

    /// Takes a step: the log is to say `next`. `caller` is answered when that is committed.
    pub(super) fn append(
        &mut self,
        env: &Env<'_>,
        id: &StrBytes,
        next: Option<TransactionMetadata>,
        caller: Caller,
    ) {
        let records = vec![self.begin(env, id, next, caller)];
        self.push_append(vec![id.clone()], records);
    }

    /// Begins a step whose record the caller appends.
    fn begin(
        &mut self,
        env: &Env<'_>,
        id: &StrBytes,
        next: Option<TransactionMetadata>,
        caller: Caller,
    ) -> crate::Record {
        let record = record::encode(id, next.as_ref().map(|next| &next.log), transaction_version(env));
        let entry = self.ids.entry(id.clone()).or_default();
        let committed = entry.logged.clone();
        let step = Step::Append { next, is_written: false, caller };
        entry.pending = Some(Pending { committed, step });
        record
    }

    fn push_append(&mut self, ids: Vec<StrBytes>, records: Vec<crate::Record>) {
        let ticket = Ticket(self.next_number());
        self.appends.insert(ticket, Appended::Steps(ids));
        self.outputs.push_back(Output::Append { ticket, records, transaction: None });
    }

    /// Forgets ids, as one batch.
    pub(super) fn append_tombstones(&mut self, env: &Env<'_>, ids: Vec<StrBytes>) {
        let records = ids.iter().map(|id| self.begin(env, id, None, Caller::Nobody)).collect();
        self.push_append(ids, records);
    }

    /// A step's record is committed, or is not for now.
    fn settle(&mut self, env: &mut Env<'_>, id: &StrBytes, result: Result<(), ErrorCode>) {
        let entry = self.entry(id);
        let Some(Pending { committed, step: Step::Append { next, is_written, caller } }) =
            entry.pending.take()
        else {
            panic!("only the step that appended is answered");
        };
        match result {
            Ok(()) => {
                self.answer(caller, Ok(next.as_ref()));
                self.committed(env, id);
            }
            Err(error) => {
                if is_written {
                    // It stands, but nobody knows yet.
                    let step = Step::Append { next, is_written, caller: Caller::Nobody };
                    entry.pending = Some(Pending { committed, step });
                }
                let is_forgotten = entry.logged.is_none() && entry.pending.is_none();
                let is_unfinished = entry.is_busy();
                self.answer(caller, Err(coordinator_error(error)));
                if is_forgotten {
                    self.ids.remove(id);
                } else if is_unfinished {
                    self.unwritten.insert(id.clone());
                    self.timers.retry(env.now.mono);
                }
            }
        }
    }

    /// Everything that the log says of an id is committed: goes on from there.
    fn committed(&mut self, env: &mut Env<'_>, id: &StrBytes) {
        let now = env.now.mono;
        self.timers.expire(now, self.config.transaction_remove_expired_transaction_cleanup_interval);
        match self.entry(id).logged.as_ref().map(|known| known.log.state) {
            None => {
                self.ids.remove(id);
            }
            Some(TransactionState::Ongoing) => {
                self.timers.abort(now, self.config.transaction_abort_timed_out_transaction_cleanup_interval);
            }
            Some(state) if state::is_prepared(state) => self.start_markers(env, id),
            Some(_) => {}
        }
    }

    /// Appends again what could not be appended or was not committed in time.
    pub(super) fn append_again(&mut self, env: &mut Env<'_>) {
        for id in std::mem::take(&mut self.unwritten) {
            match self.entry(&id).pending.as_mut() {
                // What is in the log is committed as soon as anything after it is.
                Some(Pending { step: Step::Append { next, .. }, .. }) => {
                    let next = next.as_ref().map(|next| &next.log);
                    let records = vec![record::encode(&id, next, transaction_version(env))];
                    self.push_append(vec![id], records);
                }
                Some(Pending { step: Step::ProducerId(_), .. }) => {
                    panic!("an id that has something to append begins nothing else")
                }
                None => self.complete_if_marked(env, &id),
            }
        }
        let is_confirming = || self.appends.values().any(|what| matches!(what, Appended::Confirmation));
        if !self.is_confirmed && !is_confirming() {
            self.confirm(env);
        }
    }

    /// Finds out whether what was loaded is committed.
    fn confirm(&mut self, env: &mut Env<'_>) {
        let open = self.ids.iter().find_map(|(id, entry)| {
            let known = entry.logged.as_ref()?;
            let matters = known.log.state == TransactionState::Ongoing || state::is_prepared(known.log.state);
            matters.then(|| record::encode(id, Some(&known.log), transaction_version(env)))
        });
        self.is_confirmed = open.is_none();
        if let Some(record) = open {
            let ticket = Ticket(self.next_number());
            self.appends.insert(ticket, Appended::Confirmation);
            self.outputs.push_back(Output::Append { ticket, records: vec![record], transaction: None });
        }
    }

    fn confirmed(&mut self, env: &mut Env<'_>) {
        self.is_confirmed = true;
        let ids: Vec<StrBytes> = self.ids.keys().cloned().collect();
        for id in ids {
            self.committed(env, &id);
        }
    }
}

/// The cluster's `transaction.version`.
pub(super) fn transaction_version(env: &Env<'_>) -> i16 {
    env.metadata.feature_level("transaction.version").clamp(0, 2)
}

/// What clients are told when the log does not take a record.
fn coordinator_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}

impl Coordinator for TransactionCoordinator {
    type Config = TransactionConfig;

    fn new(config: TransactionConfig) -> TransactionCoordinator {
        TransactionCoordinator {
            config,
            coordinator_epoch: LeaderEpoch::NONE,
            is_confirmed: true,
            ids: BTreeMap::new(),
            appends: BTreeMap::new(),
            questions: BTreeMap::new(),
            batches: BTreeMap::new(),
            markers: Markers::default(),
            timers: Timers::default(),
            unwritten: BTreeSet::new(),
            last_number: 0,
            outputs: VecDeque::new(),
        }
    }

    fn replay(&mut self, record: LogRecord<'_>) -> Result<(), CorruptRecord> {
        let corrupt =
            |error: record::DecodeError| CorruptRecord { offset: record.offset, what: error.to_string() };
        let Some(id) = record::decode_key(record.key).map_err(corrupt)? else { return Ok(()) };
        let logged = match record.value.map(record::decode_value).transpose().map_err(corrupt)? {
            None => None,
            Some(None) => return Ok(()),
            Some(Some(value)) => Some(TransactionMetadata::logged(value)),
        };
        let Some(entry) = self.ids.get_mut(id.as_bytes()) else {
            if logged.is_some() {
                let id = StrBytes::from_string(id.to_owned());
                self.ids.insert(id, Entry { logged, ..Entry::default() });
            }
            return Ok(());
        };
        entry.logged = logged;
        match &mut entry.pending {
            Some(Pending { step: Step::Append { next, is_written, .. }, .. }) => {
                *is_written = true;
                // What the log does not hold is remembered while this coordinator lives.
                if let (Some(logged), Some(next)) = (&mut entry.logged, next) {
                    logged.last_producer_epoch = next.last_producer_epoch;
                    logged.log.previous_producer_id = next.log.previous_producer_id;
                }
            }
            Some(Pending { step: Step::ProducerId(_), .. }) => {}
            None if entry.logged.is_none() => {
                self.ids.remove(id.as_bytes());
            }
            None => {}
        }
        Ok(())
    }

    fn replay_marker(&mut self, _marker: Marker) {}

    fn activate(&mut self, env: &mut Env<'_>, leader_epoch: LeaderEpoch) {
        self.coordinator_epoch = leader_epoch;
        if !self.ids.is_empty() {
            let interval = self.config.transaction_remove_expired_transaction_cleanup_interval;
            self.timers.expire(env.now.mono, interval);
        }
        self.confirm(env);
    }

    fn handle(&mut self, env: &mut Env<'_>, request: Request<'_>) {
        let Request { call, version, body, .. } = request;
        let is_confirmed = self.is_confirmed;
        match body {
            RequestKind::InitProducerId(body) if is_confirmed => {
                self.init_producer_id(env, call, version, body);
            }
            RequestKind::AddPartitionsToTxn(body) if is_confirmed => {
                self.add_partitions_to_txn(env, call, version, body);
            }
            RequestKind::AddOffsetsToTxn(body) if is_confirmed => {
                self.add_offsets_to_txn(env, call, version, body);
            }
            RequestKind::EndTxn(body) if is_confirmed => self.end_txn(env, call, version, body),
            RequestKind::InitProducerId(_) => {
                self.answer(Caller::InitProducerId { call, version }, Err(LOADING));
            }
            RequestKind::AddPartitionsToTxn(body) => self.refuse_partitions(call, version, &body, LOADING),
            RequestKind::AddOffsetsToTxn(_) => {
                self.answer(Caller::AddOffsets { call, version }, Err(LOADING))
            }
            RequestKind::EndTxn(_) => self.answer(Caller::EndTxn { call, version }, Err(LOADING)),
            RequestKind::DescribeTransactions(body) => self.describe_transactions(call, body),
            RequestKind::ListTransactions(body) => self.list_transactions(env, call, body),
            other => panic!("the broker brings no {other:?} here"),
        }
    }

    fn completed(&mut self, env: &mut Env<'_>, ticket: Ticket, result: Result<Offset, ErrorCode>) {
        match self.appends.remove(&ticket).expect("an append is answered once") {
            Appended::Steps(ids) => {
                for id in ids {
                    self.settle(env, &id, result.map(|_| ()));
                }
            }
            Appended::Confirmation if result.is_ok() => self.confirmed(env),
            Appended::Confirmation => self.timers.retry(env.now.mono),
        }
        self.send_markers(env);
    }

    fn handle_response(&mut self, env: &mut Env<'_>, id: SendId, response: Option<ResponseKind>) {
        self.handle_markers_response(env, id, response);
        self.send_markers(env);
    }

    fn producer_id(&mut self, env: &mut Env<'_>, id: SendId, result: Result<ProducerId, ErrorCode>) {
        let id = self.questions.remove(&id).expect("a question is answered once");
        let entry = self.entry(&id);
        let Some(Pending { committed, step: Step::ProducerId(purpose) }) = entry.pending.take() else {
            panic!("only the step that asked is answered");
        };
        if committed.is_none() {
            self.ids.remove(&id);
        }
        let (Purpose::Give { caller, .. } | Purpose::Decide { caller, .. } | Purpose::Fence { caller }) =
            purpose;
        let producer_id = match result {
            Ok(producer_id) => producer_id,
            Err(error) => return self.answer(caller, Err(error)),
        };
        let now_ms = env.now.wall_ms;
        let next = match (purpose, committed) {
            (Purpose::Give { timeout_ms, .. }, None) => {
                TransactionMetadata::new(producer_id, timeout_ms, now_ms)
            }
            (Purpose::Give { timeout_ms, is_known, .. }, Some(known)) => {
                known.with_producer_id(producer_id, is_known, timeout_ms, now_ms)
            }
            (Purpose::Decide { commit, .. }, Some(known)) => known.decided(commit, 2, producer_id, now_ms),
            (Purpose::Fence { .. }, Some(known)) => {
                known.fenced(transaction_version(env), producer_id, now_ms)
            }
            (Purpose::Decide { .. } | Purpose::Fence { .. }, None) => {
                panic!("there is no transaction of an unknown id")
            }
        };
        self.append(env, &id, Some(next), caller);
    }

    fn metadata_changed(&mut self, env: &mut Env<'_>) {
        self.markers.retry_all();
        self.send_markers(env);
    }

    fn handle_timeout(&mut self, env: &mut Env<'_>) {
        self.run_timers(env);
        self.send_markers(env);
    }

    fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn resign(&mut self) {
        let pending: Vec<Pending> = self.ids.values_mut().filter_map(|entry| entry.pending.take()).collect();
        for Pending { step, .. } in pending {
            let caller = match step {
                Step::Append { caller, .. }
                | Step::ProducerId(
                    Purpose::Give { caller, .. } | Purpose::Decide { caller, .. } | Purpose::Fence { caller },
                ) => caller,
            };
            self.answer(caller, Err(ErrorCode::NotCoordinator));
        }
    }

    fn entries(&self, each: &mut dyn FnMut(CoordinatorEntry<'_>)) {
        for (transactional_id, entry) in &self.ids {
            let Some(known) = &entry.logged else { continue };
            each(CoordinatorEntry::Transaction {
                transactional_id,
                producer_id: known.log.producer_id,
                producer_epoch: known.log.producer_epoch,
                state: known.log.state,
                partitions: known.log.partitions.len(),
                last_update_ms: known.log.last_update_ms,
                timeout_ms: known.log.timeout_ms,
            });
            for tp in &known.log.partitions {
                each(CoordinatorEntry::TransactionPartition {
                    transactional_id,
                    topic: &tp.topic,
                    partition: tp.partition,
                });
            }
        }
    }
}

const LOADING: ErrorCode = ErrorCode::CoordinatorLoadInProgress;
