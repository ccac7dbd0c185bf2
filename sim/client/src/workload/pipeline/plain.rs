//! Output without transactions, for comparison: offsets are committed after the output is acknowledged (at least once), or
//! before it is sent (at most once).

use trial_node::{ConnId, Content, Input, Io, Now, Offset, OpenError, Time, TopicPartition};

use trial_wire::RecordRef;

use super::super::config::{ClientConfig, PipelineWorkload, Semantics};
use super::super::node::conn_of;
use super::super::numbers::Numbers;
use super::super::source::{Signal, Source};
use super::super::view::{ConsumerView, ProducerView};
use super::super::writer::{Output, Writer};
use super::{MAX_OUTSTANDING, Work, copy};
use crate::consumer::CommitId;

#[derive(Clone, Debug)]
pub(in super::super) struct Plain {
    at_most_once: bool,
    plan: PipelineWorkload,
    source: Source,
    writer: Writer,
    records: Numbers,
    work: Work,
    /// At most once: what was read and must not be written before it is committed.
    held: Vec<Held>,
    /// When what was read is to be committed.
    commit_at: Option<Time>,
    stage: Stage,
    /// Partitions are to be given up once all that was read is committed.
    revoking: bool,
    closing: bool,
    stopped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reading,
    /// At least once: waits for all output to be acknowledged.
    Flushing,
    Committing(CommitId),
}

/// A record that waits to be written.
#[derive(Clone, Debug)]
struct Held {
    index: usize,
    source: TopicPartition,
    offset: Offset,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Held {
    fn new(index: usize, source: &TopicPartition, record: &RecordRef<'_>) -> Held {
        Held {
            index,
            source: source.clone(),
            offset: Offset(record.offset),
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
        }
    }
}

impl Plain {
    /// The workload's client `index`, which is the run's producer `number`.
    pub fn new(
        process: &ClientConfig,
        plan: &PipelineWorkload,
        (index, number): (u32, u32),
        io: &mut Io<'_>,
    ) -> Result<Plain, OpenError> {
        let consumer = plan.first_consumer + index;
        Ok(Plain {
            at_most_once: plan.semantics == Semantics::AtMostOnce,
            source: Source::new(process, plan.consumer_config(index)?, consumer, &plan.from)?,
            writer: Writer::new(process, plan.producer_config(index)?, number, &plan.to)?,
            plan: plan.clone(),
            records: Numbers::open(format!("records-{number}"), io)?,
            work: Work::default(),
            held: Vec::new(),
            commit_at: None,
            stage: Stage::Reading,
            revoking: false,
            closing: false,
            stopped: false,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.source.owns(conn) || self.writer.owns(conn)
    }

    /// Whether all that it may read, as far as it knows, is read, written and committed.
    pub fn has_caught_up(&self) -> bool {
        self.is_at_rest() && self.source.has_caught_up()
    }

    fn is_at_rest(&self) -> bool {
        self.work.is_empty() && self.stage == Stage::Reading && self.writer.outstanding() == 0
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped && self.source.is_closed() && self.is_at_rest()
    }

    pub fn views(&self) -> (ProducerView, ConsumerView) {
        let producer = ProducerView {
            number: self.writer.number(),
            outstanding: self.writer.outstanding(),
            stopped: self.stopped,
            transaction: None,
        };
        (producer, self.source.view(!self.work.is_empty()))
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let commit = self.commit_at.filter(|_| self.stage == Stage::Reading);
        [self.writer.producer().poll_timeout(), self.source.poll_timeout(), commit]
            .into_iter()
            .flatten()
            .min()
    }

    /// Commits what it has read, and leaves its group.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        match input {
            Some(input) if conn_of(&input).is_some_and(|conn| self.writer.owns(conn)) => {
                self.writer.handle(now, input, io);
            }
            input => self.source.step(now, input, io),
        }
        self.advance(now, io);
        self.read(now, io);
        self.writer.poll(now, io);
        self.advance(now, io);
        self.source.poll(now, io);
        self.advance(now, io);
    }

    /// Does all that is due, but reads nothing.
    fn advance(&mut self, now: Now, io: &mut Io<'_>) {
        self.listen(now, io);
        let due = self.revoking || self.stopped || self.commit_at.is_some_and(|at| at <= now.mono);
        if self.stage == Stage::Reading && due {
            self.commit_at = None;
            if !self.work.is_empty() {
                self.stage = Stage::Flushing;
            }
        }
        if self.stage == Stage::Flushing && (self.at_most_once || self.writer.outstanding() == 0) {
            self.commit(now, io);
        }
        if self.stage != Stage::Reading || !self.work.is_empty() {
            return;
        }
        if std::mem::take(&mut self.revoking) {
            self.source.revoked(now, io);
        }
        if self.stopped && !self.closing {
            self.closing = true;
            self.source.close(now);
        }
    }

    fn commit(&mut self, now: Now, io: &mut Io<'_>) {
        if self.writer.take_failed() && !self.at_most_once {
            self.start_over(io);
        } else if self.work.is_empty() {
            self.stage = Stage::Reading;
        } else {
            self.stage = Stage::Committing(self.source.commit(now, &self.work.offsets()));
        }
    }

    /// What was read is read again.
    fn start_over(&mut self, io: &mut Io<'_>) {
        self.held.clear();
        self.work.rewind(&mut self.source, io);
        self.stage = Stage::Reading;
    }

    fn listen(&mut self, now: Now, io: &mut Io<'_>) {
        for signal in self.source.report(io) {
            match signal {
                Signal::Revoking => self.revoking = true,
                Signal::Lost(indexes) => {
                    self.work.lose(&indexes);
                    self.held.retain(|held| !indexes.contains(&held.index));
                }
                Signal::Committed(commit, true) if self.stage == Stage::Committing(commit) => {
                    self.stage = Stage::Reading;
                    self.work = Work::default();
                    self.write_held(now, io);
                }
                Signal::Committed(commit, false) if self.stage == Stage::Committing(commit) => {
                    self.start_over(io);
                }
                Signal::Committed(..) | Signal::Failed(_) => {}
            }
        }
    }

    fn write_held(&mut self, now: Now, io: &mut Io<'_>) {
        for held in std::mem::take(&mut self.held) {
            let output = Output {
                sequence: self.records.next(io),
                intended: now.mono,
                partition: None,
                key: held.key.as_deref(),
                value: held.value.as_deref(),
            };
            let content = Content::Copy { source: held.source, offset: held.offset };
            self.writer.send(now, io, output, content);
        }
        self.writer.poll(now, io);
    }

    fn read(&mut self, now: Now, io: &mut Io<'_>) {
        while self.stage == Stage::Reading
            && !self.closing
            && !self.revoking
            && self.writer.partitions().is_some()
            && self.writer.outstanding() + (self.held.len() as u64) < MAX_OUTSTANDING
        {
            let (writer, records, work) = (&mut self.writer, &mut self.records, &mut self.work);
            let mut held = self.at_most_once.then_some(&mut self.held);
            let polled = self.source.read(now, io, &mut |io, index, tp, record| {
                work.add(index, record.offset);
                match &mut held {
                    Some(held) => held.push(Held::new(index, tp, record)),
                    None => copy(writer, records, now, io, tp, record),
                }
            });
            if polled > 0 && self.commit_at.is_none() {
                self.commit_at = Some(now.mono + self.plan.commit_interval);
            }
            self.listen(now, io);
            if polled == 0 {
                return;
            }
        }
    }
}
