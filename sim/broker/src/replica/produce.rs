//! Produce requests, and the purgatory of those that wait for all in-sync replicas.

use std::collections::BTreeMap;

use bytes::Bytes;
use trial_node::{Offset, Span, TopicIdPartition};
use trial_storage::{AppendError, AppendInfo, AppendOrigin, RecordError, RecordFault};
use trial_wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use trial_wire::messages::{BrokerId, ProduceRequest, ProduceResponse};
use trial_wire::{Batch, BatchError, Compression, ErrorCode, ResponseKind, StrBytes};

use super::directories::not_served;
use super::partition::{LeaderAppend, LeaderAppendError, Partition};
use super::purgatory::Verdict;
use super::{Context, Happened, Output, ReplicaManager};
use crate::Token;

/// The first version with zstd (KIP-110).
const ZSTD_VERSION: i16 = 7;
/// The first version whose answers name the current leader (KIP-951).
const CURRENT_LEADER_VERSION: i16 = 10;
/// The first version that names topics by id (KIP-516).
pub(super) const TOPIC_ID_VERSION: i16 = 13;

/// A Produce request that waits until its records are committed.
#[derive(Clone, Debug)]
pub(super) struct DelayedProduce {
    token: Token,
    version: i16,
    response: ProduceResponse,
    waits: Vec<Wait>,
}

/// One partition that a Produce request waits for.
#[derive(Clone, Copy, Debug)]
struct Wait {
    tp: TopicIdPartition,
    /// The high watermark at which the records are committed.
    required: Offset,
    /// Where the response has the partition.
    topic_index: usize,
    partition_index: usize,
}

impl DelayedProduce {
    fn partition(&mut self, wait: Wait) -> &mut PartitionProduceResponse {
        &mut self.response.responses[wait.topic_index].partition_responses[wait.partition_index]
    }
}

/// Why a partition's records were not appended.
#[derive(Debug)]
pub(super) struct Rejection {
    pub code: ErrorCode,
    pub message: Option<String>,
    /// Records that are refused, by their index in the batch, with the reasons (KIP-467).
    pub records: Vec<(i32, String)>,
}

/// Partitions whose records must not be appended, and why.
pub(super) type Refused = BTreeMap<TopicIdPartition, Rejection>;

impl Rejection {
    pub fn new(code: ErrorCode, message: String) -> Rejection {
        Rejection { code, message: Some(message), records: Vec::new() }
    }
}

impl From<ErrorCode> for Rejection {
    fn from(code: ErrorCode) -> Rejection {
        Rejection { code, message: None, records: Vec::new() }
    }
}

impl ReplicaManager {
    /// A Produce request.
    pub fn handle_produce(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: ProduceRequest,
    ) {
        let verified = if request.transactional_id.is_some() {
            self.verify_produce(ctx, token, version, request)
        } else {
            Ok(Some(request))
        };
        self.go_on_with_produce(ctx, token, version, verified);
        self.settle(ctx);
    }

    /// Appends what need not be verified; what is being verified comes back later.
    pub(super) fn go_on_with_produce(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        verified: Result<Option<ProduceRequest>, (ErrorCode, ProduceRequest)>,
    ) {
        match verified {
            Ok(Some(request)) => self.append_produce(ctx, token, version, request, Refused::new()),
            Ok(None) => {}
            Err((code, request)) => {
                let mut refused = Refused::new();
                for topic in &request.topic_data {
                    let by_id = version >= TOPIC_ID_VERSION;
                    let id = if by_id { Some(topic.topic_id) } else { ctx.metadata.topic_id(&topic.name) };
                    let Some(topic_id) = id else { continue };
                    for data in &topic.partition_data {
                        let tp = TopicIdPartition { topic_id, partition: data.index };
                        refused.insert(tp, code.into());
                    }
                }
                self.append_produce(ctx, token, version, request, refused);
            }
        }
    }

    /// Appends a Produce request's records, except those of partitions that are refused, and answers it or lets it wait.
    pub(super) fn append_produce(
        &mut self,
        ctx: &mut Context<'_>,
        token: Token,
        version: i16,
        request: ProduceRequest,
        mut refused: Refused,
    ) {
        let (acks, in_transaction) = (request.acks, request.transactional_id.is_some());
        let mut delayed =
            DelayedProduce { token, version, response: ProduceResponse::default(), waits: Vec::new() };
        delayed.response.responses.reserve_exact(request.topic_data.len());
        // Most requests have one partition.
        delayed.waits.reserve_exact(1);
        let mut failed = false;
        for topic in request.topic_data {
            let by_id = version >= TOPIC_ID_VERSION;
            let id = if by_id { Some(topic.topic_id) } else { ctx.metadata.topic_id(&topic.name) };
            let name = id.and_then(|id| ctx.metadata.topic_name(id));
            let internal = name.is_some_and(|name| trial_coordinator::is_internal(name.as_str()));
            let id = id.filter(|_| name.is_some());
            let mut answers = Vec::with_capacity(topic.partition_data.len());
            for data in topic.partition_data {
                let answer = PartitionProduceResponse::default().with_index(data.index);
                let appended = match id {
                    _ if !matches!(acks, -1..=1) => Err(ErrorCode::InvalidRequiredAcks.into()),
                    None if by_id => Err(ErrorCode::UnknownTopicId.into()),
                    None => Err(ErrorCode::UnknownTopicOrPartition.into()),
                    Some(_) if internal => Err(ErrorCode::InvalidTopicException.into()),
                    Some(topic_id) => {
                        let tp = TopicIdPartition { topic_id, partition: data.index };
                        match refused.remove(&tp) {
                            Some(rejection) => Err(rejection),
                            None => self
                                .append(ctx, tp, (acks, version), data.records, in_transaction)
                                .map(|info| (tp, info)),
                        }
                    }
                };
                answers.push(match appended {
                    Ok((tp, info)) => {
                        if acks == -1 {
                            delayed.waits.push(Wait {
                                tp,
                                required: info.last_offset + 1,
                                topic_index: delayed.response.responses.len(),
                                partition_index: answers.len(),
                            });
                        }
                        answer
                            .with_base_offset(info.first_offset.0)
                            .with_log_append_time_ms(info.log_append_time_ms)
                            .with_log_start_offset(info.log_start_offset.0)
                    }
                    Err(Rejection { code, message, records }) => {
                        failed = true;
                        let records = records.into_iter().map(|(index, what)| {
                            BatchIndexAndErrorMessage::default()
                                .with_batch_index(index)
                                .with_batch_index_error_message(Some(StrBytes::from_string(what)))
                        });
                        answer
                            .with_record_errors(records.collect())
                            .with_error_code(code.code())
                            .with_base_offset(-1)
                            .with_error_message(message.map(StrBytes::from_string))
                    }
                });
            }
            let named = match by_id {
                true => TopicProduceResponse::default().with_topic_id(topic.topic_id),
                false => TopicProduceResponse::default().with_name(topic.name),
            };
            delayed.response.responses.push(named.with_partition_responses(answers));
        }
        if acks == 0 {
            self.after.outputs.push_back(Output::NoResponse { token, close: failed });
        } else {
            let timeout = Span::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
            self.answer_or_wait(ctx, delayed, timeout);
        }
    }

    fn append(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        (acks, version): (i16, i16),
        records: Option<Bytes>,
        in_transaction: bool,
    ) -> Result<AppendInfo, Rejection> {
        let batch = only_batch(records)?;
        if version < ZSTD_VERSION && batch.header().compression() == Compression::Zstd {
            return Err(ErrorCode::UnsupportedCompressionType.into());
        }
        // Nobody has a right to write as part of a transaction without saying of which, and no coordinator would end that.
        if batch.header().is_transactional() && !in_transaction {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
        }
        self.append_batch(ctx, tp, acks, &batch, AppendOrigin::Client)
    }

    /// Appends a batch to a partition that this broker leads, and notes what came of it.
    pub(super) fn append_batch(
        &mut self,
        ctx: &mut Context<'_>,
        tp: TopicIdPartition,
        acks: i16,
        batch: &Batch,
        origin: AppendOrigin,
    ) -> Result<AppendInfo, Rejection> {
        let around = self.surroundings(ctx);
        let Some(partition) = self.partitions.get_mut(&tp) else {
            return Err(self.not_hosted(ctx, tp).into());
        };
        let append = LeaderAppend { batch, acks, origin, now_ms: ctx.now.wall_ms };
        let appended = partition.append_as_leader(ctx.disk, append, &self.sessions, around);
        match appended {
            Ok((info, high_watermark_moved)) => {
                if !info.duplicate || high_watermark_moved {
                    let happened = Happened {
                        log_end: !info.duplicate,
                        high_watermark: high_watermark_moved,
                        ..Happened::default()
                    };
                    self.after.note(partition, &mut self.sessions, happened);
                    self.appended(ctx.now.mono);
                    if high_watermark_moved {
                        self.high_watermark_moved(ctx.now.mono);
                    }
                    self.watch_lag(ctx.now.mono, tp);
                }
                Ok(info)
            }
            Err(LeaderAppendError::NotLeader) => Err(ErrorCode::NotLeaderOrFollower.into()),
            Err(LeaderAppendError::NotEnoughReplicas) => Err(ErrorCode::NotEnoughReplicas.into()),
            Err(LeaderAppendError::Log(AppendError::Disk(error))) => {
                self.after.directory_failed(partition.directory, error);
                Err(ErrorCode::KafkaStorageError.into())
            }
            Err(LeaderAppendError::Log(error)) => {
                let mut rejection = Rejection::new(append_error_code(&error), error.to_string());
                if let AppendError::Records { errors } = error {
                    let records = errors.iter().map(|error| (error.index, error.fault.to_string()));
                    rejection.records = records.collect();
                }
                Err(rejection)
            }
        }
    }

    /// Answers a request whose records are all committed, and lets one wait whose are not.
    fn answer_or_wait(&mut self, ctx: &Context<'_>, mut delayed: DelayedProduce, timeout: Span) {
        let mut waits = std::mem::take(&mut delayed.waits);
        waits.retain(|wait| match acknowledgement(self.served(wait.tp), wait.required) {
            Some(result) => {
                if let Err(code) = result {
                    delayed.partition(*wait).error_code = code.code();
                }
                false
            }
            None => true,
        });
        if waits.is_empty() {
            self.answer_produce(ctx, delayed);
        } else {
            delayed.waits.clone_from(&waits);
            self.produces.watch(delayed, waits.into_iter().map(|wait| wait.tp), ctx.now.mono + timeout);
        }
    }

    /// Looks at those that wait for a partition.
    pub(super) fn complete_produces(&mut self, ctx: &Context<'_>, tp: TopicIdPartition) {
        let partition = self.partitions.get(&tp).ok_or_else(|| not_served(&self.offline, tp));
        let mut completed = Vec::new();
        self.produces.check(tp, &mut completed, |delayed| {
            let (mut at, mut waits) = (0, false);
            // A request may name a partition more than once.
            while let Some(wait) = delayed.waits.get(at).copied() {
                match acknowledgement(partition, wait.required) {
                    _ if wait.tp != tp => at += 1,
                    None => (at, waits) = (at + 1, true),
                    Some(result) => {
                        if let Err(code) = result {
                            delayed.partition(wait).error_code = code.code();
                        }
                        delayed.waits.swap_remove(at);
                    }
                }
            }
            match (waits, delayed.waits.is_empty()) {
                (true, _) => Verdict::Waits,
                (false, true) => Verdict::Complete,
                (false, false) => Verdict::Unwatches,
            }
        });
        for delayed in completed {
            self.answer_produce(ctx, delayed);
        }
    }

    /// A request's time is up: what is not committed may still become so.
    pub(super) fn expire_produce(&mut self, ctx: &Context<'_>, mut delayed: DelayedProduce) {
        for wait in std::mem::take(&mut delayed.waits) {
            delayed.partition(wait).error_code = ErrorCode::RequestTimedOut.code();
        }
        self.answer_produce(ctx, delayed);
    }

    fn answer_produce(&mut self, ctx: &Context<'_>, mut delayed: DelayedProduce) {
        if delayed.version >= CURRENT_LEADER_VERSION {
            name_current_leaders(ctx, delayed.version, &mut delayed.response);
        }
        self.after.respond(delayed.token, ResponseKind::Produce(delayed.response));
    }
}

/// What a producer that waits for `required` is to be told, if it need not wait any longer.
fn acknowledgement(
    partition: Result<&Partition, ErrorCode>,
    required: Offset,
) -> Option<Result<(), ErrorCode>> {
    match partition {
        Ok(partition) => partition.acknowledgement(required),
        Err(code) => Some(Err(code)),
    }
}

/// Tells a producer that came to the wrong broker where the leader is.
fn name_current_leaders(ctx: &Context<'_>, version: i16, response: &mut ProduceResponse) {
    for topic in &mut response.responses {
        for answer in &mut topic.partition_responses {
            if answer.error_code != ErrorCode::NotLeaderOrFollower.code() {
                continue;
            }
            let by_id = version >= TOPIC_ID_VERSION;
            let id = if by_id { Some(topic.topic_id) } else { ctx.metadata.topic_id(&topic.name) };
            let Some(topic_id) = id else { continue };
            let tp = TopicIdPartition { topic_id, partition: answer.index };
            let Some(state) = ctx.metadata.partition(tp) else { continue };
            answer.current_leader = LeaderIdAndEpoch::default()
                .with_leader_id(BrokerId(state.leader.0))
                .with_leader_epoch(state.leader_epoch.0);
            let named = response.node_endpoints.iter().any(|node| node.node_id.0 == state.leader.0);
            if let Some(broker) = ctx.metadata.broker(state.leader).filter(|_| !named) {
                response.node_endpoints.push(
                    NodeEndpoint::default()
                        .with_node_id(BrokerId(state.leader.0))
                        .with_host(broker.endpoint.host.clone())
                        .with_port(i32::from(broker.endpoint.port)),
                );
            }
        }
    }
}

/// The one batch that a partition's part of a Produce request must be.
fn only_batch(records: Option<Bytes>) -> Result<Batch, Rejection> {
    let invalid = |message: &str| Rejection::new(ErrorCode::InvalidRecord, message.to_owned());
    let records = records.filter(|records| !records.is_empty());
    let records =
        records.ok_or_else(|| invalid("a partition needs exactly one record batch, there is none"))?;
    let len = records.len();
    let batch =
        Batch::parse(records).map_err(|error| Rejection::new(batch_error_code(&error), error.to_string()))?;
    if batch.bytes().len() != len {
        return Err(invalid("a partition needs exactly one record batch, there are bytes after it"));
    }
    Ok(batch)
}

fn batch_error_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::Truncated { .. } | BatchError::Length { .. } | BatchError::Crc { .. } => {
            ErrorCode::CorruptMessage
        }
        _ => ErrorCode::InvalidRecord,
    }
}

fn append_error_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Batch(error) => batch_error_code(error),
        AppendError::InvalidRecord { .. } => ErrorCode::InvalidRecord,
        AppendError::Records { errors } => {
            let of_timestamp = |error: &RecordError| matches!(error.fault, RecordFault::Timestamp { .. });
            if errors.iter().all(of_timestamp) {
                ErrorCode::InvalidTimestamp
            } else {
                ErrorCode::InvalidRecord
            }
        }
        AppendError::TooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        AppendError::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        AppendError::UnexpectedOffset { .. } => ErrorCode::UnknownServerError,
        AppendError::Disk(_) => ErrorCode::KafkaStorageError,
    }
}
