//! Transactions that read all lists and append to some.

use trial_node::{ConnId, Content, Input, Io, Now, OpenError, Time};

use super::config::{ClientConfig, ListsWorkload};
use super::node::conn_of;
use super::schedule::{Schedule, Turns};
use super::source::Source;
use super::transactor::Transactor;
use super::view::{ConsumerView, ProducerView};
use super::writer::{Output, Writer};

/// The most records that a transaction appends.
const MAX_APPENDS: u64 = 4;

#[derive(Clone, Debug)]
pub(super) struct Lists {
    plan: ListsWorkload,
    turns: Turns,
    source: Source,
    /// Partitions of the topic that have been looked at.
    seen: usize,
    transactor: Transactor,
    /// What becomes of the open transaction once its records are written.
    then: Option<Then>,
}

/// How a transaction ends whose records are written.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It polls once more, when what it has written itself is in the log, and must not be seen; then it is committed.
    ReadAndCommit,
    Abort,
}

impl Lists {
    /// The workload's client `index`, which is the run's producer `number`.
    pub fn new(
        process: &ClientConfig,
        plan: &ListsWorkload,
        (index, number): (u32, u32),
        from: Time,
    ) -> Result<Lists, OpenError> {
        let writer = Writer::new(process, plan.producer_config(index)?, number, &plan.topic)?;
        let schedule = Schedule { start_at: plan.start_at, rate: plan.rate, index, of: plan.share.of };
        Ok(Lists {
            plan: plan.clone(),
            turns: Turns::new(schedule, process.stop_at, from),
            source: Source::new(process, plan.consumer_config()?, plan.first_consumer + index, &plan.topic)?,
            seen: 0,
            transactor: Transactor::new(writer),
            then: None,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.source.owns(conn) || self.transactor.writer.owns(conn)
    }

    pub fn is_done(&self) -> bool {
        self.turns.stopped && self.transactor.is_at_rest()
    }

    pub fn views(&self) -> (ProducerView, ConsumerView) {
        (self.transactor.producer_view(self.turns.stopped), self.source.view(false))
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let turn = if self.transactor.is_ready() { self.turns.next() } else { self.turns.end() };
        [self.transactor.poll_timeout(), self.source.poll_timeout(), turn].into_iter().flatten().min()
    }

    /// Begins no more transactions.
    pub fn stop(&mut self) {
        self.turns.stopped = true;
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        match input {
            Some(input) if conn_of(&input).is_some_and(|conn| self.transactor.writer.owns(conn)) => {
                self.transactor.writer.handle(now, input, io);
            }
            input => self.source.step(now, input, io),
        }
        self.source.assign(|_| true, &mut self.seen);
        self.source.report(io);
        self.advance(now, io);
        self.turns.look(now.mono);
        while self.transactor.is_ready()
            && let Some((number, intended)) = self.turns.take(now.mono)
        {
            self.transact(now, io, number, intended);
            self.advance(now, io);
        }
        if self.is_done() {
            // What was written last is read outside of any transaction.
            self.source.read(now, io, &mut |_, _, _, _| {});
        }
        self.source.poll(now, io);
        self.source.report(io);
    }

    fn advance(&mut self, now: Now, io: &mut Io<'_>) {
        self.transactor.poll(now, io);
        if self.transactor.is_active()
            && self.transactor.writer.outstanding() == 0
            && let Some(then) = self.then.take()
        {
            if let Then::ReadAndCommit = then {
                self.source.read(now, io, &mut |_, _, _, _| {});
            }
            self.transactor.end(now, io, matches!(then, Then::ReadAndCommit));
            self.transactor.poll(now, io);
        }
    }

    fn transact(&mut self, now: Now, io: &mut Io<'_>, number: u64, intended: Time) {
        let abort = io.rng.chance(u64::from(self.plan.abort_percent), 100);
        self.transactor.begin(now, io, number, Some(self.source.number()));
        self.source.read(now, io, &mut |_, _, _, _| {});
        let partitions = self.transactor.writer.partitions().expect("the producer is ready") as u64;
        for nth in 0..io.rng.between(1, MAX_APPENDS) {
            let sequence = number * MAX_APPENDS + nth;
            let partition = io.rng.below(partitions) as i32;
            let value = sequence.to_be_bytes();
            let output =
                Output { sequence, intended, partition: Some(partition), key: None, value: Some(&value) };
            self.transactor.writer.send(now, io, output, Content::Append);
        }
        // Half of the transactions end at once, the others when their records are in the log.
        self.then = io.rng.chance(1, 2).then_some(if abort { Then::Abort } else { Then::ReadAndCommit });
        if self.then.is_none() {
            self.transactor.end(now, io, !abort);
        }
    }
}
