//! Batches become requests, and responses become deliveries or another attempt.

use trial_node::{Endpoint, Io, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId};
use trial_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use trial_wire::messages::produce_response::{NodeEndpoint, PartitionProduceResponse, ProduceResponse};
use trial_wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, TransactionalId};
use trial_wire::{ApiKey, ErrorCode, RequestKind, ResponseKind, TopicName, Uuid};

use crate::errors::{is_invalid_metadata, is_rejection_before_append};
use crate::network::{Completion, Failure, LeaderHint, Outgoing, TopicSlot};

use super::accumulator::Slot;
use super::batch::{BatchId, ProducerBatch, Sequence};
use super::idempotence::InitProducerId;
use super::transaction::Ask;
use super::{Delivery, DeliveryError, Producer};

/// What a request in flight is about.
#[derive(Clone, Debug)]
pub(super) enum Context {
    Produce(Vec<Sent>),
    /// An idempotent producer without transactions asks for its id.
    InitProducerId,
    /// A transactional producer asks a coordinator.
    Coordinator(Ask),
}

/// A batch in a request in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    id: BatchId,
    slot: Slot,
    /// The topic's id when the request was made; it may be another when the response comes.
    topic_id: Uuid,
    /// The batch's order when it was sent, for an answer that comes after the batch was given up.
    sequence: Option<(Sequence, i32)>,
}

/// What a response, or the lack of one, says of a batch.
#[derive(Clone, Copy, Debug)]
struct Answer {
    error: Option<ErrorCode>,
    base_offset: Offset,
    log_start_offset: Offset,
}

impl Answer {
    fn error(error: ErrorCode) -> Answer {
        Answer { error: Some(error), base_offset: Offset::UNKNOWN, log_start_offset: Offset::UNKNOWN }
    }
}

impl Producer {
    /// Asks any broker for a producer id if one is needed.
    pub(super) fn init_producer_id(&mut self, now: Now, io: &mut Io<'_>) {
        let Some(idempotence) = &mut self.idempotence else { return };
        let InitProducerId::Needed { from } = idempotence.init else { return };
        if from > now.mono || self.fatal.is_some() {
            return;
        }
        let Some(node) = self.network.least_loaded(now, io) else {
            idempotence.init = InitProducerId::Needed { from: now.mono + self.config.network.retry.initial };
            self.network.metadata_mut().request_update();
            return;
        };
        if !self.network.ready(now, io, node) {
            return;
        }
        let Some(api_version) = self.network.version(node, ApiKey::InitProducerId) else {
            self.fail_for_good(ErrorCode::UnsupportedVersion);
            return;
        };
        idempotence.init = InitProducerId::InFlight;
        let body = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let request = Outgoing {
            api: ApiKey::InitProducerId,
            api_version,
            body: RequestKind::InitProducerId(body),
            context: Context::InitProducerId,
            timeout: self.config.network.request_timeout,
        };
        self.network.send(now, io, node, request);
    }

    fn producer_id_told(&mut self, now: Now, response: Option<InitProducerIdResponse>) {
        let Some(idempotence) = &mut self.idempotence else { return };
        let retry = InitProducerId::Needed { from: now.mono + self.config.network.retry.initial };
        let Some(response) = response else {
            idempotence.init = retry;
            return;
        };
        match ErrorCode::try_from_code(response.error_code) {
            None => idempotence.producer_id_assigned(
                ProducerId(response.producer_id.0),
                ProducerEpoch(response.producer_epoch),
            ),
            Some(error) if error.is_retriable() => idempotence.init = retry,
            Some(error) => self.fail_for_good(error),
        }
    }

    /// Nothing can be sent any more: gives up on everything.
    pub(super) fn fail_for_good(&mut self, error: ErrorCode) {
        self.fatal = Some(error);
        for id in self.accumulator.batch_ids() {
            self.give_up(id, error);
        }
    }

    /// A new leader is worth an attempt at once (KIP-951); back-off is for the old one.
    pub(super) fn follow_leaders(&mut self) {
        let metadata = self.network.metadata();
        if metadata.version() == self.metadata_version {
            return;
        }
        self.metadata_version = metadata.version();
        for slot in self.accumulator.waiting_slots() {
            let epoch = metadata.leader_epoch(slot.topic, slot.partition as i32);
            let first = self.accumulator.queue(slot).waiting.front().copied();
            let first = first.and_then(|id| self.accumulator.batch_mut(id));
            if let Some(batch) = first.filter(|batch| batch.attempts > 0 && epoch > batch.leader_epoch) {
                batch.retry_at = batch.created;
                self.accumulator.reschedule(slot);
            }
        }
    }

    /// Gives up on batches that have reached `delivery.timeout.ms`.
    pub(super) fn expire(&mut self, now: Now) {
        while let Some(id) = self.accumulator.next_expired(now.mono) {
            self.give_up(id, ErrorCode::RequestTimedOut);
        }
    }

    /// Gives up on a batch that waits or is in flight.
    fn give_up(&mut self, id: BatchId, error: ErrorCode) {
        let batch = self.accumulator.batch_mut(id).expect("the accumulator named it");
        batch.maybe_written |= !batch.queued;
        self.fail(id, error, false);
    }

    /// Sends at most one request to each broker that leads a partition whose batch is due, with everything else that it
    /// leads. Returns whether any was sent.
    pub(super) fn send_batches(&mut self, now: Now, io: &mut Io<'_>) -> bool {
        let mut nodes = std::mem::take(&mut self.candidates);
        let mut leader_unknown = false;
        for slot in self.accumulator.due_slots(now.mono) {
            if self.accumulator.queue(slot).muted {
                continue;
            }
            match self.network.metadata().leader(slot.topic, slot.partition as i32) {
                None => leader_unknown = true,
                Some((node, _)) if !nodes.contains(&node) => nodes.push(node),
                Some(_) => {}
            }
        }
        if leader_unknown {
            self.network.metadata_mut().request_update();
        }
        nodes.retain(|node| self.network.ready(now, io, *node));
        let mut sent = false;
        if !nodes.is_empty() {
            let waiting = self.accumulator.waiting_slots();
            for node in nodes.drain(..) {
                sent |= self.send_to(now, io, node, &waiting);
            }
        }
        self.candidates = nodes;
        sent
    }

    fn send_to(&mut self, now: Now, io: &mut Io<'_>, node: NodeId, waiting: &[Slot]) -> bool {
        let Some(api_version) = self.network.version(node, ApiKey::Produce) else { return false };
        // Newer versions say that writing adds a partition to the transaction (KIP-890).
        let explicit = self.transactions.as_ref().is_some_and(|transactions| !transactions.implicit);
        let api_version = if explicit { api_version.min(11) } else { api_version };
        // Of few topics: looking through them takes less time than a map.
        let mut topics: Vec<(TopicSlot, Vec<PartitionProduceData>)> = Vec::with_capacity(1);
        let mut batches: Vec<Sent> = Vec::with_capacity(1);
        let mut size = 0;
        for slot in waiting.iter().copied() {
            let Some((leader, epoch)) = self.network.metadata().leader(slot.topic, slot.partition as i32)
            else {
                continue;
            };
            if leader != node || !self.may_send_first(now, slot) {
                continue;
            }
            let id = self.accumulator.queue(slot).waiting[0];
            if !batches.is_empty()
                && size + self.accumulator.estimated_size(id) > self.config.max_request_size
            {
                break;
            }
            if let Some(idempotence) = &mut self.idempotence {
                idempotence.assign(&mut self.accumulator, id);
            }
            self.accumulator.take_first(slot);
            let records = self.accumulator.build(id);
            size += records.len();
            let batch = self.accumulator.batch_mut(id).expect("it was just built");
            batch.leader_epoch = epoch;
            let sequence = batch.sequence.zip(batch.last_sequence());
            let topic_id = self.network.metadata().topic(slot.topic).id;
            batches.push(Sent { id, slot, topic_id, sequence });
            let data =
                PartitionProduceData::default().with_index(slot.partition as i32).with_records(Some(records));
            match topics.iter_mut().find(|(topic, _)| *topic == slot.topic) {
                Some((_, partitions)) => partitions.push(data),
                None => topics.push((slot.topic, vec![data])),
            }
            self.accumulator.queue_mut(slot).muted = self.config.network.max_in_flight == 1;
        }
        if batches.is_empty() {
            return false;
        }
        topics.sort_unstable_by_key(|(topic, _)| *topic);
        let body = self.produce_request(api_version, topics);
        if self.config.acks == 0 {
            self.network.send_unanswered(now, io, node, api_version, body);
            for sent in batches {
                let answer =
                    Answer { error: None, base_offset: Offset::UNKNOWN, log_start_offset: Offset::UNKNOWN };
                self.answered(now, io, sent, answer);
            }
        } else {
            let timeout = self.config.network.request_timeout;
            let context = Context::Produce(batches);
            let request = Outgoing { api: ApiKey::Produce, api_version, body, context, timeout };
            self.network.send(now, io, node, request);
        }
        true
    }

    fn may_send_first(&self, now: Now, slot: Slot) -> bool {
        let queue = self.accumulator.queue(slot);
        let Some(first) = queue.waiting.front().and_then(|id| self.accumulator.batch(*id)) else {
            return false;
        };
        let backing_off = first.attempts > 0 && first.retry_at > now.mono;
        let held_back =
            self.idempotence.as_ref().is_some_and(|i| i.holds_back(&self.accumulator, slot, first));
        let in_transaction = self.transactions.as_ref().is_none_or(|transactions| transactions.has(slot));
        !queue.muted && !backing_off && !held_back && in_transaction
    }

    fn produce_request(
        &self,
        api_version: i16,
        topics: Vec<(TopicSlot, Vec<PartitionProduceData>)>,
    ) -> RequestKind {
        let topics = topics.into_iter().map(|(slot, partitions)| {
            let topic = self.network.metadata().topic(slot);
            let data = TopicProduceData::default().with_partition_data(partitions);
            if api_version >= 13 { data.with_topic_id(topic.id) } else { data.with_name(topic.name.clone()) }
        });
        let timeout_ms = self.config.network.request_timeout.as_millis() as i32;
        let transactional_id = self.transactions.as_ref().map(|t| TransactionalId(t.id.clone()));
        RequestKind::Produce(
            ProduceRequest::default()
                .with_transactional_id(transactional_id)
                .with_acks(self.config.acks)
                .with_timeout_ms(timeout_ms)
                .with_topic_data(topics.collect()),
        )
    }

    pub(super) fn complete(&mut self, now: Now, io: &mut Io<'_>, completion: Completion<Context>) {
        let Completion { context, outcome, api_version, .. } = completion;
        match (context, outcome) {
            (Context::Coordinator(ask), outcome) => self.coordinator_answered(now, ask, outcome),
            (Context::InitProducerId, Ok(ResponseKind::InitProducerId(response))) => {
                self.producer_id_told(now, Some(response));
            }
            (Context::InitProducerId, Err(_)) => self.producer_id_told(now, None),
            (Context::Produce(sent), Ok(ResponseKind::Produce(response))) => {
                self.produced(now, io, sent, response, api_version);
            }
            (_, Ok(_)) => unreachable!("the network client compares the APIs"),
            (Context::Produce(sent), Err(failure)) => {
                let error = match failure {
                    Failure::Disconnected => ErrorCode::NetworkException,
                    Failure::TimedOut => ErrorCode::RequestTimedOut,
                };
                for sent in sent {
                    self.answered(now, io, sent, Answer::error(error));
                }
            }
        }
    }

    fn produced(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        mut unanswered: Vec<Sent>,
        response: ProduceResponse,
        api_version: i16,
    ) {
        for topic in response.responses {
            for partition in topic.partition_responses {
                let here = |sent: &Sent| {
                    sent.slot.partition as i32 == partition.index
                        && self.is_topic(sent, api_version, topic.topic_id, &topic.name)
                };
                let Some(at) = unanswered.iter().position(here) else { continue };
                let sent = unanswered.remove(at);
                self.follow_hint(&sent, &partition, &response.node_endpoints);
                let answer = Answer {
                    error: ErrorCode::try_from_code(partition.error_code),
                    base_offset: Offset(partition.base_offset),
                    log_start_offset: Offset(partition.log_start_offset),
                };
                self.answered(now, io, sent, answer);
            }
        }
        for sent in unanswered {
            self.answered(now, io, sent, Answer::error(ErrorCode::UnknownServerError));
        }
    }

    fn is_topic(&self, sent: &Sent, api_version: i16, id: Uuid, name: &TopicName) -> bool {
        if api_version >= 13 {
            sent.topic_id == id
        } else {
            self.network.metadata().topic(sent.slot.topic).name == *name
        }
    }

    /// KIP-951: the broker tells the leader that it knows beside its error.
    fn follow_hint(&mut self, sent: &Sent, response: &PartitionProduceResponse, endpoints: &[NodeEndpoint]) {
        let leader = &response.current_leader;
        let current = self.network.metadata().topic(sent.slot.topic).id == sent.topic_id;
        if !current || leader.leader_id.0 < 0 || leader.leader_epoch < 0 {
            return;
        }
        let endpoint =
            endpoints.iter().find(|endpoint| endpoint.node_id == leader.leader_id).and_then(|endpoint| {
                Some(Endpoint { host: endpoint.host.clone(), port: u16::try_from(endpoint.port).ok()? })
            });
        let hint = LeaderHint {
            leader: NodeId(leader.leader_id.0),
            leader_epoch: LeaderEpoch(leader.leader_epoch),
            endpoint,
        };
        self.network.metadata_mut().update_leader(sent.slot.topic, sent.slot.partition as i32, hint);
    }

    /// An attempt to send a batch has ended.
    fn answered(&mut self, now: Now, io: &mut Io<'_>, sent: Sent, answer: Answer) {
        self.accumulator.queue_mut(sent.slot).muted = false;
        let Some(batch) = self.accumulator.batch_mut(sent.id) else {
            // Given up in the meantime; the application has been told. The order goes on.
            if let (None, Some((sequence, last))) = (answer.error, sent.sequence) {
                self.accumulator.queue_mut(sent.slot).sequences.acked(sequence, last);
            }
            return;
        };
        let Some(error) = answer.error else {
            self.acknowledge(sent.id, answer.base_offset);
            return;
        };
        batch.maybe_written |= !is_rejection_before_append(error);
        if error == ErrorCode::MessageTooLarge && batch.record_count() > 1 {
            self.split(sent.id);
        } else if self.can_retry(now, sent.id, error, answer.log_start_offset) {
            let batch = self.accumulator.batch_mut(sent.id).expect("it was there a moment ago");
            batch.retry_at = now.mono + self.config.network.retry.wait(batch.attempts, io.rng);
            batch.attempts += 1;
            self.accumulator.reenqueue(sent.id);
        } else if error == ErrorCode::DuplicateSequenceNumber {
            // It was appended so long ago that the broker does not know the offset any more.
            self.acknowledge(sent.id, Offset::UNKNOWN);
        } else {
            // Were those behind it numbered anew although it may have been appended, they might be appended twice, too.
            let unused = self
                .accumulator
                .batch(sent.id)
                .is_some_and(|b| b.attempts < self.config.retries && !b.maybe_written);
            self.fail(sent.id, error, unused);
        }
        if is_invalid_metadata(error) {
            self.network.metadata_mut().request_update();
        }
    }

    fn can_retry(&mut self, now: Now, id: BatchId, error: ErrorCode, log_start_offset: Offset) -> bool {
        let batch = self.accumulator.batch(id).expect("it was there a moment ago");
        let time_left = now.mono < batch.created + self.config.delivery_timeout;
        time_left
            && batch.attempts < self.config.retries
            && match &mut self.idempotence {
                None => error.is_retriable(),
                Some(idempotence) => match &self.transactions {
                    Some(transactions) => {
                        let doomed = transactions.drops_unsent();
                        idempotence.can_retry_in_transaction(&self.accumulator, batch, error, doomed)
                    }
                    None => idempotence.can_retry(&self.accumulator, batch, error, log_start_offset),
                },
            }
    }

    fn split(&mut self, id: BatchId) {
        let whole = self.accumulator.remove(id).expect("it was there a moment ago");
        let slot = whole.slot;
        let parts = whole
            .split(self.config.batch_size, self.config.compression)
            .expect("the batch was built by our own builder");
        let parts = self.accumulator.enqueue_parts(parts);
        if let Some(idempotence) = &mut self.idempotence {
            idempotence.split(&mut self.accumulator, id, slot, &parts);
        }
    }

    fn acknowledge(&mut self, id: BatchId, base_offset: Offset) {
        let batch = self.accumulator.remove(id).expect("it was there a moment ago");
        if let Some(idempotence) = &mut self.idempotence {
            idempotence.completed(&mut self.accumulator, id, &batch);
        }
        self.deliver(batch, Ok(base_offset));
    }

    pub(super) fn fail(&mut self, id: BatchId, error: ErrorCode, adjust_sequences: bool) {
        let batch = self.accumulator.remove(id).expect("only batches that exist fail");
        if let Some(transactions) = &mut self.transactions {
            // The next transaction has another epoch, in which all numbers begin at 0.
            self.accumulator.queue_mut(batch.slot).sequences.forget(id);
            transactions.batch_failed(error, batch.sequence.is_some());
        } else if let Some(idempotence) = &mut self.idempotence {
            idempotence.failed(&mut self.accumulator, id, &batch, error, adjust_sequences);
        }
        let ambiguous = batch.maybe_written;
        self.deliver(batch, Err(DeliveryError { error, ambiguous }));
    }

    fn deliver(&mut self, batch: ProducerBatch, outcome: Result<Offset, DeliveryError>) {
        let Slot { topic, partition } = batch.slot;
        self.deliveries.push(Delivery { topic, partition: partition as i32, tokens: batch.tokens, outcome });
    }
}
