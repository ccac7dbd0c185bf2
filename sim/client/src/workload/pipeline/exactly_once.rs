//! Output and offsets in one transaction (KIP-98, KIP-447).

use trial_node::{
    ClientEvent, ConnId, GroupEvent, Input, Io, Now, OpenError, Time, TransactionId, TransactionOutcome,
};

use super::super::config::{ClientConfig, PipelineWorkload};
use super::super::node::conn_of;
use super::super::numbers::Numbers;
use super::super::source::{Signal, Source};
use super::super::transactor::Transactor;
use super::super::view::{ConsumerView, ProducerView};
use super::super::writer::Writer;
use super::{MAX_OUTSTANDING, Work, copy};

/// Reads and writes within a transaction until it is time to commit. What an aborted transaction has read is read again. A
/// producer that another has fenced, or whose commit is in doubt, is the end of this instance: it leaves its group, and another
/// begins where the group's offsets say.
#[derive(Clone, Debug)]
pub(in super::super) struct ExactlyOnce {
    process: ClientConfig,
    plan: PipelineWorkload,
    index: u32,
    source: Source,
    transactor: Transactor,
    records: Numbers,
    transactions: Numbers,
    work: Work,
    /// When the open transaction is to be committed.
    commit_at: Option<Time>,
    /// The transaction with which offsets are being committed.
    committing: Option<TransactionId>,
    /// Partitions are to be given up once the open transaction has ended.
    revoking: bool,
    /// A commit is in doubt: this instance does not know where to go on.
    in_doubt: bool,
    /// This instance leaves its group.
    closing: bool,
    /// SIGTERM came: no other instance follows.
    stopped: bool,
}

impl ExactlyOnce {
    /// The workload's client `index`, which is the run's producer `number`.
    pub fn new(
        process: &ClientConfig,
        plan: &PipelineWorkload,
        (index, number): (u32, u32),
        io: &mut Io<'_>,
    ) -> Result<ExactlyOnce, OpenError> {
        let writer = Writer::new(process, plan.producer_config(index)?, number, &plan.to)?;
        Ok(ExactlyOnce {
            source: source(process, plan, index)?,
            transactor: Transactor::new(writer),
            process: process.clone(),
            plan: plan.clone(),
            index,
            records: Numbers::open(format!("records-{number}"), io)?,
            transactions: Numbers::open(format!("transactions-{number}"), io)?,
            work: Work::default(),
            commit_at: None,
            committing: None,
            revoking: false,
            in_doubt: false,
            closing: false,
            stopped: false,
        })
    }

    pub fn owns(&self, conn: ConnId) -> bool {
        self.source.owns(conn) || self.transactor.writer.owns(conn)
    }

    /// Whether all that it may read, as far as it knows, is read, written and committed.
    pub fn has_caught_up(&self) -> bool {
        !self.closing && self.transactor.is_at_rest() && self.source.has_caught_up()
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped && self.source.is_closed() && self.transactor.is_at_rest()
    }

    pub fn views(&self) -> (ProducerView, ConsumerView) {
        (self.transactor.producer_view(self.stopped), self.source.view(!self.work.is_empty()))
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        // A transaction that has failed is ending already.
        let commit_at = self.commit_at.filter(|_| self.transactor.is_active());
        [self.transactor.poll_timeout(), self.source.poll_timeout(), commit_at].into_iter().flatten().min()
    }

    /// Commits what it has read, and leaves its group.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    pub fn step(&mut self, now: Now, input: Option<Input>, io: &mut Io<'_>) {
        match input {
            Some(input) if conn_of(&input).is_some_and(|conn| self.transactor.writer.owns(conn)) => {
                self.transactor.writer.handle(now, input, io);
            }
            input => self.source.step(now, input, io),
        }
        self.advance(now, io);
        self.read(now, io);
        self.advance(now, io);
        self.source.poll(now, io);
        // What polling has brought about, a lost membership for instance.
        self.advance(now, io);
    }

    /// Does all that is due, but reads nothing.
    fn advance(&mut self, now: Now, io: &mut Io<'_>) {
        if let Some(outcome) = self.transactor.poll(now, io) {
            self.ended(io, outcome);
        }
        self.listen(now, io);
        let ends = self.transactor.take_restarted() | std::mem::take(&mut self.in_doubt);
        if ends && !self.closing {
            self.closing = true;
            self.source.close(now);
        }
        let due = self.revoking || self.stopped || self.commit_at.is_some_and(|at| at <= now.mono);
        if due && self.transactor.is_active() {
            self.commit(now, io);
        }
        if self.transactor.open().is_some() {
            return;
        }
        if std::mem::take(&mut self.revoking) {
            self.source.revoked(now, io);
        }
        if self.stopped && !self.closing {
            self.closing = true;
            self.source.close(now);
        } else if self.closing && !self.stopped && self.source.is_closed() {
            self.begin_anew(io);
        }
    }

    fn listen(&mut self, now: Now, io: &mut Io<'_>) {
        for signal in self.source.report(io) {
            match signal {
                Signal::Revoking => self.revoking = true,
                Signal::Lost(indexes) => {
                    self.work.lose(&indexes);
                    if self.transactor.is_active() {
                        self.end(now, io, false);
                    }
                }
                Signal::Committed(..) => {}
                Signal::Failed(_) => {
                    if self.transactor.is_active() {
                        self.end(now, io, false);
                    }
                    self.closing = true;
                    self.source.close(now);
                }
            }
        }
    }

    fn read(&mut self, now: Now, io: &mut Io<'_>) {
        // While a transaction ends, the application waits for it; so it does for its producer's id.
        let ready = |transactor: &Transactor| transactor.is_ready() || transactor.is_active();
        while !self.closing
            && !self.revoking
            && ready(&self.transactor)
            && self.transactor.writer.outstanding() < MAX_OUTSTANDING
        {
            let (transactor, work, commit_at) = (&mut self.transactor, &mut self.work, &mut self.commit_at);
            let (records, transactions) = (&mut self.records, &mut self.transactions);
            let (consumer, interval) = (self.source.number(), self.plan.commit_interval);
            let polled = self.source.read(now, io, &mut |io, index, tp, record| {
                if !transactor.is_active() {
                    let number = transactions.next(io);
                    transactor.begin(now, io, number, Some(consumer));
                    *commit_at = Some(now.mono + interval);
                }
                work.add(index, record.offset);
                copy(&mut transactor.writer, records, now, io, tp, record);
            });
            self.listen(now, io);
            if polled == 0 {
                return;
            }
        }
    }

    /// Commits what was read, with what was written for it.
    fn commit(&mut self, now: Now, io: &mut Io<'_>) {
        let offsets = self.work.offsets();
        let group = self.source.group_metadata().expect("a pipeline has a group");
        if offsets.is_empty() || self.transactor.must_abort() {
            self.end(now, io, false);
            return;
        }
        let offsets: Vec<_> =
            offsets.into_iter().map(|(index, offset)| (self.source.tp(index), offset)).collect();
        let id = self.transactor.open().expect("a transaction is active");
        io.history(ClientEvent::Group(GroupEvent::CommitInvoked {
            consumer: self.source.number(),
            group: group.group_id.clone(),
            epoch: group.generation,
            commit: id.number,
            transaction: Some(id),
            offsets: offsets.clone(),
        }));
        self.committing = Some(id);
        self.transactor.send_offsets(offsets, group);
        self.end(now, io, true);
    }

    fn end(&mut self, now: Now, io: &mut Io<'_>, commit: bool) {
        self.commit_at = None;
        self.transactor.end(now, io, commit);
        if let Some(outcome) = self.transactor.poll(now, io) {
            self.ended(io, outcome);
        }
    }

    fn ended(&mut self, io: &mut Io<'_>, outcome: TransactionOutcome) {
        self.commit_at = None;
        let consumer = self.source.number();
        if let Some(TransactionId { number: commit, .. }) = self.committing.take() {
            let failed = |error, ambiguous| GroupEvent::CommitFailed { consumer, commit, error, ambiguous };
            io.history(ClientEvent::Group(match outcome {
                TransactionOutcome::Committed => GroupEvent::CommitAcked { consumer, commit },
                TransactionOutcome::Aborted => failed("TRANSACTION_ABORTED", false),
                TransactionOutcome::Unknown { error } => failed(error, true),
            }));
        }
        match outcome {
            TransactionOutcome::Committed => self.work = Work::default(),
            TransactionOutcome::Aborted => self.work.rewind(&mut self.source, io),
            TransactionOutcome::Unknown { .. } => {
                self.work = Work::default();
                self.in_doubt = true;
            }
        }
    }

    /// Another instance takes the place of the one that has left.
    fn begin_anew(&mut self, io: &mut Io<'_>) {
        let source = source(&self.process, &self.plan, self.index);
        self.source = source.expect("the same configs made one before");
        self.closing = false;
        self.work = Work::default();
        io.history(ClientEvent::ClientStarted { consumers: true, first: self.source.number(), count: 1 });
    }
}

fn source(process: &ClientConfig, plan: &PipelineWorkload, index: u32) -> Result<Source, OpenError> {
    Source::new(process, plan.consumer_config(index)?, plan.first_consumer + index, &plan.from)
}
