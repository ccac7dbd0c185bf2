//! What the two protocols share while one call lasts: the surroundings, the timers, and what they want done.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use trial_node::{ProducerEpoch, ProducerId, Span, Time, TraceEvent};
use trial_wire::{ErrorCode, ResponseKind, StrBytes};

use super::refusal::{append_error, refuse};
use super::timers::{Timer, Timers};
use super::{GroupConfig, classic};
use crate::{CallId, Env, Output, Record, Ticket};

/// One call's surroundings and the way out.
pub(super) struct Context<'c, 'e> {
    /// Time, randomness, metadata.
    pub(super) env: &'c mut Env<'e>,
    /// The configuration.
    pub(super) config: &'c GroupConfig,
    /// What goes out.
    pub(super) out: &'c mut Outbox,
}

/// What a coordinator wants done, and what it wants to do later.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    /// What is due, and when.
    pub(super) timers: Timers,
    outputs: VecDeque<Output>,
    waiting: BTreeMap<Ticket, Then>,
    tickets: u64,
}

/// What follows on an append.
#[derive(Clone, Debug)]
pub(super) enum Then {
    /// Nothing: what was appended speaks for itself at replay.
    Nothing,
    /// The answer to a request; if the append fails, its refusal with the error that Kafka makes of that.
    Respond {
        /// The request.
        call: CallId,
        /// The answer.
        body: ResponseKind,
    },
    /// Something of a group of the classic protocol, by its id, if it is still there.
    Classic(StrBytes, classic::Then),
}

impl Context<'_, '_> {
    /// Sets a timer to go off after `span`.
    pub(super) fn schedule(&mut self, timer: Timer, span: Span) {
        self.out.timers.schedule(timer, self.now() + span);
    }

    /// Now, on the clock that timers go by.
    pub(super) fn now(&self) -> Time {
        self.env.now.mono
    }

    /// A new member's id: random, as Kafka's `Uuid` prints one.
    pub(super) fn random_uuid(&mut self) -> trial_wire::Uuid {
        let mut bytes = [0; 16];
        self.env.rng.fill(&mut bytes);
        trial_wire::Uuid::from_bytes(bytes)
    }
}

impl Outbox {
    /// Answers a request now: nothing that it tells depends on the log.
    pub(super) fn respond(&mut self, call: CallId, body: impl Into<ResponseKind>) {
        self.outputs.push_back(Output::Respond { call, body: body.into() });
    }

    /// Answers a request once all that has been appended is committed.
    pub(super) fn respond_once_committed(&mut self, call: CallId, body: impl Into<ResponseKind>) {
        let body = body.into();
        let instead = refuse(&body, append_error(&body, ErrorCode::RequestTimedOut));
        self.outputs.push_back(Output::RespondOnceCommitted { call, body, instead });
    }

    /// Appends records, which are replayed at once, and goes on with `then` when they are committed or have failed.
    pub(super) fn append(&mut self, records: Vec<Record>, then: Then) {
        self.append_in(None, records, then);
    }

    /// As [`Outbox::append`], within a transaction if there is one.
    pub(super) fn append_in(
        &mut self,
        transaction: Option<(ProducerId, ProducerEpoch)>,
        records: Vec<Record>,
        then: Then,
    ) {
        assert!(!records.is_empty(), "an append has a record");
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket, then);
        self.outputs.push_back(Output::Append { ticket, records, transaction });
    }

    /// Tells the people who read the run.
    pub(super) fn trace(&mut self, event: TraceEvent) {
        self.outputs.push_back(Output::Trace(event));
    }

    /// What follows on an append that is over.
    pub(super) fn take_waiting(&mut self, ticket: Ticket) -> Option<Then> {
        self.waiting.remove(&ticket)
    }

    pub(super) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether records wait to be appended: until they are, the state is not what it is about to be.
    pub(super) fn will_append(&self) -> bool {
        self.outputs.iter().any(|output| matches!(output, Output::Append { .. }))
    }

    /// The broker no longer leads: refuses every request whose append has not been heard of.
    pub(super) fn resign(&mut self) {
        for (_, then) in std::mem::take(&mut self.waiting) {
            match then {
                Then::Nothing => {}
                Then::Respond { call, body } => self.respond(call, refuse(&body, ErrorCode::NotCoordinator)),
                Then::Classic(_, then) => classic::refuse_waiting(self, then),
            }
        }
    }
}

/// A string of its own, for what was borrowed.
pub(super) fn owned(text: &str) -> StrBytes {
    StrBytes::from_utf8(Bytes::copy_from_slice(text.as_bytes())).expect("a str is UTF-8")
}
