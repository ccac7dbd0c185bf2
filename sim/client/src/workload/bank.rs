//! Transfers between accounts, a transaction each.

use trial_node::{ConnId, Content, Input, Io, Now, OpenError, Time};

use crate::producer::partition_for_key;

use super::config::{BankWorkload, ClientConfig};
use super::schedule::{Schedule, Turns};
use super::transactor::Transactor;
use super::view::ProducerView;
use super::writer::{Output, Writer};

#[derive(Clone, Debug)]
pub(super) struct Bank {
    plan: BankWorkload,
    turns: Turns,
    transactor: Transactor,
    /// The open transaction is to be aborted once its records are written.
    abort: bool,
}

impl Bank {
    /// The workload's client `index`, which is the run's producer `number`.
    pub fn new(
        process: &ClientConfig,
        plan: &BankWorkload,
        (index, number): (u32, u32),
        from: Time,
    ) -> Result<Bank, OpenError> {
        let writer = Writer::new(process, plan.producer_config(index)?, number, &plan.topic)?;
        let schedule = Schedule { start_at: plan.start_at, rate: plan.rate, index, of: plan.share.of };
        Ok(Bank {
            plan: plan.clone(),
            turns: Turns::new(schedule, process.stop_at, from),
            transactor: Transactor::new(writer),
            abort: false,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.transactor.writer.owns(conn)
    }

    pub fn is_done(&self) -> bool {
        self.turns.stopped && self.transactor.is_at_rest()
    }

    pub fn view(&self) -> ProducerView {
        self.transactor.producer_view(self.turns.stopped)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        // While it cannot begin, the end of what it waits for is what wakes it.
        let turn = if self.transactor.is_ready() { self.turns.next() } else { self.turns.end() };
        self.transactor.poll_timeout().into_iter().chain(turn).min()
    }

    /// Begins no more transactions.
    pub fn stop(&mut self) {
        self.turns.stopped = true;
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        if let Some(input) = input {
            self.transactor.writer.handle(now, input, io);
        }
        self.advance(now, io);
        self.turns.look(now.mono);
        while self.transactor.is_ready()
            && let Some((number, intended)) = self.turns.take(now.mono)
        {
            self.transfer(now, io, number, intended);
            self.advance(now, io);
        }
    }

    fn advance(&mut self, now: Now, io: &mut Io<'_>) {
        self.transactor.poll(now, io);
        if self.abort && self.transactor.is_active() && self.transactor.writer.outstanding() == 0 {
            self.transactor.end(now, io, false);
            self.transactor.poll(now, io);
        }
    }

    fn transfer(&mut self, now: Now, io: &mut Io<'_>, number: u64, intended: Time) {
        let (from, to) = self.accounts(io);
        let amount = io.rng.between(1, 100) as i64;
        self.abort = io.rng.chance(u64::from(self.plan.abort_percent), 100);
        self.transactor.begin(now, io, number, None);
        for (nth, (account, amount)) in [(from, -amount), (to, amount)].into_iter().enumerate() {
            let output = Output {
                sequence: number * 2 + nth as u64,
                intended,
                partition: None,
                key: Some(&u64::from(account).to_be_bytes()),
                value: Some(&amount.to_be_bytes()),
            };
            self.transactor.writer.send(now, io, output, Content::Transfer { account, amount });
        }
        // Half of the aborts come after the records are in the log.
        if !self.abort || io.rng.chance(1, 2) {
            self.transactor.end(now, io, !self.abort);
        }
    }

    /// Two accounts, in different partitions unless that seems impossible.
    fn accounts(&self, io: &mut Io<'_>) -> (u32, u32) {
        const TRIES: u32 = 64;
        let partitions = self.transactor.writer.partitions().expect("the producer is ready");
        let partition = |account: u32| partition_for_key(&u64::from(account).to_be_bytes(), partitions);
        let from = io.rng.below(u64::from(self.plan.accounts)) as u32;
        let mut draw = || {
            let other = io.rng.below(u64::from(self.plan.accounts) - 1) as u32;
            if other < from { other } else { other + 1 }
        };
        let mut to = draw();
        for _ in 0..TRIES {
            if partition(to) != partition(from) {
                break;
            }
            to = draw();
        }
        (from, to)
    }
}
