//! Kafka's producer: collects records into batches per partition and sees each batch through to an acknowledgement or a
//! failure.

mod accumulator;
mod batch;
mod config;
mod coordinator;
mod idempotence;
mod partitioner;
mod sender;
mod transaction;

use trial_node::{ConnId, Endpoint, Input, Io, NodeId, Now, Offset, OpenError, Time, TopicPartition};
use trial_wire::batch::HEADER_LEN;
use trial_wire::{ErrorCode, StrBytes, TopicName};

use crate::consumer::GroupMetadata;
use crate::errors;
use crate::network::{Completion, Metadata, NetworkClient, TopicSlot};

use accumulator::Accumulator;
use idempotence::Idempotence;
use sender::Context;
use transaction::Transactions;

pub use batch::ProducerRecord;
pub use config::ProducerConfig;
pub use partitioner::{murmur2, partition_for_key};
pub use transaction::TransactionState;

/// A producer.
///
/// How to drive it: give it the inputs of its connections with [`Producer::handle`], or nothing but the time with
/// [`Producer::poll`] whenever [`Producer::poll_timeout`] has come and after records were sent with [`Producer::send`];
/// then take what became of records from [`Producer::deliveries`].
#[derive(Clone, Debug)]
pub struct Producer {
    config: ProducerConfig,
    network: NetworkClient<Context>,
    accumulator: Accumulator,
    idempotence: Option<Idempotence>,
    transactions: Option<Transactions>,
    /// Nothing can be sent any more.
    fatal: Option<ErrorCode>,
    flushing: bool,
    out_of_memory: bool,
    metadata_version: u64,
    deliveries: Vec<Delivery>,
    completions: Vec<Completion<Context>>,
    wake_at: Option<Time>,
    /// Nothing but records has come in since all that was due was done.
    settled: bool,
    /// The brokers that a request may go to; kept for its memory.
    candidates: Vec<NodeId>,
}

/// What became of the records of one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The topic.
    pub topic: TopicSlot,
    /// The partition.
    pub partition: i32,
    /// The records' tokens, in their order.
    pub tokens: Vec<u64>,
    /// The first record's offset ([`Offset::UNKNOWN`] if the broker did not tell it), or the error.
    pub outcome: Result<Offset, DeliveryError>,
}

/// The producer gave up on a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryError {
    /// Why.
    pub error: ErrorCode,
    /// Whether the batch may have been appended all the same.
    pub ambiguous: bool,
}

/// A record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The topic's partitions are not known yet. Try again; Kafka's `send` would block.
    NoMetadata,
    /// `buffer.memory` is used up. Try again; Kafka's `send` would block.
    BufferFull,
    /// It can never be sent.
    Failed(ErrorCode),
}

impl Producer {
    /// A producer without connections.
    ///
    /// # Errors
    /// [`OpenError::Config`] for an empty bootstrap list.
    pub fn new(
        config: ProducerConfig,
        client_id: StrBytes,
        bootstrap: Vec<Endpoint>,
    ) -> Result<Producer, OpenError> {
        if bootstrap.is_empty() {
            return Err(crate::properties::invalid("bootstrap.servers", "must name a broker".to_owned()));
        }
        Ok(Producer {
            network: NetworkClient::new(config.network.clone(), client_id, bootstrap),
            accumulator: Accumulator::new(config.clone()),
            idempotence: config.idempotence.then(|| Idempotence::new(config.transactional_id.is_none())),
            transactions: config.transactional_id.clone().map(Transactions::new),
            config,
            fatal: None,
            flushing: false,
            out_of_memory: false,
            metadata_version: 0,
            deliveries: Vec::new(),
            completions: Vec::new(),
            wake_at: Some(Time::ZERO),
            settled: false,
            candidates: Vec::new(),
        })
    }

    /// The configs.
    pub fn config(&self) -> &ProducerConfig {
        &self.config
    }

    /// Whether a connection is this producer's.
    pub fn owns(&self, conn: ConnId) -> bool {
        self.network.owns(conn)
    }

    /// What the producer knows of the cluster.
    pub fn metadata(&self) -> &Metadata {
        self.network.metadata()
    }

    /// Makes a topic known, to send records to.
    pub fn topic(&mut self, name: &TopicName) -> TopicSlot {
        self.settled = false;
        self.network.metadata_mut().add_topic(name)
    }

    /// Takes a record for a topic. Nothing is sent before the next [`Producer::poll`]. A transactional producer takes records
    /// within transactions only.
    ///
    /// # Errors
    /// [`Refusal`], which says whether to try again.
    pub fn send(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        topic: TopicSlot,
        record: &ProducerRecord<'_>,
    ) -> Result<(), Refusal> {
        // Who is refused something may have to ask for metadata.
        let settled = std::mem::take(&mut self.settled);
        if let Some(error) = self.fatal {
            return Err(Refusal::Failed(error));
        }
        if let Some(TransactionState::AbortableError(error)) = self.transaction_state() {
            return Err(Refusal::Failed(error));
        }
        let metadata = self.network.metadata();
        let Some(partitions) = metadata.partition_count(topic) else {
            let error = metadata.topic(topic).error.filter(|error| !error.is_retriable());
            let refusal = error.map_or(Refusal::NoMetadata, Refusal::Failed);
            if error.is_some() {
                // It may be otherwise by the next record: somebody may have been given rights.
                self.network.metadata_mut().request_update();
            }
            return Err(refusal);
        };
        let size = HEADER_LEN + record.size_bound();
        if size > self.config.max_request_size || size > self.config.buffer_memory {
            return Err(Refusal::Failed(ErrorCode::MessageTooLarge));
        }
        if record.partition.is_some_and(|p| usize::try_from(p).is_ok_and(|p| p >= partitions)) {
            return Err(Refusal::Failed(ErrorCode::UnknownTopicOrPartition));
        }
        let slot = self.accumulator.choose_partition(metadata, topic, partitions, record, io.rng);
        let taken = self.accumulator.append(now.mono, slot, record);
        self.settled = settled && taken.is_ok() && !self.out_of_memory;
        self.out_of_memory = taken.is_err();
        if let Some(transactions) = self.transactions.as_mut().filter(|_| taken.is_ok()) {
            let state = transactions.state;
            assert_eq!(
                state,
                TransactionState::InTransaction,
                "transactional records belong to transactions"
            );
            transactions.add(slot);
        }
        taken.map_err(|_| Refusal::BufferFull)
    }

    /// Sends everything without lingering from now on; records can still be added.
    pub fn flush(&mut self) {
        self.flushing = true;
        self.settled = false;
    }

    /// Whether every record that was taken has been acknowledged or given up.
    pub fn is_idle(&self) -> bool {
        self.accumulator.is_empty()
    }

    /// Where the producer stands with its transactions; `None` if it is not transactional.
    pub fn transaction_state(&self) -> Option<TransactionState> {
        self.transactions.as_ref().map(|transactions| transactions.state)
    }

    fn transactions_mut(&mut self) -> &mut Transactions {
        self.transactions.as_mut().expect("transactions are for producers with a transactional.id")
    }

    /// `initTransactions`: asks for a producer id and epoch, which fences every other producer of the same
    /// `transactional.id` and ends its transaction. Once, before the first transaction.
    pub fn init_transactions(&mut self) {
        let transactions = self.transactions_mut();
        assert_eq!(transactions.state, TransactionState::Uninitialized, "a producer is initialized once");
        transactions.state = TransactionState::Initializing;
    }

    /// `beginTransaction`. The state must be [`TransactionState::Ready`].
    pub fn begin_transaction(&mut self) {
        let implicit = self.network.transaction_version() >= 2;
        self.transactions_mut().begin(implicit);
    }

    /// `sendOffsetsToTransaction`: commits the offsets that are to be read next, for a consumer group, with the transaction.
    /// Once in a transaction; the state must be [`TransactionState::InTransaction`].
    pub fn send_offsets(&mut self, offsets: Vec<(TopicPartition, Offset)>, group: GroupMetadata) {
        self.transactions_mut().send_offsets(offsets, group);
    }

    /// `commitTransaction`: sends what there is without lingering, and commits when all of it is acknowledged. The state must
    /// be [`TransactionState::InTransaction`], and is [`TransactionState::Ready`] again when it is done.
    pub fn commit_transaction(&mut self) {
        self.transactions_mut().commit();
    }

    /// `abortTransaction`: records that were not sent yet are given up. The state must be [`TransactionState::InTransaction`]
    /// or [`TransactionState::AbortableError`], and is [`TransactionState::Ready`] again when it is done.
    pub fn abort_transaction(&mut self) {
        self.transactions_mut().abort();
    }

    /// Whether the current or last transaction was asked to be committed in a request that may have been carried out without
    /// an answer.
    pub fn commit_in_doubt(&self) -> bool {
        self.transactions.as_ref().is_some_and(|transactions| transactions.commit_in_doubt)
    }

    /// Gives up on everything, with `error`, and closes all connections. The producer is of no use any more but for its
    /// deliveries.
    pub fn close(&mut self, error: ErrorCode, io: &mut Io<'_>) {
        // What is in flight to a coordinator is left to its own.
        if let Some(transactions) = &mut self.transactions {
            transactions.commit_in_doubt |= transactions.is_committing() && transactions.in_flight;
        }
        self.fail_for_good(error);
        self.network.close(io);
        self.settled = false;
        self.wake_at = None;
    }

    /// What became of records since this was last asked.
    pub fn deliveries(&mut self) -> std::vec::Drain<'_, Delivery> {
        self.deliveries.drain(..)
    }

    /// Takes in what happened to one of the producer's connections, and acts on it.
    pub fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.settled = false;
        self.network.handle(now, input, io, &mut self.completions);
        self.poll(now, io);
    }

    /// Does everything that is due.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) {
        if self.settled && !self.is_due(now.mono) {
            // A record for a batch that is not full only has to be sent in time.
            self.wake_at = [self.wake_at, self.accumulator.first_due(), self.accumulator.next_expiry()]
                .into_iter()
                .flatten()
                .min();
            return;
        }
        self.network.poll(now, io, &mut self.completions);
        // Before what network.poll says of requests that took too long: a batch whose time is over is given up as one that
        // may have been appended.
        self.expire(now);
        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            self.complete(now, io, completion);
        }
        self.completions = completions;
        if let Some(idempotence) = &mut self.idempotence {
            idempotence.settle(&mut self.accumulator, now.mono);
        }
        self.fail_if_fenced();
        self.drop_unsent();
        self.init_producer_id(now, io);
        self.follow_leaders();
        let committing = self.transactions.as_ref().is_some_and(Transactions::is_committing);
        self.accumulator.hurry(self.flushing || self.out_of_memory || committing);
        self.drive_transaction(now, io);
        while self.send_batches(now, io) {}
        self.wake_at = self.next_wake(now);
        // Who wants a producer id or a coordinator looks for a broker each time, and so does the network client.
        let initialized = self.idempotence.as_ref().is_none_or(|idempotence| {
            !matches!(idempotence.init, idempotence::InitProducerId::Needed { .. })
        });
        self.settled = initialized && self.transactions.is_none() && self.network.is_settled(now.mono);
    }

    /// Whether an instant has come that the producer waited for, or a batch is to be sent.
    fn is_due(&self, now: Time) -> bool {
        self.wake_at.is_some_and(|at| at <= now) || self.accumulator.first_due().is_some_and(|at| at <= now)
    }

    /// The next instant at which the producer wants [`Producer::poll`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.wake_at
    }

    fn next_wake(&mut self, now: Now) -> Option<Time> {
        let init = self.idempotence.as_ref().and_then(|idempotence| match idempotence.init {
            idempotence::InitProducerId::Needed { from } if from > now.mono => Some(from),
            _ => None,
        });
        let transaction = self.next_transaction_wake(now.mono);
        let waits = [
            transaction,
            self.network.deadline(),
            self.accumulator.next_due(now.mono),
            self.accumulator.next_expiry(),
            init,
        ];
        waits.into_iter().flatten().min()
    }
}

impl DeliveryError {
    /// Kafka's name of the error.
    pub fn name(&self) -> &'static str {
        errors::name(self.error)
    }
}

#[cfg(test)]
mod tests;
