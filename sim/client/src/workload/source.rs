//! A consumer that reads one topic for other parts of an application, with its history.

use trial_node::{
    ClientEvent, ConnId, Effect, GroupEvent, Input, Io, Now, Offset, OpenError, PolledRecord, RecordId, Time,
    TopicPartition, TraceEvent,
};
use trial_wire::{ErrorCode, RecordRef, StrBytes, TopicName};

use crate::consumer::{CommitId, Consumer, ConsumerConfig, ConsumerEvent, GroupMetadata};
use crate::errors;
use crate::network::TopicSlot;

use super::config::ClientConfig;
use super::view::{AssignedPartition, ConsumerView};

/// One of the run's consumers, reading one topic: as a member of a group if its config names one.
#[derive(Clone, Debug)]
pub(super) struct Source {
    number: u32,
    topic_name: TopicName,
    topic: TopicSlot,
    group: Option<StrBytes>,
    consumer: Consumer,
    /// Of the consumer's partitions, by index.
    partitions: Vec<i32>,
    /// The generation or member epoch in which it was last assigned partitions; `None` while it is no member.
    epoch: Option<i32>,
    /// Nothing was taken from it since it was last assigned partitions.
    settled: bool,
    /// What must be given up before the group goes on.
    revoking: Vec<usize>,
}

/// What the application has to deal with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Partitions are to be given up: [`Source::revoked`] says that the application is ready for it.
    Revoking,
    /// These partitions are another's already.
    Lost(Vec<usize>),
    /// A commit has succeeded, or not.
    Committed(CommitId, bool),
    /// The consumer is of no use any more.
    Failed(ErrorCode),
}

impl Source {
    /// The run's consumer `number`, which reads `topic`.
    pub fn new(
        process: &ClientConfig,
        config: ConsumerConfig,
        number: u32,
        topic: &TopicName,
    ) -> Result<Source, OpenError> {
        let client_id = StrBytes::from_string(format!("{}-consumer-{number}", process.client_id.as_str()));
        let group = config.group.as_ref().map(|group| group.group_id.clone());
        let mut consumer = Consumer::new(config, client_id, process.bootstrap.clone())?;
        let slot = consumer.topic(topic);
        if group.is_some() {
            consumer.subscribe(std::slice::from_ref(topic));
        }
        Ok(Source {
            number,
            topic_name: topic.clone(),
            topic: slot,
            group,
            consumer,
            partitions: Vec::new(),
            epoch: None,
            settled: false,
            revoking: Vec::new(),
        })
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.consumer.owns(conn)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        self.consumer.poll_timeout()
    }

    /// Reads those partitions of the topic that `chosen` says, as far as they are known. Without a group only.
    pub fn assign(&mut self, chosen: impl Fn(usize) -> bool, seen: &mut usize) {
        let count = self.consumer.metadata().partition_count(self.topic).unwrap_or(0);
        for partition in (*seen..count).filter(|partition| chosen(*partition)) {
            self.consumer.assign(self.topic, partition as i32);
        }
        *seen = count.max(*seen);
    }

    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.consumer.group_metadata()
    }

    /// The positions of all partitions that it reads at present and has a position for.
    pub fn positions(&self) -> Vec<(usize, Offset)> {
        let position = |index| Some((index, self.consumer.position(index)?));
        self.consumer.owned().filter_map(position).collect()
    }

    /// Whether everything that it may read, as far as it knows, has been handed out, and its group has nothing open.
    pub fn has_caught_up(&self) -> bool {
        let settled = self.group.is_none() || self.settled;
        let mut owned = self.consumer.owned();
        settled
            && owned.all(|index| {
                let end = self.consumer.end_offset(index);
                end.is_some() && self.consumer.position(index) == end
            })
    }

    /// `uncommitted` says that the application has not committed all that it has read.
    pub fn view(&self, uncommitted: bool) -> ConsumerView {
        let partitions = self.consumer.owned().map(|index| AssignedPartition {
            tp: self.tp(index),
            position: self.consumer.position(index),
            end_offset: self.consumer.end_offset(index),
        });
        ConsumerView {
            number: self.number,
            partitions: partitions.collect(),
            group: self.group.clone(),
            epoch: self.epoch,
            revoking: !self.revoking.is_empty(),
            uncommitted,
        }
    }

    pub fn tp(&self, index: usize) -> TopicPartition {
        TopicPartition { topic: self.topic_name.clone(), partition: self.consumer.partition(index).1 }
    }

    fn tps(&self, indexes: &[usize]) -> Vec<TopicPartition> {
        indexes.iter().map(|index| self.tp(*index)).collect()
    }

    /// Takes in what happened to a connection of the consumer's, or that time has passed.
    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        match input {
            Some(input) => self.consumer.handle(now, input, io),
            None => self.consumer.wake(now, io),
        }
    }

    /// Lets the consumer ask for all that is missing.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) {
        self.consumer.poll(now, io);
    }

    /// Polls once, as an application does: calls `each` with a partition's index and a record. Returns how many it were.
    pub fn read(
        &mut self,
        now: Now,
        io: &mut Io<'_>,
        each: &mut dyn FnMut(&mut Io<'_>, usize, &TopicPartition, &RecordRef<'_>),
    ) -> usize {
        while self.partitions.len() < self.consumer.assigned() {
            self.partitions.push(self.consumer.partition(self.partitions.len()).1);
        }
        let (number, topic, partitions) = (self.number, &self.topic_name, &self.partitions);
        // Records come partition by partition: those of one make one event, which comes before what is done with them.
        let mut current: Option<(usize, usize, TopicPartition)> = None;
        let mut hand = |index: usize, record: &RecordRef<'_>| {
            if current.as_ref().is_none_or(|(other, ..)| *other != index) {
                let tp = TopicPartition { topic: topic.clone(), partition: partitions[index] };
                current = Some((index, io.effects.len(), tp.clone()));
                io.history(ClientEvent::Polled { consumer: number, tp, records: Vec::new() });
            }
            let (_, at, tp) = current.as_ref().expect("it was just made");
            let Effect::History(ClientEvent::Polled { records, .. }) = &mut io.effects[*at] else {
                unreachable!("that is where the event was put")
            };
            let id =
                record.headers.find(RecordId::HEADER.as_bytes()).flatten().and_then(RecordId::from_bytes);
            records.push(PolledRecord { offset: Offset(record.offset), id });
            each(io, index, tp, record);
        };
        self.consumer.take(now, &mut hand)
    }

    /// Reads a partition from `offset` on, unless another reads it by now.
    pub fn seek(&mut self, io: &mut Io<'_>, index: usize, offset: Offset) {
        if !self.consumer.is_owned(index) || self.consumer.position(index) == Some(offset) {
            return;
        }
        let from = self.consumer.position(index).unwrap_or(Offset::UNKNOWN);
        self.consumer.seek(index, offset);
        let (consumer, tp) = (self.number, self.tp(index));
        io.history(ClientEvent::PositionReset { consumer, tp, from, to: offset });
    }

    /// Commits that these offsets are to be read next; [`Signal::Committed`] tells what became of it.
    pub fn commit(&mut self, now: Now, offsets: &[(usize, Offset)]) -> CommitId {
        self.consumer.commit(now, offsets)
    }

    /// Gives up what the group wants back.
    pub fn revoked(&mut self, now: Now, io: &mut Io<'_>) {
        let revoking = std::mem::take(&mut self.revoking);
        let partitions = self.tps(&revoking);
        io.history(ClientEvent::Group(GroupEvent::Revoked { consumer: self.number, partitions }));
        self.consumer.revoked(now);
    }

    /// Begins to leave.
    pub fn close(&mut self, now: Now) {
        self.consumer.close(now);
    }

    pub fn is_closed(&self) -> bool {
        self.consumer.is_closed()
    }

    /// Tells the history what happened to the consumer, and the application what it has to deal with.
    pub fn report(&mut self, io: &mut Io<'_>) -> Vec<Signal> {
        let events: Vec<ConsumerEvent> = self.consumer.events().collect();
        let mut signals = Vec::new();
        let consumer = self.number;
        for event in events {
            match event {
                ConsumerEvent::PositionReset { index, from, to } => {
                    let tp = self.tp(index);
                    io.history(ClientEvent::PositionReset { consumer, tp, from, to });
                }
                ConsumerEvent::NoPosition { index } => {
                    self.complain(io, index, "no position and no reset policy");
                }
                ConsumerEvent::Damaged { index, offset } => {
                    self.complain(io, index, &format!("damaged batch at offset {offset}"));
                }
                ConsumerEvent::Refused { index, error } => self.complain(io, index, errors::name(error)),
                ConsumerEvent::Assigned { epoch, partitions } => {
                    (self.epoch, self.settled) = (Some(epoch), true);
                    let (group, partitions) = (self.group_id(), self.tps(&partitions));
                    io.history(ClientEvent::Group(GroupEvent::Assigned {
                        consumer,
                        group,
                        epoch,
                        partitions,
                    }));
                }
                ConsumerEvent::Revoking { partitions } => {
                    self.settled = false;
                    self.revoking = partitions;
                    signals.push(Signal::Revoking);
                }
                ConsumerEvent::Lost { partitions } => {
                    (self.epoch, self.settled) = (None, false);
                    let tps = self.tps(&partitions);
                    io.history(ClientEvent::Group(GroupEvent::Lost { consumer, partitions: tps }));
                    signals.push(Signal::Lost(partitions));
                }
                ConsumerEvent::Committing { commit: CommitId(commit), epoch, offsets } => {
                    let offsets = offsets.iter().map(|(index, offset)| (self.tp(*index), *offset)).collect();
                    io.history(ClientEvent::Group(GroupEvent::CommitInvoked {
                        consumer,
                        group: self.group_id(),
                        epoch,
                        commit,
                        transaction: None,
                        offsets,
                    }));
                }
                ConsumerEvent::Committed { commit } => {
                    io.history(ClientEvent::Group(GroupEvent::CommitAcked { consumer, commit: commit.0 }));
                    signals.push(Signal::Committed(commit, true));
                }
                ConsumerEvent::CommitFailed { commit: id, error, ambiguous } => {
                    let commit = id.0;
                    io.history(ClientEvent::Group(GroupEvent::CommitFailed {
                        consumer,
                        commit,
                        error,
                        ambiguous,
                    }));
                    signals.push(Signal::Committed(id, false));
                }
                ConsumerEvent::GroupFailed { error } => {
                    let what = format!("consumer {consumer}: {}", errors::name(error));
                    io.trace(TraceEvent::ClientError { what });
                    signals.push(Signal::Failed(error));
                }
            }
        }
        signals
    }

    fn group_id(&self) -> StrBytes {
        self.group.clone().expect("only members of a group hear of it")
    }

    fn complain(&self, io: &mut Io<'_>, index: usize, what: &str) {
        let what = format!("consumer {}: {}: {what}", self.number, self.tp(index));
        io.trace(TraceEvent::ClientError { what });
    }
}
