//! A producer that follows a schedule.

use trial_node::{
    ClientEvent, ConnId, Content, Input, Io, Now, OpenError, RecordId, Time, TopicPartition, TraceEvent,
};
use trial_wire::{ErrorCode, StrBytes};

use crate::errors;
use crate::network::TopicSlot;
use crate::producer::{Delivery, Producer, ProducerRecord, Refusal};

use super::config::{ClientConfig, Keys, ProduceWorkload};
use super::schedule::Schedule;
use super::view::ProducerView;

#[derive(Clone, Debug)]
pub(super) struct Load {
    number: u32,
    plan: ProduceWorkload,
    schedule: Schedule,
    stop_at: Option<Time>,
    producer: Producer,
    topic: TopicSlot,
    /// The next record to make.
    next: u64,
    next_intended: Time,
    /// A record that the producer could not take yet. The application waits for it, as in Kafka's blocking `send`.
    blocked: Option<Blocked>,
    outstanding: u64,
    stopped: bool,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    made: Made,
    /// When `max.block.ms` is over.
    until: Time,
}

/// A record that the application has made.
#[derive(Clone, Copy, Debug)]
struct Made {
    sequence: u64,
    key: Option<[u8; 8]>,
    timestamp: i64,
}

impl Load {
    /// The workload's producer `index`, which is the run's producer `number`. Its first record is the first that is
    /// intended at or after `from`.
    pub fn new(
        process: &ClientConfig,
        plan: &ProduceWorkload,
        (index, number): (u32, u32),
        from: Time,
    ) -> Result<Load, OpenError> {
        let client_id = StrBytes::from_string(format!("{}-producer-{number}", process.client_id.as_str()));
        let mut producer = Producer::new(plan.producer_config()?, client_id, process.bootstrap.clone())?;
        let topic = producer.topic(&plan.topic);
        let schedule = Schedule { start_at: plan.start_at, rate: plan.rate, index, of: plan.share.of };
        let next = schedule.first_from(from);
        Ok(Load {
            number,
            plan: plan.clone(),
            schedule,
            stop_at: process.stop_at,
            producer,
            topic,
            next,
            next_intended: schedule.intended(next),
            blocked: None,
            outstanding: 0,
            stopped: false,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.producer.owns(conn)
    }

    pub fn is_done(&self) -> bool {
        self.stopped && self.outstanding == 0
    }

    pub fn view(&self) -> ProducerView {
        ProducerView {
            number: self.number,
            outstanding: self.outstanding,
            stopped: self.stopped,
            transaction: None,
        }
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let next = (!self.stopped && self.blocked.is_none()).then_some(self.next_intended);
        let stop = self.stop_at.filter(|_| !self.stopped);
        let blocked = self.blocked.map(|blocked| blocked.until);
        [self.producer.poll_timeout(), next, stop, blocked].into_iter().flatten().min()
    }

    /// Makes no more records, and sends what there is without lingering.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.producer.flush();
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        if let Some(input) = input {
            self.producer.handle(now, input, io);
            self.report(io);
        }
        if !self.stopped && self.stop_at.is_some_and(|stop_at| stop_at <= now.mono) {
            self.stop();
        }
        self.make_records(now, io);
        self.producer.poll(now, io);
        self.report(io);
    }

    fn make_records(&mut self, now: Now, io: &mut Io<'_>) {
        loop {
            let (made, until) = match self.blocked.take() {
                Some(blocked) => (blocked.made, blocked.until),
                None if self.stopped || self.next_intended > now.mono => return,
                None => (self.make(now, io), now.mono + self.producer.config().max_block),
            };
            match self.send(now, io, made) {
                Ok(()) => {}
                Err(Refusal::Failed(error)) => self.refused(io, made, error),
                Err(_) if until <= now.mono => self.refused(io, made, ErrorCode::RequestTimedOut),
                Err(_) => {
                    self.blocked = Some(Blocked { made, until });
                    return;
                }
            }
        }
    }

    fn id(&self, sequence: u64) -> RecordId {
        RecordId { producer: self.number, sequence }
    }

    fn make(&mut self, now: Now, io: &mut Io<'_>) -> Made {
        let sequence = self.next;
        let intended = self.next_intended;
        self.next += 1;
        self.next_intended = self.schedule.intended(self.next);
        let global = self.schedule.global(sequence);
        let key = match self.plan.keys {
            Keys::None => None,
            Keys::Unique => Some(global.to_be_bytes()),
            Keys::Uniform(keys) => Some(io.rng.below(keys).to_be_bytes()),
        };
        let value = self.plan.corpus.value(global);
        self.outstanding += 1;
        io.history(ClientEvent::SendInvoked {
            id: self.id(sequence),
            topic: self.plan.topic.clone(),
            intended,
            bytes: (key.map_or(0, |key| key.len()) + value.len()) as u32,
            idempotent: self.producer.config().idempotence,
            acks: self.producer.config().acks,
            content: Content::Plain,
        });
        Made { sequence, key, timestamp: now.wall_ms }
    }

    fn send(&mut self, now: Now, io: &mut Io<'_>, made: Made) -> Result<(), Refusal> {
        let id = self.id(made.sequence).to_bytes();
        let record = ProducerRecord {
            timestamp: made.timestamp,
            key: made.key.as_ref().map(<[u8; 8]>::as_slice),
            value: Some(self.plan.corpus.value(self.schedule.global(made.sequence))),
            partition: None,
            headers: &[(RecordId::HEADER.as_bytes(), &id)],
            token: made.sequence,
        };
        self.producer.send(now, io, self.topic, &record)
    }

    /// A record that the producer never took.
    fn refused(&mut self, io: &mut Io<'_>, made: Made, error: ErrorCode) {
        self.outstanding -= 1;
        io.history(ClientEvent::SendFailed {
            producer: self.number,
            sequences: vec![made.sequence],
            error: errors::name(error),
            ambiguous: false,
        });
    }

    /// Tells the history what became of records.
    fn report(&mut self, io: &mut Io<'_>) {
        let producer = self.number;
        for Delivery { partition, tokens: sequences, outcome, .. } in self.producer.deliveries() {
            self.outstanding -= sequences.len() as u64;
            let tp = TopicPartition { topic: self.plan.topic.clone(), partition };
            let event = match outcome {
                Ok(base_offset) => ClientEvent::SendAcked { producer, sequences, tp, base_offset },
                Err(error) => {
                    let what = format!(
                        "producer {producer}: {} records for {tp}: {}",
                        sequences.len(),
                        error.name()
                    );
                    io.trace(TraceEvent::ClientError { what });
                    let (error, ambiguous) = (error.name(), error.ambiguous);
                    ClientEvent::SendFailed { producer, sequences, error, ambiguous }
                }
            };
            io.history(event);
        }
    }
}
