//! ListTransactions (KIP-664, KIP-994): the transactional ids that this broker coordinates.

use trial_node::view::CoordinatorKind;
use trial_node::{Io, Now};
use trial_wire::messages::{ListTransactionsRequest, ListTransactionsResponse};
use trial_wire::{ErrorCode, RequestKind, ResponseKind, StrBytes};

use super::Caller;
use super::coordinated::{answers, serve_all};
use crate::Broker;

pub(super) fn serve(
    broker: &mut Broker,
    now: Now,
    io: &mut Io<'_>,
    caller: (Caller, &StrBytes),
    request: &ListTransactionsRequest,
) {
    serve_all(broker, now, io, caller, CoordinatorKind::Transaction, request, (refuse, merge));
}

fn refuse(_: &RequestKind, _: i16, error: ErrorCode) -> ResponseKind {
    ListTransactionsResponse::default().with_error_code(error.code()).into()
}

/// All transactions, or the first error: who is told half of them cannot know.
fn merge(parts: Vec<ResponseKind>) -> ResponseKind {
    let mut merged = ListTransactionsResponse::default();
    for response in answers!(parts, ListTransactions) {
        if response.error_code != 0 {
            return ListTransactionsResponse::default().with_error_code(response.error_code).into();
        }
        // Every coordinator knows the same states.
        merged.unknown_state_filters = response.unknown_state_filters;
        merged.transaction_states.extend(response.transaction_states);
    }
    merged.into()
}
