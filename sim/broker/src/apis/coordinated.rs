//! What requests to coordinators have in common: finding the coordinator, refusing, splitting a request about several groups
//! or transactional ids among their coordinators, and putting the answers together again.

use trial_coordinator::CallId;
use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use crate::Broker;
use crate::coordinator::{Gathering, Merge};

/// A request about one group or transactional id.
pub(super) trait Keyed: Into<RequestKind> {
    /// Its response.
    type Response: Into<ResponseKind>;
    /// Whose request it is.
    const KIND: CoordinatorKind;

    /// The group's or the transactional id.
    fn key(&self) -> &str;

    /// The response that says `error` of everything that was asked.
    fn refuse(&self, version: i16, error: ErrorCode) -> Self::Response;
}

/// Serves a request about one group or transactional id, if its coordinator is here.
pub(super) fn serve<R: Keyed>(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    request: R,
) {
    let token = caller.token;
    let partition = broker.coordinator_partition(R::KIND, request.key());
    if let Err(error) = broker.coordinators.check(R::KIND, partition) {
        let refusal = request.refuse(token.api_version, error);
        return broker.connections.respond(io, token, refusal.into());
    }
    let call = CallId(broker.next_id());
    broker.coordinators.calls.whole(call, token);
    let call = (call, token.api_version, client_id);
    let access = broker.access(token.conn);
    broker.call_coordinator(now, io, R::KIND, partition, call, access.as_ref(), request.into());
}

/// Makes the response that says an error of everything that a request, in some version, asked for.
pub(super) type Refuse = fn(&RequestKind, i16, ErrorCode) -> ResponseKind;

/// A part of a request for one coordinator, or its answer if there is nobody to ask.
pub(super) enum Part {
    /// For the coordinator of this partition, with the answer if that is not here.
    Ask(i32, RequestKind, Refuse),
    /// Is answered already.
    Done(ResponseKind),
}

/// Serves a request part by part; `merge` makes one response of the answers, which are in the order of the parts.
pub(super) fn serve_parts(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    (caller, client_id): (Caller, &StrBytes),
    kind: CoordinatorKind,
    parts: Vec<Part>,
    merge: Merge,
) {
    let token = caller.token;
    let mut gathering = Gathering::new(token, merge);
    let mut calls = Vec::new();
    for part in parts {
        match part {
            Part::Done(answer) => gathering.done(answer),
            Part::Ask(partition, body, refuse) => match broker.coordinators.check(kind, partition) {
                Err(error) => gathering.done(refuse(&body, token.api_version, error)),
                Ok(()) => calls.push((partition, CallId(broker.next_id()), gathering.pending(), body)),
            },
        }
    }
    let id = broker.next_id();
    broker.gather(io, id, gathering);
    for (partition, call, at, body) in calls {
        broker.coordinators.calls.part(call, id, at);
        let call = (call, token.api_version, client_id);
        broker.call_coordinator(now, io, kind, partition, call, None, body);
    }
}

/// Sorts `items` by the partitions of their coordinators, in the order in which those come up.
pub(super) fn by_partition<T>(
    broker: &Broker,
    kind: CoordinatorKind,
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> &str,
) -> Vec<(i32, Vec<T>)> {
    let mut sorted: Vec<(i32, Vec<T>)> = Vec::new();
    for item in items {
        let partition = broker.coordinator_partition(kind, key(&item));
        match sorted.iter_mut().find(|(other, _)| *other == partition) {
            Some((_, items)) => items.push(item),
            None => sorted.push((partition, vec![item])),
        }
    }
    sorted
}

/// Asks every coordinator of a kind that runs here the same.
pub(super) fn serve_all<R: Clone + Into<RequestKind>>(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    kind: CoordinatorKind,
    request: &R,
    (refuse, merge): (Refuse, Merge),
) {
    let parts = broker.coordinators.partitions(kind).into_iter();
    let parts = parts.map(|partition| Part::Ask(partition, request.clone().into(), refuse)).collect();
    serve_parts(broker, now, io, caller, kind, parts, merge);
}

/// The responses of one kind among answers that can be of no other.
macro_rules! answers {
    ($parts:expr, $kind:ident) => {
        $parts.into_iter().map(|part| match part {
            trial_wire::ResponseKind::$kind(response) => response,
            other => unreachable!("a coordinator answers what it was asked, not with {other:?}"),
        })
    };
}
pub(super) use answers;
