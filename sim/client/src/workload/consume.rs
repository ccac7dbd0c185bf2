//! A consumer that reads its share of a topic.

use trial_node::{
    ClientEvent, ConnId, Input, Io, Now, Offset, OpenError, PolledRecord, RecordId, Time, TopicPartition,
    TraceEvent,
};
use trial_wire::{RecordRef, StrBytes, TopicName};

use crate::consumer::{Consumer, ConsumerEvent};
use crate::errors;
use crate::network::TopicSlot;

use super::config::{ClientConfig, ConsumeWorkload};
use super::view::{AssignedPartition, ConsumerView};

#[derive(Clone, Debug)]
pub(super) struct Reader {
    number: u32,
    /// Which of the workload's consumers it is, and of how many.
    index: u32,
    of: u32,
    topic_name: TopicName,
    topic: TopicSlot,
    consumer: Consumer,
    /// Partitions of the topic that have been looked at.
    seen: usize,
}

impl Reader {
    pub fn new(
        process: &ClientConfig,
        plan: &ConsumeWorkload,
        (index, number): (u32, u32),
    ) -> Result<Reader, OpenError> {
        let client_id = StrBytes::from_string(format!("{}-consumer-{number}", process.client_id.as_str()));
        let mut consumer = Consumer::new(plan.consumer_config(index)?, client_id, process.bootstrap.clone())?;
        let topic = consumer.topic(&plan.topic);
        let topic_name = plan.topic.clone();
        Ok(Reader { number, index, of: plan.share.of, topic_name, topic, consumer, seen: 0 })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.consumer.owns(conn)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.consumer.poll_timeout()
    }

    pub fn view(&self) -> ConsumerView {
        let partitions = (0..self.consumer.assigned()).map(|index| AssignedPartition {
            tp: self.tp(index),
            position: self.consumer.position(index),
            end_offset: self.consumer.end_offset(index),
        });
        ConsumerView { number: self.number, partitions: partitions.collect() }
    }

    fn tp(&self, index: usize) -> TopicPartition {
        TopicPartition { topic: self.topic_name.clone(), partition: self.consumer.partition(index).1 }
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        match input {
            Some(input) => self.consumer.handle(now, input, io),
            None => self.consumer.wake(now, io),
        }
        self.assign();
        self.report(io);
        self.read(now, io);
        self.consumer.poll(now, io);
        self.report(io);
    }

    /// Takes the partitions that the topic was found to have.
    fn assign(&mut self) {
        let count = self.consumer.metadata().partition_count(self.topic).unwrap_or(0);
        for partition in self.seen..count {
            if partition as u32 % self.of == self.index {
                self.consumer.assign(self.topic, partition as i32);
            }
        }
        self.seen = self.seen.max(count);
    }

    fn read(&mut self, now: Now, io: &mut Io<'_>) {
        let consumer = self.number;
        let topic = &self.topic_name;
        let of = self.of as i32;
        let first = self.index as i32;
        // Records come partition by partition: those of one make one event.
        let (mut of_index, mut records): (usize, Vec<PolledRecord>) = (0, Vec::new());
        let mut tell = |index: usize, records: Vec<PolledRecord>| {
            // Partitions were assigned in ascending order, every `of`th.
            let tp = TopicPartition { topic: topic.clone(), partition: first + index as i32 * of };
            io.history(ClientEvent::Polled { consumer, tp, records });
        };
        let mut each = |index: usize, record: &RecordRef<'_>| {
            if index != of_index && !records.is_empty() {
                tell(of_index, std::mem::take(&mut records));
            }
            of_index = index;
            let id =
                record.headers.find(RecordId::HEADER.as_bytes()).flatten().and_then(RecordId::from_bytes);
            records.push(PolledRecord { offset: Offset(record.offset), id });
        };
        while self.consumer.take(now, &mut each) > 0 {}
        if !records.is_empty() {
            tell(of_index, records);
        }
    }

    fn report(&mut self, io: &mut Io<'_>) {
        let events: Vec<ConsumerEvent> = self.consumer.events().collect();
        for event in events {
            let (index, what) = match event {
                ConsumerEvent::PositionReset { index, from, to } => {
                    let tp = self.tp(index);
                    io.history(ClientEvent::PositionReset { consumer: self.number, tp, from, to });
                    continue;
                }
                ConsumerEvent::NoPosition { index } => (index, "no position and no reset policy".to_owned()),
                ConsumerEvent::Damaged { index, offset } => {
                    (index, format!("damaged batch at offset {offset}"))
                }
                ConsumerEvent::Refused { index, error } => (index, errors::name(error).to_owned()),
                ConsumerEvent::Assigned { .. }
                | ConsumerEvent::Revoking { .. }
                | ConsumerEvent::Lost { .. }
                | ConsumerEvent::Committing { .. }
                | ConsumerEvent::Committed { .. }
                | ConsumerEvent::CommitFailed { .. }
                | ConsumerEvent::GroupFailed { .. } => continue,
            };
            let what = format!("consumer {}: {}: {what}", self.number, self.tp(index));
            io.trace(TraceEvent::ClientError { what });
        }
    }
}
