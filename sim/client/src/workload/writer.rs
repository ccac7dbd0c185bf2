//! A producer that writes what other parts of an application give it, with its history.

use trial_node::{
    ClientEvent, ConnId, Content, Endpoint, Input, Io, Now, OpenError, RecordId, Time, TopicPartition,
    TraceEvent,
};
use trial_wire::{ErrorCode, StrBytes, TopicName};

use crate::errors;
use crate::network::TopicSlot;
use crate::producer::{Delivery, Producer, ProducerConfig, ProducerRecord, Refusal};

use super::config::ClientConfig;

/// One of the run's producers, writing to one topic.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    number: u32,
    config: ProducerConfig,
    client_id: StrBytes,
    bootstrap: Vec<Endpoint>,
    topic_name: TopicName,
    topic: TopicSlot,
    producer: Producer,
    outstanding: u64,
    /// A record was not acknowledged since this was last asked.
    failed: bool,
}

/// A record that an application has made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Output<'a> {
    /// Its number among the producer's.
    pub sequence: u64,
    pub intended: Time,
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl Writer {
    /// The run's producer `number`, which writes to `topic`.
    pub fn new(
        process: &ClientConfig,
        config: ProducerConfig,
        number: u32,
        topic: &TopicName,
    ) -> Result<Writer, OpenError> {
        let client_id = StrBytes::from_string(format!("{}-producer-{number}", process.client_id.as_str()));
        let bootstrap = process.bootstrap.clone();
        let mut producer = Producer::new(config.clone(), client_id.clone(), bootstrap.clone())?;
        let slot = producer.topic(topic);
        Ok(Writer {
            number,
            config,
            client_id,
            bootstrap,
            topic_name: topic.clone(),
            topic: slot,
            producer,
            outstanding: 0,
            failed: false,
        })
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn producer(&self) -> &Producer {
        &self.producer
    }

    pub fn producer_mut(&mut self) -> &mut Producer {
        &mut self.producer
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.producer.owns(conn)
    }

    /// Records that were handed over and are neither acknowledged nor given up.
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// How many partitions the topic has, if that is known: before, no record can be sent.
    pub fn partitions(&self) -> Option<usize> {
        self.producer.metadata().partition_count(self.topic)
    }

    /// Whether a record was not acknowledged since [`Writer::take_failed`] was last asked.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether a record was not acknowledged since this was last asked.
    pub fn take_failed(&mut self) -> bool {
        std::mem::take(&mut self.failed)
    }

    /// Takes in what happened to a connection of the producer's.
    pub fn handle(&mut self, now: Now, input: Input, io: &mut Io<'_>) {
        self.producer.handle(now, input, io);
        self.report(io);
    }

    /// Lets the producer do what is due.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) {
        self.producer.poll(now, io);
        self.report(io);
    }

    /// Hands a record to the producer. One that it does not take has failed.
    pub fn send(&mut self, now: Now, io: &mut Io<'_>, output: Output<'_>, content: Content) {
        let id = RecordId { producer: self.number, sequence: output.sequence };
        let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len) as u32;
        io.history(ClientEvent::SendInvoked {
            id,
            topic: self.topic_name.clone(),
            intended: output.intended,
            bytes: len(output.key) + len(output.value),
            idempotent: self.config.idempotence,
            acks: self.config.acks,
            content,
        });
        let header = id.to_bytes();
        let record = ProducerRecord {
            timestamp: now.wall_ms,
            key: output.key,
            value: output.value,
            partition: output.partition,
            headers: &[(RecordId::HEADER.as_bytes(), &header)],
            token: output.sequence,
        };
        let error = match self.producer.send(now, io, self.topic, &record) {
            Ok(()) => {
                self.outstanding += 1;
                return;
            }
            Err(Refusal::Failed(error)) => error,
            Err(Refusal::NoMetadata | Refusal::BufferFull) => ErrorCode::RequestTimedOut,
        };
        self.failed = true;
        io.history(ClientEvent::SendFailed {
            producer: self.number,
            sequences: vec![output.sequence],
            error: errors::name(error),
            ambiguous: false,
        });
    }

    /// Gives the producer up and begins with a new one, as an application does that starts again. Returns whether the old one
    /// may have committed its transaction.
    pub fn restart(&mut self, error: ErrorCode, io: &mut Io<'_>) -> bool {
        self.producer.close(error, io);
        let commit_in_doubt = self.producer.commit_in_doubt();
        self.report(io);
        let producer = Producer::new(self.config.clone(), self.client_id.clone(), self.bootstrap.clone());
        self.producer = producer.expect("the same configs made one before");
        self.topic = self.producer.topic(&self.topic_name);
        commit_in_doubt
    }

    /// Tells the history what became of records.
    fn report(&mut self, io: &mut Io<'_>) {
        let producer = self.number;
        for Delivery { partition, tokens: sequences, outcome, .. } in self.producer.deliveries() {
            self.outstanding -= sequences.len() as u64;
            let tp = TopicPartition { topic: self.topic_name.clone(), partition };
            let event = match outcome {
                Ok(base_offset) => ClientEvent::SendAcked { producer, sequences, tp, base_offset },
                Err(error) => {
                    self.failed = true;
                    let (count, name) = (sequences.len(), error.name());
                    let what = format!("producer {producer}: {count} records for {tp}: {name}");
                    io.trace(TraceEvent::ClientError { what });
                    ClientEvent::SendFailed { producer, sequences, error: name, ambiguous: error.ambiguous }
                }
            };
            io.history(event);
        }
    }
}
