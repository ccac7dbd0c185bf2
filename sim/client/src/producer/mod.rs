//! Kafka's producer: collects records into batches per partition and sees each batch through to an acknowledgement or a
//! failure.

mod accumulator;
mod batch;
mod config;
mod idempotence;
mod partitioner;
mod sender;

use trial_node::{ConnId, Endpoint, Input, Io, Now, Offset, OpenError, Time};
use trial_wire::batch::HEADER_LEN;
use trial_wire::{ErrorCode, StrBytes, TopicName};

use crate::errors;
use crate::network::{Completion, Metadata, NetworkClient, TopicSlot};

use accumulator::Accumulator;
use idempotence::Idempotence;
use sender::Sent;

pub use batch::ProducerRecord;
pub use config::ProducerConfig;
pub use partitioner::{murmur2, partition_for_key};

/// A producer.
///
/// How to drive it: give it the inputs of its connections with [`Producer::handle`], or nothing but the time with
/// [`Producer::poll`] whenever [`Producer::poll_timeout`] has come and after records were sent with [`Producer::send`];
/// then take what became of records from [`Producer::deliveries`].
#[derive(Clone, Debug)]
pub struct Producer {
    config: ProducerConfig,
    network: NetworkClient<Vec<Sent>>,
    accumulator: Accumulator,
    idempotence: Option<Idempotence>,
    /// Nothing can be sent any more.
    fatal: Option<ErrorCode>,
    flushing: bool,
    out_of_memory: bool,
    metadata_version: u64,
    deliveries: Vec<Delivery>,
    completions: Vec<Completion<Vec<Sent>>>,
    wake_at: Option<Time>,
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
            idempotence: config.idempotence.then(Idempotence::new),
            config,
            fatal: None,
            flushing: false,
            out_of_memory: false,
            metadata_version: 0,
            deliveries: Vec::new(),
            completions: Vec::new(),
            wake_at: Some(Time::ZERO),
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
        self.network.metadata_mut().add_topic(name)
    }

    /// Takes a record for a topic. Nothing is sent before the next [`Producer::poll`].
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
        if let Some(error) = self.fatal {
            return Err(Refusal::Failed(error));
        }
        let metadata = self.network.metadata();
        let Some(partitions) = metadata.partition_count(topic) else {
            let error = metadata.topic(topic).error.filter(|error| !error.is_retriable());
            return Err(error.map_or(Refusal::NoMetadata, Refusal::Failed));
        };
        let size = HEADER_LEN + record.size_bound();
        if size > self.config.max_request_size || size > self.config.buffer_memory {
            return Err(Refusal::Failed(ErrorCode::MessageTooLarge));
        }
        let slot = self.accumulator.choose_partition(metadata, topic, partitions, record.key, io.rng);
        let taken = self.accumulator.append(now.mono, slot, record);
        self.out_of_memory = taken.is_err();
        taken.map_err(|_| Refusal::BufferFull)
    }

    /// Sends everything without lingering from now on; records can still be added.
    pub fn flush(&mut self) {
        self.flushing = true;
    }

    /// Whether every record that was taken has been acknowledged or given up.
    pub fn is_idle(&self) -> bool {
        self.accumulator.is_empty()
    }

    /// What became of records since this was last asked.
    pub fn deliveries(&mut self) -> std::vec::Drain<'_, Delivery> {
        self.deliveries.drain(..)
    }

    /// Takes in what happened to one of the producer's connections, and acts on it.
    pub fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.network.handle(now, input, io, &mut self.completions);
        self.poll(now, io);
    }

    /// Does everything that is due.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) {
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
        self.init_producer_id(now, io);
        self.follow_leaders();
        self.accumulator.hurry(self.flushing || self.out_of_memory);
        while self.send_batches(now, io) {}
        self.wake_at = self.next_wake(now);
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
        let waits = [
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
