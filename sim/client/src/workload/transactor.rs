//! A transactional producer with the history of its transactions. It recovers as an application should: what can be aborted
//! is aborted; a producer that cannot go on is closed, and a new one made.

use trial_node::{
    ClientEvent, Io, Now, Offset, Time, TopicPartition, TraceEvent, TransactionEvent, TransactionId,
    TransactionOutcome,
};
use trial_wire::ErrorCode;

use crate::consumer::GroupMetadata;
use crate::errors;
use crate::producer::TransactionState;

use super::view::{ProducerView, TransactionView};
use super::writer::Writer;

#[derive(Clone, Debug)]
pub(super) struct Transactor {
    pub writer: Writer,
    open: Option<Open>,
    /// When a producer that could not go on was last replaced: the next one waits a little.
    initialize_at: Option<Time>,
    restarted: bool,
}

/// The transaction that has begun and not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    id: TransactionId,
    since: Time,
    ending: Option<Ending>,
    /// It was asked to be committed, and that failed in a way that leaves doubt.
    in_doubt: Option<ErrorCode>,
}

#[derive(Clone, Copy, Debug)]
struct Ending {
    commit: bool,
    /// When the application gives up waiting (`max.block.ms`).
    until: Time,
}

impl Transactor {
    pub fn new(writer: Writer) -> Transactor {
        Transactor { writer, open: None, initialize_at: Some(Time::ZERO), restarted: false }
    }

    /// The producer seen from outside.
    pub fn producer_view(&self, stopped: bool) -> ProducerView {
        let transaction = self.open.map(|open| TransactionView {
            id: open.id,
            since: open.since,
            ending: open.ending.map(|ending| ending.commit),
        });
        let (number, outstanding) = (self.writer.number(), self.writer.outstanding());
        ProducerView { number, outstanding, stopped, transaction }
    }

    /// The transaction that has begun and not ended.
    pub fn open(&self) -> Option<TransactionId> {
        self.open.map(|open| open.id)
    }

    /// Whether the open transaction can only be aborted.
    pub fn must_abort(&self) -> bool {
        self.writer.has_failed()
    }

    /// Whether the producer was given up for a new one since this was last asked.
    pub fn take_restarted(&mut self) -> bool {
        std::mem::take(&mut self.restarted)
    }

    /// Has offsets committed with the open transaction, which must be active.
    pub fn send_offsets(&mut self, offsets: Vec<(TopicPartition, Offset)>, group: GroupMetadata) {
        // An error of the transaction is dealt with when it is looked at.
        if self.writer.producer().transaction_state() == Some(TransactionState::InTransaction) {
            self.writer.producer_mut().send_offsets(offsets, group);
        }
    }

    /// Whether no transaction is open, and no record on its way.
    pub fn is_at_rest(&self) -> bool {
        self.open.is_none() && self.writer.outstanding() == 0
    }

    /// Whether the open transaction takes records, and can be ended.
    pub fn is_active(&self) -> bool {
        self.open.is_some_and(|open| open.ending.is_none())
    }

    /// Whether a transaction can begin.
    pub fn is_ready(&self) -> bool {
        self.open.is_none()
            && self.writer.partitions().is_some()
            && self.writer.producer().transaction_state() == Some(TransactionState::Ready)
    }

    pub fn poll_timeout(&self) -> Option<Time> {
        let until = self.open.and_then(|open| open.ending).map(|ending| ending.until);
        [self.writer.producer().poll_timeout(), until, self.initialize_at].into_iter().flatten().min()
    }

    /// Begins a transaction; [`Transactor::is_ready`] must have said that one can.
    pub fn begin(&mut self, now: Now, io: &mut Io<'_>, number: u64, consumer: Option<u32>) -> TransactionId {
        self.writer.producer_mut().begin_transaction();
        self.writer.take_failed();
        let id = TransactionId { producer: self.writer.number(), number };
        self.open = Some(Open { id, since: now.mono, ending: None, in_doubt: None });
        io.history(ClientEvent::Transaction(TransactionEvent::Begun { id, consumer }));
        id
    }

    /// Asks for the end of the open transaction. It is aborted if anything has gone wrong with it already.
    pub fn end(&mut self, now: Now, io: &mut Io<'_>, commit: bool) {
        let until = now.mono + self.writer.producer().config().max_block;
        let commit = commit && !self.writer.take_failed();
        let Some(open) =
            self.open.as_mut().filter(|open| open.ending.is_none_or(|ending| ending.commit && !commit))
        else {
            return;
        };
        open.ending = Some(Ending { commit, until });
        io.history(ClientEvent::Transaction(TransactionEvent::Ending { id: open.id, commit }));
        // An error of the transaction is dealt with when it is looked at.
        let producer = self.writer.producer_mut();
        match producer.transaction_state() {
            Some(TransactionState::InTransaction) if commit => producer.commit_transaction(),
            Some(TransactionState::InTransaction | TransactionState::AbortableError(_)) if !commit => {
                producer.abort_transaction();
            }
            _ => {}
        }
    }

    /// Lets the producer act, and sees to its errors. Tells how the open transaction has ended, if it has.
    pub fn poll(&mut self, now: Now, io: &mut Io<'_>) -> Option<TransactionOutcome> {
        self.writer.poll(now, io);
        self.settle(now, io)
    }

    /// As [`Transactor::poll`], after the producer has acted.
    pub fn settle(&mut self, now: Now, io: &mut Io<'_>) -> Option<TransactionOutcome> {
        let state = self.writer.producer().transaction_state().expect("the producer is transactional");
        match state {
            TransactionState::Uninitialized => {
                if self.initialize_at.is_some_and(|at| at <= now.mono) {
                    self.initialize_at = None;
                    self.writer.producer_mut().init_transactions();
                    self.writer.poll(now, io);
                }
                None
            }
            TransactionState::FatalError(error) => self.give_up(now, io, error),
            TransactionState::AbortableError(error) => {
                if let Some(open) = &mut self.open
                    && self.writer.producer().commit_in_doubt()
                {
                    open.in_doubt = Some(error);
                }
                self.end(now, io, false);
                self.writer.poll(now, io);
                self.settle(now, io)
            }
            TransactionState::InTransaction | TransactionState::Committing | TransactionState::Aborting => {
                let ending = self.open.and_then(|open| open.ending)?;
                (ending.until <= now.mono).then(|| self.give_up(now, io, ErrorCode::RequestTimedOut))?
            }
            TransactionState::Ready | TransactionState::Initializing => {
                let open = self.open.filter(|open| open.ending.is_some())?;
                let committed = open.ending.is_some_and(|ending| ending.commit);
                let outcome = match open.in_doubt {
                    _ if committed => TransactionOutcome::Committed,
                    Some(error) => TransactionOutcome::Unknown { error: errors::name(error) },
                    None => TransactionOutcome::Aborted,
                };
                self.ended(io, open, outcome);
                Some(outcome)
            }
        }
    }

    fn ended(&mut self, io: &mut Io<'_>, open: Open, outcome: TransactionOutcome) {
        self.open = None;
        io.history(ClientEvent::Transaction(TransactionEvent::Ended { id: open.id, outcome }));
    }

    /// Closes the producer and makes a new one, which has to be initialized and thereby fences the old one's requests.
    fn give_up(&mut self, now: Now, io: &mut Io<'_>, error: ErrorCode) -> Option<TransactionOutcome> {
        let name = errors::name(error);
        let what = format!("producer {}: starts again: {name}", self.writer.number());
        io.trace(TraceEvent::ClientError { what });
        let commit_in_doubt = self.writer.restart(error, io);
        self.restarted = true;
        self.initialize_at = Some(now.mono + self.writer.producer().config().network.retry.initial);
        let open = self.open?;
        let outcome = if commit_in_doubt || open.in_doubt.is_some() {
            TransactionOutcome::Unknown { error: name }
        } else {
            TransactionOutcome::Aborted
        };
        self.ended(io, open, outcome);
        Some(outcome)
    }
}
